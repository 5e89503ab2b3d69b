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
REAL_CHARGE = 0.2
"""A charge of less than this part of the largest of its cycle is a pulse within a discharge."""
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
    sample_ah: Float64
    """What one sample of the discharge holds, typically."""
    gap: Bool
    """Charge flowed unseen during the discharge."""
    temperature_degc: Float64
    discharge: Int64
    """[C, 2] first sample and end of the discharge; 0, 0 when there is none."""


def count_cycles(
    cycle: Int64,
    runs: Runs,
    time_s: Float64,
    voltage_v: Float64,
    temperature_degc: Float64,
    unseen_ah: Float64,
    lost_ah: float,
) -> CycleTable:
    """One row per cycle. ``cycle`` and the samples are [S]; ``unseen_ah``: what may have flowed unseen before a sample, of
    which a discharge may lack up to ``lost_ah``."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(cycle)) + 1)).astype(np.int64)
    stops = np.append(starts[1:], cycle.size).astype(np.int64)
    bounds = np.append(np.searchsorted(runs.start, starts), runs.start.size).tolist()
    rows = [
        _one(runs.some(bounds[i], bounds[i + 1]), start, time_s, voltage_v) for i, start in enumerate(starts.tolist())
    ]
    first, last = (np.array([row.discharge[i] for row in rows], dtype=np.int64) for i in (0, 1))
    hidden = np.concatenate(([0.0], np.cumsum(unseen_ah)))
    known = np.isfinite(temperature_degc)
    total = np.add.reduceat(np.where(known, temperature_degc, 0.0), starts)
    number = np.add.reduceat(known.astype(np.float64), starts)
    return CycleTable(
        cycle=cycle[starts],
        start=starts,
        stop=stops,
        charge_ah=np.array([row.charge_ah for row in rows]),
        charge_s=np.array([row.charge_s for row in rows]),
        discharge_ah=np.array([row.discharge_ah for row in rows]),
        discharge_s=np.array([row.discharge_s for row in rows]),
        highest_v=np.array([row.highest_v for row in rows]),
        lowest_v=np.array([row.lowest_v for row in rows]),
        reach_v=np.array([row.reach_v for row in rows]),
        sample_ah=np.array([row.sample_ah for row in rows]),
        gap=hidden[last] - hidden[first] > lost_ah,
        temperature_degc=np.where(number > 0, total / np.maximum(number, 1.0), np.nan),
        discharge=np.stack([first, last], axis=1),
    )


@dataclass(frozen=True)
class _Counted:
    """One cycle; the fields of CycleTable."""

    charge_ah: float
    charge_s: float
    discharge_ah: float = float("nan")
    discharge_s: float = float("nan")
    highest_v: float = float("nan")
    lowest_v: float = float("nan")
    reach_v: float = float("nan")
    sample_ah: float = float("nan")
    discharge: tuple[int, int] = (0, 0)


def _one(runs: Runs, start: int, time_s: Float64, voltage_v: Float64) -> _Counted:
    """The cycle of ``runs`` that starts at sample ``start``."""
    charging, discharging = runs.direction > 0, runs.direction < 0
    charge = float(runs.charge_ah[charging].sum())
    charge_s = float((time_s[runs.stop[charging] - 1] - time_s[runs.start[charging]]).sum())
    if not discharging.any():
        return _Counted(charge, charge_s)
    # A discharge is what follows the last real charge; pulses of charge within it are part of it. What is charged after it,
    # in pieces too small to begin a cycle, belongs to the next charge.
    large = np.flatnonzero(charging & (runs.charge_ah >= REAL_CHARGE * runs.charge_ah.max(initial=0.0)))
    large = large[large < np.flatnonzero(discharging)[-1]]
    discharging &= np.arange(discharging.size) > (large[-1] if large.size else -1)
    first, last = int(runs.start[discharging][0]), int(runs.stop[discharging][-1])
    lasts = time_s[runs.stop[discharging] - 1] - time_s[np.maximum(runs.start[discharging] - 1, 0)]
    lowest = float(voltage_v[first:last].min())
    given = float(runs.before_ah[discharging][0] - runs.after_ah[discharging][-1])
    period = float(np.median(np.diff(time_s[max(first - 1, 0) : last + 1])))
    falls = float(voltage_v[max(last - 2, first)] - voltage_v[last - 1])
    return _Counted(
        charge,
        charge_s,
        discharge_ah=max(given, 0.0),
        discharge_s=float(lasts.sum()),
        highest_v=float(voltage_v[start : first + 1].max()),
        lowest_v=lowest,
        reach_v=lowest - max(falls, 0.0),
        sample_ah=max(given, 0.0) * period / max(float(lasts.sum()), period),
        discharge=(first, last),
    )


def label_kinds(table: CycleTable) -> StrArray:
    """[C] ``measured`` where the discharge is whole; what it is instead: ``none``, ``gap``, ``partial``, ``rate``."""
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
