"""A capacity history as text: one row per cycle with its number and its discharge capacity. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64, Int64
from edgebat.data.readers.profiles import shipped
from edgebat.data.readers.table import finite_numbers, to_number
from edgebat.data.readers.text import read_text
from edgebat.errors import DataError

COLUMNS = {"cycle": ("cycle", "Cycle Count / 1", "cycle_number"),
           "capacity": ("capacity_ah", "discharge_capacity_ah", "Discharge Capacity / Ah")}  # fmt: skip


def read_history(path: Path, mapping: Sequence[str] = ()) -> tuple[Int64, Float64]:
    """Cycle numbers int64 [C], ascending, and capacities float64 [C] in Ah; rows without a capacity are passed over.

    mapping: ``"capacity=Q_mAh:1e-3"`` names a column and its factor to Ah. Raises DataError.
    """
    named = {}
    for entry in mapping:
        quantity, equals, column = entry.partition("=")
        if not equals or quantity.strip() not in COLUMNS:
            raise DataError(f"--map {entry!r}: a history has cycle= and capacity=, for example capacity=Q_mAh:1e-3")
        named[quantity.strip()] = column.partition(":")[::2]
    known = tuple(name for names in COLUMNS.values() for name in names) + tuple(name for name, _ in named.values())
    try:
        table = read_text(path, shipped()["generic"], known)
    except DataError as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from None
    header = list(table.names)
    chosen: dict[str, tuple[int, float]] = {}
    for quantity, names in COLUMNS.items():
        column, factor = named.get(quantity, (next((n for n in names if n in header), names[0]), ""))
        if column not in header:
            raise DataError(f"{path} has no column {column!r} for the {quantity}; it has {header}; name one with --map")
        if factor and to_number(factor) is None:
            raise DataError(f"{path}: factor {factor!r} of the {quantity} holds something that is no number")
        chosen[quantity] = header.index(column), float(factor or 1.0)
    loaded = table.source.load([index for index, _ in chosen.values()])
    values = dict[str, Float64]()
    for quantity, (index, scale) in chosen.items():
        if loaded[index].values.dtype.kind != "f" or loaded[index].text:
            example = loaded[index].example or str(loaded[index].values[0])
            raise DataError(f"{path}: column {header[index]!r} holds something that is no number: {example!r}")
        values[quantity] = finite_numbers(loaded[index]) * scale
    good = np.isfinite(values["capacity"]) & np.isfinite(values["cycle"])
    cycle, capacity = values["cycle"][good].astype(np.int64), values["capacity"][good]
    if not good.any() or (np.diff(cycle) <= 0).any() or (capacity <= 0).any():
        raise DataError(f"{path}: {int(good.sum())} rows with a capacity; cycles must ascend, capacities be above 0 Ah")
    return cycle, capacity
