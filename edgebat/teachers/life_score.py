"""Scores of life teachers and baselines on cells: cycle life, and for curve models RUL and SOH as DiffBatt counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.features.life import LifeWindows, curve_life
from edgebat.teachers.base import Teacher
from edgebat.teachers.diffbatt import DiffBatt, DiffBattEnsemble, Sampling, curve_error_percent
from edgebat.teachers.life_baselines import BASELINES, life_scores, nearest_soh_curve

SCORED = {"life", "best_life", "soh_curve", "best_curve"}
"""What of a teacher's answer is scored, each with one row per cell."""


def score_life(teacher: Teacher, windows: LifeWindows, sampling: Sampling | None = None) -> dict[str, Any]:
    """``scores``: rmse, mae (cycles) and mape (%) of cycle life on cells whose life is known; for DiffBatt also ``rul_rmse``
    (against the life of the measured curve, the paper's label) and ``soh_rmse`` (%), each for the median of the draws
    and, ``..._best``, for the draw that fits the observed cycles best. ``datasets``: the same for each data set apart.
    ``cells``: one row per cell."""
    if isinstance(teacher, DiffBatt | DiffBattEnsemble):
        said = teacher.predict(windows, sampling)
    else:
        said = teacher.predict(windows)
    cells = [
        {
            "dataset": key[0],
            "cell": key[1],
            "life": float(life) if np.isfinite(life) else None,
            "predicted": round(float(value), 1),
        }
        for key, life, value in zip(windows.cells, windows.life, said["life"], strict=True)
    ]
    if "soh_curve" in said:
        for row, spread, predicted, measured_curve in zip(
            cells, said["life_std"], said["soh_curve"], windows.curve, strict=True
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
    return scores


def baseline_scores(name: str, train: LifeWindows, test: LifeWindows) -> dict[str, float]:
    """A baseline's scores; the nearest curve's also as RUL and SOH of the copied curve."""
    scores = life_scores(BASELINES[name](train)(test), test.life)
    if name == "nearest":
        curve, life = nearest_soh_curve(train, test)
        scores["rul_rmse"] = _rmse(life - curve_life(test.curve, test.spec))
        scores["soh_rmse"] = curve_error_percent(curve, test.curve, test.spec.eol)
    return scores


def _rmse(error: Any) -> float:
    return float(np.sqrt(np.square(error).mean()))
