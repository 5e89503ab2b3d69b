"""Life teachers: learn from one published split, score on another, or on parts of the training cells.

    edgebat run life-batlinet --corpus PATH

Several processes may each do some seeds (``--set study.seeds=[2]``). Test cells are scored once, after training; nothing is
chosen by them.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
from pydantic.dataclasses import dataclass as checked
from torch import nn

from edgebat.baselines import each_at_hand
from edgebat.baselines.life import BASELINES, known, score_baseline
from edgebat.cells import pack_cells
from edgebat.data.qv import life_cells
from edgebat.errors import RecipeError, require
from edgebat.files import Json
from edgebat.studies.runner import (
    Experiment,
    Kind,
    Part,
    Record,
    Result,
    Scored,
    Scores,
    Split,
    TeacherExperiment,
    Trained,
    seeded,
    write_kept,
)
from edgebat.studies.tables import markdown, spread
from edgebat.tasks.life.score import LifeScores, by_dataset, score_predictions
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.batlinet.network import BatLiNetEnsemble
from edgebat.teachers.batlinet.transfer import METHODS, Transfer, transfer_scores
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble
from edgebat.teachers.diffbatt.settings import Sampling
from edgebat.teachers.diffbatt.synthesis import synthesis_rows
from edgebat.teachers.ensemble import SeedEnsemble
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class
from edgebat.training.run import Run
from edgebat.training.tensorfile import round_to_half

ALL = "all"
"""The cells of all data sets, in a record's scores."""


@checked(frozen=True, config={"extra": "forbid"})
class LifeSection:
    """``study:`` of a ``life-*.yaml`` recipe."""

    seeds: tuple[int, ...] = (1, 2, 3)
    """One network each; together they are stored as an ensemble."""
    datasets: tuple[str, ...] = ("MATR",)
    """Of the corpus; empty for all."""
    train: str = "train"
    """The published split that is learnt from."""
    test: str | None = "test1"
    """The published split that is scored; null trains the teacher to be given away."""
    hold_out: int = 0
    """To choose settings without the test split, the training cells are cross-validated in so many folds ``fold0``, ...
    instead, each every so many-th cell by life; 0: no."""
    held_cells: str = ""
    """Instead, the training cells whose names match this pattern ("b2*") are scored, the others learnt from."""

    @property
    def scores_test(self) -> bool:
        """Whether the test split is scored: neither a part of the training cells nor nothing."""
        return self.test is not None and not self.hold_out and not self.held_cells

    def __post_init__(self) -> None:
        if self.hold_out < 0 or self.hold_out == 1:
            raise RecipeError(f"hold_out is {self.hold_out}; 0 or at least 2 folds are needed")
        if self.held_cells and self.hold_out:
            raise RecipeError(f"held_cells ({self.held_cells!r}) and hold_out ({self.hold_out}) exclude each other")


