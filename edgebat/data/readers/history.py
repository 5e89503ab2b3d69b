"""A capacity history as CSV: one row per cycle with its number and its discharge capacity. NumPy only."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64, Int64
from edgebat.errors import DataError

COLUMNS = {"cycle": ("cycle", "Cycle Count / 1", "cycle_number"),
           "capacity": ("capacity_ah", "discharge_capacity_ah", "Discharge Capacity / Ah")}  # fmt: skip


def read_history(path: Path, mapping: Sequence[str] = ()) -> tuple[Int64, Float64]:
    """Cycle numbers int64 [C], ascending, and capacities float64 [C] in Ah; rows without a capacity are passed over.

    mapping: ``"capacity=Q_mAh:1e-3"`` names a column and its factor to Ah. Raises DataError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from None
    header = list(rows[0]) if rows else []
    named = {}
    for entry in mapping:
        quantity, equals, column = entry.partition("=")
        if not equals or quantity.strip() not in COLUMNS:
            raise DataError(f"--map {entry!r}: a history has cycle= and capacity=, for example capacity=Q_mAh:1e-3")
        named[quantity.strip()] = column
    values = {}
    for quantity, names in COLUMNS.items():
        column, _, factor = named.get(quantity, next((n for n in names if n in header), names[0])).partition(":")
        if column not in header:
            raise DataError(f"{path} has no column {column!r} for the {quantity}; it has {header}; name one with --map")
        try:
            numbers = [float(row[column]) if row[column] not in ("", None) else float("nan") for row in rows]
            values[quantity] = np.array(numbers) * float(factor or 1.0)
        except ValueError as error:
            raise DataError(f"{path}: column {column!r} holds something that is no number: {error}") from None
    good = np.isfinite(values["capacity"]) & np.isfinite(values["cycle"])
    cycle, capacity = values["cycle"][good].astype(np.int64), values["capacity"][good]
    if not good.any() or (np.diff(cycle) <= 0).any() or (capacity <= 0).any():
        raise DataError(f"{path}: {int(good.sum())} rows with a capacity; cycles must ascend, capacities be above 0 Ah")
    return cycle, capacity
