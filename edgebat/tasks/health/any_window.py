"""Windows of a model that reads whichever tenths of a volt the charges crossed: drawn for training, gathered from a file.

A charge that arrives at some voltage is read through consecutive windows: the first begins at the lowest start of
``spec.starts_v`` above that voltage, which on a device is the one it has come to once a tenth of nominal has flowed; the
next where that one ends, as long as that is a start too; and so on until the charge ends (``spec.chains``). Every window
makes a row, which says which and how long ago: behind its increments stand the voltage it begins at (V / 1000), its age in
cycles since the newest charge (cycles / 1,000,000), and the rate where that is read; on a device these are whole mV, cycles
and 0.001 C. The newest ``context`` rows make an input, after each completed window, so that of the newest charge there may
be only the first ones. A row without a charge is zeros throughout, and stands before those that have one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, Int64
from edgebat.cells import CellHistory
from edgebat.tasks.health.increments import increments_from_curve
from edgebat.tasks.health.spec import CYCLE_UNIT, VOLT_UNIT, HealthSpec
from edgebat.tasks.windows import RATE_UNIT

GAP_SCALES = (0.0, 0.5, 2.0, 8.0, 30.0)
"""Mean number of cycles left out between two charges of a drawn history, one of them for each: charges day by day to weeks
apart."""
ALONE = 0.3
"""Share of the drawn histories that know one charge alone."""
HABIT = 0.5
"""Share of them whose charges arrive alike."""
WHOLE = 0.5
"""Share of the charges that are read to the last window; the others have their first ones alone, as when somebody pulls the
plug, or an estimate is asked for while the cell is still charged."""


@dataclass(frozen=True)
class Row:
    """One charge through one window."""

    cycle: int
    start_v: float
    values: Float64
    """[increments] and the rate where it is read, as inputs."""


def curve_rows(history: CellHistory, charges: Int64, spec: HealthSpec) -> Float64:
    """Increments float64 [M, starts, increments] of the charges at these rows of the history's curves; NaN where a charge
    does not cover a window."""
    curves = history.charge_dq_ah[charges]
    found = [increments_from_curve(history.charge_voltage_v, curves, history.nominal_ah, spec.beginning_at(start))
             for start in spec.starts_v]  # fmt: skip
    return np.stack(found, axis=1)


def drawn_histories(history: CellHistory, charges: Int64, last: Int64, spec: HealthSpec) -> Float32:
    """Inputs float32 [L * draws, context, columns] that end with the charges at ``last`` [L] of ``charges`` [M], which
    cover the first window at least: how many charges, the gaps between them, where each arrives and how far it is read are
    drawn from a seed that is the cell's."""
    rng = np.random.default_rng(zlib.crc32("/".join(history.key).encode()))
    increments = curve_rows(history, charges, spec)
    covered: Bool = np.asarray(np.isfinite(increments).all(axis=2))
    cycle = history.charge_cycle[charges]
    ends = np.repeat(last, spec.draws)
    rows, there = _drawn_charges(rng, cycle, ends, spec)
    read = _drawn_windows(rng, covered[rows], spec) & there[..., None]
    # Newest charge first: a row's place among all of the cell's, and the newest of them in order.
    order = np.where(read, rows[..., None] * covered.shape[1] + np.arange(covered.shape[1]), -1).reshape(ends.size, -1)
    order.sort(axis=1)
    return _rows_of(increments, cycle, order[:, -spec.context :], cycle[ends], history.condition.charge_rate_c, spec)


def _drawn_charges(rng: np.random.Generator, cycle: Int64, ends: Int64, spec: HealthSpec) -> tuple[Int64, Bool]:
    """Charges [N, context] of histories that end with ``ends`` [N], the newest first, and whether each is there."""
    shape = (ends.size, spec.context)
    scale = np.array(GAP_SCALES)[rng.integers(len(GAP_SCALES), size=ends.size)]
    gaps = 1 + np.rint(rng.exponential(1.0, shape) * scale[:, None]).astype(np.int64)
    gaps[:, 0] = 0
    rows = np.searchsorted(cycle, cycle[ends][:, None] - np.cumsum(gaps, axis=1), side="right") - 1
    many = np.where(rng.random(ends.size) < ALONE, 1, rng.integers(1, spec.context + 1, ends.size))
    there = (np.arange(spec.context) < many[:, None]) & (rows >= 0)
    # Where cycles are missing, two may find the same charge.
    there[:, 1:] &= rows[:, 1:] < rows[:, :-1]
    rows = np.maximum(rows, 0)
    return rows, there & (cycle[ends][:, None] - cycle[rows] <= spec.max_age)


