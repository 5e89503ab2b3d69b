"""What makes a charge's samples useless between two voltages, although each of them is a number."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64


def window_fault(
    time_s: Float64, voltage_v: Float64, current_a: Float64, low_v: float, high_v: float, step_v: float
) -> str:
    """Why charge cannot be told in steps of ``step_v`` between two voltages; "" where it can.

    A voltage with steps of more than half of that moves the charge between neighbours; one that stands still and jumps was
    not measured in between.
    """
    inside = np.flatnonzero((current_a > 0) & (voltage_v >= low_v) & (voltage_v <= high_v))
    if inside.size < 3:
        return ""
    gaps = np.diff(np.unique(np.round(voltage_v[inside], 6)))
    coarse = float(gaps.min()) if gaps.size else high_v - low_v
    # Few samples on a slope are as far apart, but not by multiples of one step.
    if coarse > 0.5001 * step_v and (np.abs(gaps / coarse - np.rint(gaps / coarse)) < 0.02).all():
        return f"the voltage has steps of {coarse * 1e3:.0f} mV"
    first, last = max(int(inside[0]) - 1, 0), min(int(inside[-1]) + 2, voltage_v.size)
    rise, step_s = np.diff(voltage_v[first:last]), np.diff(time_s[first:last])
    charging = (current_a[first : last - 1] > 0) & (current_a[first + 1 : last] > 0)
    if (charging & (np.abs(rise) > 1.5 * step_v) & (step_s <= 3.0 * np.median(step_s))).any():
        return "the voltage jumps inside the window"
    return ""
