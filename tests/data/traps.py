"""Traps that any text file can hold; each writes the same samples, and returns the path of what it wrote."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.data.layouts import Sheet


def text_of(sheet: Sheet, decimal: str = ".", end: str = "\n") -> str:
    def line(values: list[str]) -> str:
        return sheet.delimiter.join(_with_decimal(value, decimal) for value in values)

    return end.join([*sheet.preamble, sheet.delimiter.join(sheet.names), *map(line, sheet.rows)]) + end


def _with_decimal(text: str, decimal: str) -> str:
    try:
        float(text)
    except ValueError:
        return text
    return text.replace(".", decimal)


def _plain(sheet: Sheet, path: Path) -> Path:
    path.write_text(text_of(sheet), "utf-8")
    return path


def _recoded(encoding: str, end: str = "\n") -> Callable[[Sheet, Path], Path]:
    def write(sheet: Sheet, path: Path) -> Path:
        path.write_bytes(text_of(sheet, end=end).encode(encoding, "replace"))
        return path

    return write


def _semicolons(sheet: Sheet, path: Path) -> Path:
    preamble = [line.replace(sheet.delimiter, ";") for line in sheet.preamble]
    return _plain(replace(sheet, delimiter=";", preamble=preamble), path)


def _decimal_comma(sheet: Sheet, path: Path) -> Path:
    sheet = replace(sheet, delimiter=";" if sheet.delimiter == "," else sheet.delimiter)
    path.write_text(text_of(sheet, ","), "utf-8")
    return path


def _tabs(sheet: Sheet, path: Path) -> Path:
    # Arbin puts a tab of its own before its dates.
    rows = [[value.strip() for value in row] for row in sheet.rows]
    return _plain(replace(sheet, delimiter="\t", rows=rows), path)


def _quoted(sheet: Sheet, path: Path) -> Path:
    quoted = [[f'"{value}"' for value in row] for row in sheet.rows]
    return _plain(replace(sheet, names=[f'"{name}"' for name in sheet.names], rows=quoted), path)


def _half_last_line(sheet: Sheet, path: Path) -> Path:
    extra = sheet.rows[-1][: len(sheet.rows[-1]) // 2]
    path.write_text(text_of(sheet) + sheet.delimiter.join(extra), "utf-8")
    return path


def _nul_tail(sheet: Sheet, path: Path) -> Path:
    path.write_bytes(text_of(sheet).encode() + b"\0" * 512)
    return path


def _blank_lines(sheet: Sheet, path: Path) -> Path:
    blank = [""] * len(sheet.names)
    return _plain(replace(sheet, rows=[*sheet.rows[:9], [""], blank, *sheet.rows[9:], blank]), path)


def _names_again(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, rows=[*sheet.rows[:40], sheet.names, *sheet.rows[40:]]), path)


def _empty_columns(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, names=[*sheet.names, "", ""], rows=[[*row, "", ""] for row in sheet.rows]), path)


def _trailing_delimiter(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, rows=[[*row, ""] for row in sheet.rows]), path)


def _longer_preamble(sheet: Sheet, path: Path) -> Path:
    return _plain(
        replace(sheet, preamble=["Exported by X", "Operator: Y", "Limits: 4.2 V, 5 A", "", *sheet.preamble]), path
    )


def _gzipped(sheet: Sheet, path: Path) -> Path:
    path = path.with_name(path.name + ".gz")
    path.write_bytes(gzip.compress(text_of(sheet).encode()))
    return path


def _zipped(sheet: Sheet, path: Path) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export.csv", text_of(sheet))
    return path


def _named_xls(sheet: Sheet, path: Path) -> Path:
    return _plain(sheet, path.with_suffix(".xls"))


TRAPS: dict[str, Callable[[Sheet, Path], Path]] = {
    "plain": _plain,
    "byte order mark": _recoded("utf-8-sig"),
    "utf-16": _recoded("utf-16"),
    "utf-16 without mark": _recoded("utf-16-le"),
    "latin-1": _recoded("latin-1"),
    "windows lines": _recoded("utf-8", "\r\n"),
    "old mac lines": _recoded("utf-8", "\r"),
    "semicolons": _semicolons,
    "decimal comma": _decimal_comma,
    "tabs": _tabs,
    "quotes": _quoted,
    "half a last line": _half_last_line,
    "nul bytes at the end": _nul_tail,
    "blank lines": _blank_lines,
    "names again": _names_again,
    "empty columns": _empty_columns,
    "trailing delimiter": _trailing_delimiter,
    "longer preamble": _longer_preamble,
    "gzip": _gzipped,
    "zip": _zipped,
    "text called xls": _named_xls,
}


def as_workbook(sheet: Sheet, path: Path, first: str = "record", **more: Sheet) -> Path:
    """The sheet in an .xlsx, numbers as numbers; further sheets by name."""
    import xlsxwriter

    with xlsxwriter.Workbook(path) as book:
        for title, part in {first: sheet, **more}.items():
            page = book.add_worksheet(title)
            lines = [[cell] for cell in part.preamble] + [part.names] + part.rows
            for at, row in enumerate(lines):
                for column, value in enumerate(row):
                    try:
                        page.write_number(at, column, float(value))
                    except ValueError:
                        page.write_string(at, column, value)
    return path
