"""One column of a table for each role, in SI units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.clock import to_wall_clock
from edgebat.data.readers.names import BASE, UNITS, candidates, scaled_unit, to_si, unit_key
from edgebat.data.readers.profiles import HALVES, MEASURED, PARTS, ROLES, Profile
from edgebat.data.readers.table import Column, Table, column_texts, finite_numbers, to_number
from edgebat.errors import DataError

MUST = ("time", "voltage", "current", *HALVES, "step_time")
"""Roles whose unit has to be known."""


@dataclass(frozen=True)
class Unit:
    """Name of a unit as in UNITS, "hms" or "*factor"; "" where nobody states it. by_user: stated with --set or --map."""

    name: str
    by_user: bool = False


@dataclass
class Remarks:
    """What is to be said about a series: guesses, what was left out, and questions that stop it."""

    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


@dataclass
class Chosen:
    """Which column has which role: role -> (index, unit its name states)."""

    path: Path
    table: Table
    profile: Profile
    roles: dict[str, tuple[int, str]]
    guesses: list[str]
    notes: list[str]
    half: str = ""
    """Role that the only column of a current has by its name, where that is one direction of it."""
    loaded: dict[int, Column] = field(default_factory=dict)

    def load(self, also: Sequence[int] = ()) -> None:
        """Read the columns."""
        self.loaded = self.table.source.load(sorted({*also, *(index for index, _ in self.roles.values())}))
        self.notes += self.table.source.notes
        for index, column in sorted(self.loaded.items()):
            if column.text:
                name = self.table.names[index]
                if column.example != name and column.example in self.table.names:
                    raise DataError(
                        f"{self.path.name}: below {name!r} the name {column.example!r} comes again: the order of the "
                        "columns changes within the file; split it there"
                    )
                self.notes.append(f"column {name!r}: {column.text} values are text, first {column.example!r}")

    def name(self, role: str) -> str:
        """Its column's name."""
        return self.table.names[self.roles[self._role(role)][0]]

    def _role(self, role: str) -> str:
        """The role itself; the first half of a current that stands in two columns."""
        return HALVES[0] if role == "current" and "current" not in self.roles else role

    def unit(self, role: str) -> Unit:
        """The unit of a role: what the user says, else the name, else the row of units, else the profile."""
        role = self._role(role)
        text = self.profile.stated.get(role) or self.profile.stated.get(PARTS.get(role, ""), "")
        if text:
            key = text if text.startswith("*") else unit_key(text)
            if not text.startswith("*") and key not in UNITS[role] and key != "hms":
                raise DataError(f"{role}_unit={text}: allowed are {', '.join(UNITS[role])}")
            return Unit(key, True)
        index, named = self.roles.get(role, (-1, ""))
        if scaled := scaled_unit(self.table.names[index], role) if index >= 0 else "":
            if role not in MUST:
                return Unit("")
            raise AmbiguousFile(
                self.path,
                f"column {self.table.names[index]!r} counts in {scaled}: say its factor to {BASE[role]}, such as "
                f"--set '{role}={self.table.names[index]}:0.01'",
            )
        below = unit_key(self.table.units[index]) if 0 <= index < len(self.table.units) else ""
        behind = unit_key(self.loaded[index].unit) if index in self.loaded else ""
        known = [UNITS[role].get(key) for key in (named, below, behind) if key in UNITS[role]]
        if behind and len(set(known)) > 1:
            raise AmbiguousFile(
                self.path,
                f"column {self.table.names[index]!r} has values in {self.loaded[index].unit}; say --set {role}_unit=",
            )
        key = next((key for key in (named, below, behind, unit_key(self.profile.units.get(role, ""))) if key), "")
        return Unit(key if key in UNITS[role] or key == "hms" else "")

    def columns(self, *roles: str) -> dict[str, Column]:
        """The columns of those roles that the table has."""
        return {role: self.loaded[self.roles[role][0]] for role in roles if role in self.roles}

    def numbers(self, role: str) -> Float64:
        """Values as they stand in the file [S], NaN for what is no number."""
        return finite_numbers(self.loaded[self.roles[role][0]])

    def texts(self, role: str) -> list[str]:
        """Values as text [S]."""
        return column_texts(self.loaded[self.roles[role][0]])

    def measured(self, role: str) -> Float64:
        """Values in SI units [S]; where no unit is stated, as if it were the SI unit."""
        values = self.numbers(role)
        factor, offset = to_si(role, self.unit(role).name or unit_key(BASE[role]))
        return values if factor == 1.0 and not offset else values * factor + offset

    def optional(self, role: str) -> Float64 | None:
        """The same, None for a role the table does not have or whose column has no number."""
        values = self.measured(role) if role in self.roles else None
        return values if values is not None and np.isfinite(values).any() else None

    def nominal_ah(self) -> float | None:
        """What the user or a line above the header states."""
        if self.profile.nominal_ah > 0:
            return self.profile.nominal_ah
        for key in self.profile.facts.get("nominal_ah", ()):
            value, _, unit = self.table.facts.get(key, "").strip().partition(" ")
            number = to_number(value, "," if "," in value else ".")
            if number and number > 0:
                return number * UNITS["charge_ah"].get(unit_key(unit), 1.0)
        return None

    def stated_start(self) -> datetime | None:
        """The start that a line above the header states."""
        for key in self.profile.facts.get("start", ()):
            clock = to_wall_clock([self.table.facts.get(key, "")], self.profile.dates)
            if clock is not None and not clock.question and not np.isnat(clock.stamps[0]):
                stamp: datetime = clock.stamps[0].item()
                return stamp
        return None


