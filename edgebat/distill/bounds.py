"""A lower and an upper bound beside an int8 student's estimate: quantiles of its error, learnt from what its head sees.

The student is finished and stays as it is: two more rows of its head learn, by the pinball loss, how far measured labels lie
from its integer estimate (and, where a recipe asks for it, how far an ensemble of teachers is spread). Cells that nobody has
learnt from then move both bounds so that they hold: conformalized quantile regression (Romano and others,
arXiv:1905.03222), cell by cell. The move is an integer at the border, the same in every engine.

Such cells are set aside, or every cell is one: students of the same kind, each trained without a fold of the cells, say how
wrong the student is on cells that it does not know (CV+, Barber and others, arXiv:1905.02928). These errors teach the rows,
and what rows learnt from the other folds miss of them moves the bounds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, FloatArray, IntArray
from edgebat.errors import DataError, RecipeError
from edgebat.graph import IntGraph
from edgebat.interval import BOUNDS, HIGH, LOW, Interval, calibrated_shift
from edgebat.models import run_int8, to_ppm
from edgebat.quantization.head_rows import head_of, with_rows
from edgebat.runtime import Engine, outputs_in_units, quantize_input
from edgebat.tasks.base import FACTORS, Head

MOST_WINDOWS = 20_000
ROUNDS = 800
RATE = 0.02
LEAST_MOVED = 0.2
"""Of the deviation of the value that moves most: what a value's own counts as at least."""
SHRINK = 1e-3
"""Of the squared weights: what does not tell errors apart adds nothing."""


@dataclass(frozen=True)
class IntervalSettings:
    """The interval around a student's estimate."""

    coverage: float = 0.0
    """Share of the windows of an unseen cell that lie inside, such as 0.9; 0: the students state no interval. It takes
    calibration cells, ``data.split.calibration``, or ``folds``."""
    folds: int = 0
    """Instead of calibration cells: each student is trained so many times more, without a teacher and without a fold of the
    cells, and its errors on that fold calibrate."""
    spread: float = 0.0
    """How much of the bounds is taught by the spread of an ensemble of teachers rather than by measured errors, 0 to 1."""

    def __post_init__(self) -> None:
        if not (self.coverage == 0.0 or 0.5 <= self.coverage < 1.0):
            raise RecipeError(f"interval.coverage is {self.coverage}; allowed: 0 (none), or 0.5 to below 1")
        if self.folds < 0 or self.folds == 1:
            raise RecipeError(f"interval.folds is {self.folds}; allowed: 0 (calibration cells instead), or 2 and more")
        if not 0.0 <= self.spread <= 1.0:
            raise RecipeError(f"interval.spread is {self.spread}; it is a share, 0 to 1")

    @property
    def levels(self) -> tuple[float, float]:
        """Quantiles of the bounds."""
        return (1.0 - self.coverage) / 2.0, (1.0 + self.coverage) / 2.0


