"""The current of a file: one column, or one for charging and one for discharging."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.choose import Chosen, Remarks
from edgebat.data.readers.profiles import HALVES

NOTHING = 1e-3
"""Part of the largest current that an instrument shows where none flows."""


def amperes(chosen: Chosen, remarks: Remarks) -> Float64:
    """The current [S] in its unit's A, NaN for none; of two columns charging minus discharging, whatever signs they have.

    Questions where a column of one direction is all there is, where it has both signs, or where both flow in one row.
    """
    if "current" in chosen.roles:
        values = chosen.measured("current")
        if chosen.half and not (np.nanmin(values, initial=0.0) < 0.0 < np.nanmax(values, initial=0.0)):
            other = next(half for half in HALVES if half != chosen.half)
            remarks.questions.append(
                f"column {chosen.name('current')!r} is the {chosen.half.replace('_', ' ')} by its name and has one sign; "
                f"say --set {other}=NAME for the other direction, or --set current=NAME where it holds both"
            )
        return values
    charge, discharge = (chosen.measured(half) for half in HALVES)
    names = [chosen.name(half) for half in HALVES]
    nothing = NOTHING * max(float(np.nanmax(np.abs(half), initial=0.0)) for half in (charge, discharge))
    for half, name in zip((charge, discharge), names, strict=True):
        if (half > nothing).any() and (half < -nothing).any():
            remarks.questions.append(
                f"column {name!r} has both signs and is one direction by its name; say --set current=NAME of the one column "
                "that holds the battery's current"
            )
    both = (np.abs(charge) > nothing) & (np.abs(discharge) > nothing)
    if both.any():
        remarks.questions.append(
            f"{names[0]!r} and {names[1]!r} both flow in {int(both.sum())} rows, first row {int(np.argmax(both)) + 1}: "
            "limits, or two converters; say --set current=NAME of a column with the battery's own current"
        )
    units = [chosen.unit(half).name for half in HALVES]
    if (not units[0]) != (not units[1]):
        role = HALVES[units.index("")]
        remarks.questions.append(f"the unit of {chosen.name(role)!r} is not stated; say --set {role}_unit=A or mA")
    remarks.guesses.append(f"the current is {names[0]!r} minus {names[1]!r}")
    # In a file that writes no zeros an empty cell is one.
    zeros = bool((charge == 0.0).any() or (discharge == 0.0).any())
    none = np.isnan(charge) & np.isnan(discharge) & zeros
    joined = np.abs(np.nan_to_num(charge)) - np.abs(np.nan_to_num(discharge))
    return np.where(none, np.nan, joined)
