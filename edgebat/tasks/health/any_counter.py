"""The charge counter of a model that reads charges through any window: ``firmware_stubs/bms/edgebat_window.c``.

A charge is read through consecutive windows: the first begins at the lowest start above its first voltage, the next one
where that one ends, if that is a start. Each gives a row or not, for itself: the row of a counter of that window alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebat.ground import RowLimits, Starts
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import LACK_PART, LEAD_PART, ChargeEnd, Config, Phase, Sample


class AnyWindowCounter(ChargeCounter):
    """``levels_uv`` are those of the lowest window."""

    def __init__(
        self, levels_uv: Sequence[int], config: Config, limits: RowLimits | None = None, *, starts: Starts
    ) -> None:
        super().__init__(levels_uv, config, limits)
        self.starts = starts
        self.start_uv = self.row_uv = 0
        """How far above the lowest window the one begins that the charge is in, or comes to; the same of the newest row."""
        self.begin_above()

    def begin_above(self) -> None:
        """Nobody knows what went into the cell before the power came, but for the net charge of a cycle that is saved."""
        self.above = self.swing if self.armed else self._part(1)

    @property
    def row_mv(self) -> int:
        """Where the window of the newest row begins."""
        return (self.levels_uv[0] + self.row_uv) // 1000

    @property
    def _step_uv(self) -> int:
        return self.starts.step_mv * 1000

    @property
    def _told(self) -> bool:
        return self.reason != ChargeEnd.NONE

    def _level_uv(self, level: int) -> int:
        return self.levels_uv[level] + self.start_uv

    def _choose_window(self, cell_mv: int) -> bool:
        above_uv = cell_mv * 1000 - self.levels_uv[0]
        number = above_uv // self._step_uv + 1 if above_uv >= 0 else 0
        self.start_uv = min(number, self.starts.count) * self._step_uv
        self.reason = ChargeEnd.NONE
        return number < self.starts.count

    def _next_window(self) -> bool:
        """Whether a window has ended and another one begins there."""
        self.above = max(self.above, 1)  # what comes from here on is in the cell when another charge begins
        next_uv = self.start_uv + self.starts.next * self._step_uv
        if self.phase != Phase.OVER or not self.starts.next or next_uv >= self.starts.count * self._step_uv:
            return False
        self.start_uv, self.phase = next_uv, Phase.BELOW
        self.level = self.inside = 0
        return True

    def _enter_window(self) -> None:
        """A charge that goes on where one has paused rises faster at first: until so much has flowed its voltage tells
        less than is missing."""
        self.phase = Phase.INSIDE
        if self.charge < self._part(LEAD_PART) and self.above > self.charge + self._part(LACK_PART):
            self._give_up(ChargeEnd.REPEATED)

    def _give_up(self, reason: ChargeEnd) -> None:
        """A charge that has given a row has not failed; nor has one that ends before the first window does."""
        counts = not self._told and reason != ChargeEnd.INTERRUPTED
        failed = self.failed
        super()._give_up(ChargeEnd.OK if self.reason == ChargeEnd.OK else reason)
        self.failed = self.failed if counts else failed

    def _end(self, inside: ChargeEnd) -> None:
        if self.phase == Phase.BELOW and self._told:
            self.phase = Phase.NONE
        super()._end(inside)

    def _follow(self, sample: Sample, current: int, part: int, dt_ms: int) -> None:
        self.charge += part
        self._follow_window(sample, current, part, dt_ms)
        while self._next_window():
            self._follow_window(sample, current, part, dt_ms)
        if self.phase == Phase.OVER or (self.phase == Phase.BELOW and self.start_uv):
            self._go_on(sample.cell_mv, self._lower_uv())

    def _lower_uv(self) -> int:
        """Below this a lower window would be next than the one that was given up, or that lies ahead."""
        moved = self.starts.next if self.phase == Phase.BELOW and self._told else 0
        return self._level_uv(0) - (self._step_uv * (1 + moved) if self.start_uv else 0)

    def _say(self) -> None:
        if self._told:
            super()._say()

    def _goes_back(self) -> bool:
        return self.start_uv <= self.row_uv

    def _complete(self) -> None:
        super()._complete()
        if self.row_ready:
            self.row_uv = self.start_uv
