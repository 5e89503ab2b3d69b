"""The estimator of ``firmware_stubs/bms`` in Python: the reference for tests, replays and reports.

Same integers, same decisions, same bytes of a saved state. The model is the integer graph in the NumPy runtime; the C
code runs it in slices, which changes nothing but the moment at which the answer is there.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from struct import pack, unpack, unpack_from

import numpy as np

from edgebat.errors import DataError
from edgebat.features.charge_counter import UINT32_MAX, UNKNOWN, ChargeCounter, ChargeEnd, Config, Sample
from edgebat.formats.c99_bms import POINTS_MAX, SAVED_HEADER, BmsModel, describe
from edgebat.graph import IntGraph
from edgebat.runtime import Engine, outputs_in_units, quantize_input

__all__ = ["ChargeEnd", "Config", "Estimator", "Result", "Sample", "Source", "Status"]

HUNDRED_PERCENT = 10_000
MS_PER_H = 3_600_000
MAGIC = b"EBS\x01"
LAYOUT = "<5I3Q3I6H4B"
"""Of a saved state between the magic number and the trajectory; the fields stand in ``edgebat_saved.c``."""
LEAST_SOH_CPCT, MOST_SOH_CPCT = 1000, 15_000


class Status(IntEnum):
    """``edgebat_status_t``: what a result is worth."""

    OK = 0
    WARMUP = 1
    INPUT_INVALID = 2
    OUT_OF_DOMAIN = 3
    STALE = 4
    MODEL_CORRUPT = 5


class Source(IntEnum):
    """``edgebat_source_t``: who says the SOH."""

    NONE = 0
    MODEL = 1
    COUNTING = 2


@dataclass(frozen=True)
class Result:
    """``edgebat_result_t``: 0.01 %, cycles and seconds; 65535 (``age_s``: 2**32 - 1) where nothing is known."""

    soh_cpct: int
    sigma_cpct: int
    rul_cycles: int
    model_cpct: int
    counting_cpct: int
    age_cycles: int
    age_s: int
    cycle: int
    points_cpct: tuple[int, ...]
    points: int
    warmup: int
    status: Status
    source: Source
    charge: ChargeEnd


@dataclass
class _Said:
    """What the model said last."""

    cpct: int = UNKNOWN
    rul: int = UNKNOWN
    points: list[int] = field(default_factory=list)
    cycle: int = 0
    outside: bool = False


class Estimator:
    """One battery with one model. ``push`` every sample, ``step`` or ``settle`` when there is time, read ``result()``.

    slices: calls of ``step`` an inference takes; as many as the generated C has, to follow a firmware call by call.
    """

    def __init__(self, graph: IntGraph, config: Config, slices: int = 1) -> None:
        self.model: BmsModel = describe(graph)
        self.config = config
        self.counter = ChargeCounter(self.model.level_uv, config)
        self._graph, self._engine = graph, Engine(graph)
        self._slices, self._slice = slices, 0
        self.window: list[list[int]] = []
        """Quantized rows, the oldest first, at most ``model.context``."""
        self.known_rows = self.row_cycle = 0
        self.said: _Said | None = None
        self.published = UNKNOWN
        self.corrupt = False
        self.age_s = self.age_ms = self.slew = self.sequence = 0

    def push(self, sample: Sample) -> bool:
        """``edgebat_push``: false when the sample was ignored."""
        return self.counter.push(sample)

    def step(self) -> bool:
        """``edgebat_step``: true while more slices wait."""
        if self.counter.row_ready:
            self._append_row()
            self._slice = int(len(self.window) == self.model.context and not self.corrupt)
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

    def _append_row(self) -> None:
        counter, model = self.counter, self.model
        row = np.array(counter.row, dtype=np.int64)
        cold, hot = counter.row_temperatures
        known = cold >= model.min_ddegc and hot <= model.max_ddegc
        known = known and all(a <= v <= b for a, v, b in zip(model.low_ppm, counter.row, model.high_ppm, strict=True))
        if self.window and counter.cycle - self.row_cycle > model.max_gap:
            self.window, self.known_rows = [], 0
        quantized = quantize_input(self._graph, np.broadcast_to(row, (1, model.context, model.increments)))[0, 0]
        self.window = [*self.window, [int(v) for v in quantized]][-model.context :]
        self.known_rows = min(self.known_rows + 1, model.context) if known else 0
        self.row_cycle = counter.cycle
        counter.row_ready = False

    def _take_over(self) -> None:
        x = np.array(self.window, dtype=np.int8)[None]
        values = outputs_in_units(self._graph, self._engine.run(x))
        soh = int(values["soh"][0, 0])
        absurd = not LEAST_SOH_CPCT <= soh <= MOST_SOH_CPCT
        self.said = _Said(
            _limited(soh),
            _limited(int(values["rul"][0, 0])),
            [_limited(int(v)) for v in values["trajectory"][0]],
            self.row_cycle,
            self.known_rows < self.model.context or absurd,
        )
        self.age_s = self.age_ms = self.counter.elapsed_ms = 0

    def _pass_time(self) -> None:
        dt_ms, self.counter.elapsed_ms = self.counter.elapsed_ms, 0
        seconds, self.age_ms = divmod(self.age_ms + dt_ms, 1000)
        self.age_s = min(self.age_s + seconds, UINT32_MAX)
        source, target = self._target()
        rate = self.config.slew_cpct_h
        if source == Source.NONE:
            self.slew = 0
        elif self.published == UNKNOWN or rate == 0 or self.published == target:
            self.published, self.slew = target, 0
        else:
            steps, self.slew = divmod(self.slew + dt_ms * rate, MS_PER_H)
            way = target - self.published
            self.published += max(-steps, min(steps, way))

    def _age_cycles(self) -> int:
        return UNKNOWN if self.said is None else min(self.counter.cycle - self.said.cycle, UNKNOWN - 1)

    def _stale(self) -> bool:
        return self.said is not None and self._age_cycles() > self.config.stale_cycles

    def _counting(self) -> int:
        cpct, rated = self.counter.counted_cpct, self.config.rated_cycles
        if rated:
            cpct = HUNDRED_PERCENT if cpct == UNKNOWN else cpct
            one = self.config.nominal_mah * 2 * 7_200_000 * rated
            parts = (self.counter.throughput - self.counter.counted_at) // (one // HUNDRED_PERCENT)
            lost = (
                HUNDRED_PERCENT
                if parts > 30_000
                else parts * (HUNDRED_PERCENT - self.model.eol_cpct) // HUNDRED_PERCENT
            )
            cpct = max(cpct - lost, 0)
        return cpct

    def _target(self) -> tuple[Source, int]:
        if self.said is not None and not self.said.outside and not self.corrupt and not self._stale():
            return Source.MODEL, self.said.cpct
        counting = self._counting()
        return (Source.NONE if counting == UNKNOWN else Source.COUNTING), counting

    def _status(self) -> Status:
        checks = (
            (self.corrupt, Status.MODEL_CORRUPT),
            (self.counter.hole_ms >= self.config.invalid_ms, Status.INPUT_INVALID),
            (self.said is None, Status.WARMUP),
            (self.said is not None and self.said.outside, Status.OUT_OF_DOMAIN),
            (self._stale(), Status.STALE),
        )
        return next((status for holds, status in checks if holds), Status.OK)

    def _sigma(self, source: Source) -> int:
        if source == Source.COUNTING:
            return self.config.counting_cpct
        if source == Source.NONE or self.model.sigma_cpct == UNKNOWN:
            return UNKNOWN
        rated = self.config.rated_cycles
        lost = self._age_cycles() * (HUNDRED_PERCENT - self.model.eol_cpct) // rated if rated else 0
        return min(self.model.sigma_cpct + lost, UNKNOWN)

    def result(self) -> Result:
        """``edgebat_result``."""
        source, _ = self._target()
        said, age = self.said, self._age_cycles()
        speaks = source == Source.MODEL and said is not None
        points = said.points if speaks and said is not None else []
        return Result(
            soh_cpct=self.published,
            sigma_cpct=self._sigma(source),
            rul_cycles=max(said.rul - age, 0) if speaks and said is not None else UNKNOWN,
            model_cpct=UNKNOWN if said is None else said.cpct,
            counting_cpct=self._counting(),
            age_cycles=age,
            age_s=UINT32_MAX if said is None else self.age_s,
            cycle=self.counter.cycle,
            points_cpct=tuple([*points, *[UNKNOWN] * POINTS_MAX][:POINTS_MAX]),
            points=len(points),
            warmup=min(self.model.context - len(self.window), 255) if said is None else 0,
            status=self._status(),
            source=source,
            charge=self.counter.ended,
        )

    def state(self) -> bytes:
        """``edgebat_state_get``: the saved state; every one carries a higher sequence number."""
        self.sequence = (self.sequence + 1) & UINT32_MAX
        said, counter, model = self.said, self.counter, self.model
        points = said.points if said is not None else [0] * model.points
        rows = [v & 0xFF for row in self.window for v in row]
        rows += [0] * (model.context * model.increments - len(rows))
        body = MAGIC + pack(
            LAYOUT,
            model.saved_bytes,
            model.fingerprint,
            self.sequence,
            self.config.nominal_mah,
            counter.cycle,
            counter.throughput,
            counter.discharged,
            counter.counted_at,
            self.age_s,
            self.row_cycle,
            said.cycle if said else 0,
            self.published,
            counter.counted_cpct,
            said.cpct if said else UNKNOWN,
            said.rul if said else UNKNOWN,
            len(self.window),
            self.known_rows,
            said is not None,
            said.outside if said else 0,
            counter.cycle_has_row,
            0,
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
        _, fingerprint, self.sequence, nominal, cycle, throughput, discharged, counted_at = numbers[:8]
        if fingerprint != model.fingerprint or nominal != self.config.nominal_mah:
            raise DataError("the saved state belongs to another model or to a battery of another capacity")
        self.age_s, self.row_cycle, said_cycle, self.published, counted, cpct, rul = numbers[8:15]
        rows, self.known_rows, said, outside, has_row, _ = numbers[15:]
        self.counter = counter = ChargeCounter(model.level_uv, self.config)
        counter.cycle, counter.throughput, counter.discharged = cycle, throughput, discharged
        counter.counted_at, counter.counted_cpct, counter.cycle_has_row = counted_at, counted, bool(has_row)
        points = list(unpack_from(f"<{model.points}H", saved, SAVED_HEADER))
        self.said = _Said(cpct, rul, points, said_cycle, bool(outside)) if said else None
        start = SAVED_HEADER + 2 * model.points
        window = unpack(f"<{model.increments * model.context}b", saved[start:-4])
        width = model.increments
        self.window = [list(window[i * width : (i + 1) * width]) for i in range(rows)]
        self.age_ms = self.slew = 0


def _limited(value: int) -> int:
    return max(0, min(value, UNKNOWN - 1))
