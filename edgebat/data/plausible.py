"""Values no cell can have, with the unit or the statement that is to blame: for what is written, read and checked alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64, Int64


@dataclass(frozen=True)
class Implausible:
    """What is wrong with values of a cell. ``str()`` is one sentence and what is suspected."""

    seen: str
    allowed: str
    suspected: str

    def __str__(self) -> str:
        return f"{self.seen}; allowed: {self.allowed}. Suspected: {self.suspected}"


SOH_RANGE = (0.2, 1.3)
"""Whole discharges relative to nominal capacity lie in here."""
VOLTAGE_RANGE_V = (0.5, 5.0)
"""Voltages of one cell lie in here."""
MOST_TAKEN = 1.5
"""No charge takes more than this, relative to nominal capacity."""
RISE, RISE_ROWS = 0.05, 3
"""So much of nominal capacity a cell does not regain; three cycles on each side show that it is no glitch."""
FALL_CYCLES = 3
"""Nor does it lose so much within so few cycles."""
_CAUSES = (
    (1000.0, "a value in mAh or mA that is taken as Ah or A"), (1e-3, "a nominal capacity in mAh; it must be in Ah"),
    (3600.0, "a charge in As that is taken as Ah"), (60.0, "a time in s that is taken as min"),
    (1 / 60.0, "a time in min that is taken as s"), (1 / 3600.0, "a time in h that is taken as s"),
    (10.0, "a nominal capacity of a tenth, or a decimal point that slipped"),
    (0.1, "a nominal capacity of ten times as much, or a decimal point that slipped"),
)  # fmt: skip


def soh_fault(capacity_ah: Float64, nominal_ah: float) -> Implausible | None:
    """What is wrong with unflagged capacities of one cell against its nominal capacity; None when nothing is.

    Single rows may be glitches, and a cell may be aged to nothing: it is the largest tenth that must not be too small and
    the median that must not be too large.
    """
    measured = capacity_ah[np.isfinite(capacity_ah)]
    if not measured.size or not nominal_ah > 0.0:
        return None
    middle, large = float(np.median(measured)), float(np.quantile(measured, 0.9))
    if large >= SOH_RANGE[0] * nominal_ah and middle <= SOH_RANGE[1] * nominal_ah:
        return None
    value = middle if middle > nominal_ah else large
    soh = value / nominal_ah
    percent = 20.0 <= value <= 130.0
    total = measured.size >= 20 and (np.diff(measured) > 0.0).mean() > 0.9 and measured[-1] > 3.0 * measured[0]
    return Implausible(
        f"its capacity is {value:.4g} Ah, {soh:.4g} of the nominal {nominal_ah:g} Ah",
        f"{SOH_RANGE[0]:g} to {SOH_RANGE[1]:g}",
        "capacities that are a running total, not one value per cycle"
        if total
        else "an SOH in percent that is taken as Ah"
        if percent
        else suspected(soh),
    )


@dataclass(frozen=True)
class Jump:
    """Of the capacity, as one cell's does not; ``cycle`` is the first one after it."""

    cycle: int
    words: str

    def __str__(self) -> str:
        return self.words


def capacity_jump(cycle: Int64, capacity_ah: Float64, nominal_ah: float) -> Jump | None:
    """Where the capacities [C] of whole discharges rise, or fall within a few cycles, and stay; None for nowhere."""
    if capacity_ah.size <= 2 * RISE_ROWS:
        return None
    blocks = np.lib.stride_tricks.sliding_window_view(capacity_ah, RISE_ROWS)
    before, after = blocks[:-RISE_ROWS], blocks[RISE_ROWS:]
    near = (
        cycle[RISE_ROWS : RISE_ROWS + after.shape[0]] - cycle[RISE_ROWS - 1 : RISE_ROWS - 1 + after.shape[0]]
        <= FALL_CYCLES
    )
    rise = (after.min(axis=1) - before.max(axis=1)) / nominal_ah
    fall = np.where(near, before.min(axis=1) - after.max(axis=1), 0.0) / nominal_ah
    change, word = (rise, "rises") if rise.max() >= fall.max() else (fall, "falls")
    if float(change.max()) <= RISE:
        return None
    at = int(cycle[int(np.argmax(change)) + RISE_ROWS])
    return Jump(at, f"capacity {word} by {change.max():.0%} of nominal at cycle {at} and stays")


def suspected(ratio: float) -> str:
    """What explains a value ``ratio`` times what it should be."""
    fits = [cause for factor, cause in _CAUSES if 0.5 <= ratio / factor <= 1.3]
    return fits[0] if fits else "a nominal capacity of another cell, or a current in another unit"


def curve_fault(taken_ah: Float64, nominal_ah: float) -> Implausible | None:
    """What is wrong with charge curves of one cell; ``taken_ah`` [N] is the whole charge of each."""
    taken = taken_ah[np.isfinite(taken_ah)]
    if not taken.size or not nominal_ah > 0.0:
        return None
    share = float(np.median(taken)) / nominal_ah
    if share <= MOST_TAKEN:
        return None
    return Implausible(
        f"a charge curve takes {np.median(taken):.4g} Ah (median), {share:.4g} of the nominal {nominal_ah:g} Ah",
        f"at most {MOST_TAKEN:g}",
        "a charge in mAh that is taken as Ah"
        if 30.0 < share < 1500.0
        else "a charge in another unit, or a nominal capacity of another cell",
    )


VOLTAGE_REMEDY = "--set voltage_unit=mV, or for four cells in series --set voltage=NAME:0.25"
"""Answers to ``voltage_fault``, for the command line."""


def voltage_fault(voltage_v: Float64) -> Implausible | None:
    """What is wrong with voltages of one cell, as a grid or as samples."""
    known = voltage_v[np.isfinite(voltage_v)]
    if not known.size:
        return None
    low, high = float(np.quantile(known, 0.05)), float(np.quantile(known, 0.95))
    if low >= VOLTAGE_RANGE_V[0] and high <= VOLTAGE_RANGE_V[1]:
        return None
    middle = float(np.median(known))
    unit = "mV" if middle > 500.0 else "a pack of several cells in series" if middle > 5.0 else "another quantity"
    return Implausible(
        f"voltages reach from {low:.4g} to {high:.4g} V",
        f"{VOLTAGE_RANGE_V[0]:g} to {VOLTAGE_RANGE_V[1]:g} V for one cell",
        unit,
    )
