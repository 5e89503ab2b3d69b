"""What cycling itself says about units: how long a full charge takes, what charge it moves, what the wall clock says.

A unit that the file states is questioned when its numbers cannot be; one it does not state is taken only when it alone fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float64, Int64
from edgebat.data.readers.choose import Remarks, Unit
from edgebat.data.readers.names import shown_unit
from edgebat.data.readers.raw import turning_points

FULL_SWING_V = 0.5
"""Voltage between the ends of a charge or discharge that moves most of a cell's capacity."""
MAX_TURN_SAMPLES = 100_000
BUSY = 0.2
"""Least share of a swing's samples with a current."""
SWING_S = (240.0, 200 * 3600.0)
"""A longest full swing shorter than this (15C) or a shortest one longer (C/200) is a unit of time, not a cell."""
CELL_V = (0.3, 6.0)
"""Largest voltage of one cell."""
MOST_AH = 400.0
"""Charge of one cell's full swing."""
OF_NOMINAL = (0.02, 1.5)
"""Charge of the largest full swing, as a share of the nominal capacity."""
COUNTED = 1.3
"""Most that the integrated current may differ from the file's counter, as a factor."""
LARGE_SWINGS = 12
"""Swings with most charge that a counter is looked at in."""
COUNTER_STEPS = 10
"""Fewest values of a counter in a swing that it is compared by."""
LONE = 3.0
"""Times the largest usual current (all but the largest hundredth) above which a single sample is looked at."""
STAYS = 4
"""Samples after a turn of the current by which the voltage would have moved."""
OFFSET = (0.005, 0.06)
"""Shares of the usual current between which one that never rests may be an offset."""
OFFSET_BALANCE = 0.3
"""By how much of it the sum of all charge may differ from what an offset makes."""
FEWEST_RESTING = 20
TOP_V, STAIRS = 0.01, 0.04
"""A charge is at constant voltage this near to the highest one; its current then falls in steps below this share."""
UNIT_RATIOS = {60.0: "min", 3600.0: "h", 86400.0: "d", 1e-3: "ms"}
"""Seconds in a unit that is mistaken for seconds."""


@dataclass(frozen=True)
class Swings:
    """Full swings of the voltage under a current of one direction: their seconds and Ah, float64 [N]."""

    seconds: Float64
    charge_ah: Float64
    first: Int64
    last: Int64


def full_swings(time_s: Float64, voltage_v: Float64, current_a: Float64) -> Swings:
    """Runs of one direction of current and voltage (rests between do not end one) that move by FULL_SWING_V."""
    rest = 0.02 * float(np.abs(current_a).max(initial=0.0))
    moving = np.flatnonzero(np.abs(current_a) > rest)
    none = np.zeros(0)
    if moving.size < 2:
        return Swings(none, none, none.astype(int), none.astype(int))
    signs = np.flatnonzero(np.diff(np.sign(current_a[moving]))) + 1
    # A current without its sign, or with the wrong one, turns with the voltage all the same.
    stride = moving.size // MAX_TURN_SAMPLES + 1
    turns = stride * np.array(turning_points(voltage_v[moving][::stride], FULL_SWING_V / 2)[1:-1], dtype=np.int64)
    cuts = np.union1d(signs, turns)
    first, last = moving[np.concatenate(([0], cuts))], moving[np.concatenate((cuts - 1, [moving.size - 1]))]
    step = np.diff(time_s, prepend=time_s[0])
    # A clock that starts anew, or stands still for a day, moves no charge.
    step = np.where((step > 0) & np.isfinite(step), step, 0.0)
    charge = np.cumsum(step * np.abs(current_a)) / 3600.0
    elapsed = np.cumsum(step)
    high = np.maximum.reduceat(voltage_v, first)
    low = np.minimum.reduceat(voltage_v, first)
    scale = max(float(np.nanmax(voltage_v)) / CELL_V[1], 1.0) if voltage_v.size else 1.0
    samples = np.diff(np.concatenate(([0], cuts, [moving.size])))
    full = (high - low >= FULL_SWING_V * scale) & (samples > 3) & (samples >= BUSY * (last - first + 1))
    return Swings((elapsed[last] - elapsed[first])[full], (charge[last] - charge[first])[full], first[full], last[full])


def ratio_to_unit(ratio: float) -> str:
    """The unit that is mistaken for seconds when true seconds are ``ratio`` times the numbers; "" for none."""
    return next((unit for factor, unit in UNIT_RATIOS.items() if abs(ratio / factor - 1.0) < 0.05), "")


