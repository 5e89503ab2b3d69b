"""The task ``life``: cycle life and the SOH curve to come, from the discharge curves of the first cycles."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.cells import LifeCell
from edgebat.files import Json
from edgebat.tasks.base import CellCurve, Column, Head, Loaded, Predictions, Scores, Task, flat
from edgebat.tasks.life.score import curve_error_percent, score_predictions
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.tasks.more import MoreWindows


class Life(Task[LifeWindows, LifeSpec]):
    """See the module."""

    name = "life"
    Windows = LifeWindows
    limits = (
        "Early-life curves come from a tester's first cycles; a model of this task runs beside it, not in a vehicle.",
    )
    binding = ("cycles", "base_cycle", "smooth_cycles", "eol", "curve_points", "curve_step")
    columns = (
        Column("rmse", "life RMSE", 1, "cycles"),
        Column("mae", "life MAE", 1, "cycles", brief=False),
        Column("mape", "life MAPE %", 1, "%"),
        Column("rul_rmse", "RUL RMSE", 1, "cycles"),
        Column("soh_rmse", "SOH RMSE", 2, "pp"),
    )
    cell_columns = (Column("life", "life", 0), Column("predicted", "predicted", 0), Column("cells", "cells", 0))
    explanation = "Cycle life and RUL in cycles, SOH of the curve to come in percentage points."
    default_knots = 8
    more_kinds = ("paced",)
    searched: ClassVar[Mapping[str, tuple[int, ...]]] = {"seen_rows": (5, 10, 20), "seen_columns": (10, 20)}

    def heads(self, spec: LifeSpec, knots: int | None = None) -> tuple[Head, ...]:
        """Cycle life, and SOH at knots spread evenly over the cycles that the curve covers."""
        cycles = spec.curve_cycles.astype(float)
        count = knots or self.default_knots
        ahead = tuple(np.linspace(cycles[0], cycles[-1] * KNOTS_UNTIL, count).tolist())
        return (
            Head("life", "cycles", "life", floor=0.0),
            Head("soh_curve", "fraction", "SOH %", ahead, tuple(cycles.tolist()), known_above=ENDED),
        )

    def load(self, corpus: Path, spec: LifeSpec, datasets: Sequence[str] | None = None,
             quality: Sequence[str] | None = None) -> Loaded[LifeWindows]:  # fmt: skip
        """Discharge curves of ``qv/``."""
        from edgebat.data.qv import life_cells

        found = life_cells(corpus, datasets or None)
        names = ", ".join(sorted({cell.key[0] for cell in found}))
        return Loaded(life_windows(found, spec), f"corpus {corpus.name}: {names}", False, _content(found))

    def synthetic(self, spec: LifeSpec, cells: int, max_cycles: int, seed: int) -> Loaded[LifeWindows]:
        """Cells whose discharge curves sink in proportion to how fast they fade."""
        from edgebat.data.synthetic_life import make_life_cells

        made = make_life_cells(cells, max_cycles, seed)
        return Loaded(life_windows(made, spec), f"{cells} made-up cells, seed {seed}", True, _content(made))

    def cut_more(self, cells: Loaded[LifeWindows], spec: LifeSpec, more: MoreWindows) -> LifeWindows:
        """Cells that age more slowly."""
        from edgebat.tasks.life.paced import paced_windows

        return paced_windows(cells.windows, more)

    def score(self, windows: LifeWindows, predictions: Predictions) -> Scores:
        """Errors of cycle life, and of the SOH curve where there is one."""
        found = score_predictions(_with_life(predictions), windows).scores
        return {"windows": len(windows), **found}

    def score_cell(self, windows: LifeWindows, predictions: Predictions) -> Scores:
        """What is measured and predicted of one cell."""
        known = _with_life(predictions)
        row: Scores = {
            "life": float(windows.life[0]) if np.isfinite(windows.life[0]) else None,
            "predicted": round(float(known["life"][0]), 1),
        }
        if "soh_curve" in known:
            spread = known.get("life_spread")
            error = curve_error_percent(known["soh_curve"], windows.curve, windows.spec.eol)
            row |= {} if spread is None else {"predicted_std": round(float(flat(spread)[0]), 1)}
            row["soh_rmse"] = round(error, 3) if error == error else None
        return row

    def ground(self, windows: LifeWindows) -> Json:
        """The chemistries."""
        return {"chemistries": sorted(set(windows.chemistries))}

    def notes(self, windows: LifeWindows, provenance: Mapping[str, Any]) -> list[str]:
        """Chemistries the model has not learnt: its answer looks like any other there."""
        learnt = provenance.get("chemistries") or ()
        strange = Counter(name for name in windows.chemistries if name not in learnt)
        if not learnt or not strange:
            return []
        each = ", ".join(f"{name} {count}" for name, count in sorted(strange.items()))
        return [
            f"the model learnt from {', '.join(learnt)}; {strange.total()} of {len(windows)} cells are of other "
            f"chemistries ({each}): nothing it has seen vouches for its answers there"
        ]

    def parity(self, windows: LifeWindows, predictions: Predictions) -> tuple[FloatArray, FloatArray, str]:
        """Cycle life."""
        return windows.life, flat(predictions["life"]), "cycle life"

    def cell_curve(self, windows: LifeWindows, cell: int, predictions: Mapping[str, Predictions]) -> CellCurve:
        """The measured SOH curve and the predicted ones."""
        cycles = windows.spec.curve_cycles.astype(float)
        measured = np.where(windows.curve[cell] > 0.0, windows.curve[cell] * 100, np.nan)
        seen = np.isfinite(measured)
        predicted = {}
        for key, values in predictions.items():
            if "soh_curve" in values:  # a curve ends where a teacher says so by a value no cell has
                curve = values["soh_curve"][cell]
                shown = seen & (curve > ENDED)
                predicted[key] = (cycles[shown], curve[shown] * 100)
        return CellCurve((cycles[seen], measured[seen]), predicted, [], windows.spec.eol * 100)

    def legend(self, spec: LifeSpec) -> str:
        """Under a table of predictions."""
        return f"life: cycles until {spec.eol * 100:g} %; +n: SOH in % of the first capacity at cycle n."

    def summary(self, spec: LifeSpec) -> str:
        """One phrase."""
        return f"cycle life and SOH curve from the discharge curves of the first {spec.cycles} cycles"

    def facts(self, spec: LifeSpec) -> list[tuple[str, str]]:
        """For a card."""
        blocks = spec.seen_current
        current = f", then {blocks} of the charging current over state of charge, C / 1000" if blocks else ""
        return [
            ("seen", f"discharge Q(V) of cycles 1 to {spec.cycles}, less that of cycle {spec.base_cycle}"),
            ("time steps", f"{spec.seen_rows} means over cycles, {spec.seen_columns} means over voltages{current}"),
            ("end of life", f"{spec.eol * 100:g} %"),
        ]


ENDED = 0.6
"""An SOH curve that falls below has ended; DiffBatt's go to 0 there."""
KNOTS_UNTIL = 0.8
"""Part of the curve's cycles that the knots cover: hardly a cell is watched longer."""


def _with_life(predictions: Predictions) -> dict[str, FloatArray]:
    return {name: flat(values) if name == "life" else values for name, values in predictions.items()}


def _content(cells: Sequence[LifeCell]) -> str:
    digest = hashlib.sha256()
    for cell in cells:
        digest.update("/".join(cell.key).encode())
        for values in (cell.cycle, cell.capacity_ah, cell.curve_cycle, cell.curves_ah):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


TASK = Life()
