"""IC2ML's study: the paper's conditions with its own split by cell, beside its released predictions.

    edgebat run health-ic2ml --corpus PATH [--only NAME ...]

Each variant (a window, a horizon, a share of the training cells, one condition alone) is trained once per seed and
scored on the test cells at hand of its conditions. What is done is kept; an interrupted training resumes.

The paper's "RMSE %" are ampere-hours times 100: its own MAPE fits no other reading. Errors are given in Ah, to be set
beside those of the released predictions, and in percentage points of nominal capacity.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from edgebat.baselines.health import health_baselines
from edgebat.cells import CellKey, pack_cells
from edgebat.data.corpus import read_corpus
from edgebat.errors import DataError, RecipeError
from edgebat.files import atomic_write
from edgebat.runs.recipe import read_document
from edgebat.studies.parts import chosen
from edgebat.tasks.health import HealthSpec, HealthWindows, health_windows
from edgebat.teachers.ic2ml.network import Ic2ml
from edgebat.teachers.ic2ml.release import released_rows, released_table, rms
from edgebat.teachers.ic2ml.settings import Ic2mlSettings
from edgebat.teachers.ic2ml.train import train_ic2ml
from edgebat.teachers.store import load_teacher, save_teacher
from edgebat.training.run import Run


@checked(frozen=True, config={"extra": "forbid"})
class Condition:
    """Cells of one condition by the paper's split: numbers after ``stem``-#. published: errors of the released
    predictions, for the table."""

    dataset: str
    stem: str
    train: tuple[int, ...]
    val: tuple[int, ...] = ()
    test: tuple[int, ...] = ()
    published: dict[str, float] = field(default_factory=dict)

    def keys(self, part: str) -> list[CellKey]:
        """The cells of ``train``, ``val`` or ``test``."""
        return [(self.dataset, f"{self.stem}-#{number}") for number in getattr(self, part)]


@checked(frozen=True, config={"extra": "forbid"})
class Variant:
    """What is changed against the study: pieces of the task, the conditions learnt from (all unless named), which share
    of their training cells, and whether their validation cells are learnt from too. Those must choose nothing then, so
    that the study has to keep the last weights and to train to the end."""

    task: dict[str, Any] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    share: float = 1.0
    learn_from_val: bool = False
    seeds: tuple[int, ...] = (1,)


@checked(frozen=True, config={"extra": "forbid"})
class ConditionStudy:
    """A recipe ``teacher: ic2ml``. released: a copy of the publication's repository, whose predictions are scored before
    anything is trained."""

    name: str
    teacher: Literal["ic2ml"]
    conditions: dict[str, Condition]
    variants: dict[str, Variant]
    title: str = ""
    task: HealthSpec = field(default_factory=HealthSpec)
    train: Ic2mlSettings = field(default_factory=Ic2mlSettings)
    released: str = ""


@dataclass(frozen=True)
class Parts:
    """Windows to learn from, to stop on, and to score on, of the cells at hand."""

    train: HealthWindows
    val: HealthWindows
    test: HealthWindows


def check_study(document: dict[str, Any], where: str = "recipe") -> ConditionStudy:
    """A checked study from plain data. Raises RecipeError."""
    try:
        return TypeAdapter(ConditionStudy).validate_python(document)
    except ValidationError as error:
        raise RecipeError(f"{where} is not a study of IC2ML: {error}") from None


def load_study(recipe: str | Path, overrides: Sequence[str] = ()) -> ConditionStudy:
    """A study from a file or the name of a shipped recipe, after ``a.b=c`` overrides. Raises RecipeError."""
    path, document = read_document(recipe, overrides)
    return check_study(document, str(path))


def variants_to_run(study: ConditionStudy, only: Sequence[str]) -> list[str]:
    """The names in ``only``, or all. A variant that would learn from the cells that choose its weights is passed over with
    a line; RecipeError when it was asked for."""
    names, fit = chosen(only, {name: name for name in study.variants}), study.train.fit
    if not fit.validation_decides:
        return names
    for name in [name for name in names if study.variants[name].learn_from_val]:
        reason = (f"variant {name!r} learns from its validation cells, which would also stop the training (keep: "
                  f"{fit.keep}, patience: {fit.patience} of {fit.epochs} epochs); train.fit.keep=last and "
                  f"train.fit.patience={fit.epochs} would allow it")  # fmt: skip
        if only:
            raise RecipeError(reason)
        print(f"left out: {reason}", flush=True)
        names.remove(name)
    return names


def study_parts(study: ConditionStudy, variant: Variant, corpus: str | Path, seed: int) -> Parts:
    """The variant's windows, of the conditions it learns from; cells the corpus lacks are passed over.

    Raises DataError when nothing is left to learn from.
    """
    spec = dataclasses.replace(study.task, **variant.task)
    windows = health_windows(read_corpus(corpus, {c.dataset for c in study.conditions.values()}), spec)
    there = set(windows.cells)
    learnt = variant.conditions or tuple(study.conditions)

    def cells(part: str, names: Sequence[str]) -> list[CellKey]:
        return sorted(key for name in names for key in study.conditions[name].keys(part) if key in there)

    train, val = cells("train", learnt), cells("val", learnt)
    if variant.share < 1.0:
        count = max(1, round(variant.share * len(train)))
        train = [train[i] for i in np.random.default_rng(seed).permutation(len(train))[:count]]
    if not train or not val:
        raise DataError(f"conditions {', '.join(learnt)}: {len(train)} training and {len(val)} validation cells have "
                        f"windows; at least 1 each is needed; left out: {windows.left_out}")  # fmt: skip
    return Parts(
        windows.select(cells=sorted({*train, *val}) if variant.learn_from_val else train),
        windows.select(cells=val),
        windows.select(cells=cells("test", learnt)),
    )


def errors(windows: HealthWindows, said: Mapping[str, Any]) -> dict[str, float]:
    """RMSE of SOH and trajectory in Ah and in percentage points of nominal, MAPE of the trajectory in percent, RMSE and
    MAE of RUL in cycles: ``rul`` before EOL only, ``rul_all`` with the windows at and past it as the paper counts."""
    scale = windows.reference_ah[windows.cell]
    soh = np.asarray(said["soh"], dtype=np.float64) - windows.soh
    ahead = np.asarray(said["trajectory"], dtype=np.float64) - windows.trajectory
    known = np.isfinite(ahead)
    ahead_ah = (ahead * scale[:, None])[known]
    known_rul = np.isfinite(windows.rul)
    rul = np.asarray(said["rul"], dtype=np.float64)[known_rul] - windows.rul[known_rul]
    before = windows.rul[known_rul] > 0
    found = {
        "windows": float(len(windows)),
        "cells": float(len(windows.cells)),
        "soh_rmse_ah": rms(soh * scale),
        "soh_rmse_pct": 100.0 * rms(soh),
        "trajectory_rmse_ah": rms(ahead_ah),
        "trajectory_rmse_pct": 100.0 * rms(ahead[known]),
        "trajectory_mape_pct": 100.0 * _mean(np.abs(ahead[known]) / windows.trajectory[known]),
        "rul_rmse": rms(rul[before]),
        "rul_all_rmse": rms(rul),
        "rul_all_mae": _mean(np.abs(rul)),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def run_variant(study: ConditionStudy, name: str, corpus: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Train (unless done) and score one variant; its record is written to ``<name>-seed<seed>.json``."""
    record = folder / f"{name}-seed{seed}.json"
    if record.exists():
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return done
    variant = study.variants[name]
    parts = study_parts(study, variant, corpus, seed)
    settings = dataclasses.replace(study.train, fit=dataclasses.replace(study.train.fit, seed=seed))
    start = time.perf_counter()
    network, fitted = train_ic2ml(parts.train, parts.val, settings, Run(folder / f"{name}-seed{seed}"))
    seconds = time.perf_counter() - start
    file = folder / f"{name}-seed{seed}.safetensors"
    provenance = {
        "study": study.name,
        "variant": name,
        "seed": seed,
        "task": parts.train.spec.to_dict(),
        "seen": pack_cells([*parts.train.cells, *parts.val.cells]),
    }
    save_teacher(network.half(), file, provenance)
    stored = load_teacher(file)
    assert isinstance(stored, Ic2ml)
    said = stored.predict(parts.test)
    result = {
        "variant": name,
        "seed": seed,
        "seconds": round(seconds, 1),
        "windows_per_second": round(fitted.windows_per_second),
        "gpu_peak_mb": fitted.gpu_peak_bytes // 2**20,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "train_cells": len(parts.train.cells),
        "train_windows": len(parts.train),
        **scored(study, parts.test, said),
        "cells": by_cell(parts.test, said),
    }
    atomic_write(record, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def scored(study: ConditionStudy, windows: HealthWindows, said: Mapping[str, Any]) -> dict[str, Any]:
    """``scores`` of all windows, and ``whole`` of those the release counts: whose whole horizon was measured."""
    whole = np.isfinite(windows.trajectory[:, -1])
    return {
        "scores": by_condition(study, windows, said),
        "whole": by_condition(study, windows.select(whole), {head: values[whole] for head, values in said.items()}),
    }


def kept_baselines(study: ConditionStudy, name: str, corpus: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """What each baseline reaches on a variant's windows, by name (see ``scored``), from ``<name>-baselines.json`` when it
    is there. They do not depend on the seed, except for the cells drawn by ``share``: those of the first one. Without
    scikit-learn some are missing; that is said, and nothing is kept."""
    record = folder / f"{name}-baselines.json"
    if record.exists():
        kept: dict[str, dict[str, Any]] = json.loads(record.read_text(encoding="utf-8"))
        return kept
    variant = study.variants[name]
    parts = study_parts(study, variant, corpus, variant.seeds[0])
    # Ridge would choose its penalty on cells it has learnt from.
    left_out = ("ridge",) if variant.learn_from_val else ()
    found, missing = health_baselines(parts.train, parts.val, parts.test, left_out)
    result = {baseline: scored(study, parts.test, said) for baseline, said in found.items()}
    if missing:
        print("\n".join(missing), flush=True)
    else:
        atomic_write(record, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def by_condition(study: ConditionStudy, windows: HealthWindows, said: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Condition -> ``errors`` on its test cells at hand."""
    found = {}
    for name, condition in study.conditions.items():
        own = set(condition.keys("test"))
        mask = np.array([key in own for key in windows.cells], dtype=np.bool_)[windows.cell]
        if mask.any():
            found[name] = errors(windows.select(mask), {head: values[mask] for head, values in said.items()})
    return found


def by_cell(windows: HealthWindows, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row of ``errors`` per cell."""
    rows = []
    for index, (dataset, cell) in enumerate(windows.cells):
        mask = windows.cell == index
        own = errors(windows.select(mask), {head: values[mask] for head, values in said.items()})
        rows.append({"dataset": dataset, "cell": cell, **own})
    return rows


COLUMNS = (
    "soh_rmse_ah",
    "soh_rmse_pct",
    "trajectory_rmse_ah",
    "trajectory_mape_pct",
    "rul_all_rmse",
    "rul_all_mae",
    "rul_rmse",
)


def table(
    study: ConditionStudy, results: Sequence[dict[str, Any]], baselines: Mapping[str, dict[str, Any]] | None = None
) -> str:
    """Markdown, one block of rows per condition: published, each variant (mean +- deviation over seeds), baselines.

    baselines: variant -> ``kept_baselines``; all are given for the variant that knows the condition alone (or the
    fewest), the nearest window for each of the others.
    """
    lines = ["| condition | by | windows | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 3) + "|"]
    for condition, entry in study.conditions.items():
        own = [r for r in results if condition in (study.variants[r["variant"]].conditions or r["scores"])]
        own = [r for r in own if condition in r["scores"]]
        if not own:
            continue
        if entry.published:
            cells = [f"{entry.published[c]:g}" if c in entry.published else "" for c in COLUMNS]
            lines.append(f"| {condition} | released predictions | {entry.published.get('windows', 0):.0f} | "
                         + " | ".join(cells) + " |")  # fmt: skip
        for variant in study.variants:
            scores = [r["scores"][condition] for r in own if r["variant"] == variant]
            if scores:
                lines.append(_row(condition, f"{variant}, {len(scores)} seeds", scores))
            scores = [r["whole"][condition] for r in own if r["variant"] == variant and condition in r["whole"]]
            if scores:
                lines.append(_row(condition, f"{variant}, windows as released", scores))
        there = [v for v in study.variants if any(r["variant"] == v for r in own) and v in (baselines or {})]
        first = min(there, key=lambda v: len(study.variants[v].conditions) or len(study.conditions), default="")
        for variant in there:
            found = (baselines or {})[variant]
            for baseline in found if variant == first else ("nearest",):
                label = f"{baseline} ({variant})"
                lines.append(_row(condition, label, [found[baseline]["scores"][condition]]))
                if condition in found[baseline]["whole"]:
                    lines.append(
                        _row(condition, f"{label}, windows as released", [found[baseline]["whole"][condition]])
                    )
    return "\n".join(lines) + "\n"


def _row(condition: str, by: str, scores: Sequence[Mapping[str, float]]) -> str:
    cells = []
    for column in COLUMNS:
        values = [score[column] for score in scores if column in score]
        digits = 4 if column.endswith("_ah") else 2
        spread = f" ± {np.std(values):.{digits}f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.{digits}f}{spread}" if values else "")
    return f"| {condition} | {by} | {scores[0]['windows']:.0f} | " + " | ".join(cells) + " |"


def score_released(study: ConditionStudy, corpus: Path) -> str:
    """The errors of the released predictions, of all test cells and of those the corpus holds. Raises DataError."""
    histories = list(read_corpus(corpus, {c.dataset for c in study.conditions.values()}).histories())
    capacities = {cell.key: cell.capacity_ah for cell in histories}
    nominal = {cell.key: cell.nominal_ah for cell in histories}
    return released_table(released_rows(study.released, study.conditions, capacities, nominal))


def run_study(study: ConditionStudy, corpus: Path, folder: Path, only: Sequence[str] = ()) -> None:
    """The whole study, or ``only`` some of its variants; records, checkpoints and ``table.md`` go to ``folder``. Raises
    RecipeError for a variant the study has not."""
    names = variants_to_run(study, only)
    if study.released:
        text = score_released(study, corpus)
        atomic_write(folder / "released.md", text)
        print(text, flush=True)
    results = []
    for name in names:
        for seed in study.variants[name].seeds:
            results.append(run_variant(study, name, corpus, folder, seed))
            print(f"{name} seed {seed}: {results[-1]['scores']}", flush=True)
    baselines = {name: kept_baselines(study, name, corpus, folder) for name in names}
    text = table(study, results, baselines)
    print(text)
    if not only:
        atomic_write(folder / "table.md", text)
