"""Score a forecaster's file on any corpus folder, beside the baselines; see ``edgebat.evaluate.evaluate_file``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.baselines.forecast import forecast_baselines
from edgebat.cells import seen_cells
from edgebat.data.corpus import read_corpus
from edgebat.errors import DataError
from edgebat.evaluate import NO_TRAINING_CELLS, NOTHING_UNSEEN
from edgebat.tasks.forecast.score import LINES, LINES24, relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, capacity_histories, forecast_windows
from edgebat.teachers.store import load_teacher
from edgebat.training.tensorfile import read_header

COLUMNS = ("mae_pct", "rmse_pct", "mape_pct")


def evaluate_forecast(
    path: Path, corpus: str | Path, datasets: Sequence[str] | None, train_corpus: str | Path
) -> dict[str, Any]:
    """``evaluate_file`` for Battery-Timer and the universal forecaster.

    Cells count alike within a dataset, datasets alike within ``all`` and ``unseen``. Rows of quality C are left out, as
    in training; ``datasets`` in the result has the scores per dataset, of unseen cells where there are any.
    """
    header = read_header(path, "edgebat-teacher")
    origin = header.get("provenance") or {}
    packed = str(origin.get("seen", ""))
    teacher: Any = load_teacher(path)
    task = ForecastSpec.from_dict(origin.get("forecast_task") or {"context": teacher.context})
    windows = _windows(corpus, datasets, task)
    if not len(windows):
        raise DataError(
            f"{corpus} has no cell with {task.min_history} measured cycles and {task.horizon} more to forecast; left out: "
            f"{windows.left_out}"
        )
    said = teacher.predict(windows)["capacity"]
    seen = seen_cells(packed, windows.cells)
    fresh = ~np.array(seen)[windows.cell]
    every = score_forecasts(windows, said)
    test = windows.select(fresh) if fresh.any() else windows
    unseen = score_forecasts(test, said[fresh]) if fresh.any() else None
    learnt, note = _training_windows(packed, train_corpus, task)
    baselines, missing = forecast_baselines(task.horizon, learnt)
    scored = {name: score_forecasts(test, b.predict(test)["capacity"]) for name, b in baselines.items()}
    per_dataset, ratios = _beside_lines((unseen or every)["datasets"], scored)
    nothing_unseen = [NOTHING_UNSEEN] if learnt is not None and not fresh.any() else []
    cells = [
        {"dataset": row["dataset"], "cell": row["cell_id"], "seen": mark, **{k: row[k] for k in ("windows", *COLUMNS)}}
        for mark, row in zip(seen, every["cells"], strict=True)
    ]
    return {
        "kind": f"teacher {teacher.name}",
        "task": task.to_dict(),
        "cells": cells,
        "datasets": per_dataset,
        "all": _overall(every),
        "unseen": None if unseen is None else _overall(unseen),
        "baselines": {name: _overall(scores) for name, scores in scored.items()},
        "notes": [note, *missing, *nothing_unseen, ratios],
        "left_out": windows.left_out,
    }


def _beside_lines(
    scores: Mapping[str, dict[str, Any]], scored: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], str]:
    """The scores per dataset with ``baselines`` (name -> MAE), ``of_best_line`` and ``of_best_line24``: the MAE over that
    of the best of LINES and LINES24; and both averages in words."""
    baselines = {name: {n: float(row["mae_pct"]) for n, row in s["datasets"].items()} for name, s in scored.items()}
    errors = {name: float(row["mae_pct"]) for name, row in scores.items()}
    ratio, ratio24 = (relative_error(errors, {b: baselines[b] for b in lines}) for lines in (LINES, LINES24))
    rows = {
        name: {
            **row,
            "baselines": {b: own[name] for b, own in baselines.items()},
            "of_best_line": ratio[name],
            "of_best_line24": ratio24[name],
        }
        for name, row in scores.items()
    }
    each = ", ".join(f"{name} {ratio[name]:.2f}" for name in rows)
    return rows, (
        f"MAE, mean over {len(rows)} data sets: {ratio['mean']:.2f} of the best of persistence and the lines through 48 and "
        f"all cycles; {ratio24['mean']:.2f} when the line through 24 cycles competes too ({each})"
    )


def _windows(corpus: str | Path, datasets: Sequence[str] | None, task: ForecastSpec) -> ForecastWindows:
    fleet = read_corpus(corpus, datasets)
    grades = {str(grade) for grade in fleet.cells["quality"]} - {"C"}
    histories = capacity_histories(fleet.select(quality=grades) if grades else fleet, task.label_kinds)
    return forecast_windows(histories, task)


def _training_windows(packed: str, corpus: str | Path, task: ForecastSpec) -> tuple[ForecastWindows | None, str]:
    """Windows of the cells the model has seen, for the baselines that learn; every fourth is enough for them."""
    if not packed:
        return None, "the model has seen no measured cell, so baselines that learn have nothing to learn from"
    fleet = read_corpus(corpus)
    known = [key for key, seen in zip(fleet.keys, seen_cells(packed, fleet.keys), strict=True) if seen]
    if not known:
        return None, NO_TRAINING_CELLS.format(corpus=corpus)
    own = set(known)
    histories = [h for h in capacity_histories(fleet, task.label_kinds) if h.key in own]
    windows = forecast_windows(histories, task).select_every(4)
    return windows, f"baselines learnt from {len(known)} cells the model has seen, out of {corpus}"


def _overall(scores: dict[str, Any]) -> dict[str, float]:
    """The mean over datasets, each counted once, and how many windows there were."""
    datasets = scores["datasets"].values()
    means = {name: float(np.mean([values[name] for values in datasets])) for name in COLUMNS}
    return {"windows": float(sum(values["windows"] for values in datasets)), **means}
