"""What a run reads: what decides that it has changed, and how much of it there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.data.splits import Split
from edgebat.errors import DataError
from edgebat.files import sha256_bytes, sha256_file
from edgebat.paths import targets_dir
from edgebat.runs.recipe import Recipe
from edgebat.tasks.windows import Windows

PARTS = ("train", "val", "test")


def known_ends(windows: Windows) -> Any:
    """[N] windows that know the number of cycles left to an end that is still to come; all False without such a head."""
    for label in windows.end_labels():
        return np.isfinite(label) & (label > 0)
    return np.zeros(len(windows), dtype=np.bool_)


def counted(windows: Windows) -> dict[str, int]:
    """Cells, windows, and those with a known end."""
    return {"cells": len(windows.cells), "windows": len(windows), "rul": int(known_ends(windows).sum())}


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


def corpus_digest(corpus: Path | None, recipe: Recipe) -> str | None:
    """What decides the content of a corpus without reading all of it: tables by hash, curve files by name and size."""
    if corpus is None or recipe.data.source != "corpus":
        return None
    tables = [corpus / "cells.csv", corpus / "capacity.parquet"]
    missing = [path.name for path in tables if not path.is_file()]
    if missing:
        raise DataError(f"{corpus} is not a corpus folder: {', '.join(missing)} is missing")
    curves = [(p.name, p.stat().st_size) for part in ("segments", "qv") for p in sorted((corpus / part).glob("*.npz"))]
    return sha256_bytes(json.dumps([[sha256_file(path) for path in tables], curves]).encode())


def target_digest(name: str) -> str:
    """sha256 of a board's file; empty when there is none."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else targets_dir() / f"{name}.yaml"
    return sha256_file(path) if path.is_file() else ""
