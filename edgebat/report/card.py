"""The model card: every number of a run with its provenance, as plain data. ``render`` in html.py turns it into a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgebat import __version__, baselines
from edgebat.files import Json
from edgebat.report.choice import choose
from edgebat.report.figures import stage_errors
from edgebat.report.paired import taught_or_not
from edgebat.report.results import BaselineResult, Card, CellErrors, DataResult, LossCurve, ModelFile, PerCell
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.errors import errors_by_cell
from edgebat.tasks.windows import Windows

CARD_VERSION = 3
LOSS_POINTS = 200
"""Epochs of a training in the card, at most."""
TRAININGS = {
    "alone": "no teacher",
    "measured": "measured cells alone",
    "judge": "judge",
    "qat": "quantization-aware",
}
"""What the parts of a training's name say."""
LIMITS = (
    "The model knows the chemistries, temperatures and rates of its training cells. It says nothing about others.",
    "Figures tagged (simulator) come from an emulated processor and are not hardware measurements; cycles (model) are "
    "estimates with the error stated beside them.",
    "Not a safety function: do not use the estimate as the only barrier against a hazard.",
)


@dataclass(frozen=True)
class RunResults:
    """What the steps of a run left."""

    steps: Mapping[str, Any]
    """Results by step name."""
    versions: Json
    """Of Python, packages and tools."""
    files: Sequence[ModelFile]
    """Path, bytes and sha256 of every model file."""
    windows: Windows
    """All held-out windows."""
    predictions: Mapping[str, Predictions]
    """By model key."""
    teacher: str
    """What the teacher is called."""
    losses: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)
    """Rows of ``history.csv`` by training."""


def build_card(recipe: Any, run: RunResults) -> Card:
    """The card of a finished run. recipe: the checked recipe."""
    task: AnyTask = recipe.of_task
    kinds = [student.kind for student in recipe.students]
    rows = accuracy_rows(task, run.steps, kinds, run.teacher)
    choice = choose(task, rows, run.windows, run.predictions, recipe.interval.coverage)
    for row in rows:
        row["best"] = row["key"] == choice.best
    learners: BaselineResult = run.steps["baselines"]
    beside = [name for name in baselines.shown(task.name) if name in learners["rows"]]
    shown = list(dict.fromkeys([*beside, "teacher", *(f"{kind}_int8" for kind in kinds), choice.best]))
    data: DataResult = run.steps["data"]
    targets = run.steps["simulate"]["rows"]
    measured = [row["target"] for row in targets if not row["skipped"] and row["instructions"]]
    silent = {kind: run.steps[f"student-{kind}"][kind].get("silent", ()) for kind in kinds}
    seeds = [getattr(getattr(entry.settings, "fit", None), "seed", None) for entry in recipe.teacher]
    return {
        "card_version": CARD_VERSION,
        "edgebat": __version__,
        "name": recipe.name,
        "title": recipe.title or recipe.name,
        "summary": (
            f"{run.teacher.capitalize()} distilled into {len(kinds)} int8 students "
            f"({', '.join(k.upper() for k in kinds)}): {task.summary(run.windows.spec)}."
        ),
        "task": task.described(run.windows.spec),
        "columns": [
            dataclasses.asdict(column)
            for column in task.columns
            if any(row.get(column.key) is not None for row in rows)
        ],
        "explanation": task.explanation,
        "data": {
            "source": data["source"],
            "synthetic": data["synthetic"],
            "statement": data["statement"],
            "fingerprint": data["fingerprint"],
            "split_hash": data["split_hash"],
            "strategy": data["strategy"],
            "split": data["split"],
            "cells": {part: count["cells"] for part, count in data["counts"].items()},
            "windows": {
                **{part: count["windows"] for part, count in data["counts"].items()},
                "ends_known": data["counts"]["test"]["ends_known"],
            },
            "conditions": data["conditions"],
            "left_out": data["left_out"],
            "corpus_notes": data["corpus_notes"],
        },
        "ground": [list(fact) for fact in run.steps["quantize"][kinds[0]].get("ground", ())],
        "trust": {f"{name}_int8": found["trust"] for name, found in run.steps["quantize"].items() if "trust" in found},
        "interval": recipe.interval.coverage,
        "seeds": {
            "fleet": recipe.data.synthetic.seed if data["synthetic"] else None,
            "split": recipe.data.split.seed,
            "teacher": seeds[0] if len(seeds) == 1 else seeds,
            "students": recipe.distill.fit.seed,
        },
        "accuracy": rows,
        "best_student": choice.best,
        "best_taught": choice.best_taught,
        "which_to_take": choice.text,
        "taught_or_not": taught_or_not(task, run.windows, run.predictions, silent),
        "teacher": "teacher",
        "baselines_shown": beside,
        "shown_models": shown,
        "by_life": stage_errors(task, run.windows, {key: run.predictions[key] for key in shown}),
        "per_cell": per_cell_rows(
            task, run.windows, run.predictions, {row["key"]: full_label(row) for row in rows if row["key"] in shown}
        ),
        "losses": loss_curves(run.losses, kinds),
        "cells_shown": recipe.report.cells,
        "equality": run.steps["verify"]["rows"],
        "equality_windows": max((row["windows"] for row in run.steps["verify"]["rows"]), default=0),
        "targets": targets,
        "headline_target": "cortex-m0plus" if "cortex-m0plus" in measured else next(iter(measured), ""),
        "files": list(run.files),
        "versions": dict(run.versions),
        "licence": recipe.report.licence,
        "limits": [*LIMITS[:1], *task.limits, *LIMITS[1:]],
        "recipe": {
            "teacher": [dataclasses.asdict(entry) for entry in recipe.teacher],
            "distill": dataclasses.asdict(recipe.distill),
            "quantize": dataclasses.asdict(recipe.quantize),
        },
    }


