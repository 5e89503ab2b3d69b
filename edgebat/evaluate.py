"""Score any teacher or student file on any corpus folder, per cell, against what was measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import FloatArray
from edgebat.cells import seen_cells
from edgebat.errors import ModelFileError, require
from edgebat.graph import IntGraph
from edgebat.predict import load_model, predict_windows, task_of
from edgebat.students.knots import expansion
from edgebat.tasks.health import HealthSpec, HealthWindows, health_windows

Predict = Callable[[npt.NDArray[np.float32]], Mapping[str, FloatArray]]


def predict_health(graph: IntGraph, x: npt.NDArray[np.float32]) -> dict[str, FloatArray]:
    """What the device would say, in physical units: soh [N], trajectory [N, horizon] (fractions), rul [N] (cycles).

    Everything passes through the integers of the border, 0.01 % and whole cycles; the trajectory is linear between
    knots.
    """
    said = predict_windows(graph, x)
    points = np.concatenate([said.soh_cpct[:, None], said.trajectory_cpct], axis=1) / 10_000
    matrix = expansion(task_of(graph).horizon, said.trajectory_cpct.shape[1])
    return {"soh": points[:, 0], "trajectory": points @ matrix.T, "rul": said.rul_cycles.astype(np.float64)}


def model_file(path: str | Path) -> Path:
    """``path`` itself, or the model in the folder ``path``: teacher.safetensors or the only .safetensors file."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("teacher.safetensors")) or sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise ModelFileError(f"folder {path} must hold teacher.safetensors or one .safetensors file; found: {names}")
    return found[0]


def load_predictor(path: str | Path) -> tuple[str, HealthSpec, str, Predict]:
    """Any model file as (description, task, packed seen cells, function from windows to physical predictions).

    path: teacher or student ``.safetensors`` (or the folder that holds one), ``.ebat``, ``.tflite`` or ``.onnx``.
    Raises ModelFileError or MissingExtra.
    """
    path = model_file(path)
    if path.suffix != ".safetensors":
        graph = load_model(path)
        training = graph.meta.get("training") or {}
        return f"int8 {graph.name}", task_of(graph), str(training.get("seen", "")), lambda x: predict_health(graph, x)
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; after a run they lie in runs/<recipe>/models")
    require("torch", extra="train")
    from edgebat.students.store import load_student
    from edgebat.teachers.store import load_teacher
    from edgebat.training.tensorfile import read_header

    network: Any
    header: dict[str, Any]
    try:
        header = read_header(path, "edgebat-teacher")
    except ModelFileError:
        header = read_header(path, "edgebat-student")
        network, what = load_student(path), f"float {header['kind']}"
    else:
        network, what = load_teacher(path), f"teacher {header['name']}"
    origin = header.get("provenance") or {}
    if "task" not in origin:
        raise ModelFileError(f"{path} does not say which task it was trained for; train it with edgebat")
    return what, HealthSpec.from_dict(origin["task"]), str(origin.get("seen", "")), network.predict


def evaluate_file(
    model: str | Path,
    corpus: str | Path,
    datasets: Sequence[str] | None = None,
    train_corpus: str | Path | None = None,
) -> dict[str, Any]:
    """Score ``model`` on the cells of a corpus folder, beside the baselines of its task; JSON-able.

    The file says which task it was trained for: ``health``, ``life`` or ``forecast`` (``task_kind``). ``unseen`` scores
    only the cells the model was not trained or tuned on (None when there is none), ``all`` every one; ``cells`` has one
    entry per cell with ``seen``. ``baselines``: name -> scores on the unseen cells (on all when none is unseen).
    Baselines that learn do so on the cells the model has seen, out of ``train_corpus`` (``corpus`` unless given);
    ``notes`` says what they learnt from, or why they are missing. Errors as in ``score``, ``life_scores`` and
    ``score_forecasts``. Raises ModelFileError, DataError or MissingExtra.
    """
    require("pandas", extra="data")
    path = model_file(model)
    kind = task_kind(path)
    train_corpus = corpus if train_corpus is None else train_corpus
    if kind == "life":
        from edgebat.evaluate_life import evaluate_life

        result = evaluate_life(path, corpus, datasets, train_corpus)
    elif kind == "forecast":
        from edgebat.evaluate_forecast import evaluate_forecast

        result = evaluate_forecast(path, corpus, datasets, train_corpus)
    else:
        result = evaluate_health(path, corpus, datasets, train_corpus)
    return {"model": str(model), "task_kind": kind, "corpus": str(corpus), **result}


def task_kind(path: Path) -> str:
    """``health``, ``life`` or ``forecast``: what the model file at ``path`` was trained for. Raises ModelFileError."""
    if path.suffix != ".safetensors":
        return "health"
    require("torch", extra="train")
    from edgebat.teachers.store import teacher_class
    from edgebat.training.tensorfile import read_header

    try:
        header = read_header(path, "edgebat-teacher")
    except ModelFileError:
        return "health"
    return teacher_class(str(header.get("name"))).task


