"""One cell out of one file, as ``edgebat predict`` wants it: charging positive, cycles numbered, the sign checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64, Int64
from edgebat.data.readers.names import unit_of
from edgebat.data.readers.profiles import MEASURED, name_and_factor
from edgebat.data.readers.raw import REST_FRACTION, CurrentSign, RawCell, check_sign, number_cycles, signed
from edgebat.data.readers.records import Records, read_records
from edgebat.errors import DataError


def read_cell(
    path: str | Path,
    mapping: Sequence[str] = (),
    sign: CurrentSign | str | None = None,
    nominal_ah: float | None = None,
) -> RawCell:
    """The cell in a cycler file of any kind.

    mapping: ``"current=I_mA:1e-3"`` names a column and its factor to s, V, A (the unit in its name, or 1, without a factor);
    any key of a profile as well, such as ``"time_unit=min"``. sign: what a positive current means; None takes what the
    layout says, and charging for one that does not say it; it is checked against the voltage in any case. nominal_ah: helps
    to tell units. Without a cycle number a cycle begins where charging follows discharging.
    Raises DataError (AmbiguousFile where a guess would not be safe).
    """
    path = Path(path)
    answers = {} if nominal_ah is None else {"nominal_ah": str(nominal_ah)}
    for key, value in answers_of(mapping).items():
        if key in MEASURED and not name_and_factor(value)[1] and not unit_of(value, key):
            value += ":1"
        answers[key] = value
    found = read_records(path, answers=answers)
    if len(found) > 1:
        names = ", ".join(records.channel for records in found)
        raise DataError(
            f"{path.name} has {len(found)} channels: {names}; say which one with --set channel={found[0].channel}"
        )
    cell = cell_of(found[0], sign)
    return dataclasses.replace(cell, nominal_ah=nominal_ah or cell.nominal_ah)


def answers_of(mapping: Sequence[str]) -> dict[str, str]:
    """Key -> value of ``key=value`` entries. Raises DataError for another form."""
    answers = {}
    for entry in mapping:
        key, equals, value = entry.partition("=")
        if not equals:
            raise DataError(f"--map {entry!r} is not of the form quantity=column:factor, for example current=I_mA:1e-3")
        answers[key.strip()] = value
    return answers


def cell_of(records: Records, sign: CurrentSign | str | None = None) -> RawCell:
    """The samples as one cell; see ``read_cell``. Raises DataError."""
    if sign is None:
        sign = records.sign if records.sign in tuple(CurrentSign) else CurrentSign.POSITIVE_IS_CHARGE
    current = records.current_a if records.sign == "by_step" else signed(records.current_a, sign)
    cycle, remarks = cycles_of(records, current)
    cell = RawCell(
        cell_id=records.path.name.split(".")[0],
        time_s=records.time_s,
        voltage_v=records.voltage_v,
        current_a=current,
        cycle=cycle,
        nominal_ah=records.nominal_ah,
        source=records.path.name,
        remarks=(*records.guesses, *records.notes, *remarks),
        temperature_degc=records.temperature_degc,
    )
    judged = None if records.step_kind is None else records.step_kind != "charge_cv"
    check_sign(cell, judged, None if records.sign == "by_step" else sign)
    return cell


def cycles_of(records: Records, current_a: Float64) -> tuple[Int64, tuple[str, ...]]:
    """Cycle numbers [S] and a remark where they are not the file's: it has none, counts something else, or starts anew.

    current_a: charging positive.
    """
    counted = number_cycles(current_a)
    cycle = records.cycle
    if cycle is None:
        return counted, ()
    changes = np.flatnonzero(np.diff(cycle))
    rest = REST_FRACTION * float(np.abs(current_a).max(initial=0.0))
    within = (current_a[changes] > rest) & (current_a[changes + 1] > rest)
    if (not changes.size and counted[-1] > 2) or (within.size and within.mean() > 0.5):
        what = "changes within charges" if changes.size else "stays the same"
        return counted, (f"the file's cycle number {what}: cycles are counted where charging follows discharging",)
    # Where the clock goes on, a number that falls has started anew.
    falls = (np.diff(cycle) < 0) & (np.diff(records.time_s) >= 0)
    if not falls.any():
        return cycle, ()
    offsets = np.zeros(cycle.size, dtype=np.int64)
    # One that is counted from 0 is not the last one again.
    offsets[1:][falls] = cycle[:-1][falls] + np.maximum(1 - cycle[1:][falls], 0)
    return cycle + np.cumsum(offsets), (f"the cycle number starts anew {int(falls.sum())} times: counted on",)
