"""The models that a BMS runs: those of the estimator and those of the forecaster of ``firmware_stubs/bms``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c.any_window import CYCLE_BYTES, LABELS, starts_members, starts_of, starts_text
from edgebat.formats.c.bms_description import MOST_V, Description, TaskNumbers, data_fingerprint
from edgebat.formats.c.border import read_border
from edgebat.graph.model import IntGraph
from edgebat.graph.origin import graph_interval, reads_rate, rows_may_be_empty, synthetic_note
from edgebat.ground import RowLimits, Starts
from edgebat.runtime.border import unclipped_ppm
from edgebat.runtime.refusal import row_limits

ABI = 3
"""EDGEBAT_BMS_ABI of the C header."""
POINTS_MAX = 8
"""EDGEBAT_POINTS_MAX of the C header."""
UNKNOWN = 0xFFFF
SAVED_HEADER = 176
OUTPUTS_WITH_BOUNDS = 5
"""soh, trajectory, rul, soh_low and soh_high."""
MOST_WIDTH_CPCT = 20_000
"""So that a thousand times it fits into 32 bits."""
REFERENCES = {
    "nominal": "the nominal capacity",
    "first": "the cell's first capacity: set reference_mAh",
    "rated_min": "the rated minimum capacity: set reference_mAh",
    "mean_first_k": "the cell's first capacities: set reference_mAh",
}
ANY_TEMPERATURE_DDEGC = (-32768, 32767)


@dataclass(frozen=True, kw_only=True)
class BmsModel(Description):
    """The numbers of ``edgebat_model_t``; see ``firmware_stubs/include/edgebat/edgebat.h``.

    ``level_uv`` [increments + 1]; ``low_ppm``, ``high_ppm`` [columns].
    """

    key: ClassVar[str] = "increments"
    part: ClassVar[str] = "estimator"
    reads: ClassVar[str] = "reads charges"
    header: ClassVar[str] = "edgebat"
    owner: ClassVar[str] = "battery"
    saved: ClassVar[str] = "state"

    level_uv: tuple[int, ...]
    increments: int
    columns: int
    """Inputs per charge: the increments, of any window its start and age, and, where the model reads it, the rate."""
    limits: RowLimits
    starts: Starts | None
    """Where the windows of a model of any window begin, the lowest at ``level_uv``; None: it reads that one alone."""
    context: int
    sigma_cpct: int
    interval_divisor: int
    """A thousand times the width of the model's interval over its deviation; 0: it states none."""
    soh_reference: str
    min_ddegc: int
    max_ddegc: int

    @classmethod
    def of(cls, graph: IntGraph) -> Self:
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
        context, columns = graph.input_tensor.shape
        any_window = rows_may_be_empty(graph)
        increments = columns - int(reads_rate(graph)) - (LABELS if any_window else 0)
        if (task.whole("context"), task.whole("increments")) != (context, increments):
            raise ModelFileError(f"model {graph.name!r} reads {graph.input_tensor.shape}, its task says otherwise")
        window_v = np.linspace(
            task.number("window_start_v", MOST_V), task.number("window_end_v", MOST_V), increments + 1
        )
        level_uv = tuple(int(v) for v in np.rint(window_v * 1e6))
        if any(upper <= lower for lower, upper in pairwise(level_uv)):
            raise ModelFileError(
                f"model {graph.name!r} carries an unusable task: its voltages {level_uv} do not ascend"
            )
        starts = starts_of(graph.name, task, level_uv) if any_window else None
        limits = row_limits(graph)
        sigma, cold, hot = _field(graph)
        return cls(
            name=graph.name,
            fingerprint=int(graph.fingerprint[:8], 16),
            data_fingerprint=data_fingerprint(graph),
            note=synthetic_note(graph),
            multiply_accumulates=graph.multiply_accumulates(),
            level_uv=level_uv,
            low_ppm=limits.low_ppm,
            high_ppm=limits.high_ppm,
            increments=increments,
            columns=columns,
            limits=limits,
            starts=starts,
            context=context,
            max_gap=task.whole("max_gap"),
            points=points,
            horizon=task.whole("horizon"),
            eol_cpct=round(task.number("eol", 1.0) * 10000),
            sigma_cpct=sigma,
            interval_divisor=_interval_divisor(graph, len(outputs)),
            soh_reference=task.word("soh_reference", REFERENCES),
            min_ddegc=cold,
            max_ddegc=hot,
        )

    @property
    def saved_bytes(self) -> int:
        columns, context, points = self.saved_sizes()
        return SAVED_HEADER + 2 * points + columns * context + 4

    def work_sizes(self) -> tuple[int, int]:
        return self.columns, self.context

    def saved_sizes(self) -> tuple[int, int, int]:
        return self.columns + (0 if self.starts is None else CYCLE_BYTES), self.context, self.points

    @property
    def reads_rate(self) -> bool:
        """Whether the mean current of each charge is an input."""
        return self.columns > self.increments + (0 if self.starts is None else LABELS)

    @property
    def range_v(self) -> tuple[float, float]:
        """The least and the highest voltage of all windows."""
        above = 0 if self.starts is None else (self.starts.count - 1) * self.starts.step_mv * 1000
        return self.level_uv[0] / 1e6, (self.level_uv[-1] + above) / 1e6

    def about(self) -> str:
        low, high = self.level_uv[0] / 1e6, self.level_uv[-1] / 1e6
        rate = ", and the mean current of each" if self.reads_rate else ""
        windows = f"from {low:g} to {high:g} V, {self.context} charges"
        if self.starts is not None:
            begin = starts_text(self.starts, low)
            windows = f"through {high - low:g} V\n *             {begin}, up to {self.context} of them"
        return f"""\
 * window      {self.increments} increments of charge {windows}{rate}
 * SOH         % of {REFERENCES[self.soh_reference]}
 * end of life {self.eol_cpct / 100:g} %"""

    def tables(self) -> dict[str, tuple[int, ...]]:
        return {"level_uV": self.level_uv, **super().tables()}

    def checks(self) -> dict[str, str]:
        known = (
            f"columns_are_increments{'' if self.starts is None else '_label'}{'_and_rate' if self.reads_rate else ''}"
        )
        return {known: f"COLUMNS == {self.columns}"}

    def functions(self, name: str) -> str:
        which = ", what - EDGEBAT_READ_POINTS" if self.points > 1 else ""
        return f"""\
static void quantize(const int32_t *ppm, int8_t *row)
{{
    {name}_quantize(ppm, row, 1U);
}}

static int32_t read_output(const void *output, uint32_t what)
{{
    const {name}_output_t *const y = (const {name}_output_t *)output;
    int32_t value;
    switch (what) {{
    case EDGEBAT_READ_SOH:
        value = {name}_soh(y);
        break;
    case EDGEBAT_READ_RUL:
        value = {name}_rul(y);
        break;
{self._sigma_case(name)}    default:
        value = {name}_trajectory(y{which});
        break;
    }}
    return value;
}}"""

    def _sigma_case(self, name: str) -> str:
        if not self.interval_divisor:
            return ""
        return f"""\
    case EDGEBAT_READ_SIGMA: /* BmsModel.sigma_of is the same */
        value = {name}_soh_high(y) - {name}_soh_low(y);
        value = (value < {MOST_WIDTH_CPCT}) ? value : {MOST_WIDTH_CPCT};
        value = ((value * 1000) + {self.interval_divisor // 2}) / {self.interval_divisor};
        value = (value > 1) ? value : 1;
        break;
"""

    def sigma_of(self, low_cpct: int, high_cpct: int) -> int:
        """The deviation that an interval stands for, 0.01 %."""
        width = min(high_cpct - low_cpct, MOST_WIDTH_CPCT)
        return max((width * 1000 + self.interval_divisor // 2) // self.interval_divisor, 1)

    def members(self, upper: str) -> str:
        return f"""\
    {self.increments}U, /* increments */
    {self.columns}U, /* columns */
    {self.context}U, /* context */
    {upper}_SLICES,
    {self.max_gap}U, /* max_gap, cycles */
    {self.points}U, /* points */
    {self.horizon}U, /* horizon, cycles */
    {self.eol_cpct}U, /* end of life, 0.01 % */
    {self.sigma_cpct}U, /* deviation on validation cells, 0.01 % */
    {self.min_ddegc}, /* temperatures of the training cells, 0.1 degC */
    {self.max_ddegc},"""

    def last_members(self, name: str) -> str:
        rates = f"\n    &{name}_knows_rate," if self.limits.rates_mc else "\n    NULL, /* rates are not stated */"
        last = f"{rates}\n    {int(self.of_nominal)}U, /* 100 % is the nominal capacity */"
        return last if self.starts is None else last + starts_members(self.starts)

    @property
    def options(self) -> dict[str, str]:
        return {} if self.starts is None else {"EDGEBAT_ANY_WINDOW": "1"}

    @property
    def work_macro(self) -> str:
        return super().work_macro if self.starts is None else "EDGEBAT_ANY_WORK_BYTES"

    @property
    def of_nominal(self) -> bool:
        """Whether its 100 % is the nominal capacity, whatever ``reference_mAh``."""
        return self.soh_reference == "nominal"


def _interval_divisor(graph: IntGraph, outputs: int) -> int:
    """See ``BmsModel``. A normal error lies within that many deviations as often as the interval was made for."""
    interval = graph_interval(graph)
    if interval is None or interval.head != "soh":
        return 0
    if outputs != OUTPUTS_WITH_BOUNDS:
        raise ModelFileError(f"model {graph.name!r} states an interval and has {outputs} outputs; export it again")
    return round(2000 * NormalDist().inv_cdf((1.0 + interval.nominal) / 2.0))


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


@dataclass(frozen=True, kw_only=True)
class ForecastModel(Description):
    """The numbers of ``edgebat_forecast_model_t``; see ``firmware_stubs/include/edgebat/edgebat_forecast.h``.

    ``low_ppm``, ``high_ppm`` [columns]: changes from the last value.
    """

    key: ClassVar[str] = "seen_cycles"
    part: ClassVar[str] = "forecaster"
    reads: ClassVar[str] = "reads a history of SOH"
    header: ClassVar[str] = "edgebat_forecast"
    owner: ClassVar[str] = "battery's forecaster"
    saved: ClassVar[str] = "history"

    cycles: int
    """Of history that the model reads."""
    least_cycles: int
    """Of history below which it is not asked."""

    @classmethod
    def of(cls, graph: IntGraph) -> Self:
        border, task = read_border(graph), TaskNumbers(graph)
        if border is None or not border.relative:
            raise ModelFileError(f"model {graph.name!r} does not say which history it reads; export it with edgebat")
        outputs = {output.name: output for output in border.outputs}
        if not {"level", "trajectory"} <= outputs.keys():
            raise ModelFileError(
                f"model {graph.name!r} gives {sorted(outputs)}; a forecaster needs level and trajectory"
            )
        level, trajectory = outputs["level"], outputs["trajectory"]
        if trajectory.size > POINTS_MAX or level.size != 1 or not (level.relative and trajectory.relative):
            raise ModelFileError(
                f"model {graph.name!r} has {trajectory.size} points of trajectory; a forecaster takes {POINTS_MAX} at "
                "most, and one level, both relative to the last value"
            )
        low, high = unclipped_ppm(graph)
        rows, columns = graph.input_tensor.shape
        cycles = rows * columns
        if task.whole("seen_cycles") != cycles or task.whole("group") != columns:
            raise ModelFileError(f"model {graph.name!r} reads {graph.input_tensor.shape}, its task says otherwise")
        model = cls(
            name=graph.name,
            fingerprint=int(graph.fingerprint[:8], 16),
            data_fingerprint=data_fingerprint(graph),
            note=synthetic_note(graph),
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
        fits = (
            model.least_cycles <= cycles <= MOST_CYCLES and model.max_gap <= MOST_GAP and model.horizon <= MOST_CYCLES
        )
        if not fits:
            raise ModelFileError(f"model {graph.name!r} is not one that a BMS can carry: {model}")
        return model

    @property
    def columns(self) -> int:
        """Cycles per row of the input."""
        return len(self.low_ppm)

    @property
    def saved_bytes(self) -> int:
        return FORECAST_SAVED_HEADER + 2 * self.cycles + 4

    def work_sizes(self) -> tuple[int, int]:
        return self.columns, self.cycles

    def saved_sizes(self) -> tuple[int, ...]:
        return (self.cycles,)

    def about(self) -> str:
        return f"""\
 * history     SOH of the last {self.cycles} cycles, at least {self.least_cycles}, gaps of {self.max_gap} at most
 * forecast    {self.points} points over {self.horizon} cycles
 * end of life {self.eol_cpct / 100:g} %"""

    def checks(self) -> dict[str, str]:
        return {
            "columns_are_cycles": f"COLUMNS == {self.columns}",
            "input_is_the_history": f"INPUT_LEN == {self.cycles}",
        }

    def functions(self, name: str) -> str:
        which = ", what - EDGEBAT_FORECAST_READ_POINTS" if self.points > 1 else ""
        return f"""\
static void quantize(const int32_t *ppm, int32_t last_ppm, int8_t *row)
{{
    {name}_quantize(ppm, last_ppm, row, 1U);
}}

static int32_t read_output(const void *output, int32_t last_ppm, uint32_t what)
{{
    const {name}_output_t *const y = (const {name}_output_t *)output;
    return (what == EDGEBAT_FORECAST_READ_LEVEL) ? {name}_level(y, last_ppm) : {name}_trajectory(y, last_ppm{which});
}}"""

    def members(self, upper: str) -> str:
        return f"""\
    {self.cycles}U, /* cycles of history */
    {self.columns}U, /* columns */
    {self.least_cycles}U, /* least_cycles */
    {self.max_gap}U, /* max_gap, cycles */
    {upper}_SLICES,
    {self.points}U, /* points */
    {self.horizon}U, /* horizon, cycles */
    {self.eol_cpct}U, /* end of life, 0.01 % */"""


KINDS: tuple[type[Description], ...] = (BmsModel, ForecastModel)
Wanted = TypeVar("Wanted", bound=Description)


def kind_of(graph: IntGraph) -> type[Description]:
    """The kind of model a BMS finds in ``graph``, by the task its file carries; raises ModelFileError when it can serve
    neither as an estimator's nor as a forecaster's model."""
    task = TaskNumbers(graph)
    found = [kind for kind in KINDS if kind.key in task.values]
    if len(found) != 1:
        raise ModelFileError(
            f"model {graph.name!r} of the task {task.values.get('name', 'without a name')} cannot run in a BMS: the "
            "estimator reads charges (task health), the forecaster a history of SOH (task forecast)"
        )
    return found[0]


def describe(graph: IntGraph) -> Description:
    """The numbers a BMS needs of ``graph``; raises ModelFileError when no part of it can serve the model."""
    return kind_of(graph).of(graph)


def health_model(graph: IntGraph) -> BmsModel:
    """The numbers of a model for the estimator. Raises ModelFileError for any other one."""
    return _required(graph, BmsModel)


def forecast_model(graph: IntGraph) -> ForecastModel:
    """The numbers of a model for the forecaster. Raises ModelFileError for any other one."""
    return _required(graph, ForecastModel)


def _required(graph: IntGraph, wanted: type[Wanted]) -> Wanted:
    found = kind_of(graph)
    if found is not wanted:
        beside = "; beside such a one it is given as --forecast" if found is ForecastModel else ""
        raise ModelFileError(
            f"model {graph.name!r} {found.reads}; the {wanted.part} needs one that {wanted.reads}{beside}"
        )
    return wanted.of(graph)
