"""The forecaster of ``firmware_stubs/bms`` in Python: the reference for tests, replays and reports.

Same integers, same decisions, same bytes of a saved history, as ``edgebat/bms/estimator.py`` is for the estimator.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import pack, unpack_from

import numpy as np

from edgebat.bms.results import ForecastResult, Result, Status
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import POINTS_MAX, UNKNOWN, ForecastModel, forecast_model
from edgebat.graph import IntGraph
from edgebat.runtime import Engine, input_clipped, outputs_in_units, quantize_input
from edgebat.tasks.health.charge_types import LEAST_SOH_CPCT, MOST_SOH_CPCT, UINT32_MAX

MAGIC = b"EBF\x01"
LAYOUT = "<6I"
"""Of a saved history between the magic number and its values; the fields stand in ``edgebat_forecast_begin.c``."""
PPM_PER_CPCT = 100


@dataclass(frozen=True)
class _Forecast:
    """What the model gave last, for the cycle after which it begins."""

    cycle: int
    eol: int
    curve: tuple[int, ...]
    """0.01 %: the level now, then the points."""


class Forecaster:
    """One battery's forecasts. ``push`` results of its estimator, ``step`` when there is time, read ``result()``.

    source: the fingerprint of the health model. slices: calls of ``step`` an inference takes, as many as the generated C
    has, to follow a firmware call by call. Raises ModelFileError when ``graph`` is not a forecast model.
    """

    def __init__(self, graph: IntGraph, source: int, slices: int = 1) -> None:
        self.model: ForecastModel = forecast_model(graph)
        self.source = source
        self._graph, self._engine = graph, Engine(graph)
        self._slices, self._slice = slices, 0
        self.history: list[int] = []
        """SOH of the covered cycles in 0.01 %, oldest first, at most ``model.cycles``."""
        self.newest = self.now = self.sequence = self.revision = 0
        self.forecast: _Forecast | None = None
        self.outside = self.corrupt = False

    def push(self, health: Result) -> bool:
        """``edgebat_forecast_push``: false when nothing was added."""
        if self.history and health.cycle < self.newest:
            self._forget()
            self.revision += 1
        self.now = health.cycle
        measured = LEAST_SOH_CPCT <= health.model_cpct <= MOST_SOH_CPCT and health.status != Status.MODEL_CORRUPT
        cycle = health.cycle - health.age_cycles
        if not measured or cycle < 1 or (self.history and cycle <= self.newest):
            return False
        self._extend(cycle, health.model_cpct)
        return True

    def _forget(self) -> None:
        self.history, self.newest, self._slice = [], 0, 0
        self.forecast, self.outside = None, False

    def _extend(self, cycle: int, cpct: int) -> None:
        gap = cycle - self.newest
        if self.history and gap > self.model.max_gap:
            self._forget()
        if self.history:
            start = self.history[-1]
            self.history += [(start * (gap - i) + cpct * i + gap // 2) // gap for i in range(1, gap)]
        self.history = [*self.history, cpct][-self.model.cycles :]
        self.newest = cycle
        self.revision += 1
        self._renew()

    def _renew(self) -> None:
        self._slice = int(len(self.history) >= self.model.least_cycles and not self.corrupt)

    def step(self) -> bool:
        """``edgebat_forecast_step``: true while more slices wait."""
        if self._slice == 1:
            self.outside = bool(input_clipped(self._graph, self._window())[0])
            self._slice = 0 if self.outside else 2
        elif self._slice:
            self._slice += 1
            if self._slice > self._slices + 1:
                self._slice = 0
                self._take_forecast()
        return self._slice != 0

    def settle(self) -> None:
        """All steps that wait."""
        while self.step():
            pass

    def _window(self) -> np.ndarray:
        """[1, rows, columns] ppm; before its first value the history is flat."""
        values = [self.history[0]] * (self.model.cycles - len(self.history)) + self.history
        return PPM_PER_CPCT * np.array(values, dtype=np.int64).reshape(1, *self._graph.input_tensor.shape)

    def _take_forecast(self) -> None:
        window = self._window()
        values = outputs_in_units(self._graph, self._engine.run(quantize_input(self._graph, window)), window[:, -1, -1])
        curve = tuple(int(v) for v in (values["level"][0, 0], *values["trajectory"][0]))
        self.outside = not all(LEAST_SOH_CPCT <= value <= MOST_SOH_CPCT for value in curve)
        if not self.outside:
            self.forecast = _Forecast(self.newest, self._cycles_to_eol(curve), curve)

    def _cycles_to_eol(self, curve: tuple[int, ...]) -> int:
        """Whole cycles to the first value below the end of life on straight lines; UNKNOWN beyond the horizon."""
        horizon, count, eol = self.model.horizon, self.model.points, self.model.eol_cpct
        for ahead in range(1, horizon + 1):
            point = (ahead * count - 1) // horizon
            before, after = curve[point] - eol, curve[point + 1] - eol
            if before * horizon + (after - before) * (ahead * count - point * horizon) < 0:
                return ahead
        return UNKNOWN

    def _age_cycles(self) -> int:
        return UNKNOWN if self.forecast is None else min(self.now - self.forecast.cycle, UNKNOWN - 1)

    def _status(self) -> Status:
        checks = (
            (self.corrupt, Status.MODEL_CORRUPT),
            (self.forecast is not None and self._age_cycles() > self.model.max_gap, Status.STALE),
            (self.outside, Status.OUT_OF_DOMAIN),
            (self.forecast is None, Status.WARMUP),
        )
        return next((status for holds, status in checks if holds), Status.OK)

    def result(self) -> ForecastResult:
        """``edgebat_forecast_result``."""
        status, age = self._status(), self._age_cycles()
        known = None if status in (Status.MODEL_CORRUPT, Status.STALE) else self.forecast
        points = known.curve[1:] if known is not None else ()
        return ForecastResult(
            points_cpct=tuple([*points, *[UNKNOWN] * POINTS_MAX][:POINTS_MAX]),
            eol_cycles=UNKNOWN if known is None or known.eol == UNKNOWN else max(known.eol - age, 0),
            horizon=self.model.horizon,
            age_cycles=age,
            soh_cpct=self.history[-1] if self.history else UNKNOWN,
            covered=len(self.history),
            missing=max(self.model.least_cycles - len(self.history), 0),
            cycle=0 if self.forecast is None else self.forecast.cycle,
            revision=self.revision,
            points=len(points),
            status=status,
        )

    def state(self) -> bytes:
        """``edgebat_forecast_state_get``: the saved history; every one carries a higher sequence number."""
        self.sequence = (self.sequence + 1) & UINT32_MAX
        model, covered = self.model, len(self.history)
        body = MAGIC + pack(
            LAYOUT, model.saved_bytes, model.fingerprint, self.sequence, self.source, self.newest, covered
        )
        body += pack(f"<{model.cycles}H", *self.history, *[0] * (model.cycles - covered))
        return body + pack("<I", zlib.crc32(body))

    def restore(self, saved: bytes) -> None:
        """Continue from a saved history, as ``edgebat_forecast_init`` does. Raises DataError when it is refused."""
        model = self.model
        if len(saved) != model.saved_bytes or saved[:4] != MAGIC:
            raise DataError(
                f"a saved history of {model.name!r} has {model.saved_bytes} bytes and begins with {MAGIC!r}"
            )
        if zlib.crc32(saved[:-4]) != int.from_bytes(saved[-4:], "little"):
            raise DataError("the saved history is damaged: its checksum does not fit")
        _, fingerprint, sequence, source, newest, covered = unpack_from(LAYOUT, saved, 4)
        if (fingerprint, source) != (model.fingerprint, self.source):
            raise DataError("the saved history belongs to another forecast model or to another health model")
        self._forget()
        self.sequence, self.newest, self.now, self.revision = sequence, newest, newest, 0
        self.history = list(unpack_from(f"<{covered}H", saved, 4 + 24))
        self._renew()
