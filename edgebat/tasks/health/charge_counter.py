"""Charge increments as a battery management system counts them: one sample at a time, in integers, without memory of
the samples before.

``firmware_stubs/bms/edgebat_charge.c`` is this file in C; on the same samples both give the same integers. The rule for
a voltage level is that of ``edgebat.tasks.health.increments``: reached at the first sample at or above it, the charge
interpolated between that sample and the one before. What only a whole charge would tell is asked differently here: the
current is constant when the extremes of its average over some eight samples are within 5 % of their middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgebat.ground import RowLimits
from edgebat.tasks.health.charge_types import (
    COUNT_MS_PER_CPCT,
    COUNTED_DDEGC,
    CURRENT_FLOOR,
    CYCLE_PART,
    HOLD_MS,
    INT32_MAX,
    LACK_PART,
    LEAD_PART,
    LEAST_SOH_CPCT,
    MOST_ANCHOR_MS,
    MOST_COUNT_SIGMA,
    MOST_SOH_CPCT,
    MOST_THROUGHPUT,
    PARKED_MS,
    PER_MAH,
    PULSE_PART,
    RATE_SIGMA_CPCT,
    RELAXED_MV,
    SEEN_MS,
    SPREAD_PART,
    UINT16_MAX,
    UINT32_MAX,
    UNKNOWN,
    USE_PART,
    Anchor,
    ChargeEnd,
    Config,
    Phase,
    Sample,
    SinceRest,
    has_temperature,
)


class ChargeCounter:
    """The sample-by-sample half of the estimator: ``edgebat_push`` and what it changes.

    levels_uv: the ``increments + 1`` voltages of the window in uV, ascending. After a charge through the window ``row``
    holds the increments in ppm of nominal capacity and ``row_ready`` is true until somebody takes the row. A charge at a
    rate that ``limits`` do not know gives none.
    """

    def __init__(self, levels_uv: Sequence[int], config: Config, limits: RowLimits | None = None) -> None:
        self.levels_uv = tuple(levels_uv)
        self.increments = len(self.levels_uv) - 1
        self.config = config
        self.limits = limits or RowLimits()
        self.count = self.charge = self.level_charge = self.moved_charge = 0
        self.throughput = self.swing = self.above = 0
        self.efc = self.kept_use = 0
        """Throughput in quarters of an equivalent full cycle; ``use`` when it was saved last."""
        self.hole_ms = self.elapsed_ms = self.hold_ms = self.rest_ms = self.anchor_ms = self.cold_ms = 0
        self.last_ma = self.smooth_ma = self.least_ma = self.most_ma = self.last_mv = self.top_mv = 0
        self.anchor_ma = self.sum_ddegc = self.temperatures = 0
        self.level = self.inside = self.failed = 0
        self.phase = Phase.NONE
        self.anchor = self.candidate = Anchor.NONE
        self.taper = self.sampled = self.parked = self.armed = self.unseen = False
        self.ended = self.reason = ChargeEnd.NONE
        self.cycle = 1
        self.revision = 0
        self.row = [0] * self.increments
        self.row_rate_mc = 0
        """Mean current of the row, 0.001 C."""
        self.window_charge = self.window_ms = 0
        self.row_ready = self.cycle_used = False
        self.row_ddegc: int | None = None
        """Mean temperature of the row; None: it has none."""
        self.last_ddegc: int | None = None
        self.counted_cpct = self.counted_sigma = UNKNOWN
        """A capacity between full and empty that nobody has taken over yet, and its deviation."""
        self.since_rest = SinceRest()
        self.rested_ms = self.rested_mv = 0
        """How long the voltage has stayed about where it is, and where that is."""
        self.follow_rest: Callable[[int, int, int], None] | None = None
        """Who takes rests for measurements: called with mV, charge and counted ms since the sample before."""
        self.follow_step: Callable[[Sample, int, int], None] | None = None
        """Who takes steps of the current for measurements: called with a sample, its charging mA, and ms since the last."""

    @classmethod
    def efc_of(cls, nominal_mah: int, throughput: int) -> int:
        """Quarters of an equivalent full cycle."""
        return min(throughput // (nominal_mah * PER_MAH // 2), UINT16_MAX)

    @property
    def use(self) -> int:
        """Throughput in steps of 2^26, 9.3 mAh; it wraps around."""
        return self.throughput >> 26 & UINT16_MAX

    def push(self, sample: Sample) -> bool:
        """Take one sample; false when it is invalid or impossible and was not used."""
        # A huge step is a clock that jumped, not time that passed.
        self._pass(sample.dt_ms, self.config.max_gap_ms)
        if not self._plausible(sample):
            return False
        self._take(sample)
        return True

    def idle(self, elapsed_ms: int) -> None:
        """Time passed and no sample came."""
        self._pass(elapsed_ms, UINT32_MAX)

    def _pass(self, dt_ms: int, most_ms: int) -> None:
        self.hole_ms = min(self.hole_ms + dt_ms, UINT32_MAX)
        passed_ms = min(dt_ms, most_ms)
        self.elapsed_ms = min(self.elapsed_ms + passed_ms, UINT32_MAX)
        self.rested_ms = min(self.rested_ms + passed_ms, UINT32_MAX)

    def _take(self, sample: Sample) -> None:
        config = self.config
        current = -sample.current_ma if config.discharge_positive else sample.current_ma
        resting = abs(current) * CURRENT_FLOOR <= config.nominal_mah
        dt_ms, self.hole_ms = self.hole_ms, 0
        part = counted_ms = 0
        if has_temperature(sample):
            self.last_ddegc = sample.temperature_ddegc
        if not self.sampled or dt_ms > config.max_gap_ms:
            self._bridge(sample.cell_mv, resting)
        else:
            part = (self.last_ma + current) * dt_ms
            counted_ms = dt_ms + self._unseen_ms(part, dt_ms, resting)
            self._count(part, counted_ms)
            if self.follow_step is not None:
                self.follow_step(sample, current, dt_ms)
        if current <= 0 or resting:
            self._end(ChargeEnd.INTERRUPTED)
        elif self.phase == Phase.NONE:
            self._begin(sample.cell_mv)
        else:
            self._follow(sample, current, part, dt_ms)
        self._find_anchor(sample.cell_mv, current, dt_ms)
        self.last_ma = current
        if self.follow_rest is not None:
            self.follow_rest(sample.cell_mv, part, counted_ms)
        self._park(resting, dt_ms)
        self.last_mv, self.sampled = sample.cell_mv, True

    def _unseen_ms(self, part: int, dt_ms: int, resting: bool) -> int:
        """The charge of a step is the mean of two currents, times its length; where current began or ended in a long one,
        it may be nothing or twice as much. The time in which an offset would make as much is added to that of a count."""
        if dt_ms <= SEEN_MS or resting == bool(self.rest_ms):
            return 0
        return min(self.in_cpct(part), MOST_ANCHOR_MS // COUNT_MS_PER_CPCT) * COUNT_MS_PER_CPCT

    def _bridge(self, cell_mv: int, resting: bool) -> None:
        """A hole ends what was measured; a count goes on over one in which the cell slept."""
        self._end(ChargeEnd.GAP)
        self.unseen = True
        if not self.rest_ms or not resting or abs(cell_mv - self.last_mv) > self.config.max_drop_mv:
            self.set_anchor(Anchor.NONE)
            self.since_rest.cpct = UNKNOWN

    def _plausible(self, sample: Sample) -> bool:
        config = self.config
        return (
            sample.voltage_valid
            and sample.current_valid
            and config.min_mv <= sample.cell_mv <= config.max_mv
            and abs(sample.current_ma) <= config.max_current_ma
        )

    def _part(self, over: int) -> int:
        return self.config.nominal_mah * (PER_MAH // over)

    @property
    def _is_pulse(self) -> bool:
        """Pulses, as from braking, are no charges that anybody asks about."""
        return self.charge < self._part(PULSE_PART)

    def _say(self) -> None:
        if not self._is_pulse:
            self.ended = self.reason

    def _give_up(self, reason: ChargeEnd) -> None:
        if self.phase == Phase.INSIDE and not self._is_pulse:
            self.failed = min(self.failed + 1, 255)
        self.phase, self.reason = Phase.OVER, reason
        self._say()

    def _end(self, inside: ChargeEnd) -> None:
        if self.phase == Phase.INSIDE:
            self._give_up(inside)
        elif self.phase == Phase.BELOW:
            self._give_up(ChargeEnd.ENDS_BELOW)
        self.phase = Phase.NONE

    def _level_uv(self, level: int) -> int:
        return self.levels_uv[level]

    def _choose_window(self, cell_mv: int) -> bool:
        """A charge begins: whether the window lies ahead."""
        return cell_mv * 1000 < self.levels_uv[0]

    def _begin(self, cell_mv: int) -> None:
        self.charge = self.level = self.inside = 0
        self.phase = Phase.BELOW
        if not self._choose_window(cell_mv):
            # What was broken off inside the window and goes on there keeps its reason.
            resumed = self.above and self.ended in (ChargeEnd.INTERRUPTED, ChargeEnd.GAP)
            self._give_up(self.ended if resumed else ChargeEnd.STARTS_ABOVE)

    def _count_cycle(self) -> None:
        self.armed = self.cycle_used = self.unseen = False
        self.swing = 0
        self.cycle += 1
        self.revision += 1

    def _enter_window(self) -> None:
        """What went into the window before and has not come out again is missing now, as after a pause; a charge that
        comes from far below shows that it was a pulse, if it was as short as one."""
        near = self.charge < self._part(LEAD_PART) or self.above >= self.charge + self._part(PULSE_PART)
        lacks = self.above > self._part(LACK_PART) and near
        if lacks or self.row_ready:
            self._give_up(ChargeEnd.REPEATED)
        else:
            self.phase, self.above = Phase.INSIDE, 1

    def _follow(self, sample: Sample, current: int, part: int, dt_ms: int) -> None:
        self.charge += part
        self._follow_window(sample, current, part, dt_ms)
        if self.phase == Phase.OVER:
            if self._is_pulse and (sample.cell_mv + self.config.max_drop_mv) * 1000 < self.levels_uv[0]:
                self._begin(sample.cell_mv)  # braking went over into a charge, without a sample between
            else:
                self._say()

    def _follow_window(self, sample: Sample, current: int, part: int, dt_ms: int) -> None:
        config = self.config
        in_window = sample.cell_mv * 1000 >= self._level_uv(0)
        if self.phase == Phase.BELOW and in_window:
            self._enter_window()
        if self.phase == Phase.INSIDE:
            if in_window:
                self._track_rate(part, dt_ms)
                self._track_extremes(sample, current, part)
            if sample.cell_mv < self.top_mv - config.max_drop_mv:
                self._give_up(ChargeEnd.IMPLAUSIBLE)
            elif (self.charge - self.moved_charge) * 5 > config.nominal_mah * config.stuck_ppm * 36:
                self._give_up(ChargeEnd.STUCK)
            else:
                self._cross_levels(sample.cell_mv, part)

    def _track_rate(self, part: int, dt_ms: int) -> None:
        """Charge and time between the samples inside the window, and to the first from the one before."""
        if self.inside == 0:
            self.window_charge = self.window_ms = 0
        if part > 0 and self.window_ms + dt_ms <= UINT32_MAX:
            self.window_charge += part
            self.window_ms += dt_ms

    def _mean_rate_mc(self) -> int:
        one_c = self.window_ms * self.config.nominal_mah
        return (self.window_charge * 500 + one_c // 2) // one_c if one_c else 0

    def _track_extremes(self, sample: Sample, current: int, part: int) -> None:
        if self.inside == 0:
            self.smooth_ma = 8 * self.last_ma
            self.least_ma = self.most_ma = self.last_ma
            self.top_mv = sample.cell_mv
            self.moved_charge = self.charge
            self.sum_ddegc = self.temperatures = 0
        if has_temperature(sample) and self.temperatures < UINT16_MAX:
            self.sum_ddegc += sample.temperature_ddegc
            self.temperatures += 1
        self.smooth_ma += current - self.smooth_ma // 8
        smooth = self.smooth_ma // 8
        self.least_ma, self.most_ma = min(self.least_ma, smooth), max(self.most_ma, smooth)
        self.top_mv = max(self.top_mv, sample.cell_mv)
        if sample.cell_mv != self.last_mv:
            self.moved_charge = self.charge
        if part > 0:
            self.inside = min(self.inside + 1, UNKNOWN)

    def _cross_levels(self, cell_mv: int, part: int) -> None:
        now_uv, before_uv = cell_mv * 1000, self.last_mv * 1000
        nominal = self.config.nominal_mah
        # A sample that jumps over many levels says nothing about what each of them took.
        beyond = self.level + (self.increments // 4 if self.increments > 12 else 2)
        if beyond <= self.increments and now_uv >= self._level_uv(beyond):
            self._give_up(ChargeEnd.SPARSE)
        while self.phase == Phase.INSIDE and now_uv >= self._level_uv(self.level):
            if self.row_ready and self.level:
                self._give_up(ChargeEnd.REPEATED)  # a finished row that nobody has taken over yet is not written over
                break
            rise = now_uv - before_uv
            up_to = self._level_uv(self.level) - before_uv
            here = self.charge - part + (part * up_to + rise // 2) // rise
            if self.level:
                ppm = ((here - self.level_charge) * 5 + 18 * nominal) // (36 * nominal)
                self.row[self.level - 1] = min(ppm, INT32_MAX)
            self.level_charge = here
            if self.level == self.increments:
                self._complete()
            else:
                self.level += 1

    def _goes_back(self) -> bool:
        """Whether a discharge lies between the newest row and this window."""
        return True

    def _complete(self) -> None:
        spread = self.most_ma - self.least_ma
        wanders = spread * 20 > self.most_ma + self.least_ma and spread * SPREAD_PART > self.config.nominal_mah
        rate_mc = self._mean_rate_mc()
        if self.inside < self.increments or self._is_pulse:
            self._give_up(ChargeEnd.SPARSE)
        elif wanders:
            self._give_up(ChargeEnd.NOT_CONSTANT)
        elif not self.limits.knows_rate(rate_mc / 1000):
            self._give_up(ChargeEnd.RATE)
        else:
            self.row_rate_mc = rate_mc
            self.phase = Phase.OVER
            self.ended = self.reason = ChargeEnd.OK
            if self.cycle_used and self.unseen and self._goes_back():  # the discharge between the two was
                self._count_cycle()
            self.cycle_used = self.row_ready = True
            mean = abs(self.sum_ddegc) // self.temperatures if self.temperatures else None
            self.row_ddegc = -mean if mean is not None and self.sum_ddegc < 0 else mean

    def _count(self, part: int, dt_ms: int) -> None:
        config = self.config
        if self.throughput < MOST_THROUGHPUT:
            self.throughput += abs(part)
        self.efc = self.efc_of(config.nominal_mah, self.throughput)
        if self.above:
            self.above = max(self.above + part, 0)
        self._follow_swing(part)
        if self.anchor != Anchor.NONE:
            self.count += part
            self.anchor_ms += dt_ms
            self.cold_ms += dt_ms if self.is_cold() else 0
            if abs(self.count) > config.reference_mah * 2 * PER_MAH or self.anchor_ms > MOST_ANCHOR_MS:
                self.set_anchor(Anchor.NONE)

    def _follow_swing(self, part: int) -> None:
        """Net discharge of a cycle's part, then as much net charge: what brakes give back on the way makes none."""
        self.swing = max(self.swing + (part if self.armed else -part), 0)
        if self.swing >= self._part(CYCLE_PART):
            if self.armed:
                self._count_cycle()
            else:
                self.armed, self.swing = True, 0
                self.above = 0  # after so much no charge goes on where it paused, whatever the sensor's error
                self.revision += 1

    def is_cold(self) -> bool:
        """Whether a cell is too cold or too hot to count by: the last temperature that there was decides, and a battery
        without a sensor is not asked."""
        last = self.last_ddegc
        return last is not None and not COUNTED_DDEGC[0] <= last <= COUNTED_DDEGC[1]

    def set_anchor(self, anchor: Anchor) -> None:
        """Counting begins anew, or not at all."""
        self.anchor = anchor
        self.count = self.anchor_ms = self.cold_ms = 0

    @property
    def is_parked(self) -> bool:
        """Whether a state that is saved now is one at rest, from which a count may go on."""
        return bool(self.rest_ms) and (self.anchor != Anchor.NONE or self.since_rest.cpct != UNKNOWN)

    def forget_counts(self) -> None:
        """Counts and rests under way mean nothing any more."""
        self.set_anchor(Anchor.NONE)
        self.since_rest.cpct = UNKNOWN

    def in_cpct(self, charge: int) -> int:
        """A charge as a part of the reference capacity, 0.01 %; beyond twice as much UNKNOWN."""
        whole = self.config.reference_mah * PER_MAH
        return UNKNOWN if abs(charge) > 2 * whole else abs(charge) * 10_000 // whole

    def _park(self, resting: bool, dt_ms: int) -> None:
        if not resting:
            if self.parked or self.rest_ms > PARKED_MS:  # what was saved at rest must not outlive the drive that begins
                self.parked = False
                self.revision += 1
            self.rest_ms = 0
            return
        if self.rest_ms < PARKED_MS:
            self.rest_ms = max(min(self.rest_ms + dt_ms, PARKED_MS), 1)
        used = self.use - self.kept_use & UINT16_MAX
        if self.rest_ms >= PARKED_MS and not self.parked and used > self.config.nominal_mah // USE_PART:
            self.kept_use, self.parked = self.use, self.is_parked
            self.revision += 1

    def _follow_taper(self, cell_mv: int, current: int) -> None:
        """Whether the charger has come down to twice the cut-off at full voltage, and nothing has changed since."""
        config = self.config
        if 0 < current <= 2 * config.cutoff_ma and cell_mv >= config.full_mv:
            self.taper = True
        elif (
            current > 2 * config.cutoff_ma
            or cell_mv < config.full_mv - RELAXED_MV
            or current * CURRENT_FLOOR < -config.nominal_mah
        ):
            self.taper = False

    def _end_reached(self, cell_mv: int, current: int) -> Anchor:
        config = self.config
        if config.full_mv and self.taper and current <= config.cutoff_ma:
            return Anchor.FULL
        if config.empty_mv and cell_mv <= config.empty_mv and 0 > current >= -config.nominal_mah:
            return Anchor.EMPTY
        return Anchor.NONE

    def _find_anchor(self, cell_mv: int, current: int, dt_ms: int) -> None:
        self._follow_taper(cell_mv, current)
        end = self._end_reached(cell_mv, current)
        if end == Anchor.NONE or end != self.candidate:
            self.candidate, self.hold_ms = end, 0
        elif dt_ms <= self.config.max_gap_ms:
            self.hold_ms = min(self.hold_ms + dt_ms, HOLD_MS)
        else:
            self.hold_ms = 0
        if self.hold_ms >= HOLD_MS:
            if end == Anchor.FULL and self.anchor == Anchor.EMPTY and self.count > 0:
                self._take_capacity(self.anchor_ma)
            if end == Anchor.EMPTY and self.anchor == Anchor.FULL and self.count < 0:
                self._take_capacity(current)
            self.set_anchor(end)
            self.anchor_ma = current

    def _take_capacity(self, empty_ma: int) -> None:
        config, cpct = self.config, self.in_cpct(self.count)
        if self.cold_ms * 8 <= self.anchor_ms and LEAST_SOH_CPCT <= cpct <= MOST_SOH_CPCT:
            by_rate = abs(empty_ma) * RATE_SIGMA_CPCT // config.nominal_mah
            sigma = config.counting_cpct + by_rate + self.anchor_ms // COUNT_MS_PER_CPCT
            self.counted_cpct, self.counted_sigma = cpct, min(sigma, MOST_COUNT_SIGMA)
            self.revision += 1
