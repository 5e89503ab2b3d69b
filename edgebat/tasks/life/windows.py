"""The ``life`` task: discharge Q(V) of the first cycles as input, cycle life and the SOH curve as targets.

Cells come as ``LifeCell`` (NumPy arrays); ``edgebat.data.qv.life_cells`` reads them out of a corpus folder.
Defaults follow DiffBatt (arXiv 2410.23893) and BatteryML: differences against cycle 10, running median over ten cycles.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float32, Float64, Int64
from edgebat.cells import CellKey, Condition, LifeCell
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.tasks.windows import LABEL, PER_CELL, PER_WINDOW, RATE_UNIT, SMALLEST_RATE_STD, Blend, Windows


@dataclass(frozen=True)
class LifeSpec:
    """Definition of the ``life`` task; stored with a trained teacher, because features smoothed otherwise ruin it."""

    cycles: int = 100
    """Rows of the input: cycles 1 to ``cycles``."""
    columns: int = 100
    """Voltages, equally spaced over the source's range, in the source's direction (high to low)."""
    base_cycle: int = 10
    """Cycle subtracted from all others. Sources stored as differences keep their own."""
    smooth_cycles: int = 10
    """Width of the running median over cycles; 1 leaves the curves as measured."""
    eol: float = 0.8
    """End of life as a fraction of nominal capacity for ``life``, of the first capacity for the SOH curve."""
    curve_points: int = 256
    """Values of the SOH curve."""
    curve_step: int = 10
    """Cycles between them; the first one is cycle 1."""
    seen_rows: int = field(default=10, compare=False)
    """Time steps of a student: blocks of neighbouring cycles, averaged. Teachers see every cycle."""
    seen_columns: int = field(default=20, compare=False)
    """Values of a student's time step: blocks of neighbouring voltages, averaged."""
    seen_current: int = field(default=0, compare=False)
    """Values of the charging current behind them, the same in every step: blocks of neighbouring states of charge, averaged.
    Cells whose current is not known are left out then; 0: a student does not read it."""

    def __post_init__(self) -> None:
        checks = (
            (2 <= self.cycles <= 1000, "2 <= cycles <= 1000"),
            (2 <= self.columns <= 1000, "2 <= columns <= 1000"),
            (1 <= self.base_cycle <= self.cycles, "1 <= base_cycle <= cycles"),
            (1 <= self.smooth_cycles <= self.cycles, "1 <= smooth_cycles <= cycles"),
            (0.0 < self.eol < 1.0, "0 < eol < 1"),
            (1 <= self.seen_rows <= self.cycles, "1 <= seen_rows <= cycles"),
            (1 <= self.seen_columns <= self.columns, "1 <= seen_columns <= columns"),
            (0 <= self.seen_current <= self.columns, "0 <= seen_current <= columns"),
            (self.curve_points >= 8 and self.curve_step >= 1, "curve_points >= 8 and curve_step >= 1"),
        )
        for fine, rule in checks:
            if not fine:
                raise DataError(f"life task: {rule} is needed; seen {self}")

    def to_dict(self) -> Json:
        """Plain JSON-able dictionary, the inverse of ``from_dict``."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> LifeSpec:
        """Rebuild a spec, for instance from a model's metadata. Raises DataError on unknown names or broken rules."""
        known = [f.name for f in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(f"LifeSpec knows no {unknown}; allowed: {known}")
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"LifeSpec cannot be made of {values}: {error}") from None

    @property
    def curve_cycles(self) -> Int64:
        """Cycle numbers of the SOH curve's points, int64 [curve_points]."""
        return 1 + self.curve_step * np.arange(self.curve_points, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class LifeWindows(Windows):
    """Inputs and targets of N cells, one window each."""

    Spec: ClassVar[type[LifeSpec]] = LifeSpec
    one_per_cell: ClassVar[bool] = True
    spec: LifeSpec
    x: Float32 = field(metadata=PER_WINDOW)
    """[N, cycles, columns] (Q_k(V) - Q_base(V)) / nominal capacity."""
    base: Float32 = field(metadata=PER_WINDOW)
    """[N, columns] Q_base(V) / nominal capacity; NaN where the source has differences only."""
    capacity: Float32 = field(metadata=PER_WINDOW)
    """[N, cycles] capacity / nominal capacity in the same cycles; gaps are interpolated."""
    life: Float32 = field(metadata=LABEL)
    """[N] cycle life; NaN when the record ends before EOL (censored)."""
    curve: Float32 = field(metadata=LABEL)
    """[N, curve_points] SOH relative to the first cycle; 0 after the last measured cycle."""
    charge_rate_c: Float32 = field(metadata=PER_WINDOW)
    """[N, columns] charging current in C at equally spaced states of charge from 0 to 1; NaN where not known."""
    chemistries: tuple[str, ...] = field(metadata=PER_CELL)
    splits: tuple[str, ...] = field(metadata=PER_CELL)
    """The published split of each cell, or empty."""

    def inputs(self) -> Float32:
        """Means over blocks of cycles and of voltages, and behind them of the charging current, C times ``RATE_UNIT``, [N,
        seen_rows, seen_columns + seen_current]; the first cycles left over by equal blocks are not seen."""
        rows, columns = self.spec.seen_rows, self.spec.seen_columns
        high, wide = self.spec.cycles // rows, self.spec.columns // columns
        curves = self.x[:, self.spec.cycles - rows * high :, : columns * wide]
        seen = curves.reshape(len(self), rows, high, columns, wide).mean(axis=(2, 4))
        if blocks := self.spec.seen_current:
            rates = self.charge_rate_c[:, : self.spec.columns // blocks * blocks]
            means = rates.reshape(len(self), 1, blocks, -1).mean(axis=3) * RATE_UNIT
            seen = np.concatenate([seen, np.repeat(means, rows, axis=1)], axis=2)
        return np.asarray(seen, dtype=np.float32)

    def smallest_std(self) -> Float32:
        """Of the columns."""
        plain = [float(super().smallest_std())] * self.spec.seen_columns
        return np.array(plain + [SMALLEST_RATE_STD] * self.spec.seen_current, dtype=np.float32)

    def end_labels(self) -> list[Float32]:
        """Cycle life."""
        return [self.life]

    @property
    def published(self) -> tuple[str, ...]:
        """The published split."""
        return self.splits

    def targets(self) -> dict[str, Float32]:
        """``life`` [N, 1] and ``soh_curve`` [N, curve_points], NaN after the last measured cycle."""
        return {"life": self.life[:, None], "soh_curve": np.where(self.curve > 0.0, self.curve, np.nan)}

    def cut_for(self, spec: LifeSpec, who: str) -> LifeWindows:
        """These windows with as many columns as ``spec`` has, linear along the voltage. Raises DataError when they have
        fewer, or were made otherwise in any other way; ``who`` asks for them."""
        if replace(self.spec, columns=spec.columns) != spec or self.spec.columns < spec.columns:
            raise DataError(f"windows were made with {self.spec}; {who} was trained on {spec}")
        if self.spec.columns == spec.columns:
            return self

        def thinned(values: Float32) -> Float32:
            rows = _resample(values.reshape(-1, values.shape[-1]).astype(np.float64), spec.columns)
            return rows.reshape(*values.shape[:-1], spec.columns).astype(np.float32)

        x, base, rate = (thinned(values) for values in (self.x, self.base, self.charge_rate_c))
        return replace(self, spec=spec, x=x, base=base, charge_rate_c=rate)

    def blended(self, blend: Blend) -> LifeWindows:
        """Cells between pairs of these. A mixed SOH curve ends where the shorter one does."""
        mixed = super().blended(blend)
        both = (self.curve[blend.first] > 0.0) & (self.curve[blend.second] > 0.0)
        return replace(mixed, curve=np.where(both, mixed.curve, np.float32(0.0)))

    def select(
        self,
        mask: npt.ArrayLike | None = None,
        cells: Iterable[CellKey] | None = None,
        datasets: Iterable[str] | None = None,
        split: str | None = None,
    ) -> LifeWindows:
        """As for any windows; ``split``: the cells of this published split."""
        chosen = super().select(mask, cells, datasets)
        if split is None:
            return chosen
        return chosen.take(np.flatnonzero([name == split for name in chosen.splits]))


def life_windows(cells: Iterable[LifeCell], spec: LifeSpec | None = None) -> LifeWindows:
    """One window per cell whose discharge curves cover ``spec.cycles`` cycles, in the order given.

    A cell is left out, and counted, without a nominal capacity, with fewer cycles of curves than ``spec.cycles``, without
    a charging current that is to be seen, or with a capacity record that ends inside the window. Raises DataError when no
    cell remains.
    """
    spec = spec or LifeSpec()
    left_out: Counter[str] = Counter()
    kept: list[LifeCell] = []
    rows: list[tuple[Float32, Float32, Float32, float, Float32]] = []
    for cell in cells:
        good = ~cell.flagged & np.isfinite(cell.capacity_ah)
        if not cell.nominal_ah > 0.0:
            left_out["cells without a nominal capacity"] += 1
        elif cell.curve_cycle.size == 0 or cell.curve_cycle[-1] < spec.cycles:
            left_out[f"cells with discharge curves of fewer than {spec.cycles} cycles"] += 1
        elif spec.seen_current and not np.isfinite(cell.charge_rate_c).all():
            left_out["cells whose charging current, which is to be read (task.seen_current), is not known"] += 1
        elif not good.any() or cell.cycle[good][-1] <= spec.cycles:
            left_out["cells whose capacity record ends inside the window"] += 1
        else:
            cycle, capacity = cell.cycle[good], cell.capacity_ah[good]
            x, base = difference_matrix(cell, spec)
            early = np.interp(np.arange(1, spec.cycles + 1), cycle, capacity)
            # Published lives count to 80 % of nominal; any other end of life comes from the capacities.
            life = cell.published_life if spec.eol == 0.8 else float("nan")
            if np.isnan(life):
                life = cycle_life(cycle, capacity, spec.eol * cell.nominal_ah)
            curve = soh_curve(cycle, capacity, spec)
            rows.append((x, base, (early / cell.nominal_ah).astype(np.float32), life, curve))
            kept.append(cell)
    if not rows:
        raise DataError(
            f"no cell has all that is read of its first {spec.cycles} cycles; left out: {dict(left_out) or 'no cell'}"
        )
    return LifeWindows(
        spec=spec,
        x=np.stack([row[0] for row in rows]),
        base=np.stack([row[1] for row in rows]),
        capacity=np.stack([row[2] for row in rows]),
        life=np.array([row[3] for row in rows], dtype=np.float32),
        curve=np.stack([row[4] for row in rows]),
        cell=np.arange(len(kept), dtype=np.int32),
        cycle=np.full(len(kept), spec.cycles, dtype=np.int32),
        conditions=tuple(Condition(cell.key[0], chemistry=cell.chemistry) for cell in kept),
        cells=tuple(cell.key for cell in kept),
        chemistries=tuple(cell.chemistry for cell in kept),
        splits=tuple(cell.split for cell in kept),
        nominal_ah=np.array([cell.nominal_ah for cell in kept]),
        charge_rate_c=np.concatenate([_resample(cell.charge_rate_c[None, :], spec.columns) for cell in kept]).astype(
            np.float32
        ),
        left_out=dict(left_out),
    )


def difference_matrix(cell: LifeCell, spec: LifeSpec) -> tuple[Float32, Float32]:
    """``x`` float32 [cycles, columns] and ``base`` float32 [columns] of one cell, fractions of nominal capacity.

    Holes are filled along the cycles. Absolute curves: base subtracted, running median, then thinned to ``columns``.
    """
    wanted = np.arange(1, spec.cycles + 1)
    whole = np.isfinite(cell.curves_ah).all(axis=1)
    if whole.sum() < 2:
        raise DataError(f"cell {cell.key} has {int(whole.sum())} usable discharge curves; at least 2 are needed")
    filled = _interpolate_rows(wanted, cell.curve_cycle[whole], cell.curves_ah[whole].astype(np.float64))
    base = np.full(spec.columns, np.nan)
    if not cell.differences:
        base_row = filled[spec.base_cycle - 1]
        base = _resample(base_row[None, :], spec.columns)[0] / cell.nominal_ah
        filled = running_median(filled - base_row, spec.smooth_cycles, max(1, filled.shape[1] // 100))
    x = _resample(filled, spec.columns) / cell.nominal_ah
    return x.astype(np.float32), base.astype(np.float32)


def running_median(matrix: Float64, rows: int, columns: int) -> Float64:
    """Median over a window of ``rows`` x ``columns`` around each value, same shape; edges are mirrored.

    The windows reach from -n // 2 to (n - 1) // 2, as ``scipy.ndimage.median_filter`` does with its default mode.
    """
    pads = [(n // 2, (n - 1) // 2) for n in (rows, columns)]
    padded = np.pad(matrix, pads, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns)).reshape(*matrix.shape, -1)
    # SciPy takes the upper of the two middle values of an even window; a mean would invent values.
    middle = windows.shape[-1] // 2
    median: Float64 = np.partition(windows, middle, axis=-1)[..., middle]
    return median


def cycle_life(cycle: Int64, capacity_ah: Float64, eol_ah: float, confirm: int = 3) -> float:
    """First cycle at or below ``eol_ah``, confirmed by the median of ``confirm`` rows; NaN when never reached.

    Sparse records are interpolated between rows. A record that stops within 1 % of ``eol_ah`` was stopped because of
    it (MATR batches 1 and 3, HUST): its life is the cycle after the last.
    """
    for row in np.flatnonzero(capacity_ah <= eol_ah):
        if np.median(capacity_ah[row : row + confirm]) <= eol_ah:
            if row == 0:
                return float(cycle[0])
            before, after = capacity_ah[row - 1], capacity_ah[row]
            share = (before - eol_ah) / (before - after) if before > after else 1.0
            return float(np.ceil(cycle[row - 1] + min(max(share, 0.0), 1.0) * (cycle[row] - cycle[row - 1])))
    return float(cycle[-1] + 1) if capacity_ah[-1] <= 1.01 * eol_ah else float("nan")


def soh_curve(cycle: Int64, capacity_ah: Float64, spec: LifeSpec) -> Float32:
    """SOH relative to the first row at ``spec.curve_cycles``, float32 [curve_points]; 0 after the last row."""
    curve = np.interp(spec.curve_cycles, cycle, capacity_ah / capacity_ah[0], right=0.0)
    return np.asarray(curve, dtype=np.float32)


def curve_life(curve: npt.NDArray[np.floating], spec: LifeSpec) -> Float64:
    """Cycle at which SOH curves [N, curve_points] first reach ``spec.eol``, linear between points, float64 [N].

    ``curve_points * curve_step`` for a curve that never does, as DiffBatt counts it.
    """
    below = curve <= spec.eol
    first = np.where(below.any(axis=1), below.argmax(axis=1), curve.shape[1])
    rows = np.arange(len(curve))
    right = np.minimum(first, curve.shape[1] - 1)
    left = np.maximum(right - 1, 0)
    high, low = curve[rows, left].astype(np.float64), curve[rows, right].astype(np.float64)
    share = np.where(high > low, (high - spec.eol) / np.where(high > low, high - low, 1.0), 1.0).clip(0.0, 1.0)
    cycle = 1.0 + spec.curve_step * (left + share * (right - left))
    return np.where(first < curve.shape[1], cycle, float(spec.curve_points * spec.curve_step))


def _interpolate_rows(wanted: Int64, at: Int64, rows: Float64) -> Float64:
    """Rows at ``wanted``, linear between the rows given at ascending ``at``; ends are held."""
    position = np.interp(wanted, at, np.arange(at.size))
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, at.size - 1)
    share = (position - low)[:, None]
    mixed: Float64 = (1.0 - share) * rows[low] + share * rows[high]
    return mixed


def _resample(rows: Float64, columns: int) -> Float64:
    """[K, V] -> [K, columns], linear along V, both ends kept."""
    position = np.linspace(0.0, rows.shape[1] - 1.0, columns)
    low = np.minimum(position.astype(np.int64), rows.shape[1] - 2)
    share = position - low
    mixed: Float64 = (1.0 - share) * rows[:, low] + share * rows[:, low + 1]
    return mixed
