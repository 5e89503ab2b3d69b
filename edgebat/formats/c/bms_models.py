"""What the estimator and the forecaster of ``firmware_stubs/bms`` have to know of a model, out of what its file says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c.border import Border, read_border
from edgebat.graph.model import IntGraph

ABI = 2
"""EDGEBAT_BMS_ABI of the C header."""
POINTS_MAX = 8
"""EDGEBAT_POINTS_MAX of the C header."""
UNKNOWN = 0xFFFF


class TaskNumbers:
    """Numbers of the task a model was trained for, as its file carries it, checked one by one.

    Raises ModelFileError where the file says nothing of its task, or where a number is missing or impossible.
    """

    def __init__(self, graph: IntGraph) -> None:
        task: Any = graph.meta.get("task")
        if not isinstance(task, dict):
            raise ModelFileError(
                f"model {graph.name!r} does not say which task it was trained for; export it with edgebat"
            )
        self.name, self.values = graph.name, task

    def whole(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._refused(key, value, "a whole number from 1")
        return value

    def number(self, key: str, most: float) -> float:
        """A number above 0 and below ``most``."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < most:
            raise self._refused(key, value, f"a number above 0 and below {most:g}")
        return float(value)

    def word(self, key: str, allowed: Collection[str]) -> str:
        """One of the ``allowed`` words."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._refused(key, value, f"one of {', '.join(allowed)}")
        return value

    def _refused(self, key: str, value: Any, allowed: str) -> ModelFileError:
        return ModelFileError(f"model {self.name!r} carries an unusable task: {key} is {value!r}, not {allowed}")


def data_fingerprint(graph: IntGraph) -> int:
    """The first 32 bits of the split's hash, 0 when the model does not say on which data it was trained."""
    training: Any = graph.meta.get("training", {})
    split = str(training.get("split_hash", "")) if isinstance(training, dict) else ""
    return int(split[:8], 16) if re.fullmatch("[0-9a-f]{8,}", split) else 0