def _drawn_windows(rng: np.random.Generator, covered: Bool, spec: HealthSpec) -> Bool:
    """Which windows [N, context, starts] are read of charges that cover ``covered``: consecutive ones from an arrival on."""
    luck = rng.random(covered.shape)
    habit = rng.random(len(covered)) < HABIT
    luck[habit] = luck[habit, :1]
    first = np.where(covered, luck, -1.0).argmax(axis=2)
    chain = np.array(spec.chains)[first]
    read = chain & np.logical_and.accumulate(covered | ~chain, axis=2)
    count = read.sum(axis=2)
    part = np.where(rng.random(count.shape) < WHOLE, 1.0, rng.random(count.shape))
    return np.asarray(read & (read.cumsum(axis=2) <= np.ceil(part * count)[..., None]))


def _rows_of(
    increments: Float64, cycle: Int64, order: Int64, end: Int64, rate_c: float | None, spec: HealthSpec
) -> Float32:
    """Inputs of the rows ``order`` [N, context], charge times starts plus start, -1 where there is none."""
    row, start = np.divmod(np.maximum(order, 0), len(spec.starts_v))
    age = (end[:, None] - cycle[row]) * CYCLE_UNIT
    behind = [np.array(spec.starts_v)[start] * VOLT_UNIT, age]
    behind += [np.full(row.shape, (rate_c or 0.0) * RATE_UNIT)] if spec.charge_rate else []
    x = np.concatenate([increments[row, start], np.stack(behind, axis=2)], axis=2)
    x[order < 0] = 0.0
    return np.asarray(x, dtype=np.float32)


def gathered(rows: Sequence[Row], spec: HealthSpec) -> tuple[Float32, Int64]:
    """Inputs float32 [N, context, columns] after every one of ``rows`` [N], whatever their order, and the cycle [N] of each:
    the newest rows that are no older than ``max_age``. The rows of a cycle are those of one charge, consecutive windows."""
    ordered = sorted(rows, key=lambda row: (row.cycle, row.start_v))
    x = np.zeros((len(ordered), spec.context, spec.columns), dtype=np.float32)
    for number, end in enumerate(row.cycle for row in ordered):
        newest = ordered[max(0, number + 1 - spec.context) : number + 1]
        seen = [row for row in newest if end - row.cycle <= spec.max_age]
        for place, row in enumerate(seen, start=spec.context - len(seen)):
            behind = (row.start_v * VOLT_UNIT, (end - row.cycle) * CYCLE_UNIT)
            x[number, place] = [*row.values[: spec.increments], *behind, *row.values[spec.increments :]]
    return x, np.array([row.cycle for row in ordered], dtype=np.int64)


def read_from_v(x: Float32, spec: HealthSpec) -> Float64:
    """Where the first window of the newest charge of each input begins, V [N], for inputs [N, context, columns]."""
    start_v = (x[..., spec.increments].astype(np.float64) / VOLT_UNIT).round(6)
    newest = (start_v > 0.0) & (np.rint(x[..., spec.increments + 1].astype(np.float64) / CYCLE_UNIT) == 0)
    return np.asarray(np.where(newest, start_v, np.inf).min(axis=1))


def by_read_from(x: Float32, spec: HealthSpec) -> list[tuple[str, Bool]]:
    """(name, mask [N]) of inputs by a third of the voltages that a charge can be read from."""
    found = read_from_v(x, spec)
    thirds = [third for third in np.array_split(np.array(spec.starts_v), 3) if len(third)]
    masks = {f"read from {third[0]:.2f} to {third[-1]:.2f} V": np.isin(found, third) for third in thirds}
    return [(name, mask) for name, mask in masks.items() if mask.any()]