@checked(frozen=True, config={"extra": "forbid"})
class BatLiNetSection(LifeSection):
    """``study:`` of a recipe for BatLiNet. Transfers are made by themselves only beside the test split."""

    transfer: tuple[Transfer, ...] = ()
    """One chemistry each, learnt from the others."""
    transfer_task: LifeSpec = field(default_factory=lambda: LifeSpec(cycles=20, eol=0.9))
    """The windows of these, of every dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        targets = [transfer.target for transfer in self.transfer]
        if len(set(targets)) < len(targets):
            raise RecipeError(f"one transfer per chemistry; seen {', '.join(targets)}")


@checked(frozen=True, config={"extra": "forbid"})
class DiffBattSection(LifeSection):
    """``study:`` of a recipe for DiffBatt, which draws curves."""

    sampling: Sampling = field(default_factory=Sampling)
    """How curves are drawn; the seed is that of the training."""
    synthesis: tuple[float, ...] = ()
    """Guidance weights to make new curves with, beside the test split."""


Section = TypeVar("Section", bound=LifeSection)
Values = TypeVar("Values")


class LifeExperiment(TeacherExperiment[Section, LifeWindows], Generic[Section]):
    """One part, named like the teacher, or the folds of a cross-validation."""

    about_cell, cell_metrics = ("life",), ("predicted",)
    ensemble: ClassVar[type[SeedEnsemble[LifeWindows]]]
    """The teacher that the seeds' networks make together."""

    @cached_property
    def windows(self) -> LifeWindows:
        """Every cell of the datasets."""
        return life_windows(life_cells(self.corpus, self.recipe.study.datasets or None), self.recipe.task)

    def parts(self) -> list[Part]:
        study = self.recipe.study
        names = [f"fold{n}" for n in range(study.hold_out)] or [self.recipe.teacher_name]
        return [Part(name, study.seeds) for name in names]

    def split(self, part: Part, seed: int) -> Split[LifeWindows]:
        study = self.recipe.study
        train = self.windows.select(split=study.train)
        cells = len(train)
        if study.hold_out > cells:
            raise RecipeError(f"hold_out is {study.hold_out}; split {study.train!r} has {cells} cells")
        held = np.array([fnmatch.fnmatchcase(name, study.held_cells) for _, name in train.cells], dtype=np.bool_)
        if study.hold_out:
            rank = np.argsort(np.argsort(train.life, kind="stable"))
            held = rank % study.hold_out == int(part.name.removeprefix("fold"))
        test = self.windows.select(split=study.test) if study.scores_test else train.select(held)
        train = train.select(~held)
        if not len(train):
            raise RecipeError(
                f"no cell is left to train on; cells.csv has none of split {study.train!r}, or all are held"
            )
        if not len(test) and (study.test or study.hold_out or study.held_cells):
            reason = (
                f"held_cells {study.held_cells!r} fits none of the {cells} cells of split {study.train!r}"
                if study.held_cells
                else f"no cell is of split {study.test!r}; with test: null nothing is scored"
            )
            raise RecipeError(f"there is nothing to score: {reason}")
        return Split(train, train.take([]), test)

    def train(self, part: Part, split: Split[LifeWindows], seed: int, run: Run) -> Trained:
        settings = seeded(self.recipe.teacher, seed)
        kind = self.ensemble if settings.members > 1 else self.ensemble.member
        return teacher_class(kind.name).fit(split.train, None, settings, run)

    def round(self, network: nn.Module) -> None:
        round_to_half(network)

    def score(self, teacher: Teacher, split: Split[LifeWindows], seed: int) -> Scored:
        return scored(score_predictions(teacher.predict(split.test), split.test))

    def together(self, part: Part) -> Scored | None:
        """The networks of all seeds as one teacher, stored as ``<part>.safetensors``, with its scores in ``<part>.json``."""
        networks: list[Any] = [load_teacher(self.folder / f"{part.stem}-seed{seed}.safetensors") for seed in part.seeds]
        members: list[Any] = [member for network in networks for member in getattr(network, "members", [network])]
        ensemble = self.ensemble.of(members)
        self.round(ensemble)
        file, split = self.folder / f"{part.stem}.safetensors", self.split(part, part.seeds[0])
        origin = self.provenance(part, split)
        save_teacher(ensemble, file, {"study": self.recipe.name, **origin, "seeds": list(part.seeds)})
        if not len(split.test):
            return None
        found = self.score(load_teacher(file), split, part.seeds[0])
        write_kept(file.with_suffix(".json"), dataclasses.asdict(found))
        return found

    def baselines(self, part: Part, split: Split[LifeWindows]) -> tuple[dict[str, Scored], list[str]]:
        return each_at_hand(BASELINES, lambda name: scored(score_baseline(name, split.train, split.test)))

    def learnt(self, train: LifeWindows) -> LifeWindows:
        """The cells that the teacher learns from."""
        return train

    def provenance(self, part: Part, split: Split[LifeWindows]) -> Json:
        learnt = self.learnt(split.train)
        return {
            "cells": len(learnt),
            "chemistries": sorted(set(learnt.chemistries)),
            "seen": pack_cells(split.train.cells),
            "datasets": sorted({dataset for dataset, _ in split.train.cells}),
            "split": self.recipe.study.train,
            "task": self.recipe.of_task.described(self.recipe.task),
        }

    def table(self, results: list[Result]) -> str:
        study, teacher = self.recipe.study, self.recipe.teacher_name
        title = f"{len(results)} folds of {study.train}" if study.hold_out else study.held_cells or str(study.test)
        tables = (study_table(title, teacher, results), dataset_table(teacher, results))
        return "\n".join(table for table in tables if table)


class BatLiNetStudy(LifeExperiment[BatLiNetSection]):
    """BatLiNet over the splits."""

    ensemble = BatLiNetEnsemble

    def learnt(self, train: LifeWindows) -> LifeWindows:
        """BatLiNet learns nothing from a cell whose life is not known."""
        return known(train)


class DiffBattStudy(LifeExperiment[DiffBattSection]):
    """DiffBatt over the splits, and the cells it makes up."""

    ensemble = DiffBattEnsemble

    @property
    def synthesis(self) -> Sequence[float]:
        """Guidance weights to make cells with."""
        return self.recipe.study.synthesis if self.recipe.study.scores_test else ()

    def begin(self, only: Sequence[str]) -> None:
        if self.synthesis:
            require("sklearn.ensemble", extra="baselines")  # for the forest on synthetic cells: not after the training

    def score(self, teacher: Teacher, split: Split[LifeWindows], seed: int) -> Scored:
        sampling = seeded(self.recipe.study.sampling, seed)
        teacher.configure({"sampling": dataclasses.asdict(sampling)})
        found = super().score(teacher, split, seed)
        if not self.synthesis or teacher.name != self.ensemble.member.name:  # several at once make up no cells
            return found
        rows = synthesis_rows(cast(DiffBatt, teacher), split.train, split.test, self.synthesis, sampling)
        return dataclasses.replace(found, synthesis=rows)


