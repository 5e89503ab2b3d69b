"""Forecasters: train on all datasets but one, score on that one, for each; then train on everything.

    edgebat run forecast-battery-timer --corpus PATH [--only NAME ...]

Several processes may each do some folds, once ``--only all`` has made the networks that all start from; it trains the
teacher that is given away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic.dataclasses import dataclass as checked

from edgebat.arrays import FloatArray
from edgebat.baselines.forecast import forecast_baselines
from edgebat.cells import CapacityHistory, pack_cells
from edgebat.data.corpus import read_corpus
from edgebat.errors import require
from edgebat.files import Json
from edgebat.studies.runner import Kind, Part, Result, Scored, Split, TeacherExperiment, Trained, seeded
from edgebat.studies.tables import markdown
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import LINES, LINES24, relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastWindows, capacity_histories, forecast_windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.battery_timer.draws import stretches
from edgebat.teachers.battery_timer.settings import TimerSettings
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class
from edgebat.teachers.universal.train import left_out_folds
from edgebat.training.run import Run

EVERYTHING, UNTUNED = "all", "untuned"
"""The fold that leaves out nothing, and the network that has seen made-up curves alone."""

Histories = list[CapacityHistory]


@checked(frozen=True, config={"extra": "forbid"})
class ForecastSection:
    """``study:`` of a ``forecast-*.yaml`` recipe."""

    seeds: tuple[int, ...] = (1,)
    """One network each."""
    quality: tuple[str, ...] = ("A", "A-", "B")
    """Of the cells that are used."""
    leave_out: Literal["dataset", "chemistry", "rest"] = "dataset"
    """A dataset or chemistry at a time is scored by a network trained on the others; ``rest`` trains on one dataset alone
    and scores all others."""
    sources: tuple[str, ...] = ()
    """Datasets to train on, all but the one left out unless named."""
    val_cells: float = 0.12
    """Fraction of the training cells that stop the training instead."""
    synthetic_cells: int = 3000
    """So many made-up curves are learnt from before any real one; 0: none."""
    pretrain: TimerSettings = field(default_factory=TimerSettings)
    """The training on these; its network is the teacher's."""
    replay: int = 0
    """So many made-up curves stay among the real cells, drawn like one more dataset."""


class Fold(NamedTuple):
    """Cells to learn from, to stop on, and to score on."""

    train: Histories
    val: Histories
    test: Histories


