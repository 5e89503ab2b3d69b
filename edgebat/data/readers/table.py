"""What every file becomes first: named columns of numbers, text or wall-clock times. NumPy only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.data.readers.names import BASE, UNITS, unit_key

NO_VALUE = frozenset(
    ("", "-", "--", "na", "n/a", "#n/a", "nan", "none", "null", "nil", "unknown", "unavailable", "undefined", "#value!")
)
"""Texts that stand for a missing value, in lower case."""


@dataclass(frozen=True)
class Column:
    """Values [S]: float64 (NaN is missing), datetime64[us] (NaT is missing) or text.

    text: how many values of a column of numbers were text, with the first of them. unit: what stands behind every value.
    """

    values: Array
    text: int = 0
    example: str = ""
    unit: str = ""


class Source(Protocol):
    """Columns that are read when they are wanted; ``notes`` are complete after that."""

    notes: list[str]

    def load(self, wanted: Sequence[int]) -> dict[int, Column]:
        """The columns of these indices; all of one length."""


@dataclass(frozen=True)
class Table:
    """One series of samples before anything is known of it but names.

    units: of a row below the names, may be empty. channel: name of the series where a file has several. layout: name of the
    profile, where the kind of file decides it. facts: what stands above the names, by lower-case key. guesses, notes: as in
    ``Records``.
    """

    names: tuple[str, ...]
    source: Source
    units: tuple[str, ...] = ()
    channel: str = ""
    layout: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Arrays:
    """A Source of what is in memory already."""

    columns: Sequence[Array | Column]
    notes: list[str] = field(default_factory=list)

    def load(self, wanted: Sequence[int]) -> dict[int, Column]:
        """See Source."""
        found = {index: self.columns[index] for index in wanted}
        return {index: part if isinstance(part, Column) else column_of(part) for index, part in found.items()}


def column_of(values: Array) -> Column:
    """A column of whatever NumPy array, or of Python objects (text, numbers, times) as spreadsheets give them."""
    if values.dtype.kind in "biuf":
        return Column(values.astype(np.float64))
    if values.dtype.kind == "M":
        return Column(values.astype("datetime64[us]"))
    return texts_to_column([_as_text(value) for value in values.tolist()])


def texts_to_column(texts: list[str], decimal: str = ".") -> Column:
    """Numbers where at least half of the values that are there are numbers; text otherwise."""
    # NumPy knows points alone: with a decimal comma they group thousands.
    if decimal == "." or not any("." in text for text in texts):
        try:
            return Column(np.array(texts, dtype=np.float64))
        except ValueError:
            pass
    values = np.full(len(texts), np.nan)
    present = text = 0
    example = ""
    plain = decimal == "."
    for at, entry in enumerate(texts):
        try:
            number = float(entry) if plain and "_" not in entry else to_number(entry, decimal)
        except ValueError:
            number = to_number(entry, decimal)
        if number is not None:
            values[at] = number
            present += 1
        elif entry.strip().lower() not in NO_VALUE:
            text += 1
            example = example or entry.strip()
    if text > present:
        return _with_units(texts, decimal) or Column(np.array(texts, dtype=np.str_))
    return Column(values, text, example)


_WITH_UNIT = re.compile(r"\s*([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*(°?[A-Za-z]{1,3})\s*")


def _with_units(texts: list[str], decimal: str) -> Column | None:
    """A column of "3.51 V"; None when not all values that are there have a unit, the same or one of the same quantity."""
    matched = [_WITH_UNIT.fullmatch(text) for text in texts]
    units = {match[2] for match in matched if match}
    bare = sum(
        match is None and text.strip().lower() not in NO_VALUE for match, text in zip(matched, texts, strict=True)
    )
    if not units or bare > len(texts) / 20:
        return None
    factors, unit = {next(iter(units)): 1.0}, next(iter(units))
    if len(units) > 1:  # an instrument that changes its range: 1.75 A and 850 mA
        role = next((role for role in BASE if {unit_key(text) for text in units} <= UNITS[role].keys()), "")
        if not role or role == "temperature":
            return None
        factors, unit = {text: UNITS[role][unit_key(text)] for text in units}, BASE[role]
    numbers = [(to_number(match[1], decimal), factors[match[2]]) if match else (None, 1.0) for match in matched]
    values = np.array([np.nan if number is None else number * factor for number, factor in numbers])
    return Column(values, bare, unit=unit)


_SPACED = re.compile(r"(?<=\d)[ '\u00a0\u202f\u2019](?=\d{3}(\D|$))")
_GROUPED = {".": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"), ",": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?$")}


def to_number(text: str, decimal: str = ".") -> float | None:
    """A number with its decimal mark, possibly with thousands marked by the other one, by spaces or by apostrophes.

    None for text and for no value.
    """
    text = _SPACED.sub("", text.strip().replace("\u2212", "-"))
    thousands = "," if decimal == "." else "."
    if thousands in text:
        if not _GROUPED[decimal].match(text):
            return None
        text = text.replace(thousands, "")
    if "_" in text:  # Python's own, and nobody else's
        return None
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return None


def column_texts(column: Column) -> list[str]:
    """Values as text: whole numbers without a point, missing ones empty."""
    if column.values.dtype.kind == "f":
        return ["" if value != value else _as_text(value) for value in column.values.tolist()]
    return [str(value) for value in column.values.tolist()]


def finite_numbers(column: Column) -> Float64:
    """Values as float64 with NaN for what is none: an infinite value is no measurement."""
    values = column.values if column.values.dtype.kind == "f" else np.full(column.values.shape, np.nan)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
