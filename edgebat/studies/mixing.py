"""Ensembles on cells that are left out: each member, their mean, and their mixture, learnt anew for each part.

    edgebat run mix-forecast --corpus PATH

Nothing of the cells that are scored is used for the mixture: it is learnt on the other cells, held out in turn
(``edgebat/distill/mix.py``). A member given as a file is left out of the parts of which it has seen a cell.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass as checked

from edgebat.baselines import answers
from edgebat.cells import seen_cells
from edgebat.distill.teacher import TeacherData, TeacherEntry
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.models import open_model
from edgebat.studies.runner import Experiment, Kind, Part, Record, Result, Scored
from edgebat.studies.tables import markdown
from edgebat.tasks.windows import Windows
from edgebat.teachers.ensemble import averaged
from edgebat.training.run import Run

MEAN, BEST = "mean of members", "best member"
UNITS = {"windows"}
"""Scores that are no errors."""


@checked(frozen=True, config={"extra": "forbid"})
class MixSection:
    """``study:`` of a recipe whose teacher is an ensemble."""

    datasets: tuple[str, ...] = ()
    """Of the corpus; empty for all."""
    quality: tuple[str, ...] = ()
    """Grades of cells; empty for the task's own choice."""
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name of a part -> ``train`` and ``test``, patterns of ``dataset/cell``; each data set in turn unless given."""
    beside: tuple[str, ...] = ()
    """Baselines that stand beside the members: lines, a mean."""
    mixes: tuple[str, ...] = ()
    """How members are mixed, one or several; the teacher's own ``mix`` unless given."""


class LeftOut(Experiment[MixSection]):
    """One part per data set, or as ``left_out`` says."""

    @cached_property
    def windows(self) -> Windows:
        """Of all cells."""
        study, task = self.recipe.study, self.recipe.of_task
        return task.load(self.corpus, self.recipe.task, study.datasets or None, study.quality or None).windows

    @cached_property
    def patterns(self) -> Mapping[str, Mapping[str, str]]:
        """Part -> which cells."""
        names = sorted({dataset for dataset, _ in self.windows.cells})
        return self.recipe.study.left_out or {name: {"train": "*", "test": f"{name}/*"} for name in names}

    def parts(self) -> list[Part]:
        return [Part(name, (1,), name.replace(" ", "-")) for name in self.patterns]

    def split(self, name: str) -> tuple[Windows, Windows]:
        """(to learn from, to score) of a part; what is scored is never learnt from. Raises RecipeError when one is empty."""
        found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
        for cell in self.windows.cells:
            fits = {key: fnmatch.fnmatchcase("/".join(cell), glob) for key, glob in self.patterns[name].items()}
            if fits.get("test") or fits.get("train"):
                found["test" if fits.get("test") else "train"].append(cell)
        if not all(found.values()):
            counts = ", ".join(f"{len(cells)} {key}" for key, cells in found.items())
            raise RecipeError(f"study.left_out: the part {name!r} has {counts} cells; both need some")
        return self.windows.select(cells=found["train"]), self.windows.select(cells=found["test"])

    def measure(self, part: Part, seed: int) -> Record:
        start, task, study = time.perf_counter(), self.recipe.of_task, self.recipe.study
        train, test = self.split(part.name)
        entry: TeacherEntry = self.recipe.teacher
        strangers = tuple(each for each in entry.of if not _knows(each, test))
        data, mixes = TeacherData(task, train, train, train.take([]), test), study.mixes or (entry.mix,)
        asked = dataclasses.replace(entry, of=strangers)
        members = data.members(asked, {}, Run(self.folder / part.stem))
        own = [member.teacher.predict(test) for member in members]
        found: dict[str, Mapping[str, Any]] = dict(answers(task.name, train, None, test, study.beside)[0])
        found |= {each.label: predicted for each, predicted in zip(strangers, own, strict=True)} | {MEAN: averaged(own)}
        cells: list[Json] = []
        for mix in mixes:
            ensemble, how = data.mixed(dataclasses.replace(asked, mix=mix), members)
            found[mix] = ensemble.combined(test, own)
            cells.append({"dataset": part.name, "cell": mix, "weights": how.get("weights", {})})
        scores = {
            who: _errors(task.score(test, predicted)) for who, predicted in found.items() if _whole(task, predicted)
        }
        scores["cells"] = {"cells": float(len(test.cells)), "train": float(len(train.cells))}
        return Record(seed, round(time.perf_counter() - start, 1), {}, Scored(scores, cells))

    def tables(self, results: list[Result]) -> dict[str, str]:
        """One table of the task's first figure, and one of the weights."""
        study, entry = self.recipe.study, self.recipe.teacher
        mixes = study.mixes or (entry.mix,)
        members = [each.label for each in entry.of]
        column = self.recipe.of_task.columns[0]
        errors = error_table(column.title, column.key, results, (*study.beside, *members), members, mixes)
        rows = [
            [row["dataset"], row["cell"], head, _weights(weights)]
            for result in results
            for row in result.seeds[1].cells
            for head, weights in row["weights"].items()
        ]
        return {"table.md": f"{errors}\n{markdown(['left out', 'mix', 'head', 'weights'], rows)}"}


