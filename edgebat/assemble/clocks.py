"""Clocks as cyclers keep them: they restart with a file, a cycle or a step, pass midnight without a date, are set back."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64
from edgebat.assemble.findings import Finding, plural

DAY_S = 86_400.0
HOUR_S = 3_600.0
SAME_S = 60.0
"""A clock that is set back by an hour or a day does so within this much."""


def typical_step_s(time_s: Float64) -> float:
    """The median time between samples where it passes, s; 1 when it never does."""
    steps = np.diff(time_s)
    steps = steps[steps > 0.0]
    return float(np.median(steps)) if steps.size else 1.0


def continued(time_s: Float64, file: str) -> tuple[Float64, list[Finding]]:
    """``time_s`` [S] without its steps back, and what was done about each kind of them.

    A step back by a day is midnight; one by an hour a clock that was set; any other a clock that starts anew, which goes
    on one typical step later.
    """
    steps = np.diff(time_s)
    back = np.flatnonzero(steps < 0.0)
    if not back.size:
        return time_s, []
    typical = typical_step_s(time_s)
    near = max(SAME_S, 5.0 * typical)
    fell = steps[back]
    midnight = (np.abs(fell + DAY_S) <= near) & (np.ptp(time_s) <= DAY_S + near)
    hour = ~midnight & (np.abs(fell + HOUR_S) <= near)
    steps[back] = np.where(midnight, fell + DAY_S, typical)
    findings = [
        Finding("mended", f"the clock {text} {plural(int(which.sum()), 'time')}; it is continued", file)
        for which, text in (
            (midnight, "passes midnight without a date"),
            (hour, "is set back by an hour"),
            (~midnight & ~hour, "starts anew"),
        )
        if which.any()
    ]
    return np.concatenate(([time_s[0]], time_s[0] + np.cumsum(np.maximum(steps, 0.0)))), findings
