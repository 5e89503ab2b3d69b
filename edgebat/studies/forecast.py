"""A forecaster's study: train on all datasets but one, score on that one, for each; then train on everything.

    edgebat run forecast-battery-timer --corpus PATH [--only NAME ...]

Folds are independent: several processes may each do some, once ``--only all`` has made the networks that all start from.
What is done is kept and not done again, and an interrupted training resumes. ``--only all`` trains the teacher that is
given away.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edgebat.baselines.forecast import forecast_baselines
from edgebat.cells import CapacityHistory, pack_cells
from edgebat.data.corpus import read_corpus
from edgebat.errors import RecipeError, require
from edgebat.files import atomic_write
from edgebat.runs.recipe import read_document
from edgebat.studies.parts import chosen
from edgebat.tasks.forecast.descriptors import window_descriptors
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import LINES, LINES24, relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastSpec, capacity_histories, forecast_windows
from edgebat.teachers.battery_timer.draws import stretches
from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.battery_timer.settings import TimerSettings
from edgebat.teachers.battery_timer.train import train_forecaster
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class
from edgebat.teachers.universal.network import UniversalForecaster
from edgebat.teachers.universal.settings import ContrastSettings, UniversalSettings
from edgebat.teachers.universal.train import left_out_folds, read_descriptors, train_universal
from edgebat.training.run import FitResult, Run

EVERYTHING = "all"


@checked(frozen=True, config={"extra": "forbid"})
class ForecastStudy:
    """A ``forecast-*.yaml`` recipe.

    network: keyword arguments of the teacher's class. pretrain: training on ``synthetic_cells`` made-up curves before
    any real one (0: none). replay: so many of those curves stay among the real cells, drawn like one more dataset.
    leave_out: a dataset or chemistry at a time is scored by a network trained on the others; ``rest`` trains on one
    dataset alone and scores all others. sources: datasets to train on, all but the one left out unless named.
    """

    name: str
    teacher: Literal["battery_timer", "universal"]
    title: str = ""
    task: ForecastSpec = field(default_factory=ForecastSpec)
    quality: tuple[str, ...] = ("A", "A-", "B")
    leave_out: Literal["dataset", "chemistry", "rest"] = "dataset"
    sources: tuple[str, ...] = ()
    val_cells: float = 0.12
    seeds: tuple[int, ...] = (1,)
    network: dict[str, Any] = field(default_factory=dict)
    synthetic_cells: int = 3000
    replay: int = 0
    pretrain: TimerSettings = field(default_factory=TimerSettings)
    train: TimerSettings = field(default_factory=TimerSettings)
    contrast: ContrastSettings | None = None


@dataclass(frozen=True)
class Fold:
    """What one training needs: real cells to train on, to stop on, and to score on (not seen in training)."""

    name: str
    train: list[CapacityHistory]
    val: list[CapacityHistory]
    test: list[CapacityHistory]


def check_study(document: dict[str, Any], where: str = "recipe") -> ForecastStudy:
    """A checked study from plain data. Raises RecipeError."""
    try:
        return TypeAdapter(ForecastStudy).validate_python(document)
    except ValidationError as error:
        raise RecipeError(f"{where} is not a forecast study: {error}") from None


def load_study(recipe: str | Path, overrides: Sequence[str] = ()) -> ForecastStudy:
    """A study from a file or the name of a shipped recipe, after ``a.b=c`` overrides. Raises RecipeError."""
    path, document = read_document(recipe, overrides)
    return check_study(document, str(path))


def study_folds(study: ForecastStudy, histories: Sequence[CapacityHistory]) -> list[Fold]:
    """One fold per dataset (or chemistry) left out, and the fold ``all`` that leaves out nothing and scores nothing."""
    everything = list(range(len(histories)))
    folds = []
    if study.leave_out == "rest":
        parts = [(name, outside, inside) for name, inside, outside in left_out_folds(histories, "dataset")]
    else:
        parts = [*left_out_folds(histories, study.leave_out), (EVERYTHING, everything, [])]
    for name, inside, outside in parts:
        used = [i for i in inside if not study.sources or histories[i].key[0] in study.sources]
        # Validation cells are drawn from the cell's own place, alike in every fold.
        held = np.random.default_rng(0).random(len(histories)) < study.val_cells
        train, val = [histories[i] for i in used if not held[i]], [histories[i] for i in used if held[i]]
        if not val:
            train, val = train[:-1], train[-1:]
        folds.append(Fold(name, train, val, [histories[i] for i in outside]))
    return folds


def pretrained(study: ForecastStudy, folder: Path, seed: int) -> BatteryTimer:
    """The network after training on made-up curves, from ``folder`` when it is there already."""
    file = folder / f"pretrained-seed{seed}.safetensors"
    if file.exists():
        network = load_teacher(file)
        assert isinstance(network, BatteryTimer)
        return network
    torch.manual_seed(seed)
    made: Any = teacher_class(study.teacher)(**study.network)
    if study.synthetic_cells:
        curves = fade_curves(study.synthetic_cells, seed)
        held = max(1, len(curves) // 15)
        train = stretches(curves[held:], study.task, stride=32)
        val = forecast_windows(curves[:held], dataclasses.replace(study.task, stride=64))
        settings = dataclasses.replace(study.pretrain, fit=dataclasses.replace(study.pretrain.fit, seed=seed))
        train_forecaster(made, train, val, settings, Run(folder / f"pretrain-seed{seed}"))
    save_teacher(made, file, {"training": "synthetic curves only"})
    return pretrained(study, folder, seed)


def untuned_scores(study: ForecastStudy, folds: Sequence[Fold], folder: Path, seed: int) -> dict[str, float]:
    """MAE per dataset of the network that has seen made-up curves alone, on every fold's left-out cells. It is stored in
    float16 as ``untuned-seed<seed>.safetensors``, a teacher to give away, its errors beside it as JSON."""
    file = folder / f"untuned-seed{seed}.safetensors"
    record = file.with_suffix(".json")
    if not record.exists():
        origin = {"forecast_task": study.task.to_dict(), "seed": seed, "study": study.name}
        save_teacher(pretrained(study, folder, seed).half(), file, {"training": "synthetic curves only", **origin})
        network: Any = load_teacher(file)
        found: dict[str, float] = {}
        for windows in (forecast_windows(fold.test, study.task) for fold in folds):
            if len(windows):
                found |= mae(score_forecasts(windows, network.predict(windows)["trajectory"]))
        atomic_write(record, json.dumps(found, indent=1, sort_keys=True) + "\n")
    errors: dict[str, float] = json.loads(record.read_text(encoding="utf-8"))
    return errors


def train_fold(
    study: ForecastStudy, fold: Fold, corpus: Path, folder: Path, seed: int
) -> tuple[BatteryTimer, FitResult]:
    """The teacher trained on the fold's cells, and how that went."""
    network = pretrained(study, folder, seed)
    settings = dataclasses.replace(study.train, fit=dataclasses.replace(study.train.fit, seed=seed))
    train, val = stretches(fold.train, study.task), forecast_windows(fold.val, study.task)
    if study.replay:
        # Made-up cells are many, so that few windows of each are enough.
        train = train.join(stretches(fade_curves(study.replay, seed + 1000), study.task, stride=32))
    run = Run(folder / f"{fold.name}-seed{seed}")
    if isinstance(network, UniversalForecaster):
        descriptors = window_descriptors(train, read_descriptors(corpus, fold.train))
        both = UniversalSettings(settings, study.contrast)
        return train_universal(network, train, descriptors, val, both, run)
    return train_forecaster(network, train, val, settings, run)


