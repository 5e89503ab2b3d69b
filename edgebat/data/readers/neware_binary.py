"""Neware's binary files (nda, ndax) by fastnda."""

from __future__ import annotations

import contextlib
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Table
from edgebat.errors import DataError, require

SUFFIXES = (".nda", ".ndax")


def tables(path: Path, profile: Profile) -> list[Table]:
    """The samples, with the cycle numbers of the file where it has them. Raises DataError."""
    fastnda = require("fastnda", "data")
    notes = _Warnings()
    logger = logging.getLogger("fastnda")
    logger.addHandler(notes)
    try:
        with _own_zlib():
            frame = fastnda.read(path, cycle_mode="raw")
    except Exception as error:
        # A damaged file can raise nearly anything; the reader promises one error type.
        raise DataError(
            f"{path.name} cannot be read as a Neware file: {type(error).__name__}: {error}. Export it from BTSDA as csv "
            "or xlsx"
        ) from None
    finally:
        logger.removeHandler(notes)
    if not len(frame):
        raise DataError(f"{path.name} has no samples")
    columns = [np.asarray(frame[name].cast(str) if str(frame[name].dtype) in ("Categorical", "Enum") else frame[name])
               for name in frame.columns]  # fmt: skip
    return [Table(tuple(frame.columns), Arrays(columns), layout="neware", notes=tuple(notes.texts))]


@contextlib.contextmanager
def _own_zlib() -> Iterator[None]:
    """fastnda puts another library in the place of zlib for the whole process, whose errors nobody else expects."""
    kept = zlib.decompress, zlib.decompressobj
    try:
        yield
    finally:
        zlib.decompress, zlib.decompressobj = kept


class _Warnings(logging.Handler):
    """Keeps what fastnda warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
