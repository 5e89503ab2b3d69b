"""What a task is: the heads of its models, its windows, its scores. Nothing below asks which task it serves.

A task is a folder of ``edgebat/tasks`` whose module ``task`` holds one object ``TASK``; a folder's listing is the registry.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from edgebat.arrays import Bool, Float32, FloatArray, Int64
from edgebat.cells import CellKey
from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.files import Json
from edgebat.ground import Ground
from edgebat.tasks.more import MoreWindows
from edgebat.tasks.windows import Definition, Windows

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet

W = TypeVar("W", bound=Windows)
"""Windows of a task."""
S = TypeVar("S", bound=Definition)
"""Definition of a task."""

Predictions = Mapping[str, FloatArray]
"""Head -> physical values of N windows, [N, values]; a head of one value may be [N]."""
Scores = dict[str, float | None]

FACTORS = {"fraction": ("cpct", 10_000.0), "cycles": ("cycles", 1.0)}
"""Unit of a head -> what the device says and how many of that make one: 0.01 % of the reference, whole cycles."""


@dataclass(frozen=True)
class Head:
    """One named group of a model's outputs.

    Values that belong to cycles ahead are given at a few knots, and lie on straight lines between them.
    """

    name: str
    unit: str
    """``fraction`` of the reference capacity, or ``cycles``."""
    title: str = ""
    """Heading in tables."""
    ahead: tuple[float, ...] = ()
    """Cycles ahead at which the outputs stand, ascending; empty for a head of one value."""
    grid: tuple[float, ...] = ()
    """Cycles ahead at which the values are asked for; empty for a head of one value."""
    start: str = ""
    """Head of one value that stands before the first knot, at ``start_at`` cycles ahead."""
    start_at: float = 0.0
    relative: bool = False
    """The output is the change since the window's last input value."""
    floor: float | None = None
    """Smallest value that is given out."""
    weight: float = 1.0
    """In a student's loss."""
    known_above: float | None = None
    """A teacher's values at or below this are no labels: an SOH curve that has ended, say."""
    absolute_error: bool = False
    """Errors count as they are, not squared: for labels whose size differs a hundredfold from cell to cell."""
    scale: str = ""
    """Head whose mean and deviation normalize this one: heads that are interpolated together need the same."""

    @property
    def size(self) -> int:
        """Outputs of a student."""
        return max(1, len(self.ahead))

    @property
    def values(self) -> int:
        """Values of a label."""
        return max(1, len(self.grid))

    def absolute(self) -> Head:
        """The same head where its values are no changes any more."""
        return replace(self, relative=False)

    def expansion(self) -> Float32:
        """Matrix float32 [values, (1 if start) + size] from start and knots to the grid; rows sum to one.

        Before the first knot and after the last one their value is held.
        """
        if not self.ahead:
            return np.ones((1, 1), dtype=np.float32)
        knots = [*([self.start_at] if self.start else []), *self.ahead]
        columns = [np.interp(self.grid, knots, unit) for unit in np.eye(len(knots))]
        return np.stack(columns, axis=1).astype(np.float32)


def even_knots(horizon: int, knots: int) -> tuple[float, ...]:
    """``knots`` cycles ahead, equally spaced, the last one at ``horizon``."""
    return tuple((np.arange(1, knots + 1, dtype=np.float64) * (horizon / knots)).tolist())


def slices_of(heads: Sequence[Head]) -> tuple[slice, ...]:
    """Where each head's outputs stand, side by side in the given order."""
    ends = np.cumsum([head.size for head in heads]).tolist()
    return tuple(slice(end - head.size, end) for head, end in zip(heads, ends, strict=True))


def physical(outputs: FloatArray, heads: Sequence[Head], last: FloatArray) -> dict[str, FloatArray]:
    """Physical outputs [N, O] of the heads side by side as named predictions: straight lines between knots, changes added
    to ``last`` [N], floors kept."""
    named: dict[str, FloatArray] = {}
    columns = dict(zip((head.name for head in heads), slices_of(heads), strict=True))
    for head in heads:
        own = columns[head.name]
        knots = outputs[:, own]
        if head.start:
            knots = np.concatenate([outputs[:, columns[head.start]], knots], axis=1)
        values = knots @ head.expansion().T if head.ahead else knots
        if head.relative:
            values = values + last[:, None]
        if head.floor is not None:
            values = np.maximum(values, head.floor)
        named[head.name] = values if head.grid else values[:, 0]
    return named