def range_ppm(border: Border, zero_point: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Per column the least and the largest integer that the border does not clip."""
    low, high = [], []
    for offset, multiplier in zip(border.offset, border.multiplier, strict=True):
        half = 1 << (border.shift - 1)
        # -128 <= ((v - offset) * multiplier + half >> shift) + zero_point <= 127, solved for v
        least = ((-128 - zero_point) << border.shift) - half
        beyond = ((128 - zero_point) << border.shift) - half
        low.append(offset - (-least // multiplier))
        high.append(offset + (beyond - 1) // multiplier)
    limit = 2**31 - 1
    return tuple(max(v, -limit) for v in low), tuple(min(v, limit) for v in high)


SAVED_HEADER = 72
MOST_V = 10.0
REFERENCES = {
    "nominal": "the nominal capacity",
    "first": "the cell's first capacity: set reference_mAh",
    "rated_min": "the rated minimum capacity: set reference_mAh",
    "mean_first_k": "the cell's first capacities: set reference_mAh",
}
ANY_TEMPERATURE_DDEGC = (-32768, 32767)


@dataclass(frozen=True)
class BmsModel:
    """The numbers of ``edgebat_model_t``; see ``firmware_stubs/include/edgebat/edgebat.h``.

    ``level_uv`` [increments + 1]; ``low_ppm``, ``high_ppm`` [increments]: the inputs that are not clipped.
    """

    name: str
    fingerprint: int
    data_fingerprint: int
    multiply_accumulates: int
    level_uv: tuple[int, ...]
    low_ppm: tuple[int, ...]
    high_ppm: tuple[int, ...]
    increments: int
    context: int
    max_gap: int
    points: int
    horizon: int
    eol_cpct: int
    sigma_cpct: int
    soh_reference: str
    min_ddegc: int
    max_ddegc: int

    @property
    def saved_bytes(self) -> int:
        """Bytes of a saved state."""
        return SAVED_HEADER + 2 * self.points + self.increments * self.context + 4


def describe_health(graph: IntGraph) -> BmsModel:
    """The numbers an estimator needs; raises ModelFileError when ``graph`` is not a health model it can serve."""
    task, border = TaskNumbers(graph), read_border(graph)
    if border is None or border.relative:
        raise ModelFileError(
            f"model {graph.name!r} does not say in which units it reads and answers; export it with edgebat"
        )
    outputs = {output.name: output for output in border.outputs}
    if not {"soh", "trajectory", "rul"} <= outputs.keys():
        raise ModelFileError(f"model {graph.name!r} says {sorted(outputs)}; a BMS needs soh, trajectory and rul")
    points = outputs["trajectory"].size
    if points > POINTS_MAX:
        raise ModelFileError(
            f"model {graph.name!r} has {points} points of trajectory; a BMS carries {POINTS_MAX} at most"
        )
    context, increments = graph.input_tensor.shape
    if (task.whole("context"), task.whole("increments")) != (context, increments):
        raise ModelFileError(f"model {graph.name!r} reads {graph.input_tensor.shape}, its task says otherwise")
    window_v = np.linspace(task.number("window_start_v", MOST_V), task.number("window_end_v", MOST_V), increments + 1)
    level_uv = tuple(int(v) for v in np.rint(window_v * 1e6))
    if any(upper <= lower for lower, upper in pairwise(level_uv)):
        raise ModelFileError(f"model {graph.name!r} carries an unusable task: its voltages {level_uv} do not ascend")
    low, high = range_ppm(border, graph.input_tensor.zero_point)
    sigma, cold, hot = _field(graph)
    return BmsModel(
        name=graph.name,
        fingerprint=int(graph.fingerprint[:8], 16),
        data_fingerprint=data_fingerprint(graph),
        multiply_accumulates=graph.multiply_accumulates(),
        level_uv=level_uv,
        low_ppm=low,
        high_ppm=high,
        increments=increments,
        context=context,
        max_gap=task.whole("max_gap"),
        points=points,
        horizon=task.whole("horizon"),
        eol_cpct=round(task.number("eol", 1.0) * 10000),
        sigma_cpct=sigma,
        soh_reference=task.word("soh_reference", REFERENCES),
        min_ddegc=cold,
        max_ddegc=hot,
    )


def _field(graph: IntGraph) -> tuple[int, int, int]:
    """Error and temperatures out of ``meta["field"]`` (``edgebat.runs.field``), checked: they come from a file."""
    field: Any = graph.meta.get("field", {})
    try:
        cold, hot = field.get("temperature_ddegc", ANY_TEMPERATURE_DDEGC)
        sigma = field.get("sigma_cpct", UNKNOWN)
        if not all(isinstance(v, int) for v in (sigma, cold, hot)):
            raise ValueError("its numbers are not whole")
        if not (0 <= sigma <= UNKNOWN and -32768 <= cold <= hot <= 32767):
            raise ValueError(f"sigma {sigma}, temperatures {cold} to {hot}")
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(f"model {graph.name!r} carries an unusable entry 'field': {error}") from None
    return sigma, cold, hot


FORECAST_SAVED_HEADER = 28
"""EDGEBAT_FORECAST_SAVED_HEADER of the C header."""
MOST_CYCLES = 4096
MOST_GAP = 1024


@dataclass(frozen=True)
class ForecastModel:
    """The numbers of ``edgebat_forecast_model_t``; see ``firmware_stubs/include/edgebat/edgebat_forecast.h``.

    ``low_ppm``, ``high_ppm`` [columns]: changes from the last value that the border does not clip.
    """

    name: str
    fingerprint: int
    data_fingerprint: int
    multiply_accumulates: int
    low_ppm: tuple[int, ...]
    high_ppm: tuple[int, ...]
    cycles: int
    """Of history that the model reads."""
    least_cycles: int
    """Of history below which it is not asked."""
    max_gap: int
    points: int
    horizon: int
    eol_cpct: int

    @property
    def columns(self) -> int:
        """Cycles per row of the input."""
        return len(self.low_ppm)

    @property
    def saved_bytes(self) -> int:
        """Bytes of a saved history."""
        return FORECAST_SAVED_HEADER + 2 * self.cycles + 4


def describe_forecast(graph: IntGraph) -> ForecastModel:
    """The numbers a forecaster needs; raises ModelFileError when ``graph`` is not a model it can serve."""
    border, task = read_border(graph), TaskNumbers(graph)
    if border is None or not border.relative:
        raise ModelFileError(f"model {graph.name!r} does not say which history it reads; export it with edgebat")
    outputs = {output.name: output for output in border.outputs}
    if not {"level", "trajectory"} <= outputs.keys():
        raise ModelFileError(f"model {graph.name!r} gives {sorted(outputs)}; a forecaster needs level and trajectory")
    level, trajectory = outputs["level"], outputs["trajectory"]
    if trajectory.size > POINTS_MAX or level.size != 1 or not (level.relative and trajectory.relative):
        raise ModelFileError(
            f"model {graph.name!r} has {trajectory.size} points of trajectory; a forecaster takes {POINTS_MAX} at most, "
            "and one level, both relative to the last value"
        )
    low, high = range_ppm(border, graph.input_tensor.zero_point)
    rows, columns = graph.input_tensor.shape
    cycles = rows * columns
    if task.whole("seen_cycles") != cycles or task.whole("group") != columns:
        raise ModelFileError(f"model {graph.name!r} reads {graph.input_tensor.shape}, its task says otherwise")
    model = ForecastModel(
        name=graph.name,
        fingerprint=int(graph.fingerprint[:8], 16),
        data_fingerprint=data_fingerprint(graph),
        multiply_accumulates=graph.multiply_accumulates(),
        low_ppm=low,
        high_ppm=high,
        cycles=cycles,
        least_cycles=task.whole("min_history") + 1,
        max_gap=task.whole("max_gap"),
        points=trajectory.size,
        horizon=task.whole("horizon"),
        eol_cpct=round(task.number("eol", 1.0) * 10000),
    )
    fits = model.least_cycles <= cycles <= MOST_CYCLES and model.max_gap <= MOST_GAP and model.horizon <= MOST_CYCLES
    if not fits:
        raise ModelFileError(f"model {graph.name!r} is not one that a BMS can carry: {model}")
    return model


DESCRIBED_BY: dict[str, Callable[[IntGraph], BmsModel | ForecastModel]] = {
    "increments": describe_health,
    "seen_cycles": describe_forecast,
}
"""A number that the definition of a task a BMS knows has -> what reads the description."""


def describe(graph: IntGraph) -> BmsModel | ForecastModel:
    """The numbers a BMS needs of ``graph``, by the task its file carries; raises ModelFileError when it can serve neither
    as an estimator's nor as a forecaster's model."""
    task = TaskNumbers(graph)
    found = [reader for key, reader in DESCRIBED_BY.items() if key in task.values]
    if len(found) != 1:
        raise ModelFileError(
            f"model {graph.name!r} of the task {task.values.get('name', 'without a name')} has no place in a BMS: the "
            "estimator reads charges (task health), the forecaster a history of SOH (task forecast)"
        )
    return found[0](graph)


def health_model(graph: IntGraph) -> BmsModel:
    """The numbers of a model for the estimator. Raises ModelFileError for any other one."""
    found = describe(graph)
    if not isinstance(found, BmsModel):
        raise ModelFileError(f"model {graph.name!r} reads a history of SOH; the estimator needs one that reads charges")
    return found


def forecast_model(graph: IntGraph) -> ForecastModel:
    """The numbers of a model for the forecaster. Raises ModelFileError for any other one."""
    found = describe(graph)
    if not isinstance(found, ForecastModel):
        raise ModelFileError(
            f"model {graph.name!r} reads charges; the forecaster needs one that reads a history of SOH"
        )
    return found
