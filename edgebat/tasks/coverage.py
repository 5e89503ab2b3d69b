"""How often a model's interval held: over cells, and by what cells and windows have in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgebat.arrays import Bool
from edgebat.interval import BOUNDS, Covered, covered
from edgebat.tasks.base import AnyTask, Predictions, flat
from edgebat.tasks.windows import Windows


def bounded_head(predictions: Predictions) -> str:
    """The head that ``predictions`` bound on both sides; "" where there is none."""
    sides = [{n.removesuffix(f"_{bound}") for n in predictions if n.endswith(f"_{bound}")} for bound in BOUNDS]
    return min((sides[0] & sides[1] & set(predictions)), default="")


def coverage(task: AnyTask, windows: Windows, predictions: Predictions) -> tuple[Covered, ...]:
    """Of all ``windows`` first, then of every data set, rate, temperature, kind of window and stage of life when there are
    several; nothing for predictions without an interval. Windows whose bounds are NaN, which a device refuses, do not
    count."""
    head = bounded_head(predictions)
    if not head:
        return ()
    low, high = (flat(np.asarray(predictions[f"{head}_{bound}"], np.float64)) for bound in BOUNDS)
    measured = flat(np.asarray(windows.targets()[head], np.float64))
    found = []
    for group, mask in (("", np.ones(len(windows), np.bool_)), *_groups(task, windows)):
        one = covered(low[mask], high[mask], measured[mask], windows.cell[mask], group)
        found += [] if one is None else [one]
    return tuple(found)


def _groups(task: AnyTask, windows: Windows) -> Iterator[tuple[str, Bool]]:
    """(name, mask [N]) where there are two or more of a kind."""
    kinds = (
        windows.dataset,
        np.array([_named(c.charge_rate_c, "C") for c in windows.conditions])[windows.cell],
        np.array([_named(c.temperature_degc, " degC") for c in windows.conditions])[windows.cell],
    )
    for labels in kinds:
        names = sorted({str(label) for label in labels} - {""})
        if len(names) > 1:
            yield from ((name, np.asarray(labels == name)) for name in names)
    yield from task.groups(windows)
    stages = task.stages(windows)
    if len(stages) > 1:
        yield from stages


def _named(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g}{unit}"
