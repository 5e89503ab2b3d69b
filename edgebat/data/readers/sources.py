"""Which module of this folder reads a file: by its name's ending, and by its first bytes where those say otherwise.

A module with ``SUFFIXES`` and ``tables(path, profile)`` is used for files of those names; one with ``MAGIC`` for files that
begin so, whatever their name. Everything else is text.
"""

from __future__ import annotations

import importlib
import pkgutil
import zipfile
from pathlib import Path
from typing import Any

from edgebat.data.readers.long_table import pivoted
from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Table
from edgebat.data.readers.text import read_text
from edgebat.errors import DataError

PACKAGE = "edgebat.data.readers"


def reader_of(path: Path) -> Any:
    """The module that reads ``path``; None for text."""
    found = importlib.import_module(PACKAGE).__path__
    modules = [importlib.import_module(f"{PACKAGE}.{entry.name}") for entry in pkgutil.iter_modules(found)]
    named = next((m for m in modules if path.name.lower().endswith(getattr(m, "SUFFIXES", ()))), None)
    magic = tuple(getattr(named, "MAGIC", ()))
    head = _head(path)
    if named is not None and (not magic or not head or head.startswith(magic)):
        return named
    # A text that is called .xls, or a workbook that is called .csv.
    return next((m for m in modules if head and head.startswith(tuple(getattr(m, "MAGIC", ())))), None)


def _head(path: Path) -> bytes:
    """The first bytes; none of an archive that is no workbook."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
        if head.startswith(b"PK") and not any(
            name.startswith(("xl/", "content.xml")) for name in zipfile.ZipFile(path).namelist()
        ):
            return b""
    except (OSError, zipfile.BadZipFile):
        return b""
    return head


def read_tables(path: Path, profile: Profile, named: tuple[str, ...] = ()) -> list[Table]:
    """The tables in a file of any kind. named: column names the user has given. Raises DataError, AmbiguousFile."""
    if not path.is_file():
        raise DataError(f"{path} cannot be opened: {'it is a folder' if path.is_dir() else 'no such file'}")
    module = reader_of(path)
    found: list[Table] = module.tables(path, profile) if module else [read_text(path, profile, named)]
    return [pivoted(path, table, profile) for table in found]