def baseline_errors(study: ForecastStudy, fold: Fold) -> dict[str, dict[str, float]]:
    """MAE per dataset of every baseline on the fold's left-out cells; those that learn do so on its training cells."""
    seen = forecast_windows(fold.train, dataclasses.replace(study.task, stride=4 * study.task.stride))
    horizon, windows = study.task.horizon, forecast_windows(fold.test, study.task)
    baselines, missing = forecast_baselines(horizon, seen)
    for note in missing:
        print(note, flush=True)
    return {name: mae(score_forecasts(windows, b.predict(windows)["trajectory"])) for name, b in baselines.items()}


def kept_baselines(study: ForecastStudy, fold: Fold, folder: Path) -> dict[str, dict[str, float]]:
    """``baseline_errors``, from ``<fold>-baselines.json`` when they are there: they do not depend on the seed."""
    record = folder / f"{fold.name}-baselines.json"
    if not record.exists():
        atomic_write(record, json.dumps(baseline_errors(study, fold), indent=1, sort_keys=True) + "\n")
    errors: dict[str, dict[str, float]] = json.loads(record.read_text(encoding="utf-8"))
    return errors


def mae(scores: dict[str, Any]) -> dict[str, float]:
    """Dataset -> MAE, percent of nominal."""
    return {name: float(values["mae_pct"]) for name, values in scores["datasets"].items()}


