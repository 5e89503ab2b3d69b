"""The ``forecast`` task: the capacities of the next cycles from the capacities of the last ones. NumPy only.

Only measured values enter a window, as context and as target. Rows drawn as straight lines between check-ups are left
out on both sides: past its last check-up such a line already knows the next one.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from edgebat.arrays import Float32
from edgebat.cells import CapacityHistory
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.tasks.windows import LABEL, PER_CELL, PER_WINDOW, Windows

MEASURED_KINDS = ("measured", "measured_offset", "rpt")
"""Kinds of label that are measurements at the cycle they stand at."""


@dataclass(frozen=True)
class ForecastSpec:
    """Definition of the ``forecast`` task. Stands in the model's metadata and its card."""

    context: int = 192
    """Cycles a model sees at most, ending at the origin; cycles before the first measured one are NaN."""
    horizon: int = 96
    """Cycles ahead that are targets (Battery-Timer's patch, arXiv 2505.08151)."""
    min_rows: int = 8
    """Measured rows a context must hold."""
    min_history: int = 48
    """Cycles from the first measured row of a context to its origin, at least."""
    min_targets: int = 4
    """Measured rows a window's future must hold."""
    whole_horizon: bool = True
    """Whether the cell must have been watched until the end of the horizon. False also keeps windows near the end of
    a cell's data, whose later targets are NaN."""
    max_gap: int = 24
    """Largest step between neighbouring measured cycles inside a context; what lies before a larger one is cut off."""
    stride: int = 8
    """Cycles between neighbouring origins of one cell."""
    label_kinds: tuple[str, ...] = MEASURED_KINDS
    """Kinds of rows that are measurements at the cycle they stand at."""
    seen_cycles: int = 96
    """Cycles a student sees, the last of the context: what a device keeps of its own history."""
    group: int = 4
    """Neighbouring cycles that are one time step of a student."""
    eol: float = 0.8
    """End of life as a fraction of nominal capacity."""
    eol_confirm_rows: int = 5
    """A row below EOL counts when the median of it and the rows after it, this many in all, is below EOL too."""

    def __post_init__(self) -> None:
        checks = (
            (2 <= self.context <= 10_000, "2 <= context <= 10000"),
            (1 <= self.horizon <= 10_000, "1 <= horizon <= 10000"),
            (2 <= self.min_rows <= self.context, "2 <= min_rows <= context"),
            (1 <= self.min_history < self.context, "1 <= min_history < context"),
            (0 <= self.min_targets <= self.horizon, "0 <= min_targets <= horizon"),
            (self.max_gap >= 1, "max_gap >= 1"),
            (self.stride >= 1, "stride >= 1"),
            (self.group >= 1 and self.seen_cycles >= 1, "group >= 1 and seen_cycles >= 1"),
            (self.seen_cycles % self.group == 0, "seen_cycles is a multiple of group"),
            (0.0 < self.eol < 1.0 and self.eol_confirm_rows >= 1, "0 < eol < 1 and eol_confirm_rows >= 1"),
            (len(self.label_kinds) > 0, "label_kinds names at least one kind"),
        )
        for ok, rule in checks:
            if not ok:
                raise DataError(f"ForecastSpec breaks the rule {rule!r}: {self}")

    def to_dict(self) -> Json:
        """Plain JSON-able dictionary, the inverse of ``from_dict``."""
        return dataclasses.asdict(self) | {"label_kinds": list(self.label_kinds)}

    @classmethod
    def from_dict(cls, values: Json) -> ForecastSpec:
        """Rebuild a spec, for instance from a model's metadata. Raises DataError on unknown names or broken rules."""
        unknown = sorted(set(values) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise DataError(f"ForecastSpec knows no {unknown}; allowed: {[f.name for f in dataclasses.fields(cls)]}")
        try:
            return cls(**(values | {"label_kinds": tuple(values.get("label_kinds", MEASURED_KINDS))}))
        except TypeError as error:
            raise DataError(f"ForecastSpec cannot be made of {values}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class ForecastWindows(Windows):
    """Contexts and futures of N windows out of the cells in ``cells``."""

    Spec: ClassVar[type[ForecastSpec]] = ForecastSpec
    spec: ForecastSpec
    x: Float32 = field(metadata=PER_WINDOW)
    """[N, context] capacity / nominal of the last cycles, oldest first, the last one measured; NaN where not."""
    y: Float32 = field(metadata=LABEL)
    """[N, horizon] the same for the cycles after it; NaN where not measured."""
    rul: Float32 = field(metadata=LABEL)
    """[N] cycles from the origin until the capacity is below EOL; NaN when that was not seen (censored)."""
    chemistries: tuple[str, ...] = field(metadata=PER_CELL)

    def joinable(self, other: ForecastWindows) -> bool:
        """Whether contexts and futures are as long; strides and the least history may differ."""
        return self.x.shape[1:] == other.x.shape[1:] and self.y.shape[1:] == other.y.shape[1:]

    def inputs(self) -> Float32:
        """The last ``seen_cycles`` values, gaps bridged, [N, seen_cycles / group, group] in the order of time."""
        # A gap at their beginning is bridged from the value before it, as a device that keeps what it bridged does.
        seen = bridged(self.x)[:, -self.spec.seen_cycles :]
        # Where windows are shorter than what a student sees, their first value stands before them.
        seen = np.pad(seen, ((0, 0), (self.spec.seen_cycles - seen.shape[1], 0)), mode="edge")
        return seen.reshape(len(self), self.spec.seen_cycles // self.spec.group, self.spec.group)

    def end_labels(self) -> list[Float32]:
        """RUL."""
        return [self.rul]

    def targets(self) -> dict[str, Float32]:
        """``trajectory`` [N, horizon]."""
        return {"trajectory": self.y}


def bridged(x: Float32) -> Float32:
    """Cycles nobody measured, filled: straight lines inside, the first value before it. x [N, L], the last not NaN."""
    known = np.isfinite(x)
    length = x.shape[1]
    index = np.arange(length)
    before = np.maximum.accumulate(np.where(known, index, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, index, length)[:, ::-1], axis=1)[:, ::-1].clip(max=length - 1)
    before = np.where(before < 0, after, before)
    share = ((index - before) / np.maximum(after - before, 1)).astype(np.float32)
    low, high = np.take_along_axis(x, before, axis=1), np.take_along_axis(x, after, axis=1)
    return np.where(known, x, low + (high - low) * share)


def capacity_histories(fleet: Any, label_kinds: Iterable[str] = MEASURED_KINDS) -> list[CapacityHistory]:
    """The measured, unflagged capacities of every cell of a ``edgebat.data.fleet.Fleet``, sorted by key.

    Cells without a nominal capacity are scaled by the median of their first five rows. Cells without rows are left out.
    """
    cells, cycles = fleet.cells, fleet.cycles
    keep = np.isin(cycles["label_kind"].to_numpy().astype(str), list(label_kinds))
    keep &= ~cycles["outlier"].to_numpy(dtype=np.bool_)
    capacity_ah = cycles["discharge_capacity_ah"].to_numpy(dtype=np.float64)
    keep &= np.isfinite(capacity_ah) & (capacity_ah > 0.0)
    dataset, cell_id = (cycles[name].to_numpy().astype(str)[keep] for name in ("dataset", "cell_id"))
    cycle, capacity_ah = cycles["cycle"].to_numpy(dtype=np.int64)[keep], capacity_ah[keep]
    # A fleet is sorted by key and cycle, so that a cell is one run of rows.
    new = np.flatnonzero((dataset[1:] != dataset[:-1]) | (cell_id[1:] != cell_id[:-1])) + 1
    bounds = [0, *new.tolist(), len(cycle)] if len(cycle) else [0]
    rows = {(dataset[a], cell_id[a]): slice(a, b) for a, b in pairwise(bounds)}
    histories = []
    columns = (cells[name].to_numpy() for name in ("dataset", "cell_id", "chemistry"))
    nominal = cells["nominal_capacity_ah"].to_numpy(dtype=np.float64)
    for d, c, chemistry, condition, nominal_ah in zip(*columns, fleet.conditions, nominal, strict=True):
        if (d, c) in rows:
            values = capacity_ah[rows[d, c]]
            scale = float(nominal_ah) if np.isfinite(nominal_ah) else float(np.median(values[:5]))
            histories.append(
                CapacityHistory((d, c), str(chemistry), condition, scale, cycle[rows[d, c]], values / scale)
            )
    return histories


def forecast_windows(histories: Iterable[CapacityHistory], spec: ForecastSpec | None = None) -> ForecastWindows:
    """All windows of all cells. Origins are measured rows, ``spec.stride`` cycles apart or more.

    No window crosses from one cell into another. Raises DataError when a history's cycles do not ascend or its arrays
    differ in length; cells that give no window are counted in ``left_out``.
    """
    spec = spec or ForecastSpec()
    x, y, rul, cell, origin = [], [], [], [], []
    used: list[CapacityHistory] = []
    left_out: Counter[str] = Counter()
    for history in histories:
        windows = _cell_windows(history, spec, left_out)
        if not windows:
            left_out["cells without a window"] += 1
            continue
        end = _eol_cycle(history, spec)
        for context, future, at in windows:
            rul.append(max(end - at, 0.0))
            x.append(context)
            y.append(future)
            cell.append(len(used))
            origin.append(at)
        used.append(history)
    return ForecastWindows(
        spec=spec,
        x=np.stack(x) if x else np.zeros((0, spec.context), np.float32),
        y=np.stack(y) if y else np.zeros((0, spec.horizon), np.float32),
        rul=np.array(rul, dtype=np.float32),
        cell=np.array(cell, dtype=np.int32),
        cycle=np.array(origin, dtype=np.int32),
        cells=tuple(h.key for h in used),
        chemistries=tuple(h.chemistry for h in used),
        conditions=tuple(h.condition for h in used),
        nominal_ah=np.array([h.nominal_ah for h in used], dtype=np.float64),
        left_out=dict(left_out),
    )


def _eol_cycle(history: CapacityHistory, spec: ForecastSpec) -> float:
    """First cycle below EOL that the median of it and the rows after it confirms; NaN when none."""
    for row in np.flatnonzero(history.capacity < spec.eol):
        if np.median(history.capacity[row : row + spec.eol_confirm_rows]) < spec.eol:
            return float(history.cycle[row])
    return float("nan")


def _cell_windows(
    history: CapacityHistory, spec: ForecastSpec, left_out: Counter[str]
) -> list[tuple[Float32, Float32, int]]:
    cycle = np.asarray(history.cycle, dtype=np.int64)
    if cycle.shape != history.capacity.shape or (np.diff(cycle) <= 0).any():
        raise DataError(f"cell {history.key}: cycles must ascend, one capacity each; "
                        f"seen {cycle.shape} cycles, {history.capacity.shape} capacities")  # fmt: skip
    if not len(cycle):
        return []
    # One slot per cycle makes a window a slice; slots nobody measured stay NaN.
    first, last = int(cycle[0]), int(cycle[-1])
    slots = np.full(spec.context + last - first + 1 + spec.horizon, np.nan, dtype=np.float32)
    slots[spec.context + cycle - first] = history.capacity
    # Start of the run of rows without a large gap that each row belongs to.
    starts = np.maximum.accumulate(np.where(np.diff(cycle, prepend=cycle[0]) > spec.max_gap, cycle, first))
    windows: list[tuple[Float32, Float32, int]] = []
    previous = -spec.stride
    for at, start in zip(cycle.tolist(), starts.tolist(), strict=True):
        if at - previous < spec.stride:
            continue
        end = spec.context + at - first + 1
        context, future = slots[end - spec.context : end].copy(), slots[end : end + spec.horizon].copy()
        context[: max(0, spec.context - 1 - (at - start))] = np.nan
        seen = np.flatnonzero(np.isfinite(context))
        if len(seen) < spec.min_rows or spec.context - 1 - seen[0] < spec.min_history:
            left_out["origins with a short context"] += 1
        elif np.isfinite(future).sum() < spec.min_targets or (spec.whole_horizon and last < at + spec.horizon):
            left_out["origins with a short future"] += 1
        else:
            windows.append((context, future, at))
            previous = at
    return windows
