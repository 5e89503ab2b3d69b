"""Arrays by name instead of a file: a DataFrame, or a mapping of column to values. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float64, Int64
from edgebat.data.readers.history import COLUMNS as HISTORY
from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign, number_cycles, signed, whole
from edgebat.errors import DataError, require

SAMPLES = {
    "time": ("time_s", "Test Time / s", "test_time_second"),
    "voltage": ("voltage_v", "Voltage / V", "voltage_volt"),
    "current": ("current_a", "Current / A", "current_ampere"),
    "cycle": ("cycle", "Cycle Count / 1", "cycle_count"),
    "temperature": ("temperature_degc", "Temperature T1 / degC", "temperature_t1_celsius"),
}
"""Quantity -> names of its column, in s, V, A and degC."""

Columns = Mapping[str, Any]
"""Column -> values that NumPy takes as a vector; a DataFrame is one."""


def cell_of_columns(
    columns: Columns,
    mapping: Sequence[str],
    sign: CurrentSign | str | None,
    nominal_ah: float | None,
    name: str = "arrays",
) -> RawCell:
    """A cell out of samples [S]: ``time_s``, ``voltage_v``, ``current_a`` and, where known, ``cycle`` and
    ``temperature_degc``, or BDF's names.

    mapping: ``"current=I_mA:1e-3"`` names another column and its factor to s, V, A. sign: what a positive current means;
    None: charging. Without a cycle column a cycle begins where charging follows discharging. Raises DataError for a column
    that is missing or no vector of numbers, and for a current of the wrong sign.
    """
    values = _picked(name, columns, SAMPLES, mapping, optional=("cycle", "temperature"))
    current = signed(values["current"], sign or CurrentSign.POSITIVE_IS_CHARGE)
    cycle = whole(values["cycle"], name) if "cycle" in values else number_cycles(current)
    cell = RawCell(
        name,
        values["time"],
        values["voltage"],
        current,
        cycle,
        nominal_ah,
        name,
        temperature_degc=values.get("temperature"),
    )
    check_sign(cell)
    return cell


def history_of_columns(columns: Columns, mapping: Sequence[str], name: str = "arrays") -> tuple[Int64, Float64]:
    """Cycle numbers int64 [C], ascending, and capacities float64 [C] in Ah, out of ``cycle`` and ``capacity_ah``; rows
    without a capacity are passed over. Raises DataError."""
    values = _picked(name, columns, HISTORY, mapping)
    good = np.isfinite(values["capacity"]) & np.isfinite(values["cycle"])
    cycle, capacity = whole(values["cycle"][good], name), values["capacity"][good]
    if not good.any() or (np.diff(cycle) <= 0).any() or (capacity <= 0).any():
        raise DataError(f"{name}: {int(good.sum())} rows with a capacity; cycles must ascend, capacities be above 0 Ah")
    return cycle, capacity


def _picked(
    name: str,
    columns: Columns,
    known: Mapping[str, Sequence[str]],
    mapping: Sequence[str],
    optional: Sequence[str] = (),
) -> dict[str, Float64]:
    """Quantity -> its values."""
    header = [str(column) for column in columns]
    named = dict[str, str]()
    for entry in mapping:
        quantity, equals, column = entry.partition("=")
        if not equals or quantity.strip() not in known:
            raise DataError(f"columns {entry!r}: give quantity=column:factor with one of {', '.join(known)}")
        named[quantity.strip()] = column
    found = {}
    for quantity, names in known.items():
        there = next((own for own in names if own in header), names[0])
        column, factor = _name_and_factor(named[quantity], header) if quantity in named else (there, 1.0)
        if column not in header and quantity in optional and quantity not in named:
            continue
        if column not in header:
            raise DataError(f"{name} has no column {column!r} for the {quantity}; it has {header}; name one with --map")
        try:
            found[quantity] = np.asarray(columns[column], dtype=np.float64) * factor
        except (TypeError, ValueError) as error:
            raise DataError(f"{name}: column {column!r} is no vector of numbers: {error}") from None
    return found


def _name_and_factor(text: str, header: Sequence[str]) -> tuple[str, float]:
    """``I_mA:1e-3`` as name and factor; a colon may belong to the name."""
    name, colon, factor = text.rpartition(":")
    if text in header or not colon:
        return text, 1.0
    try:
        return name, float(factor)
    except ValueError:
        return text, 1.0


def parquet_columns(path: Path) -> dict[str, Array]:
    """The columns of a parquet file by name. Raises DataError when it is none, MissingExtra without pyarrow."""
    parquet = require("pyarrow.parquet", extra="data")
    try:
        table = parquet.ParquetFile(path).read(use_threads=False)  # who reads many does so in many processes
        return {name: table.column(name).to_numpy() for name in table.column_names}
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise DataError(f"{path} cannot be read as a parquet table: {error}") from None
