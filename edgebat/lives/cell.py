"""A cell that can be used in any manner, out of the charge curves that a test bench has left.

A corpus, measured or simulated, keeps for many ages of a cell its capacity and its charge curve, at one current and mostly
not from empty to full. Between ages both are interpolated. Any other current shifts the voltage by resistance times the
difference of currents, so the rest voltage is the measured curve less the ohmic drop of its own current. What lies below the
first measured voltage dies away; what is left of the measured capacity lies above the last, most of it taken at constant
voltage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgebat.arrays import Float64
from edgebat.cells import CellHistory
from edgebat.errors import DataError

STEPS = 401
"""Points of a voltage curve from empty to full."""
AGES = 24
"""At most so many of a cell's charge curves."""
SMOOTHED = 5
"""Neighbouring capacities and curves that are averaged: a life is not a series of measuring errors."""
GROWTH = 3.0
"""Of the resistance with the capacity lost: a cell at 80 % has 1.6 times as much."""
ACTIVATION_K = 2500.0
"""Of the resistance with temperature: it doubles from 25 to 2 degC."""
TAIL = ((0.85, 0.08), (0.15, 0.35))
"""Below the first measured voltage dq/dV dies away as a sum of exponentials: parts and V. So it does in the whole charges of
seven of Tongji's NCA cells, which hold 6 to 8 % below 3.6 V at 1C."""
MOST_ABOVE = 0.3
"""Part of the capacity above the last measured voltage, the charge at constant voltage with it; a quarter at Tongji's."""
PROFILE = (0.3, 4.0)
"""Least and largest resistance over charge, in parts of the mean."""
KELVIN = 273.15


@dataclass(frozen=True)
class CellNow:
    """A cell at one age."""

    capacity_ah: float
    """From empty to full at the temperature and current of its test."""
    curve_v: Float64
    """[STEPS] voltage while it is charged at ``rate_a``, at equally spaced charges from empty to full, ascending."""
    rate_a: float
    resistance_ohm: float
    """At the temperature of its test, all of it, as after minutes of current; a mean over the charge."""
    profile: Float64
    """[STEPS] resistance over charge, in parts of it."""

    def rest_v(self, charge_ah: Float64) -> Float64:
        """[N] V without current at a charge in Ah above empty."""
        drop_v = self.rate_a * self.resistance_ohm * self.profile
        return self._over(charge_ah, self.curve_v - drop_v)

    def parts(self, charge_ah: Float64) -> Float64:
        """[N] ``profile`` at a charge in Ah above empty."""
        return self._over(charge_ah, self.profile)

    def _over(self, charge_ah: Float64, values: Float64) -> Float64:
        filled: Float64 = np.asarray(charge_ah) * ((STEPS - 1) / self.capacity_ah)
        return np.interp(filled, np.arange(STEPS), values)


class LivingCell(Protocol):
    """What a life needs of a cell, wherever it comes from."""

    name: str
    nominal_ah: float
    temperature_degc: float
    """Of its test: its resistance is known there."""
    lowest_v: float
    highest_v: float
    first_age: float
    last_age: float
    """Cycles of its own test between which it is known."""

    def at(self, age_cycles: float) -> CellNow:
        """The cell after so many cycles of its own test."""
        ...


