"""A cell in use: currents over time in, voltages and temperatures out, whole stretches at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64
from edgebat.errors import require
from edgebat.lives.cell import CellNow, LivingCell, warmed

AT_ONCE = 0.4
"""Part of the resistance that acts at once; the rest comes and goes with ``LAG_S``."""
LAG_S = 300.0
WARMING_S = 1800.0
"""Time in which a battery comes near to the temperature around it."""
BLOCK_S = 8
"""So long a driver does the same."""
CUTOFF_C = 0.045
"""A charge to full ends at this current."""
LONGEST_S = 36 * 3600
"""Of one charge or use."""
OVER_V = 0.005
"""Above the highest voltage a charger regulates."""
EMPTY = 0.03
"""State of charge below which nothing is taken from a home battery."""
SECONDS_PER_H = 3600.0


@dataclass(frozen=True)
class Stretch:
    """What happens one after the other at one tick; N samples, the first one a tick after what was before."""

    kind: str
    """``use``, ``charge`` or ``rest``."""
    amps: Float64
    """[N] A, charging positive."""
    volts: Float64
    """[N] V."""
    degc: Float64
    """[N] of the cell."""
    dt_s: Float64
    """[N] s since the one before."""

    @property
    def seconds(self) -> float:
        """From before the first to the last."""
        return float(self.dt_s.sum())


@dataclass(frozen=True)
class Surroundings:
    """Around the battery during a stretch."""

    degc: float
    warming_k: float
    """By a steady one-hour current."""


class Battery:
    """A living cell with its charge, its temperature, and what is left of currents before."""

    def __init__(self, cell: LivingCell, age_cycles: float, soc: float) -> None:
        self.cell, self.age_cycles = cell, age_cycles
        self.now: CellNow = cell.at(age_cycles)
        self.charge_ah = soc * self.now.capacity_ah
        self.lag_a, self.degc = 0.0, cell.temperature_degc
        self.throughput_ah = 0.0

    @property
    def soc(self) -> float:
        """Of what the cell holds now."""
        return self.charge_ah / self.now.capacity_ah

    @property
    def over(self) -> bool:
        """The cell was not measured at higher ages."""
        return self.age_cycles >= self.cell.last_age

    def age(self, cycles: float) -> None:
        """So many cycles of the cell's own test older; its state of charge stays."""
        soc = self.soc
        self.age_cycles = min(self.age_cycles + cycles, self.cell.last_age)
        self.now = self.cell.at(self.age_cycles)
        self.charge_ah = soc * self.now.capacity_ah

    def use(
        self, soc: float, rate_c: float, floor: float, pattern: Float64, around: Surroundings, tick_s: float = 1.0
    ) -> Stretch:
        """Discharge by ``soc`` in the ``pattern`` (``driving``, repeated), until ``floor`` or the lowest voltage."""
        mean_a = rate_c * self.cell.nominal_ah
        wanted_ah = max(min(soc * self.now.capacity_ah, self.charge_ah - floor * self.now.capacity_ah), 0.0)
        ticks = min(math.ceil(wanted_ah / mean_a * SECONDS_PER_H / tick_s), int(LONGEST_S / tick_s))
        amps = -mean_a * np.resize(pattern, ticks)
        whole = self._follow("use", amps, tick_s, around)
        low = np.flatnonzero(whole.volts < self.cell.lowest_v)
        return self._take(whole, int(low[0]) if low.size else ticks)

    def charge(
        self, to_soc: float, rate_c: float, power: bool, around: Surroundings, most_h: float, tick_s: float = 1.0
    ) -> Stretch:
        """Charge at constant current or power, then at the highest voltage, until ``to_soc`` or, when that is 1, C/20."""
        now, cell = self.now, self.cell
        end_ah = min(to_soc, 0.9999) * now.capacity_ah
        if end_ah <= self.charge_ah + 1e-3 * now.capacity_ah:
            return self._nothing("charge")
        charge_ah = np.linspace(self.charge_ah, end_ah, 600)
        ohm = self._ohm(np.full(600, max(self.degc, around.degc)), charge_ah)
        rest_v = now.rest_v(charge_ah)
        amps = np.full(charge_ah.size, rate_c * cell.nominal_ah)
        if power:
            watts = rate_c * cell.nominal_ah * float(now.rest_v(np.array([0.5 * now.capacity_ah]))[0])
            for _ in range(3):
                amps = watts / (rest_v + amps * ohm)
        amps = np.minimum(amps, np.maximum((cell.highest_v - rest_v) / ohm, 1e-6))
        done = np.flatnonzero(amps < CUTOFF_C * cell.nominal_ah)
        last = max(int(done[0]) if done.size else amps.size, 2)
        charge_ah, amps = charge_ah[:last], np.maximum(amps[:last], 0.2 * CUTOFF_C * cell.nominal_ah)
        seconds = np.concatenate(([0.0], np.cumsum(np.diff(charge_ah) / ((amps[1:] + amps[:-1]) / 2)))) * SECONDS_PER_H
        ticks = np.arange(tick_s, min(seconds[-1], most_h * SECONDS_PER_H), tick_s)
        whole = self._follow("charge", np.interp(ticks, seconds, amps), tick_s, around)
        return self._take(whole, ticks.size)

    def sun(self, amps: Float64, to_soc: float, around: Surroundings, tick_s: float) -> Stretch:
        """Charge at what the sun gives less what the house takes, A over time, until ``to_soc``; it may be negative."""
        surplus = np.maximum.accumulate(amps > 0)  # before the sun has won, the grid feeds the house
        whole = self._follow("charge", np.where(surplus, amps, 0.0), tick_s, around)
        charge_ah = self.charge_ah + np.cumsum(whole.amps * whole.dt_s) / SECONDS_PER_H
        ends = (
            (charge_ah > to_soc * self.now.capacity_ah)
            | (charge_ah < EMPTY * self.now.capacity_ah)
            | (whole.volts > self.cell.highest_v)
        )
        stop = np.flatnonzero(ends)
        return self._take(whole, int(stop[0]) if stop.size else amps.size)

    def rest(self, dt_s: Float64, around: Surroundings) -> Stretch:
        """Samples at rest, [N] s apart."""
        charge_ah = np.full(dt_s.size, self.charge_ah)
        decay = np.exp(-np.cumsum(dt_s) / LAG_S)
        warming = np.exp(-np.cumsum(dt_s) / WARMING_S)
        degc = around.degc + (self.degc - around.degc) * warming
        volts = self.now.rest_v(charge_ah) + (1 - AT_ONCE) * self._ohm(degc, charge_ah) * self.lag_a * decay
        return self._take(Stretch("rest", np.zeros(dt_s.size), volts, degc, dt_s), dt_s.size)

    def _ohm(self, degc: Float64, charge_ah: Float64) -> Float64:
        return warmed(self.now.resistance_ohm, self.cell.temperature_degc, degc) * self.now.parts(charge_ah)

    def _follow(self, kind: str, amps: Float64, tick_s: float, around: Surroundings) -> Stretch:
        """What currents do to the cell, which stays as it is until it is taken."""
        charge_ah = self.charge_ah + np.cumsum(amps) * (tick_s / SECONDS_PER_H)
        keeps = math.exp(-tick_s / LAG_S)
        lag, _ = require("scipy.signal", extra="data").lfilter([1 - keeps], [1, -keeps], amps, zi=[keeps * self.lag_a])
        strength = float(np.mean(amps**2)) / self.cell.nominal_ah**2 if amps.size else 0.0
        target = around.degc + around.warming_k * strength
        degc = target + (self.degc - target) * np.exp(-tick_s / WARMING_S * np.arange(1, amps.size + 1))
        ohm = self._ohm(degc, charge_ah)
        volts = self.now.rest_v(charge_ah) + ohm * (AT_ONCE * amps + (1 - AT_ONCE) * lag)
        return Stretch(kind, amps, np.minimum(volts, self.cell.highest_v + OVER_V), degc, np.full(amps.size, tick_s))

    def _take(self, whole: Stretch, count: int) -> Stretch:
        """The first samples happen."""
        amps, dt_s = whole.amps[:count], whole.dt_s[:count]
        flowed = amps * dt_s / SECONDS_PER_H
        self.charge_ah = float(np.clip(self.charge_ah + flowed.sum(), 0.0, self.now.capacity_ah))
        self.throughput_ah += float(np.abs(flowed).sum())
        if count:
            past_s = np.cumsum(dt_s[::-1])[::-1] - dt_s  # of each sample until the end
            share = np.exp(-past_s / LAG_S) * -np.expm1(-dt_s / LAG_S)
            self.lag_a = self.lag_a * math.exp(-float(dt_s.sum()) / LAG_S) + float((share * amps).sum())
            self.degc = float(whole.degc[count - 1])
        return Stretch(whole.kind, amps, whole.volts[:count], whole.degc[:count], dt_s)

    def _nothing(self, kind: str) -> Stretch:
        empty = np.zeros(0)
        return Stretch(kind, empty, empty, empty, empty)