class Transfers(Experiment[BatLiNetSection]):
    """Each transfer with each seed."""

    @cached_property
    def windows(self) -> LifeWindows:
        """Every cell of every dataset."""
        return life_windows(life_cells(self.corpus), self.recipe.study.transfer_task)

    def parts(self) -> list[Part]:
        study = self.recipe.study
        return [Part(transfer.target, study.seeds, f"transfer-{transfer.target}", on_request=not study.scores_test)
                for transfer in study.transfer]  # fmt: skip

    def measure(self, part: Part, seed: int) -> Record:
        transfer = next(t for t in self.recipe.study.transfer if t.target == part.name)
        # Twenty cycles are too few to pool, and a protocol there shows which data set a cell is of, not how it ages.
        settings = dataclasses.replace(self.recipe.teacher, pool=1, members=1, current=False)
        start = time.perf_counter()
        scores = transfer_scores(self.windows, transfer, settings, Run(self.folder / f"{part.stem}-seed{seed}"), seed)
        return Record(seed, round(time.perf_counter() - start, 1), {}, Scored(scores))

    def tables(self, results: list[Result]) -> dict[str, str]:
        """MAPE as the median and range over the seeds: one cell unlike all that is known can make a mean say nothing."""
        rows = []
        for result in results:
            seeds = [scored.scores for scored in result.seeds.values()]
            for count in seeds[0]:
                values = [np.array([scores[count][name] for scores in seeds]) for name in METHODS]
                spreads = (f"{np.median(v):.0f} ({v.min():.0f} to {v.max():.0f})" for v in values)
                rows.append([result.part.name, count, *spreads])
        table = markdown(["target", "cells known", *METHODS], rows)
        return {"transfer.md": "MAPE in percent, median (range) over seeds\n\n" + table}


TRANSFERS = Kind(BatLiNetSection, (BatLiNetStudy, Transfers))
MADE_UP = Kind(DiffBattSection, (DiffBattStudy,))


def scored(found: LifeScores) -> Scored:
    """Scores of all cells, of each data set where they are known, and the cells."""
    return Scored({ALL: found.scores, **found.datasets}, found.cells)


def over_seeds(
    teacher: str, results: Sequence[Result], of: Callable[[Sequence[Scored]], Values]
) -> dict[str, list[Values]]:
    """Baseline, or the teacher -> what ``of`` makes of all folds, for each seed; a baseline has one."""
    rows = {name: [of([result.baselines[name] for result in results])] for name in results[0].baselines}
    seeds = [of(folds) for folds in zip(*(result.seeds.values() for result in results), strict=True)]
    return {**rows, f"{teacher}, {len(seeds)} seeds": seeds}


def study_table(title: str, teacher: str, results: Sequence[Result]) -> str:
    """Markdown: a line per baseline, then the teacher's mean +- standard deviation over seeds, then the seeds as one
    teacher. Of several folds as ``over_folds`` has it."""
    rows = over_seeds(teacher, results, lambda folds: over_folds([scored.scores[ALL] for scored in folds]))
    together = over_folds([result.together.scores[ALL] for result in results if result.together])
    if together:
        # The best of all members' draws is not to be set beside the best of one member's.
        joined = {name: value for name, value in together.items() if not name.endswith("_best")}
        rows[f"{teacher}, the seeds together"] = [joined]
    names = sorted({name for part in rows.values() for scores in part for name in scores})
    lines = ([who, *(spread([s[name] for s in part if name in s], 2) for name in names)] for who, part in rows.items())
    return markdown([title, *names], lines)


def dataset_table(teacher: str, results: Sequence[Result]) -> str:
    """Markdown: RMSE in cycles and MAPE in percent of each data set's cells, all folds together, of baselines and teacher;
    empty when all cells are of one data set."""
    rows = over_seeds(teacher, results, lambda folds: by_dataset([cell for scored in folds for cell in scored.cells]))
    first = list(rows.values())[-1][0]
    datasets = {name: scores["cells"] for name, scores in sorted(first.items()) if scores["cells"]}
    if len(datasets) < 2:
        return ""

    def cell(part: Sequence[Mapping[str, Scores]], name: str) -> str:
        rmse, mape = (spread([scores[name][metric] for scores in part], 1) for metric in ("rmse", "mape"))
        return f"{rmse} ({mape})"

    heads = ["RMSE, cycles (MAPE, %)", *(f"{name}, {count:.0f} cells" for name, count in datasets.items())]
    return markdown(heads, ([who, *(cell(part, name) for name in datasets)] for who, part in rows.items()))


def over_folds(scores: Sequence[Scores]) -> Scores:
    """Over folds of like size: the root of the mean square of RMSEs in cycles, the mean of anything else; each over the
    folds that know it."""
    found = {}
    for name in dict.fromkeys(name for own in scores for name in own):
        values = [own[name] for own in scores if name in own]
        squared = name in ("rmse", "rul_rmse", "rul_rmse_best")
        found[name] = float(np.sqrt(np.mean(np.square(values))) if squared else np.mean(values))
    return found
