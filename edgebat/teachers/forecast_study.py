"""A forecaster's study: train on all datasets but one, score on that one, for each; then train on everything.

    python -m edgebat.teachers.forecast_study forecast-battery-timer --corpus PATH --out FOLDER [--fold NAME ...]

Folds are independent: several processes may each do some, once ``--fold`` without a name has made the network that all
of them start from. What is done is kept and not done again, and an interrupted training resumes. ``--fold all`` trains
the teacher that is given away.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edgebat.data.corpus import read_corpus
from edgebat.errors import RecipeError
from edgebat.features.descriptors import window_descriptors
from edgebat.features.fade import fade_curves
from edgebat.features.forecast import CapacityHistory, ForecastSpec, capacity_histories, forecast_windows
from edgebat.files import atomic_write
from edgebat.paths import recipes_dir
from edgebat.teachers.battery_timer import BatteryTimer
from edgebat.teachers.battery_timer_train import TimerSettings, train_forecaster
from edgebat.teachers.forecast_baselines import MeanCurve, NearestCurve, Persistence, StraightLine
from edgebat.teachers.forecast_data import stretches
from edgebat.teachers.forecast_score import relative_error, score_forecasts
from edgebat.teachers.store import TEACHERS, load_teacher, save_teacher
from edgebat.teachers.universal import ContrastSettings, UniversalForecaster
from edgebat.teachers.universal_train import UniversalSettings, left_out_folds, read_descriptors, train_universal

EVERYTHING = "all"


@checked(frozen=True, config={"extra": "forbid"})
class ForecastStudy:
    """A ``forecast-*.yaml`` recipe.

    network: keyword arguments of the teacher's class. pretrain: training on ``synthetic_cells`` made-up curves before
    any real one (0: none). sources: datasets to train on, all but the one left out unless named.
    """

    name: str
    teacher: Literal["battery_timer", "universal"]
    title: str = ""
    task: ForecastSpec = field(default_factory=ForecastSpec)
    quality: tuple[str, ...] = ("A", "A-", "B")
    leave_out: Literal["dataset", "chemistry"] = "dataset"
    sources: tuple[str, ...] = ()
    val_cells: float = 0.12
    seeds: tuple[int, ...] = (1,)
    network: dict[str, Any] = field(default_factory=dict)
    synthetic_cells: int = 3000
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


def load_study(recipe: str | Path) -> ForecastStudy:
    """A study from a file or the name of a shipped recipe. Raises RecipeError."""
    import yaml

    path = Path(recipe)
    path = path if path.is_file() else recipes_dir() / f"{path.name.removesuffix('.yaml')}.yaml"
    try:
        return TypeAdapter(ForecastStudy).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError:
        shipped = ", ".join(sorted(p.stem for p in recipes_dir().glob("forecast-*.yaml")))
        raise RecipeError(f"there is no recipe {str(recipe)!r}; give a file or one of: {shipped}") from None
    except (yaml.YAMLError, ValidationError) as error:
        raise RecipeError(f"{path} is not a forecast study: {error}") from None


def study_folds(study: ForecastStudy, histories: Sequence[CapacityHistory]) -> list[Fold]:
    """One fold per dataset (or chemistry) left out, and the fold ``all`` that leaves out nothing and scores nothing."""
    everything = list(range(len(histories)))
    folds = []
    for name, inside, outside in [*left_out_folds(histories, study.leave_out), (EVERYTHING, everything, [])]:
        used = [i for i in inside if not study.sources or histories[i].key[0] in study.sources]
        # Validation cells are drawn from the seed and the cell's own place, alike in every fold.
        held = np.random.default_rng(0).random(len(histories)) < study.val_cells
        folds.append(
            Fold(
                name,
                [histories[i] for i in used if not held[i]],
                [histories[i] for i in used if held[i]],
                [histories[i] for i in outside],
            )
        )
    return folds


def pretrained(study: ForecastStudy, folder: Path, seed: int) -> BatteryTimer:
    """The network after training on made-up curves, from ``folder`` when it is there already."""
    file = folder / f"pretrained-seed{seed}.safetensors"
    if file.exists():
        network = load_teacher(file)
        assert isinstance(network, BatteryTimer)
        return network
    torch.manual_seed(seed)
    made: Any = TEACHERS[study.teacher](**study.network)
    if study.synthetic_cells:
        curves = fade_curves(study.synthetic_cells, seed)
        held = max(1, len(curves) // 15)
        train = stretches(curves[held:], study.task, stride=32)
        val = forecast_windows(curves[:held], dataclasses.replace(study.task, stride=64))
        settings = dataclasses.replace(study.pretrain, fit=dataclasses.replace(study.pretrain.fit, seed=seed))
        train_forecaster(made, train, val, settings, folder / f"pretrain-seed{seed}", resume=True)
    save_teacher(made, file, {"training": "synthetic curves only"})
    return pretrained(study, folder, seed)


def train_fold(study: ForecastStudy, fold: Fold, corpus: Path, folder: Path, seed: int) -> BatteryTimer:
    """The teacher trained on the fold's cells."""
    network = pretrained(study, folder, seed)
    settings = dataclasses.replace(study.train, fit=dataclasses.replace(study.train.fit, seed=seed))
    train, val = stretches(fold.train, study.task), forecast_windows(fold.val, study.task)
    place = folder / f"{fold.name}-seed{seed}"
    if isinstance(network, UniversalForecaster):
        descriptors = window_descriptors(train, read_descriptors(corpus, fold.train))
        both = UniversalSettings(settings, study.contrast)
        return train_universal(network, train, descriptors, val, both, place, resume=True)[0]
    return train_forecaster(network, train, val, settings, place, resume=True)[0]