def run_fold(study: ForecastStudy, fold: Fold, corpus: Path, folder: Path, seed: int) -> dict[str, Any] | None:
    """Train (unless done) and score one fold; its record is written to ``<fold>-seed<seed>.json``.

    None when the left-out cells give no window to score, or the others none to train or stop on.
    """
    record = folder / f"{fold.name}-seed{seed}.json"
    if record.exists():
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return done
    windows = forecast_windows(fold.test, study.task)
    if fold.test and not len(windows):
        return None
    if not all(len(forecast_windows(cells, study.task)) for cells in (fold.train, fold.val)):
        return None
    start = time.perf_counter()
    network, fitted = train_fold(study, fold, corpus, folder, seed)
    result: dict[str, Any] = {
        "fold": fold.name,
        "seed": seed,
        "train_cells": len(fold.train),
        "seconds": round(time.perf_counter() - start, 1),
        "windows_per_second": round(fitted.windows_per_second),
        "gpu_peak_mb": fitted.gpu_peak_bytes // 2**20,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    provenance = {
        "datasets": sorted({h.key[0] for h in fold.train}),
        "seed": seed,
        "study": study.name,
        "seen": pack_cells(h.key for h in [*fold.train, *fold.val]),
        "forecast_task": study.task.to_dict(),
    }
    # Two bytes per weight are enough: the forecasts change by less than a thousandth of a percent.
    save_teacher(network.half(), folder / f"{fold.name}-seed{seed}.safetensors", provenance)
    network.float()
    if fold.test:
        scores = score_forecasts(windows, network.predict(windows)["trajectory"])
        result |= {"scores": scores, "baselines": kept_baselines(study, fold, folder)}
        result["relative"] = relative_error(mae(scores), {k: v for k, v in result["baselines"].items() if k in LINES})
    atomic_write(record, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def table(results: Sequence[dict[str, Any]], untuned: Sequence[Mapping[str, float]] = ()) -> str:
    """Markdown: MAE per dataset, mean +- standard deviation over seeds, beside the baselines; and what it is of the best
    of persistence and two lines, without and with the line through 24 cycles.

    untuned: one ``untuned_scores`` a seed, for columns of their own.
    """
    names = sorted({name for result in results for name in result["scores"]["datasets"]})
    baselines = list(results[0]["baselines"])
    own = {name: [r for r in results if name in r["scores"]["datasets"]] for name in names}
    beside = {b: {name: float(own[name][0]["baselines"][b][name]) for name in names} for b in baselines}
    said = {"teacher": {name: [r["scores"]["datasets"][name]["mae_pct"] for r in own[name]] for name in names}}
    if untuned:
        said["untuned"] = {name: [errors[name] for errors in untuned] for name in names}
    heads = list(baselines)
    cells = {name: [f"{beside[b][name]:.3f}" for b in baselines] for name in names}
    means: list[str] = []
    for who, errors in said.items():
        mean = {name: float(np.mean(errors[name])) for name in names}
        ratio, ratio24 = (relative_error(mean, {b: beside[b] for b in lines}) for lines in (LINES, LINES24))
        heads += [who, f"{who} of best line", "incl. line24"]
        for name in names:
            spread = f"{mean[name]:.3f} ± {np.std(errors[name]):.3f}"
            cells[name] += [spread, f"{ratio[name]:.2f}", f"{ratio24[name]:.2f}"]
        means += ["", f"{ratio['mean']:.2f}", f"{ratio24['mean']:.2f}"]
    lines = [f"| left out | cells | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for name in names:
        lines.append(f"| {name} | {own[name][0]['scores']['datasets'][name]['cells']} | {' | '.join(cells[name])} |")
    lines.append(f"| mean | |{' |' * len(baselines)} {' | '.join(means)} |")
    return "\n".join(lines) + "\n"


def cells_csv(results: Sequence[dict[str, Any]]) -> str:
    """One line per left-out cell: its windows, and its MAE in percent of nominal with each seed."""
    errors: dict[tuple[str, str, int], dict[int, float]] = {}
    for result in results:
        for row in result["scores"]["cells"]:
            key = (row["dataset"], row["cell_id"], row["windows"])
            errors.setdefault(key, {})[result["seed"]] = row["mae_pct"]
    seeds = sorted({result["seed"] for result in results})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "cell", "windows", *(f"mae_pct_seed{seed}" for seed in seeds)])
    for key, own in sorted(errors.items()):
        writer.writerow([*key, *(f"{own[seed]:.4f}" if seed in own else "" for seed in seeds)])
    return text.getvalue()


def run_study(study: ForecastStudy, corpus: Path, folder: Path, only: Sequence[str] = ()) -> None:
    """The whole study, or ``only`` some of its folds; records, checkpoints, ``table.md`` and ``cells.csv`` go to ``folder``.
    Raises RecipeError for a fold the study has not, MissingExtra when LoRA is asked for without PEFT."""
    if study.train.lora or study.pretrain.lora:
        require("peft", extra="lora")  # now, not after minutes of pre-training
    fleet = read_corpus(corpus).select(quality=study.quality)
    folds = study_folds(study, capacity_histories(fleet, study.task.label_kinds))
    every, folds = folds, chosen(only, {fold.name: fold for fold in folds})
    results, untuned = [], []
    for seed in study.seeds:
        pretrained(study, folder, seed)
        # With one dataset to learn from, each is left out many times.
        if study.synthetic_cells and study.leave_out != "rest":
            untuned.append(untuned_scores(study, every, folder, seed))
        for fold in folds:
            result = run_fold(study, fold, corpus, folder, seed)
            if result is not None and "scores" in result:
                results.append(result)
                print(f"{fold.name} seed {seed}: {result['relative']}", flush=True)
    if results:
        print(table(results, untuned))
    if results and not only:
        atomic_write(folder / "table.md", table(results, untuned))
        if study.leave_out != "rest":
            atomic_write(folder / "cells.csv", cells_csv(results))
