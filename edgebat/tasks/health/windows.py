"""The ``health`` task: windows of charge increments with SOH, the capacities to come, and RUL as targets.

Cells come as ``CellHistory`` (NumPy arrays), so that this file needs neither pandas nor a particular corpus;
``edgebat.data.fleet.Fleet.histories`` makes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Bool, Float32, Float64, Int64
from edgebat.cells import CellHistory, CellKey
from edgebat.errors import DataError
from edgebat.tasks.health.any_window import drawn_histories
from edgebat.tasks.health.increments import increments_from_curve
from edgebat.tasks.health.spec import CYCLE_UNIT, VOLT_UNIT, HealthSpec
from edgebat.tasks.windows import LABEL, PER_CELL, PER_WINDOW, RATE_UNIT, SMALLEST_RATE_STD, Blend, Windows

__all__ = [
    "CellHistory",
    "CellKey",
    "HealthSpec",
    "HealthWindows",
    "eol_cycle",
    "health_windows",
    "input_windows",
    "reference_capacity_ah",
    "usable_rows",
]

SMALLEST_STD = 1e-6
"""One ppm of nominal capacity, what a BMS can tell apart; an increment that varies less is not blown up."""
SMALLEST_START_STD = 0.01
"""The same of the voltage at which a window begins, V."""


@dataclass(frozen=True, kw_only=True)
class HealthWindows(Windows):
    """Inputs and targets of N windows out of the cells in ``cells``."""

    Spec: ClassVar[type[HealthSpec]] = HealthSpec
    spec: HealthSpec
    x: Float32 = field(metadata=PER_WINDOW)
    """[N, context, columns] charge per voltage step / nominal capacity, oldest cycle first; where the definition asks for
    the charge rate it stands behind them, C times ``RATE_UNIT``, 0 where it is not known. Of any window (``any_window``) the
    ten increments of a model of one window stand last, for teachers and no student."""
    soh: Float32 = field(metadata=LABEL)
    """[N] capacity of the window's last cycle / reference."""
    trajectory: Float32 = field(metadata=LABEL)
    """[N, horizon] the same for the cycles after it; NaN where not observed."""
    rul: Float32 = field(metadata=LABEL)
    """[N] cycles from the window's last cycle to EOL; 0 at and beyond EOL; NaN when EOL was never seen (censored)."""
    reference_ah: Float64 = field(metadata=PER_CELL)
    """Per cell: the capacity that counts as SOH 1, Ah."""
    eol_cycle: Float64 = field(metadata=PER_CELL)
    """Per cell: first cycle below EOL, NaN when never seen."""

    def inputs(self) -> Float32:
        """The increments and what is asked for behind them: [N, context, columns]."""
        return self.x[..., : self.spec.columns]

    @property
    def increments(self) -> Float32:
        """[N, context, increments] of the charges through the first window, as teachers read them."""
        spec = self.spec
        return self.x[..., : spec.increments] if spec.one_window else self.x[..., spec.columns :]

    @property
    def like_columns(self) -> int:
        """The increments; a rate has a gate of its own."""
        return self.spec.increments

    def smallest_std(self) -> Float32:
        """Of the columns."""
        any_window = [] if self.spec.one_window else [SMALLEST_START_STD * VOLT_UNIT, CYCLE_UNIT]
        rate = [SMALLEST_RATE_STD] * int(self.spec.charge_rate)
        return np.array([SMALLEST_STD] * self.spec.increments + any_window + rate, dtype=np.float32)

    def seen_rows(self, x: Float32) -> Float32:
        """Rows without a charge are left out."""
        if self.spec.one_window:
            return super().seen_rows(x)
        return x[x[..., self.spec.increments] > 0][:, None]

    @property
    def start_column(self) -> int | None:
        """Behind the increments, of any window."""
        return None if self.spec.one_window else self.spec.increments

    def cut_for(self, spec: HealthSpec, who: str) -> HealthWindows:
        """Whoever does not read the rate is not given it."""
        if self.spec.charge_rate and not spec.charge_rate:
            bare = replace(self.spec, charge_rate=False)
            return replace(self, spec=bare, x=self.increments).cut_for(spec, who)
        return super().cut_for(spec, who)

    def blended(self, blend: Blend) -> HealthWindows:
        """A blend of two charges has the rate between theirs, and none where one of them has none. Raises DataError for
        charges through any window."""
        if not self.spec.one_window:
            raise DataError("charges through different windows cannot be blended: set distill.blends: 0")
        mixed = super().blended(blend)
        if self.spec.charge_rate:
            rate = self.x[..., -1]
            mixed.x[..., -1] *= (rate[blend.first] > 0) & (rate[blend.second] > 0)
        return mixed

    def end_labels(self) -> list[Float32]:
        """RUL."""
        return [self.rul]

    def targets(self) -> dict[str, Float32]:
        """``soh`` [N, 1], ``trajectory`` [N, horizon], ``rul`` [N, 1]."""
        return {"soh": self.soh[:, None], "trajectory": self.trajectory, "rul": self.rul[:, None]}


