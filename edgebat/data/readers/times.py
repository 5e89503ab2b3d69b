"""From the columns of times to seconds: elapsed time, wall clock, or both, and the unit where the name does not state it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.clock import WallClock, from_numbers, from_stamps, to_durations, to_wall_clock
from edgebat.data.readers.names import UNITS
from edgebat.data.readers.plausible import SWING_S, Swings, ratio_to_unit, time_question
from edgebat.data.readers.table import Column, column_texts

DAY_S = 86400.0
SAFE_S = (600.0, 40 * 3600.0)
"""Longest full swing under a unit that may be taken without asking, when no other unit gives one in SWING_S."""
FEW_TIMES = 0.02
"""Share of samples with a time of their own below which the time is refused: its digits were rounded away."""


@dataclass
class Times:
    """What the columns hold. elapsed float64 [S] in ``unit`` ("" is unknown), stated by the user or only by the file."""

    elapsed: Float64 | None = None
    unit: str = ""
    by_user: bool = False
    wall: WallClock | None = None
    guess: str = ""


def times_of(columns: Mapping[str, Column], unit: str, by_user: bool, order: str) -> Times:
    """Sort the columns of roles "time", "datetime", "date" and "clock" by what is in them.

    unit: of numbers in "time". order: of day and month, see ``to_wall_clock``.
    """
    found = Times(unit=unit, by_user=by_user)
    for role in ("time", "datetime", "date", "clock"):  # a time of day needs its date first
        if role not in columns:
            continue
        column = columns[role]
        if column.values.dtype.kind == "M":
            found.wall = found.wall or from_stamps(column.values)
        elif column.values.dtype.kind == "f":
            serial = from_numbers(column.values) if role != "clock" else None
            if role == "time" and (unit or serial is None):
                found.elapsed = column.values
            elif serial is not None and found.wall is None:
                found.wall = serial
        else:
            _sort_texts(found, column_texts(column), role, order)
    return found


def _sort_texts(found: Times, texts: list[str], role: str, order: str) -> None:
    durations = to_durations(texts)
    if durations is None:
        found.wall = found.wall or to_wall_clock(texts, order)
        return
    date = found.wall if role == "clock" else None
    if date is not None and not (date.seconds % DAY_S).any():  # a date column beside one of times of day
        micro = np.where(np.isfinite(durations), np.round(durations * 1e6), 0).astype("timedelta64[us]")
        found.wall = WallClock(date.stamps + micro, date.seconds + durations, date.guess, date.question)
    elif found.elapsed is None:
        drops = np.diff(durations[np.isfinite(durations)]) < -DAY_S / 2
        if drops.any() and np.nanmax(durations) < DAY_S:
            days = np.concatenate(([0], np.cumsum(np.diff(durations) < -DAY_S / 2)))
            durations = durations + days * DAY_S
            found.guess = f"times of day that pass midnight {int(drops.sum())} times"
        found.elapsed, found.unit = durations, "s"


@dataclass(frozen=True)
class Seconds:
    """Seconds [S] (from any zero), guesses made, and what to ask instead."""

    values: Float64
    guesses: tuple[str, ...] = ()
    question: str = ""


def seconds_of(
    times: Times, swings: Callable[[Float64], Swings], charge_fits: Callable[[Swings], bool | None]
) -> Seconds:
    """Seconds of what the columns hold.

    swings: full swings of the battery under a time in s. charge_fits: whether their charge is that of the counters or of the
    nominal capacity; None where neither is known.
    """
    wall, elapsed = times.wall, times.elapsed
    guesses = tuple(filter(None, (times.guess, wall.guess if wall else "")))
    if elapsed is None:
        if wall is None:
            return Seconds(np.zeros(0), question="no column is the time by its name; say --set time=NAME")
        return _checked(Seconds(wall.seconds, guesses), swings, "s", False)
    ratio = _span(wall.seconds) / _span(elapsed) if wall and _span(elapsed) > 0 else 0.0
    falls = int((np.diff(elapsed[np.isfinite(elapsed)]) < 0).sum())
    if wall and falls and not times.by_user and not (np.diff(wall.seconds[np.isfinite(wall.seconds)]) < 0).any():
        return _checked(Seconds(wall.seconds, (*guesses, f"the elapsed time starts anew {falls} times: the wall clock is used")),
                        swings, "s", False)  # fmt: skip
    if times.unit.startswith("*"):
        return Seconds(elapsed * float(times.unit[1:]), guesses)
    if times.unit:
        factor = UNITS["time"][times.unit]
        mistaken = ratio_to_unit(ratio / factor) if factor == 1.0 and not times.by_user else ""
        if mistaken:
            return Seconds(elapsed, question=f"by the wall clock the times are in {mistaken}, by their name in s; say --set "
                           f"time_unit={mistaken} (or s)")  # fmt: skip
        return _checked(Seconds(elapsed * factor, guesses), swings, times.unit, times.by_user)
    by_clock = "s" if abs(ratio - 1) < 0.05 else ratio_to_unit(ratio)
    if by_clock:
        words = f"times are in {by_clock}, by the wall clock beside them"
        return Seconds(elapsed * UNITS["time"][by_clock], (*guesses, words))
    return _deduced(elapsed, guesses, swings, charge_fits)


def _deduced(
    elapsed: Float64,
    guesses: tuple[str, ...],
    swings: Callable[[Float64], Swings],
    charge_fits: Callable[[Swings], bool | None],
) -> Seconds:
    """The one unit under which the file is one of a battery."""
    units = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S}
    found = {unit: swings(elapsed * factor) for unit, factor in units.items()}
    charges = {unit: charge_fits(part) for unit, part in found.items()}
    by_charge = [unit for unit, fits in charges.items() if fits]
    possible = [u for u, part in found.items() if part.seconds.size and SWING_S[0] <= part.seconds.max() <= SWING_S[1]]
    if len(by_charge) == 1:
        unit, words = by_charge[0], "by the charge moved"
    elif len(possible) == 1 and SAFE_S[0] <= found[possible[0]].seconds.max() <= SAFE_S[1]:
        unit, words = possible[0], "by how long a full charge or discharge takes"
    else:
        allowed = " or ".join(f"time_unit={unit}" for unit in possible or units)
        return Seconds(elapsed, question=f"the unit of the time is not stated; say --set {allowed}")
    return Seconds(elapsed * units[unit], (*guesses, f"times are in {unit}, {words}"))


def _checked(seconds: Seconds, swings: Callable[[Float64], Swings], unit: str, by_user: bool) -> Seconds:
    values = seconds.values
    known = values[np.isfinite(values)]
    if known.size > 50 and np.unique(known).size < FEW_TIMES * known.size:
        return Seconds(values, question=f"{known.size} samples have {np.unique(known).size} different times: digits were "
                       "rounded away; export the time with all of them")  # fmt: skip
    question = "" if by_user else time_question(swings(values), unit)
    return Seconds(values, seconds.guesses, question)


def _span(seconds: Float64) -> float:
    known = seconds[np.isfinite(seconds)]
    return float(known.max() - known.min()) if known.size else 0.0
