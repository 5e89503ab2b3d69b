"""Early-life discharge curves of a corpus folder: ``qv/*.npz`` beside ``cells.csv`` and ``capacity.parquet``.

A file holds ``cell_id`` and either ``q_ah`` [cell, cycle, voltage] (Ah discharged down to each voltage) or ``dq_ah``
(the same minus a base cycle), with ``cycles`` and ``outlier`` where they are known. The dataset's name is the file's
name up to ``_dq``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from edgebat.cells import LifeCell
from edgebat.data.charge_protocol import charge_rate_c
from edgebat.data.corpus import read_arrays
from edgebat.data.fleet import CELL_DEFAULTS
from edgebat.errors import DataError

CELL_COLUMNS = ["dataset", "cell_id", "chemistry", "nominal_capacity_ah", "published_cycle_life", "split"]
OPTIONAL_COLUMNS = ["charge_protocol"]
CYCLE_COLUMNS = ["dataset", "cell_id", "cycle", "discharge_capacity_ah", "rel_capacity", "outlier"]


def life_cells(corpus: str | Path, datasets: Iterable[str] | None = None) -> list[LifeCell]:
    """Every cell of the corpus that has early-life discharge curves, sorted by key. Raises DataError when there is none.

    ``cells.csv`` and ``capacity.parquet`` say what the corpus is: curves of a cell that either lacks are passed over, so
    that a part of a corpus is made by shortening the tables.
    Where a source gives capacities only relative to the first (SNL, UL_PUR, HNEI), the nominal capacity stands for it.
    """
    corpus = Path(corpus)
    wanted = None if datasets is None else set(datasets)
    paths = [p for p in sorted((corpus / "qv").glob("*.npz")) if wanted is None or _dataset(p) in wanted]
    if not paths:
        raise DataError(f"{corpus / 'qv'} holds no discharge curves{f' of {sorted(wanted)}' if wanted else ''}")
    cells, cycles = _tables(corpus)
    found = [cell for path in paths for cell in _cells_of(path, cells, cycles)]
    if not found:
        names = ", ".join(path.name for path in paths)
        raise DataError(f"{corpus / 'qv'}: {names} hold curves of no cell that cells.csv and capacity.parquet list")
    return sorted(found, key=lambda cell: cell.key)


def _cells_of(path: Path, cells: pd.DataFrame, cycles: dict[Any, pd.DataFrame]) -> list[LifeCell]:
    arrays = read_arrays(path, "discharge curves")
    differences = "dq_ah" in arrays
    name = "dq_ah" if differences else "q_ah"
    if name not in arrays or "cell_id" not in arrays:
        raise DataError(f"{path} holds {sorted(arrays)}; 'cell_id' and 'q_ah' or 'dq_ah' are needed")
    curves = arrays[name].astype(np.float32)
    ids = [str(cell) for cell in arrays["cell_id"]]
    cycle = arrays.get("cycles", np.arange(1, curves.shape[1] + 1)).astype(np.int64)
    if curves.ndim != 3 or curves.shape[:2] != (len(ids), cycle.size):
        raise DataError(f"{path}: {name} has shape {curves.shape} for {len(ids)} cells and {cycle.size} cycles")
    if "outlier" in arrays:
        curves[arrays["outlier"].astype(bool)] = np.nan
    dataset = _dataset(path)
    found = []
    for cell_id, matrix in zip(ids, curves, strict=True):
        key = (dataset, cell_id)
        if key not in cells.index or key not in cycles:
            continue
        row, table = cells.loc[key], cycles[key]
        nominal = float(row["nominal_capacity_ah"])
        capacity = table["discharge_capacity_ah"].to_numpy(np.float64)
        capacity = np.where(np.isnan(capacity), table["rel_capacity"].to_numpy(np.float64) * nominal, capacity)
        found.append(
            LifeCell(
                key=key,
                chemistry=str(CELL_DEFAULTS["chemistry"] if pd.isna(row["chemistry"]) else row["chemistry"]),
                split="" if pd.isna(row["split"]) else str(row["split"]),
                nominal_ah=nominal,
                cycle=table["cycle"].to_numpy(np.int64),
                capacity_ah=capacity,
                flagged=table["outlier"].to_numpy(np.bool_),
                curve_cycle=cycle,
                curves_ah=matrix,
                differences=differences,
                published_life=float(row["published_cycle_life"]),
                charge_rate_c=charge_rate_c(row.get("charge_protocol")),
            )
        )
    return found


def _tables(corpus: Path) -> tuple[pd.DataFrame, dict[Any, pd.DataFrame]]:
    """``cells.csv`` by key, and the rows of ``capacity.parquet`` per key in the order of their cycles."""
    try:
        cells = pd.read_csv(corpus / "cells.csv", dtype={"dataset": str, "cell_id": str, "split": str})
        cells = cells[CELL_COLUMNS + [name for name in OPTIONAL_COLUMNS if name in cells]]
        cycles = pd.read_parquet(corpus / "capacity.parquet", columns=CYCLE_COLUMNS)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{corpus} is not a corpus folder: {error}") from None
    groups = cycles.sort_values("cycle", kind="stable").groupby(["dataset", "cell_id"], observed=True)
    return cells.set_index(["dataset", "cell_id"]), dict(iter(groups))


def _dataset(path: Path) -> str:
    return path.stem.split("_dq")[0]
