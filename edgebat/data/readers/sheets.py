"""Spreadsheets (xlsx, xls, xlsb, ods) by python-calamine: the sheets with voltage and current, continued ones joined."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.decimals import find_decimal
from edgebat.data.readers.names import candidates, layout_of, roles_in
from edgebat.data.readers.nested import flatten, nested_headers
from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Column, Table, texts_to_column
from edgebat.data.readers.text import MAX_BYTES, SNIFFED_LINES, completed, facts_of, units_row
from edgebat.errors import DataError, require

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
HEADER_WITHIN = 300
FIRST_YEAR = 1950
"""No test is older."""
SUMMARY = re.compile(r"stat|cycle|step|summary|info|global|report|log|test$", re.IGNORECASE)
"""Names of sheets with one row per cycle or step; read when no other sheet has samples, or one has their columns."""


@dataclass(frozen=True)
class _Sheet:
    """A sheet with its header found: names, their row, the row above the first sample."""

    title: str
    rows: list[list[Any]]
    names: tuple[str, ...]
    header: int
    last: int
    units: tuple[str, ...]


def tables(path: Path, profile: Profile) -> list[Table]:
    """One table per series of samples. Raises DataError, AmbiguousFile."""
    calamine = require("python_calamine", "data")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_BYTES >> 30} GiB")
        with calamine.CalamineWorkbook.from_path(path) as book:
            titles = [profile.sheet] if profile.sheet else list(book.sheet_names)
            if profile.sheet and profile.sheet not in book.sheet_names:
                raise DataError(f"{path.name} has no sheet {profile.sheet!r}; it has {book.sheet_names}")
            sheets = {title: book.get_sheet_by_name(title).to_python(skip_empty_area=False) for title in titles}
    except DataError:
        raise
    except Exception as error:
        # A damaged workbook can raise nearly anything; the reader promises one error type.
        raise DataError(f"{path.name} cannot be read as a spreadsheet: {type(error).__name__}: {error}") from None
    nested = {title: rows for title, rows in sheets.items() if nested_headers([_texts(row) for row in rows[:4]])}
    if nested:
        flat = {title: flatten([_texts(row) for row in rows]) for title, rows in nested.items()}
        return [replace(table, channel=title if len(flat) > 1 else "") for title, table in flat.items()]
    found = [sheet for title, rows in sheets.items() for sheet in [_with_header(title, rows, profile)] if sheet]
    samples = _of_samples(found)
    if not samples:
        raise AmbiguousFile(
            path, f"no sheet of {', '.join(sheets)} has columns for voltage and current; say --set sheet=NAME --set "
            "header_row=N --set voltage=NAME --set current=NAME"
        )  # fmt: skip
    return _joined(path, samples, profile)


def _of_samples(sheets: Sequence[_Sheet]) -> list[_Sheet]:
    """The sheets with samples: those not named like a summary, else the longest one, and all with columns of one of them."""
    named = [sheet for sheet in sheets if not SUMMARY.search(sheet.title)]
    sure = named or sorted(sheets, key=lambda sheet: len(sheet.rows))[-1:]
    columns = {sheet.names for sheet in sure}
    return [sheet for sheet in sheets if sheet.names in columns]


def _with_header(title: str, rows: list[list[Any]], profile: Profile) -> _Sheet | None:
    texts = [_texts(row) for row in rows[:HEADER_WITHIN]]
    if profile.header_row:
        header = profile.header_row - 1
    else:
        given = tuple(names[0][1:] for names in profile.columns.values() if names and names[0].startswith("'"))
        scores = [
            len(found) if found & {"voltage", "current"} else 0 for row in texts for found in [_roles(row, given)]
        ]
        header = int(np.argmax(scores)) if scores and max(scores) > 1 else -1
    if not 0 <= header < len(texts) or len(rows) <= header + 1:
        return None
    units, last = units_row(texts, header)
    return _Sheet(title, rows, tuple(completed(texts, header)), header, last, units)


def _roles(row: list[str], given: tuple[str, ...]) -> set[str]:
    """Roles in a row; one that a user's names are in counts as having a voltage."""
    found = roles_in(row, given)
    return found | {"voltage", "current"} if any(role.startswith("'") for role in found) else found


