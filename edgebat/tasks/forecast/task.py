"""The task ``forecast``: the capacities of the next cycles from those of the last ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgebat.arrays import Bool, Float64, FloatArray, Int64
from edgebat.cells import CapacityHistory, Condition
from edgebat.errors import DataError
from edgebat.tasks.base import (
    CellCurve,
    Column,
    FileInputs,
    FileOptions,
    Head,
    Loaded,
    Predictions,
    Scores,
    Task,
    even_knots,
    life_stages,
)
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import LINES, LINES24, cycles_to_eol, eol_scores, relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, capacity_histories, forecast_windows
from edgebat.tasks.more import MoreWindows

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet

FIGURES = ("mae_pct", "rmse_pct", "mape_pct")


class Forecast(Task[ForecastWindows, ForecastSpec]):
    """See the module."""

    name = "forecast"
    Windows = ForecastWindows
    limits = (
        "A forecast continues what the last cycles show; a cell that is used otherwise from now on ages otherwise.",
        "Cycles to EOL are given only where the forecast reaches it. On data sets no model has seen many ends are missed, "
        "and some are given a hundred cycles too soon.",
    )
    binding = ("horizon",)
    columns = (
        Column("mae_pct", "MAE %", 3, "% of nominal"),
        Column("rmse_pct", "RMSE %", 3, "% of nominal", brief=False),
        Column("mape_pct", "MAPE %", 3, "%"),
        Column("eol_missed_pct", "EOL missed", 0, "%"),
        Column("eol_mae_cycles", "EOL MAE", 1, "cycles"),
    )
    explanation = (
        "In percent of nominal capacity (MAPE: of the value); data sets count alike, and their cells. EOL missed: of the "
        "windows whose cell reaches EOL within the horizon, those whose forecast does not; EOL MAE: how far off, in "
        "cycles, the forecasts are that do."
    )
    default_knots = 8
    searched: ClassVar[Mapping[str, tuple[int, ...]]] = {"seen_cycles": (48, 96, 144)}
    searched_knots = (4, 6, 8, 12)
    relative_input = True
    more_kinds = ("paced",)

    def heads(self, spec: ForecastSpec, knots: int | None = None) -> tuple[Head, ...]:
        """The level now without its noise, the capacities to come as knots that begin there."""
        ahead = even_knots(spec.horizon, knots or self.default_knots)
        grid = tuple(float(n) for n in range(1, spec.horizon + 1))
        return (
            Head("level", "fraction", "now %", relative=True, scale="trajectory"),
            Head(
                "trajectory", "fraction", "capacity %", ahead, grid, start="level", relative=True, absolute_error=True
            ),
        )

    def inputs_of_file(self, path: Path, spec: ForecastSpec, how: FileOptions) -> FileInputs:
        """A capacity history: a CSV or parquet file with the columns ``cycle`` and ``capacity_ah``, or others named by the
        mapping."""
        from edgebat.data.columns import parquet_columns
        from edgebat.data.readers.history import read_history

        if path.suffix == ".parquet":
            return self.inputs_of_columns(parquet_columns(path), spec, how, path.name)
        return self._inputs(path, *read_history(path, how.mapping), spec, how)

    def inputs_of_columns(
        self, columns: Mapping[str, FloatArray], spec: ForecastSpec, how: FileOptions, name: str = "arrays"
    ) -> FileInputs:
        """The same of arrays ``cycle`` and ``capacity_ah``."""
        from edgebat.data.columns import history_of_columns

        return self._inputs(Path(name), *history_of_columns(columns, how.mapping, name), spec, how)

    def _inputs(
        self, path: Path, cycle: Int64, capacity_ah: Float64, spec: ForecastSpec, how: FileOptions
    ) -> FileInputs:
        if not how.nominal_ah:
            raise DataError(
                f"{path}: a capacity history needs the nominal capacity; give --nominal-ah, for example 3.5"
            )
        history = CapacityHistory(
            (path.stem, ""), "", Condition(path.stem), how.nominal_ah, cycle, capacity_ah / how.nominal_ah
        )
        windows = forecast_windows([history], replace(spec, min_targets=0, whole_horizon=False, stride=1))
        if not len(windows):
            raise DataError(
                f"{path} gives no complete window: {len(cycle)} cycles with a capacity, {spec.min_rows} of them within at "
                f"least {spec.min_history} cycles are needed, without a gap over {spec.max_gap} cycles"
            )
        return FileInputs(windows.inputs(), windows.cycle.astype(np.int64), windows.left_out)

    def load(self, corpus: Path, spec: ForecastSpec, datasets: Sequence[str] | None = None,
             quality: Sequence[str] | None = None) -> Loaded[ForecastWindows]:  # fmt: skip
        """Capacities of ``capacity.parquet``; rows of quality C are left out unless asked for."""
        from edgebat.data.corpus import read_corpus

        return self.of_fleet(read_corpus(corpus, datasets), spec, quality)

    def of_fleet(
        self, fleet: Fleet, spec: ForecastSpec, quality: Sequence[str] | None = None
    ) -> Loaded[ForecastWindows]:
        """Capacities of a fleet; rows of quality C are left out unless asked for."""
        grades = set(quality) if quality else {str(grade) for grade in fleet.cells["quality"]} - {"C"}
        fleet = fleet.select(quality=grades) if grades else fleet
        windows = forecast_windows(capacity_histories(fleet, spec.label_kinds), spec)
        if not len(windows):
            raise DataError(
                f"{fleet.source} has no cell with {spec.min_history} measured cycles and {spec.horizon} more to forecast; "
                f"left out: {windows.left_out}"
            )
        return Loaded(windows, fleet.source, fleet.synthetic, fleet.fingerprint, fleet)

    def cut_more(self, cells: Loaded[ForecastWindows], spec: ForecastSpec, more: MoreWindows) -> ForecastWindows:
        """Cells that age at another pace."""
        from edgebat.tasks.forecast.paced import paced_windows

        return paced_windows(capacity_histories(cells.curves, spec.label_kinds), spec, more)

    def synthetic(self, spec: ForecastSpec, cells: int, max_cycles: int, seed: int) -> Loaded[ForecastWindows]:
        """Made-up capacity curves of many shapes."""
        curves = fade_curves(cells, seed)
        content = hashlib.sha256(b"".join(curve.capacity.tobytes() for curve in curves)).hexdigest()
        return Loaded(forecast_windows(curves, spec), f"{cells} made-up capacity curves, seed {seed}", True, content)

    def score(self, windows: ForecastWindows, predictions: Predictions) -> Scores:
        """Means over windows of a cell, cells of a dataset, then datasets."""
        found = score_forecasts(windows, predictions["trajectory"])["datasets"].values()
        eol = self.derived(windows.spec, predictions)["eol_cycles"]
        return {
            "windows": len(windows),
            **{name: float(np.mean([row[name] for row in found])) if found else None for name in FIGURES},
            **eol_scores(eol, windows.rul, windows.spec.horizon),
        }

    def derived(self, spec: ForecastSpec, predictions: Predictions) -> dict[str, FloatArray]:
        """``eol_cycles`` [N]: whole cycles to the first value below EOL, NaN where the trajectory does not reach it."""
        return {"eol_cycles": cycles_to_eol(predictions["trajectory"], spec.eol)}

    def beside(
        self, windows: ForecastWindows, predictions: Predictions, baselines: Mapping[str, Predictions]
    ) -> list[str]:
        """The MAE over that of the best line, per dataset and on average."""

        def mae(answer: Predictions) -> dict[str, float]:
            found = score_forecasts(windows, answer["trajectory"])["datasets"]
            return {name: float(row["mae_pct"]) for name, row in found.items()}

        lines = {name: mae(baselines[name]) for name in LINES24 if name in baselines}
        if set(lines) != set(LINES24):
            return []
        ratio, ratio24 = (relative_error(mae(predictions), {n: lines[n] for n in names}) for names in (LINES, LINES24))
        each = ", ".join(f"{name} {value:.2f}" for name, value in ratio.items() if name != "mean")
        return [
            f"MAE, mean over {len(ratio) - 1} data sets: {ratio['mean']:.2f} of the best of persistence and the lines "
            f"through 48 and all cycles; {ratio24['mean']:.2f} when the line through 24 cycles competes too ({each})"
        ]

    def stages(self, windows: ForecastWindows) -> list[tuple[str, Bool]]:
        """Thirds of the SOH range from 100 % (or the best seen) down to EOL, and beyond it."""
        return life_stages(windows.x[:, -1], windows.spec.eol)

    def parity(self, windows: ForecastWindows, predictions: Predictions) -> tuple[FloatArray, FloatArray, str]:
        """The change of capacity over the horizon."""
        last = windows.x[:, -1]
        return (
            (windows.y[:, -1] - last) * 100,
            (predictions["trajectory"][:, -1] - last) * 100,
            f"change over {windows.spec.horizon} cycles, % of nominal",
        )

    def cell_curve(self, windows: ForecastWindows, cell: int, predictions: Mapping[str, Predictions]) -> CellCurve:
        """Capacity over cycles; of each model its value at the end of the horizon, and three forecasts of the last model."""
        rows = np.flatnonzero(windows.cell == cell)
        rows = rows[np.argsort(windows.cycle[rows], kind="stable")]
        horizon = windows.spec.horizon
        end = windows.cycle[rows].astype(float) + horizon
        last = list(predictions.values())[-1]
        forecasts = []
        for row in rows[[len(rows) // 5, len(rows) // 2, (4 * len(rows)) // 5]]:
            ahead = float(windows.cycle[row]) + np.arange(horizon + 1)
            forecasts.append((ahead, np.concatenate([windows.x[row, -1:], last["trajectory"][row]]) * 100))
        predicted = {key: (end, values["trajectory"][rows, -1] * 100) for key, values in predictions.items()}
        measured = windows.cycle[rows].astype(float), windows.x[rows, -1] * 100
        return CellCurve(measured, predicted, forecasts, windows.spec.eol * 100)

    def legend(self, spec: ForecastSpec) -> str:
        """Under a table of predictions."""
        return (
            f"now, +n: capacity in % of nominal, now and n cycles ahead; eol_cycles: until {spec.eol * 100:g} %, "
            f"- beyond {spec.horizon}."
        )

    def summary(self, spec: ForecastSpec) -> str:
        """One phrase."""
        return f"the capacities of the next {spec.horizon} cycles from the last {spec.seen_cycles} ones"

    def facts(self, spec: ForecastSpec) -> list[tuple[str, str]]:
        """For a card."""
        return [
            ("history", f"{spec.seen_cycles} cycles for a student, {spec.context} for a teacher"),
            ("forecast", f"{spec.horizon} cycles"),
            ("100 % is", "nominal capacity"),
            ("end of life", f"{spec.eol * 100:g} %"),
        ]


TASK = Forecast()
