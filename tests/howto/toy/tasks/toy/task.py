"""The toy task: heads, scores, and what its charts and tables show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.errors import DataError
from edgebat.tasks.base import CellCurve, Column, Head, Loaded, Predictions, Scores, Task, flat
from edgebat.tasks.toy.windows import ToySpec, ToyWindows, made_up


class Toy(Task[ToyWindows, ToySpec]):
    """See the module."""

    name = "toy"
    Windows = ToyWindows
    columns = (Column("soh_rmse_pct", "SOH RMSE", 3, "pp"), Column("left_mae_cycles", "cycles left MAE", 1, "cycles"))
    explanation = "SOH in percentage points of nominal capacity."

    def heads(self, spec: ToySpec, knots: int | None = None) -> tuple[Head, ...]:
        return Head("soh", "fraction", "SOH %"), Head("left", "cycles", "left", floor=0.0, weight=0.5)

    def load(self, corpus: Path, spec: ToySpec, datasets: Sequence[str] | None = None,
             quality: Sequence[str] | None = None) -> Loaded[ToyWindows]:  # fmt: skip
        raise DataError(f"{corpus}: the toy task knows made-up cells alone")

    def synthetic(self, spec: ToySpec, cells: int, max_cycles: int, seed: int) -> Loaded[ToyWindows]:
        windows = made_up(spec, cells, seed)
        return Loaded(windows, f"{cells} toy cells", True, windows.digest())

    def score(self, windows: ToyWindows, predictions: Predictions) -> Scores:
        soh, left = flat(predictions["soh"]) - windows.soh, flat(predictions["left"]) - windows.left
        return {
            "windows": len(windows),
            "soh_rmse_pct": float(np.sqrt(np.mean(np.square(soh * 100)))),
            "left_mae_cycles": float(np.abs(left).mean()),
        }

    def parity(self, windows: ToyWindows, predictions: Predictions) -> tuple[FloatArray, FloatArray, str]:
        return windows.soh * 100, flat(predictions["soh"]) * 100, "SOH, %"

    def cell_curve(self, windows: ToyWindows, cell: int, predictions: Mapping[str, Predictions]) -> CellCurve:
        rows = windows.cell == cell
        cycle = windows.cycle[rows].astype(float)
        predicted = {key: (cycle, flat(values["soh"])[rows] * 100) for key, values in predictions.items()}
        return CellCurve((cycle, windows.soh[rows] * 100), predicted, [], windows.spec.eol * 100)

    def legend(self, spec: ToySpec) -> str:
        return f"left: cycles until {spec.eol * 100:g} %."

    def summary(self, spec: ToySpec) -> str:
        return f"SOH and cycles left from {spec.charges} charges"

    def facts(self, spec: ToySpec) -> list[tuple[str, str]]:
        return [("history", f"{spec.charges} charges")]


TASK = Toy()
