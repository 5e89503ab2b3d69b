"""The resistance that steps of the current tell: ``edgebat_resistance.c`` in Python, the same integers.

A step is a change of the current between two samples; the voltage that comes with it is the resistance of so short a time,
most of it ohmic. Steps of a charger and of a load count, up and down, at the end of a rest too; one for every percent of
nominal that flows, so that all states of charge have their part. A single step is noise and samples that were not taken at
the same moment: the median of five is one measurement, and their average is what is published.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field
from enum import IntEnum
from struct import calcsize, pack, unpack_from

from edgebat.errors import DataError
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import UINT16_MAX, UNKNOWN, Sample, has_temperature

MOST_STEP_MV = 1000
"""More is a broken wire."""
PER_OHM = 100_000_000_000
"""mV over mA, in parts of 10 nOhm, times 1000 for the permille of a temperature."""
APART_PART = 932
"""A percent of nominal, in steps of ``ChargeCounter.use``."""
STEPS = 5
USUAL, LEAST_SEEN = 64, 8
"""So many medians are the average, and the resistance of a new cell; fewer than that say nothing."""
FIRST_SPREAD_CPCT = 1000
"""What a median's distance is taken to be until it is known."""
SPREAD_SQUARES, SPREAD_PARTS = 25, 4
"""Of a normal distribution the deviation is 5/4 of the mean distance; four medians that follow one another count as one."""
FIRST_DDEGC, DDEGC_APART, POINT_25 = -150, 100, 4
UOHM = 100
"""Of 10 nOhm."""
MOST_UOHM = 20_000_000
HUNDRED_PERCENT = 10_000
SAVED = "<2IH2B5i2H"
SAVED_BYTES = calcsize(SAVED)
PERMILLE = (0, 0, 2065, 1419, 1000, 721, 530, 0)
"""25 kJ/mol, between the electrolyte (17.1) and the charge transfer (43.6 and 53.4) of Ecker et al., J. Electrochem. Soc.
162 (2015) A1836; far from 25 degC that is too uncertain."""


class Used(IntEnum):
    """``EDGEBAT_OHM_...``: whether the resistance that a cell has now is that of a new one."""

    BY_CONFIG = 0
    USED = 1
    NEW = 2


