"""How far forecasts are off, in percent of nominal capacity: per window, per cell, per dataset. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.tasks.forecast.windows import ForecastWindows

LINES = ("persistence", "line48", "line_all")
"""What a forecaster is held against first."""
LINES24 = (*LINES, "line24")
"""The same with the line that is stronger on smooth cells."""


class ForecastScores(TypedDict):
    """See ``score_forecasts``."""

    cells: list[Json]
    datasets: dict[str, dict[str, float]]


def score_forecasts(windows: ForecastWindows, capacity: FloatArray) -> ForecastScores:
    """Errors of ``capacity`` [N, horizon] (fraction of nominal) at the measured cycles of ``windows.y``.

    ``cells``: per cell dataset, cell_id, windows, mae_pct, rmse_pct (percent of nominal) and mape_pct (percent of the
    measured value). ``datasets``: the same, averaged over a dataset's cells. A cell's windows count alike, a dataset's
    cells count alike. Raises DataError when shapes differ or a forecast is missing.
    """
    if capacity.shape != windows.y.shape or not np.isfinite(capacity).all():
        raise DataError(f"forecasts have shape {capacity.shape}, {int((~np.isfinite(capacity)).sum())} missing; "
                        f"{windows.y.shape} and none missing are needed")  # fmt: skip
    known = np.isfinite(windows.y)
    error = np.where(known, capacity.astype(np.float64) - np.where(known, windows.y, 0.0), 0.0)
    count = known.sum(axis=1)
    mae = 100.0 * np.abs(error).sum(axis=1) / count
    square = 1e4 * (error**2).sum(axis=1) / count
    mape = 100.0 * np.where(known, np.abs(error) / np.where(known, windows.y, 1.0), 0.0).sum(axis=1) / count
    cells: list[Json] = []
    for index, (dataset, cell_id) in enumerate(windows.cells):
        rows = windows.cell == index
        cells.append(
            {
                "dataset": dataset,
                "cell_id": cell_id,
                "windows": int(rows.sum()),
                "mae_pct": float(mae[rows].mean()),
                "rmse_pct": float(np.sqrt(square[rows].mean())),
                "mape_pct": float(mape[rows].mean()),
            }
        )
    datasets = {}
    for name in sorted({cell["dataset"] for cell in cells}):
        own = [cell for cell in cells if cell["dataset"] == name]
        means = {key: float(np.mean([cell[key] for cell in own])) for key in ("mae_pct", "rmse_pct", "mape_pct")}
        datasets[name] = {"cells": len(own), "windows": sum(cell["windows"] for cell in own), **means}
    return {"cells": cells, "datasets": datasets}


def cycles_to_eol(trajectory: FloatArray, eol: float) -> FloatArray:
    """[N] cycles from the origin to the first value of ``trajectory`` [N, horizon] below ``eol``; NaN where none is.

    The same as the C of the forecaster finds between its points: a value that lies on EOL but for the rounding of floats
    is not below it (steps of 0.01 % divided by the cycles between two knots are far larger than that).
    """
    below = trajectory < eol - 1e-6
    return np.where(below.any(axis=1), 1.0 + below.argmax(axis=1), np.nan)


def eol_scores(predicted: FloatArray, measured: FloatArray, horizon: int) -> dict[str, float | None]:
    """How well cycles to EOL are ``predicted`` [N], given the ``measured`` [N]; NaN where not known.

    ``eol_missed_pct``: of the windows that measured them within the horizon, those without a prediction.
    ``eol_mae_cycles``: error of all predictions whose cell was seen to reach EOL later. None without such windows.
    """
    given, ahead = np.isfinite(predicted), np.isfinite(measured) & (measured > 0)
    due = ahead & (measured <= horizon)
    wrong = np.abs(predicted - measured)[given & ahead]
    return {
        "eol_missed_pct": 100.0 * float(1.0 - given[due].mean()) if due.any() else None,
        "eol_mae_cycles": float(wrong.mean()) if len(wrong) else None,
    }


def relative_error(model: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each dataset's MAE as a fraction of the best baseline's there, and ``mean`` over the datasets.

    model: dataset -> MAE; baselines: name -> dataset -> MAE. Below 1 the model is better than all of them. Raises
    DataError when there is no baseline.
    """
    if not baselines or not model:
        raise DataError("relative errors need a model's and a baseline's errors on at least one dataset")
    ratios = {name: value / min(baseline[name] for baseline in baselines.values()) for name, value in model.items()}
    return ratios | {"mean": float(np.mean(list(ratios.values())))}
