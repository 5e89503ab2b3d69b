"""Which module of this folder reads a file: by its name's ending, and else as text.

A module with ``SUFFIXES`` and ``tables(path, profile)`` is used for files of those names.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Table
from edgebat.data.readers.text import read_text
from edgebat.errors import DataError

PACKAGE = "edgebat.data.readers"


def reader_of(path: Path) -> Any:
    """The module that reads files named like ``path``; None for text."""
    for entry in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__):
        module = importlib.import_module(f"{PACKAGE}.{entry.name}")
        if path.name.lower().endswith(getattr(module, "SUFFIXES", ())):
            return module
    return None


def read_tables(path: Path, profile: Profile, named: tuple[str, ...] = ()) -> list[Table]:
    """The tables in a file of any kind. named: column names the user has given. Raises DataError, AmbiguousFile."""
    if not path.is_file():
        raise DataError(f"{path} cannot be opened: {'it is a folder' if path.is_dir() else 'no such file'}")
    module = reader_of(path)
    found: list[Table] = module.tables(path, profile) if module else [read_text(path, profile, named)]
    return found
