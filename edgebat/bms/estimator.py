"""The estimator of ``firmware_stubs/bms`` in Python: the reference for tests, replays and reports.

Same integers, same decisions, same bytes of a saved state. The model is the integer graph in the NumPy runtime; the C
code runs it in slices, which changes nothing but the moment at which the answer is there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from struct import pack, unpack, unpack_from

import numpy as np

from edgebat.bms.results import LEAST_SOH_CPCT, MOST_SOH_CPCT, Result, Source, Status
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import ANY_TEMPERATURE_DDEGC, POINTS_MAX, SAVED_HEADER, BmsModel, health_model
from edgebat.graph import IntGraph
from edgebat.runtime import Engine, outputs_in_units, quantize_input
from edgebat.runtime.refusal import outside_domain
from edgebat.tasks.health.charge_counter import PER_MAH, UINT32_MAX, UNKNOWN, ChargeCounter, ChargeEnd, Config, Sample

__all__ = ["ChargeEnd", "Config", "Estimator", "Result", "Sample", "Source", "Status"]

HUNDRED_PERCENT = 10_000
MS_PER_H = 3_600_000
MAGIC = b"EBS\x01"
LAYOUT = "<6I2Q3I5H6B"
"""Of a saved state between the magic number and the trajectory; the fields stand in ``edgebat_saved.c``."""


@dataclass
class _Estimate:
    """The last one of the model."""

    cpct: int = UNKNOWN
    rul: int = UNKNOWN
    points: list[int] = field(default_factory=list)
    cycle: int = 0


class Estimator:
    """One battery with one model. ``push`` every sample, ``step`` or ``settle`` when there is time, read ``result()``.

    slices: calls of ``step`` an inference takes; as many as the generated C has, to follow a firmware call by call.
    """

    def __init__(self, graph: IntGraph, config: Config, slices: int = 1) -> None:
        self.model: BmsModel = health_model(graph)
        self.config = config
        self.counter = ChargeCounter(self.model.level_uv, config)
        self._graph, self._engine = graph, Engine(graph)
        self._slices, self._slice = slices, 0
        self.window: list[list[int]] = []
        """Quantized rows, the oldest first, at most ``model.context``."""
        self.row_cycle = 0
        self.estimate: _Estimate | None = None
        self.published = UNKNOWN
        self.corrupt = self.outside = self.settled = False
        self._revision = 0
        self.age_s = self.age_ms = self.slew = self.sequence = 0

    def push(self, sample: Sample) -> bool:
        """``edgebat_push``: false when the sample was ignored."""
        return self.counter.push(sample)

    def step(self) -> bool:
        """``edgebat_step``: true while more slices wait."""
        if self.counter.row_ready:
            self._take_row()
        elif self._slice:
            self._slice += 1
            if self._slice > self._slices:
                self._slice = 0
                self._take_over()
        self._pass_time()
        return self._slice != 0

    def settle(self) -> None:
        """All steps that wait."""
        while self.step():
            pass

    def _take_row(self) -> None:
        self.counter.row_ready = False
        self._slice = 0
        self._revision += 1
        self.outside = not self._is_known()
        if not self.outside:
            self._append_row()
            self._slice = int(len(self.window) == self.model.context and not self.corrupt)

    def _is_known(self) -> bool:
        model, (cold, hot) = self.model, self.counter.row_temperatures
        limited = (model.min_ddegc, model.max_ddegc) != ANY_TEMPERATURE_DDEGC
        if limited and not (cold <= hot and cold >= model.min_ddegc and hot <= model.max_ddegc):
            return False
        rows = zip(model.low_ppm, self.counter.row, model.high_ppm, strict=True)
        return all(low <= value <= high for low, value, high in rows)

    def _append_row(self) -> None:
        counter, model = self.counter, self.model
        if counter.cycle - self.row_cycle > model.max_gap:
            self.window = []
        row = np.array(counter.row, dtype=np.int64)
        quantized = quantize_input(self._graph, np.broadcast_to(row, (1, model.context, model.increments)))[0, 0]
        self.window = [*self.window, [int(v) for v in quantized]][-model.context :]
        self.row_cycle = counter.cycle

    def _take_over(self) -> None:
        x = np.array(self.window, dtype=np.int8)[None]
        if outside_domain(self._graph, x)[0]:
            self.outside = True
            return
        values = outputs_in_units(self._graph, self._engine.run(x))
        soh = int(values["soh"][0, 0])
        if not LEAST_SOH_CPCT <= soh <= MOST_SOH_CPCT:
            self.outside = True
            return
        points = [_limited(int(v)) for v in values["trajectory"][0]]
        self.estimate = _Estimate(_limited(soh), _limited(int(values["rul"][0, 0])), points, self.row_cycle)
        self.age_s = self.age_ms = self.counter.elapsed_ms = 0
        self._revision += 1

    @property
    def revision(self) -> int:
        """Counts on whenever there is something worth saving."""
        return self.counter.revision + self._revision

    def _pass_time(self) -> None:
        dt_ms, self.counter.elapsed_ms = self.counter.elapsed_ms, 0
        seconds, self.age_ms = divmod(self.age_ms + dt_ms, 1000)
        self.age_s = min(self.age_s + seconds, UINT32_MAX)
        source, target = self._target()
        rate = self.config.slew_cpct_h
        measured = source in (Source.MODEL, Source.COUNTING)
        first = self.published == UNKNOWN or (measured and not self.settled)
        if source == Source.NONE:
            self.slew = 0
        elif first or rate == 0 or self.published == target:
            self.published, self.slew = target, 0
        else:
            steps, self.slew = divmod(self.slew + dt_ms * rate, MS_PER_H)
            difference = target - self.published
            self.published += max(-steps, min(steps, difference))
        self.settled = self.settled or measured

    def _age_cycles(self) -> int:
        return UNKNOWN if self.estimate is None else min(self.counter.cycle - self.estimate.cycle, UNKNOWN - 1)

    def _stale(self) -> bool:
        return self.estimate is not None and self._age_cycles() > self.config.stale_cycles

    def _counting(self) -> int:
        cpct, rated = self.counter.counted_cpct, self.config.rated_cycles
        if rated:
            cpct = HUNDRED_PERCENT if cpct == UNKNOWN else cpct
            one = self.config.nominal_mah * 2 * PER_MAH * rated
            parts = (self.counter.throughput - self.counter.counted_at) // (one // HUNDRED_PERCENT)
            lost = min(parts * (HUNDRED_PERCENT - self.model.eol_cpct) // HUNDRED_PERCENT, HUNDRED_PERCENT)
            cpct = max(cpct - lost, 0)
        return cpct

    def _target(self) -> tuple[Source, int]:
        if self.estimate is not None and not self.corrupt and not self._stale():
            return Source.MODEL, self.estimate.cpct
        counting = self._counting()
        if self.counter.counted_cpct != UNKNOWN:
            return Source.COUNTING, counting
        return (Source.NONE if counting == UNKNOWN else Source.DATASHEET), counting

    def _status(self) -> Status:
        checks = (
            (self.corrupt, Status.MODEL_CORRUPT),
            (self.counter.hole_ms >= self.config.invalid_ms, Status.INPUT_INVALID),
            (self.outside, Status.OUT_OF_DOMAIN),
            (self.estimate is None, Status.WARMUP),
            (self._stale(), Status.STALE),
        )
        return next((status for holds, status in checks if holds), Status.OK)

    def _sigma(self, source: Source, target: int) -> int:
        away = abs(self.published - target)
        if source == Source.COUNTING:
            return min(self.config.counting_cpct + away, UNKNOWN)
        if source != Source.MODEL or self.model.sigma_cpct == UNKNOWN:
            return UNKNOWN
        rated = self.config.rated_cycles
        lost = self._age_cycles() * (HUNDRED_PERCENT - self.model.eol_cpct) // rated if rated else 0
        return min(self.model.sigma_cpct + lost + away, UNKNOWN)

    def result(self) -> Result:
        """``edgebat_result``."""
        source, target = self._target() if self.published != UNKNOWN else (Source.NONE, UNKNOWN)
        estimate, age = self.estimate, self._age_cycles()
        by_model = source == Source.MODEL and estimate is not None
        points = estimate.points if by_model and estimate is not None else []
        return Result(
            soh_cpct=self.published,
            sigma_cpct=self._sigma(source, target),
            rul_cycles=max(estimate.rul - age, 0) if by_model and estimate is not None else UNKNOWN,
            model_cpct=UNKNOWN if estimate is None else estimate.cpct,
            counting_cpct=self._counting(),
            age_cycles=age,
            age_s=UINT32_MAX if estimate is None else self.age_s,
            cycle=self.counter.cycle,
            revision=self.revision,
            points_cpct=tuple([*points, *[UNKNOWN] * POINTS_MAX][:POINTS_MAX]),
            points=len(points),
            warmup=0 if by_model else min(self.model.context - len(self.window), 255),
            status=self._status(),
            source=source,
            charge=self.counter.ended,
        )

    def state(self) -> bytes:
        """``edgebat_state_get``: the saved state; every one carries a higher sequence number."""
        self.sequence = (self.sequence + 1) & UINT32_MAX
        estimate, counter, model = self.estimate, self.counter, self.model
        points = estimate.points if estimate is not None else [0] * model.points
        rows = [v & 0xFF for row in self.window for v in row]
        rows += [0] * (model.context * model.increments - len(rows))
        body = MAGIC + pack(
            LAYOUT,
            model.saved_bytes,
            model.fingerprint,
            self.sequence,
            self.config.nominal_mah,
            self.config.reference_mah,
            counter.cycle,
            counter.throughput,
            counter.counted_at,
            self.age_s,
            self.row_cycle,
            estimate.cycle if estimate else 0,
            self.published,
            counter.counted_cpct,
            estimate.cpct if estimate else UNKNOWN,
            estimate.rul if estimate else UNKNOWN,
            len(self.window),
            estimate is not None,
            self.outside,
            self.settled,
            *(0, 0, 0),
        )
        assert len(body) == SAVED_HEADER
        body += pack(f"<{len(points)}H", *points) + bytes(rows)
        return body + pack("<I", zlib.crc32(body))

    def restore(self, saved: bytes) -> None:
        """Continue from a saved state, as ``edgebat_init`` does in a new battery. Raises DataError when it is refused."""
        model = self.model
        if len(saved) != model.saved_bytes or saved[:4] != MAGIC:
            raise DataError(f"a saved state of {model.name!r} has {model.saved_bytes} bytes and begins with {MAGIC!r}")
        if zlib.crc32(saved[:-4]) != int.from_bytes(saved[-4:], "little"):
            raise DataError("the saved state is damaged: its checksum does not fit")
        numbers = unpack_from(LAYOUT, saved, 4)
        _, fingerprint, self.sequence, nominal, reference, cycle, throughput, counted_at = numbers[:8]
        if (fingerprint, nominal, reference) != (model.fingerprint, self.config.nominal_mah, self.config.reference_mah):
            raise DataError("the saved state belongs to another model or to a battery of another capacity")
        self.age_s, self.row_cycle, estimate_cycle, self.published, counted, cpct, rul, rows = numbers[8:16]
        has_estimate, self.outside, self.settled = (bool(v) for v in numbers[16:19])
        self.counter = counter = ChargeCounter(model.level_uv, self.config)
        counter.cycle, counter.throughput, counter.counted_at = cycle, throughput, counted_at
        counter.counted_cpct = counted
        # What flowed without power nobody knows; the next charge counts as a cycle.
        counter.discharged = self.config.nominal_mah * PER_MAH
        self._revision = 0
        points = list(unpack_from(f"<{model.points}H", saved, SAVED_HEADER))
        self.estimate = _Estimate(cpct, rul, points, estimate_cycle) if has_estimate else None
        start = SAVED_HEADER + 2 * model.points
        window = unpack(f"<{model.increments * model.context}b", saved[start:-4])
        width = model.increments
        self.window = [list(window[i * width : (i + 1) * width]) for i in range(rows)]
        self.age_ms = self.slew = 0
        self._slice = int(rows == model.context and (not has_estimate or estimate_cycle != self.row_cycle))


def _limited(value: int) -> int:
    return max(0, min(value, UNKNOWN - 1))
