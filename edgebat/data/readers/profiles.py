"""Layouts: what a cycler's export calls its columns, in which units, and what its signs and step names mean.

A profile is a YAML file; the shipped ones are in ``edgebat/data/profiles/``. They keep to a small part of YAML that is read
here without PyYAML (one level of nesting, values as JSON or bare words), so that a NumPy-only installation knows them all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edgebat.data.readers.clock import DateOrder
from edgebat.errors import DataError, require

FOLDER = Path(__file__).parents[1] / "profiles"
ROLES = (
    "time", "datetime", "date", "clock", "voltage", "current", "cycle", "step", "step_kind", "temperature", "charge_ah",
    "discharge_ah", "channel", "charge_current", "discharge_current", "step_time",
)  # fmt: skip
"""What a column can be. ``datetime`` is the wall clock; ``date`` and ``clock`` are its halves in columns of their own.
``charge_current`` and ``discharge_current`` are the halves of a current; ``step_time`` starts anew with every step."""
HALVES = ("charge_current", "discharge_current")
PARTS = {"charge_current": "current", "discharge_current": "current", "step_time": "time"}
"""Role -> the whole one, whose stated unit holds for it too."""
ROLE_KEYS = {role: role for role in ROLES if role != "channel"} | {"channel_column": "channel"}
"""Keys of ``--set`` that name a column -> its role; ``channel`` chooses one of several."""
MEASURED = ("time", "voltage", "current", "temperature", "charge_ah", "discharge_ah", *HALVES, "step_time")
"""Roles with a unit."""
STEP_KINDS = ("charge", "charge_cc", "charge_cv", "discharge", "rest", "other")
SIGNS = ("positive_is_charge", "positive_is_discharge", "by_step", "unknown")
DELIMITERS = {"tab": "\t", "space": " ", "comma": ",", "semicolon": ";"}
"""Words for what does not show, or shells take for their own."""
DATE_ORDERS = ("dmy", "mdy", "ymd")


@dataclass(frozen=True)
class Profile:
    """One layout. Every field is a key of its YAML file, and, for one file, of ``--set key=value``."""

    name: str = "generic"
    """Its name, shown as the layout of what it read."""
    about: str = ""
    """One line for the table of layouts."""
    signature: tuple[tuple[str, ...], ...] = ()
    """Sets of column names (without units); a file that has all names of one set is of this layout."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role -> names without unit, the best first; "amps=A" states a unit that goes with the name."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Role -> unit, for names that do not state it ("hms" is 12:34:56)."""
    sign: str = "unknown"
    """What a positive current is; "by_step": the current has no sign and the step kind gives it."""
    step_kinds: Mapping[str, str] = field(default_factory=dict)
    """Text of the step kind -> "charge", "charge_cc", "charge_cv", "discharge", "rest", "other"."""
    date_order: str = ""
    """"dmy" or "mdy" for dates as 03/04/2024."""
    delimiter: str = ""
    """Between values; "tab" and "space" are words for those."""
    decimal: str = ""
    """"." or ","."""
    encoding: str = ""
    """As Python names it."""
    header_row: int = 0
    """Line of the column names, counted from 1."""
    sheet: str = ""
    """Name of the sheet of a spreadsheet."""
    channel: str = ""
    """Only this one of several channels."""
    restarts: str = ""
    """"continue": what comes after a clock or a cycle number that starts anew is of the same cell."""
    nominal_ah: float = 0.0
    """Nominal capacity in Ah, where it helps to tell a unit."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """Role -> unit or "*factor" that holds whatever the name says; sign, date_order: from ``--set`` and ``--map`` only."""
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """"start" and "nominal_ah" -> keys of the lines above the header that state them, in lower case."""

    @property
    def dates(self) -> DateOrder:
        """The order of day and month, and whether the user states it."""
        return DateOrder(self.date_order, "date_order" in self.stated)

    def answered(self, answers: Mapping[str, str]) -> Profile:
        """This profile with keys overridden: a field, a role (its column, as ``name`` or ``name:factor``) or role_unit.

        Raises DataError.
        """
        columns, stated, fields = dict(self.columns), dict(self.stated), dict[str, Any]()
        names = {entry.name: entry.type for entry in dataclasses.fields(Profile)}
        for key, value in answers.items():
            role = key.removesuffix("_unit")
            if key in ROLE_KEYS:
                name, factor = name_and_factor(value)
                columns[ROLE_KEYS[key]] = (f"'{name}",)
                stated |= {key: f"*{factor}"} if factor else {}
            elif role in MEASURED and key != role:
                stated[role] = value
            elif key in names and not str(names[key]).startswith(("Mapping", "tuple")):
                fields[key] = _scalar(key, value)
                stated |= {key: value} if key in ("sign", "date_order") else {}
            else:
                allowed = sorted({*ROLE_KEYS, *(f"{r}_unit" for r in MEASURED), *_SCALARS} - {"name", "about"})
                raise DataError(f"--set {key}={value}: there is no such key; allowed: {', '.join(allowed)}")
        return dataclasses.replace(self, columns=columns, stated=stated, **fields)


def name_and_factor(text: str) -> tuple[str, str]:
    """A column's name and its factor ("" for none) of "I_mA:1e-3"; any other colon belongs to the name."""
    name, colon, factor = text.rpartition(":")
    try:
        float(factor)
    except ValueError:
        return text, ""
    return (name, factor) if colon else (text, "")


