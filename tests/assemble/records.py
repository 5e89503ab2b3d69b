"""Records as a reader gives them, out of the synthetic fleet: what tests change to make every trap of a cycler's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.data.readers.records import Records
from edgebat.data.synthetic import make_raw_cell

NOMINAL_AH = 3.5
START = datetime(2025, 3, 1, 8, 0)
PERIOD_S = 20.0


def records(cycles: Iterable[int], name: str = "a.csv", index: int = 1, days: float = 0.0, **other: Any) -> Records:
    """Some cycles of an NCA cell of 3.5 Ah as one file: continuous time, clock ``days`` after the first day."""
    cell = make_raw_cell(seed=7, index=index, cycles=cycles, period_s=PERIOD_S)
    time = PERIOD_S * np.arange(cell.time_s.size)
    plain = Records(
        path=Path(name), channel="", layout="test", time_s=time, start=START + timedelta(days=days),
        voltage_v=cell.voltage_v, current_a=cell.current_a, sign="unknown", temperature_degc=None,
        cycle=cell.cycle - cell.cycle[0] + 1, step=None, step_kind=None, charge_ah=None, discharge_ah=None,
        nominal_ah=None, guesses=(), notes=(),
    )  # fmt: skip
    return replace(plain, **other)


def days_of(record: Records) -> float:
    """How long it lasts."""
    return float(record.time_s[-1]) / 86_400.0
