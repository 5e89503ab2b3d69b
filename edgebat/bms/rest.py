"""The capacity that charge between two rests tells, over a table of open-circuit voltages: ``edgebat_rest.c``.

It needs no full and no empty cell, so partial charges and discharges speak as well. As gauges do, it takes a voltage for an
open-circuit voltage only after half an hour without current in which it moved by less than 4 uV per second, or, where nobody
knows how long the power was off, with a larger error if it had nearly come to a halt before and is there still; leaves out
the flat part of the table, where a mV is too much charge; and charge that flowed too cold, too hot or too fast.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from edgebat.bms.fusion import By, Fusion
from edgebat.errors import DataError
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import (
    CALM,
    COUNT_MS_PER_CPCT,
    CURRENT_FLOOR,
    LEAST_SOH_CPCT,
    MOST_ANCHOR_MS,
    MOST_SOH_CPCT,
    PARKED_MS,
    UNKNOWN,
    SinceRest,
)

REST_MS, MS_PER_MV, MOST_MOVED_MV = 1_800_000, 250_000, 7
"""Half an hour; 4 uV per second; more than the voltage may move in half an hour: the rest begins anew."""
CALM_MS = 300_000
"""A voltage that has moved by no more in this time has nearly come to a halt. It is saved; if it is there still when the
power returns, after nobody knows how long, it may yet move by as much again."""
OFF_MS = 18_000_000
"""After so long without power the first voltage is that of a rest, whatever was saved."""
LEAST_APART_CPCT = 3500
"""Of the cell's charge must lie between two rests."""
MOST_SOC_SIGMA_CPCT = 300
"""A state of charge that is less sure lies in the flat part of the table."""
WHOLE = 256
LEAST_WEIGHT = WHOLE // 9
"""What is measured now weighs a ninth at least, whatever was measured before: the cell fades."""
SIGMA_CPCT, UNSEEN_PERCENT, AGED_PERCENT = 400, 25, 20
"""Deviation of a capacity over the table of a new cell, 0.01 %; what it does not show of a loss, in parts of what it shows;
and further deviation, in parts of the capacity that was lost since."""
DDEGC, COLD_MV = (0, 500), 7
"""A cell between these has open-circuit voltages, 0.1 degC; below 10 degC they differ from the table's by so much."""
HUNDRED_PERCENT = 10_000


