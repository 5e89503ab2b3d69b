"""More windows of the training cells: what only the teacher labels, and what it sees better than its student does.

A task cuts them (``Task.more_windows``); here is who labels them. The teacher is asked about the training window of the same
cell and cycle where there is one, about the window itself where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from edgebat.arrays import Int64
from edgebat.tasks.windows import Windows


@dataclass(frozen=True)
class WithMore:
    """Training windows, and more windows of the same cells that teach beside them."""

    windows: Windows
    more: Windows | None = None

    @classmethod
    def of(cls, train: Windows | WithMore) -> WithMore:
        """``train``, alone or with more."""
        return train if isinstance(train, WithMore) else cls(train)

    @classmethod
    def numbered(cls, windows: Windows, more: Windows) -> Self:
        """Both, the cells of ``more`` numbered as in ``windows``; those of cells without a training window are left out."""
        number = {key: index for index, key in enumerate(windows.cells)}
        known = more.select(cells=[key for key in more.cells if key in number])
        cell = np.array([number[key] for key in known.cells], dtype=np.int32)[known.cell]
        per_cell = {name: getattr(windows, name) for name in windows.names("cell")}
        return cls(windows, replace(known, **per_cell, cell=cell))


def true_windows(more: Windows, train: Windows) -> Windows:
    """``more`` windows as the teacher reads them: those of ``train`` in the place of the ones of the same cell and cycle."""
    row = _rows(more, train)
    found = row >= 0
    arrays = {}
    for name in more.names("window"):
        own = getattr(more, name).copy()
        own[found] = getattr(train, name)[row[found]]
        arrays[name] = own
    return replace(more, **arrays)


def with_label(more: Windows) -> Windows:
    """Those that somebody measured, for a student without a teacher."""
    known = [np.isfinite(values.reshape(len(more), -1)).any(axis=1) for values in more.targets().values()]
    keep = np.any(known, axis=0)
    return replace(more, **{name: getattr(more, name)[keep] for name in more.names("window")})


def _rows(more: Windows, train: Windows) -> Int64:
    """[N] row of ``train`` with the same cell and cycle, -1 where there is none; cells numbered alike."""
    row = {key: n for n, key in enumerate(zip(train.cell.tolist(), train.cycle.tolist(), strict=True))}
    keys = zip(more.cell.tolist(), more.cycle.tolist(), strict=True)
    return np.array([row.get(key, -1) for key in keys], dtype=np.int64)
