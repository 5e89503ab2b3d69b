"""What the windows of a run are, for its tables; and as many of them as a comparison asks for. NumPy only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Bool, Float32
from edgebat.data.splits import CALIBRATION, Split
from edgebat.tasks.windows import Blend, Windows

if TYPE_CHECKING:  # the report decides nothing of the step that counts
    from edgebat.report.results import ConditionRow, Counts


def known_ends(windows: Windows) -> Bool:
    """[N] windows that know the number of cycles left to an end that is still to come; all False without such a head."""
    for label in windows.end_labels():
        return np.isfinite(label) & (label > 0)
    return np.zeros(len(windows), dtype=np.bool_)


def counts_of(windows: Windows) -> Counts:
    """Cells, windows, and windows before an end of life that was observed."""
    return {"cells": len(windows.cells), "windows": len(windows), "ends_known": int(known_ends(windows).sum())}


def condition_rows(windows: Windows, split: Split) -> list[ConditionRow]:
    """Per condition the cells in each part, their windows, and how many cells were watched to their end of life."""
    part_of = {cell: part for part in split.parts for cell in getattr(split, part)}
    per_cell = np.bincount(windows.cell, minlength=len(windows.cells))
    ended = np.bincount(windows.cell[known_ends(windows)], minlength=len(windows.cells)) > 0
    conditions = [str(condition) for condition in windows.conditions]
    rows: list[ConditionRow] = []
    for condition in sorted(set(conditions)):
        members = [i for i, c in enumerate(conditions) if c == condition]
        parts = Counter(part_of.get(windows.cells[i]) for i in members)
        row: ConditionRow = {
            "condition": condition,
            "cells": len(members),
            "train": parts["train"],
            "val": parts["val"],
            "test": parts["test"],
            "windows": int(per_cell[members].sum()),
            "eol": int(ended[members].sum()),
        }
        if split.calibration:
            row["calibration"] = parts[CALIBRATION]
        rows.append(row)
    return rows


def enough_inputs(windows: Windows, count: int, seed: int = 1) -> Float32:
    """Inputs [count, T, C] of windows spread evenly over ``windows``; where there are fewer, of these and then of seeded
    blends of pairs."""
    if len(windows) >= count:
        return windows.evenly(count).inputs()
    rng = np.random.default_rng(seed)
    more = count - len(windows)
    first, second = (rng.integers(len(windows), size=more) for _ in range(2))
    blends = windows.blended(Blend(first, second, rng.random(more).astype(np.float32)))
    return windows.inputs_with(blends)