def _joined(path: Path, sheets: Sequence[_Sheet], profile: Profile) -> list[Table]:
    """Sheets of the same names whose time goes on are one series; the others are channels."""
    series: list[list[_Sheet]] = []
    for sheet in sheets:
        before = series[-1][-1] if series else None
        if before is not None and before.names == sheet.names and _goes_on(before, sheet, profile):
            series[-1].append(sheet)
        else:
            series.append([sheet])
    return [_table(path, parts, len(series) > 1, profile) for parts in series]


def _goes_on(before: _Sheet, after: _Sheet, profile: Profile) -> bool:
    layout = layout_of(before.names) if profile.name == "generic" else profile
    for role in ("time", "datetime"):
        index = next((i for _, i, _ in sorted(candidates(before.names, layout, role))), None)
        if index is None:
            continue
        first, last = after.rows[after.last + 1][index], before.rows[-1][index]
        if type(first) is type(last) and first != "":
            return bool(first >= last)
    return False


def _table(path: Path, parts: Sequence[_Sheet], several: bool, profile: Profile) -> Table:
    first = parts[0]
    width = len(first.names)
    rows = [row[:width] + [""] * (width - len(row)) for part in parts for row in part.rows[part.last + 1 :]]
    # A workbook has a decimal mark in texts alone, and few numbers are texts.
    texts = [found for row in rows for found in [[cell for cell in row if isinstance(cell, str) and cell]] if found]
    decimal = profile.decimal or find_decimal(texts[:SNIFFED_LINES], path)
    columns = [_column(cells, decimal) for cells in zip(*rows, strict=True)]
    title = f"{first.title} and its continuations" if len(parts) > 1 else first.title
    guesses = (f"sheet {title!r}",) if len(parts) > 1 or several else ()
    facts = facts_of([_texts(row) for row in first.rows[: first.header]])
    return Table(
        first.names, Arrays(columns), first.units, first.title if several else "", facts=facts, guesses=guesses
    )


def _column(cells: Sequence[Any], decimal: str) -> Column:
    if not any(isinstance(cell, str) and cell for cell in cells):
        if any(isinstance(cell, dt.date) for cell in cells) and not any(map(_is_elapsed, cells)):
            stamps = [cell if isinstance(cell, dt.date) else "NaT" for cell in cells]
            return Column(np.array(stamps, dtype="datetime64[us]"))
        if all(isinstance(cell, float | int | str) for cell in cells):
            return Column(np.array([np.nan if cell == "" else cell for cell in cells], dtype=np.float64))
    return texts_to_column([_text(cell, decimal) for cell in cells], decimal)


def _texts(row: Sequence[Any]) -> list[str]:
    return [_text(cell) for cell in row]


def _is_elapsed(cell: Any) -> bool:
    """Whether a cell is a time shown as one of a day, or what later days become then: dates in 1900."""
    return isinstance(cell, dt.time) or (isinstance(cell, dt.date) and cell.year < FIRST_YEAR)


def _text(cell: Any, decimal: str = ".") -> str:
    """A cell as text: durations as H:MM:SS, whole numbers without a point, others with the decimal mark of the texts."""
    if isinstance(cell, dt.date) and _is_elapsed(cell):
        day = dt.datetime.combine(cell, cell.time() if isinstance(cell, dt.datetime) else dt.time())
        # Spreadsheets know a 29 February 1900.
        cell = day - dt.datetime(1899, 12, 31 if day < dt.datetime(1900, 3, 1) else 30)
    if isinstance(cell, dt.timedelta):
        seconds = cell.total_seconds()
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{seconds % 60:09.6f}"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).replace(".", decimal) if isinstance(cell, float) else str(cell).strip()
