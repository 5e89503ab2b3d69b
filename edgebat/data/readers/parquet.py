"""Parquet files, those of the Battery Data Format among them, by pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Column, Table, column_of
from edgebat.errors import DataError, require

SUFFIXES = (".parquet", ".pq")
MAGIC = (b"PAR1",)


def tables(path: Path, profile: Profile) -> list[Table]:
    """The one table of the file; columns are read when they are wanted. Raises DataError."""
    parquet = require("pyarrow.parquet", "data")
    try:
        names = tuple(parquet.read_schema(path).names)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as parquet: {error}") from None
    return [Table(names, _Parquet(path, names, parquet))]


class _Parquet:
    """A Source."""

    def __init__(self, path: Path, names: tuple[str, ...], parquet: Any) -> None:
        self.path, self.names, self.parquet = path, names, parquet
        self.notes: list[str] = []

    def load(self, wanted: Sequence[int]) -> dict[int, Column]:
        """See Source."""
        try:
            table = self.parquet.read_table(self.path, columns=[self.names[index] for index in wanted])
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path.name} cannot be read as parquet: {error}") from None
        return {index: self._column(table.column(self.names[index])) for index in wanted}

    def _column(self, values: Any) -> Column:
        if str(values.type).startswith("timestamp"):
            # Of a zone: what its clock shows.
            return column_of(np.asarray(values.cast("timestamp[us]").to_numpy(), dtype="datetime64[us]"))
        array = values.to_numpy()
        return column_of(array if array.dtype.kind in "biuf" else np.array(values.to_pylist(), dtype=object))
