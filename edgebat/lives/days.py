"""A life day by day: what the battery does, when the board has power, what happens to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64
from edgebat.bms.samples import VALID_ALL, Samples, samples_array
from edgebat.lives.battery import Battery, Stretch, Surroundings, driving, sunshine
from edgebat.lives.cell import LivingCell
from edgebat.lives.settings import Between, Charge, Event, Life, Sensors, Use

DAY_S, HOUR_S = 86_400.0, 3600.0
AWAKE_S = 900.0
"""After a use or a charge a board stays awake so long."""
WAKES_S = 10
"""Between power-up and the first current a board samples so many seconds at rest."""
REST_TICK_S = 60.0
PATTERN_S = 3600
WARMEST_H = 15.0
NO_DEGC = -40.0
SLOW_C = 0.25
DOUBLES_K = 10.0
FIRST_SOC = 0.6


@dataclass(frozen=True)
class Samplings:
    """The board samples: ``kind`` of what the battery does, clock of the life before the first sample in s."""

    kind: str
    begins_s: float
    samples: Samples


@dataclass(frozen=True)
class Idle:
    """No samples for so many s, and the board knows."""

    begins_s: float
    seconds: float


@dataclass(frozen=True)
class PowerOn:
    """The power was off for so many s; 0: for an instant. ``known``: the board is told how long."""

    begins_s: float
    seconds: float
    known: bool


@dataclass(frozen=True)
class Happened:
    """An event of the life; ``capacity_ah`` of the cell after it."""

    begins_s: float
    event: Event
    capacity_ah: float


@dataclass(frozen=True)
class DayOver:
    """A day has passed; capacity in Ah and equivalent full cycles so far."""

    day: int
    capacity_ah: float
    efc: float
    soc: float


Step = Samplings | Idle | PowerOn | Happened | DayOver


class Living:
    """The steps of one life, drawn from a seed; the same arguments give the same samples."""

    def __init__(self, life: Life, cell: LivingCell, seed: int) -> None:
        self.life, self.cell = life, cell
        self._rng = np.random.default_rng(seed)
        self._noise = np.random.default_rng(seed + 1_000_003)
        self.battery = Battery(cell, self._age_at(self._draw(life.soh)), FIRST_SOC)
        self.clock_s = 0.0
        self._awake_until_s = AWAKE_S
        self._asleep_s: float | None = None
        """When the board fell asleep."""
        self._mean_degc = self._draw(life.climate.mean_degc)
        self._weather_k = 0.0
        self._sensors = _Sensors(life.sensors, cell.nominal_ah, self._rng, self._noise)

    def steps(self) -> Iterator[Step]:
        """All that happens, until the days are over or the cell is older than it was measured."""
        life, battery = self.life, self.battery
        for day in range(life.days):
            self._weather_k = self._rng.normal(0.0, life.climate.weather_k) if life.climate.weather_k else 0.0
            for event in life.events:
                if event.day == day:
                    yield from self._happen(event)
            before_ah = battery.throughput_ah
            for activity in life.day:
                if day % 7 in activity.weekdays and self._rng.random() < activity.chance:
                    yield from self._act(activity, day)
            yield from self._rest((day + 1) * DAY_S)
            yield from self._nap()
            efc = (battery.throughput_ah - before_ah) / (2 * self.cell.nominal_ah)
            battery.age(life.pace * efc + life.calendar / 365 * 2 ** ((self._outside_degc() - 20) / DOUBLES_K))
            yield DayOver(day, battery.now.capacity_ah, battery.throughput_ah / (2 * self.cell.nominal_ah), battery.soc)
            if battery.over:
                return

    def _act(self, activity: Use | Charge, day: int) -> Iterator[Step]:
        begins_s = day * DAY_S + self._draw(activity.at_h) * HOUR_S
        if isinstance(activity, Charge) and self.battery.soc > self._draw(activity.below_soc):
            return
        yield from self._rest(begins_s)
        yield from self._wake()
        if isinstance(activity, Use):
            yield from self._happens(self._use(activity))
        else:
            yield from self._charge(activity)
        self._awake_until_s = self.clock_s + AWAKE_S

    def _use(self, use: Use) -> Stretch:
        pattern = driving(self._rng, use.pulses, use.regen, PATTERN_S)
        return self.battery.use(self._draw(use.soc), self._draw(use.rate_c), use.floor, pattern, self._around(True))

    def _charge(self, charge: Charge) -> Iterator[Step]:
        to_soc, rate_c, hours = self._draw(charge.to_soc), self._draw(charge.rate_c), self._draw(charge.hours)
        tick_s = float(self.life.slow_tick_s) if rate_c < SLOW_C else 1.0
        if charge.profile == "sun":
            sky = sunshine(self._rng, hours, charge.clouds, tick_s)
            amps = (rate_c * sky - self._draw(charge.load_c)) * self.cell.nominal_ah
            yield from self._happens(self.battery.sun(amps, to_soc, self._around(True), tick_s))
            return
        stops = [to_soc]
        if self._rng.random() < charge.pauses:
            stops.insert(0, self.battery.soc + self._rng.random() * max(to_soc - self.battery.soc, 0.0))
        for stop in stops:
            power = charge.profile == "power"
            yield from self._happens(self.battery.charge(stop, rate_c, power, self._around(True), hours, tick_s))
            if stop is not to_soc:
                yield from self._happens(self._resting(600.0 + 3000.0 * self._rng.random()))

    def _rest(self, until_s: float) -> Iterator[Step]:
        """Until a moment of the clock: awake at first, then as the board does."""
        awake_s = until_s if self.life.board.asleep == "never" else min(until_s, self._awake_until_s)
        if self._asleep_s is None and awake_s > self.clock_s:
            yield from self._happens(self._resting(awake_s - self.clock_s))
        if until_s > self.clock_s:
            if self._asleep_s is None:
                self._asleep_s = self.clock_s
            self.battery.rest(np.array([until_s - self.clock_s]), self._around(False))
            self.clock_s = until_s

    def _wake(self) -> Iterator[Step]:
        """Time without samples is over."""
        if self._asleep_s is None:
            return
        slept_s, self._asleep_s = self.clock_s - self._asleep_s, None
        if self.life.board.asleep == "off":
            yield PowerOn(self.clock_s, slept_s, self.life.board.clock)
        else:
            yield Idle(self.clock_s, slept_s)
        yield from self._happens(self.battery.rest(np.ones(WAKES_S), self._around(False)))

    def _nap(self) -> Iterator[Step]:
        """A board that only idles looks once a day."""
        if self._asleep_s is not None and self.life.board.asleep == "idle":
            yield from self._wake()

    def _resting(self, seconds: float) -> Stretch:
        """A board samples slowly once it has seen that no current flows: the first sample comes as fast as those before."""
        first_s = min(1.0, seconds)
        ticks = int((seconds - first_s) // REST_TICK_S)
        left_s = round(seconds - first_s - ticks * REST_TICK_S, 3)
        dt_s = np.array([first_s] + [REST_TICK_S] * ticks + ([left_s] if left_s > 0 else []))
        return self.battery.rest(dt_s, self._around(False))

    def _happens(self, stretch: Stretch) -> Iterator[Step]:
        """The board's view of a stretch, and a power cut somewhere in it."""
        if not stretch.dt_s.size:
            return
        samples, begins_s = self._sensors.see(stretch), self.clock_s
        self.clock_s += stretch.seconds
        if self._rng.random() < self.life.board.cuts_per_year * stretch.seconds / (365 * DAY_S):
            at = int(self._rng.integers(len(samples)))
            until_s = begins_s + float(stretch.dt_s[:at].sum())
            yield Samplings(stretch.kind, begins_s, samples[:at])
            yield PowerOn(until_s, 0.0, True)
            yield Samplings(stretch.kind, until_s, samples[at:])
        else:
            yield Samplings(stretch.kind, begins_s, samples)

    def _happen(self, event: Event) -> Iterator[Step]:
        yield from self._wake()
        if event.what == "swap":
            self.battery.age_cycles = self._age_at(self._draw(event.soh))
            self.battery.age(0.0)
        yield Happened(self.clock_s, event, self.battery.now.capacity_ah)

    def _age_at(self, soh: float) -> float:
        """Age at which the cell has so much of its first capacity left, as far as it was measured."""
        cell = self.cell
        ages = np.linspace(cell.first_age, cell.last_age, 200)
        capacity = np.array([cell.at(age).capacity_ah for age in ages])
        below = np.flatnonzero(capacity <= soh * capacity[0])
        return float(ages[below[0]] if below.size else cell.first_age)

    def _outside_degc(self) -> float:
        climate = self.life.climate
        day = self.life.begins + self.clock_s / DAY_S
        season = -math.cos(2 * math.pi * (day - 20) / 365)
        hour = math.cos(2 * math.pi * (self.clock_s % DAY_S / HOUR_S - WARMEST_H) / 24)
        return self._mean_degc + climate.season_k * season + climate.day_k * hour + self._weather_k

    def _around(self, used: bool) -> Surroundings:
        climate, outside = self.life.climate, self._outside_degc()
        return Surroundings(max(outside, climate.heated_degc) if used else outside, climate.warming_k)

    def _draw(self, between: Between) -> float:
        return float(self._rng.uniform(*between))


