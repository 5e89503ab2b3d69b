"""Samples of a battery's life as a BMS would take them, out of the curves a test bench has left.

A corpus keeps, per cycle, the charge taken between voltages, and the capacity; it keeps no samples. So the charge is
drawn again at the constant current its protocol names, a sample per second through the measured voltages; where no curve
was kept, the charge starts above the window, as many do in the field. Discharge and rest between are drawn as straight
lines; only their charge is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float64
from edgebat.bms.samples import Samples, samples_array
from edgebat.cells import CellHistory
from edgebat.errors import DataError
from edgebat.tasks.health.spec import HealthSpec

TICK_MS = 1000
SLOW_MS = 60_000
"""Between samples where nothing is measured."""
LEAD_V = 0.03
"""Drawn below the first voltage of a curve, with its slope, and above the window."""
REST_MS = 600_000
FULL_MV, EMPTY_MV = 4200, 2700
NOISE_SEED = 7


@dataclass(frozen=True)
class Cycle:
    """One discharge and the charge after it: the cycle's number in the corpus and the samples."""

    number: int
    samples: Samples


def drawn_life(
    history: CellHistory, spec: HealthSpec, *, ddegc: int = 250, noise_mv: float = 0.0, most_cycles: int | None = None
) -> Iterator[Cycle]:
    """The cycles of one cell, from the first one with a curve to the last; every cycle number gets its charge.

    noise_mv: standard deviation of seeded noise on the voltage. Raises DataError for a cell without charge curves, or
    whose protocol does not charge at one known current.
    """
    if not history.charge_cycle.size:
        raise DataError(f"cell {'/'.join(history.key)} has no charge curves to replay")
    rate_c = history.condition.charge_rate_c
    if rate_c is None:
        raise DataError(
            f"cell {'/'.join(history.key)} cannot be replayed: its charging current is not known; seen charge_protocol "
            f"{history.condition.charge_protocol!r}, a single rate such as 'CC 0.5C to 4.2 V' is needed"
        )
    rng = np.random.default_rng(NOISE_SEED)
    rate_ma = rate_c * history.nominal_ah * 1000
    curves = {int(n): i for i, n in enumerate(history.charge_cycle)}
    first, last = int(history.charge_cycle[0]), int(history.charge_cycle[-1])
    known = np.isfinite(history.capacity_ah)
    for number in range(first, last + 1 if most_cycles is None else min(last + 1, first + most_cycles)):
        capacity_ah = float(np.interp(number, history.cycle[known], history.capacity_ah[known]))
        charge = None
        if number in curves:
            charge = _charge(history.charge_voltage_v, history.charge_dq_ah[curves[number]], rate_ma, spec)
        if charge is None:
            charge = _charge_from_above(rate_ma, spec)
        mv, ma, dt = (
            np.concatenate(parts) for parts in zip(_discharge(capacity_ah, history.nominal_ah), charge, strict=True)
        )
        if noise_mv:
            mv = mv + rng.normal(0.0, noise_mv, mv.size)
        yield Cycle(number, samples_array(np.rint(mv), np.rint(ma), np.rint(dt), ddegc))


def _charge(
    grid_v: Float64, dq_ah: npt.NDArray[np.floating], rate_ma: float, spec: HealthSpec
) -> tuple[Float64, Float64, Float64] | None:
    """Voltage mV, current mA and dt ms of a charge through the curve; None when it does not cover the window."""
    good = np.isfinite(dq_ah)
    grid, charge_mah = grid_v[good], np.maximum.accumulate(dq_ah[good].astype(np.float64)) * 1000
    if grid.size < 2 or grid[0] > spec.window_start_v + 1e-4 or grid[-1] < spec.window_end_v - 1e-4:
        return None
    slope = (charge_mah[1] - charge_mah[0]) / (grid[1] - grid[0])
    grid = np.concatenate(([grid[0] - LEAD_V], grid))
    charge_mah = np.concatenate(([charge_mah[0] - slope * LEAD_V], charge_mah))
    end = float(np.interp(min(spec.top_v + LEAD_V, grid[-1]), grid, charge_mah))
    seconds = np.arange(0.0, (end - charge_mah[0]) / rate_ma * 3600.0 + 1.0, TICK_MS / 1000)
    # Where a curve stands still, charge has no single voltage: its steps must rise for the inverse.
    rising = np.concatenate(([True], np.diff(charge_mah) > 0))
    volts = np.interp(charge_mah[0] + seconds * rate_ma / 3600.0, charge_mah[rising], grid[rising])
    dt = np.full(volts.size, float(TICK_MS))
    rest = _level(volts[-1] * 1000, FULL_MV, rate_ma, 3), _level(FULL_MV, FULL_MV - 50, 0.0, REST_MS // SLOW_MS)
    parts = [(volts * 1000, np.full(volts.size, rate_ma), dt), *rest]
    mv, ma, dts = (np.concatenate(values) for values in zip(*parts, strict=True))
    return mv, ma, dts


def _charge_from_above(rate_ma: float, spec: HealthSpec) -> tuple[Float64, Float64, Float64]:
    start = _level(spec.window_end_v * 1000 + 50, FULL_MV, rate_ma, 10)
    rest = _level(FULL_MV, FULL_MV - 50, 0.0, REST_MS // SLOW_MS)
    mv, ma, dt = (np.concatenate(values) for values in zip(start, rest, strict=True))
    return mv, ma, dt


def _discharge(capacity_ah: float, nominal_ah: float) -> tuple[Float64, Float64, Float64]:
    """At the one-hour rate until the cycle's capacity has flowed, then a rest."""
    ticks = max(int(capacity_ah / nominal_ah * 3_600_000 / SLOW_MS), 1)
    down = _level(FULL_MV - 100, EMPTY_MV - 10, -capacity_ah * 1000 * 3_600_000 / (SLOW_MS * ticks), ticks)
    rest = _level(EMPTY_MV + 200, EMPTY_MV + 400, 0.0, REST_MS // SLOW_MS)
    mv, ma, dt = (np.concatenate(values) for values in zip(down, rest, strict=True))
    return mv, ma, dt


def _level(from_mv: float, to_mv: float, ma: float, ticks: int) -> tuple[Float64, Float64, Float64]:
    return np.linspace(from_mv, to_mv, ticks), np.full(ticks, ma), np.full(ticks, float(SLOW_MS))
