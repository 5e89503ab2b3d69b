"""From a column's name to what it is and in which unit: "Ecell/V", "U[mV]", "I_mA", "Total Time (Hours in hh:mm:ss)"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from edgebat.data.readers.profiles import MEASURED, ROLES, Profile, shipped

_SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "sek": 1.0, "ms": 1e-3, "msec": 1e-3,
    "millisecond": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "mins": 60.0, "minute": 60.0,
    "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0, "decimalhours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_VOLTS = {"v": 1.0, "volt": 1.0, "volts": 1.0, "mv": 1e-3, "millivolt": 1e-3, "millivolts": 1e-3, "uv": 1e-6}
_AMPERES = {
    "a": 1.0, "amp": 1.0, "amps": 1.0, "ampere": 1.0, "amperes": 1.0, "ma": 1e-3, "milliamp": 1e-3, "milliamps": 1e-3,
    "milliampere": 1e-3, "ua": 1e-6,
}  # fmt: skip
_AMPERE_HOURS = {
    "ah": 1.0,
    "amphr": 1.0,
    "amperehour": 1.0,
    "mah": 1e-3,
    "mamphr": 1e-3,
    "milliamperehour": 1e-3,
    "as": 1 / 3600,
}
_DEGREES = {"c": 1.0, "degc": 1.0, "celsius": 1.0, "degreec": 1.0, "k": 1.0, "kelvin": 1.0, "f": 5 / 9, "degf": 5 / 9}
UNITS: dict[str, dict[str, float]] = {
    "time": _SECONDS, "voltage": _VOLTS, "current": _AMPERES, "temperature": _DEGREES, "charge_ah": _AMPERE_HOURS,
    "discharge_ah": _AMPERE_HOURS, "charge_current": _AMPERES, "discharge_current": _AMPERES, "step_time": _SECONDS,
}  # fmt: skip
"""Role -> unit -> factor to s, V, A, Ah, degC (temperatures also have a zero, see ``to_si``)."""
BASE = {
    "time": "s", "voltage": "V", "current": "A", "temperature": "degC", "charge_ah": "Ah", "discharge_ah": "Ah",
    "charge_current": "A", "discharge_current": "A", "step_time": "s",
}  # fmt: skip


@lru_cache(maxsize=1 << 14)
def squeeze(text: str) -> str:
    """A name by its letters and digits alone, in lower case."""
    return re.sub(r"[\W_]+", "", text.lower().replace("#", "nr").replace("µ", "u").replace("μ", "u"))


_LETTERS = str.maketrans("µμвамсч", "uuvamsh")
"""Letters of units that look or sound like Latin ones."""


def unit_key(text: str) -> str:
    """A unit as in UNITS: "mA.h" -> "mah", "°C" (in whatever encoding) -> "c"; "hms" for anything like hh:mm:ss."""
    if ":" in text:
        return "hms"
    return re.sub(r"[^a-z]+", "", text.lower().translate(_LETTERS))


def shown_unit(key: str) -> str:
    """A unit as people write it."""
    return {"a": "A", "ma": "mA", "v": "V", "mv": "mV", "ah": "Ah", "mah": "mAh"}.get(key, key)


def to_si(role: str, unit: str) -> tuple[float, float]:
    """Factor and offset of a unit or of "*factor": value * factor + offset is in s, V, A, Ah, degC. Raises KeyError."""
    if unit.startswith("*"):
        return float(unit[1:]), 0.0
    offset = (
        {"k": -273.15, "kelvin": -273.15, "f": -160 / 9, "degf": -160 / 9}.get(unit, 0.0)
        if role == "temperature"
        else 0.0
    )
    return UNITS[role][unit], offset


_BRACKET = re.compile(r"^(.*?)\s*[(\[{]([^()\[\]{}]*)[)\]}]\s*((?:_\d+)?)\s*$")
_MARKED = re.compile(r"^(.*\S)\s*(?:/|#|,|\bin\b)\s*([^\s/#,]+(?: C)?)$")
_NUMBER_FIRST = re.compile(r"[^a-zA-Z]*\d.*[a-zA-Z]")
_LAST_WORD = re.compile(r"^(.*?[a-zA-Z0-9])[_ .\-]([^_ .\-]+)$")
_CAMEL = re.compile(r"^(.*[a-z0-9])(mV|Mv|V|Volts|mA|Ma|A|Amps|mAh|Ah|Ms|Sec|S|Seconds|Minutes|Hours|C)$")


@lru_cache(maxsize=1 << 14)
def _splits(name: str) -> tuple[tuple[str, str, bool], ...]:
    """(base, unit, whether the unit is marked as one) in every way a name can be split, the likeliest first."""
    name = name.strip().lstrip("~#").strip().strip('"').strip() or name
    found = []
    for pattern, marked in ((_BRACKET, True), (_MARKED, True), (_LAST_WORD, False), (_CAMEL, False)):
        match = pattern.match(name)
        if match:
            found.append((squeeze(match[1] + "".join(match.groups()[2:])), unit_key(match[2]), marked))
    return (*found, (squeeze(name), "", True))


def _fits(role: str, unit: str, marked: bool) -> bool:
    """Whether a name with this unit may have the role: "cell voltage" is no cell with the unit voltage."""
    if role not in MEASURED:
        return marked or (role == "datetime" and unit in _SECONDS)
    return unit in ("", "hms") or unit in UNITS[role]


def matches(name: str, synonyms: Sequence[str], role: str) -> tuple[int, str] | None:
    """Rank of the best synonym of ``role`` that a column's name is, and the unit it states ("" for none)."""
    best: tuple[int, str] | None = None
    percent = "%" in name  # no role is a share: "Battery (%)" is no channel, "Charge (%)" no counter
    for rank, synonym in enumerate(synonyms):
        if synonym.startswith("'"):  # named by the user, as it stands in the file
            if name.strip() == synonym[1:].strip():
                return rank, unit_of(name, role)
            continue
        if percent:
            continue
        base, _, implied = synonym.partition("=")
        for split, unit, marked in _splits(name):
            if split == squeeze(base) and _fits(role, unit, marked) and (best is None or rank < best[0]):
                best = rank, unit if unit in UNITS.get(role, {}) or unit == "hms" else implied.lower()
                break
    return best


