"""The model card: every number of a run with its provenance, as plain data. ``render`` in html.py turns it into a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebat import __version__
from edgebat.report.figures import Predictions, life_errors
from edgebat.tasks.health.windows import HealthWindows

CARD_VERSION = 1
BASELINE_LABELS = {
    "mean": "Mean of training cells",
    "ridge": "Ridge regression",
    "nearest": "Nearest neighbour",
}
ERRORS = (
    "soh_rmse_pct", "soh_mae_pct", "soh_max_pct", "trajectory_rmse_pct", "rul_rmse_cycles", "rul_mae_cycles",
)  # fmt: skip
LIMITS = (
    "The model knows the chemistries, temperatures and rates of its training cells. It says nothing about others.",
    "SOH is an estimate from a constant-current charge through the voltage window; a cell that is never charged through "
    "it gets no estimate.",
    "Figures tagged (simulator) come from an emulated processor and are not hardware measurements; cycles (model) are "
    "estimates with the error stated beside them.",
    "Not a safety function: do not use the estimate as the only barrier against a hazard.",
)


def build_card(recipe: Any, steps: Mapping[str, Any], versions: Mapping[str, Any], files: Sequence[Mapping[str, Any]],
               windows: HealthWindows, predictions: Predictions) -> dict[str, Any]:  # fmt: skip
    """The card of a finished run.

    recipe: the checked recipe; steps: results by step name; windows: all held-out windows; predictions: by model key.
    """
    kinds = [student.kind for student in recipe.students]
    rows = accuracy_rows(steps, kinds)
    students = [row for row in rows if row["form"] == "int8" and row["learned_from"] == "teacher"]
    best = min(students, key=lambda row: row["soh_rmse_pct"])
    best["best"] = True
    shown = ["ridge", "nearest", "teacher", *(f"{kind}_int8" for kind in kinds)]
    data = steps["data"]
    targets = steps["simulate"]["rows"]
    measured = [row["target"] for row in targets if not row["skipped"] and row["instructions"]]
    return {
        "card_version": CARD_VERSION,
        "edgebat": __version__,
        "name": recipe.name,
        "title": recipe.title or recipe.name,
        "summary": (
            f"Teacher IC2ML distilled into {len(kinds)} int8 students ({', '.join(k.upper() for k in kinds)}): state of "
            f"health, the next {windows.spec.horizon} cycles and remaining life from "
            f"{windows.spec.context} partial charges between {windows.spec.window_start_v:g} and "
            f"{windows.spec.window_end_v:g} V."
        ),
        "task": windows.spec.to_dict(),
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
                "test_rul": data["counts"]["test"]["rul"],
            },
            "conditions": data["conditions"],
            "left_out": data["left_out"],
        },
        "seeds": {
            "fleet": recipe.data.synthetic.seed if data["synthetic"] else None,
            "split": recipe.data.split.seed,
            "teacher": None if recipe.teacher.file else recipe.teacher.fit.seed,
            "students": recipe.distill.fit.seed,
        },
        "accuracy": rows,
        "best_student": best["key"],
        "teacher": "teacher",
        "shown_models": shown,
        "by_life": life_errors(windows, {key: predictions[key] for key in shown}),
        "per_cell": per_cell_rows(
            windows, predictions, {row["key"]: row["label"] for row in rows if row["key"] in shown}
        ),
        "cells_shown": recipe.report.cells,
        "equality": steps["verify"]["rows"],
        "equality_windows": max((row["windows"] for row in steps["verify"]["rows"]), default=0),
        "targets": targets,
        "headline_target": "cortex-m0plus" if "cortex-m0plus" in measured else next(iter(measured), ""),
        "files": list(files),
        "versions": dict(versions),
        "licence": recipe.report.licence,
        "limits": list(LIMITS),
        "recipe": {
            "teacher": dataclasses.asdict(recipe.teacher),
            "distill": dataclasses.asdict(recipe.distill),
            "quantize": dataclasses.asdict(recipe.quantize),
        },
    }


def accuracy_rows(steps: Mapping[str, Any], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """One row per model and form: baselines, teacher, students float and int8, with and without teacher."""

    def row(
        key: str, label: str, kind: str, role: str, form: str, source: str, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        errors = {name: result[name] for name in ERRORS}
        parameters = result.get("parameters")
        return {"key": key, "label": label, "kind": kind, "role": role, "form": form, "learned_from": source,
                "parameters": parameters, "best": False, **errors}  # fmt: skip

    rows = [
        row(name, BASELINE_LABELS[name], name, "baseline", "float", "measurements", result)
        for name, result in ((name, steps["baselines"][name]) for name in BASELINE_LABELS)
    ]
    label = "Teacher IC2ML, given" if steps["teacher"].get("given") else "Teacher IC2ML"
    rows.append(row("teacher", label, "teacher", "teacher", "float", "measurements", steps["teacher"]))
    for suffix, source in (("_alone", "measurements"), ("", "teacher")):
        for kind in kinds:
            trained, quantized = steps[f"student-{kind}"][f"{kind}{suffix}"], steps["quantize"][f"{kind}{suffix}"]
            label = kind.upper()
            rows.append(row(f"{kind}{suffix}", label, kind, "student", "float", source, trained))
            quantized = {**quantized, "parameters": trained["parameters"]}
            rows.append(row(f"{kind}{suffix}_int8", label, kind, "student", "int8", source, quantized))
    return rows


def per_cell_rows(windows: HealthWindows, predictions: Predictions, labels: Mapping[str, str]) -> dict[str, Any]:
    """SOH RMSE in percentage points of every held-out cell for the models in ``labels`` (key -> label)."""
    rows = []
    for index, (dataset, cell) in enumerate(windows.cells):
        mask = windows.cell == index
        errors = [float(np.sqrt(np.mean((predictions[k]["soh"][mask] - windows.soh[mask]) ** 2)) * 100) for k in labels]
        rows.append({"dataset": dataset, "cell": cell, "windows": int(mask.sum()), "soh_rmse_pct": errors})
    return {"models": list(labels.values()), "rows": rows}
