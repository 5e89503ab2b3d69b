"""Score any teacher or student file on any corpus folder, per cell, beside the baselines of its task."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Bool, FloatArray, Int64
from edgebat.cells import seen_cells
from edgebat.errors import DataError, require
from edgebat.files import Json
from edgebat.interval import Covered
from edgebat.models import Model, open_model
from edgebat.runtime.refusal import Refusal
from edgebat.tasks.base import AnyTask, Predictions, Scores
from edgebat.tasks.coverage import coverage
from edgebat.tasks.windows import Windows

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet

NO_TRAINING_CELLS = (
    "baselines that learn are missing: none of the cells the model was trained on is in {corpus}; name a folder that has "
    "them with --train-corpus"
)
NOTHING_SEEN = "the model has seen no measured cell, so baselines that learn have nothing to learn from"
NOTHING_UNSEEN = "the model has seen every cell here: these are errors on training cells, of the baselines too"


@dataclass(frozen=True)
class CellScores:
    """Scores of one model on one cell. seen: it was trained or tuned on it."""

    dataset: str
    cell: str
    seen: bool
    scores: Scores

    def to_json(self) -> Json:
        """One flat row."""
        return {"dataset": self.dataset, "cell": self.cell, "seen": self.seen, **self.scores}


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model on one corpus. ``unseen`` are the cells the model was not trained or tuned on (None when there is
    none), ``all`` every one; ``datasets`` and ``baselines`` are of the unseen cells, of all when none is unseen."""

    model: str
    corpus: str
    kind: str
    task_kind: str
    task: Json
    cells: list[CellScores]
    datasets: dict[str, Scores]
    all: Scores
    unseen: Scores | None
    baselines: dict[str, Scores]
    notes: list[str]
    left_out: dict[str, int]
    coverage: tuple[Covered, ...] = ()
    """How often the model's interval held on the cells of ``datasets``, all of them first; empty without one."""
    refused: dict[str, int] = field(default_factory=dict)
    """Reason -> windows of ``all`` that a device gives no estimate for. They count in every error but the one under the key
    ``answered``."""

    def to_json(self) -> Json:
        """Everything as plain data."""
        return vars(self) | {
            "cells": [cell.to_json() for cell in self.cells],
            "coverage": [dataclasses.asdict(found) for found in self.coverage],
        }

    def cells_csv(self) -> str:
        """The table of cells as CSV; empty where nothing is known."""
        rows = [cell.to_json() for cell in self.cells]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(name) for name in columns] for row in rows)
        return text.getvalue()


def evaluate_file(
    path: str | Path,
    corpus: str | Path,
    datasets: Sequence[str] | None = None,
    train_corpus: str | Path | None = None,
) -> Evaluation:
    """``evaluate_model`` of the model in a file. Raises ModelFileError, DataError or MissingExtra."""
    require("pandas", extra="data")
    return evaluate_model(open_model(path), Path(corpus), datasets, Path(train_corpus or corpus))


