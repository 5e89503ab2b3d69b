"""The task ``health``: SOH now, the capacities to come and the cycles left, from pieces of recent charges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Bool, Float32, FloatArray, Int64
from edgebat.errors import DataError, OutsideGround
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
    flat,
    life_stages,
)
from edgebat.tasks.health.any_window import by_read_from
from edgebat.tasks.health.charges import Charges, read_windows
from edgebat.tasks.health.spec import OF_ANY, HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.tasks.more import MoreWindows

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet
    from edgebat.data.readers.raw import RawCell

REFERENCES = {
    "nominal": "nominal capacity",
    "first": "the first measured capacity",
    "rated_min": "the rated minimum capacity",
    "mean_first_k": "the mean of the first measured capacities",
}


class Health(Task[HealthWindows, HealthSpec]):
    """See the module."""

    name = "health"
    Windows = HealthWindows
    limits = (
        "SOH is an estimate from a constant-current charge through the voltage window; a cell that is never charged through "
        "it gets no estimate.",
    )
    binding = tuple(
        field.name for field in dataclasses.fields(HealthSpec) if field.name not in ("charge_rate", *OF_ANY)
    )
    """A teacher reads the increments of one window alone."""
    more_kinds = ("unlabelled", "shifted", "stretched")
    columns = (
        Column("soh_rmse_pct", "SOH RMSE", 3, "pp"),
        Column("soh_mae_pct", "SOH MAE", 3, "pp", brief=False),
        Column("trajectory_rmse_pct", "trajectory", 3, "pp"),
        Column("rul_rmse_cycles", "RUL RMSE", 1, "cycles"),
    )
    domain_scored = True
    explanation = "SOH and trajectory in percentage points of the reference capacity, RUL in cycles."

    def heads(self, spec: HealthSpec, knots: int | None = None) -> tuple[Head, ...]:
        """SOH; the trajectory as knots that begin at it; RUL."""
        ahead = even_knots(spec.horizon, knots or self.default_knots)
        grid = tuple(float(n) for n in range(1, spec.horizon + 1))
        return (
            Head("soh", "fraction", "SOH %"),
            Head("trajectory", "fraction", "SOH %", ahead, grid, start="soh", scale="soh"),
            Head("rul", "cycles", "RUL", floor=0.0, weight=0.5),
        )

    def inputs_of_file(self, path: Path, spec: HealthSpec, how: FileOptions) -> FileInputs:
        """Charge increments of the cycles in a cycler file of any kind that edgebat reads."""
        from edgebat.data.readers import read_cell

        return self._inputs(read_cell(path, how.mapping, how.sign, how.nominal_ah), spec, how)

    def inputs_of_columns(
        self, columns: Mapping[str, FloatArray], spec: HealthSpec, how: FileOptions, name: str = "arrays"
    ) -> FileInputs:
        """The same of samples ``time_s``, ``voltage_v``, ``current_a`` and, where known, ``cycle``, ``temperature_degc``."""
        from edgebat.data.columns import cell_of_columns

        return self._inputs(cell_of_columns(columns, how.mapping, how.sign, how.nominal_ah, name), spec, how)

    def _inputs(self, cell: RawCell, spec: HealthSpec, how: FileOptions) -> FileInputs:
        from edgebat.data.plausible import VOLTAGE_REMEDY, voltage_fault
        from edgebat.data.readers.quality import held_voltage, two_cells

        nominal = how.nominal_ah or cell.nominal_ah
        if not nominal:
            raise DataError(
                f"{cell.source} does not state the nominal capacity; give it with --nominal-ah, for example 3.5"
            )
        seam = two_cells(cell, nominal)
        found, x, cycle = read_windows(cell, nominal, spec, how, seam.cycle if seam else None)
        suspicion = found.suspicion(how.ground)
        if not len(x):
            reasons = ", ".join(f"{count} cycles: {reason}" for reason, count in sorted(found.left_out.items()))
            fault = None if found.cycle or found.refused else voltage_fault(cell.voltage_v)
            unit = f"; {fault}. If so, say {VOLTAGE_REMEDY}" if fault else ""
            known = " as the model knows it" if found.refused else ""
            lacking = (
                f"{len(found.cycle)} cycles charge through {spec.window_start_v:g} to {spec.window_end_v:g} V{known}, "
                f"{spec.context} neighbouring ones are needed{_apart(cell, found, spec)}"
                if spec.one_window
                else f"no cycle charges through one that begins at {spec.starts_v[0]:g} to {spec.starts_v[-1]:g} V{known}"
            )
            text = f"{cell.source} gives no complete window: {lacking} ({reasons or 'none left out'}){unit}"
            # Without its limits the model would have been asked: the data are sound, and not the model's.
            needed = spec.context if spec.one_window else 1
            if len(found.cycle) + found.refused.total() >= needed and found.refused and not _apart(cell, found, spec):
                raise OutsideGround(f"{text}. Suspected: {suspicion}")
            raise DataError(text)
        doubt = (
            f"WARNING: {seam}: two cells in one file? No estimate is of both, and a file for each is safer"
            if seam
            else ""
        )
        degrees = how.ground.rows.temperature_ddegc
        unread = (
            f"no temperature in the file, the model knows {degrees[0] / 10:g} to {degrees[1] / 10:g} degC"
            if degrees and cell.temperature_degc is None
            else ""
        )
        remarks = (*cell.remarks, *(text for text in (doubt, held_voltage(cell), unread) if text))
        return FileInputs(x, cycle, dict(found.left_out), remarks, suspicion)

    def load(self, corpus: Path, spec: HealthSpec, datasets: Sequence[str] | None = None,
             quality: Sequence[str] | None = None) -> Loaded[HealthWindows]:  # fmt: skip
        """Charge curves of ``segments/``."""
        from edgebat.data.corpus import read_corpus

        return self.of_fleet(read_corpus(corpus, datasets), spec, quality)

    def of_fleet(self, fleet: Fleet, spec: HealthSpec, quality: Sequence[str] | None = None) -> Loaded[HealthWindows]:
        """Charge curves of a fleet."""
        fleet = fleet.select(quality=quality)
        return Loaded(health_windows(fleet, spec), fleet.source, fleet.synthetic, fleet.fingerprint, fleet)

    def synthetic(self, spec: HealthSpec, cells: int, max_cycles: int, seed: int) -> Loaded[HealthWindows]:
        """The synthetic fleet."""
        from edgebat.data.synthetic import make_fleet

        return self.of_fleet(make_fleet(seed, cells, max_cycles), spec)

    def cut_more(self, cells: Loaded[HealthWindows], spec: HealthSpec, more: MoreWindows) -> HealthWindows:
        """Charges without a capacity, moved in voltage, or thinned out."""
        from edgebat.tasks.health.more_windows import more_windows

        return more_windows(cells.curves, spec, more)

    def score(self, windows: HealthWindows, predictions: Predictions) -> Scores:
        """SOH and trajectory errors in percentage points. RUL is scored before EOL only, on cells whose EOL was observed:
        after it the answer 0 is too easy."""
        soh = flat(np.asarray(predictions["soh"], dtype=np.float64)) - windows.soh
        ahead = np.asarray(predictions["trajectory"], dtype=np.float64) - windows.trajectory
        before = np.isfinite(windows.rul) & (windows.rul > 0)
        rul = flat(np.asarray(predictions["rul"], dtype=np.float64))[before] - windows.rul[before]
        return {
            "windows": len(windows),
            "soh_rmse_pct": _rmse(soh * 100),
            "soh_mae_pct": _mean(np.abs(soh) * 100),
            "soh_max_pct": float(np.abs(soh).max() * 100) if soh.size else None,
            "trajectory_rmse_pct": _rmse(ahead[np.isfinite(ahead)] * 100),
            "rul_rmse_cycles": _rmse(rul),
            "rul_mae_cycles": _mean(np.abs(rul)),
        }

    def window_v(self, spec: HealthSpec) -> tuple[float, float]:
        """Of the charge; of all windows where any is read."""
        return spec.window_start_v, spec.top_v

    def noisy_inputs(self, windows: HealthWindows, noise_mv: float, rng: np.random.Generator) -> Float32:
        """Every level of a charge is crossed a little early or late, and moves charge between its two increments."""
        spec, inputs = windows.spec, windows.inputs()
        x = inputs[..., : spec.increments]
        step_mv = 1000 * (spec.window_end_v - spec.window_start_v) / spec.increments
        slope = np.concatenate([x[..., :1], (x[..., 1:] + x[..., :-1]) / 2, x[..., -1:]], axis=-1) / step_mv
        moved = np.diff(rng.normal(0.0, noise_mv, slope.shape) * slope, axis=-1)
        return np.concatenate([x + moved, inputs[..., spec.increments :]], axis=-1, dtype=np.float32)

    def noisy_windows(self, windows: HealthWindows, noise_mv: float, rng: np.random.Generator) -> HealthWindows:
        """What teachers alone read is as it was."""
        noisy = self.noisy_inputs(windows, noise_mv, rng)
        return dataclasses.replace(windows, x=np.concatenate([noisy, windows.x[..., noisy.shape[-1] :]], axis=-1))

    def stages(self, windows: HealthWindows) -> list[tuple[str, Bool]]:
        """Thirds of the SOH range from 100 % (or the best seen) down to EOL, and beyond it."""
        return life_stages(windows.soh, windows.spec.eol)

    def groups(self, windows: HealthWindows) -> list[tuple[str, Bool]]:
        """By where a charge is read from, of a model that reads any window."""
        return [] if windows.spec.one_window else by_read_from(windows.inputs(), windows.spec)

    def parity(self, windows: HealthWindows, predictions: Predictions) -> tuple[FloatArray, FloatArray, str]:
        """SOH in percent."""
        return windows.soh * 100, flat(predictions["soh"]) * 100, "SOH, %"

    def cell_curve(self, windows: HealthWindows, cell: int, predictions: Mapping[str, Predictions]) -> CellCurve:
        """SOH over cycles, and three trajectories of the last model."""
        rows = np.flatnonzero(windows.cell == cell)
        rows = rows[np.argsort(windows.cycle[rows], kind="stable")]
        cycle = windows.cycle[rows].astype(float)
        last = list(predictions.values())[-1]
        forecasts = []
        for row in rows[[len(rows) // 5, len(rows) // 2, (4 * len(rows)) // 5]]:
            ahead = float(windows.cycle[row]) + np.arange(windows.spec.horizon + 1)
            path = np.concatenate([flat(last["soh"])[row : row + 1], last["trajectory"][row]])
            forecasts.append((ahead, path * 100))
        predicted = {key: (cycle, flat(values["soh"])[rows] * 100) for key, values in predictions.items()}
        sides = [flat(last[name])[rows] * 100 for name in ("soh_low", "soh_high") if name in last]
        bounds = (cycle, sides[0], sides[1]) if len(sides) == 2 else None
        return CellCurve((cycle, windows.soh[rows] * 100), predicted, forecasts, windows.spec.eol * 100, bounds=bounds)

    def legend(self, spec: HealthSpec) -> str:
        """Under a table of predictions."""
        return (
            f"SOH in % of the {spec.soh_reference} capacity; +n: SOH n cycles ahead; "
            f"RUL: cycles until {spec.eol * 100:g} %."
        )

    def summary(self, spec: HealthSpec) -> str:
        """One phrase."""
        low, high = self.window_v(spec)
        charges = f"{spec.context} partial charges"
        if not spec.one_window:
            charges = f"one to {spec.context} charges through any {spec.window_end_v - spec.window_start_v:g} V"
        return (
            f"state of health, the next {spec.horizon} cycles and remaining life from {charges} between {low:g} and "
            f"{high:g} V"
        )

    def facts(self, spec: HealthSpec) -> list[tuple[str, str]]:
        """For a card."""
        return [
            ("voltage window", f"{spec.window_start_v:g} to {spec.window_end_v:g} V, {spec.increments} increments"),
            *([] if spec.one_window else [("any of the windows from", ", ".join(f"{v:g} V" for v in spec.starts_v))]),
            *([("read beside them", "the mean current of each charge, 0.001 C")] if spec.charge_rate else []),
            ("history", f"{spec.context} charged cycles"),
            ("100 % SOH is", REFERENCES[spec.soh_reference]),
            ("end of life", f"{spec.eol * 100:g} %"),
            ("forecast", f"{spec.horizon} cycles"),
        ]


def _apart(cell: RawCell, found: Charges, spec: HealthSpec) -> str:
    """What there is to say of cycle numbers that the file itself has too far apart, where there are charges enough."""
    sound = np.array(
        sorted({*found.cycle, *(number for number, reason in found.why.items() if reason in found.refused)}),
        dtype=np.int64,
    )
    seen = int(np.diff(np.unique(cell.cycle)).max(initial=0))
    if not spec.one_window or sound.size < spec.context or seen <= spec.max_gap:
        return ""
    steps = np.unique(np.diff(sound)).tolist() or [0]
    enough = next(step for step in steps if _longest(sound, step) >= spec.context)
    if enough <= spec.max_gap:
        return ""
    return (
        f", but the file's cycle numbers lie up to {seen} apart, the model allows {spec.max_gap} (max_gap). If no cycle was "
        "left out between them, number them consecutively (edgebat data add --cycles device does, for a corpus); if some "
        f"were, take a model of any window, or train one with task.max_gap: {enough}"
    )


def _longest(numbers: Int64, gap: int) -> int:
    """Of the runs of ascending ``numbers`` whose steps are at most ``gap``, the length of the longest."""
    ends = np.flatnonzero(np.diff(numbers) > gap) + 1
    return int(np.diff(np.concatenate(([0], ends, [numbers.size]))).max())


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if values.size else None


def _rmse(errors: FloatArray) -> float | None:
    return float(np.sqrt(np.square(errors).mean())) if errors.size else None


TASK = Health()
