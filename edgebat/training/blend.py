"""Windows between the measured ones: more to learn from, and a teacher labels as many as one likes.

A new window is a blend of two measured ones, ``(1 - t) * a + t * b`` with t drawn from [0, 1], either of the same cell
(another state of ageing) or of any two cells. Measured labels are blended alike (mixup, arXiv:1710.09412).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array, Float32, Int64
from edgebat.tasks.health.windows import HealthWindows


@dataclass(frozen=True)
class Blend:
    """Which windows are blended: rows ``first`` and ``second`` [M] and the share ``t`` [M] of the second."""

    first: Int64
    second: Int64
    t: Float32

    def __call__(self, values: Array) -> Float32:
        """Blend rows of ``values`` [N, ...] into float32 [M, ...]; NaN where either partner is NaN."""
        weight = self.t.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((1 - weight) * values[self.first] + weight * values[self.second], dtype=np.float32)


def draw_blend(cell: npt.NDArray[np.integer[Any]], copies: int, same_cell: float, seed: int) -> Blend:
    """``copies`` blends per window, drawn from ``seed``; a fraction ``same_cell`` of them stays within the cell.

    cell: [N] index of each window's cell.
    """
    rng = np.random.default_rng(seed)
    first = np.tile(np.arange(len(cell)), copies)
    second = rng.integers(len(cell), size=len(first))
    stay = rng.random(len(first)) < same_cell
    order = np.argsort(cell, kind="stable")
    cells, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    place = np.searchsorted(cells, cell[first[stay]])
    second[stay] = order[starts[place] + (rng.random(len(place)) * counts[place]).astype(np.int64)]
    return Blend(first, second, rng.random(len(first)).astype(np.float32))


def blended_windows(windows: HealthWindows, blend: Blend) -> HealthWindows:
    """The blended windows with their blended labels; each carries the keys of its first partner."""
    return dataclasses.replace(
        windows,
        x=blend(windows.x),
        soh=blend(windows.soh),
        trajectory=blend(windows.trajectory),
        rul=blend(windows.rul),
        cell=windows.cell[blend.first],
        cycle=windows.cycle[blend.first],
    )