class CurvesCell:
    """A ``LivingCell`` from a history with charge curves; ``drop_v``: its ohmic drop at the one-hour current when new;
    ``open_v`` [STEPS]: rest voltages of new cells like it from empty to full, from which its resistance over charge follows.

    Raises DataError for one without curves, or whose charging current or temperature is not stated.
    """

    def __init__(self, history: CellHistory, drop_v: float, open_v: Float64 | None = None) -> None:
        condition = history.condition
        rate_c, degc = condition.charge_rate_c, condition.temperature_degc
        self.name = "/".join(history.key)
        known = np.isfinite(history.capacity_ah) & ~history.flagged
        if rate_c is None or degc is None or known.sum() < SMOOTHED or history.charge_cycle.size < SMOOTHED:
            raise DataError(
                f"cell {self.name} cannot live: a constant charging current (seen {condition.charge_protocol!r}), a "
                f"temperature (seen {degc}), and {SMOOTHED} capacities and charge curves (seen {known.sum()} and "
                f"{history.charge_cycle.size}) are needed; choose another with --cell"
            )
        self.nominal_ah, self.temperature_degc = history.nominal_ah, degc
        self.highest_v = _charge_ends_v(condition.charge_protocol)
        self.lowest_v = 2.7 if self.highest_v > 3.8 else 2.3
        self.rate_a = rate_c * history.nominal_ah
        self._drop_ohm = drop_v / history.nominal_ah
        self._cycle = history.cycle[known].astype(np.float64)
        self._capacity_ah = _smoothed(history.capacity_ah[known])
        chosen = np.unique(np.linspace(0, history.charge_cycle.size - 1, AGES).round().astype(int))
        curves = [(float(history.charge_cycle[i]), self._curve(history, int(i))) for i in chosen]
        whole = [(age, curve) for age, curve in curves if curve is not None]
        if len(whole) < 2:
            raise DataError(
                f"cell {self.name} cannot live: none of its charge curves is whole; choose another with --cell"
            )
        self._ages = np.array([age for age, _ in whole])
        self._curves = np.stack([curve for _, curve in whole])
        self._profile = np.ones(STEPS) if open_v is None else self._profile_of(open_v)
        self.first_age, self.last_age = float(self._ages[0]), float(min(self._ages[-1], self._cycle[-1]))

    def capacity_at(self, age_cycles: float) -> float:
        """Ah after so many cycles of its test."""
        return float(np.interp(age_cycles, self._cycle, self._capacity_ah))

    def at(self, age_cycles: float) -> CellNow:
        """The cell after so many cycles of its own test."""
        after = int(np.clip(np.searchsorted(self._ages, age_cycles), 1, self._ages.size - 1))
        before = after - 1
        part = float(np.clip((age_cycles - self._ages[before]) / (self._ages[after] - self._ages[before]), 0.0, 1.0))
        curve: Float64 = (1 - part) * self._curves[before] + part * self._curves[after]
        return CellNow(
            self.capacity_at(age_cycles), curve, self.rate_a, self._resistance_ohm(age_cycles), self._profile
        )

    def _profile_of(self, open_v: Float64) -> Float64:
        """Resistance over charge of the new cell: what lies between its curve and the rest voltages of others, smoothed."""
        drop_v = self.rate_a * self._resistance_ohm(float(self._ages[0]))
        parts = np.clip((self._curves[0] - open_v) / drop_v, *PROFILE)
        width = STEPS // 16
        padded = np.pad(parts, width, mode="edge")
        smooth: Float64 = np.convolve(padded, np.full(2 * width + 1, 1 / (2 * width + 1)), mode="valid")
        return smooth

    def _resistance_ohm(self, age_cycles: float) -> float:
        lost = 1.0 - self.capacity_at(age_cycles) / float(self._capacity_ah[0])
        return self._drop_ohm * (1.0 + GROWTH * max(lost, 0.0))

    def _curve(self, history: CellHistory, index: int) -> Float64 | None:
        """[STEPS] voltage from empty to full at the cell's own current; None when too little of it was measured."""
        near = history.charge_dq_ah[max(index - SMOOTHED // 2, 0) : index + SMOOTHED // 2 + 1].astype(np.float64)
        good = np.isfinite(near).all(axis=0)
        if good.sum() < SMOOTHED:
            return None
        volts = history.charge_voltage_v[good]
        charge = np.maximum.accumulate(near[:, good].mean(axis=0))
        charge = charge - charge[0]
        age = float(history.charge_cycle[index])
        capacity, ohm = self.capacity_at(age), self._resistance_ohm(age)
        # Above: to the end of the charge, and on to where the last of a constant voltage would be at the full current.
        end_v = max(self.highest_v + ohm * (self.rate_a - self.nominal_ah / 20), volts[-1] + 1e-3)
        lowest_v = min(self.lowest_v + ohm * (self.rate_a + self.nominal_ah / 5), volts[0] - 0.01)
        lower_v = np.linspace(lowest_v, volts[0], 100)
        lower_ah = _tail(lower_v - volts[0]) * (charge[3] - charge[0]) / (volts[3] - volts[0])
        left = max(capacity - charge[-1], 0.05 * capacity)
        below = min(max(lower_ah[-1], left - MOST_ABOVE * capacity), 0.8 * left)
        lower_ah *= below / lower_ah[-1]
        charge *= min((capacity - below) / charge[-1] * 0.98, 1.0)
        whole_ah = np.concatenate((lower_ah[:-1], below + charge, [capacity]))
        whole_v = np.concatenate((lower_v[:-1], volts, [end_v]))
        curve = np.interp(np.linspace(0.0, capacity, STEPS), whole_ah, whole_v)
        ascending: Float64 = np.maximum.accumulate(curve) + 1e-9 * np.arange(STEPS)
        return ascending


def _tail(below_v: Float64) -> Float64:
    """[N] charge up to voltages below the first measured one, ascending, V; in parts of dq/dV there."""
    charge = np.array([part * width * np.exp(below_v / width) for part, width in TAIL]).sum(axis=0)
    tail: Float64 = charge - charge[0]
    return tail


def warmed(resistance_ohm: float, test_degc: float, degc: Float64) -> Float64:
    """[N] resistance at other temperatures than that of the test."""
    hot: Float64 = resistance_ohm * np.exp(ACTIVATION_K * (1.0 / (degc + KELVIN) - 1.0 / (test_degc + KELVIN)))
    return hot


def _charge_ends_v(protocol: str) -> float:
    found = re.search(r"to (\d(?:\.\d+)?) ?V", protocol)
    return float(found[1]) if found else 4.2


def _smoothed(capacity_ah: Float64) -> Float64:
    """Medians, then means of neighbours: measured capacities without glitches."""
    half = SMOOTHED // 2
    for middle in (np.median, np.mean):
        padded = np.pad(capacity_ah, half, mode="edge")
        capacity_ah = middle(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED), axis=-1)
    return capacity_ah
