"""Charge increments as a battery management system counts them: one sample at a time, in integers, without memory of
the samples before.

``firmware_stubs/bms/edgebat_charge.c`` is this file in C; on the same samples both give the same integers. The rule for
a voltage level is that of ``edgebat.tasks.health.increments``: reached at the first sample at or above it, the charge
interpolated between that sample and the one before. What only a whole charge would tell is asked differently here: the
current is constant when the extremes of its average over some eight samples are within 5 % of their middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

CURRENT_FLOOR = 50
"""A cell rests when its current is not above nominal capacity / (50 h)."""
CYCLE_PART = 20
"""A cycle is a charge of at least nominal capacity / 20, or one into the window, after as much net discharge."""
HOLD_MS = 10_000
"""So long a cell must stay full or empty: one sample may be a pulse."""
MOST_ANCHOR_MS = 172_800_000
"""After two days an offset of the sensor has become capacity."""
PER_MAH = 7_200_000
"""A mAh in the unit of the counters, twice mA * ms: the trapezoidal rule adds two currents."""
INT32_MAX = 2**31 - 1
UINT32_MAX = 2**32 - 1
UNKNOWN = 0xFFFF
TEMPERATURE_NONE = (32767, -32768)


class ChargeEnd(IntEnum):
    """What became of the last charge; ``edgebat_charge_t`` of the C header."""

    OK = 0
    STARTS_ABOVE = 1
    ENDS_BELOW = 2
    INTERRUPTED = 3
    NOT_CONSTANT = 4
    SPARSE = 5
    GAP = 6
    STUCK = 7
    IMPLAUSIBLE = 8
    NONE = 9
    REPEATED = 10


class Phase(IntEnum):
    """Where a charge is."""

    NONE = 0
    BELOW = 1
    INSIDE = 2
    OVER = 3


class Anchor(IntEnum):
    """Where the counting of ampere-hours began."""

    NONE = 0
    FULL = 1
    EMPTY = 2


@dataclass(frozen=True)
class Config:
    """The battery and its sensors, in mV, mA, mAh, ms, ppm and 0.01 %; ``edgebat_config_t`` of the C header."""

    nominal_mah: int
    reference_mah: int = 0
    """0: the nominal capacity."""
    discharge_positive: bool = False
    max_current_ma: int = 0
    """0: twenty times the one-hour current."""
    min_mv: int = 1000
    max_mv: int = 4500
    full_mv: int = 0
    cutoff_ma: int = -1
    """-1: a twentieth of the one-hour current."""
    empty_mv: int = 0
    max_drop_mv: int = 30
    max_gap_ms: int = 60_000
    stuck_ppm: int = 100_000
    invalid_ms: int = 10_000
    stale_cycles: int = 50
    slew_cpct_h: int = 20
    rated_cycles: int = 0
    counting_cpct: int = 300

    def __post_init__(self) -> None:
        if self.reference_mah == 0:
            object.__setattr__(self, "reference_mah", self.nominal_mah)
        if self.max_current_ma == 0:
            object.__setattr__(self, "max_current_ma", min(20 * self.nominal_mah, 2_000_000))
        if self.cutoff_ma < 0:
            object.__setattr__(self, "cutoff_ma", self.nominal_mah // 20)


@dataclass(frozen=True)
class Sample:
    """One sample: mV, mA with the sign of the configuration, 0.1 degC, ms since the one before, and what of it is valid."""

    cell_mv: int
    current_ma: int
    dt_ms: int
    temperature_ddegc: int = 250
    voltage_valid: bool = True
    current_valid: bool = True
    temperature_valid: bool = True


class ChargeCounter:
    """The sample-by-sample half of the estimator: ``edgebat_push`` and what it changes.

    levels_uv: the ``increments + 1`` voltages of the window in uV, ascending. After a charge through the window ``row``
    holds the increments in ppm of nominal capacity and ``row_ready`` is true until somebody takes the row.
    """

    def __init__(self, levels_uv: Sequence[int], config: Config) -> None:
        self.levels_uv = tuple(levels_uv)
        self.increments = len(self.levels_uv) - 1
        self.config = config
        self.count = self.charge = self.level_charge = self.moved_charge = 0
        self.throughput = self.discharged = 0
        self.hole_ms = self.elapsed_ms = self.hold_ms = self.anchor_ms = 0
        self.last_ma = self.smooth_ma = self.least_ma = self.most_ma = self.last_mv = self.top_mv = 0
        self.least_ddegc = self.most_ddegc = 0
        self.level = self.inside = 0
        self.phase = Phase.NONE
        self.anchor = self.candidate = Anchor.NONE
        self.sampled = self.due = False
        self.ended = ChargeEnd.NONE
        self.cycle = 1
        self.revision = 0
        self.row = [0] * self.increments
        self.row_ready = self.cycle_used = False
        self.row_temperatures = TEMPERATURE_NONE
        self.counted_at = 0
        self.counted_cpct = UNKNOWN

    def push(self, sample: Sample) -> bool:
        """Take one sample; false when it is invalid or impossible and was not used."""
        config = self.config
        self.hole_ms = min(self.hole_ms + sample.dt_ms, UINT32_MAX)
        # A huge step is a clock that jumped, not time that passed.
        self.elapsed_ms = min(self.elapsed_ms + min(sample.dt_ms, config.max_gap_ms), UINT32_MAX)
        if not self._plausible(sample):
            return False
        current = -sample.current_ma if config.discharge_positive else sample.current_ma
        dt_ms, self.hole_ms = self.hole_ms, 0
        part = 0
        if not self.sampled or dt_ms > config.max_gap_ms:
            self._end(ChargeEnd.GAP)
            self.anchor = Anchor.NONE
        else:
            part = (self.last_ma + current) * dt_ms
            self._count(part, dt_ms)
        if current * CURRENT_FLOOR <= config.nominal_mah:
            self._end(ChargeEnd.INTERRUPTED)
        elif self.phase == Phase.NONE:
            self._begin(sample.cell_mv)
        else:
            self._follow(sample, current, part)
        self._find_anchor(sample.cell_mv, current, dt_ms)
        self.last_ma, self.last_mv, self.sampled = current, sample.cell_mv, True
        return True

    def _plausible(self, sample: Sample) -> bool:
        config = self.config
        return (
            sample.voltage_valid
            and sample.current_valid
            and config.min_mv <= sample.cell_mv <= config.max_mv
            and abs(sample.current_ma) <= config.max_current_ma
        )

    def _give_up(self, reason: ChargeEnd) -> None:
        self.phase, self.ended = Phase.OVER, reason

    def _end(self, inside: ChargeEnd) -> None:
        if self.phase == Phase.INSIDE:
            self.ended = inside
        elif self.phase == Phase.BELOW:
            self.ended = ChargeEnd.ENDS_BELOW
        self.phase = Phase.NONE

    @property
    def _cycle_part(self) -> int:
        return self.config.nominal_mah * (PER_MAH // CYCLE_PART)

    def _begin(self, cell_mv: int) -> None:
        self.due = self.discharged >= self._cycle_part
        self.charge = self.level = self.inside = 0
        if cell_mv * 1000 >= self.levels_uv[0]:
            # What was broken off inside the window and goes on there keeps its reason.
            resumed = not self.due and self.ended in (ChargeEnd.INTERRUPTED, ChargeEnd.GAP)
            self._give_up(self.ended if resumed else ChargeEnd.STARTS_ABOVE)
        elif not self.due and self.cycle_used:
            self._give_up(ChargeEnd.REPEATED)
        else:
            self.phase = Phase.BELOW

    def _count_cycle(self) -> None:
        if self.due:
            self.due = self.cycle_used = False
            self.discharged = 0
            self.cycle += 1
            self.revision += 1

    def _follow(self, sample: Sample, current: int, part: int) -> None:
        config = self.config
        self.charge += part
        if self.charge >= self._cycle_part:
            self._count_cycle()
        in_window = sample.cell_mv * 1000 >= self.levels_uv[0]
        if self.phase == Phase.BELOW and in_window:
            self._count_cycle()
            self.cycle_used = True
            if self.row_ready:
                self._give_up(ChargeEnd.REPEATED)
            else:
                self.phase = Phase.INSIDE
        if self.phase == Phase.INSIDE:
            if in_window:
                self._track_extremes(sample, current, part)
            if sample.cell_mv < self.top_mv - config.max_drop_mv:
                self._give_up(ChargeEnd.IMPLAUSIBLE)
            elif (self.charge - self.moved_charge) * 5 > config.nominal_mah * config.stuck_ppm * 36:
                self._give_up(ChargeEnd.STUCK)
            else:
                self._cross_levels(sample.cell_mv, part)

    def _track_extremes(self, sample: Sample, current: int, part: int) -> None:
        if self.inside == 0:
            self.smooth_ma = 8 * self.last_ma
            self.least_ma = self.most_ma = self.last_ma
            self.top_mv = sample.cell_mv
            self.moved_charge = self.charge
            self.least_ddegc, self.most_ddegc = TEMPERATURE_NONE
        self.smooth_ma += current - self.smooth_ma // 8
        smooth = self.smooth_ma // 8
        self.least_ma, self.most_ma = min(self.least_ma, smooth), max(self.most_ma, smooth)
        self.top_mv = max(self.top_mv, sample.cell_mv)
        if sample.cell_mv != self.last_mv:
            self.moved_charge = self.charge
        if sample.temperature_valid:
            self.least_ddegc = min(self.least_ddegc, sample.temperature_ddegc)
            self.most_ddegc = max(self.most_ddegc, sample.temperature_ddegc)
        if part > 0:
            self.inside = min(self.inside + 1, UNKNOWN)

    def _cross_levels(self, cell_mv: int, part: int) -> None:
        now_uv, before_uv = cell_mv * 1000, self.last_mv * 1000
        nominal = self.config.nominal_mah
        # A sample that jumps over many levels says nothing about what each of them took.
        beyond = self.level + (self.increments // 4 if self.increments > 12 else 2)
        if beyond <= self.increments and now_uv >= self.levels_uv[beyond]:
            self._give_up(ChargeEnd.SPARSE)
        while self.phase == Phase.INSIDE and now_uv >= self.levels_uv[self.level]:
            rise = now_uv - before_uv
            up_to = self.levels_uv[self.level] - before_uv
            here = self.charge - part + (part * up_to + rise // 2) // rise
            if self.level:
                ppm = ((here - self.level_charge) * 5 + 18 * nominal) // (36 * nominal)
                self.row[self.level - 1] = min(ppm, INT32_MAX)
            self.level_charge = here
            if self.level == self.increments:
                self._complete()
            else:
                self.level += 1

    def _complete(self) -> None:
        if self.inside < self.increments:
            self._give_up(ChargeEnd.SPARSE)
        elif (self.most_ma - self.least_ma) * 20 > self.most_ma + self.least_ma:
            self._give_up(ChargeEnd.NOT_CONSTANT)
        else:
            self._give_up(ChargeEnd.OK)
            self.row_ready = True
            self.row_temperatures = (self.least_ddegc, self.most_ddegc)

    def _count(self, part: int, dt_ms: int) -> None:
        self.throughput += abs(part)
        self.discharged = max(self.discharged - part, 0)
        if self.anchor != Anchor.NONE:
            self.count += part
            self.anchor_ms += dt_ms
            if abs(self.count) > self.config.reference_mah * 2 * PER_MAH or self.anchor_ms > MOST_ANCHOR_MS:
                self.anchor = Anchor.NONE

    def _end_reached(self, cell_mv: int, current: int) -> Anchor:
        config = self.config
        if config.full_mv and cell_mv >= config.full_mv and 0 < current <= config.cutoff_ma:
            return Anchor.FULL
        if config.empty_mv and cell_mv <= config.empty_mv and 0 > current >= -config.nominal_mah:
            return Anchor.EMPTY
        return Anchor.NONE

    def _find_anchor(self, cell_mv: int, current: int, dt_ms: int) -> None:
        end = self._end_reached(cell_mv, current)
        if end == Anchor.NONE or end != self.candidate:
            self.candidate, self.hold_ms = end, 0
        elif dt_ms <= self.config.max_gap_ms:
            self.hold_ms = min(self.hold_ms, HOLD_MS) + (dt_ms if self.hold_ms < HOLD_MS else 0)
        else:
            self.hold_ms = 0
        if self.hold_ms >= HOLD_MS:
            if end == Anchor.FULL and self.anchor == Anchor.EMPTY and self.count > 0:
                self._take_capacity(self.count)
            if end == Anchor.EMPTY and self.anchor == Anchor.FULL and self.count < 0:
                self._take_capacity(-self.count)
            self.anchor, self.count, self.anchor_ms = end, 0, 0

    def _take_capacity(self, counted: int) -> None:
        whole = self.config.reference_mah * PER_MAH
        cpct = UNKNOWN if counted > 2 * whole else counted * 10_000 // whole
        if 2000 <= cpct <= 15_000:
            self.counted_cpct, self.counted_at = cpct, self.throughput
            self.revision += 1
