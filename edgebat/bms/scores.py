"""What a replayed cell is worth: estimates and forecasts of the device against the measured capacities."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64
from edgebat.bms.cell_replay import CellReplay, CycleRow
from edgebat.bms.results import Status
from edgebat.cells import CellHistory
from edgebat.formats.c.bms_models import ForecastModel
from edgebat.graph import IntGraph
from edgebat.predict import predict_windows, spec_of
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import health_windows, reference_capacity_ah, usable_rows


def score_cell(out: CellReplay, history: CellHistory, graph: IntGraph, forecast: ForecastModel | None = None) -> None:
    """Fill ``scores``, in points of SOH.

    RMSE of the device, of the NumPy estimator on the same samples, and of the same graph on the corpus' own increments (none
    for a model of any window, which reads what a charge gives), over the cycles with a new estimate and a usable capacity.
    With a forecaster also the mean absolute error of its points where a capacity was measured, beside that of the last
    estimate carried on.
    """
    spec = spec_of(graph)
    usable = usable_rows(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    reference = reference_capacity_ah(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    soh = 100 * history.capacity_ah / reference
    measured = dict(zip(history.cycle[usable].tolist(), soh[usable].tolist(), strict=True))
    for row in out.rows:
        row.measured = 100 * row.capacity_ah / reference
    rows = [row for row in out.rows if row.fresh and row.cycle in measured]
    if not rows:
        return
    ideal = _of_increments(graph, history, spec) if spec.one_window else {}
    for row in rows:
        row.ideal = ideal.get(row.cycle, float("nan")) / 100
    both = [row for row in rows if np.isfinite(row.ideal)]
    out.scores = {
        "estimates": float(len(rows)),
        "device_rmse": _rmse("device_model", rows),
        "numpy_rmse": _rmse("numpy_model", rows),
        "published_rmse": _rmse("device_published", [row for row in rows if row.status == Status.OK.name]),
    }
    if both:
        out.scores |= {"device_rmse_shared": _rmse("device_model", both), "corpus_rmse_shared": _rmse("ideal", both)}
    if forecast is not None:
        out.scores |= _forecast_scores(out.rows, measured, forecast)


def _of_increments(graph: IntGraph, history: CellHistory, spec: HealthSpec) -> dict[int, int]:
    """Cycle -> what the model says of the corpus' own increments, 0.01 %."""
    windows = health_windows([history], spec)
    soh = predict_windows(graph, windows.inputs())["soh"][:, 0]
    return dict(zip(windows.cycle.tolist(), soh.tolist(), strict=True))


def _rmse(name: str, rows: list[CycleRow]) -> float:
    # Estimates are whole hundredths; decoding a frame leaves 80.25999999.
    wrong = np.array([round(getattr(row, name) * 100) / 100 - row.measured for row in rows])
    return float(np.sqrt(np.mean(wrong**2))) if wrong.size else float("nan")


def _forecast_scores(rows: list[CycleRow], measured: dict[int, float], forecast: ForecastModel) -> dict[str, float]:
    # A forecast is shown until there is a newer one: each counts once.
    outlooks = {row.outlook.begin: row.outlook.points for row in rows if row.outlook is not None and row.outlook.points}
    estimates = {row.cycle: row.device_model for row in rows if row.fresh}
    ahead = np.rint(np.arange(1, forecast.points + 1) * forecast.horizon / forecast.points).astype(int)
    wrong: list[Float64] = []
    for begin, points in outlooks.items():
        future = np.array([measured.get(begin + int(step), np.nan) for step in ahead])
        if begin in estimates and np.isfinite(future).any():
            wrong.append(np.abs(np.array([points, np.full(len(points), estimates[begin])]) - future))
    if not wrong:
        return {"forecasts": 0.0}
    errors = np.nanmean(np.concatenate(wrong, axis=1), axis=1)
    return {"forecasts": float(len(wrong)), "forecast_mae": float(errors[0]), "persistence_mae": float(errors[1])}
