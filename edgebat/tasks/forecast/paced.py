"""Cells that age at another pace: the same capacities at stretched or compressed cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from edgebat.cells import CapacityHistory
from edgebat.errors import DataError
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, forecast_windows
from edgebat.tasks.more import MoreWindows


def paced_windows(cells: Iterable[CapacityHistory], spec: ForecastSpec, more: MoreWindows) -> ForecastWindows:
    """``more.paced`` copies of each cell, each cut like any cell and called after its factor. Raises DataError when none
    gives a window."""
    histories, generator = list(cells), np.random.default_rng(more.seed)
    made = []
    for _ in range(more.paced):
        factors = np.exp(generator.uniform(-np.log(more.pace), np.log(more.pace), len(histories)))
        made += [paced(history, factor) for history, factor in zip(histories, factors.tolist(), strict=True)]
    windows = forecast_windows(made, spec)
    if not len(windows):
        raise DataError(f"data.more.paced finds no window in {len(histories)} cells; left out: {windows.left_out}")
    return windows


def paced(history: CapacityHistory, factor: float) -> CapacityHistory:
    """The cell that takes ``factor`` cycles where it took one. Every value is a measured one, at the nearest whole cycle;
    of several that fall on one cycle the first stays."""
    first = int(history.cycle[0])
    at = first + np.rint((history.cycle - first) * factor).astype(np.int64)
    cycle, rows = np.unique(at, return_index=True)
    dataset, cell = history.key
    return replace(history, key=(dataset, f"{cell} x{factor:.4f}"), cycle=cycle, capacity=history.capacity[rows])
