"""The interval around a student's estimate, as the step ``quantize`` adds it: learnt, calibrated, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.cells import CellKey
from edgebat.distill.bounds import IntervalSettings, Shown, Unseen, calibrated, with_bounds
from edgebat.errors import RecipeError
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_interval
from edgebat.models import predict_int8, run_int8
from edgebat.tasks.base import AnyTask, Head, flat
from edgebat.tasks.coverage import coverage
from edgebat.tasks.windows import Windows

if TYPE_CHECKING:
    from edgebat.runs.ground import GroundSettings


@dataclass(frozen=True)
class Fold:
    """A student of the same kind, and the cells that it has not learnt from."""

    graph: IntGraph
    cells: frozenset[CellKey]


@dataclass(frozen=True)
class IntervalCells:
    """Whose windows an interval is made from."""

    train: Windows
    """They teach the bounds, and without ``calibration`` they also move them."""
    calibration: Windows | None
    """They move them; None: ``folds`` say how wrong the student is on cells that it does not know."""
    test: Windows
    """They say how often the interval holds."""
    folds: tuple[Fold, ...] = ()
    """Each cell of ``train`` lies in one of them, but for made-up ones, which do not count then."""
    spread: FloatArray | None = None
    """[N] of the teachers' answers for the training windows."""
    known_to_teacher: int = 0
    """Calibration cells that the teacher has learnt from."""


def with_interval(
    graph: IntGraph, task: AnyTask, cells: IntervalCells, settings: IntervalSettings, noise: GroundSettings
) -> IntGraph:
    """``graph``, which states its ground, with bounds of its first head of one value that has labels."""
    head = bounded(task, cells.train)
    train = _shown(task, cells.train, head, noise, cells.spread)
    if cells.calibration is None:
        train = at_least_own(graph, head, with_unseen(train, cells.train, head, cells.folds))
    grown = with_bounds(graph, head, train, settings)
    moving = train if cells.calibration is None else _shown(task, cells.calibration, head, noise)
    grown = calibrated(grown, head, moving, settings)
    held = coverage(task, cells.test, predict_int8(grown, cells.test))
    stated = graph_interval(grown)
    assert stated is not None
    stated = replace(stated, held_out=held, known_to_teacher=cells.known_to_teacher)
    return replace(grown, meta={**grown.meta, "interval": stated.to_json()})


def with_unseen(shown: Shown, windows: Windows, head: Head, folds: Sequence[Fold]) -> Shown:
    """Of the ``windows`` as they are ``shown``, those of the cells in ``folds``, with the answer of the student that does
    not know the cell."""
    names = windows.cells
    fold_of = np.full(len(names), -1)
    for number, fold in enumerate(folds):
        fold_of[[name in fold.cells for name in names]] = number
    of_window = fold_of[windows.cell]
    estimate = np.full(len(of_window), np.nan)
    for number, fold in enumerate(folds):
        rows = of_window == number
        estimate[rows] = run_int8(fold.graph, shown.x[rows]).physical()[head.name]
    return replace(shown, unseen=Unseen(estimate, of_window)).take(of_window >= 0)


def at_least_own(graph: IntGraph, head: Head, shown: Shown) -> Shown:
    """``shown`` with the errors of ``graph`` itself, which has learnt from these windows, where they are the larger ones on
    average: its teacher taught it something that the students of the folds, who have none, do not err by."""
    own = np.asarray(run_int8(graph, shown.x).physical()[head.name], np.float64)
    assert shown.unseen is not None
    wrong, unseen = (np.nanmean(np.abs(answer - shown.measured)) for answer in (own, shown.unseen.estimate))
    return replace(shown, unseen=Unseen(own, shown.unseen.fold)) if wrong > unseen else shown


def bounded(task: AnyTask, windows: Windows) -> Head:
    """The head that gets bounds. Raises RecipeError for a task without one."""
    targets = windows.targets()
    for head in task.heads(windows.spec):
        if not head.grid and not head.relative and head.name in targets:
            return head
    raise RecipeError(f"the task {task.name} has no head of one measured value; leave interval.coverage out")


def spread_of(labels: dict[str, FloatArray], head: str) -> FloatArray:
    """What an ensemble's labels say of its spread, [N]. Raises RecipeError when they say nothing."""
    if f"{head}_spread" not in labels:
        raise RecipeError(
            f"interval.spread needs a teacher that knows its spread, such as several of them (teacher: [..., ...]); this "
            f"one gives {', '.join(labels)}"
        )
    return flat(np.asarray(labels[f"{head}_spread"], np.float64))


def _shown(
    task: AnyTask, windows: Windows, head: Head, noise: GroundSettings, spread: FloatArray | None = None
) -> Shown:
    """As a device sees them, with a noisy voltage."""
    measured = flat(np.asarray(windows.targets()[head.name], np.float64))
    x = task.noisy_inputs(windows, noise.noise_mv, np.random.default_rng(4))
    return Shown(x, measured, windows.cell, spread)