def evaluate_model(
    model: Model, corpus: Path | Fleet, datasets: Sequence[str] | None = None, train_corpus: Path | Fleet | None = None
) -> Evaluation:
    """Score a model on the cells of a corpus folder or of a fleet in memory.

    Baselines that learn do so on the cells the model has seen, out of ``train_corpus`` (``corpus`` unless given);
    ``notes`` says what they learnt from, or why they are missing. Raises ModelFileError, DataError or MissingExtra.
    """
    task = model.task
    windows: Windows = task.of_cells(corpus, model.spec, datasets).windows
    predictions = model.predict(windows)
    refusal = None if model.refused is None else model.refused(windows)
    seen = seen_cells(model.seen, windows.cells)
    fresh = ~np.array(seen)[windows.cell]
    tested = fresh if fresh.any() else np.ones(len(windows), dtype=np.bool_)
    test, tested_predictions = windows.select(tested), _rows(predictions, tested)
    cells = []
    for index, (dataset, cell) in enumerate(windows.cells):
        own = windows.cell == index
        scores = scored(task, windows, predictions, refusal, own, task.score_cell)
        cells.append(CellScores(dataset, cell, seen[index], scores))
    baselines, notes = _baselines(model, test, train_corpus or corpus, bool(fresh.any()))
    every = scored(task, windows, predictions, refusal, np.ones(len(windows), dtype=np.bool_), task.score)
    per_dataset = {
        name: scored(task, windows, predictions, refusal, tested & (windows.dataset == name), task.score)
        for name in sorted(set(test.dataset.tolist()))
    }
    return Evaluation(
        model=str(model.path),
        corpus=_name(corpus),
        kind=model.kind,
        task_kind=task.name,
        task=task.described(model.spec),
        cells=cells,
        datasets=per_dataset,
        all=every,
        unseen=scored(task, windows, predictions, refusal, fresh, task.score) if fresh.any() else None,
        baselines={name: task.score(test, answers) for name, answers in baselines.items()},
        notes=[
            *notes,
            *task.notes(test, model.provenance),
            *model.notes(windows),
            *task.beside(test, tested_predictions, baselines),
        ],
        left_out=windows.left_out,
        coverage=coverage(task, test, tested_predictions),
        refused={} if refusal is None else _reasons(refusal),
    )


def scored(
    task: AnyTask,
    windows: Windows,
    predictions: Predictions,
    refusal: Int64 | None,
    own: Bool,
    score: Callable[[Windows, Predictions], Scores],
) -> Scores:
    """Scores of the windows ``own`` [N]; of a model that refuses some also how many those are, ``refused``, and under
    ``answered`` the first figure of the others alone, None where there is none."""
    scores = score(windows.select(own), _rows(predictions, own))
    if refusal is None:
        return scores
    taken, first = own & (refusal == Refusal.NONE), task.columns[0].key
    left = score(windows.select(taken), _rows(predictions, taken))[first] if taken.any() else None
    return {**scores, "refused": int((own & (refusal != Refusal.NONE)).sum()), "answered": left}


def _reasons(refusal: Int64) -> dict[str, int]:
    counts = Counter(Refusal(value).text for value in refusal.tolist() if value)
    return dict(sorted(counts.items()))


def _rows(predictions: Predictions, mask: Bool) -> dict[str, FloatArray]:
    """The rows of ``mask`` [N] of all predictions with one row per window."""
    return {head: values[mask] for head, values in predictions.items() if len(values) == len(mask)}


def _baselines(
    model: Model, test: Windows, corpus: Path | Fleet, some_unseen: bool
) -> tuple[dict[str, Predictions], list[str]]:
    """What every baseline at hand predicts for ``test``, learnt from the cells of ``corpus`` that the model has seen; and
    notes."""
    from edgebat.baselines import answers

    train, note = _training_windows(model, corpus)
    found, missing = answers(model.task.name, train, None, test)
    notes = [note, *missing]
    if train is not None and not some_unseen:
        notes.append(NOTHING_UNSEEN)
    return found, notes


def _name(corpus: Path | Fleet) -> str:
    return str(corpus) if isinstance(corpus, Path) else corpus.source


def _training_windows(model: Model, corpus: Path | Fleet) -> tuple[Windows | None, str]:
    if not model.seen:
        return None, NOTHING_SEEN
    from edgebat.data.corpus import corpus_cells

    absent = NO_TRAINING_CELLS.format(corpus=_name(corpus))
    try:
        listed = corpus_cells(corpus) if isinstance(corpus, Path) else list(corpus.keys)
        # Data sets without a seen cell stay unread: their grids would move others' curves by a rounding.
        datasets = {key[0] for key, seen in zip(listed, seen_cells(model.seen, listed), strict=True) if seen}
        windows: Windows = model.task.of_cells(corpus, model.spec, sorted(datasets)).windows
    except DataError:
        return None, absent
    known = [key for key, seen in zip(windows.cells, seen_cells(model.seen, windows.cells), strict=True) if seen]
    if len(known) < 2:
        return None, absent
    train = windows.select(cells=known)
    return train, f"baselines learnt from {len(known)} cells the model has seen, out of {_name(corpus)}"