def voltage_in_v(values: Float64, unit: Unit, remarks: Remarks) -> Float64:
    """Voltages [S] in V: for mV by their size where no unit is stated; a stated unit that cannot be is asked."""
    if unit.by_user:
        return values
    largest = float(np.nanmax(np.abs(values)))
    if unit.name == "" and largest > 500.0:
        if largest > 6000.0:
            remarks.questions.append(
                f"the unit of the voltage is not stated and it reaches {largest:.0f}; say --set voltage_unit=mV or V"
            )
        remarks.guesses.append("the voltage is in mV, by its size")
        return values * 1e-3
    if unit.name in ("v", "volt", "volts") and largest > 1000.0:
        remarks.questions.append(
            f"the voltage is in V by its name and reaches {largest:.0f}; say --set voltage_unit=mV (V keeps it)"
        )
    elif unit.name.startswith("m") and largest < 0.06:
        remarks.questions.append(
            f"the voltage is in mV by its name and reaches {largest * 1e3:.3g}; say --set voltage_unit=V (mV keeps it)"
        )
    return values


def charge_fits(swings: Swings, nominal_ah: float | None, unit: Unit) -> bool | None:
    """Whether full swings move the charge of a cell of this capacity; None where capacity or current's unit is unknown."""
    if nominal_ah is None or not unit.name or not swings.charge_ah.size:
        return None
    return OF_NOMINAL[0] <= float(swings.charge_ah.max()) / nominal_ah <= OF_NOMINAL[1]


@dataclass(frozen=True)
class Counted:
    """Charge in a full swing, by a counter in its own unit and by the current."""

    counted: float
    moved_ah: float

    def agrees(self, factor: float = 1.0) -> bool:
        """Whether the counter times ``factor`` has what the current moved."""
        return self.counted > 0 and 1 / COUNTED < self.moved_ah / (self.counted * factor) < COUNTED


@dataclass(frozen=True)
class ChargeCheck:
    """Charge of the largest full swing by the current, NaN for none; what counters count; nominal capacity. All in Ah."""

    moved_ah: float
    counters: Sequence[Counted]
    nominal_ah: float | None

    def doubt(self, factor: float = 1.0) -> str:
        """What contradicts currents that are ``factor`` times those that were integrated; "" for nothing."""
        moved = self.moved_ah * factor
        for part in self.counters:
            if not part.agrees(1 / factor):
                moved_here = part.moved_ah * factor
                return f"the current moves {moved_here:.3g} Ah where the file's own counter has {part.counted:.3g} Ah"
        if self.nominal_ah is not None and not OF_NOMINAL[0] <= moved / self.nominal_ah <= OF_NOMINAL[1]:
            times = moved / self.nominal_ah
            return (
                f"a full charge or discharge moves {moved:.3g} Ah, {times:.3g} times the nominal {self.nominal_ah:g} Ah"
            )
        if moved > MOST_AH:
            return f"a full charge or discharge moves {moved:.3g} Ah, more than any cell"
        return ""


def charge_check(swings: Swings, counters: Sequence[Float64], nominal_ah: float | None) -> ChargeCheck:
    """Of full swings and counters in Ah [samples of the swings]."""
    found = [part for counter in counters for part in [counted_in(counter, swings)] if part]
    return ChargeCheck(float(swings.charge_ah.max()) if swings.charge_ah.size else np.nan, found, nominal_ah)


def counted_in(counter: Float64, swings: Swings) -> Counted | None:
    """What a counter counts in the large swing where it counts most; None where it counts too coarsely to say."""
    best = None
    for at in np.argsort(swings.charge_ah)[::-1][:LARGE_SWINGS]:
        part = counter[swings.first[at] : swings.last[at] + 1]
        steps = np.diff(part)
        # A counter may fall as it counts, and starts anew somewhere.
        counted = float(steps[steps > 0].sum()) or float(-steps[steps < 0].sum())
        if np.unique(part).size >= COUNTER_STEPS and (best is None or counted > best.counted):
            best = Counted(counted, float(swings.charge_ah[at]))
    return best


def counter_in_ah(counter: Float64, judged: Int64, swings: Swings, factor: float, remarks: Remarks) -> Float64 | None:
    """A counter [S] without a unit, by the charge of the current; None, and a note, where that tells nothing.

    judged: samples that the swings are of. factor: of the current that the swings were integrated with, to A.
    """
    part = counted_in(counter[judged], swings)
    for scale in (1.0, 1e-3):
        if part and part.agrees(scale / factor):
            return counter * scale
    remarks.notes.append("a counter of charge has no unit and does not count what the current moves: not used")
    return None


