"""More windows beside the training windows: what only the teacher labels, and what it sees better than its student does.

A task cuts them (``Task.more_windows``), or other cells give them (``edgebat/runs/more.py``); here is who labels them. The
teacher is asked about the training window of the same cell and cycle where there is one, about the window itself where there
is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from edgebat.arrays import Int64
from edgebat.tasks.windows import Windows, merged


@dataclass(frozen=True)
class WithMore:
    """Training windows, and more windows, of the same cells or others, that teach beside them."""

    windows: Windows
    more: Windows | None = None

    @classmethod
    def of(cls, train: Windows | WithMore) -> WithMore:
        """``train``, alone or with more."""
        return train if isinstance(train, WithMore) else cls(train)

    @classmethod
    def numbered(cls, windows: Windows, more: Windows, strangers: bool = False) -> Self:
        """Both, the cells of ``more`` numbered as in ``windows``; those of cells without a training window are left out,
        or, as ``strangers``, numbered after them."""
        own = set(windows.cells)
        known = more if strangers else more.select(cells=[key for key in more.cells if key in own])
        if windows.one_per_cell:  # such windows are numbered one by one
            return cls(windows, known)
        both = merged([windows, known])
        rest: dict[str, Any] = {name: getattr(both, name)[len(windows) :] for name in both.names("window")}
        return cls(windows, replace(both, **rest))


def true_windows(more: Windows, train: Windows) -> Windows:
    """``more`` windows as the teacher reads them: those of ``train`` in the place of the ones of the same cell and cycle."""
    row = _rows(more, train)
    found = row >= 0
    arrays = {}
    for name in set(more.names("window")) - {"cell"}:
        own = getattr(more, name).copy()
        own[found] = getattr(train, name)[row[found]]
        arrays[name] = own
    return replace(more, **arrays)


def with_label(more: Windows) -> Windows:
    """Those that somebody measured, for a student without a teacher."""
    known = [np.isfinite(values.reshape(len(more), -1)).any(axis=1) for values in more.targets().values()]
    keep = np.any(known, axis=0)
    if more.one_per_cell:
        return more.select(keep)
    return replace(more, **{name: getattr(more, name)[keep] for name in more.names("window")})


def _rows(more: Windows, train: Windows) -> Int64:
    """[N] row of ``train`` with the same cell and cycle, -1 where there is none."""
    row = {key: n for n, key in enumerate(_keys(train))}
    return np.array([row.get(key, -1) for key in _keys(more)], dtype=np.int64)


def _keys(windows: Windows) -> list[Any]:
    """Cell and cycle of every window."""
    return [
        (windows.cells[cell], cycle) for cell, cycle in zip(windows.cell.tolist(), windows.cycle.tolist(), strict=True)
    ]