class LeaveOneOut(TeacherExperiment[ForecastSection, ForecastWindows]):
    """One fold per dataset or chemistry, the fold ``all``, and before them the network that is not tuned to any of them."""

    about_cell, cell_metrics = ("windows",), ("mae_pct",)

    def timer(self) -> TimerSettings:
        """The forecaster's settings."""
        settings: TimerSettings = self.recipe.teacher
        return settings

    def settings(self, timer: TimerSettings, second: bool = True) -> Any:
        """The teacher's settings around ``timer``; without a ``second`` task when it learns from made-up curves."""
        return timer

    @cached_property
    def folds(self) -> dict[str, Fold]:
        """Name -> cells that are good enough; ``all`` has none to score, ``untuned`` none to learn from."""
        study = self.recipe.study
        cells = capacity_histories(read_corpus(self.corpus).select(quality=study.quality), self.recipe.task.label_kinds)
        if study.leave_out == "rest":
            parts = [(name, outside, inside) for name, inside, outside in left_out_folds(cells, "dataset")]
        else:
            parts = [*left_out_folds(cells, study.leave_out), (EVERYTHING, list(range(len(cells))), [])]
        # Validation cells are drawn from the cell's own place, alike in every fold.
        held = np.random.default_rng(0).random(len(cells)) < study.val_cells
        # With one dataset to learn from, each is left out many times.
        untuned = study.synthetic_cells and study.leave_out != "rest"
        folds = {UNTUNED: Fold([], [], cells)} if untuned else {}
        for name, inside, outside in parts:
            used = [i for i in inside if not study.sources or cells[i].key[0] in study.sources]
            train, val = ([cells[i] for i in used if held[i] == stops] for stops in (False, True))
            if not val:
                train, val = train[:-1], train[-1:]
            folds[name] = Fold(train, val, [cells[i] for i in outside])
        return folds

    def parts(self) -> list[Part]:
        return [Part(name, self.recipe.study.seeds, beside=name == UNTUNED) for name in self.folds]

    def begin(self, only: Sequence[str]) -> None:
        if self.timer().lora or self.recipe.study.pretrain.lora:
            require("peft", extra="lora")  # now, not after minutes of pre-training

    def windows(self, histories: Histories, **changes: Any) -> ForecastWindows:
        """Their windows, of the recipe's task with ``changes``."""
        return forecast_windows(histories, dataclasses.replace(self.recipe.task, **changes))

    def split(self, part: Part, seed: int) -> Split[ForecastWindows] | None:
        fold = self.folds[part.name]
        train, val, test = (self.windows(cells) for cells in fold)
        needed = [*([] if part.beside else [train, val]), *([] if part.name == EVERYTHING else [test])]
        if not all(len(windows) for windows in needed):
            print(f"{part.name} left out: there is no window to learn from, to stop on, or to score", flush=True)
            return None
        train, replay = stretches(fold.train, self.recipe.task), self.recipe.study.replay
        if replay:
            # Made-up cells are many, so that few windows of each are enough.
            train = train.join(stretches(fade_curves(replay, seed + 1000), self.recipe.task, stride=32))
        return Split(train, val, test)

    def pretrained(self, seed: int) -> Path:
        """The network after training on made-up curves; made unless it is there already."""
        file = self.folder / f"pretrained-seed{seed}.safetensors"
        if not file.exists():
            study, kind = self.recipe.study, teacher_class(self.recipe.teacher_name)
            curves = fade_curves(study.synthetic_cells, seed)
            held = max(1, len(curves) // 15)
            train, val = stretches(curves[held:], self.recipe.task, stride=32), self.windows(curves[:held], stride=64)
            timer = dataclasses.replace(study.pretrain, network=self.timer().network)
            settings = seeded(self.settings(timer, second=False), seed)
            network, _ = kind.fit(train, val, settings, Run(self.folder / f"pretrain-seed{seed}"))
            save_teacher(network, file, {"training": "synthetic curves only"})
        return file

    def train(self, part: Part, split: Split[ForecastWindows], seed: int, run: Run) -> Trained:
        start = str(self.pretrained(seed)) if self.recipe.study.synthetic_cells else ""
        if part.beside:
            return load_teacher(start), None
        settings = self.settings(dataclasses.replace(self.timer(), start=start))
        return teacher_class(self.recipe.teacher_name).fit(split.train, split.val, seeded(settings, seed), run)

    def score(self, teacher: Teacher, split: Split[ForecastWindows], seed: int) -> Scored:
        return scored(split.test, teacher.predict(split.test)["trajectory"])

    def baselines(self, part: Part, split: Split[ForecastWindows]) -> tuple[dict[str, Scored], list[str]]:
        seen = self.windows(self.folds[part.name].train, stride=4 * self.recipe.task.stride)
        found, missing = forecast_baselines(self.recipe.task.horizon, seen)
        test = split.test
        return {name: scored(test, found[name].predict(test)["trajectory"]) for name in sorted(found)}, missing

    def provenance(self, part: Part, split: Split[ForecastWindows]) -> Json:
        origin, fold = {"task": self.recipe.of_task.described(self.recipe.task)}, self.folds[part.name]
        if part.beside:
            return {"training": "synthetic curves only", "made_up": True, **origin}
        seen = pack_cells(history.key for history in [*fold.train, *fold.val])
        return {"datasets": sorted({history.key[0] for history in fold.train}), "seen": seen, **origin}

    def table(self, results: list[Result]) -> str:
        """Markdown: MAE per dataset, mean +- standard deviation over seeds, beside the baselines; and what it is of the best
        of persistence and two lines, without and with the line through 24 cycles. The network that is not tuned has columns
        of its own."""
        folds = [result for result in results if not result.part.beside]
        errors = {"teacher": mae_by_dataset(folds)}
        names = sorted(errors["teacher"])
        if len(folds) < len(results):
            errors[UNTUNED] = mae_by_dataset([result for result in results if result.part.beside])
        first = {name: next(r for r in folds if name in r.baselines[LINES[0]].scores) for name in names}
        heads = list(folds[0].baselines)
        beside = {b: {name: first[name].baselines[b].scores[name]["mae_pct"] for name in names} for b in heads}
        cells = {name: first[name].baselines[LINES[0]].scores[name]["cells"] for name in names}
        rows = {name: [name, f"{cells[name]:.0f}", *(f"{beside[b][name]:.3f}" for b in beside)] for name in names}
        means = ["mean", "", *("" for _ in beside)]
        for who, own in errors.items():
            mean = {name: float(np.mean(own[name])) for name in names}
            ratio, ratio24 = (relative_error(mean, {b: beside[b] for b in lines}) for lines in (LINES, LINES24))
            heads += [who, f"{who} of best line", "incl. line24"]
            for name in names:
                spread = f"{mean[name]:.3f} ± {np.std(own[name]):.3f}"
                rows[name] += [spread, f"{ratio[name]:.2f}", f"{ratio24[name]:.2f}"]
            means += ["", f"{ratio['mean']:.2f}", f"{ratio24['mean']:.2f}"]
        return markdown(["left out", "cells", *heads], [*rows.values(), means])


class LeaveOneOutUniversal(LeaveOneOut):
    """The same with the second task, on the charge descriptors that the corpus has."""

    def timer(self) -> TimerSettings:
        settings: TimerSettings = self.recipe.teacher.timer
        return settings

    def settings(self, timer: TimerSettings, second: bool = True) -> Any:
        contrast = self.recipe.teacher.contrast if second else None
        return dataclasses.replace(self.recipe.teacher, timer=timer, contrast=contrast, corpus=str(self.corpus))


LEFT_OUT = Kind(ForecastSection, (LeaveOneOut,))
LEFT_OUT_UNIVERSAL = Kind(ForecastSection, (LeaveOneOutUniversal,))


def scored(windows: ForecastWindows, capacity: FloatArray) -> Scored:
    """Errors per dataset and per cell, each in percent of nominal."""
    found = score_forecasts(windows, capacity)
    return Scored(found["datasets"], [{"cell": row.pop("cell_id"), **row} for row in found["cells"]])


def mae_by_dataset(results: Sequence[Result]) -> dict[str, list[float]]:
    """Dataset -> MAE in percent of nominal of every record that scores it."""
    found: dict[str, list[float]] = {}
    for scored in (scored for result in results for scored in result.seeds.values()):
        for name, scores in scored.scores.items():
            found.setdefault(name, []).append(scores["mae_pct"])
    return found