def health_windows(cells: Iterable[CellHistory], spec: HealthSpec | None = None) -> HealthWindows:
    """All windows of the cells of a fleet, cell by cell, in the order given.

    A window is ``spec.context`` charged cycles in a row, each step of the cycle number at most ``spec.max_gap``, whose
    last cycle has a usable capacity. Raises DataError when not one window is found, with the reasons counted.
    """
    spec = spec or HealthSpec()
    left_out: Counter[str] = Counter()
    parts: list[dict[str, npt.NDArray[np.generic]]] = []
    kept: list[CellHistory] = []
    references: list[float] = []
    ends: list[float] = []
    for history in cells:
        found = _cell_windows(history, spec, left_out)
        if found is None:
            continue
        part, reference, end = found
        part["cell"] = np.full(part["cycle"].size, len(kept), dtype=np.int32)
        parts.append(part)
        kept.append(history)
        references.append(reference)
        ends.append(end)
    if not parts:
        raise DataError(
            f"no window of {spec.context} cycles that cover {spec.window_start_v:g}-{spec.window_end_v:g} V was found; "
            f"left out: {dict(left_out) or 'no cell given'}. Choose a voltage window the charge curves cover"
        )
    return HealthWindows(
        spec=spec,
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        cells=tuple(history.key for history in kept),
        conditions=tuple(history.condition for history in kept),
        nominal_ah=np.array([history.nominal_ah for history in kept]),
        reference_ah=np.array(references),
        eol_cycle=np.array(ends),
        left_out=dict(+left_out),
    )


