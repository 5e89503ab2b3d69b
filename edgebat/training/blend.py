"""Which windows are blended: more to learn from, and a teacher labels as many as one likes.

A new window is a blend of two measured ones, ``(1 - t) * a + t * b`` with t drawn from [0, 1], either of the same cell
(another state of ageing) or of any two cells. Measured labels are blended alike (mixup, arXiv:1710.09412); the mixing is
``edgebat.tasks.windows.Windows.blended``.
"""

from __future__ import annotations

import numpy as np

from edgebat.arrays import IntArray
from edgebat.tasks.windows import Blend


def draw_blend(cell: IntArray, copies: int, same_cell: float, seed: int) -> Blend:
    """``copies`` blends per window, drawn from ``seed``; a fraction ``same_cell`` of them stays within the cell.

    cell: [N] index of each window's cell.
    """
    rng = np.random.default_rng(seed)
    first = np.tile(np.arange(len(cell)), copies)
    second = rng.integers(len(cell), size=len(first))
    stay = rng.random(len(first)) < same_cell
    order = np.argsort(cell, kind="stable")
    cells, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    group = np.searchsorted(cells, cell[first[stay]])
    second[stay] = order[starts[group] + (rng.random(len(group)) * counts[group]).astype(np.int64)]
    return Blend(first, second, rng.random(len(first)).astype(np.float32))
