"""More windows of cells: the same cells, measured or charged otherwise, and then cut like any others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edgebat.cells import CellHistory
from edgebat.errors import DataError
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows, usable_rows
from edgebat.tasks.more import MoreWindows
from edgebat.tasks.windows import merged


def more_windows(cells: Iterable[CellHistory], spec: HealthSpec, more: MoreWindows) -> HealthWindows:
    """What ``more`` asks for, kind by kind; a cell that gives none of a kind is left out of it.

    Measured labels stay those of the cycle, but for unlabelled windows, which have none: NaN. Raises DataError when there is
    not one window.
    """
    histories = list(cells)
    parts = []
    if more.unlabelled:
        parts += [_unlabelled(history, spec) for history in histories]
    generator = np.random.default_rng(more.seed)
    for _ in range(more.shifted):
        drops = generator.uniform(-more.shift_v, more.shift_v, len(histories))
        parts += [_cut(shifted(history, drop), spec) for history, drop in zip(histories, drops, strict=True)]
    parts += [_cut(stretched(history, step), spec) for step in more.stretched for history in histories]
    found = [part for part in parts if part is not None and len(part)]
    if not found:
        raise DataError(
            f"data.more finds no window in {len(histories)} cells: {more}; every charge has its capacity, or the moved or "
            f"thinned charges do not cover {spec.window_start_v:g} to {spec.window_end_v:g} V in {spec.context} neighbours"
        )
    return merged(found)


def shifted(history: CellHistory, drop_v: float) -> CellHistory:
    """The cell whose terminal voltage lies ``drop_v`` higher all along the charge."""
    return replace(history, charge_voltage_v=history.charge_voltage_v + drop_v)


def stretched(history: CellHistory, step: int) -> CellHistory:
    """The cell charged through the window every ``step`` cycles only."""
    return replace(history, charge_cycle=history.charge_cycle[::step], charge_dq_ah=history.charge_dq_ah[::step])


def _unlabelled(history: CellHistory, spec: HealthSpec) -> HealthWindows | None:
    """Windows that end with a charge without a usable capacity, out of all charges."""
    usable = usable_rows(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    if not usable.any():
        return None
    cycle = np.union1d(history.cycle[usable], history.charge_cycle)
    # A stand-in for the missing capacities lets every charge through; no label is made of it.
    capacity = np.interp(cycle, history.cycle[usable], history.capacity_ah[usable])
    filled = replace(history, cycle=cycle, capacity_ah=capacity, flagged=np.zeros(cycle.size, dtype=np.bool_))
    windows = _cut(filled, spec)
    if windows is None:
        return None
    return windows.select(~np.isin(windows.cycle, history.cycle[usable])).without_labels()


def _cut(history: CellHistory, spec: HealthSpec) -> HealthWindows | None:
    try:
        return health_windows([history], spec)
    except DataError:
        return None
