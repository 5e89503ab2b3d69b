"""What every cycler reader returns, and the check that its current has the sign it claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Bool, Float64, Int64
from edgebat.errors import DataError

SWING_V = 0.1
"""A voltage movement that counts as charging or discharging; relaxation and noise are smaller or without current."""
MAX_SIGN_SAMPLES = 200_000
END_V = 0.02
"""What flows this close to the ends of a swing does not count: it may be at constant voltage."""
MAX_WRONG = 0.05
"""Share of the charge that may flow against the voltage: ripples of a field log."""
MAX_WRONG_SWING = 0.25
"""Share of the largest swing's charge that a single swing may move against its voltage."""
REST_FRACTION = 0.02
"""Currents below this fraction of the largest are a rest."""


class CurrentSign(StrEnum):
    """Which direction a file calls positive. There is no default in the field, so there is none here."""

    POSITIVE_IS_CHARGE = "positive_is_charge"
    """BDF, BatteryML, LibreSolar."""
    POSITIVE_IS_DISCHARGE = "positive_is_discharge"
    """foxBMS, PyBaMM."""


@dataclass(frozen=True)
class RawCell:
    """Samples of one cell in time order. Checked on construction; raises DataError.

    ``time_s``, ``voltage_v``, ``current_a`` (charging positive): float64 [S]; ``cycle``: int64 [S], never falling. Time
    never falls inside a cycle, and may start anew with each. ``nominal_ah`` is None where the source does not say.
    ``remarks``: what was guessed, and what was left out.
    """

    cell_id: str
    time_s: Float64
    voltage_v: Float64
    current_a: Float64
    cycle: Int64
    nominal_ah: float | None = None
    source: str = ""
    remarks: tuple[str, ...] = ()
    temperature_degc: Float64 | None = None
    """[S], NaN where a sample has none; None: the source has none."""

    def __post_init__(self) -> None:
        where = f"cell {self.cell_id!r}{f' in {self.source}' if self.source else ''}"
        for name in ("time_s", "voltage_v", "current_a"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.size == 0:
                raise DataError(f"{where}: {name} has shape {values.shape}; a vector of samples is needed")
            if not np.isfinite(values).all():
                raise DataError(f"{where}: {name} is not a number at sample {int(np.argmin(np.isfinite(values)))}")
            object.__setattr__(self, name, values)
        object.__setattr__(self, "cycle", whole(self.cycle, where))
        sizes = {name: getattr(self, name).size for name in ("time_s", "voltage_v", "current_a", "cycle")}
        if self.temperature_degc is not None:
            sizes["temperature_degc"] = self.temperature_degc.size
        if len(set(sizes.values())) != 1:
            raise DataError(f"{where}: the columns differ in length: {sizes}")
        steps = np.diff(self.cycle)
        if (steps < 0).any():
            at = int(np.argmax(steps < 0)) + 1
            before, after = self.cycle[at - 1], self.cycle[at]
            raise DataError(
                f"{where}: the cycle number falls from {before} to {after} at sample {at}; if a second series begins there, "
                "split the file, or name the column that tells them apart (--set channel_column=NAME)"
            )
        back = (np.diff(self.time_s) < 0.0) & (steps == 0)
        if back.any():
            at = int(np.argmax(back)) + 1
            raise DataError(
                f"{where}: time falls from {self.time_s[at - 1]} s to {self.time_s[at]} s at sample {at}; a clock that "
                "starts anew needs a column with the cycle, and 'edgebat data add' continues one"
            )
        if self.nominal_ah is not None and not 0.0 < self.nominal_ah < np.inf:
            raise DataError(f"{where}: nominal capacity {self.nominal_ah} Ah; it must be above 0")

    def cycles(self) -> Iterator[tuple[int, slice]]:
        """Cycle number and the samples of it, in order."""
        starts = np.concatenate(([0], np.flatnonzero(np.diff(self.cycle)) + 1))
        ends = np.append(starts[1:], self.cycle.size)
        for start, end in zip(starts, ends, strict=True):
            yield int(self.cycle[start]), slice(int(start), int(end))


def whole(cycle: npt.ArrayLike, where: str) -> Int64:
    """``cycle`` as int64. Raises DataError when a value is not a whole number."""
    numbers = np.asarray(cycle)
    if numbers.dtype.kind not in "iu" and not (np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()):
        raise DataError(f"{where}: cycle numbers must be whole")
    return numbers.astype(np.int64)


def signed(current_a: Float64, sign: CurrentSign | str) -> Float64:
    """``current_a`` with charging positive. Raises DataError for an unknown ``sign``."""
    try:
        sign = CurrentSign(sign)
    except ValueError:
        raise DataError(f"current sign {sign!r} is unknown; allowed: {[s.value for s in CurrentSign]}") from None
    return current_a if sign is CurrentSign.POSITIVE_IS_CHARGE else -current_a


def check_sign(cell: RawCell, judged: Bool | None = None, read_as: CurrentSign | str | None = None) -> None:
    """Refuse a cell whose voltage moves against its current: raises DataError, saying what to change.

    The voltage is cut into swings of at least 0.1 V; the charge moved in each must have the swing's direction. What flows
    at the ends of a swing does not count: at constant voltage a charge goes on while nothing rises. judged: bool [S],
    samples that may count (all but constant-voltage steps, say). Data without a swing passes, for it says nothing.
    read_as: the sign by which the file was read.
    """
    moved, first = swing_charges(cell.time_s, cell.voltage_v, cell.current_a, judged)
    total, largest = float(np.abs(moved).sum()), float(np.abs(moved).max(initial=0.0))
    wrong = moved < -0.02 * largest
    if not wrong.any() or (moved.min() > -MAX_WRONG_SWING * largest and -float(moved[wrong].sum()) < MAX_WRONG * total):
        return
    agreement = float(moved.sum()) / total
    where = f"cell {cell.cell_id!r}{f' in {cell.source}' if cell.source else ''}"
    if agreement <= -1 + 2 * MAX_WRONG:
        raise DataError(
            f"{where}: the voltage falls while the current says charging. The current is flipped; read it with the other "
            f"sign: {' or '.join(f'--sign {s.value}' for s in CurrentSign if s != read_as)}"
        )
    at = int(first[np.argmax(wrong)])
    raise DataError(
        f"{where}: voltage and current agree in one part and contradict in another, first in cycle {cell.cycle[at]} (sample "
        f"{at}). A current logged without its sign looks like this, and two files with different signs; give it one "
        "sign, by the step type"
    )


def swing_charges(
    time_s: Float64, voltage_v: Float64, current_a: Float64, judged: Bool | None = None
) -> tuple[Float64, Int64]:
    """Charge in As moved within each swing of the voltage, positive in the swing's direction; and first samples."""
    stride = time_s.size // MAX_SIGN_SAMPLES + 1
    time, voltage, current = time_s[::stride], voltage_v[::stride], current_a[::stride]
    turns = np.array(turning_points(voltage))
    if turns.size < 2:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    # Time may start anew with a cycle; that step carries no charge.
    step = np.maximum(np.diff(time, prepend=time[0]), 0.0)
    charge = step * (current + np.concatenate(([current[0]], current[:-1]))) / 2.0
    swing = np.clip(np.searchsorted(turns, np.arange(time.size), side="left") - 1, 0, turns.size - 2)
    ends = voltage[turns]
    low, high = np.minimum(ends[:-1], ends[1:])[swing], np.maximum(ends[:-1], ends[1:])[swing]
    counts = (voltage > low + END_V) & (voltage < high - END_V)
    if judged is not None:
        counts &= judged[::stride]
    moved = np.bincount(swing, weights=np.where(counts, charge, 0.0), minlength=turns.size - 1)
    rest = REST_FRACTION * float(np.abs(current).max()) * float(step.sum()) * SWING_V
    direction = np.sign(np.diff(ends))
    directed: Float64 = moved * (direction if np.abs(moved).sum() > rest else 0.0)
    return directed, (turns[:-1] * stride).astype(np.int64)


def number_cycles(current_a: Float64) -> Int64:
    """Cycle numbers [S], from 1, for data without any: a new one begins where charging follows discharging."""
    rest = REST_FRACTION * float(np.abs(current_a).max(initial=0.0))
    direction = np.where(current_a > rest, 1, np.where(current_a < -rest, -1, 0))
    moving = np.flatnonzero(direction)
    begins = moving[1:][(direction[moving[1:]] > 0) & (direction[moving[:-1]] < 0)]
    cycle = np.ones(current_a.size, dtype=np.int64)
    cycle[begins] += 1
    return np.cumsum(cycle - 1) + 1


def turning_points(voltage: Float64, swing_v: float = SWING_V) -> list[int]:
    """Samples where the voltage turns by at least ``swing_v``, with both ends; ripples below that are not turns."""
    turns, extreme, direction = [0], 0, 0
    values = voltage.tolist()
    for at, value in enumerate(values):
        if direction == 0:
            if abs(value - values[turns[0]]) >= swing_v:
                direction, extreme = (1 if value > values[turns[0]] else -1), at
        elif (value - values[extreme]) * direction >= 0.0:
            extreme = at
        elif (values[extreme] - value) * direction >= swing_v:
            turns.append(extreme)
            direction, extreme = -direction, at
    if direction:
        turns.append(extreme)
    return turns
