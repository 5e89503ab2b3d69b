"""What makes a charge's samples useless between two voltages, although each of them is a number."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.plausible import Jump, capacity_jump
from edgebat.data.readers.raw import RawCell

GAP = 3.0
"""A step of the clock this many times the usual one is a gap."""
JUMP = 4.0
"""A rise this many times the usual one is a jump."""
FULL_V, EMPTY_V = 0.05, 0.25
"""A discharge that begins and ends this near to the others is a whole one; at its end the voltage falls fast."""
HELD_V, SETTING_V = 0.008, 0.05
"""Chargers hold a multiple of the second; an instrument that reads further off than the first is not a good one."""
FEWEST_HELD = 30
NOISE_V = 0.003
"""Rise of the voltage that noise cannot hide."""


def window_fault(
    time_s: Float64, voltage_v: Float64, current_a: Float64, low_v: float, high_v: float, step_v: float
) -> str:
    """Why charge cannot be told in steps of ``step_v`` between two voltages; "" where it can.

    A voltage with steps of more than half of that moves the charge between neighbours; one that stands still and jumps was
    not measured in between. A clock that jumps while the voltage does not counts charge that never flowed.
    """
    inside = np.flatnonzero((current_a > 0) & (voltage_v >= low_v) & (voltage_v <= high_v))
    if inside.size < 3:
        return ""
    # Of all samples: a few inside the window lie far apart because they are few.
    values = np.unique(np.round(voltage_v, 6))
    coarse = float(np.diff(values).min()) if values.size > 1 else high_v - low_v
    if coarse > 0.5001 * step_v:
        return f"the voltage has steps of {coarse * 1e3:.0f} mV"
    first, last = max(int(inside[0]) - 1, 0), min(int(inside[-1]) + 2, voltage_v.size)
    rise, step_s = np.diff(voltage_v[first:last]), np.diff(time_s[first:last])
    if not np.median(step_s) > 0.0:
        return "most samples have the time of the one before"
    charging = (current_a[first : last - 1] > 0) & (current_a[first + 1 : last] > 0)
    gap = step_s > GAP * np.median(step_s)
    usual = charging & ~gap
    if (usual & (np.abs(rise) > max(1.5 * step_v, JUMP * float(np.median(np.abs(rise)))))).any():
        return "the voltage jumps inside the window"
    expected = step_s * (rise[usual].sum() / step_s[usual].sum() if usual.any() else 0.0)
    if (charging & gap & (expected > NOISE_V) & (rise < expected / 3.0)).any():
        return "the clock jumps inside the window"
    return ""


def held_voltage(cell: RawCell) -> str:
    """What to say where charges end at a constant voltage that is near to one that chargers hold, and is not it; "" where
    there is none or it is right."""
    rows = (cell.current_a > 0) & (cell.voltage_v > cell.voltage_v.max() - HELD_V / 2)
    if rows.sum() < FEWEST_HELD:
        return ""
    held = float(np.median(cell.voltage_v[rows]))
    usual = round(held / SETTING_V) * SETTING_V
    off_mv = round((held - usual) * 1000.0)
    if abs(off_mv) <= HELD_V * 1000.0:
        return ""
    return (
        f"WARNING: charges end at {held:.3f} V, and chargers hold {usual:.2f} V: if the voltage is read {abs(off_mv)} mV "
        f"too {'high' if off_mv > 0 else 'low'}, estimates are wrong by points"
    )


def two_cells(cell: RawCell, nominal_ah: float) -> Jump | None:
    """What speaks for two cells in one file: whole discharges give more, or much less, from a cycle on."""
    found = []
    for number, rows in cell.cycles():
        voltage, current = cell.voltage_v[rows], cell.current_a[rows]
        flow = np.maximum(-(current[1:] + current[:-1]) / 2.0, 0.0)
        if flow.any():
            given = float((flow * np.diff(cell.time_s[rows])).sum()) / 3600.0
            found.append((number, given, float(voltage.max()), float(voltage[current < 0].min())))
    if not found:
        return None
    number, given, high, low = np.array(found).T
    whole = (high >= np.quantile(high, 0.9) - FULL_V) & (low <= np.quantile(low, 0.1) + EMPTY_V)
    return capacity_jump(number[whole].astype(np.int64), given[whole], nominal_ah)