def accuracy_rows(
    task: AnyTask, steps: Mapping[str, Any], kinds: Sequence[str], teacher: str = "teacher"
) -> list[Json]:
    """One row per model and form: baselines, teacher, students float and int8, with and without teacher."""

    def row(key: str, label: str, kind: str, role: str, form: str, source: str, result: Json) -> Json:
        errors = {column.key: result.get(column.key) for column in task.columns}
        parameters = result.get("parameters")
        return {"key": key, "label": label, "kind": kind, "role": role, "form": form, "learned_from": source,
                "parameters": parameters, "macs": result.get("macs"), "best": False, **errors}  # fmt: skip

    learners: BaselineResult = steps["baselines"]
    rows = [
        row(
            name, name.replace("_", " ").capitalize(), name, "baseline", "float", "measurements", learners["rows"][name]
        )
        for name in learners["order"]
    ]
    label = f"{teacher[:1].upper()}{teacher[1:]}{', given' if steps['teacher'].get('given') else ''}"
    rows.append(row("teacher", label, "teacher", "teacher", "float", "measurements", steps["teacher"]))
    for suffix, source in (("_alone", "measurements"), ("", "teacher")):
        for kind in kinds:
            trained, quantized = steps[f"student-{kind}"][f"{kind}{suffix}"], steps["quantize"][f"{kind}{suffix}"]
            label = kind.upper()
            rows.append(row(f"{kind}{suffix}", label, kind, "student", "float", source, trained))
            quantized = {**quantized, "parameters": trained["parameters"]}
            rows.append(row(f"{kind}{suffix}_int8", label, kind, "student", "int8", source, quantized))
    return rows


def full_label(row: Json) -> str:
    """A row's label, with what sets a student without a teacher apart from its taught twin."""
    return (
        f"{row['label']}, no teacher" if row["role"] == "student" and row["learned_from"] != "teacher" else row["label"]
    )


def loss_curves(losses: Mapping[str, list[dict[str, float]]], kinds: Sequence[str]) -> list[LossCurve]:
    """The trainings of this run's teacher and students, thinned to ``LOSS_POINTS`` epochs."""
    curves: list[LossCurve] = []
    for name, rows in sorted(losses.items(), key=lambda item: not item[0].startswith("teacher")):
        kind, *ends = name.split("_")
        if not rows or not (kind in kinds or kind.partition("-")[0] == "teacher"):
            continue
        rows = rows[:: -(-len(rows) // LOSS_POINTS)]
        label = kind.upper() if kind in kinds else kind.capitalize()
        notes = [TRAININGS[end] for end in ends if end in TRAININGS]
        curves.append(
            {
                "label": ", ".join([label, *notes]),
                "epoch": [int(row["epoch"]) + 1 for row in rows],
                "train": [_short(row.get("train_loss")) for row in rows],
                "val": [_short(row.get("val_loss")) for row in rows],
            }
        )
    return curves


def _short(value: float | None) -> float | None:
    return float(f"{value:.5g}") if value is not None and np.isfinite(value) else None


def per_cell_rows(
    task: AnyTask, windows: Windows, predictions: Mapping[str, Predictions], labels: Mapping[str, str]
) -> PerCell:
    """The figure that models are ranked by, of every held-out cell, for the models in ``labels`` (key -> label)."""
    table = np.stack([errors_by_cell(task, windows, predictions[key]) for key in labels], axis=1)
    count = np.bincount(windows.cell, minlength=len(windows.cells))
    rows: list[CellErrors] = [
        {
            "dataset": dataset,
            "cell": cell,
            "windows": int(n),
            "errors": [None if np.isnan(e) else float(e) for e in errors],
        }
        for (dataset, cell), n, errors in zip(windows.cells, count, table, strict=True)
        if np.isfinite(errors).any()
    ]
    return {"models": list(labels.values()), "rows": rows}
