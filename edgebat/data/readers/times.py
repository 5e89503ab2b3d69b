"""From the columns of times to seconds: elapsed time, wall clock, or both, and the unit where the name does not state it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.clock import DateOrder, WallClock, from_numbers, from_stamps, to_durations, to_wall_clock
from edgebat.data.readers.names import UNITS
from edgebat.data.readers.plausible import Swings, ratio_to_unit, time_question
from edgebat.data.readers.table import Column, column_texts

DAY_S = 86400.0
SAFE_S = (600.0, 60 * 3600.0)
"""Longest full swing under a unit that may be taken without asking, when no other unit gives such a one."""
FIRST_OF_STEP = 5.0
"""A step's first sample comes within so many usual times between samples."""
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
    question: str = ""
    unread: str = ""
    """A text of a column of times that is in no known form."""


def times_of(columns: Mapping[str, Column], unit: str, by_user: bool, order: DateOrder, by_step: bool = False) -> Times:
    """Sort the columns of roles "time", "datetime", "date" and "clock" by what is in them.

    unit: of numbers in "time". order: of day and month, see ``to_wall_clock``. by_step: durations are of steps, not of days.
    """
    found = Times(unit=unit, by_user=by_user)
    if "date" in columns and "clock" in columns:
        found.wall = _date_and_clock(columns["date"], columns["clock"], order)
    for role in ("time", "datetime", "clock", "date"):
        if role not in columns or (
            found.wall and any(columns[role] is columns.get(half) for half in ("date", "clock"))
        ):
            continue
        column = columns[role]
        if column.values.dtype.kind == "M":
            found.wall = found.wall or from_stamps(column.values)
        elif column.values.dtype.kind == "f":
            serial = from_numbers(column.values) if role != "clock" else None
            if role == "time" and (unit or serial is None):
                found.elapsed = column.values
                if unit == "hms":  # a spreadsheet's own times
                    found.unit, found.guess = "d", "times are days, as spreadsheets count"
            elif serial is not None and found.wall is None:
                found.wall = serial
        else:
            texts = column_texts(column)
            durations = to_durations(texts) if found.elapsed is None else None
            if durations is not None:
                _take_durations(found, durations, of_day=not by_step)
            elif found.wall is None:
                found.wall = to_wall_clock(texts, order)
                found.unread = "" if found.wall else next(filter(str.strip, texts), "")
    return found


def _date_and_clock(dates: Column, clocks: Column, order: DateOrder) -> WallClock | None:
    """The two halves of a wall clock joined; None where the columns are something else."""
    day = from_stamps(dates.values) if dates.values.dtype.kind == "M" else to_wall_clock(column_texts(dates), order)
    of_day = to_durations(column_texts(clocks)) if clocks.values.dtype.kind == "U" else None
    if day is None or of_day is None or (day.seconds % DAY_S > 0).any():
        return None
    micro = np.where(np.isfinite(of_day), np.round(of_day * 1e6), 0).astype("timedelta64[us]")
    return WallClock(day.stamps + micro, day.seconds + of_day, day.guess, day.question)


def _take_durations(found: Times, durations: Float64, of_day: bool) -> None:
    """Elapsed times as texts; times of day go on across midnight."""
    falls = np.diff(durations) < -DAY_S / 2
    if of_day and falls.any() and np.nanmax(durations) < DAY_S:
        durations = durations + np.concatenate(([0], np.cumsum(falls))) * DAY_S
        found.guess = f"times of day that pass midnight {int(falls.sum())} times"
    found.elapsed, found.unit = durations, "s"


def continue_steps(times: Times, step: Float64 | None) -> None:
    """Times that start anew with each step, made one that goes on: each begins where the one before ended.

    step [S]: numbers of the steps, where the file has them. A restart elsewhere, or far from zero, is asked.
    """
    if times.elapsed is None:
        return
    known = np.flatnonzero(np.isfinite(times.elapsed))
    values = times.elapsed[known]
    rise = np.diff(values)
    begins = rise < 0 if step is None else np.diff(step[known]) != 0
    usual = float(np.median(rise[rise > 0])) if (rise > 0).any() else 0.0
    if ((rise < 0) & ~begins).any() or (values[1:][begins] > FIRST_OF_STEP * usual).any():
        times.question = (
            "the time within steps starts anew elsewhere than steps do, or not near zero, so it cannot be continued; export "
            "the time since the test began, or name it with --set time=NAME"
        )
    ended = np.concatenate(([0.0], np.cumsum(np.where(begins, values[:-1], 0.0))))
    times.elapsed = times.elapsed.copy()
    times.elapsed[known] = values + ended
    times.guess = f"times are of steps ({int(begins.sum()) + 1} of them): each begins where the one before ended"