@dataclass(frozen=True)
class OcvTable:
    """``edgebat_ocv_t``: open-circuit voltages in mV at states of charge equally spaced from 0 to 100 %; the standard
    deviation of table and sensor together in mV; that of a capacity by this table, however much charge flowed, 0.01 %. An
    aged cell's voltages are others: of the capacity that seems to be lost since the cells of the table held ``soh_cpct`` of
    the reference ``unseen_percent`` are lost as well, and ``aged_percent`` of all that are added to the deviation.

    Raises DataError for what ``edgebat_use_ocv`` refuses.
    """

    mv: tuple[int, ...]
    sigma_mv: int = 5
    sigma_cpct: int = SIGMA_CPCT
    unseen_percent: int = UNSEEN_PERCENT
    aged_percent: int = AGED_PERCENT
    soh_cpct: int = HUNDRED_PERCENT

    def __post_init__(self) -> None:
        rises = all(low < high for low, high in pairwise(self.mv))
        if not 2 <= len(self.mv) <= 256 or not rises:
            raise DataError(
                f"open-circuit voltages {self.mv} do not ascend over 2 to 256 points: give mV from 0 to 100 %"
            )
        shares = 0 <= self.unseen_percent <= 100 and 0 <= self.aged_percent <= 100
        whole = 0 <= self.sigma_cpct <= HUNDRED_PERCENT and shares
        if not 1 <= self.sigma_mv <= 1000 or not whole or not 0 <= self.soh_cpct <= MOST_SOH_CPCT:
            raise DataError(
                f"a table of cells of {self.soh_cpct} of 0.01 % errs by {self.sigma_mv} mV and {self.sigma_cpct} of 0.01 %, "
                f"misses {self.unseen_percent} % of a loss and errs by {self.aged_percent} % of it; give 0 to "
                f"{MOST_SOH_CPCT}, 1 to 1000 mV, 0 to 10000, 0 to 100 and 0 to 100"
            )

    def lost_since(self, cpct: int) -> int:
        """What the cells of the table held, and one of so much does not."""
        return max(self.soh_cpct - cpct, 0)

    def variance(self, cpct: int) -> int:
        """Of what all capacities by this table have in common: as a cell ages its voltages move away from it."""
        aged = self.lost_since(cpct) * self.aged_percent // 100
        return int(self.sigma_cpct**2 + aged**2)

    def look_up(self, cell_mv: int, more_mv: int = 0) -> tuple[int, int] | None:
        """State of charge and its deviation, 0.01 %, by a voltage that errs by ``more_mv`` more; None: it tells none."""
        if not self.mv[0] <= cell_mv <= self.mv[-1]:
            return None
        parts = len(self.mv) - 1
        i = min(bisect_right(self.mv, cell_mv) - 1, parts - 1)
        rise = self.mv[i + 1] - self.mv[i]
        sigma = (self.sigma_mv + more_mv) * HUNDRED_PERCENT // (rise * parts)
        if sigma > MOST_SOC_SIGMA_CPCT:
            return None
        return (i * HUNDRED_PERCENT + (cell_mv - self.mv[i]) * HUNDRED_PERCENT // rise) // parts, sigma


class RestWitness:
    """Watches the samples of a counter; ``learn`` gets the table, and every capacity measured with its own variance."""

    def __init__(self, table: OcvTable, counter: ChargeCounter, learn: Callable[[OcvTable, int, int], None]) -> None:
        self._table, self._counter, self._learn = table, counter, learn

    def follow(self, cell_mv: int, part: int, counted_ms: int) -> None:
        """One sample, after it was counted and before its rest is."""
        counter = self._counter
        if counter.since_rest.cpct != UNKNOWN:
            self._count(part, counted_ms)
        moved = abs(cell_mv - counter.rested_mv)
        if abs(counter.last_ma) <= counter.config.nominal_mah // CURRENT_FLOOR:
            if self._is_rested(moved):
                self._take_rest(cell_mv, 0)
                counter.rested_ms = 0
            elif not counter.sampled and counter.rest_ms == CALM and moved <= MOST_MOVED_MV:
                self._take_rest(cell_mv, MOST_MOVED_MV)
        if not counter.rest_ms or not counter.rested_ms or moved > MOST_MOVED_MV:
            counter.rested_ms, counter.rested_mv = 0, cell_mv
            return
        halted = counter.rest_ms == PARKED_MS and counter.rested_ms >= CALM_MS
        if halted and (counter.parked or counter.since_rest.cpct == UNKNOWN):
            counter.rest_ms = CALM
            counter.revision += 1

    def _is_rested(self, moved_mv: int) -> bool:
        """Whether a voltage without current is an open-circuit voltage."""
        counter = self._counter
        if counter.rest_ms:
            return counter.rested_ms >= REST_MS and moved_mv * MS_PER_MV <= counter.rested_ms
        return not counter.sampled and counter.rested_ms >= OFF_MS

    def _count(self, part: int, counted_ms: int) -> None:
        counter, since = self._counter, self._counter.since_rest
        since.charge += part
        since.ms += counted_ms
        fast = abs(counter.last_ma) > counter.config.nominal_mah
        since.odd_ms += counted_ms if fast or self._too_cold() else 0
        if counter.in_cpct(since.charge) == UNKNOWN or since.ms > MOST_ANCHOR_MS:
            counter.since_rest = SinceRest()  # a sensor drifts, or the rest was none

    def _take_rest(self, cell_mv: int, more_mv: int) -> None:
        """The cell has rested long enough, or its voltage may move on by so much. What lies too close to the last rest waits
        for more."""
        cold_mv = COLD_MV if self._counter.is_cold() else 0
        found, since = self._table.look_up(cell_mv, more_mv + cold_mv), self._counter.since_rest
        if found is None or self._too_cold():
            return
        cpct, sigma = found
        known = since.cpct != UNKNOWN
        if known and abs(cpct - since.cpct) < LEAST_APART_CPCT:
            return
        if known:
            self._take_capacity(cpct, sigma)
        self._counter.since_rest = SinceRest(cpct, sigma)

    def _too_cold(self) -> bool:
        """Or too hot; a battery that never had a thermometer is not asked."""
        last = self._counter.last_ddegc
        return last is not None and not DDEGC[0] <= last <= DDEGC[1]

    def _take_capacity(self, soc_cpct: int, sigma: int) -> None:
        """The charge since the last rest, over what it has made of the state of charge."""
        since = self._counter.since_rest
        apart = abs(soc_cpct - since.cpct)
        shown = self._counter.in_cpct(since.charge) * HUNDRED_PERCENT // apart
        cpct = max(shown - self._table.lost_since(shown) * self._table.unseen_percent // 100, 0)
        upwards = soc_cpct > since.cpct
        sound = LEAST_SOH_CPCT <= cpct <= MOST_SOH_CPCT and since.odd_ms <= since.ms // 8
        if upwards == (since.charge > 0) and sound:
            by_ends = math.isqrt(sigma**2 + since.sigma**2) * shown // apart
            by_offset = since.ms // COUNT_MS_PER_CPCT * HUNDRED_PERCENT // apart
            self._learn(self._table, cpct, by_ends**2 + by_offset**2)


def average(fusion: Fusion, table: OcvTable, cpct: int, variance: int) -> None:
    """One capacity beside those before it, in 0.01 %: what each errs by itself is averaged, what they have in common stays.
    Two that contradict each other are both believed by half, until a third has come."""
    before, own = fusion.evidence[By.REST], variance
    if before.cpct != UNKNOWN:
        faded = fusion.ageing.faded(fusion.efc - before.at_efc)
        old = max(before.sigma_cpct**2 + faded**2 - table.variance(before.cpct), 0)
        weight = max(old // ((own + old) // WHOLE + 1), LEAST_WEIGHT)
        apart = abs(cpct - before.cpct)
        moved = apart * weight // WHOLE
        contradicts = apart**2 // 9 > own + old
        cpct = before.cpct + (moved if cpct > before.cpct else -moved)
        own = own // WHOLE * weight + (apart**2 // 4 if contradicts else 0)
    fusion.learn(By.REST, cpct, math.isqrt(own + table.variance(cpct)))
