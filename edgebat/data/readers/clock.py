"""Times as files write them: 12:34:56 with hours beyond 24, days, dates in every order, 12 h clocks, serial days, epochs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float64, Int64

Stamps = npt.NDArray[np.datetime64]

_DURATION = re.compile(r"\s*(?:(\d+)\s*(?:d(?:ays?)?,?\s*|[. -]))?(\d+):(\d{1,2})(?::(\d{1,2}(?:[.,]\d*)?))?"
                       r"\s*([AaPp]\.?\s?[Mm]\.?)?\s*$")  # fmt: skip
_STAMP = re.compile(
    r"\s*(?:[A-Za-z]{3,9},?\s+)?(\d{1,4}|[A-Za-z]{3,9})[-/. ]+(\d{1,2}|[A-Za-z]{3,9}\.?),?[-/. ]+(\d{1,4})"
    r"(?:(?:T|[\s,]+)(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,:]\d*)?))?\s*([AaPp]\.?\s?[Mm]\.?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?\s*$"
)
_MONTHS = {name: number for number, names in enumerate(
    ("jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), 1
) for name in names.split()}  # fmt: skip
EPOCHS = ((1e8, 4e9, 1.0, "seconds since 1970"), (1e11, 4e12, 1e-3, "milliseconds since 1970"),
          (1e14, 4e15, 1e-6, "microseconds since 1970"), (1e17, 4e18, 1e-9, "nanoseconds since 1970"))  # fmt: skip

USUAL = ", as is usual for the layout"
"""What is said of an order of day and month that nothing in the file proves."""
MOST_DAYS = 3653.0
"""No test lasts longer: numbers further apart are no serial days, but perhaps seconds from 30000 to 60000."""


class DateOrder(NamedTuple):
    """ "dmy", "mdy", "ymd" or "", and whether the user says so (a layout only says what is usual)."""

    order: str = ""
    stated: bool = False


NO_ORDER = DateOrder()


@dataclass(frozen=True)
class WallClock:
    """Naive stamps datetime64[us] [S] (NaT is missing), and how they were read.

    seconds: float64 [S] by them, with offsets from UTC counted; NaN is missing.
    """

    stamps: Stamps
    seconds: Float64
    guess: str = ""
    question: str = ""
    """What to ask where day and month cannot be told apart."""


def to_durations(texts: Sequence[str]) -> Float64 | None:
    """Seconds [S] of texts such as "144:02:18", "0d 00:01:00.5", "1.02:03:04", "11:59:20 PM".

    None when one is something else.
    """
    seconds = np.full(len(texts), np.nan)
    for at, text in enumerate(texts):
        match = _DURATION.match(text)
        if match:
            days, hours, minutes, rest, half = match.groups()
            hour = int(hours) % 12 + 12 * (half[0] in "pP") if half else int(hours)
            seconds[at] = (int(days or 0) * 24 + hour) * 3600 + int(minutes) * 60
            seconds[at] += float(rest.replace(",", ".")) if rest else 0.0
        elif text.strip() and any(character.isdigit() for character in text):
            return None
    return seconds if np.isfinite(seconds).any() else None


def from_stamps(stamps: Stamps) -> WallClock:
    """Of times that the file gives as such."""
    return WallClock(stamps, seconds_of(stamps))


def seconds_of(stamps: Stamps) -> Float64:
    """Seconds since 1970, NaN for NaT."""
    whole = stamps.astype("datetime64[us]")
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)


def from_numbers(values: Float64) -> WallClock | None:
    """Of epochs and of a spreadsheet's serial days; None for numbers that are neither."""
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, high = float(known.min()), float(known.max())
    for least, most, factor, words in EPOCHS:
        if least <= low and high <= most:
            return _of_seconds(values * factor, words)
    if low >= 19700101000000 and high < 21000101000000:
        texts = [f"{int(value)}" if np.isfinite(value) else "" for value in values.tolist()]
        return to_wall_clock([f"{t[:4]}-{t[4:6]}-{t[6:8]} {t[8:10]}:{t[10:12]}:{t[12:14]}" if t else "" for t in texts])
    if high - low > MOST_DAYS:
        return None
    if low > 25569 and high < 80000:
        return _of_seconds((values - 25569.0) * 86400.0, "days since 1899-12-30, as spreadsheets count")
    if low > 719529 and high < 770000:
        return _of_seconds((values - 719529.0) * 86400.0, "days of a MATLAB datenum")
    return None


def _of_seconds(seconds: Float64, words: str) -> WallClock:
    micro = np.where(np.isfinite(seconds), np.round(seconds * 1e6), 0).astype(np.int64)
    stamps = micro.astype("datetime64[us]")
    stamps[~np.isfinite(seconds)] = np.datetime64("NaT")
    return WallClock(stamps, np.asarray(seconds, dtype=np.float64), f"times are {words}")