_SCALARS = tuple(f.name for f in dataclasses.fields(Profile) if not str(f.type).startswith(("Mapping", "tuple")))


def _scalar(key: str, value: Any) -> Any:
    allowed = {
        "sign": SIGNS,
        "date_order": ("", *DATE_ORDERS),
        "decimal": ("", ".", ","),
        "restarts": ("", "continue"),
    }.get(key)
    if allowed is not None and value not in allowed:
        raise DataError(f"{key}: {value!r}; allowed: {', '.join(filter(None, allowed))}")
    if key == "delimiter" and len(str(value)) > 1 and value not in DELIMITERS:
        raise DataError(f"{key}: {value!r}; allowed: one character, or {', '.join(DELIMITERS)}")
    try:
        number: Any = {"header_row": int, "nominal_ah": float}.get(key, str)(value)
    except ValueError:
        raise DataError(f"{key}: {value!r} is no number") from None
    if not isinstance(number, str) and not number >= 0:
        raise DataError(f"{key}: {value!r}; it must not be below 0")
    return number


@cache
def shipped() -> dict[str, Profile]:
    """The layouts edgebat knows, by name; "generic" holds names that any file may use."""
    return {path.stem: parse_profile(path.read_text("utf-8"), path) for path in sorted(FOLDER.glob("*.yaml"))}


def load_profile(profile: Path | str) -> Profile:
    """A shipped layout by name, or the user's file. Raises DataError; MissingExtra for a file that needs all of YAML."""
    known = shipped()
    if str(profile) in known:
        return known[str(profile)]
    path = Path(profile)
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(f"there is no layout {str(profile)!r}; known: {', '.join(known)}; or a .yaml file of your own")
    try:
        return parse_profile(path.read_text("utf-8"), path)
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from None


def parse_profile(text: str, path: Path) -> Profile:
    """The profile in a YAML text. Raises DataError naming the key."""
    try:
        content = _simple_yaml(text)
    except ValueError:
        yaml = require("yaml", "cli")
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise DataError(f"{path} is no YAML: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no profile: keys and values are needed")
    fields: dict[str, Any] = {"name": path.stem}
    for key, value in content.items():
        if key in _SCALARS:
            fields[key] = _scalar(key, value)
        elif key == "signature" and isinstance(value, list):
            fields[key] = tuple(tuple(names) for names in value)
        elif key in ("columns", "facts", "units", "step_kinds") and isinstance(value, dict):
            lists = key in ("columns", "facts")
            fields[key] = {
                k: (tuple(v) if isinstance(v, list) else (v,)) if lists else str(v) for k, v in value.items()
            }
        else:
            raise DataError(f"{path}: key {key!r} with {value!r}; known keys: {', '.join(_known_keys())}")
    unknown = {*fields.get("columns", {}), *fields.get("units", {})} - {*ROLES}
    wrong = {*fields.get("step_kinds", {}).values()} - {*STEP_KINDS}
    if unknown or wrong:
        raise DataError(f"{path}: {sorted(unknown | wrong)}; columns are {list(ROLES)}, step kinds {list(STEP_KINDS)}")
    return Profile(**fields)


def _known_keys() -> list[str]:
    return [entry.name for entry in dataclasses.fields(Profile)]


def _simple_yaml(text: str) -> dict[str, Any]:
    """One level of nesting, values as JSON or bare words. Raises ValueError for anything else that YAML allows."""
    content: dict[str, Any] = {}
    inner: dict[str, Any] | None = None
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, value = (
            line.strip().partition(": ") if not line.rstrip().endswith(":") else (line.strip()[:-1], ":", "")
        )
        if not colon or key.startswith(("-", "?", "&", "*", "{", "[")):
            raise ValueError(line)
        key = json.loads(key) if key.startswith('"') else key
        target = content if not line.startswith(" ") else inner
        if target is None:
            raise ValueError(line)
        if value == "":
            if target is not content:
                raise ValueError(line)
            content[key] = inner = {}
            continue
        target[key] = json.loads(value) if value[0] in '[{"-0123456789' else _bare(value)
    return content


def _bare(value: str) -> str:
    if value[0] in "'&*!|>%@`" or " #" in value:
        raise ValueError(value)
    return value
