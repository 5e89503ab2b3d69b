"""What a model of any kind estimates, as named columns in percent and cycles. NumPy only; ``to_frame`` needs pandas.

Names are those of ``edgebat predict --json``: head and unit, as ``soh_percent``, ``trajectory_percent``, ``rul_cycles``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Array, Bool, FloatArray, Int64
from edgebat.cells import CellKey
from edgebat.errors import require
from edgebat.graph import IntGraph
from edgebat.predict import UNIT_SUFFIX, Prediction
from edgebat.tasks.base import AnyTask, FileInputs, Predictions, flat, task_of
from edgebat.tasks.windows import Definition, Windows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Estimates:
    """Estimates for N windows. ``estimates["soh_percent"]`` is a vector [N], or [N, K] where values stand K cycles ahead."""

    cycle: Int64
    """[N] last cycle of each window; its index for bare windows."""
    values: Mapping[str, FloatArray]
    """Column -> float64 [N], or [N, K] at the cycles of ``ahead``; NaN where nothing is known."""
    ahead: Mapping[str, tuple[float, ...]]
    """Column of several values -> the K cycles ahead that they stand at."""
    extrapolated: Bool
    """[N] a device gives no estimate for the window, for it is unlike those the model has learnt from; all values are NaN.
    Known of int8 models alone."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> cycles that gave no window."""
    remarks: tuple[str, ...] = ()
    """How a file was read: what was guessed, and what was left out."""
    cells: tuple[CellKey, ...] = ()
    """(dataset, cell_id) of the cells of a fleet; empty for a file."""
    cell: Int64 | None = None
    """[N] index into ``cells``."""

    def __len__(self) -> int:
        return len(self.cycle)

    def __getitem__(self, column: str) -> FloatArray:
        return self.values[column]

    def columns(self) -> dict[str, Array]:
        """Every column as a vector [N]: ``dataset`` and ``cell_id`` of a fleet, ``cycle``, the values (one of several is
        called ``trajectory_percent_+10``), ``extrapolated``."""
        found: dict[str, Array] = {}
        if self.cell is not None:
            for index, name in enumerate(("dataset", "cell_id")):
                found[name] = np.array([key[index] for key in self.cells], dtype=object)[self.cell]
        found["cycle"] = self.cycle
        for name, values in self.values.items():
            ahead = self.ahead.get(name)
            found |= {name: values} if ahead is None else {f"{name}_+{n:g}": values[:, k] for k, n in enumerate(ahead)}
        return found | {"extrapolated": self.extrapolated}

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per window. Raises MissingExtra without pandas."""
        frame: pd.DataFrame = require("pandas", extra="data").DataFrame(self.columns())
        return frame


def device_estimates(graph: IntGraph, prediction: Prediction) -> Estimates:
    """What an int8 model predicts, with the digits that a device gives out: 0.01 % and whole cycles."""
    task, spec = task_of(graph.meta.get("task"), f"model {graph.name!r}")
    values: dict[str, FloatArray] = {}
    ahead = {}
    for head in prediction.outputs.heads:
        suffix, divisor = UNIT_SUFFIX[head.unit]
        name = f"{head.name}_{suffix}"
        scaled = np.where(prediction.outside[:, None], np.nan, prediction[head.name] / divisor)
        values[name] = scaled if head.ahead else scaled[:, 0]
        if head.ahead:
            ahead[name] = head.ahead
    derived = task.derived(spec, prediction.outputs.physical())
    values |= {name: np.where(prediction.outside, np.nan, found) for name, found in derived.items()}
    return Estimates(prediction.cycle, values, ahead, prediction.outside, prediction.left_out, prediction.remarks)


def physical_estimates(task: AnyTask, spec: Definition, predictions: Predictions, found: FileInputs) -> Estimates:
    """What a teacher or float student predicts of the inputs ``found``, at every cycle of a head's grid."""
    heads = {head.name: head for head in task.heads(spec)}
    values: dict[str, FloatArray] = {}
    ahead = {}
    for name, answer in predictions.items():
        if name not in heads:
            continue
        suffix = UNIT_SUFFIX[heads[name].unit][0]
        scaled = np.asarray(answer, dtype=np.float64) * (100.0 if suffix == "percent" else 1.0)
        values[f"{name}_{suffix}"] = scaled if heads[name].grid else flat(scaled)
        if heads[name].grid:
            ahead[f"{name}_{suffix}"] = heads[name].grid
    # What follows from the predictions asks for all of them.
    values |= task.derived(spec, predictions) if heads.keys() <= predictions.keys() else {}
    unknown = np.zeros(len(found.cycle), dtype=np.bool_)
    return Estimates(found.cycle, values, ahead, unknown, found.left_out, found.remarks)


def of_windows(estimates: Estimates, windows: Windows) -> Estimates:
    """The same with the cells of the windows."""
    cell = np.asarray(windows.cell, dtype=np.int64)
    return replace(estimates, left_out=windows.left_out, cells=tuple(windows.cells), cell=cell)
