"""Which of a run's int8 students to take, and whether the teacher has anything to do with it. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.files import Json
from edgebat.interval import Covered
from edgebat.report.paired import Paired, paired
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.coverage import coverage
from edgebat.tasks.errors import errors_by_cell
from edgebat.tasks.windows import Windows


@dataclass(frozen=True)
class Choice:
    """Keys of accuracy rows, and the reason in words."""

    best: str
    """The int8 student with the smallest error, taught or not."""
    best_taught: str
    """The best of those that learned from the teacher; these are exported."""
    text: str


SHORT = 0.03
"""By how much less than promised an interval may hold on a few cells and still count as held."""


def choose(
    task: AnyTask,
    rows: Sequence[Json],
    windows: Windows,
    predictions: Mapping[str, Predictions],
    asked: float = 0.0,
) -> Choice:
    """The choice among the accuracy ``rows``, by the figure that models are ranked by, on the held-out ``windows``.

    asked: the share of windows that intervals were made for. Then the narrowest interval among those that held so often is
    the best, and the error decides only where none held.
    """
    if asked:
        held = {row["key"]: _held(task, windows, predictions, row["key"]) for row in rows if row["form"] == "int8"}
        found = {key: one for key, one in held.items() if one is not None and one.coverage >= asked - SHORT}
        if found:
            return _at_coverage(rows, found, asked)
    rank = task.columns[0]
    int8 = [row for row in rows if row["form"] == "int8"]

    def error(row: Json) -> float:
        return float("inf") if row[rank.key] is None else float(row[rank.key])

    taught = min((row for row in int8 if row["learned_from"] == "teacher"), key=error)
    alone = min((row for row in int8 if row["learned_from"] != "teacher"), key=error)
    # Of two alike the taught one: it is exported already.
    best, other = (alone, taught) if error(alone) < error(taught) else (taught, alone)
    file = f"models/{best['key'].removesuffix('_int8')}.ebat"
    figures = [
        f"{row[rank.key]:.{rank.digits}f} {rank.unit}" if row[rank.key] is not None else "none" for row in (best, other)
    ]
    difference = _difference(task, windows, predictions, best["key"], other["key"])
    helped = "with the teacher" if best is taught else "without the teacher"
    text = (
        f"Take the {best['label']} trained {helped}, {file}: {rank.title} {figures[0]}, the smallest of all int8 students; "
        f"the best {'without' if best is taught else 'with'} the teacher, {other['label']}, has {figures[1]}. {difference}"
    )
    simpler = [row for row in rows if row["role"] == "baseline" and error(row) < error(best)]
    if simpler:
        figures = [f"{row['label']} {row[rank.key]:.{rank.digits}f}" for row in simpler]
        text += f" Baselines that are better still: {', '.join(figures)}."
    if best is alone:
        text += f" The run exports taught students alone; this one: edgebat export RUN_FOLDER/{file}"
    return Choice(best["key"], taught["key"], text)


def _difference(task: AnyTask, windows: Windows, predictions: Mapping[str, Predictions], best: str, other: str) -> str:
    """Whether the two differ by more than chance."""
    a, b = (errors_by_cell(task, windows, predictions[key]) for key in (best, other))
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return "No held-out cell can tell whether that is chance."
    found: Paired = paired(a[known], b[known])
    cells = f"smaller on {found.better} of {found.cells} held-out cells"
    if found.shown:
        return f"The difference is more than chance ({cells}, p {found.p:.2g})."
    return f"The difference may be chance ({cells}, p {found.p:.2g})."


def _held(task: AnyTask, windows: Windows, predictions: Mapping[str, Predictions], key: str) -> Covered | None:
    return next(iter(coverage(task, windows, predictions[key])), None)


def _at_coverage(rows: Sequence[Json], held: Mapping[str, Covered], asked: float) -> Choice:
    """The narrowest of the intervals that held."""
    by_key = {row["key"]: row for row in rows}
    best = min(held, key=lambda key: held[key].width)
    taught = [key for key, row in by_key.items() if row["form"] == "int8" and row["learned_from"] == "teacher"]
    best_taught = min(taught, key=lambda key: held[key].width if key in held else float("inf"))
    alone, file = best not in taught, f"models/{best.removesuffix('_int8')}.ebat"
    figures = [f"{_name(by_key[key])} {_wide(held[key])}" for key in sorted(held, key=lambda key: held[key].width)]
    missed = [_name(row) for row in rows if row["form"] == "int8" and row["key"] not in held]
    text = (
        f"Take the {_name(by_key[best])}, {file}: of the intervals that held on {asked - SHORT:.0%} of the windows or more "
        f"({asked:.0%} asked for, mean over {held[best].cells} held-out cells), the narrowest: {'; '.join(figures)}."
    )
    if missed:
        text += f" Intervals that did not hold: {', '.join(missed)}."
    if alone:
        text += f" The run exports taught students alone; this one: edgebat export RUN_FOLDER/{file}"
    return Choice(best, best_taught, text)


def _name(row: Json) -> str:
    return f"{row['label']} trained {'with' if row['learned_from'] == 'teacher' else 'without'} the teacher"


def _wide(found: Covered) -> str:
    width = f"{100 * found.width:.2f} points" if found.width < 1.0 else f"{found.width:.0f} cycles"
    return f"{width} ({found.coverage:.1%}, worst cell {found.worst:.0%})"
