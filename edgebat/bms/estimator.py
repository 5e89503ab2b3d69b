"""The estimator of ``firmware_stubs/bms`` in Python: the reference for tests, replays and reports.

Same integers, same decisions, same bytes of a saved state. The model is the integer graph in the NumPy runtime; the C
code runs it in slices, which changes nothing but the moment at which the answer is there.
"""

from __future__ import annotations

import math

from edgebat.bms.fusion import HUNDRED_PERCENT, ODD_ROWS, UNKNOWN_SIGMA, WINDOW_SIGMA, Ageing, By, Fusion, rescaled
from edgebat.bms.resistance import SAVED_BYTES, Resistance, ResistanceConfig
from edgebat.bms.rest import OcvTable, RestWitness, average
from edgebat.bms.results import Result, Source, Status
from edgebat.bms.rows import AnyRows, Rows
from edgebat.bms.saved import read_state, write_state
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import ANY_TEMPERATURE_DDEGC, POINTS_MAX, BmsModel, health_model
from edgebat.graph import IntGraph
from edgebat.runtime import Engine, outputs_in_units
from edgebat.runtime.refusal import outside_domain, too_aged
from edgebat.tasks.health.any_counter import AnyWindowCounter
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import (
    LEAST_SOH_CPCT,
    MOST_SOH_CPCT,
    PER_MAH,
    UINT32_MAX,
    UNKNOWN,
    ChargeEnd,
    Config,
    Sample,
)

__all__ = ["ChargeEnd", "Config", "Estimator", "Result", "Sample", "Source", "Status"]

MS_PER_H = 3_600_000
BLIND_SIGMA = 300
"""A model that was not given a temperature, 0.01 %."""
STALE_S = 15_552_000
MOST_FAILED = 10
MOVE_CPCT = 10
"""The published SOH moves by so much at once, unless less is left, and every move is worth saving: what was published before
a loss of power is published after it."""
KNOWN_SIGMA = 500
"""A deviation of the published SOH with which it is known, 0.01 %: a quarter of what a cell loses until it is worn out."""
IDLE_STEPS, IDLE_TIMES = 1000, 32
"""Steps without a sample, beside so many times the most that there ever were between two."""


