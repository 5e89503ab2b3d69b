"""Which direction of the current a file calls positive, judged by what the voltage does over each step of the test.

A step at constant voltage says nothing: its voltage stays. So it is the change of voltage from a step's beginning to its
end that votes, not every sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64, StrArray
from edgebat.data.readers.records import Records
from edgebat.errors import DataError

SWING_V = 0.05
"""A step whose voltage changes by less says nothing."""
REBOUND = 0.3
"""Part of a step's swing that its voltage may swing back: it relaxes in samples whose current is not updated yet."""
REST_FRACTION = 0.02
"""Currents below this part of the largest are a rest."""
CLEAR = 0.9
"""So much of the voltage's changes must agree."""
KIND_SIGN = {"charge_cc": 1.0, "charge_cv": 1.0, "discharge": -1.0}


@dataclass(frozen=True)
class Votes:
    """Volts that rise with a positive current (or fall with a negative one), and volts that contradict."""

    agree_v: float
    contradict_v: float

    @property
    def agreement(self) -> float | None:
        """-1 to 1; None when no step says anything."""
        total = self.agree_v + self.contradict_v
        return (self.agree_v - self.contradict_v) / total if total > 0.0 else None


def votes(voltage_v: Float64, current_a: Float64) -> Votes:
    """What the steps of a file say: runs of samples whose current keeps its direction."""
    rest = REST_FRACTION * float(np.abs(current_a).max(initial=0.0))
    direction = np.where(current_a > rest, 1, np.where(current_a < -rest, -1, 0))
    starts = np.concatenate(([0], np.flatnonzero(np.diff(direction)) + 1, [direction.size]))
    agree = contradict = 0.0
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if direction[start] == 0 or stop - start < 3:
            continue
        run = voltage_v[start:stop]
        # Up and down within one run is what a current looks like that lost its sign: both count.
        top, first, last = float(run.max()), float(run[0]), float(run[-1])
        low = float(run.min())
        up, down = (top - first, top - last) if np.argmax(run) >= np.argmin(run) else (last - low, first - low)
        for change, sense in ((up, 1), (down, -1)):
            if change >= max(SWING_V, REBOUND * (top - low)):
                good = sense == direction[start]
                agree, contradict = agree + change * good, contradict + change * (not good)
    return Votes(agree, contradict)


def from_steps(current_a: Float64, step_kind: StrArray) -> Float64:
    """The current with charging positive, after the kind of step; what is no charge and no discharge stays as it is."""
    sign = np.zeros(current_a.size)
    for kind, value in KIND_SIGN.items():
        sign[step_kind == kind] = value
    signed: Float64 = np.where(sign == 0.0, current_a, sign * np.abs(current_a))
    return signed


def charging_positive(record: Records, name: str) -> tuple[Float64, str]:
    """[S] the current with charging positive, and how that was judged.

    Raises DataError, with what to answer, for a current that contradicts what the file states, agrees in one part and
    contradicts in another, or says nothing where nothing is stated.
    """
    current, stated = record.current_a, record.sign
    if stated == "positive_is_discharge":
        current = -current
    if stated == "by_step" and record.step_kind is not None:
        current = from_steps(current, record.step_kind)
    found = votes(record.voltage_v, current)
    share = found.agreement
    where = f"{name}{f', channel {record.channel}' if record.channel else ''}"
    if share is None:
        if stated == "unknown":
            if (current[np.abs(current) > 0.0] > 0.0).all() and record.step_kind is None and current.any():
                return current, "every step is too short to judge the sign"
            raise DataError(
                f"{where}: no step changes the voltage by {SWING_V:g} V, so the sign of the current cannot be judged; state "
                "it: --set sign=positive_is_charge or --set sign=positive_is_discharge"
            )
        return current, f"sign as the file states it ({stated}); no step contradicts"
    if share >= CLEAR:
        how = "the voltage rises with it" if stated == "unknown" else f"as stated ({stated})"
        return current, f"positive current is charging: {how} (agreement {share:+.2f})"
    if share <= -CLEAR and stated == "unknown":
        return -current, f"positive current is discharging: the voltage falls with it (agreement {share:+.2f})"
    if record.step_kind is not None:
        signed = from_steps(current, record.step_kind)
        again = votes(record.voltage_v, signed).agreement
        if again is not None and again >= CLEAR:
            return signed, f"sign by the kind of step (agreement {again:+.2f})"
    if share <= -CLEAR:
        raise DataError(
            f"{where}: the file states {stated}, but the voltage falls while the current says charging (agreement "
            f"{share:+.2f}, at least +{CLEAR:g} is needed); if the voltage is right, --set sign="
            f"{'positive_is_charge' if stated == 'positive_is_discharge' else 'positive_is_discharge'}"
        )
    raise DataError(
        f"{where}: voltage and current agree in one part and contradict in another (agreement {share:+.2f}, at least "
        f"+{CLEAR:g} is needed). A current logged without its sign looks like this: name a column with the kind of step "
        "(--set step_kind=COLUMN), or leave the file out with --skip"
    )
