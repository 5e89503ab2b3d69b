"""The pictures of the report, made from predictions on held-out windows. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import FloatArray
from edgebat.report.svg import Chart, bars, padded_range
from edgebat.tasks.health.windows import HealthWindows

Predictions = Mapping[str, Mapping[str, FloatArray]]

PARITY_DOTS = 1500
LINE_POINTS = 160
COLOURS = {
    "measured": "c0",
    "teacher": "c3",
    "mlp": "c4",
    "cnn": "c7",
    "lstm": "c1",
    "ridge": "c5",
    "nearest": "c6",
    "other": "c2",
}


@dataclass(frozen=True)
class Shown:
    """One model of the pictures: key into the predictions, label, CSS colour class."""

    key: str
    label: str
    style: str


def colour(kind: str) -> str:
    """The CSS class of a model kind ("teacher", "mlp", ...), the same in every picture."""
    return COLOURS.get(kind, COLOURS["other"])


def parity(windows: HealthWindows, soh: FloatArray, style: str, title: str) -> str:
    """Estimated against measured SOH in % for every window (an even sample when there are many)."""
    step = max(1, -(-len(windows) // PARITY_DOTS))
    measured, estimated = windows.soh[::step] * 100, soh[::step] * 100
    limits = padded_range(measured, estimated)
    chart = Chart(limits, limits, "measured SOH, %", "estimated SOH, %", title, width=360, height=320)
    return chart.line(limits, limits, "c5", dashed=True).dots(measured, estimated, style).svg()


def life_stages(windows: HealthWindows) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Early, middle and late life: thirds of the SOH range from 100 % (or the best seen) down to EOL, and beyond it."""
    eol = windows.spec.eol
    top = max(float(windows.soh.max()), 1.0) if len(windows) else 1.0
    edges = [np.inf, top - (top - eol) / 3, top - 2 * (top - eol) / 3, eol, -np.inf]
    stages = []
    for name, high, low in zip(("early", "middle", "late", "beyond EOL"), edges, edges[1:], strict=False):
        mask = (windows.soh <= high) & (windows.soh > low)
        if mask.any():
            bounds = f"{low * 100:.0f}–{min(high, top) * 100:.0f} %" if np.isfinite(low) else f"below {eol * 100:.0f} %"
            stages.append((f"{name}, {bounds}", mask))
    return stages


def life_errors(windows: HealthWindows, predictions: Predictions) -> list[dict[str, Any]]:
    """SOH RMSE in percentage points by stage of life: [{stage, windows, soh_rmse_pct: {model: value}}]."""
    rows = []
    for stage, mask in life_stages(windows):
        errors = {
            name: float(np.sqrt(np.mean((p["soh"][mask] - windows.soh[mask]) ** 2)) * 100)
            for name, p in predictions.items()
        }
        rows.append({"stage": stage, "windows": int(mask.sum()), "soh_rmse_pct": errors})
    return rows


def life_bars(rows: Sequence[Mapping[str, Any]], shown: Sequence[Shown]) -> str:
    """Bars of ``life_errors`` for the shown models."""
    grouped = [(row["stage"], [(s.style, row["soh_rmse_pct"][s.key]) for s in shown]) for row in rows]
    return bars(grouped, "pp", "SOH RMSE by stage of life")


def cell_chart(
    windows: HealthWindows,
    cell: int,
    predictions: Predictions,
    shown: Sequence[Shown],
    width: int = 330,
    height: int = 230,
) -> str:
    """SOH of one held-out cell over its life: measured, estimated, and forecast trajectories at three points."""
    rows = np.flatnonzero(windows.cell == cell)
    rows = rows[np.argsort(windows.cycle[rows], kind="stable")]
    thin = rows[:: max(1, -(-len(rows) // LINE_POINTS))]
    cycle, measured = windows.cycle[thin].astype(float), windows.soh[thin] * 100
    estimates = [predictions[s.key]["soh"][thin] * 100 for s in shown]
    horizon = windows.spec.horizon
    chart = Chart(
        (0.0, float(windows.cycle[rows].max()) + horizon),
        padded_range(measured, *estimates, margin=0.08),
        "cycle",
        "SOH, %",
        f"SOH of cell {windows.cells[cell][1]}",
        width=width,
        height=height,
    )
    chart.level(windows.spec.eol * 100, f"EOL {windows.spec.eol * 100:g} %")
    chart.line(cycle, measured, "c0")
    for s, estimate in zip(shown, estimates, strict=True):
        chart.line(cycle, estimate, s.style)
    best = shown[-1]
    for row in rows[[len(rows) // 5, len(rows) // 2, (4 * len(rows)) // 5]]:
        ahead = float(windows.cycle[row]) + np.arange(horizon + 1)
        path = np.concatenate([predictions[best.key]["soh"][row : row + 1], predictions[best.key]["trajectory"][row]])
        chart.line(ahead[::5], path[::5] * 100, "c2", dashed=True)
    return chart.svg()
