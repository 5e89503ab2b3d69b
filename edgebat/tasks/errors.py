"""Errors of a model cell by cell, for whoever compares models. NumPy only."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float64
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.windows import Windows


def errors_by_cell(task: AnyTask, windows: Windows, predictions: Predictions) -> Float64:
    """The figure that models are ranked by, of each cell of ``windows``, [cells]; NaN where a cell has none."""
    errors = np.full(len(windows.cells), np.nan)
    for index in range(len(windows.cells)):
        own = windows.cell == index
        score = task.score(windows.select(own), {head: np.asarray(rows)[own] for head, rows in predictions.items()})
        value = score.get(task.columns[0].key)
        errors[index] = np.nan if value is None else value
    return errors