def lone_currents(voltage_v: Float64, current_a: Float64, by_user: bool) -> str:
    """What to ask about single samples [S] of a current that nothing else in the file comes near; "" for none.

    A pulse moves the voltage as the file's other steps of the current do; a saturated or damaged value leaves it as it was.
    """
    size = np.abs(current_a)
    if by_user or size.size < 50:
        return ""
    usual = float(np.quantile(size[:: size.size // MAX_TURN_SAMPLES + 1], 0.99))
    large = size > LONE * usual
    lone = 1 + np.flatnonzero(large[1:-1] & ~large[:-2] & ~large[2:])
    if not lone.size or not usual > 0.0:
        return ""
    ohm = _ohm(voltage_v, current_a, 0.2 * usual, large)
    if ohm is None:
        return ""
    step, moves = np.abs(np.diff(current_a)), np.abs(np.diff(voltage_v))
    expected = ohm * np.maximum(step[lone - 1], step[lone])
    still = lone[np.maximum(moves[lone - 1], moves[lone]) < 0.2 * expected]
    if not still.size:
        return ""
    return (
        f"{still.size} single samples have a current of up to {size[still].max():.4g} (first in row {int(still[0]) + 1}), "
        f"where 99 % of all have at most {usual:.4g}, and the voltage does not move in them: damaged values; delete those "
        "rows, or say --set current_unit=A (or mA) to keep them"
    )


def _ohm(voltage_v: Float64, current_a: Float64, least: float, without: Bool) -> float | None:
    """By how much the voltage usually moves for a step of the current of more than ``least``; None where there is none."""
    step, moves = np.abs(np.diff(current_a)), np.abs(np.diff(voltage_v))
    switched = (step > least) & ~without[1:] & ~without[:-1]
    return float(np.median(moves[switched] / step[switched])) if switched.any() else None


def turned_in_place(voltage_v: Float64, current_a: Float64) -> str:
    """What to ask about a current [S] that turns from one direction to the other while the voltage stays where it is, as in
    the constant-voltage part of a charge that is logged with the other sign; "" for none."""
    size = np.abs(current_a)
    if size.size < 50:
        return ""
    some = size[:: size.size // MAX_TURN_SAMPLES + 1]
    least = 0.2 * (float(np.median(some[some > 0.0])) if some.any() else np.inf)
    large = size > least
    at = np.flatnonzero(large[:-STAYS] & large[1 : 1 - STAYS] & (current_a[:-STAYS] * current_a[1 : 1 - STAYS] < 0.0))
    ohm = _ohm(voltage_v, current_a, least, np.zeros(size.size, dtype=np.bool_))
    if ohm is None:
        return ""
    for later in range(1, STAYS + 1):
        expected = ohm * np.abs(current_a[at + later] - current_a[at])
        still = np.abs(voltage_v[at + later] - voltage_v[at]) < 0.2 * expected
        at = at[still & (current_a[at + later] * current_a[at] < 0.0)]
    if at.size < 2:
        return ""
    return (
        f"{at.size} times the current turns its direction and the voltage does not move (first after row {int(at[0]) + 1}): "
        "a part of each charge has the other sign; give it the right one, or say --set current_unit=A (or mA) to keep it"
    )


def coarse_current(voltage_v: Float64, current_a: Float64, by_user: bool) -> str:
    """What to ask about a current [S] that falls in stairs at constant voltage: it was rounded, charges are not known."""
    size = np.abs(current_a)
    at_top = (voltage_v > voltage_v.max() - TOP_V) & (size > 0.0)
    if by_user or at_top.sum() < 10:
        return ""
    levels = np.unique(np.round(size[at_top][:MAX_TURN_SAMPLES], 6))
    step = float(np.diff(levels).min()) if levels.size > 1 else 0.0
    some = size[:: size.size // MAX_TURN_SAMPLES + 1]
    usual = float(np.median(some[some > 0.0])) if some.any() else np.inf
    if step <= STAIRS * usual:
        return ""
    return (
        f"the current has steps of {step:.3g} where {usual:.3g} usually flow, so charge is known to {step / usual / 2:.0%} "
        "at best; export it with more digits, or say --set current_unit=A (or mA) to keep it"
    )


def current_offset(time_s: Float64, current_a: Float64, swings: Swings) -> str:
    """What to ask about a current [S] in A that is never 0 between charges and discharges, as by an instrument's offset: it
    adds up to what goes in more than comes out. A load that is really there is in balance.
    """
    usual = float(np.median(np.abs(current_a[swings.first]))) if swings.first.size else 0.0
    resting = current_a[np.abs(current_a) < OFFSET[1] * usual]
    if resting.size < FEWEST_RESTING:
        return ""
    offset = float(np.median(resting))
    if abs(offset) < OFFSET[0] * usual or (np.abs(resting - offset) > abs(offset) / 2).mean() > 0.1:
        return ""
    # From the beginning of a charge to that of another, as many charges as discharges.
    alike = swings.first[np.sign(current_a[swings.first]) == np.sign(current_a[swings.first[0]])]
    rows = slice(int(alike[0]), int(alike[-1]) + 1)
    step = np.maximum(np.diff(time_s[rows]), 0.0)
    extra = float((step * (current_a[rows][1:] + current_a[rows][:-1]) / 2.0).sum()) / 3600.0
    expected = offset * float(step.sum()) / 3600.0
    if abs(extra - expected) > OFFSET_BALANCE * abs(expected):
        return ""
    return (
        f"between charges and discharges the current stands at {offset:.3g} A, and over {alike.size - 1} cycles charges and "
        f"discharges differ by {extra:.3g} Ah, as an offset of the instrument makes them; subtract it in the file, or say "
        "--set current_unit=A (or mA) to keep it"
    )


def temperature_in_degc(values: Float64 | None, unit: Unit, remarks: Remarks) -> Float64 | None:
    """Temperatures [S]; without a unit kelvins by their size; None, and a note, for what is no temperature in degC."""
    if values is None or unit.by_user:
        return values
    middle = float(np.nanmedian(values))
    if unit.name:
        if -80.0 < middle < 150.0:
            return values
        remarks.notes.append(
            f"the temperature is in {shown_unit(unit.name)} by its name, {middle:.0f} degC then: not used; say --set "
            "temperature_unit=K or F"
        )
        return None
    if 200.0 < middle < 400.0:
        remarks.guesses.append("the temperature is in K, by its size")
        return values - 273.15
    if abs(middle) > 80.0:
        remarks.notes.append(
            f"the temperature has no unit and a median of {middle:g}: not used; say --set temperature_unit="
        )
        return None
    return values


def current_factor(values: Float64, unit: Unit, check: ChargeCheck, remarks: Remarks) -> float:
    """What makes currents [S] amperes. A unit that is not stated is taken when the charge moved allows one alone.

    A stated one is asked when the charge moved is not that of the file's counters, of the nominal capacity, or of any cell.
    """
    if unit.by_user or not np.isfinite(check.moved_ah):
        if not unit.name:
            remarks.questions.append(
                "the unit of the current is not stated; say --set current_unit=A or current_unit=mA"
            )
        return 1.0
    if unit.name:
        doubt = check.doubt()
        if doubt and (np.nanmin(values) >= 0 or np.nanmax(values) <= 0):
            doubt += "; all currents have one sign, as if logged without it"
        if doubt:
            counter = ", charge_ah_unit=" if check.counters else ""
            remarks.questions.append(
                f"{doubt}; say --set current_unit=mA or time_unit={counter}, a factor for parallel cells (--set "
                f"current=NAME:0.25), or the right nominal capacity (current_unit={shown_unit(unit.name)} keeps it)"
            )
        return 1.0
    known = [(name, factor) for name, factor in (("A", 1.0), ("mA", 1e-3)) if not check.doubt(factor)]
    if len(known) != 1:
        remarks.questions.append("the unit of the current is not stated; say --set current_unit=A or current_unit=mA")
        return 1.0
    remarks.guesses.append(f"the current is in {known[0][0]}, by the charge moved")
    return known[0][1]


def time_question(swings: Swings, stated: str) -> str:
    """What to ask about a unit of time under which the full swings last too short or too long."""
    if not swings.seconds.size:
        return ""
    longest, shortest = float(swings.seconds.max()), float(swings.seconds.min())
    if SWING_S[0] <= longest and shortest <= SWING_S[1]:
        return ""
    lasts = f"{longest:.3g} s" if longest < SWING_S[0] else f"{shortest / 3600:.0f} h"
    fits = [unit for unit, factor in (("min", 60.0), ("h", 3600.0), ("d", 86400.0), ("ms", 1e-3))
            if SWING_S[0] <= longest * factor and shortest * factor <= SWING_S[1]]  # fmt: skip
    return (
        f"a full charge or discharge would last {lasts} with times in {stated}; say --set time_unit="
        f"{' or '.join(fits) or 'min'} ({stated} keeps it)"
    )
