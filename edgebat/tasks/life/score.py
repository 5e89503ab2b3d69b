"""Scores of life teachers and baselines on cells: cycle life, and for curve models RUL and SOH as DiffBatt counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float32, FloatArray
from edgebat.files import Json
from edgebat.tasks.life.windows import LifeWindows, curve_life

SCORED = {"life", "best_life", "soh_curve", "best_curve"}
"""What of a teacher's answer is scored, each with one row per cell."""


@dataclass(frozen=True)
class LifeScores:
    """What is reached on some cells."""

    scores: dict[str, float]
    """rmse, mae (cycles) and mape (%) of cycle life on cells whose life is known; with an SOH curve also ``rul_rmse``
    (against the life of the measured curve, the paper's label) and ``soh_rmse`` (%), and ``..._best`` for the draw that fits
    the observed cycles best. A score that is not known is left out."""
    cells: list[Json]
    """``dataset``, ``cell``, ``life``, ``predicted`` of each cell, cycles; with an SOH curve its ``soh_rmse``."""
    datasets: dict[str, dict[str, float]] = field(default_factory=dict)
    """``scores`` of each data set apart."""


def score_predictions(predictions: Mapping[str, FloatArray], windows: LifeWindows) -> LifeScores:
    """What predictions with one row per cell reach."""
    cells = cell_rows(predictions["life"], windows)
    if "soh_curve" in predictions:
        for n, row in enumerate(cells):
            own = slice(n, n + 1)
            error = curve_error_percent(predictions["soh_curve"][own], windows.curve[own], windows.spec.eol)
            if "life_spread" in predictions:
                row["predicted_std"] = round(float(predictions["life_spread"][n]), 1)
            row["soh_rmse"] = round(error, 3) if error == error else None
    apart = {}
    for name in sorted({dataset for dataset, _ in windows.cells}):
        rows = np.array([dataset == name for dataset, _ in windows.cells], dtype=np.bool_)
        own_predictions = {key: predictions[key][rows] for key in SCORED & predictions.keys()}
        apart[name] = all_scores(own_predictions, windows.select(rows))
    return LifeScores(all_scores(predictions, windows), cells, apart)


def all_scores(predictions: Mapping[str, FloatArray], windows: LifeWindows) -> dict[str, float]:
    """See ``LifeScores``."""
    scores = life_scores(predictions["life"], windows.life)
    for curve, life, ending in (("soh_curve", "life", ""), ("best_curve", "best_life", "_best")):
        if curve in predictions:
            scores[f"rul_rmse{ending}"] = rmse(predictions[life] - curve_life(windows.curve, windows.spec))
            scores[f"soh_rmse{ending}"] = curve_error_percent(predictions[curve], windows.curve, windows.spec.eol)
    return finite(scores)


def by_dataset(cells: Sequence[Json]) -> dict[str, dict[str, float]]:
    """``life_scores`` of each data set's rows among ``cells``."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for cell in cells:
        life = float("nan") if cell["life"] is None else cell["life"]
        rows.setdefault(cell["dataset"], []).append((cell["predicted"], life))
    return {name: life_scores(*np.array(pairs).T) for name, pairs in rows.items()}


def cell_rows(predicted: npt.NDArray[np.floating], windows: LifeWindows) -> list[Json]:
    return [
        {
            "dataset": key[0],
            "cell": key[1],
            "life": float(life) if np.isfinite(life) else None,
            "predicted": round(float(value), 1),
        }
        for key, life, value in zip(windows.cells, windows.life, predicted, strict=True)
    ]


def finite(scores: Mapping[str, float]) -> dict[str, float]:
    """Without what is not known: JSON has no NaN."""
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def rmse(error: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.square(error).mean()))


def life_scores(predicted: npt.NDArray[np.floating], life: npt.NDArray[np.floating]) -> dict[str, float]:
    """``rmse`` and ``mae`` in cycles, ``mape`` in percent, ``cells``: those with a known life; alone when 0."""
    seen = np.isfinite(life)
    if not seen.any():
        return {"cells": 0.0}
    error = predicted[seen].astype(np.float64) - life[seen]
    return {
        "rmse": float(np.sqrt(np.square(error).mean())),
        "mae": float(np.abs(error).mean()),
        "mape": float(100.0 * (np.abs(error) / life[seen]).mean()),
        "cells": float(seen.sum()),
    }


def curve_error_percent(predicted: Float32, reference: Float32, eol: float = 0.8, floor: float = 0.6) -> float:
    """DiffBatt's SOH error: per cell RMSE in percent points where the prediction is above ``eol`` and the reference
    above ``floor``, mean over cells. A cell without such a point does not count; NaN when none counts."""
    counted = (predicted > eol) & (reference > floor)
    squares = np.where(counted, np.square(100.0 * (predicted - reference)), 0.0).sum(axis=1)
    counts = counted.sum(axis=1)
    if not counts.any():
        return float("nan")
    return float(np.sqrt(squares[counts > 0] / counts[counts > 0]).mean())
