"""The capacity that charge between two rests tells, over a table of open-circuit voltages: ``edgebat_rest.c``.

It needs no full and no empty cell, so partial charges and discharges speak as well. As gauges do, it takes a voltage for an
open-circuit voltage only after half an hour without current in which it moved by less than 4 uV per second; leaves out the
flat part of the table, where a mV is too much charge; and charge that flowed too cold, too hot or too fast.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from edgebat.errors import DataError
from edgebat.tasks.health.charge_counter import (
    COUNT_MS_PER_CPCT,
    CURRENT_FLOOR,
    LEAST_SOH_CPCT,
    MOST_ANCHOR_MS,
    MOST_SOH_CPCT,
    UNKNOWN,
    ChargeCounter,
    SinceRest,
)

REST_MS, MS_PER_MV, MOST_MOVED_MV = 1_800_000, 250_000, 7
"""Half an hour; 4 uV per second; more than the voltage may move in half an hour: the rest begins anew."""
OFF_MS = 18_000_000
"""After so long without power the first voltage is that of a rest, whatever was saved."""
LEAST_APART_CPCT = 3500
"""Of the cell's charge must lie between two rests."""
MOST_SOC_SIGMA_CPCT = 300
"""A state of charge that is less sure lies in the flat part of the table."""
HUNDRED_PERCENT = 10_000


@dataclass(frozen=True)
class OcvTable:
    """``edgebat_ocv_t``: open-circuit voltages in mV at states of charge equally spaced from 0 to 100 %; the standard
    deviation of table and sensor together in mV; and that of a capacity by this table, however much charge flowed, 0.01 %.

    Raises DataError for what ``edgebat_use_ocv`` refuses.
    """

    mv: tuple[int, ...]
    sigma_mv: int = 5
    sigma_cpct: int = 200

    def __post_init__(self) -> None:
        rises = all(low < high for low, high in pairwise(self.mv))
        if not 2 <= len(self.mv) <= 256 or not rises:
            raise DataError(
                f"open-circuit voltages {self.mv} do not ascend over 2 to 256 points: give mV from 0 to 100 %"
            )
        if not 1 <= self.sigma_mv <= 1000 or not 0 <= self.sigma_cpct <= HUNDRED_PERCENT:
            raise DataError(
                f"errors of a table of {self.sigma_mv} mV and {self.sigma_cpct} of 0.01 %: give 1 to 1000 mV and 0 to 10000"
            )

    def look_up(self, cell_mv: int) -> tuple[int, int] | None:
        """State of charge and its deviation, 0.01 %; None where the voltage does not tell."""
        if not self.mv[0] <= cell_mv <= self.mv[-1]:
            return None
        parts = len(self.mv) - 1
        i = min(bisect_right(self.mv, cell_mv) - 1, parts - 1)
        rise = self.mv[i + 1] - self.mv[i]
        sigma = self.sigma_mv * HUNDRED_PERCENT // (rise * parts)
        if sigma > MOST_SOC_SIGMA_CPCT:
            return None
        return (i * HUNDRED_PERCENT + (cell_mv - self.mv[i]) * HUNDRED_PERCENT // rise) // parts, sigma


class RestWitness:
    """Watches the samples of a counter; ``learn`` gets every capacity that it measures, and its deviation, 0.01 %."""

    def __init__(self, table: OcvTable, counter: ChargeCounter, learn: Callable[[int, int], None]) -> None:
        self._table, self._counter, self._learn = table, counter, learn

    def follow(self, cell_mv: int, part: int, dt_ms: int) -> None:
        """One sample, after it was counted and before its rest is."""
        counter = self._counter
        if counter.since_rest.cpct != UNKNOWN and dt_ms <= counter.config.max_gap_ms:
            self._count(part, dt_ms)
        moved = abs(cell_mv - counter.rested_mv)
        rested = self._is_rested(moved)
        if rested:
            self._take_rest(cell_mv)
        if not counter.rest_ms or rested or moved > MOST_MOVED_MV:
            counter.rested_ms, counter.rested_mv = 0, cell_mv

    def _is_rested(self, moved_mv: int) -> bool:
        """Whether this voltage is an open-circuit voltage."""
        counter = self._counter
        if counter.rest_ms:
            return counter.rested_ms >= REST_MS and moved_mv * MS_PER_MV <= counter.rested_ms
        resting = abs(counter.last_ma) * CURRENT_FLOOR <= counter.config.nominal_mah
        return not counter.sampled and resting and counter.rested_ms >= OFF_MS

    def _count(self, part: int, dt_ms: int) -> None:
        counter, since = self._counter, self._counter.since_rest
        since.charge += part
        since.ms += dt_ms
        fast = abs(counter.last_ma) > counter.config.nominal_mah
        since.odd_ms += dt_ms if fast or counter.is_cold() else 0
        if counter.in_cpct(since.charge) == UNKNOWN or since.ms > MOST_ANCHOR_MS:
            since.cpct = UNKNOWN  # a sensor drifts, or the rest was none

    def _take_rest(self, cell_mv: int) -> None:
        """The cell has rested long enough. What lies too close to the last rest waits for more."""
        found, since = self._table.look_up(cell_mv), self._counter.since_rest
        if found is None or self._counter.is_cold():
            return
        cpct, sigma = found
        known = since.cpct != UNKNOWN
        if known and abs(cpct - since.cpct) < LEAST_APART_CPCT:
            return
        if known:
            self._take_capacity(cpct, sigma)
        self._counter.since_rest = SinceRest(cpct, sigma)

    def _take_capacity(self, soc_cpct: int, sigma: int) -> None:
        """The charge since the last rest, over what it has made of the state of charge."""
        since = self._counter.since_rest
        apart = abs(soc_cpct - since.cpct)
        cpct = self._counter.in_cpct(since.charge) * HUNDRED_PERCENT // apart
        upwards = soc_cpct > since.cpct
        sound = LEAST_SOH_CPCT <= cpct <= MOST_SOH_CPCT and since.odd_ms <= since.ms // 8
        if upwards == (since.charge > 0) and sound:
            by_ends = math.isqrt(sigma**2 + since.sigma**2) * cpct // apart
            by_offset = since.ms // COUNT_MS_PER_CPCT * HUNDRED_PERCENT // apart
            self._learn(cpct, math.isqrt(by_ends**2 + by_offset**2 + self._table.sigma_cpct**2))
