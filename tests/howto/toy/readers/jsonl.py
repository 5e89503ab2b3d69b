"""A reader in one file: one JSON list per sample, ``[cycle, seconds, volts, amperes]``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign, signed
from edgebat.errors import DataError

SUFFIXES = (".jsonl",)


def read(path: Path, sign: CurrentSign | str) -> RawCell:
    """The cell in ``path``. Raises DataError."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        cycle, time_s, voltage_v, current_a = np.array(rows, dtype=np.float64).T
    except (OSError, ValueError) as error:
        raise DataError(f"{path} holds no samples [cycle, seconds, volts, amperes]: {error}") from None
    cell = RawCell(path.stem, time_s, voltage_v, signed(current_a, sign), cycle, source=path.name)
    check_sign(cell)
    return cell