@dataclass(frozen=True)
class ResistanceConfig:
    """``edgebat_resistance_config_t``. Raises DataError for what ``edgebat_init`` refuses."""

    new_uohm: int = 0
    """Of a new cell at 25 degC; 0: not known."""
    step_ma: int = 0
    """A smaller change of the current tells nothing; 0: a fifth of the one-hour current."""
    step_ms: int = 2000
    """Nor does one between samples that are further apart."""
    sigma_cpct: int = 800
    """Deviation of any resistance by sensors and temperatures, 0.01 % of it."""
    permille: tuple[int, ...] = PERMILLE
    """Resistance at -15, -5, ... 55 degC over that at 25 degC; 0: none is measured there."""
    is_new: bool = False
    """The cell is new when the board begins: its first resistance is that of a new one."""

    def __post_init__(self) -> None:
        sound = (
            0 <= self.new_uohm <= MOST_UOHM
            and self.step_ma >= 0
            and 1 <= self.step_ms <= UINT16_MAX
            and 0 <= self.sigma_cpct <= HUNDRED_PERCENT
            and len(self.permille) == len(PERMILLE)
            and all(0 <= each <= UINT16_MAX for each in self.permille)
            and self.permille[POINT_25] in (0, 1000)
        )
        if not sound:
            raise DataError(
                f"no configuration of a resistance: {astuple(self)}; give 0 to {MOST_UOHM} uOhm, steps of 1 mA and 1 ms or "
                f"more, a deviation of 0 to {HUNDRED_PERCENT} of 0.01 %, and {len(PERMILLE)} permille, 1000 at 25 degC"
            )

    def step_of(self, nominal_mah: int) -> int:
        """mA."""
        return self.step_ma or max(nominal_mah // 5, 1)

    def to_bytes(self, nominal_mah: int) -> bytes:
        """As the compiler lays it out, lowest byte first."""
        numbers = (self.new_uohm, self.step_of(nominal_mah), self.step_ms, self.sigma_cpct)
        return pack("<Ii2H8HB3x", *numbers, *self.permille, self.is_new)

    def permille_at(self, ddegc: int) -> int:
        """Resistance at this temperature over that at 25 degC; 0: nobody knows."""
        i, part = divmod(ddegc - FIRST_DDEGC, DDEGC_APART)
        if not 0 <= i < len(self.permille):
            return 0
        if part == 0:
            return self.permille[i]
        two = self.permille[i : i + 2]
        if len(two) < 2 or 0 in two:
            return 0
        return (two[0] * (DDEGC_APART - part) + two[1] * part) // DDEGC_APART


@dataclass
class Resistance:
    """What is known of one cell's. ``ohm`` and ``new`` in 10 nOhm, 0: nothing; ``spread`` of a median from it, 0.01 %."""

    config: ResistanceConfig
    counter: ChargeCounter
    ohm: int = 0
    new: int = 0
    spread: int = 0
    seen: int = 0
    """Medians that made ``ohm``, no more than needed."""
    used: Used = Used.BY_CONFIG
    steps: list[int] = field(default_factory=lambda: [0] * STEPS)
    """The first ``count`` make the next median, 10 nOhm, ascending."""
    count: int = 0
    use: int = 0
    """Throughput at the last of them."""

    def follow(self, sample: Sample, charging_ma: int, dt_ms: int) -> None:
        """A sample that follows one before without a hole, after its charge was counted."""
        counter = self.counter
        rise_ma = charging_ma - counter.last_ma
        if abs(rise_ma) < self.config.step_of(counter.config.nominal_mah) or dt_ms > self.config.step_ms:
            return
        first = self.seen == 0 and self.count == 0
        if first or (counter.use - self.use & UINT16_MAX) >= counter.config.nominal_mah // APART_PART:
            self._judge(sample, rise_ma)

    def _judge(self, sample: Sample, rise_ma: int) -> None:
        moved_mv = sample.cell_mv - self.counter.last_mv
        permille = self.config.permille_at(sample.temperature_ddegc) if has_temperature(sample) else 0
        if not permille or abs(moved_mv) > MOST_STEP_MV:
            return
        ohm = abs(moved_mv) * PER_OHM // (abs(rise_ma) * permille)
        if ohm <= MOST_UOHM * UOHM:
            self._take_step(ohm if (moved_mv < 0) == (rise_ma < 0) else -ohm)

    def _take_step(self, ohm: int) -> None:
        self.count, self.use = self.count + 1, self.counter.use
        self.steps[: self.count] = sorted([*self.steps[: self.count - 1], ohm])
        if self.count == STEPS:
            self.count = 0
            if self.steps[STEPS // 2] > 0:  # else the current has the wrong sign, or the voltage is stuck
                self._take_median(self.steps[STEPS // 2])

    def _take_median(self, median: int) -> None:
        share = min(self.seen + 1, USUAL)
        if self.seen == 0:
            self.ohm, self.spread = median, FIRST_SPREAD_CPCT
        else:
            apart = min(abs(median - self.ohm) * HUNDRED_PERCENT // self.ohm, HUNDRED_PERCENT)
            self.spread, self.ohm = _nearer(self.spread, apart, share), _nearer(self.ohm, median, share)
        if self.seen < USUAL:
            self.seen += 1
            if self.seen == USUAL:
                if self.used == Used.NEW or (self.used == Used.BY_CONFIG and self.config.is_new):
                    self.new = self.ohm
                self.used = Used.USED
                self.counter.revision += 1

    def result(self) -> dict[str, int]:
        """What ``Result`` says of it, by the names of its fields; nothing where nothing is known."""
        if self.seen < LEAST_SEEN:
            return {}
        drawn = self.spread**2 * SPREAD_SQUARES // (SPREAD_PARTS * self.seen)
        new = self.new or self.config.new_uohm * UOHM
        cpct = min((self.ohm * HUNDRED_PERCENT + new // 2) // new, UNKNOWN - 1) if new else UNKNOWN
        return {
            "resistance_uohm": (self.ohm + UOHM // 2) // UOHM,
            "resistance_sigma_cpct": math.isqrt(drawn + self.config.sigma_cpct**2),
            "resistance_cpct": cpct,
        }

    def forget(self, new_uohm: int, used: Used) -> None:
        """Another cell; its resistance when new, 0: not known."""
        self.ohm, self.new, self.spread, self.seen = 0, new_uohm * UOHM, 0, 0
        self.count, self.used = 0, used

    def begin(self, new_uohm: int) -> None:
        """``edgebat_begin_resistance``: service puts another cell in; 0: it is new now. Raises DataError beyond 20 Ohm."""
        if not 0 <= new_uohm <= MOST_UOHM:
            raise DataError(f"no resistance of a new cell: {new_uohm} uOhm; give 0 (it is new) to {MOST_UOHM}")
        self.forget(new_uohm, Used.USED if new_uohm else Used.NEW)
        self.counter.revision += 1

    def state(self) -> bytes:
        """Its part of a saved state."""
        return pack(SAVED, self.ohm, self.new, self.spread, self.seen, self.used, *self.steps, self.use, self.count)

    def restore(self, saved: bytes, offset: int) -> None:
        """Go on from ``state``."""
        self.ohm, self.new, self.spread, self.seen, used, *self.steps, self.use, self.count = unpack_from(
            SAVED, saved, offset
        )
        self.used = Used(used)


def _nearer(here: int, there: int, share: int) -> int:
    return here + (there - here) // share if here < there else here - (here - there) // share