def error_table(
    title: str,
    key: str,
    results: Sequence[Result],
    columns: Sequence[str],
    members: Sequence[str],
    mixes: Sequence[str],
) -> str:
    """Markdown: a row per part with the error ``key`` of everybody, the mixtures' also over that of the part's best member;
    last the mean over the parts and the largest ratio. Empty when nobody has the error."""
    rows, ratios = [], {who: list[float]() for who in (MEAN, *mixes)}
    sums: dict[str, list[float]] = {}
    for result in results:
        scores = {who: row[key] for who, row in result.seeds[1].scores.items() if key in row}
        single = min((scores[who] for who in members if who in scores), default=None)
        if not single or MEAN not in scores:
            continue
        for who, value in [*scores.items(), (BEST, single)]:
            sums.setdefault(who, []).append(value)
        for who, found in ratios.items():
            found.append(scores[who] / single)
        counts = result.seeds[1].scores["cells"]
        rows.append([result.part.name, f"{counts['train']:.0f}", f"{counts['cells']:.0f}",
                     *(_figure(scores.get(who)) for who in (*columns, MEAN, *mixes)),
                     *(f"{found[-1]:.2f}" for found in ratios.values())])  # fmt: skip
    if not rows:
        return ""
    whole = {who: float(np.mean(values)) if len(values) == len(rows) else None for who, values in sums.items()}
    means = (_figure(whole.get(who)) for who in (*columns, MEAN, *mixes))
    rows.append(["mean (of ratios: mean, largest)", "", "", *means,
                 *(f"{np.mean(found):.2f}, {max(found):.2f}" for found in ratios.values())])  # fmt: skip
    return markdown([f"{title}, left out", "learnt from", "cells", *columns, MEAN, *mixes,
                     *(f"{who} / {BEST}" for who in ratios)], rows)  # fmt: skip


def _weights(weights: Mapping[str, float]) -> str:
    """The largest first; none below half a percent."""
    return ", ".join(f"{w:.2f} {who}" for who, w in sorted(weights.items(), key=lambda pair: -pair[1]) if w >= 0.005)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _whole(task: Any, predicted: Mapping[str, Any]) -> bool:
    """Whether the first head of the task's score is there."""
    return bool({head.name for head in task.heads(task.spec())} & set(predicted))


def _errors(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if value is not None and name not in UNITS}


def _knows(entry: TeacherEntry, test: Windows) -> bool:
    """Whether a teacher given as a file has seen a cell of ``test``."""
    return bool(entry.file) and any(seen_cells(open_model(Path(entry.path)).seen, test.cells))


LEFT_OUT = Kind(MixSection, (LeftOut,))
