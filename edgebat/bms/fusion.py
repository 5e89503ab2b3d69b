"""All evidence of a cell's health, weighed by errors that grow with cycles and with time: ``edgebat_fusion.c``.

Every source keeps what it measured last, when, and with which deviation. The target of what is published is their mean,
weighted by one over the variance of each. Nothing is ever switched, so nothing old comes back when something new grows
old, and age alone makes no cell healthier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

from edgebat.bms.results import Source
from edgebat.tasks.health.charge_types import MOST_SOH_CPCT, UINT16_MAX, UNKNOWN

HUNDRED_PERCENT = MOST_SIGMA = 10_000
WEIGHTS, MOST_WEIGHT = 1 << 31, 1 << 28
USUAL_CYCLES, USUAL_LOST_CPCT = 500, 2000
"""What a cell whose data sheet is not known may lose."""
USUAL_PER_EFC = 1
"""The same in a quarter of an equivalent full cycle, 0.01 %."""
FADES = 4
"""A cell may have faded four times as fast."""
FOUR_HOURS, LOST_IN_THEM_CPCT = 73, 10
"""And any cell, used or not: 3 % per year."""
S_PER_4H = 14_400
UNKNOWN_SIGMA = 300
"""A model without a known deviation."""
ALONE = 2
"""A model states its error on cells like those it has learnt from. On other kinds that it does not refuse it errs twice as
much and more (docs/trust.md): so its deviation counts until a measurement says the same."""
ODD_SIGMA, ODD_ROWS, WINDOW_SIGMA = 100, 3, 1000


class By(IntEnum):
    """Who has measured: places of the evidence in a saved state."""

    MODEL = 0
    COUNTING = 1
    WINDOW = 2
    INHERITED = 3
    REST = 4


SOURCES = (Source.MODEL, Source.COUNTING, Source.WINDOW, Source.INHERITED, Source.REST)


@dataclass
class Evidence:
    """What one source measured last (0.01 %, UNKNOWN: nothing), when (quarters of an equivalent full cycle, four hours of
    operation), and with which standard deviation."""

    at_efc: int = 0
    at_4h: int = 0
    cpct: int = UNKNOWN
    sigma_cpct: int = 0


def rescaled(cpct: int, from_mah: int, to_mah: int) -> int:
    """An SOH of one capacity, of another one that is 100 % now, 0.01 %."""
    return (
        cpct if cpct == UNKNOWN or from_mah == to_mah else min((cpct * from_mah + to_mah // 2) // to_mah, MOST_SOH_CPCT)
    )


@dataclass(frozen=True)
class Ageing:
    """How a cell fades: ``rated_cycles`` of the data sheet (0: not known) down to ``eol_cpct``."""

    rated_cycles: int
    eol_cpct: int

    def faded(self, efc: int) -> int:
        """SOH lost in so many quarters of an equivalent full cycle, 0.01 %."""
        cycles = self.rated_cycles or USUAL_CYCLES
        lost = HUNDRED_PERCENT - self.eol_cpct if self.rated_cycles else USUAL_LOST_CPCT
        return min(efc * lost // (4 * cycles), HUNDRED_PERCENT)


@dataclass
class Fusion:
    """The evidence of one cell and what it says together, in 0.01 %."""

    ageing: Ageing
    evidence: list[Evidence] = field(default_factory=lambda: [Evidence() for _ in By])
    efc: int = 0
    clock_s: int = 0
    odd_rows: int = 0
    corrupt: bool = False
    settled: bool = False
    """Something measured has been published."""
    target_cpct: int = 0
    target_sigma: int = 0
    ceiling_cpct: int = 0
    """The target when somebody measured last."""
    source: Source = Source.NONE
    conflict: bool = False
    aged: bool = False
    learnt: bool = True

    @property
    def now_4h(self) -> int:
        return min(self.clock_s // S_PER_4H, UINT16_MAX)

    @property
    def measured(self) -> bool:
        """Whether somebody who has measured is heard."""
        return self.source not in (Source.NONE, Source.DATASHEET)

    def learn(self, by: By, cpct: int, sigma_cpct: int) -> None:
        """A source has measured."""
        self.evidence[by] = Evidence(self.efc, self.now_4h, cpct, min(sigma_cpct, MOST_SIGMA))
        self.learnt = True

    def now_cpct(self, evidence: Evidence) -> int:
        """What a source says now: only a data sheet lets it fade."""
        faded = self.ageing.faded(self.efc - evidence.at_efc) if self.ageing.rated_cycles else 0
        return max(evidence.cpct - faded, 0)

    def _left_cpct(self, evidence: Evidence) -> int:
        """The same beside who has measured last: a cell was healthier once, and that pulls nobody up as far as fading
        explains it."""
        known = [each for each in self.evidence if each.cpct != UNKNOWN]
        last = max(known, key=lambda each: each.at_efc)
        above = self.now_cpct(evidence) - self.now_cpct(last)
        apart = last.at_efc - evidence.at_efc
        explained = FADES * max(self.ageing.faded(apart), apart * USUAL_PER_EFC)
        return self.now_cpct(evidence) - max(min(above, explained), 0)

    def counting(self) -> int:
        """What counting, else the data sheet, says now."""
        counted = self.evidence[By.COUNTING]
        if counted.cpct != UNKNOWN:
            return self.now_cpct(counted)
        return HUNDRED_PERCENT - self.ageing.faded(self.efc) if self.ageing.rated_cycles else UNKNOWN

    def _is_confirmed(self) -> bool:
        """Whether counting or a rest has measured what the model says, within its own deviation."""
        said = self.evidence[By.MODEL].cpct
        others = (self.evidence[by] for by in (By.COUNTING, By.REST))
        return any(other.cpct != UNKNOWN and abs(other.cpct - said) <= other.sigma_cpct for other in others)

    def variance(self, by: By) -> int:
        """Of what a source says now."""
        evidence = self.evidence[by]
        odd = self.odd_rows if by == By.MODEL else 0
        times = ALONE if by == By.MODEL and not self._is_confirmed() else 1
        terms = (
            evidence.sigma_cpct * times,
            self.ageing.faded(self.efc - evidence.at_efc),
            (self.now_4h - evidence.at_4h) * LOST_IN_THEM_CPCT // FOUR_HOURS,
            min(odd**3 * ODD_SIGMA, MOST_SIGMA),
        )
        return max(sum(term * term for term in terms), 1)

    def weigh(self) -> None:
        """Make the target anew if anything about the evidence has changed."""
        if not (self.aged or self.learnt):
            return
        self._fuse()
        if self.measured:
            if self.learnt or self.target_cpct < self.ceiling_cpct:
                self.ceiling_cpct = self.target_cpct
            self.target_cpct = self.ceiling_cpct
        self.aged = self.learnt = False

    def _fuse(self) -> None:
        heard = [by for by in By if self.evidence[by].cpct != UNKNOWN and not (by == By.MODEL and self.corrupt)]
        cpct = {by: self._left_cpct(self.evidence[by]) for by in heard}
        variance = {by: self.variance(by) for by in heard}
        weight = {by: min(WEIGHTS // variance[by], MOST_WEIGHT) for by in heard}
        apart = max(
            (
                abs(cpct[one] - cpct[other])
                for one in heard
                for other in heard
                if (cpct[one] - cpct[other]) ** 2 // 9 > variance[one] + variance[other]
            ),
            default=0,
        )
        self.conflict = apart != 0
        if heard:
            weights = sum(weight.values())
            self.source = SOURCES[max(heard, key=lambda by: weight[by])]
            self.target_cpct = (sum(weight[by] * cpct[by] for by in heard) + weights // 2) // weights
            self.target_sigma = max(math.isqrt(WEIGHTS // weights), apart // 2)
        elif not self.settled:
            # A new cell; once something was measured, a data sheet has nothing to say any more.
            self.target_cpct, self.target_sigma = self.counting(), UNKNOWN
            self.source = Source.NONE if self.target_cpct == UNKNOWN else Source.DATASHEET
        else:
            self.source = Source.NONE