def evaluate_health(
    path: Path, corpus: str | Path, datasets: Sequence[str] | None, train_corpus: str | Path
) -> dict[str, Any]:
    """``evaluate_file`` for teachers and students of the task ``health``.

    ``datasets`` in the result has the scores per data set, of unseen cells where there are any.
    """
    from edgebat.data.corpus import read_corpus

    what, task, packed, predict = load_predictor(path)
    windows = health_windows(read_corpus(corpus, datasets), task)
    predictions = predict(windows.x)
    seen = seen_cells(packed, windows.cells)
    fresh = ~np.array(seen)[windows.cell]
    tested = fresh if fresh.any() else np.ones(len(windows), dtype=np.bool_)
    sources = np.array([dataset for dataset, _ in windows.cells])[windows.cell]
    cells = []
    for index, (dataset, cell) in enumerate(windows.cells):
        mask = windows.cell == index
        cells.append(
            {"dataset": dataset, "cell": cell, "seen": seen[index], **_score_where(windows, predictions, mask)}
        )
    baselines, notes = _health_baselines(windows.select(tested), packed, train_corpus)
    return {
        "kind": what,
        "task": task.to_dict(),
        "cells": cells,
        "datasets": {
            name: _score_where(windows, predictions, tested & (sources == name))
            for name in sorted(set(sources[tested]))
        },
        "all": _score_where(windows, predictions, np.ones(len(windows), dtype=np.bool_)),
        "unseen": _score_where(windows, predictions, fresh) if fresh.any() else None,
        "baselines": baselines,
        "notes": notes,
        "left_out": windows.left_out,
    }


NO_TRAINING_CELLS = (
    "baselines that learn are missing: none of the cells the model was trained on is in {corpus}; name a folder that has "
    "them with --train-corpus"
)


NOTHING_UNSEEN = "the model has seen every cell here: these are errors on training cells, of the baselines too"


def _health_baselines(test: HealthWindows, packed: str, corpus: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Scores of every baseline at hand on ``test``, learnt from the seen cells of ``corpus``; and notes."""
    from edgebat.baselines.health import ridge
    from edgebat.baselines.health_learners import BASELINES, health_baselines
    from edgebat.data.corpus import read_corpus

    fleet = read_corpus(corpus)
    keys = fleet.keys
    known = {key for key, seen in zip(keys, seen_cells(packed, keys), strict=True) if seen}
    if not known:
        return {}, [NO_TRAINING_CELLS.format(corpus=corpus)]
    windows = health_windows(read_corpus(corpus, {dataset for dataset, _ in known}), test.spec)
    cells = [key for key in windows.cells if key in known]
    if len(cells) < 2:
        return {}, [NO_TRAINING_CELLS.format(corpus=corpus)]
    # Every fifth seen cell chooses the ridge's penalty; all others learn from all.
    held = cells[::5]
    train, val = windows.select(cells=[key for key in cells if key not in held]), windows.select(cells=held)
    found, missing = health_baselines(windows.select(cells=cells), val, test, left_out=("ridge",))
    found["ridge"] = ridge(train, val, test)
    scores = {n: {"windows": len(test), **score(test, found[n])} for n in BASELINES if n in found}
    notes = [f"baselines learnt from {len(cells)} cells the model has seen, out of {corpus}", *missing]
    if known >= set(test.cells):
        notes.append(NOTHING_UNSEEN)
    return scores, notes


def cells_csv(result: Mapping[str, Any]) -> str:
    """The per-cell table of an evaluation as CSV; empty where nothing is known."""
    columns = list(dict.fromkeys(name for cell in result["cells"] for name in cell))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell.get(name) for name in columns] for cell in result["cells"])
    return text.getvalue()


def _score_where(
    windows: HealthWindows, predictions: Mapping[str, FloatArray], mask: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    chosen = {head: values[mask] for head, values in predictions.items()}
    return {"windows": int(mask.sum()), **score(windows.select(mask), chosen)}


def score(windows: HealthWindows, predictions: Mapping[str, FloatArray]) -> dict[str, float | None]:
    """Errors of N windows; None where nothing is known.

    predictions: soh [N], trajectory [N, horizon] (fractions), rul [N] (cycles). SOH and trajectory errors are in
    percentage points of the reference capacity. RUL is scored before EOL only, on cells whose EOL was observed: after
    it the answer 0 is too easy.
    """
    soh = np.asarray(predictions["soh"], dtype=np.float64) - windows.soh
    ahead = np.asarray(predictions["trajectory"], dtype=np.float64) - windows.trajectory
    before = np.isfinite(windows.rul) & (windows.rul > 0)
    rul = np.asarray(predictions["rul"], dtype=np.float64)[before] - windows.rul[before]
    return {
        "soh_rmse_pct": _rmse(soh * 100),
        "soh_mae_pct": _mean(np.abs(soh) * 100),
        "soh_max_pct": float(np.abs(soh).max() * 100) if soh.size else None,
        "trajectory_rmse_pct": _rmse(ahead[np.isfinite(ahead)] * 100),
        "rul_rmse_cycles": _rmse(rul),
        "rul_mae_cycles": _mean(np.abs(rul)),
    }


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if values.size else None


def _rmse(errors: FloatArray) -> float | None:
    return float(np.sqrt(np.square(errors).mean())) if errors.size else None
