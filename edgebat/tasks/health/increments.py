"""Charge increments: how much charge a cell takes between neighbouring voltages of a window while it is charged.

One rule for cycler files, corpora and the firmware: a voltage level is reached at the *first* sample at or above it,
and the charge there is interpolated between that sample and the one before. Noise makes a voltage dip below a level
again; the first crossing ignores that, and its small bias is the same for every level, so it leaves the differences.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Bool, Float64
from edgebat.cells import SECONDS_PER_HOUR
from edgebat.errors import DataError
from edgebat.tasks.health.spec import HealthSpec

CURRENT_FLOOR_C = 0.02
"""Below this fraction of the 1 h rate a cell rests; cycler offsets are smaller, charging currents larger."""
CURRENT_TOLERANCE = 0.05
"""Constant current may wander by this fraction of its median inside the window."""
PAUSE_S, PAUSE_BELOW_V = 60.0, 0.15
"""A longer pause of a charge leaves its mark on the voltage for about so many volts after it."""
CYCLE_PART = 1 / 20
"""Net discharge, as a fraction of nominal capacity, after which a charge is another one; as on the device."""


class WindowStatus(StrEnum):
    """Why a charge gives increments, or gives none."""

    OK = "ok"
    NO_CHARGE = "no charging current"
    STARTS_ABOVE = "the charge starts above the window"
    ENDS_BELOW = "the charge ends below the window"
    INTERRUPTED = "the charge is interrupted inside the window"
    PAUSED = "the charge pauses shortly below the window"
    NOT_CONSTANT = "the current is not constant inside the window"
    SPARSE = "too few samples inside the window"


def charge_increments(
    time_s: npt.ArrayLike, voltage_v: npt.ArrayLike, current_a: npt.ArrayLike, nominal_ah: float, spec: HealthSpec
) -> tuple[Float64 | None, WindowStatus]:
    """Increments of one cycle's constant-current charge.

    ``time_s``, ``voltage_v``, ``current_a``: samples [S] of one cycle in time order (s, V, A, charging positive); rest
    and discharge may be among them. Charge is counted by the trapezoidal rule.

    Returns ``(increments float64 [spec.increments] as fractions of nominal_ah, OK)`` or ``(None, reason)``: real
    charges often miss the window, and a reason is then more useful than an exception.
    Raises DataError for arrays of different length, non-finite samples or time running backwards.
    """
    time, voltage, current = _samples(time_s, voltage_v, current_a)
    if not nominal_ah > 0.0:
        raise DataError(f"nominal capacity is {nominal_ah} Ah; it must be above 0")
    levels = spec.levels_v
    charging = current > CURRENT_FLOOR_C * nominal_ah
    if not charging.any():
        return None, WindowStatus.NO_CHARGE

    # The charge that reaches the window's end is the one measured; look at the run of charging samples around it.
    above = np.flatnonzero(charging & (voltage >= levels[-1]))
    if above.size == 0:
        return None, WindowStatus.ENDS_BELOW
    last = int(above[0])
    rests = np.flatnonzero(~charging[:last])
    first = int(rests[-1]) + 1 if rests.size else 0
    if voltage[first] >= levels[0]:
        interrupted = bool(rests.size) and bool((charging[:first] & (voltage[:first] < levels[0])).any())
        return None, WindowStatus.INTERRUPTED if interrupted else WindowStatus.STARTS_ABOVE
    if (paused := _paused(time, voltage, current, charging, first, levels[0], nominal_ah)) is not None:
        return None, paused
    time, voltage, current = time[first : last + 1], voltage[first : last + 1], current[first : last + 1]

    inside = voltage >= levels[0]
    if int(inside.sum()) < spec.increments:
        return None, WindowStatus.SPARSE
    typical = float(np.median(current[inside]))
    if float(np.abs(current[inside] - typical).max()) > CURRENT_TOLERANCE * typical:
        return None, WindowStatus.NOT_CONSTANT

    charge_as = np.concatenate(([0.0], np.cumsum(np.diff(time) * (current[1:] + current[:-1]) / 2.0)))
    reached = np.argmax(voltage[None, :] >= levels[:, None], axis=1)
    below, span = voltage[reached - 1], voltage[reached] - voltage[reached - 1]
    part = (levels - below) / span
    at_level = charge_as[reached - 1] + part * (charge_as[reached] - charge_as[reached - 1])
    return np.diff(at_level) / (SECONDS_PER_HOUR * nominal_ah), WindowStatus.OK


def _paused(
    time: Float64, voltage: Float64, current: Float64, charging: Bool, first: int, low_v: float, nominal_ah: float
) -> WindowStatus | None:
    """What a pause before sample ``first`` spoils: a charge that was in the window and comes from below again (the device
    counts no second one either), or one whose voltage has not recovered from it yet."""
    earlier = np.flatnonzero(charging[:first])
    if not earlier.size:
        return None
    charge_as = np.concatenate(([0.0], np.cumsum(np.diff(time) * (current[1:] + current[:-1]) / 2.0)))[: first + 1]
    discharged = np.maximum.accumulate(charge_as[::-1])[::-1] - charge_as[-1]
    same = earlier[discharged[earlier] < CYCLE_PART * nominal_ah * SECONDS_PER_HOUR]
    if (voltage[same] >= low_v).any():
        return WindowStatus.INTERRUPTED
    ends = np.append(same[1:], first)
    near = (time[ends] - time[same] > PAUSE_S) & (ends - same > 1) & (voltage[same] >= low_v - PAUSE_BELOW_V)
    return WindowStatus.PAUSED if near.any() else None


def increments_from_curve(
    voltage_v: npt.ArrayLike, dq_ah: npt.ArrayLike, nominal_ah: npt.ArrayLike, spec: HealthSpec
) -> Float64:
    """Increments out of charge curves on a common voltage grid, linear between grid points.

    ``voltage_v`` [V] ascending, V; ``dq_ah`` [N, V] charge taken since the first voltage, NaN where a curve does not
    reach; ``nominal_ah`` [N] or scalar. Returns float64 [N, spec.increments], a row of NaN where the window is not
    covered. Raises DataError for shapes that do not fit or a grid that does not ascend.
    """
    grid = np.asarray(voltage_v, dtype=np.float64)
    curves = np.asarray(dq_ah, dtype=np.float64)
    if grid.ndim != 1 or curves.ndim != 2 or curves.shape[1] != grid.size or grid.size < 2:
        raise DataError(f"charge curves have shape {curves.shape} on a voltage grid of shape {grid.shape}")
    if not (np.diff(grid) > 0.0).all():
        raise DataError("the voltage grid of the charge curves must ascend")
    nominal = np.broadcast_to(np.asarray(nominal_ah, dtype=np.float64), (curves.shape[0],))
    # Grids are often stored as float32: 3.6 reads back as 3.5999999. A tenth of a millivolt of room costs nothing.
    levels = spec.levels_v
    if levels[0] < grid[0] - 1e-4 or levels[-1] > grid[-1] + 1e-4:
        return np.full((curves.shape[0], spec.increments), np.nan)
    levels = np.clip(levels, grid[0], grid[-1])
    right = np.clip(np.searchsorted(grid, levels, side="left"), 1, grid.size - 1)
    part = (levels - grid[right - 1]) / (grid[right] - grid[right - 1])
    # A level on a grid point takes that point alone: its neighbour may be NaN.
    low = np.where(part == 1.0, 0.0, curves[:, right - 1] * (1.0 - part))
    high = np.where(part == 0.0, 0.0, curves[:, right] * part)
    increments = np.diff(low + high, axis=1) / nominal[:, None]
    # No cell rises by a step of the window without taking charge: such a curve does not really cover it.
    increments[~(increments > 0.0).all(axis=1)] = np.nan
    return increments


def _samples(*arrays: Any) -> tuple[Float64, Float64, Float64]:
    time, voltage, current = (np.asarray(a, dtype=np.float64) for a in arrays)
    if not (time.ndim == voltage.ndim == current.ndim == 1 and time.size == voltage.size == current.size):
        raise DataError(
            "time, voltage and current must be vectors of one length; "
            f"got {time.shape}, {voltage.shape}, {current.shape}"
        )
    for name, values in (("time", time), ("voltage", voltage), ("current", current)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} has a value that is not finite at sample {int(np.argmin(np.isfinite(values)))}")
    steps = np.diff(time)
    if (steps < 0.0).any():
        raise DataError(f"time runs backwards at sample {int(np.argmax(steps < 0.0)) + 1}")
    return time, voltage, current