class _Sensors:
    """What the board measures of a stretch."""

    def __init__(
        self, sensors: Sensors, nominal_ah: float, rng: np.random.Generator, noise: np.random.Generator
    ) -> None:
        self._settings, self._noise = sensors, noise
        self._gain = 1 + rng.uniform(*sensors.gain)
        self._offset_ma = rng.uniform(*sensors.offset_ma_per_ah) * nominal_ah
        self._offset_mv = rng.uniform(*sensors.offset_mv)
        self._offset_k = rng.uniform(*sensors.offset_k)
        self._noise_ma = sensors.noise_ma_per_ah * nominal_ah

    def see(self, stretch: Stretch) -> Samples:
        count, noise, settings = stretch.dt_s.size, self._noise, self._settings
        ma = stretch.amps * (1000 * self._gain) + self._offset_ma + self._normal(self._noise_ma, count)
        mv = stretch.volts * 1000 + self._offset_mv + self._normal(settings.noise_mv, count)
        degc = stretch.degc + self._offset_k
        chance = settings.glitches_per_day / DAY_S * stretch.seconds
        if chance and noise.random() < chance:
            degc[noise.integers(count)] = NO_DEGC
            mv[noise.integers(count)] = 0.0
        valid = np.full(count, VALID_ALL if settings.thermometer else 3, dtype=np.uint8)
        if settings.lost:
            valid[noise.random(count) < settings.lost] = 0
        return samples_array(np.rint(mv), np.rint(ma), np.rint(stretch.dt_s * 1000), np.rint(degc * 10), valid)

    def _normal(self, sigma: float, count: int) -> Float64:
        return sigma * self._noise.standard_normal(count) if sigma else np.zeros(count)


def shortened(life: Life, days: int | None) -> Life:
    """The life, over after so many days."""
    return life if days is None else life.model_copy(update={"days": min(days, life.days)})