@dataclass(frozen=True)
class Shown:
    """Windows as a device sees them, with what was measured."""

    x: Float32
    """[N, T, C]"""
    measured: FloatArray
    """[N], NaN where not known."""
    cell: IntArray
    """[N]"""
    spread: FloatArray | None = None
    """[N] of the teachers, in the unit of the head."""
    unseen: Unseen | None = None
    """What students that do not know the window's cell say of it."""

    def known(self) -> Shown:
        """Those that have a label, at most ``MOST_WINDOWS`` of them, evenly. Raises DataError when there is none."""
        rows = np.flatnonzero(np.isfinite(self.measured))
        rows = rows[:: max(1, -(-len(rows) // MOST_WINDOWS))]
        if not len(rows):
            raise DataError("no window of these cells has a measured label, so no interval can be learnt; leave it out")
        return self.take(rows)

    def take(self, rows: IntArray | Bool) -> Shown:
        """These windows."""
        spread = None if self.spread is None else self.spread[rows]
        unseen = None if self.unseen is None else Unseen(self.unseen.estimate[rows], self.unseen.fold[rows])
        return Shown(self.x[rows], self.measured[rows], self.cell[rows], spread, unseen)


@dataclass(frozen=True)
class Unseen:
    """Answers of students of the same kind, each to windows of cells that it has not learnt from."""

    estimate: FloatArray
    """[N] in the unit of the head."""
    fold: IntArray
    """[N] which of them was asked."""


def bound_names(head: str) -> tuple[str, str]:
    """What the outputs are called."""
    return f"{head}_{LOW}", f"{head}_{HIGH}"


def with_bounds(graph: IntGraph, head: Head, train: Shown, settings: IntervalSettings) -> IntGraph:
    """``graph`` with two more outputs around ``head``, a head of one value, not yet calibrated."""
    errors = Errors.of(graph, head, train.known())
    node, entry = head_of(graph), _entry(graph, head)
    index = int(entry["index"])
    step = graph.tensors[node.inputs[0]].scale * node.weight_scale.astype(np.float64)[index]
    point = node.weight[index].astype(np.float64) * node.weight_scale[index], float(node.bias[index]) * step
    rows = errors.rows(settings)
    outputs = list(graph.meta["outputs"])
    first = graph.output_tensor.shape[0]
    for number, (bound, name) in enumerate(zip(BOUNDS, bound_names(head.name), strict=True)):
        outputs.append({**entry, "name": name, "index": first + number, "of": head.name, "bound": bound})
    weights, biases = (np.array([point[part] + row[part] for row in rows]) for part in (0, 1))
    return with_rows(replace(graph, meta={**graph.meta, "outputs": outputs}), weights, biases)


def calibrated(graph: IntGraph, head: Head, cells: Shown, settings: IntervalSettings) -> IntGraph:
    """``graph`` with its bounds moved outwards (or inwards) until they hold on the calibration ``cells``, or on all that
    students which do not know them have answered for.

    Windows that a device refuses do not count: it gives no interval there.
    """
    cells = cells.known()
    taken = ~run_int8(graph, cells.x).outside
    if not taken.any():
        raise DataError("the model refuses every window of the calibration cells, so no interval can be calibrated")
    cells = cells.take(taken)
    scores = _scores(graph, head, cells) if cells.unseen is None else _scores_by_fold(graph, head, cells, settings)
    own = cells.cell.astype(np.int64)
    shift, widened = calibrated_shift(scores, own, settings.coverage)
    whole = int(np.ceil(shift))
    moves = dict(zip(bound_names(head.name), (-whole, whole), strict=True))
    outputs = [{**e, "offset": e["offset"] + moves.get(e["name"], 0)} for e in graph.meta["outputs"]]
    folds = 0 if cells.unseen is None else settings.folds
    stated = Interval(head.name, head.unit, settings.coverage, len(np.unique(own)), whole, widened, folds=folds)
    return replace(graph, meta={**graph.meta, "outputs": outputs, "interval": dataclasses.asdict(stated)})


@dataclass(frozen=True)
class Errors:
    """What a student's head reads of N windows, and how far measured values lie from the estimate, both as the graph has
    them: real values of the head's input, and normalized outputs."""

    hidden: Float64
    """[N, H]"""
    error: Float64
    """[N] measured less estimated."""
    weight: Float64
    """[N], every cell the same, together one."""
    spread: Float64 | None
    """[N] of the teachers."""

    @classmethod
    def of(cls, graph: IntGraph, head: Head, cells: Shown) -> Errors:
        """Of the graph itself, or of students that do not know the cells."""
        unit, seen = _unit(graph, head), cells.unseen
        estimate = run_int8(graph, cells.x).physical()[head.name] if seen is None else seen.estimate
        spread = None if cells.spread is None else np.asarray(cells.spread / unit, np.float64)
        hidden = _inputs_of_head(graph, quantize_input(graph, to_ppm(cells.x)))
        return cls(hidden, np.asarray((cells.measured - estimate) / unit), _alike(cells.cell), spread)

    def take(self, rows: Bool) -> Errors:
        """Those of these windows."""
        weight = self.weight[rows] / self.weight[rows].sum()
        return Errors(self.hidden[rows], self.error[rows], weight, None if self.spread is None else self.spread[rows])

    def rows(self, settings: IntervalSettings) -> list[tuple[Float64, float]]:
        """What the error is at least and at most, as weights [H] and a constant."""
        spread = self.spread if settings.spread else None
        found = []
        for level in settings.levels:
            taught = None if spread is None else (NormalDist().inv_cdf(level) * spread, settings.spread)
            found.append(pinball(self.hidden, self.error, self.weight, level, taught))
        return found


def _scores(graph: IntGraph, head: Head, cells: Shown) -> Float64:
    """How far outside the bounds of ``graph`` measured values lie [N], in integers of the unit."""
    measured = cells.measured * FACTORS[head.unit][1]
    low, high = (_without_order(graph, name, cells.x) for name in bound_names(head.name))
    return np.asarray(np.maximum(low - measured, measured - high))


def _scores_by_fold(graph: IntGraph, head: Head, cells: Shown, settings: IntervalSettings) -> Float64:
    """The same, of the estimates of students that do not know the cells, with bounds learnt from the other folds."""
    assert cells.unseen is not None
    errors = Errors.of(graph, head, cells)
    scores = np.zeros(len(errors.error))
    for fold in np.unique(cells.unseen.fold):
        own = cells.unseen.fold == fold
        asked = errors.take(own)
        low, high = (asked.hidden @ weight + constant for weight, constant in errors.take(~own).rows(settings))
        scores[own] = np.maximum(low - asked.error, asked.error - high)
    return scores * _unit(graph, head) * FACTORS[head.unit][1]


def _entry(graph: IntGraph, head: Head) -> Any:
    """What the border knows of the output of ``head``."""
    return next(entry for entry in graph.meta["outputs"] if entry["name"] == head.name)


def _unit(graph: IntGraph, head: Head) -> float:
    """One normalized output in the unit of the head: the border's integers are the normalization, physical = offset + y *
    multiplier / 2**shift, y in steps of the output."""
    entry = _entry(graph, head)
    steps = int(entry["multiplier"]) / 2.0 ** int(entry["shift"])
    return float(steps / graph.output_tensor.scale / FACTORS[head.unit][1])


def pinball(
    hidden: Float64, error: Float64, weight: Float64, level: float, taught: tuple[FloatArray, float] | None = None
) -> tuple[Float64, float]:
    """The linear function of hidden values [N, H] that is nearest to the quantile ``level`` of the errors [N]: weights [H]
    and constant. weight [N]: how much each counts.

    taught: what the quantile is by others [N], and their share. Same inputs, same bytes.
    """
    # A value that hardly ever moves in training would get a weight without measure, and no int8 grid holds it.
    centre, size = hidden.mean(axis=0), hidden.std(axis=0)
    size = np.maximum(size, max(LEAST_MOVED * float(size.max()), 1e-9))
    z = (hidden - centre) / size
    z = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    found = np.zeros(z.shape[1])
    found[-1] = _weighted_quantile(error, weight, level)
    smooth = max(float(error.std()), 0.0 if taught is None else float(np.abs(taught[0]).mean()), 1e-6)
    first, second, mean = np.zeros_like(found), np.zeros_like(found), np.zeros_like(found)
    for turn in range(1, ROUNDS + 1):
        answer = z @ found
        slope = np.where(error < answer, 1.0 - level, -level)
        if taught is not None:
            aim, share = taught
            slope = (1.0 - share) * slope + share * np.clip((answer - aim) / smooth, -1.0, 1.0)
        gradient = (weight * slope) @ z
        gradient[:-1] += SHRINK * found[:-1] / smooth
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        rate = RATE * smooth * (1.0 - turn / (ROUNDS + 1))
        found -= rate * (first / (1.0 - 0.9**turn)) / (np.sqrt(second / (1.0 - 0.999**turn)) + 1e-8)
        mean += found if turn > ROUNDS // 2 else 0.0
    mean /= ROUNDS - ROUNDS // 2
    weights = mean[:-1] / size
    return weights, float(mean[-1] - weights @ centre)


def _inputs_of_head(graph: IntGraph, quantized: np.ndarray) -> Float64:
    """Real values [N, H] that the head reads."""
    name = graph.nodes[-1].inputs[0]
    source, engine = graph.tensors[name], Engine(graph)
    parts = [engine.trace(quantized[i : i + 512])[name] for i in range(0, len(quantized), 512)]
    return (np.concatenate(parts).astype(np.float64) - source.zero_point) * source.scale


def _without_order(graph: IntGraph, name: str, x: Float32) -> Float64:
    """A bound as its row has it [N], integers of the unit, even where it lies on the wrong side of the estimate."""
    outputs = [{k: v for k, v in e.items() if k not in ("of", "bound")} for e in graph.meta["outputs"]]
    ppm = to_ppm(x)
    bare = replace(graph, meta={**graph.meta, "outputs": outputs})
    return outputs_in_units(bare, Engine(graph).run(quantize_input(graph, ppm)), ppm[:, -1, -1])[name][:, 0].astype(
        float
    )


def _alike(cell: IntArray) -> Float64:
    """Weights [N], together one, that give every cell the same."""
    _, number, count = np.unique(cell, return_inverse=True, return_counts=True)
    weight = 1.0 / count[number]
    return np.asarray(weight / weight.sum())


def _weighted_quantile(values: Float64, weight: Float64, level: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return float(values[order[min(int(np.searchsorted(reached, level * reached[-1])), len(order) - 1)]])