def _cell_windows(
    history: CellHistory, spec: HealthSpec, left_out: Counter[str]
) -> tuple[dict[str, npt.NDArray[np.generic]], float, float] | None:
    """Windows of one cell with the reference capacity and the EOL cycle, or None with the reason counted."""
    if history.charge_cycle.size == 0:
        left_out["cells without charge curves"] += 1
        return None
    if not history.nominal_ah > 0.0:
        left_out["cells without a nominal capacity"] += 1
        return None
    usable = usable_rows(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    cycle, capacity = history.cycle[usable], history.capacity_ah[usable]
    increments = increments_from_curve(history.charge_voltage_v, history.charge_dq_ah, history.nominal_ah, spec)
    covered = np.isfinite(increments).all(axis=1)
    if not covered.any():
        left_out["cells that do not cover the voltage window"] += 1
        return None
    labelled = np.isin(history.charge_cycle, cycle)
    # Counter keeps zeros; +left_out at the end drops them.
    left_out["cycles that do not cover the voltage window"] += int((~covered).sum())
    left_out["cycles whose capacity is flagged, jumps or is missing"] += int((covered & ~labelled).sum())
    charges = np.flatnonzero(covered & labelled)
    charge_cycle, increments = history.charge_cycle[charges], increments[charges]
    read = spec if spec.one_window else replace(spec.beginning_at(spec.window_start_v), charge_rate=False)
    x, last = input_windows(charge_cycle, with_rate(increments, history.condition.charge_rate_c, read), read)
    if last.size == 0:
        left_out[f"cells without {spec.context} neighbouring cycles"] += 1
        return None
    reference = reference_capacity_ah(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    end = eol_cycle(history.cycle, history.capacity_ah, history.flagged, spec.eol * reference, spec)
    if not spec.one_window:
        drawn = drawn_histories(history, charges, last, spec)
        x, last = np.concatenate([drawn, np.repeat(x, spec.draws, axis=0)], axis=2), np.repeat(last, spec.draws)
    at = charge_cycle[last]
    soh = capacity[np.searchsorted(cycle, at)] / reference
    return (
        {
            "x": x,
            "soh": soh.astype(np.float32),
            "trajectory": (_trajectory(cycle, capacity, at, spec) / reference).astype(np.float32),
            "rul": np.maximum(end - at, 0.0).astype(np.float32),
            "cycle": at.astype(np.int32),
        },
        reference,
        end,
    )


def with_rate(increments: Float64, rate_c: float | Float64 | None, spec: HealthSpec) -> Float64:
    """``increments`` [M, increments] with the rate behind them, C, one or [M], where the definition asks for it; None: not
    measured."""
    if not spec.charge_rate:
        return increments
    rate = np.broadcast_to(np.asarray(0.0 if rate_c is None else rate_c), len(increments))
    return np.column_stack([increments, np.rint(rate * 1000) / 1000 * RATE_UNIT])


def input_windows(cycle: Int64, rows: Float64, spec: HealthSpec) -> tuple[Float32, Int64]:
    """Windows out of ``rows`` [M, columns] of one cell at ascending cycle numbers ``cycle`` [M].

    Returns ``x`` float32 [N, context, columns] and [N] the index into ``cycle`` of each window's last cycle. This is
    all an estimator needs at run time, where no capacity is known.
    """
    if rows.shape != (cycle.size, spec.columns) or (np.diff(cycle) <= 0).any():
        raise DataError(
            f"rows have shape {rows.shape} for {cycle.size} cycles; [cycles, {spec.columns}] with "
            "ascending cycle numbers is needed"
        )
    if cycle.size < spec.context:
        return np.zeros((0, spec.context, spec.columns), dtype=np.float32), np.zeros(0, dtype=np.int64)
    breaks = np.concatenate(([0], np.cumsum(np.diff(cycle) > spec.max_gap)))
    last = np.arange(spec.context - 1, cycle.size)
    last = last[breaks[last] == breaks[last - spec.context + 1]][:: spec.stride]
    within = last[:, None] + np.arange(1 - spec.context, 1)[None, :]
    return rows[within].astype(np.float32), last


def usable_rows(capacity_ah: Float64, flagged: Bool, nominal_ah: float, spec: HealthSpec) -> Bool:
    """[C] rows with a capacity that is measured, not flagged, and no jump from the unflagged row before."""
    usable = ~flagged & np.isfinite(capacity_ah)
    rows = np.flatnonzero(usable)
    jumps = np.abs(np.diff(capacity_ah[rows])) >= spec.max_jump * nominal_ah
    usable[rows[1:][jumps]] = False
    return usable


def reference_capacity_ah(capacity_ah: Float64, flagged: Bool, nominal_ah: float, spec: HealthSpec) -> float:
    """The capacity that counts as SOH 1, in Ah, after ``spec.soh_reference``. Raises DataError when all rows are flagged."""
    if spec.soh_reference == "nominal":
        return nominal_ah
    if spec.soh_reference == "rated_min":
        return nominal_ah * spec.rated_min_fraction
    good = capacity_ah[~flagged & np.isfinite(capacity_ah)]
    if good.size == 0:
        raise DataError(f"SOH reference {spec.soh_reference!r} needs an unflagged capacity, and the cell has none")
    return float(good[0] if spec.soh_reference == "first" else good[: spec.reference_rows].mean())


def eol_cycle(cycle: Int64, capacity_ah: Float64, flagged: Bool, eol_ah: float, spec: HealthSpec) -> float:
    """First unflagged cycle below ``eol_ah`` that the median of it and the rows after it confirms; NaN when none."""
    good = ~flagged & np.isfinite(capacity_ah)
    cycle, capacity = cycle[good], capacity_ah[good]
    for row in np.flatnonzero(capacity < eol_ah):
        if np.median(capacity[row : row + spec.eol_confirm_rows]) < eol_ah:
            return float(cycle[row])
    return float("nan")


def _trajectory(cycle: Int64, capacity_ah: Float64, at: Int64, spec: HealthSpec) -> Float64:
    """[N, horizon] capacities at the cycle numbers after ``at``; linear inside gaps of at most max_gap, else NaN."""
    axis = np.arange(cycle[0], cycle[-1] + spec.horizon + 1)
    dense = np.interp(axis, cycle, capacity_ah, right=np.nan)
    after = np.searchsorted(cycle, axis, side="left")
    inside = after < cycle.size
    after = np.minimum(after, cycle.size - 1)
    gap = np.where(cycle[after] == axis, 0, cycle[after] - cycle[np.maximum(after - 1, 0)])
    dense[inside & (gap > spec.max_gap)] = np.nan
    window: Float64 = dense[(at - cycle[0])[:, None] + np.arange(1, spec.horizon + 1)[None, :]]
    return window