def head_of(values: Mapping[str, Any]) -> Head:
    """A head out of the JSON of a file. Raises DataError."""
    try:
        plain: Json = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return Head(**plain)
    except TypeError as error:
        raise DataError(f"a head cannot be made of {dict(values)}: {error}") from None


@dataclass(frozen=True)
class Column:
    """A figure of a task's tables: key of its scores, heading, decimals, and what it is in a sentence."""

    key: str
    title: str
    digits: int
    unit: str = ""
    brief: bool = True
    """Whether it stands in the table of a run too."""


@dataclass(frozen=True)
class FileOptions:
    """How a user's file is to be read."""

    nominal_ah: float | None = None
    """Nominal capacity of the cell, Ah; None takes the file's own."""
    mapping: Sequence[str] = ()
    """``"current=I_mA:1e-3"`` names a column and its factor to s, V, A; keys of a profile, as ``"time_unit=min"``."""
    sign: str | None = None
    """Meaning of a positive current; None takes what the file's layout says, and charging where it says nothing."""
    max_gap_ms: int | None = None
    """A longer hole between two samples ends a measurement, ms; None takes any whose voltage goes on as the clock does."""
    chemistry: str = ""
    """Of the cell, as ``NCM811`` or ``LFP``; empty: not stated."""
    ground: Ground = field(default_factory=Ground)
    """What the model that is to read it has learnt from; its limits leave charges out as a device does."""


@dataclass(frozen=True)
class FileInputs:
    """Model inputs x [N, T, C] out of a file, the last cycle of each [N], and reason -> cycles that gave none.

    remarks: what was guessed about the file, and what was left out of it. suspicion: what explains it best if a model
    refuses everything; empty when nothing speaks for anything.
    """

    x: FloatArray
    cycle: Int64
    left_out: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    suspicion: str = ""


@dataclass(frozen=True)
class CellCurve:
    """One cell over its life for a chart, in percent: what was measured, and what each model predicts.

    measured: (cycles, values). predicted: model -> the same. forecasts: the same, of the model that is shown last.
    end_percent: the value at which life ends. quantity: what the values are, for titles. bounds: (cycles, low, high) of the
    model that is shown last, where it states an interval.
    """

    measured: tuple[FloatArray, FloatArray]
    predicted: dict[str, tuple[FloatArray, FloatArray]]
    forecasts: list[tuple[FloatArray, FloatArray]]
    end_percent: float
    quantity: str = "SOH"
    bounds: tuple[FloatArray, FloatArray, FloatArray] | None = None


@dataclass(frozen=True)
class Loaded(Generic[W]):
    """The windows of a task, and where they come from."""

    windows: W
    source: str
    synthetic: bool
    fingerprint: str
    fleet: Fleet | None = None
    """For the search for one cell under two names, and to cut more windows from."""

    def select(self, cells: Sequence[CellKey]) -> Loaded[W]:
        """Of these cells alone."""
        fleet = None if self.fleet is None else self.fleet.select(cells=cells)
        return replace(self, windows=self.windows.select(cells=cells), fleet=fleet)

    @property
    def curves(self) -> Fleet:
        """The fleet. Raises DataError when there is none."""
        if self.fleet is None:
            raise DataError(f"the cells of {self.source} have no curves to cut data.more from; leave it out")
        return self.fleet


