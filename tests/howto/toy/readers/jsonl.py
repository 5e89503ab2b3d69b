"""A reader in one file: one JSON list per sample, ``[cycle, seconds, volts, amperes]``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Table
from edgebat.errors import DataError

SUFFIXES = (".jsonl",)
NAMES = ("cycle", "time_s", "voltage_v", "current_a")


def tables(path: Path, profile: Profile) -> list[Table]:
    """The samples in ``path``, columns named so that roles and units are known. Raises DataError."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        columns = np.array(rows, dtype=np.float64).T
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no samples [cycle, seconds, volts, amperes]: {error}") from None
    return [Table(NAMES, Arrays(list(columns)))]
