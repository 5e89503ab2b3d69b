"""Scores of life teachers and baselines on cells: cycle life, and for curve models RUL and SOH as DiffBatt counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.baselines.life import BASELINES, life_scores, nearest_soh_curve
from edgebat.tasks.life.windows import LifeWindows, curve_life
from edgebat.teachers.base import Teacher
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble, curve_error_percent
from edgebat.teachers.diffbatt.settings import Sampling

SCORED = {"life", "best_life", "soh_curve", "best_curve"}
"""What of a teacher's answer is scored, each with one row per cell."""


def score_life(teacher: Teacher, windows: LifeWindows, sampling: Sampling | None = None) -> dict[str, Any]:
    """``scores``: rmse, mae (cycles) and mape (%) of cycle life on cells whose life is known; for DiffBatt also ``rul_rmse``
    (against the life of the measured curve, the paper's label) and ``soh_rmse`` (%), each for the median of the draws
    and, ``..._best``, for the draw that fits the observed cycles best; a score that is not known is left out.
    ``datasets``: the same for each data set apart. ``cells``: one row per cell."""
    if isinstance(teacher, DiffBatt | DiffBattEnsemble) and sampling is not None:
        teacher.sampling = sampling
    said = teacher.predict(windows)
    cells = _cells(said["life"], windows)
    if "soh_curve" in said:
        for row, spread, predicted, measured_curve in zip(
            cells, said["life_spread"], said["soh_curve"], windows.curve, strict=True
        ):
            error = curve_error_percent(predicted[None], measured_curve[None], windows.spec.eol)
            row |= {"predicted_std": round(float(spread), 1), "soh_rmse": round(error, 3) if error == error else None}
    sources = np.array([dataset for dataset, _ in windows.cells])
    apart = {
        name: _scores(
            {key: said[key][sources == name] for key in SCORED & said.keys()}, windows.select(datasets=[name])
        )
        for name in sorted(set(sources))
    }
    return {"scores": _scores(said, windows), "datasets": apart, "cells": cells}


def _scores(said: Mapping[str, npt.NDArray[np.floating]], windows: LifeWindows) -> dict[str, float]:
    scores = life_scores(said["life"], windows.life)
    if "soh_curve" in said:
        measured = curve_life(windows.curve, windows.spec)
        scores |= {
            "rul_rmse": _rmse(said["life"] - measured),
            "rul_rmse_best": _rmse(said["best_life"] - measured),
            "soh_rmse": curve_error_percent(said["soh_curve"], windows.curve, windows.spec.eol),
            "soh_rmse_best": curve_error_percent(said["best_curve"], windows.curve, windows.spec.eol),
        }
    return _finite(scores)


def score_baseline(name: str, train: LifeWindows, test: LifeWindows) -> dict[str, Any]:
    """A baseline's ``scores`` and ``cells``; the nearest curve's also as RUL and SOH of the copied curve."""
    said = BASELINES[name](train)(test)
    scores = life_scores(said, test.life)
    if name == "nearest":
        curve, life = nearest_soh_curve(train, test)
        scores["rul_rmse"] = _rmse(life - curve_life(test.curve, test.spec))
        scores["soh_rmse"] = curve_error_percent(curve, test.curve, test.spec.eol)
    return {"scores": _finite(scores), "cells": _cells(said, test)}


def by_dataset(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """``life_scores`` of each data set's rows among ``cells``."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for cell in cells:
        life = float("nan") if cell["life"] is None else cell["life"]
        rows.setdefault(cell["dataset"], []).append((cell["predicted"], life))
    return {name: life_scores(*np.array(pairs).T) for name, pairs in rows.items()}


def _cells(predicted: npt.NDArray[np.floating], windows: LifeWindows) -> list[dict[str, Any]]:
    return [
        {
            "dataset": key[0],
            "cell": key[1],
            "life": float(life) if np.isfinite(life) else None,
            "predicted": round(float(value), 1),
        }
        for key, life, value in zip(windows.cells, windows.life, predicted, strict=True)
    ]


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    """Without what is not known: JSON has no NaN."""
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def _rmse(error: Any) -> float:
    return float(np.sqrt(np.square(error).mean()))
