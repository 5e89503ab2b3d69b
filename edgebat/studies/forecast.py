"""Forecasters: train on all datasets but one, score on that one, for each; then train on everything.

    edgebat run forecast-battery-timer --corpus PATH [--only NAME ...]

Several processes may each do some folds, once ``--only all`` has made the networks that all start from; it trains the
teacher that is given away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from edgebat.baselines.forecast import forecast_baselines
from edgebat.cells import CapacityHistory, pack_cells
from edgebat.data.corpus import read_corpus
from edgebat.errors import require
from edgebat.studies.runner import Fitted, Kind, Part, Result, Scored, Split, TeacherExperiment
from edgebat.studies.tables import markdown
from edgebat.tasks.forecast.descriptors import window_descriptors
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import LINES, LINES24, relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, capacity_histories, forecast_windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.battery_timer.draws import stretches
from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.battery_timer.train import TimerSettings, train_forecaster
from edgebat.teachers.store import TEACHERS, load_teacher, save_teacher
from edgebat.teachers.universal.network import ContrastSettings, UniversalForecaster
from edgebat.teachers.universal.train import UniversalSettings, left_out_folds, read_descriptors, train_universal
from edgebat.training.fit import FitResult
from edgebat.training.run import Run

EVERYTHING, UNTUNED = "all", "untuned"
"""The fold that leaves out nothing, and the network that has seen made-up curves alone."""

Histories = list[CapacityHistory]


@dataclass(frozen=True)
class TimerTraining:
    """How a study trains Battery-Timer."""

    network: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the teacher's class."""
    synthetic_cells: int = 3000
    """So many made-up curves are learnt from before any real one; 0: none."""
    pretrain: TimerSettings = field(default_factory=TimerSettings)
    """The training on made-up curves."""
    replay: int = 0
    """So many of those curves stay among the real cells, drawn like one more dataset."""
    train: TimerSettings = field(default_factory=TimerSettings)
    """The training on real cells."""


@dataclass(frozen=True)
class UniversalTraining(TimerTraining):
    """How a study trains the universal forecaster."""

    contrast: ContrastSettings | None = None
    """The second task; None leaves it out."""


@dataclass(frozen=True)
class ForecastSection:
    """``study:`` of a ``forecast-*.yaml`` recipe."""

    seeds: tuple[int, ...] = (1,)
    quality: tuple[str, ...] = ("A", "A-", "B")
    """Of the cells that are used."""
    leave_out: Literal["dataset", "chemistry", "rest"] = "dataset"
    """A dataset or chemistry at a time is scored by a network trained on the others; ``rest`` trains on one dataset alone
    and scores all others."""
    sources: tuple[str, ...] = ()
    """Datasets to train on, all but the one left out unless named."""
    val_cells: float = 0.12
    """Fraction of the training cells that stop the training instead."""