@dataclass(frozen=True)
class Seconds:
    """Seconds [S] (from any zero), guesses made, and what to ask instead."""

    values: Float64
    guesses: tuple[str, ...] = ()
    question: str = ""
    swings: Swings | None = None
    """Under these seconds; None where there is a question."""


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
        if wall is None and times.unread:
            words = "export it as a number with its unit in the name, as h:mm:ss, or as date and time"
            return Seconds(np.zeros(0), question=f"the time {times.unread!r} is in no form that is known; {words}")
        if wall is None:
            return Seconds(np.zeros(0), question="no column is the time by its name; say --set time=NAME")
        return _checked(Seconds(wall.seconds, guesses), swings)
    ratio = _span(wall.seconds) / _span(elapsed) if wall and _span(elapsed) > 0 else 0.0
    falls = int((np.diff(elapsed[np.isfinite(elapsed)]) < 0).sum())
    if wall and falls and not times.by_user and not (np.diff(wall.seconds[np.isfinite(wall.seconds)]) < 0).any():
        words = f"the elapsed time starts anew {falls} times: the wall clock is used"
        return _checked(Seconds(wall.seconds, (*guesses, words)), swings)
    if times.unit.startswith("*"):
        return _checked(Seconds(elapsed * float(times.unit[1:]), guesses), swings)
    if times.unit:
        factor = UNITS["time"][times.unit]
        mistaken = ratio_to_unit(ratio / factor) if factor == 1.0 and not times.by_user else ""
        if mistaken:
            return Seconds(elapsed, question=f"by the wall clock the times are in {mistaken}, by their name in s; say --set "
                           f"time_unit={mistaken} (or s)")  # fmt: skip
        return _checked(Seconds(elapsed * factor, guesses), swings, "" if times.by_user else times.unit)
    by_clock = "s" if abs(ratio - 1) < 0.05 else ratio_to_unit(ratio)
    if by_clock:
        words = f"times are in {by_clock}, by the wall clock beside them"
        return _checked(Seconds(elapsed * UNITS["time"][by_clock], (*guesses, words)), swings)
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
    possible = [u for u, part in found.items() if part.seconds.size and SAFE_S[0] <= part.seconds.max() <= SAFE_S[1]]
    if len(by_charge) == 1:
        unit, words = by_charge[0], "by the charge moved"
    elif len(possible) == 1:
        unit, words = possible[0], "by how long a full charge or discharge takes"
    else:
        allowed = " or ".join(f"time_unit={unit}" for unit in possible or units)
        return Seconds(elapsed, question=f"the unit of the time is not stated; say --set {allowed}")
    return Seconds(elapsed * units[unit], (*guesses, f"times are in {unit}, {words}"), swings=found[unit])


def _checked(seconds: Seconds, swings: Callable[[Float64], Swings], questioned: str = "") -> Seconds:
    """With the swings under it; a question where its digits are too few, or the unit ``questioned`` cannot be."""
    known = seconds.values[np.isfinite(seconds.values)]
    changes = 1 + int(np.count_nonzero(np.diff(known)))
    if known.size > 50 and changes < FEW_TIMES * known.size:
        return Seconds(seconds.values, question=f"{known.size} samples have {changes} different times: digits were rounded "
                       "away; export the time with all of them")  # fmt: skip
    found = swings(seconds.values)
    question = time_question(found, questioned) if questioned else ""
    return Seconds(seconds.values, seconds.guesses, question, None if question else found)


def _span(seconds: Float64) -> float:
    known = seconds[np.isfinite(seconds)]
    return float(known.max() - known.min()) if known.size else 0.0
