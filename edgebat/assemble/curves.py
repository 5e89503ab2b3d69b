"""Curves of one cycle on a voltage grid: charge taken over voltage at constant current, charge given over falling voltage.

The rule for a voltage level is the device's and ``charge_increments``': reached at the first sample at or above it, the
charge interpolated between that sample and the one before. So the curves are exact: nothing of them needs mending.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgebat.arrays import Bool, Float64
from edgebat.tasks.health.increments import CURRENT_TOLERANCE, CYCLE_PART, PAUSE_BELOW_V, PAUSE_S, WindowStatus

GRID_STEP_V = 0.005
"""Distance of the grid's voltages; a multiple of a millivolt, so that windows lie on it."""
WIDEST_STEP_V = 0.025
"""Between samples further apart than this nothing is interpolated."""
FEWEST_SAMPLES = 5


def voltage_grid(lowest_v: float, highest_v: float) -> Float64:
    """Ascending voltages that hold both, V."""
    steps = np.arange(np.floor(lowest_v / GRID_STEP_V), np.ceil(highest_v / GRID_STEP_V) + 1)
    grid: Float64 = np.round(steps * GRID_STEP_V, 6)
    return grid


def spoilt_below(
    time_s: Float64, voltage_v: Float64, counted_ah: Float64, parts: Sequence[tuple[int, int]], nominal_ah: float
) -> float:
    """Up to which voltage the last of the ``parts`` (first sample, end) of a charge tells nothing, because an earlier one
    was there before a pause, or nearly; -inf for nothing spoilt. The rule is ``charge_increments``'."""
    last, spoilt = parts[-1][0], -np.inf
    for (first, stop), (again, _) in pairwise(parts):
        if counted_ah[stop - 1 : last + 1].max() - counted_ah[last] < CYCLE_PART * nominal_ah:
            long = time_s[again] - time_s[stop - 1] > PAUSE_S
            spoilt = max(spoilt, float(voltage_v[first:stop].max()) + PAUSE_BELOW_V * long)
    return float(spoilt)


def charge_curve(
    voltage_v: Float64, current_a: Float64, counted_ah: Float64, wide: Bool, grid_v: Float64, spoilt_v: float = -np.inf
) -> tuple[Float64, WindowStatus]:
    """[V] charge since the first covered voltage of ``grid_v``, Ah, NaN elsewhere; all NaN, and why, when there is none.

    The samples [S] are of one charge without a rest. ``wide`` [S]: true where time passed unseen before a sample.
    Voltages up to ``spoilt_v`` are not covered.
    """
    nothing = np.full(grid_v.size, np.nan)
    first, stop = _constant(current_a, voltage_v)
    gaps = np.flatnonzero(wide[first + 1 : stop]) + first + 1
    # The longest stretch, in volts, without a gap.
    edges = [first, *gaps.tolist(), stop]
    spans = [(float(voltage_v[b - 1] - voltage_v[a]), a, b) for a, b in pairwise(edges) if b > a]
    if not spans:
        return nothing, WindowStatus.NO_CHARGE
    _, first, stop = max(spans)
    voltage, charge = np.maximum.accumulate(voltage_v[first:stop]), counted_ah[first:stop]
    rising = np.concatenate(([True], np.diff(voltage) > 0.0))
    if int(rising.sum()) < FEWEST_SAMPLES:
        return nothing, WindowStatus.SPARSE
    # The sample at which a voltage is first reached, and the one right before it, wherever that lay.
    reached = np.searchsorted(voltage, grid_v, side="left")
    inside = (reached > 0) & (reached < voltage.size)
    at = np.clip(reached, 1, voltage.size - 1)
    raw = voltage_v[first:stop]
    below, above = raw[at - 1], raw[at]
    part = (grid_v - below) / np.where(above > below, above - below, 1.0)
    dq = np.where(
        inside & (above - below <= WIDEST_STEP_V), charge[at - 1] + part * (charge[at] - charge[at - 1]), np.nan
    )
    exact = grid_v == raw[0]
    dq[exact] = charge[0]
    dq[grid_v <= spoilt_v] = np.nan
    covered = np.flatnonzero(np.isfinite(dq))
    if covered.size < 2:
        return nothing, WindowStatus.INTERRUPTED if voltage[-1] <= spoilt_v else WindowStatus.SPARSE
    return dq - dq[covered[0]], WindowStatus.OK


def _constant(current_a: Float64, voltage_v: Float64) -> tuple[int, int]:
    """First sample and end of the constant-current stretch over which the voltage rises most."""
    best, start = (0.0, 0, 0), 0
    while start < current_a.size:
        level = float(np.median(current_a[start : start + 9]))
        stop = _leaves(current_a, start, level)
        # The first sample may be off: the current is switched on in it.
        steady = start + int(abs(current_a[start] - level) > CURRENT_TOLERANCE * level)
        if stop > steady:
            best = max(best, (float(voltage_v[steady:stop].max() - voltage_v[steady]), steady, stop))
        start = max(stop, start + 1)
    return best[1], best[2]


def _leaves(current_a: Float64, start: int, level: float) -> int:
    """First sample from ``start`` on at which the current leaves ``level`` for more than one sample; else the end."""
    width = 256
    while True:
        off = np.abs(current_a[start : start + width] - level) > CURRENT_TOLERANCE * level
        ends = np.flatnonzero(off[:-1] & off[1:])
        if ends.size:
            return start + int(ends[0])
        if start + width >= current_a.size:
            return int(current_a.size)
        width *= 4


def discharge_curve(voltage_v: Float64, counted_ah: Float64, grid_v: Float64) -> Float64:
    """[V] Ah given until the voltage first falls to each of the falling ``grid_v``; the samples [S] are of one discharge."""
    voltage = np.minimum.accumulate(voltage_v)
    falls = np.concatenate(([True], np.diff(voltage) < 0.0))
    given = counted_ah[0] - counted_ah
    curve: Float64 = np.interp(-grid_v, -voltage[falls], given[falls])
    return curve