def choose(path: Path, table: Table, profile: Profile, wide: bool) -> Chosen:
    """The best column for each role. wide: voltages of several cells stand in columns of their own.

    Raises AmbiguousFile where none or several may be the voltage, the current or the time.
    """
    names, roles, taken, questions = table.names, dict[str, tuple[int, str]](), set[int](), list[str]()
    guesses = [f"layout {profile.name}", *table.guesses]
    first = ("voltage", "current", "time")
    for role in (*first, *(role for role in ROLES if role not in first)):
        # What is in a column of times decides later whether it is elapsed time or the clock.
        times = {roles[other][0] for other in ("time", "datetime", "date", "clock") if other in roles}
        if (role in HALVES and "current" in roles) or (role == "step_time" and times):
            continue
        busy = taken - times if role in ("datetime", "date", "clock") else taken
        found = sorted(entry for entry in candidates(names, profile, role) if entry[1] not in busy)
        best = [entry for entry in found if entry[0] == found[0][0]]
        if not best or (role == "voltage" and wide and (len(best) > 1 or profile.name == "generic")):
            continue
        if len(best) > 1 and role in (*first, *HALVES):
            listed = ", ".join(repr(names[index]) for _, index, _ in best)
            questions.append(
                f"{len(best)} columns may be the {role}: {listed}; say --set {role}=NAME (NAME#2 is the second of one name)"
            )
            continue
        _, index, unit = best[0]
        roles[role] = index, unit
        again = index in taken
        taken.add(index)
        others = [names[other] for _, other, _ in found[1:] if other not in taken]
        also = f" (not {', '.join(map(repr, others[:3]))})" if others and role in MEASURED else ""
        if (profile.name == "generic" or also) and not again:
            guesses.append(f"column {names[index]!r} is the {role.replace('_', ' ')}{also}")
    halves = [half for half in HALVES if half in roles]
    if len(halves) == 1:
        roles["current"] = roles.pop(halves[0])
    missing = [role for role in ("voltage", "current") if role not in roles and not (wide and role == "voltage")]
    if "current" in missing and set(HALVES) <= set(roles):
        missing.remove("current")
    if missing and not questions:
        questions.append(
            f"{_absent(profile, missing)}; the columns are {', '.join(filter(None, names))}; "
            f"say --set {missing[0]}=NAME"
        )
    if questions:
        raise AmbiguousFile(path, *questions)
    half = halves[0] if len(halves) == 1 else ""
    return Chosen(path, table, profile, roles, guesses, list(table.notes), half)


def _absent(profile: Profile, roles: Sequence[str]) -> str:
    """Which columns there are not: by the names that the user gave them, or at all."""
    named = {role: name[1:] for role in roles for name in profile.columns.get(role, ()) if name.startswith("'")}
    if named:
        return " and ".join(f"there is no column {name!r} for the {role}" for role, name in named.items())
    return f"no column is the {' or the '.join(roles)} by its name"
