"""A teacher that labels each cell it learnt from as one that has not: trained on all cells, and once without each fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from torch import nn

from edgebat.arrays import FloatArray, Int64
from edgebat.cells import CellKey, cell_key
from edgebat.errors import ModelFileError
from edgebat.files import Json
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.store import build_teacher


class CrossFitted(Teacher):
    """``members``, name and settings of each, ``{"name": ..., "settings": {...}}``: the one of all cells first, then one per
    fold; cells: of each fold, as ``dataset/cell``, those that its member has not seen.

    Cells of no fold hear the first. A blend of two cells counts as its first one, and its member may have seen the second.
    Raises ModelFileError unless there is a member for each fold, all of one task.
    """

    name = "cross_fitted"
    Settings = type(None)

    def __init__(self, members: Sequence[Json], cells: Sequence[Sequence[str]]) -> None:
        super().__init__()
        networks = [build_teacher(str(member["name"]), member["settings"]) for member in members]
        if len(networks) != len(cells) + 1 or len({network.task for network in networks}) != 1:
            raise ModelFileError(
                f"a cross-fitted teacher needs a member of all cells and one per fold, all of one task; seen "
                f"{len(networks)} members of {sorted({network.task for network in networks})} and {len(cells)} folds"
            )
        self.task = networks[0].task
        self.settings = {"members": [dict(each) for each in members], "cells": [list(names) for names in cells]}
        self.fold: dict[CellKey, int] = {cell_key(name): n for n, names in enumerate(cells) for name in names}
        self.members = nn.ModuleList(networks)

    @classmethod
    def of(cls, whole: Teacher, folds: Sequence[Teacher], cells: Sequence[Sequence[CellKey]]) -> Self:
        """``whole`` and the teachers of the ``folds`` themselves as one, in eval mode."""
        members: list[Json] = [{"name": each.name, "settings": each.settings} for each in (whole, *folds)]
        teacher = cls(members, [["/".join(cell) for cell in names] for names in cells])
        teacher.members = nn.ModuleList([whole, *folds])
        return teacher.eval()

    @property
    def each(self) -> list[Teacher]:
        """The members."""
        return [member for member in self.members if isinstance(member, Teacher)]

    @property
    def spec(self) -> Any:
        """How windows for it are made, where its members say."""
        return self.members[0].spec

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """Every window by the member that has not seen its cell."""
        if not len(windows):
            return self.each[0].predict(windows)
        asked, found = self._asked(windows), dict[str, FloatArray]()
        for n in np.unique(asked):
            rows = np.flatnonzero(asked == n)
            for head, values in self.each[n].predict(windows.take(rows)).items():
                found.setdefault(head, np.full((len(windows), *values.shape[1:]), np.nan, values.dtype))[rows] = values
        return found

    def hidden(self, windows: Windows) -> FloatArray | None:
        """Of the member that has seen all: those of different networks mean different things."""
        return self.each[0].hidden(windows)

    def notes(self, windows: Windows) -> list[str]:
        """Those of the member that has seen all."""
        return self.each[0].notes(windows)

    def _asked(self, windows: Windows) -> Int64:
        """[N] number of the member that is asked."""
        member = np.array([1 + self.fold.get(cell, -1) for cell in windows.cells], dtype=np.int64)
        found: Int64 = member[windows.cell]
        return found


TEACHERS = (CrossFitted,)