def to_wall_clock(texts: Sequence[str], order: DateOrder = NO_ORDER) -> WallClock | None:
    """Of dates with times; None when most texts are none.

    order: of 03/04/2024; what dates themselves prove goes before what is usual for a layout.
    """
    matched = [_STAMP.match(text) for text in texts]
    found = sum(match is not None for match in matched)
    if not found or found < len([t for t in texts if t.strip()]) / 2:
        return None
    parts = np.zeros((len(texts), 3), dtype=np.int64)
    micro = np.zeros(len(texts), dtype=np.int64)
    offset = np.zeros(len(texts))
    named = False
    for at, match in enumerate(matched):
        if match is None:
            continue
        first, second, third, hour, minute, second_text, half, zone = match.groups()
        for place, text in enumerate((first, second, third)):
            if text[0].isdigit():
                parts[at, place] = int(text)
            else:
                parts[at, place] = -_MONTHS.get(text[:3].lower(), 99)
                named = True
        hours = int(hour or 0)
        if half:
            hours = hours % 12 + (12 if half[0] in "pP" else 0)
        seconds = float(second_text.replace(",", ".").replace(":", ".")) if second_text else 0.0
        micro[at] = (hours * 3600 + int(minute or 0) * 60) * 1_000_000 + round(seconds * 1e6)
        if zone and zone[0] in "+-":
            offset[at] = (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    good = np.array([match is not None for match in matched]) & (parts > -99).all(axis=1)
    separator = "." if "." in (next(m for m in matched if m).group(0).split(":")[0]) else "/"
    chosen, question = _order(parts[good], named, order.order if order.stated else "", separator)
    usual = USUAL if question and order.order else ""
    if usual:
        chosen, question = order.order, ""
    stamps = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[us]")
    dates = _dates(parts[good], chosen)
    stamps[good] = dates.astype("datetime64[us]") + micro[good].astype("timedelta64[us]")
    either = bool((parts[good][:, 0] == parts[good][:, 1]).all())
    guess = "" if named or either or chosen == "ymd" else f"dates are {chosen}{usual}"
    return WallClock(stamps, seconds_of(stamps) - offset, guess, question)


def _order(parts: Int64, named: bool, given: str, separator: str) -> tuple[str, str]:
    """The order of day, month and year, and a question where it cannot be told."""
    if named:
        return ("mdy" if (parts[:, 0] < 0).any() else "dmy"), ""
    if (parts[:, 0] > 31).any():
        return "ymd", ""
    if (parts < 100).all():
        # Years of two digits: 25-03-29 may be March 2025 as well as March 2029; days that follow each other tell.
        if given:
            return given, ""
        gaps = {order: _largest_gap_days(parts, order) for order in ("ymd", "dmy", "mdy")}
        if gaps["ymd"] <= 2 and min(gaps["dmy"], gaps["mdy"]) >= 20:
            return "ymd", ""
    if (parts[:, 0] > 12).any():
        return "dmy", ""
    if (parts[:, 1] > 12).any():
        return "mdy", ""
    if given in ("dmy", "mdy"):
        return given, ""
    if separator == "." or (parts[:, 0] == parts[:, 1]).all():
        return "dmy", ""
    gaps = {order: _largest_gap_days(parts, order) for order in ("dmy", "mdy")}
    for order, other in (("dmy", "mdy"), ("mdy", "dmy")):
        if gaps[order] <= 2 and gaps[other] >= 20:
            return order, ""
    day, month = parts[0, 0], parts[0, 1]
    return (
        "dmy",
        f"{day:02d}/{month:02d} may be day and month or month and day; say --set date_order=dmy or date_order=mdy",
    )


def _largest_gap_days(parts: Int64, order: str) -> int:
    """Days between neighbouring dates at most; a date that is impossible is far from any other."""
    dates = _dates(parts, order)
    if np.isnat(dates).any():
        return 1 << 30
    return int(np.abs(np.diff(dates.astype(np.int64))).max(initial=0))


def _dates(parts: Int64, order: str) -> Stamps:
    """datetime64[D] of numbers in an order; impossible dates are NaT."""
    columns = {letter: np.abs(parts[:, order.index(letter)]) for letter in "ymd"}
    year = np.where(columns["y"] < 100, columns["y"] + 2000, columns["y"])
    bad = (columns["m"] < 1) | (columns["m"] > 12) | (columns["d"] < 1) | (columns["d"] > 31)
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (np.clip(columns["m"], 1, 12) - 1)
    dates: Stamps = months.astype("datetime64[D]") + (columns["d"] - 1)
    dates[bad] = np.datetime64("NaT")
    return dates