class Task(ABC, Generic[W, S]):
    """One task, with its own windows and definition. Instances have no state."""

    name: ClassVar[str]
    Windows: type[W]
    columns: ClassVar[tuple[Column, ...]]
    """Figures of its tables; the first one is what models are ranked by, smaller is better."""
    cell_columns: ClassVar[tuple[Column, ...]] = (Column("windows", "windows", 0),)
    """What stands before them in a table of cells."""
    explanation: ClassVar[str]
    """Under a table: what the figures mean."""
    limits: ClassVar[tuple[str, ...]] = ()
    """What a card must say of its models."""
    default_knots: ClassVar[int] = 5
    binding: ClassVar[tuple[str, ...]] = ()
    """Keys of the definition in which a given teacher and its students must agree."""
    searched: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    """Keys of the definition that a search may vary, with values: what a student sees of windows that stay the same."""
    searched_knots: ClassVar[tuple[int, ...]] = ()
    """Numbers of knots that a search may choose; none where the first of ``columns`` does not see what they cost."""
    more_kinds: ClassVar[tuple[str, ...]] = ()
    """Which of ``edgebat.tasks.more.CUT`` it can cut."""
    relative_input: ClassVar[bool] = False
    """Students read changes since the window's last value instead of values."""
    domain_scored: ClassVar[bool] = False
    """A model says how far a window may be from what it has learnt from, and a device refuses what is further."""

    def spec(self, values: Json | None = None) -> S:
        """The task's definition out of plain data; ``name`` may stand among them. Raises DataError."""
        given = {key: value for key, value in (values or {}).items() if key != "name"}
        found: S = self.Windows.Spec.from_dict(given)
        return found

    def described(self, spec: S) -> Json:
        """What model files carry: the name and the definition."""
        return {"name": self.name, **spec.to_dict()}

    @abstractmethod
    def heads(self, spec: S, knots: int | None = None) -> tuple[Head, ...]:
        """The heads of a student. knots: outputs of heads with cycles ahead, the task's own number unless given."""

    def inputs_of_file(self, path: Path, spec: S, how: FileOptions) -> FileInputs:
        """Model inputs out of a user's file. Raises DataError when it holds none, or when the task reads no files."""
        raise DataError(
            f"{path}: a model of the task {self.name} reads windows (.npy [N, T, C], or a CSV without header) alone"
        )

    def inputs_of_columns(
        self, columns: Mapping[str, FloatArray], spec: S, how: FileOptions, name: str = "arrays"
    ) -> FileInputs:
        """Model inputs out of named arrays [S] of one cell; errors call it ``name``. Raises DataError when one is missing,
        or when the task reads none."""
        raise DataError(
            f"{name}: a model of the task {self.name} reads windows [N, T, C] alone, no columns {list(columns)}"
        )

    @abstractmethod
    def load(self, corpus: Path, spec: S, datasets: Sequence[str] | None = None,
             quality: Sequence[str] | None = None) -> Loaded[W]:  # fmt: skip
        """Windows of the cells in a corpus folder. Raises DataError when there is none."""

    def of_fleet(self, fleet: Fleet, spec: S, quality: Sequence[str] | None = None) -> Loaded[W]:
        """Windows of the cells of a fleet in memory. Raises DataError when there is none, or when the task learns from more
        than a fleet holds."""
        raise DataError(f"the task {self.name} learns from more than a fleet in memory holds; give it a corpus folder")

    def of_cells(self, cells: Path | Fleet, spec: S, datasets: Sequence[str] | None = None,
                 quality: Sequence[str] | None = None) -> Loaded[W]:  # fmt: skip
        """Windows of the cells of a corpus folder or of a fleet in memory. Raises DataError."""
        if isinstance(cells, Path):
            return self.load(cells, spec, datasets, quality)
        return self.of_fleet(cells.select(datasets) if datasets else cells, spec, quality)

    @abstractmethod
    def synthetic(self, spec: S, cells: int, max_cycles: int, seed: int) -> Loaded[W]:
        """Windows of made-up cells."""

    def more_windows(self, cells: Loaded[W], spec: S, more: MoreWindows) -> W:
        """More windows of ``cells``, of the kinds that ``more`` asks for. Raises DataError when there is none, or the task
        knows of no such kind."""
        if unknown := [kind for kind in more.cut if kind not in self.more_kinds]:
            raise DataError(
                f"the task {self.name} cuts no more windows of the kind {', '.join(unknown)}; of data.more it knows "
                f"{', '.join(self.more_kinds) or 'none'}"
            )
        return self.cut_more(cells, spec, more)

    def cut_more(self, cells: Loaded[W], spec: S, more: MoreWindows) -> W:
        """``more_windows`` of the kinds ``more_kinds``."""
        raise NotImplementedError  # pragma: no cover - no kinds, no windows

    @abstractmethod
    def score(self, windows: W, predictions: Predictions) -> Scores:
        """Errors by the keys of ``columns`` and ``windows``, their number; None where nothing is known."""

    def score_cell(self, windows: W, predictions: Predictions) -> Scores:
        """The same for the windows of one cell."""
        return self.score(windows, predictions)

    def derived(self, spec: S, predictions: Predictions) -> dict[str, FloatArray]:
        """What follows from physical predictions by a rule, not by a network: name -> [N], NaN where not known."""
        return {}

    def ground(self, windows: W) -> Json:
        """What a model that learns from ``windows`` must say of them besides their cells, JSON-able."""
        return {}

    def window_v(self, spec: S) -> tuple[float, float] | None:
        """Voltages between which an input is measured; None where they are not part of the definition."""
        return None

    def noisy_inputs(self, windows: W, noise_mv: float, rng: np.random.Generator) -> Float32:
        """The inputs as a device measures them whose voltage is noisy (RMS, mV); unchanged where none is measured."""
        return windows.inputs()

    def noisy_windows(self, windows: W, noise_mv: float, rng: np.random.Generator) -> W:
        """Windows with such inputs, the rest as it is. Raises RecipeError where no voltage is measured."""
        raise RecipeError(f"data.more.noise_mv: the task {self.name} measures no voltage; use data.more.noise")

    def notes(self, windows: W, provenance: Mapping[str, Any]) -> list[str]:
        """What a reader of an evaluation on ``windows`` must know, given what the model says of its training."""
        return []

    def beside(self, windows: W, predictions: Predictions, baselines: Mapping[str, Predictions]) -> list[str]:
        """What an evaluation says of the model beside its baselines, in words."""
        return []

    def groups(self, windows: W) -> list[tuple[str, Bool]]:
        """(name, mask [N]) of windows that say more and of those that say less, where a model reads several kinds."""
        return []

    def stages(self, windows: W) -> list[tuple[str, Bool]]:
        """(name, mask [N]) of stages of life to tell errors apart by; none unless a task knows some."""
        return []

    @abstractmethod
    def parity(self, windows: W, predictions: Predictions) -> tuple[FloatArray, FloatArray, str]:
        """(measured [N], predicted [N], what they are) for a chart of one against the other; NaN where not known."""

    @abstractmethod
    def cell_curve(self, windows: W, cell: int, predictions: Mapping[str, Predictions]) -> CellCurve:
        """One cell's life as each model in ``predictions`` has it, for a chart."""

    @abstractmethod
    def legend(self, spec: S) -> str:
        """Under a table of predictions: what its columns are."""

    @abstractmethod
    def summary(self, spec: S) -> str:
        """What a model of this task gives, from what, as a phrase."""

    @abstractmethod
    def facts(self, spec: S) -> list[tuple[str, str]]:
        """(name, text) of the definition, for a card."""