def baseline_errors(study: ForecastStudy, fold: Fold) -> dict[str, dict[str, float]]:
    """MAE per dataset of every baseline on the fold's left-out cells; those that learn do so on its training cells."""
    seen = forecast_windows(fold.train, dataclasses.replace(study.task, stride=4 * study.task.stride))
    horizon, windows = study.task.horizon, forecast_windows(fold.test, study.task)
    baselines: dict[str, Any] = {
        "persistence": Persistence(horizon),
        "line24": StraightLine(24, horizon),
        "line48": StraightLine(48, horizon),
        "line_all": StraightLine(None, horizon),
        "mean_curve": MeanCurve(seen),
        "nearest_curve": NearestCurve(seen, limit=2000),
    }
    return {name: mae(score_forecasts(windows, b.predict(windows)["capacity"])) for name, b in baselines.items()}


def mae(scores: dict[str, Any]) -> dict[str, float]:
    """Dataset -> MAE, percent of nominal."""
    return {name: float(values["mae_pct"]) for name, values in scores["datasets"].items()}


def run_fold(study: ForecastStudy, fold: Fold, corpus: Path, folder: Path, seed: int) -> dict[str, Any] | None:
    """Train (unless done) and score one fold; its record is written to ``<fold>-seed<seed>.json``.

    None when the left-out cells give no window to score.
    """
    record = folder / f"{fold.name}-seed{seed}.json"
    if record.exists():
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return done
    windows = forecast_windows(fold.test, study.task)
    if fold.test and not len(windows):
        return None
    start = time.perf_counter()
    network = train_fold(study, fold, corpus, folder, seed)
    result: dict[str, Any] = {
        "fold": fold.name,
        "seed": seed,
        "train_cells": len(fold.train),
        "seconds": round(time.perf_counter() - start, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    provenance = {"datasets": sorted({h.key[0] for h in fold.train}), "seed": seed, "study": study.name}
    # Two bytes per weight are enough: the forecasts change by less than a thousandth of a percent.
    save_teacher(network.half(), folder / f"{fold.name}-seed{seed}.safetensors", provenance)
    network.float()
    if fold.test:
        scores = score_forecasts(windows, network.predict(windows)["capacity"])
        result |= {"scores": scores, "baselines": baseline_errors(study, fold)}
        result["relative"] = relative_error(mae(scores), {k: v for k, v in result["baselines"].items() if k in LINES})
    atomic_write(record, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


LINES = ("persistence", "line48", "line_all")
"""What a forecaster is held against first; ``line24`` is stronger on smooth cells and stands beside it."""


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: MAE per dataset, mean +- standard deviation over seeds, beside the baselines."""
    names = sorted({name for result in results for name in result["scores"]["datasets"]})
    baselines = list(results[0]["baselines"])
    lines = [
        "| left out | cells | " + " | ".join(baselines) + " | teacher | of best line |",
        "|---" * (len(baselines) + 4) + "|",
    ]
    ratios = []
    for name in names:
        own = [result for result in results if name in result["scores"]["datasets"]]
        errors = [result["scores"]["datasets"][name]["mae_pct"] for result in own]
        ratio = float(np.mean([result["relative"][name] for result in own]))
        ratios.append(ratio)
        said = [f"{own[0]['baselines'][baseline][name]:.3f}" for baseline in baselines]
        lines.append(f"| {name} | {own[0]['scores']['datasets'][name]['cells']} | " + " | ".join(said)
                     + f" | {np.mean(errors):.3f} ± {np.std(errors):.3f} | {ratio:.2f} |")  # fmt: skip
    lines.append("| mean | |" + " |" * len(baselines) + f" | {np.mean(ratios):.2f} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m edgebat.teachers.forecast_study", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", nargs="*", help="only these")
    given = parser.parse_args(arguments)
    study = load_study(given.recipe)
    fleet = read_corpus(given.corpus).select(quality=study.quality)
    folds = study_folds(study, capacity_histories(fleet, study.task.label_kinds))
    results = []
    for seed in study.seeds:
        pretrained(study, given.out, seed)
        for fold in folds:
            if given.fold is not None and fold.name not in given.fold:
                continue
            result = run_fold(study, fold, given.corpus, given.out, seed)
            if result is not None and "scores" in result:
                results.append(result)
                print(f"{fold.name} seed {seed}: {result['relative']}", flush=True)
    if results:
        atomic_write(given.out / "table.md", table(results))
        print(table(results))


if __name__ == "__main__":
    main()
