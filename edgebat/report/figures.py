"""The pictures of the report, made from predictions on held-out windows; a task says what they show. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, FloatArray
from edgebat.report.results import DomainPoints, LossCurve, StageErrors
from edgebat.report.svg import Chart, bars, padded_range
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.windows import Windows

PARITY_DOTS = 1500
LINE_POINTS = 160
FAR_APART = 20
COLOURS = {
    "measured": "c0",
    "teacher": "c3",
    "mlp": "c4",
    "cnn": "c7",
    "lstm": "c1",
    "gru": "c8",
    "baseline": "c5",
    "second baseline": "c6",
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


def rows_of(predictions: Predictions, mask: Bool) -> dict[str, FloatArray]:
    """The rows of ``mask`` [N] of everything that is predicted."""
    return {head: values[mask] for head, values in predictions.items()}


def parity(task: AnyTask, windows: Windows, predictions: Predictions, style: str, title: str) -> str:
    """Estimated against measured for every window (an even sample when there are many)."""
    measured, estimated, what = task.parity(windows, predictions)
    known = np.flatnonzero(np.isfinite(measured))
    known = known[:: max(1, -(-len(known) // PARITY_DOTS))]
    measured, estimated = measured[known], estimated[known]
    limits = padded_range(measured, estimated)
    chart = Chart(limits, limits, f"measured {what}", f"estimated {what}", title, width=360, height=320)
    return chart.line(limits, limits, "c5", dashed=True).dots(measured, estimated, style).svg()


def stage_errors(task: AnyTask, windows: Windows, predictions: Mapping[str, Predictions]) -> list[StageErrors]:
    """The figure that models are ranked by, by stage of life."""
    key = task.columns[0].key
    rows: list[StageErrors] = []
    for stage, mask in task.stages(windows):
        part = windows.select(mask)
        errors = {name: task.score(part, rows_of(p, mask))[key] for name, p in predictions.items()}
        rows.append({"stage": stage, "windows": int(mask.sum()), "errors": errors})
    return rows


def stage_bars(rows: Sequence[StageErrors], shown: Sequence[Shown], task: AnyTask) -> str:
    """Bars of ``stage_errors`` for the shown models."""
    grouped = [(row["stage"], [(s.style, value) for s in shown if (value := row["errors"][s.key]) is not None])
               for row in rows]  # fmt: skip
    return bars(grouped, task.columns[0].unit, f"{task.columns[0].title} by stage of life")


def loss_chart(curve: LossCurve) -> str:
    """Losses of one training over its epochs: training dashed, validation solid; logarithms where they are far apart."""
    epoch = np.array(curve["epoch"], dtype=float)
    losses, label = np.array([curve["train"], curve["val"]], dtype=float), "loss"
    known = losses[np.isfinite(losses)]
    if known.size and known.min() > 0 and known.max() > FAR_APART * known.min():
        losses, label = np.log10(losses), "loss, log10"
    chart = Chart(
        (0.0, float(epoch.max())), padded_range(losses), "epoch", label, f"losses of {curve['label']}", 330, 200
    )
    return chart.line(epoch, losses[0], "c5", dashed=True).line(epoch, losses[1], "c1").svg()


def domain_chart(points: DomainPoints, title: str) -> str:
    """Errors over the domain score, as its square root: a distance; what lies right of the dashed line is refused."""
    score, error = np.sqrt(np.array(points["score"], dtype=float)), np.array(points["error"], dtype=float)
    limit = float(np.sqrt(points["limit"]))
    right, top = max(float(score.max(initial=0.0)), 1.2 * limit), float(np.nanmax(error, initial=0.0)) or 1.0
    chart = Chart((0.0, 1.05 * right), (0.0, 1.05 * top), "distance from the training data, steps of the input",
                  f"error of {points['what'].replace(', %', ', points')}", title, 420, 260)  # fmt: skip
    inside = score <= limit
    chart.dots(score[inside], error[inside], "c1", 2.0).dots(score[~inside], error[~inside], "c2", 2.0)
    return chart.line((limit, limit), (0.0, 1.05 * top), "c5", dashed=True).svg()


def cell_chart(
    task: AnyTask,
    windows: Windows,
    cell: int,
    predictions: Mapping[str, Predictions],
    shown: Sequence[Shown],
    size: tuple[int, int] = (330, 230),
) -> str:
    """One held-out cell over its life: measured, estimated, and some forecasts of the last model shown."""
    curve = task.cell_curve(windows, cell, {s.key: predictions[s.key] for s in shown})
    (cycle, measured), step = curve.measured, max(1, -(-len(curve.measured[0]) // LINE_POINTS))
    lines = {key: (x[::step], y[::step]) for key, (x, y) in curve.predicted.items()}
    ends = [float(x[-1]) for x, _ in (*curve.predicted.values(), *curve.forecasts, curve.measured) if len(x)]
    chart = Chart(
        (0.0, max(ends, default=1.0)),
        padded_range(measured, *(y for _, y in lines.values()), *(curve.bounds or ())[1:], margin=0.08),
        "cycle",
        f"{curve.quantity}, %",
        f"{curve.quantity} of cell {windows.cells[cell][1]}",
        width=size[0],
        height=size[1],
    )
    if curve.bounds is not None:
        x, low, high = (values[::step] for values in curve.bounds)
        chart.band(x, low, high, shown[-1].style)
    chart.level(curve.end_percent, f"EOL {curve.end_percent:g} %")
    chart.line(cycle[::step], measured[::step], "c0")
    for s in shown:
        if s.key in lines:
            chart.line(*lines[s.key], s.style)
    for ahead, path in curve.forecasts:
        chart.line(ahead[::5], path[::5], "c2", dashed=True)
    return chart.svg()