AnyTask = Task[Windows, Definition]
"""A task that was looked up by name, as all that serves every task sees it. Only its own code knows which windows and which
definition it has; whoever takes task, definition and windows out of one file or recipe keeps them together."""


def task_names() -> tuple[str, ...]:
    """The tasks there are: folders of ``edgebat/tasks``."""
    package = importlib.import_module("edgebat.tasks")
    return tuple(sorted(entry.name for entry in pkgutil.iter_modules(package.__path__) if entry.ispkg))


def task(name: str) -> AnyTask:
    """The task ``name``. Raises DataError for another name."""
    if name not in task_names():
        raise DataError(f"there is no task {name!r}; the tasks are {', '.join(task_names())}")
    found: AnyTask = importlib.import_module(f"edgebat.tasks.{name}.task").TASK
    return found


def task_of(described: object, where: str) -> tuple[AnyTask, Definition]:
    """Task and definition out of what a model file carries; ``where`` names the file. Raises ModelFileError.

    Files written before definitions carried a name are of the one task that knows all their keys.
    """
    if not isinstance(described, dict):
        raise ModelFileError(f"{where} does not say which task it was trained for; export it with edgebat")
    names = [described["name"]] if "name" in described else _likeliest_first(described)
    reasons = []
    for name in names:
        try:
            found = task(str(name))
            return found, found.spec(described)
        except DataError as error:
            reasons.append(str(error))
    raise ModelFileError(f"{where} carries an unusable task: {'; '.join(reasons)}")


def _likeliest_first(definition: Json) -> list[str]:
    """The tasks, first those whose folder names a ``KEY`` of this definition: refusing it costs the import of a task."""
    folders = {name: importlib.import_module(f"edgebat.tasks.{name}") for name in task_names()}
    return sorted(folders, key=lambda name: getattr(folders[name], "KEY", None) not in definition)


def flat(values: FloatArray) -> FloatArray:
    """Values of a head of one value as [N]."""
    return values.reshape(len(values), -1)[:, 0]


def life_stages(soh: FloatArray, eol: float) -> list[tuple[str, Bool]]:
    """Early, middle and late life: thirds of the SOH range from 100 % (or the best seen) down to ``eol``, and beyond it."""
    top = max(float(soh.max()), 1.0) if len(soh) else 1.0
    edges = [np.inf, top - (top - eol) / 3, top - 2 * (top - eol) / 3, eol, -np.inf]
    stages: list[tuple[str, Bool]] = []
    for name, high, low in zip(("early", "middle", "late", "beyond EOL"), edges, edges[1:], strict=False):
        mask = (soh <= high) & (soh > low)
        if mask.any():
            bounds = f"{low * 100:.0f}–{min(high, top) * 100:.0f} %" if np.isfinite(low) else f"below {eol * 100:.0f} %"
            stages.append((f"{name}, {bounds}", mask))
    return stages
