"""Cells that age more slowly: matrices, capacities and SOH curves stretched along the cycles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Float32, Float64
from edgebat.tasks.life.windows import LifeWindows
from edgebat.tasks.more import MoreWindows
from edgebat.tasks.windows import merged


def paced_windows(windows: LifeWindows, more: MoreWindows) -> LifeWindows:
    """``more.paced`` copies of each cell, each called after its factor. A cell that ages faster would need the discharge
    curves of cycles that the window does not hold, so that factors are 1 to ``more.pace``."""
    generator = np.random.default_rng(more.seed)
    return merged(
        [paced(windows, np.exp(generator.uniform(0.0, np.log(more.pace), len(windows)))) for _ in range(more.paced)]
    )


def paced(windows: LifeWindows, factors: Float64) -> LifeWindows:
    """Cells that take ``factors`` [N], 1 or more, cycles where they took one. Before the first cycle that was measured its
    values are held; a curve ends so much later."""
    spec = windows.spec
    cycles, ahead = np.arange(1, spec.cycles + 1, dtype=np.float64), spec.curve_cycles.astype(np.float64)
    x, base = np.empty_like(windows.x), windows.base.copy()
    capacity, curve = np.empty_like(windows.capacity), np.empty_like(windows.curve)
    for n, factor in enumerate(factors.tolist()):
        level = _rows_at(windows.x[n], np.array([spec.base_cycle / factor]))[0]
        x[n] = _rows_at(windows.x[n], cycles / factor) - level
        base[n] += level
        capacity[n] = np.interp(cycles / factor, cycles, windows.capacity[n])
        known = windows.curve[n] > 0.0
        last = ahead[known][-1] if known.any() else 0.0
        position = 1.0 + (ahead - 1.0) / factor
        inside = np.interp(position, ahead[known], windows.curve[n][known]) if known.any() else 0.0
        curve[n] = np.where(position <= last, inside, 0.0)
    names = tuple((dataset, f"{cell} x{f:.4f}") for (dataset, cell), f in zip(windows.cells, factors, strict=True))
    life = (windows.life * factors).astype(np.float32)
    return replace(windows, x=x, base=base, capacity=capacity, life=life, curve=curve, cells=names)


def _rows_at(matrix: Float32, cycle: Float64) -> Float32:
    """Rows of a matrix [cycles, columns], whose first is cycle 1, at fractional cycles [K]; the first is held before it."""
    position = np.clip(cycle - 1.0, 0.0, len(matrix) - 1.0)
    low = np.minimum(position.astype(np.int64), len(matrix) - 2)
    share = (position - low).astype(np.float32)[:, None]
    return np.asarray((1 - share) * matrix[low] + share * matrix[low + 1], dtype=np.float32)
