"""Windows between the measured ones: the teacher labels as many as one likes.

A new window is a blend of two measured ones, ``(1 - t) * a + t * b`` with t drawn from [0, 1], either of the same cell
(another state of ageing) or of any two cells. Measured labels are blended alike.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgebat.features.health import HealthWindows


def blended_windows(windows: HealthWindows, copies: int, same_cell: float, seed: int) -> HealthWindows:
    """``copies`` blends per window; a fraction ``same_cell`` of them stays within the cell. Labels NaN where either is.

    Windows are paired by draw from ``seed``; the result has copies * N rows and carries the first partner's keys.
    """
    rng = np.random.default_rng(seed)
    first = np.tile(np.arange(len(windows.x)), copies)
    second = rng.integers(len(windows.x), size=len(first))
    stay = rng.random(len(first)) < same_cell
    second[stay] = _partner_in_cell(windows, first[stay], rng)
    t = rng.random(len(first)).astype(np.float32)

    def blend(values: np.ndarray) -> np.ndarray:
        weight = t.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((1 - weight) * values[first] + weight * values[second], dtype=np.float32)

    return dataclasses.replace(
        windows,
        x=blend(windows.x),
        soh=blend(windows.soh),
        trajectory=blend(windows.trajectory),
        rul=blend(windows.rul),
        cell=windows.cell[first],
        cycle=windows.cycle[first],
    )


def _partner_in_cell(windows: HealthWindows, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = np.argsort(windows.cell, kind="stable")
    cells, starts, counts = np.unique(windows.cell[order], return_index=True, return_counts=True)
    place = np.searchsorted(cells, windows.cell[rows])
    return np.asarray(order[starts[place] + (rng.random(len(rows)) * counts[place]).astype(np.int64)])