def driving(rng: np.random.Generator, pulses: float, regen: float, seconds: int) -> Float64:
    """[seconds] current in parts of its mean, which is 1: stops, cruising, accelerating, and braking, which charges."""
    blocks = max(seconds // BLOCK_S, 1)
    strength = 1 + pulses * (rng.choice([-1.0, 0.0, 2.0], size=blocks, p=[0.4, 0.4, 0.2]))
    braking = rng.random(blocks) < regen
    strength = np.where(braking, -2.0 * rng.random(blocks), strength)
    ramped = np.convolve(np.repeat(strength, BLOCK_S), np.full(3, 1 / 3), mode="same")
    mean = float(ramped.mean())
    return ramped / mean if mean > 0.2 else np.ones(blocks * BLOCK_S)


def sunshine(rng: np.random.Generator, hours: float, clouds: float, tick_s: float) -> Float64:
    """[N] the sun's power over a day in parts of its highest, with clouds of a few minutes."""
    ticks = int(hours * SECONDS_PER_H / tick_s)
    sky = np.sin(np.pi * (np.arange(ticks) + 0.5) / max(ticks, 1))
    knots = rng.random(max(int(hours * 10), 2))
    shade = np.interp(np.linspace(0, knots.size - 1, ticks), np.arange(knots.size), knots)
    return sky * (1 - clouds * rng.random() * shade)