def unit_of(name: str, role: str) -> str:
    """The unit a name states for a role; "" for none."""
    return next((unit for _, unit, _ in _splits(name) if unit in UNITS.get(role, {}) or unit == "hms"), "")


def scaled_unit(name: str, role: str) -> str:
    """The unit a name states with a number before it, "10 mA" of "Current (10 mA)"; "" for none."""
    found = (match[2].strip() for match in (_BRACKET.match(name.strip()), _MARKED.match(name.strip())) if match)
    return next((text for text in found if _NUMBER_FIRST.match(text) and unit_key(text) in UNITS.get(role, {})), "")


def synonyms_of(profile: Profile, role: str) -> tuple[str, ...]:
    """The names of a role: what the profile says, then what any file may use."""
    own = profile.columns.get(role, ())
    if role in profile.columns and (not own or own[0].startswith("'")):
        return own
    return (*own, *(name for name in shipped()["generic"].columns.get(role, ()) if name not in own))


_CELL = re.compile(
    r"^(?:voltage|spannung|u|v)?(cell|zelle|cellvoltage|vcell|ucell|zellspannung|cellvoltages|uzelle|voltagecell|c)0*(\d{1,3})"
    r"(?:voltage|spannung|volt|v|u)?$"
)


def cell_columns(names: Sequence[str]) -> list[tuple[int, str]]:
    """(index, "cell 3") of the columns with voltages of numbered cells, as battery managers log them; empty below two."""
    found = []
    for index, name in enumerate(names):
        match = next(
            (m for m in (_CELL.match(base) for base, unit, _ in _splits(name) if unit in ("", *UNITS["voltage"])) if m),
            None,
        )
        if match and not re.search("temp", name, re.IGNORECASE):
            found.append((index, f"cell {match[2]}"))
    return found if len(found) > 1 else []


LONG_NAMES = frozenset(("entityid", "field", "name", "sensor", "variable", "item", "parameter", "signal", "quantity", "tag",
                        "metric", "topic", "register"))  # fmt: skip
LONG_VALUES = frozenset(("state", "value", "wert", "messwert", "reading"))
"""Columns of a log with one quantity per row."""


@cache
def _known_names() -> dict[str, tuple[str, ...]]:
    """Squeezed name -> roles it has in any layout."""
    known: dict[str, list[str]] = {}
    for role in ROLES:
        for profile in shipped().values():
            for name in profile.columns.get(role, ()):
                roles = known.setdefault(squeeze(name.partition("=")[0]), [])
                roles += [role] if role not in roles else []
    return {name: tuple(roles) for name, roles in known.items()}


def _any_role(name: str, extra: tuple[str, ...]) -> str:
    """A role that a text names in some layout; "'name" for a name of the user's; "" for neither."""
    if name.strip() in extra:
        return f"'{name.strip()}"
    for base, unit, marked in _splits(name):
        for role in _known_names().get(base, ()):
            if _fits(role, unit, marked):
                return role
    return ""


def roles_in(names: Sequence[str], extra: tuple[str, ...] = ()) -> set[str]:
    """Roles that a row of texts names, of any layout; ``extra``: names the user has given."""
    found = {role for name in names if name.strip() and len(name) < 80 for role in [_any_role(name, extra)] if role}
    squeezed = {squeeze(name) for name in names}
    is_long = squeezed & LONG_NAMES and squeezed & LONG_VALUES and found & {"datetime", "time"}
    return found | {"voltage"} if is_long or cell_columns(names) else found


def _signed_as(name: str) -> str:
    return f"{squeeze(name)} /" if name.endswith(" /") else squeeze(name)


def layout_of(names: Sequence[str]) -> Profile:
    """The shipped layout with the largest signature that the names have; the generic one for no match."""
    have = {base for name in names for base, _, _ in _splits(name)}
    # "voltage /" asks for a unit behind a slash.
    have |= {f"{squeeze(name.split(' / ')[0])} /" for name in names if " / " in name}
    best, size = shipped()["generic"], 0
    for profile in shipped().values():
        for signature in profile.signature:
            if len(signature) > size and all(_signed_as(name) in have for name in signature):
                best, size = profile, len(signature)
    return best


def candidates(names: Sequence[str], profile: Profile, role: str) -> Iterator[tuple[int, int, str]]:
    """(rank, index, unit) of the columns that may have a role."""
    synonyms = synonyms_of(profile, role)
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        # A name that is there twice can be given as NAME#1 and NAME#2.
        numbered = f"'{name.strip()}#{seen[name]}" in synonyms[:1]
        found = (0, unit_of(name, role)) if numbered else matches(name, synonyms, role)
        if found:
            yield found[0], index, found[1]