class LeaveOneOut(TeacherExperiment[ForecastSpec, TimerTraining, ForecastSection, Histories]):
    """One fold per dataset or chemistry, the fold ``all``, and before them the network that is not tuned to any of them."""

    about_cell, cell_metrics = ("windows",), ("mae_pct",)

    @cached_property
    def histories(self) -> Histories:
        """Every cell of the corpus that is good enough."""
        fleet = read_corpus(self.corpus).select(quality=self.recipe.study.quality)
        return capacity_histories(fleet, self.recipe.task.label_kinds)

    @cached_property
    def folds(self) -> dict[str, Split[Histories]]:
        """Name -> cells; ``all`` has none to score, ``untuned`` none to learn from."""
        study, everything = self.recipe.study, list(range(len(self.histories)))
        if study.leave_out == "rest":
            parts = [(name, outside, inside) for name, inside, outside in left_out_folds(self.histories, "dataset")]
        else:
            parts = [*left_out_folds(self.histories, study.leave_out), (EVERYTHING, everything, [])]
        # Validation cells are drawn from the cell's own place, alike in every fold.
        held = np.random.default_rng(0).random(len(self.histories)) < study.val_cells
        folds = {}
        # With one dataset to learn from, each is left out many times.
        if self.recipe.teacher.synthetic_cells and study.leave_out != "rest":
            folds[UNTUNED] = Split[Histories]([], [], self.histories)
        for name, inside, outside in parts:
            used = [i for i in inside if not study.sources or self.histories[i].key[0] in study.sources]
            train, val = ([self.histories[i] for i in used if held[i] == stops] for stops in (False, True))
            if not val:
                train, val = train[:-1], train[-1:]
            folds[name] = Split(train, val, [self.histories[i] for i in outside])
        return folds

    def parts(self) -> list[Part]:
        seeds = self.recipe.study.seeds
        return [Part(name, seeds, beside=name == UNTUNED) for name in self.folds]

    def begin(self, only: Sequence[str]) -> None:
        if self.recipe.teacher.train.lora or self.recipe.teacher.pretrain.lora:
            require("peft", extra="lora")  # now, not after minutes of pre-training

    def windows(self, histories: Histories, **changes: Any) -> ForecastWindows:
        """Their windows, of the recipe's task with ``changes``."""
        return forecast_windows(histories, dataclasses.replace(self.recipe.task, **changes))

    def split(self, part: Part, seed: int) -> Split[Histories] | None:
        fold = self.folds[part.name]
        needed = [
            fold.test if part.name != EVERYTHING else fold.train,
            *([] if part.beside else [fold.train, fold.val]),
        ]
        if all(len(self.windows(cells)) for cells in needed):
            return fold
        print(f"{part.name} left out: there is no window to learn from, to stop on, or to score", flush=True)
        return None

    def pretrained(self, seed: int) -> BatteryTimer:
        """The network after training on made-up curves, from the study's folder when it is there already."""
        file = self.folder / f"pretrained-seed{seed}.safetensors"
        teacher, task = self.recipe.teacher, self.recipe.task
        if not file.exists():
            torch.manual_seed(seed)
            made: Any = TEACHERS[self.recipe.teacher_name](**teacher.network)
            if teacher.synthetic_cells:
                curves = fade_curves(teacher.synthetic_cells, seed)
                held = max(1, len(curves) // 15)
                train, val = stretches(curves[held:], task, stride=32), self.windows(curves[:held], stride=64)
                run = Run(self.folder / f"pretrain-seed{seed}")
                train_forecaster(made, train, val, seeded(teacher.pretrain, seed), run)
            save_teacher(made, file, {"training": "synthetic curves only"})
        network = load_teacher(file)
        assert isinstance(network, BatteryTimer)
        return network

    def train(self, part: Part, split: Split[Histories], seed: int, run: Run) -> tuple[Teacher, Fitted | None]:
        network, teacher, task = self.pretrained(seed), self.recipe.teacher, self.recipe.task
        if part.name == UNTUNED:
            return network, None
        train, val = stretches(split.train, task), self.windows(split.val)
        if teacher.replay:
            # Made-up cells are many, so that few windows of each are enough.
            train = train.join(stretches(fade_curves(teacher.replay, seed + 1000), task, stride=32))
        fitted = self.tune(network, train, val, split, seeded(teacher.train, seed), run)
        return network, Fitted(fitted.best_loss, fitted.windows_per_second, fitted.gpu_peak_bytes)

    def tune(
        self, network: BatteryTimer, train: ForecastWindows, val: ForecastWindows, split: Split[Histories],
        settings: TimerSettings, run: Run,
    ) -> FitResult:  # fmt: skip
        """Train ``network`` on real cells, in place."""
        return train_forecaster(network, train, val, settings, run)[1]

    def score(self, teacher: Teacher, split: Split[Histories], seed: int) -> Scored:
        windows = self.windows(split.test)
        return scored(windows, teacher.predict(windows)["capacity"])

    def baselines(self, part: Part, split: Split[Histories]) -> tuple[dict[str, Scored], list[str]]:
        seen, windows = self.windows(split.train, stride=4 * self.recipe.task.stride), self.windows(split.test)
        found, missing = forecast_baselines(self.recipe.task.horizon, seen)
        return {name: scored(windows, found[name].predict(windows)["capacity"]) for name in sorted(found)}, missing

    def provenance(self, part: Part, split: Split[Histories]) -> dict[str, Any]:
        task = {"forecast_task": self.recipe.task.to_dict()}
        if part.name == UNTUNED:
            return {"training": "synthetic curves only", **task}
        seen = pack_cells(h.key for h in [*split.train, *split.val])
        return {"datasets": sorted({h.key[0] for h in split.train}), "seen": seen, **task}

    def table(self, results: list[Result]) -> str:
        return table(results)


class LeaveOneOutUniversal(LeaveOneOut):
    """The same with the second task, on the charge descriptors that the corpus has."""

    def tune(
        self, network: BatteryTimer, train: ForecastWindows, val: ForecastWindows, split: Split[Histories],
        settings: TimerSettings, run: Run,
    ) -> FitResult:  # fmt: skip
        descriptors = window_descriptors(train, read_descriptors(self.corpus, split.train))
        teacher = self.recipe.teacher
        assert isinstance(network, UniversalForecaster)
        assert isinstance(teacher, UniversalTraining)
        both = UniversalSettings(settings, teacher.contrast)
        return train_universal(network, train, descriptors, val, both, run)[1]


KINDS = {
    "battery_timer": Kind(ForecastSpec, TimerTraining, ForecastSection, (LeaveOneOut,)),
    "universal": Kind(ForecastSpec, UniversalTraining, ForecastSection, (LeaveOneOutUniversal,)),
}


def seeded(settings: TimerSettings, seed: int) -> TimerSettings:
    """The settings with the study's seed."""
    return dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, seed=seed))


def scored(windows: ForecastWindows, capacity: Any) -> Scored:
    """Errors per dataset and per cell, each in percent of nominal."""
    found = score_forecasts(windows, capacity)
    return Scored(found["datasets"], [{"cell": row.pop("cell_id"), **row} for row in found["cells"]])


def table(results: Sequence[Result]) -> str:
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


def mae_by_dataset(results: Sequence[Result]) -> dict[str, list[float]]:
    """Dataset -> MAE in percent of nominal of every record that scores it."""
    found: dict[str, list[float]] = {}
    for scored in (scored for result in results for scored in result.seeds.values()):
        for name, scores in scored.scores.items():
            found.setdefault(name, []).append(scores["mae_pct"])
    return found
