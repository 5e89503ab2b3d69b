"""Discharges of a cell: how much each gave, and whether it was whole, so that its charge is the capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float64, Int64, StrArray
from edgebat.assemble.cycles import Runs

FULL_V, EMPTY_V = 0.03, 0.06
"""A discharge starts full and ends empty within this much of the cell's usual highest and lowest voltage."""
DEEP = 0.6
"""Discharges of more than this part of the largest show what is usual."""
OTHER_RATE = 0.3
"""A mean current that differs by more from the usual one gives another capacity."""


@dataclass(frozen=True)
class CycleTable:
    """What is counted per cycle, [C] each; s, V, A, Ah, degC; NaN where there is nothing to count."""

    cycle: Int64
    start: Int64
    """First sample."""
    stop: Int64
    charge_ah: Float64
    charge_s: Float64
    discharge_ah: Float64
    discharge_s: Float64
    highest_v: Float64
    """Before the discharge."""
    lowest_v: Float64
    """During it."""
    reach_v: Float64
    """Where it would have been one sample later: cyclers stop a discharge between two samples."""
    gap: Bool
    """Charge flowed unseen during the discharge."""
    temperature_degc: Float64
    discharge: Int64
    """[C, 2] first sample and end of the discharge; 0, 0 when there is none."""


def count_cycles(
    cycle: Int64, runs: Runs, time_s: Float64, voltage_v: Float64, temperature_degc: Float64, gap: Bool
) -> CycleTable:
    """One row per cycle. ``cycle`` and the samples are [S]; ``gap`` marks samples before which charge flowed unseen."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(cycle)) + 1)).astype(np.int64)
    stops = np.append(starts[1:], cycle.size).astype(np.int64)
    of = np.searchsorted(starts, runs.start, side="right") - 1
    rows = [
        _one(Runs(*(part[of == i] for part in (runs.start, runs.stop, runs.direction, runs.charge_ah))), a, b,
             time_s, voltage_v, gap)
        for i, (a, b) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True))
    ]  # fmt: skip
    columns = np.array([row[:7] for row in rows])
    with np.errstate(invalid="ignore"):
        known = np.isfinite(temperature_degc)
        total = np.add.reduceat(np.where(known, temperature_degc, 0.0), starts)
        number = np.add.reduceat(known.astype(np.float64), starts)
        temperature = np.where(number > 0, total / np.maximum(number, 1.0), np.nan)
    return CycleTable(
        cycle[starts], starts, stops, *columns.T, gap=np.array([row[7] for row in rows]),
        temperature_degc=temperature, discharge=np.array([row[8] for row in rows], dtype=np.int64),
    )  # fmt: skip


def _one(
    runs: Runs, start: int, stop: int, time_s: Float64, voltage_v: Float64, gap: Bool
) -> tuple[float, float, float, float, float, float, float, bool, tuple[int, int]]:
    charging, discharging = runs.direction > 0, runs.direction < 0
    charge = float(runs.charge_ah[charging].sum())
    charge_s = float((time_s[runs.stop[charging] - 1] - time_s[runs.start[charging]]).sum())
    if not discharging.any():
        return charge, charge_s, np.nan, np.nan, np.nan, np.nan, np.nan, False, (0, 0)
    first, last = int(runs.start[discharging][0]), int(runs.stop[discharging][-1])
    within = (runs.start >= first) & (runs.stop <= last)
    given = -float(runs.charge_ah[within].sum())
    lasts = float((time_s[runs.stop[discharging] - 1] - time_s[np.maximum(runs.start[discharging] - 1, 0)]).sum())
    highest = float(voltage_v[start : first + 1].max())
    lowest = float(voltage_v[first:last].min())
    reach = lowest - max(float(voltage_v[max(last - 2, first)] - voltage_v[last - 1]), 0.0)
    return charge, charge_s, given, lasts, highest, lowest, reach, bool(gap[first:last].any()), (first, last)


def label_kinds(table: CycleTable) -> StrArray:
    """[C] ``measured`` where the discharge is whole; otherwise what it is instead: ``none``, ``gap``, ``partial``, ``rate``."""
    given = table.discharge_ah
    kinds = np.full(given.size, "measured", dtype="<U8")
    nothing = ~(given > 0.0)
    if not nothing.all():
        largest = float(np.nanquantile(given[~nothing], 0.9))
        deep = ~nothing & (given >= DEEP * largest) & (given <= 1.1 * largest)
        top, bottom = float(np.median(table.highest_v[deep])), float(np.median(table.lowest_v[deep]))
        usual = float(np.median(given[deep] / table.discharge_s[deep]))
        with np.errstate(invalid="ignore"):
            partial = (table.highest_v < top - FULL_V) | (table.reach_v > bottom + EMPTY_V)
            rate = np.abs(given / table.discharge_s / usual - 1.0) > OTHER_RATE
        kinds[rate] = "rate"
        kinds[partial] = "partial"
        kinds[table.gap] = "gap"
    kinds[nothing] = "none"
    return kinds
