"""What the windows of a run are, for its tables; and as many of them as a comparison asks for. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.arrays import Float32
from edgebat.data.splits import PARTS, Split
from edgebat.tasks.windows import Blend, Windows


def known_ends(windows: Windows) -> Any:
    """[N] windows that know the number of cycles left to an end that is still to come; all False without such a head."""
    for label in windows.end_labels():
        return np.isfinite(label) & (label > 0)
    return np.zeros(len(windows), dtype=np.bool_)


def counts_of(windows: Windows) -> dict[str, int]:
    """Cells, windows, and windows before an end of life that was observed."""
    return {"cells": len(windows.cells), "windows": len(windows), "ends_known": int(known_ends(windows).sum())}


def condition_rows(windows: Windows, split: Split) -> list[dict[str, Any]]:
    """Per condition the cells in each part, their windows, and how many cells were watched to their end of life."""
    part_of = {cell: part for part in PARTS for cell in getattr(split, part)}
    per_cell = np.bincount(windows.cell, minlength=len(windows.cells))
    ended = np.bincount(windows.cell[known_ends(windows)], minlength=len(windows.cells)) > 0
    conditions = [str(condition) for condition in windows.conditions]
    rows = []
    for condition in sorted(set(conditions)):
        members = [i for i, c in enumerate(conditions) if c == condition]
        row: dict[str, Any] = {"condition": condition, "cells": len(members)}
        row |= {part: sum(part_of.get(windows.cells[i]) == part for i in members) for part in PARTS}
        rows.append(row | {"windows": int(per_cell[members].sum()), "eol": int(ended[members].sum())})
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
