"""The charge counter of a model that reads charges through any window: ``firmware_stubs/bms/edgebat_window.c``.

A charge is read through consecutive windows: the first begins at the lowest start above the voltage that it has come to
once a tenth of nominal has flowed, the next one where that one ends, if that is a start. Each gives a row or not, for
itself: the row of a counter of that window alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebat.ground import RowLimits, Starts
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import ChargeEnd, Config, Phase, Sample

ANY_LEAD_PART = 10
"""A tenth of nominal flows before the first window."""


class AnyWindowCounter(ChargeCounter):
    """``levels_uv`` are those of the lowest window."""

    def __init__(
        self, levels_uv: Sequence[int], config: Config, limits: RowLimits | None = None, *, starts: Starts
    ) -> None:
        super().__init__(levels_uv, config, limits)
        self.starts = starts
        self.start_uv = self.row_uv = 0
        """How far above the lowest window the one begins that the charge is in, or comes to; the same of the newest row."""

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

    def _follow_lead(self, cell_mv: int) -> None:
        """After a rest a charge's voltage rises faster at first than in a whole charge, and where one goes on that has
        paused some of it is in the cell already: until so much has flowed no window is entered, and the first one lies above
        the voltage then."""
        if self.charge < self._part(ANY_LEAD_PART):
            self.phase = Phase.BELOW
            if not self._choose_window(cell_mv):
                self._give_up(ChargeEnd.STARTS_ABOVE)

    def _next_window(self) -> bool:
        """Whether a window has ended and another one begins there."""
        next_uv = self.start_uv + self.starts.next * self._step_uv
        if self.phase != Phase.OVER or not self.starts.next or next_uv >= self.starts.count * self._step_uv:
            return False
        self.start_uv, self.phase = next_uv, Phase.BELOW
        return True

    def _enter_window(self) -> None:
        self.phase, self.level, self.inside = Phase.INSIDE, 0, 0

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
        self._follow_lead(sample.cell_mv)
        self._follow_window(sample, current, part, dt_ms)
        while self._next_window():
            self._follow_window(sample, current, part, dt_ms)
        if self.phase == Phase.OVER:
            self._say()

    def _goes_back(self) -> bool:
        return self.start_uv <= self.row_uv

    def _complete(self) -> None:
        super()._complete()
        if self.row_ready:
            self.row_uv = self.start_uv
