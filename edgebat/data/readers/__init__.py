"""Cycler files: Battery Data Format, any CSV with a column map, BatteryML pickles. NumPy only.

Every reader returns ``RawCell`` with charging current positive, and refuses data whose current has the wrong sign. A module
of this folder with ``SUFFIXES`` and ``read`` is used for files of those names; everything else is read as a table.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebat.data.readers.batteryml import read_batteryml
from edgebat.data.readers.bdf import read_bdf, read_mapped
from edgebat.data.readers.csv_map import read_csv_map
from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign

__all__ = [
    "CurrentSign",
    "RawCell",
    "check_sign",
    "read_batteryml",
    "read_bdf",
    "read_cell",
    "read_csv_map",
    "read_mapped",
    "reader_of",
]


def reader_of(path: Path) -> Any:
    """The module that reads files named like ``path``; None for tables."""
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        if path.name.endswith(getattr(module, "SUFFIXES", ())):
            return module
    return None


def read_cell(path: Path, mapping: Sequence[str], sign: CurrentSign | str, nominal_ah: float | None = None) -> RawCell:
    """The cell in a cycler file of any kind; arguments as of ``read_mapped``, and ``mapping`` for tables only.

    Raises DataError.
    """
    if path.suffix == ".parquet":
        from edgebat.data.columns import cell_of_columns, parquet_columns

        return cell_of_columns(parquet_columns(path), mapping, sign, nominal_ah, path.stem)
    reader = reader_of(path)
    if reader is None or mapping:
        return read_mapped(path, mapping, sign, nominal_ah)
    cell: RawCell = reader.read(path, sign)
    return cell
