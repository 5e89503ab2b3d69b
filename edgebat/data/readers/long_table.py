"""Logs with one quantity per row (name, value, time), as home automation writes them, to one column per quantity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.clock import from_numbers, from_stamps, to_wall_clock
from edgebat.data.readers.names import LONG_NAMES, LONG_VALUES, candidates, layout_of, matches, squeeze, synonyms_of
from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Column, Table, column_texts, finite_numbers
from edgebat.errors import DataError

QUANTITIES = ("voltage", "current", "temperature")


def pivoted(path: Path, table: Table, profile: Profile) -> Table:
    """The table with a column per quantity; one that has such columns already is handed back.

    A value holds until the next row of its name: one that says "unavailable" ends it. Raises AmbiguousFile, DataError.
    """
    layout = layout_of(table.names)
    name_at = next((i for i, name in enumerate(table.names) if squeeze(name) in LONG_NAMES), None)
    value_at = next((i for i, name in enumerate(table.names) if squeeze(name) in LONG_VALUES), None)
    voltage = any(True for _ in candidates(table.names, layout, "voltage"))
    if name_at is None or value_at is None or voltage or layout.name != "generic":
        return table
    time_at = next((i for _, i, _ in sorted(candidates(table.names, layout, "datetime"))), None)
    if time_at is None:
        raise AmbiguousFile(path, f"no column is the time by its name; the columns are {', '.join(table.names)}")
    loaded = table.source.load([name_at, value_at, time_at])
    names = np.array(column_texts(loaded[name_at]), dtype=np.str_)
    seconds, stamps = _clock(path, loaded[time_at], profile)
    chosen = _quantities(path, sorted(set(names.tolist())), profile)
    values = finite_numbers(loaded[value_at])
    series = {}
    for role, name in chosen.items():
        rows = np.flatnonzero((names == name) & np.isfinite(seconds))
        # At one time a number counts, not that there is none.
        series[role] = rows[np.lexsort((np.isfinite(values[rows]), seconds[rows]))]
    union = np.unique(np.concatenate([series[role] for role in ("voltage", "current")]))
    union = union[np.argsort(seconds[union], kind="stable")]
    _, last = np.unique(seconds[union][::-1], return_index=True)
    at = union[union.size - 1 - last]
    columns: list[np.ndarray] = [stamps[at]]
    for role in chosen:
        row = np.searchsorted(seconds[series[role]], seconds[at], side="right") - 1
        columns.append(np.where(row >= 0, values[series[role]][row], np.nan))
    words = ", ".join(f"{name!r} is the {role}" for role, name in chosen.items())
    return Table(
        ("datetime", *(name if matches(name, synonyms_of(profile, role), role) else role for role, name in chosen.items())),
        Arrays(columns), guesses=(*table.guesses, f"one quantity per row: {words}", "a value holds until the next one"),
        notes=(*table.notes, *table.source.notes),
    )  # fmt: skip


def _clock(path: Path, column: Column, profile: Profile) -> tuple[Float64, np.ndarray]:
    if column.values.dtype.kind == "M":
        clock = from_stamps(column.values)
    elif column.values.dtype.kind == "f":
        clock = from_numbers(column.values) or from_stamps(np.full(column.values.shape, "NaT", dtype="datetime64[us]"))
    else:
        clock = to_wall_clock(column_texts(column), profile.dates) or from_stamps(np.array([], dtype="datetime64[us]"))
    if not np.isfinite(clock.seconds).any():
        raise DataError(f"{path.name}: the time cannot be read as dates and times")
    if clock.question:
        raise AmbiguousFile(path, clock.question)
    return clock.seconds, clock.stamps


def _quantities(path: Path, names: Sequence[str], profile: Profile) -> dict[str, str]:
    """Role -> the name that stands for it."""
    chosen = {}
    for role in QUANTITIES:
        synonyms = synonyms_of(profile, role)
        found = [name for name in names if _is(name, synonyms, role)]
        if len(found) > 1 and role != "temperature":
            raise AmbiguousFile(
                path, f"{len(found)} names may be the {role}: {', '.join(found)}; say --set {role}=NAME"
            )
        if not found and role != "temperature":
            raise AmbiguousFile(
                path, f"no name is the {role}; the names are {', '.join(names[:20])}; say --set {role}=NAME"
            )
        if found:
            chosen[role] = found[0]
    return chosen


def _is(name: str, synonyms: Sequence[str], role: str) -> bool:
    """Whether a name or its last words are a synonym: "sensor.bms_pack_voltage" is a voltage."""
    if synonyms[0].startswith("'"):
        return name == synonyms[0][1:]
    words = name.replace(".", "_").replace("/", "_").replace(" ", "_").split("_")
    return any(
        matches("_".join(words[-count:]), synonyms, role) is not None for count in (3, 2, 1) if count <= len(words)
    )