class Estimator:
    """One battery with one model. ``push`` every sample, ``step`` or ``settle`` when there is time, read ``result()``.

    slices: calls of ``step`` an inference takes; as many as the generated C has, to follow a firmware call by call.
    ocv: the cell's open-circuit voltages (``edgebat_use_ocv``), so that rests measure as well.
    resistance: as a firmware that is compiled with EDGEBAT_RESISTANCE, with this part of its configuration.
    Raises DataError when the cell cannot be charged through the model's window.
    """

    def __init__(
        self,
        graph: IntGraph,
        config: Config,
        slices: int = 1,
        ocv: OcvTable | None = None,
        resistance: ResistanceConfig | None = None,
    ) -> None:
        self.model: BmsModel = health_model(graph)
        self.config = config
        _check(self.model, config)
        self.ocv, self._resistance_config = ocv, resistance
        self.begin_counting()
        self.serial = 0
        """Of what the board sits in."""
        self.fusion = Fusion(Ageing(config.rated_cycles, self.model.eol_cpct))
        self._graph, self._engine = graph, Engine(graph)
        self._slices, self.slice = slices, 0
        starts = self.model.starts
        self.rows = Rows(graph, self.model) if starts is None else AnyRows(graph, self.model, starts.max_age)
        self.row_efc = self.row_cycle = self.row_ppm = self.window_ppm = self.odd_cpct = 0
        self.row_blind = False
        self.estimate_cycle = self.estimate_s = 0
        self.rul = UNKNOWN
        self.points = [0] * self.model.points
        self.published = UNKNOWN
        self.outside = False
        self._revision = 0
        self._idle_steps = self._most_steps = 0
        self.second_ms = self.slew = self.sequence = 0
        self.fusion.weigh()

    def push(self, sample: Sample) -> bool:
        """``edgebat_push``: false when the sample was ignored."""
        self._most_steps = max(self._most_steps, self._idle_steps)
        self._idle_steps = 0
        counter, used = self.counter, self.counter.push(sample)
        if counter.counted_cpct != UNKNOWN:
            self.learn(By.COUNTING, counter.counted_cpct, counter.counted_sigma)
            counter.counted_cpct = UNKNOWN
        return used

    def begin_counting(self) -> None:
        """A new counter of samples."""
        model = self.model
        if model.starts is None:
            self.counter = ChargeCounter(model.level_uv, self.config, model.limits)
        else:
            self.counter = AnyWindowCounter(model.level_uv, self.config, model.limits, starts=model.starts)
        if self.ocv is not None:
            self.counter.follow_rest = RestWitness(self.ocv, self.counter, self._learn_rest).follow
        self.resistance: Resistance | None = None
        if self._resistance_config is not None:
            self.resistance = Resistance(self._resistance_config, self.counter)
            self.counter.follow_step = self.resistance.follow

    def learn(self, by: By, cpct: int, sigma_cpct: int) -> None:
        """A source has measured, now."""
        self._sync()
        self.fusion.learn(by, cpct, sigma_cpct)

    def _learn_rest(self, table: OcvTable, cpct: int, variance: int) -> None:
        self._sync()
        average(self.fusion, table, cpct, variance)
        self._revision += 1

    def idle(self, elapsed_ms: int) -> None:
        """``edgebat_idle``: time passed and no sample came."""
        self.counter.idle(elapsed_ms)

    def seed(self, soh_cpct: int, sigma_cpct: int) -> None:
        """``edgebat_seed``: another cell, or one that somebody has measured. Raises DataError for what is no SOH."""
        check_health(soh_cpct, sigma_cpct)
        self.forget_all()
        self.learn(By.INHERITED, soh_cpct, sigma_cpct)
        self._revision += 1

    def forget_all(self) -> None:
        """All of another cell: its SOH is no place to move from."""
        self.forget()
        self.fusion.settled = False
        self.published = UNKNOWN

    def forget(self) -> None:
        """All that was measured of a cell, but not how much it was used."""
        self.forget_window()
        self.forget_counts()
        self._forget_evidence(By.INHERITED)

    def forget_window(self) -> None:
        """The charges of the window, and what the model made of them."""
        counter = self.counter
        self.rows.forget()
        self.slice = self.window_ppm = 0
        self.row_efc = self.row_cycle = self.estimate_cycle = self.estimate_s = 0
        self.rul = UNKNOWN
        self.fusion.odd_rows = counter.failed = 0
        self.outside = counter.row_ready = counter.cycle_used = False
        self._forget_evidence(By.MODEL, By.WINDOW)

    def forget_counts(self) -> None:
        """Counts and rests, under way and measured."""
        self.counter.forget_counts()
        self._forget_evidence(By.COUNTING, By.REST)

    def _forget_evidence(self, *sources: By) -> None:
        for by in sources:
            self.fusion.evidence[by].cpct = UNKNOWN
        self.fusion.learnt = True

    def step(self) -> bool:
        """``edgebat_step``: true while more slices wait."""
        counter = self.counter
        self._sync()
        if counter.row_ready:
            self._take_row()
        elif self.slice:
            self.slice += 1
            if self.slice > self._slices:
                self.slice = 0
                self._take_over()
        self._idle_steps = min(self._idle_steps + 1, UINT32_MAX)
        self._settle()
        return self.slice != 0

    def settle(self) -> None:
        """All steps that wait."""
        while self.step():
            pass

    def _sync(self) -> None:
        if self.counter.efc != self.fusion.efc:
            self.fusion.efc, self.fusion.aged = self.counter.efc, True

    def _take_row(self) -> None:
        counter = self.counter
        cold = self._judge_temperature()
        counter.row_ready = False
        self.slice = 0
        self._revision += 1
        self.row_ppm = min(sum(counter.row), UINT32_MAX)
        rows = zip(self.model.low_ppm, self.rows.measured(counter), self.model.high_ppm, strict=True)
        self.outside = cold or not all(low <= value <= high for low, value, high in rows)
        if not self.outside:
            counter.failed = 0
            self.rows.append(counter, self.row_efc, self.row_cycle)
            self.row_cycle, self.row_efc = counter.cycle, counter.efc
            self.slice = int(not self.rows.missing and not self.corrupt)
        else:
            counter.failed = min(counter.failed + 1, 255)
            if not cold:
                self._learn_odd()

    def _judge_temperature(self) -> bool:
        """Whether the model does not know a row's temperature: its mean, else the last that there was. A model may know no
        temperatures, and a battery may have no sensor."""
        model, mean = self.model, self.counter.row_ddegc
        self.row_blind = False
        if (model.min_ddegc, model.max_ddegc) == ANY_TEMPERATURE_DDEGC:
            return False
        self.row_blind = mean is None
        ddegc = self.counter.last_ddegc if mean is None else mean
        return ddegc is not None and not model.min_ddegc <= ddegc <= model.max_ddegc

    def _learn_odd(self) -> None:
        """A window that takes less than at the last estimate belongs to a cell that holds less by as much; one that takes
        more to none that is healthier."""
        fusion, before = self.fusion, self.fusion.evidence[By.MODEL].cpct
        fusion.odd_rows = fusion.odd_rows + 1 if fusion.odd_rows < 255 else 256 - ODD_ROWS
        of_three = fusion.odd_rows % ODD_ROWS
        fusion.aged = True
        if before == UNKNOWN or not self.window_ppm:
            return
        like = min(before * self.row_ppm // self.window_ppm, before, fusion.ceiling_cpct)
        self.odd_cpct = like if of_three == 1 else max(like, self.odd_cpct)
        if of_three == 0:
            fusion.learn(By.WINDOW, self.odd_cpct, WINDOW_SIGMA)

    def _take_over(self) -> None:
        x = self.rows.input()[None]
        if outside_domain(self._graph, x)[0]:
            self.outside = True
            return
        values = outputs_in_units(self._graph, self._engine.run(x))
        soh = int(values["soh"][0, 0])
        cpct = self._on_scale(soh)
        if cpct < LEAST_SOH_CPCT or soh > MOST_SOH_CPCT or too_aged(self._graph, values["soh"][:, 0])[0]:
            self.outside = True
            return
        self.points = [self._on_scale(int(v)) for v in values["trajectory"][0]]
        self.rul = _limited(int(values["rul"][0, 0]))
        self.estimate_cycle, self.estimate_s = self.row_cycle, self.fusion.clock_s
        own = self.model.interval_divisor != 0
        bounds = [int(values[name][0, 0]) for name in ("soh_low", "soh_high")] if own else []
        self.learn_model(cpct, self.model.sigma_of(*bounds) if own else None)
        self._revision += 1

    def _on_scale(self, value: int) -> int:
        """What the model says of its own 100 %, of the reference capacity: all sources have one scale."""
        whole = self.config.reference_mah
        return rescaled(_limited(value), self.config.nominal_mah if self.model.of_nominal else whole, whole)

    def learn_model(self, cpct: int, sigma_cpct: int | None = None) -> None:
        """The model has measured, of the newest row and those before it; sigma_cpct: its error, that of the validation cells
        unless given. Half the window lies in the past; one that reaches
        back further than usual is worse by what was lost since."""
        fusion, known = self.fusion, self.model.sigma_cpct if sigma_cpct is None else sigma_cpct
        late = max(self.rows.span - 8 * self.model.context, 0) // 2
        self.window_ppm = self.row_ppm if self.rows.comparable else 0
        fusion.odd_rows = 0
        fusion.evidence[By.WINDOW].cpct = UNKNOWN
        terms = (
            UNKNOWN_SIGMA if known == UNKNOWN else min(known, HUNDRED_PERCENT),
            BLIND_SIGMA if self.row_blind else 0,
            fusion.ageing.faded(late),
        )
        fusion.learn(By.MODEL, cpct, math.isqrt(sum(term * term for term in terms)))

    @property
    def corrupt(self) -> bool:
        """The self-test failed: the model is not asked any more."""
        return self.fusion.corrupt

    @corrupt.setter
    def corrupt(self, corrupt: bool) -> None:
        self.fusion.corrupt, self.fusion.aged = corrupt, True
        self.fusion.weigh()

    @property
    def revision(self) -> int:
        """Counts on whenever there is something worth saving."""
        return self.counter.revision + self._revision

    def _settle(self) -> None:
        """Time has passed: the evidence is older, and the published SOH is closer to its target."""
        fusion = self.fusion
        dt_ms, self.counter.elapsed_ms = self.counter.elapsed_ms, 0
        seconds, self.second_ms = divmod(self.second_ms + dt_ms, 1000)
        before = fusion.now_4h
        fusion.clock_s = min(fusion.clock_s + seconds, UINT32_MAX)
        fusion.aged = fusion.aged or fusion.now_4h != before
        fusion.weigh()
        rate, target = self.config.slew_cpct_h, fusion.target_cpct
        first = self.published == UNKNOWN or (fusion.measured and not fusion.settled)
        if fusion.source == Source.NONE or self.published == target:
            self.slew = 0
        elif first or rate == 0:
            self.published, self.slew = target, 0
            self._revision += 1
        else:
            self._approach(dt_ms * rate)
        fusion.settled = fusion.settled or fusion.measured

    def _approach(self, allowed: int) -> None:
        """A move towards the target, once the slew limit allows one; ``allowed``: 0.01 % per hour, times ms."""
        self.slew += allowed
        steps, left = self.slew // MS_PER_H, self.fusion.target_cpct - self.published
        if steps >= min(abs(left), MOVE_CPCT):
            self.published += max(-steps, min(steps, left))
            self.slew %= MS_PER_H
            self._revision += 1

    @property
    def window(self) -> list[list[int]]:
        """Quantized rows, the oldest first, at most ``model.context``."""
        return self.rows.kept

    @property
    def has_estimate(self) -> bool:
        """Whether the model has measured this cell."""
        return self.fusion.evidence[By.MODEL].cpct != UNKNOWN

    def _age_cycles(self) -> int:
        return min(self.counter.cycle - self.estimate_cycle, UNKNOWN - 1) if self.has_estimate else UNKNOWN

    def _stale(self) -> bool:
        old = self._age_cycles() > self.config.stale_cycles or self.fusion.clock_s - self.estimate_s > STALE_S
        return self.has_estimate and (old or self.counter.failed >= MOST_FAILED)

    def _known_without(self) -> bool:
        """Whether somebody else than the model knows the SOH well: then nothing depends on what the model lacks."""
        fusion = self.fusion
        others = self.published != UNKNOWN and fusion.source != Source.MODEL and not fusion.conflict
        return others and self._sigma(fusion.source) <= KNOWN_SIGMA

    def _status(self) -> Status:
        silent = self._idle_steps > IDLE_STEPS + IDLE_TIMES * self._most_steps
        checks = (
            (self.corrupt, Status.MODEL_CORRUPT),
            (self.counter.hole_ms >= self.config.invalid_ms or silent, Status.INPUT_INVALID),
            (self._known_without(), Status.OK),
            (self.outside, Status.OUT_OF_DOMAIN),
            (not self.has_estimate, Status.WARMUP),
            (self.fusion.conflict, Status.CONFLICT),
            (self._stale(), Status.STALE),
        )
        return next((status for holds, status in checks if holds), Status.OK)

    def _sigma(self, source: Source) -> int:
        fusion = self.fusion
        unknown = source == Source.MODEL and self.model.sigma_cpct == UNKNOWN
        if source == Source.NONE or unknown or fusion.target_sigma == UNKNOWN:
            return UNKNOWN
        return min(fusion.target_sigma + abs(self.published - fusion.target_cpct), UNKNOWN)

    def result(self) -> Result:
        """``edgebat_result``."""
        source = self.fusion.source if self.published != UNKNOWN else Source.NONE
        age = self._age_cycles()
        speaks = self.has_estimate and not self.corrupt and not self._stale()
        points = self.points if speaks else []
        return Result(
            soh_cpct=self.published,
            sigma_cpct=self._sigma(source),
            rul_cycles=max(self.rul - age, 0) if speaks else UNKNOWN,
            model_cpct=self.fusion.evidence[By.MODEL].cpct,
            counting_cpct=self.fusion.counting(),
            age_cycles=age,
            age_s=self.fusion.clock_s - self.estimate_s if self.has_estimate else UINT32_MAX,
            cycle=self.counter.cycle,
            revision=self.revision,
            points_cpct=tuple([*points, *[UNKNOWN] * POINTS_MAX][:POINTS_MAX]),
            points=len(points),
            warmup=0 if speaks else min(self.rows.missing, 255),
            status=self._status(),
            source=source,
            charge=self.counter.ended,
            throughput_mah=min(self.counter.throughput // PER_MAH, UINT32_MAX),
            efc_quarters=self.counter.efc,
            window_ppm=self.row_ppm,
            **({} if self.resistance is None else self.resistance.result()),
        )

    @property
    def saved_bytes(self) -> int:
        """Of a state."""
        return self.model.saved_bytes + (0 if self.resistance is None else SAVED_BYTES)

    def state(self) -> bytes:
        """``edgebat_state_get``: the saved state; every one carries a higher sequence number."""
        return write_state(self)

    def restore(self, saved: bytes) -> bool:
        """Continue from a saved state, as ``edgebat_init`` does in a new battery; false when it is of another model or of
        another capacity, and only what still holds was inherited. Raises DataError when it is refused."""
        self._revision = 0
        return read_state(self, saved)


def check_health(soh_cpct: int, sigma_cpct: int) -> None:
    """Raise DataError for what is no SOH that somebody can have measured."""
    if not (LEAST_SOH_CPCT <= soh_cpct <= MOST_SOH_CPCT and 0 < sigma_cpct <= HUNDRED_PERCENT):
        raise DataError(
            f"no SOH to begin with: {soh_cpct} +- {sigma_cpct} of 0.01 %; give {LEAST_SOH_CPCT} to {MOST_SOH_CPCT}, "
            f"a deviation of 1 to {HUNDRED_PERCENT}"
        )


def _check(model: BmsModel, config: Config) -> None:
    low, high = model.level_uv[0], model.level_uv[-1]
    fits = (
        config.min_mv * 1000 <= low
        and high <= config.max_mv * 1000
        and (config.full_mv == 0 or high <= config.full_mv * 1000)
        and (config.empty_mv == 0 or low > config.empty_mv * 1000)
    )
    if not fits:
        raise DataError(
            f"a cell of {config.min_mv} to {config.max_mv} mV (full {config.full_mv}, empty {config.empty_mv}; 0: not "
            f"known) is never charged through the window of model {model.name!r}, {low / 1000:g} to {high / 1000:g} mV; "
            "use a model of this chemistry"
        )
    if not 3 * config.nominal_mah <= 4 * config.reference_mah or not 3 * config.reference_mah <= 4 * config.nominal_mah:
        raise DataError(
            f"a capacity of {config.reference_mah} mAh cannot be 100 % of a cell of {config.nominal_mah} mAh: give "
            "reference_mah between 3/4 and 4/3 of it, or nothing"
        )


def _limited(value: int) -> int:
    return max(0, min(value, UNKNOWN - 1))
