"""Windows of a model that reads whichever tenths of a volt the charges crossed: drawn for training, gathered from a file.

Each row is one charge through one of the voltage windows that ``spec.starts_v`` lists, and says which and how long ago:
behind its increments stand the voltage it begins at (V / 1000), its age in cycles since the window's last charge (cycles /
1,000,000), and the rate where that is read; on a device these are whole mV, cycles and 0.001 C. A row without a charge is
zeros throughout, and stands before those that have one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, Int64
from edgebat.cells import CellHistory
from edgebat.tasks.health.increments import increments_from_curve
from edgebat.tasks.health.spec import CYCLE_UNIT, RATE_UNIT, VOLT_UNIT, HealthSpec

GAP_SCALES = (0.0, 0.5, 2.0, 8.0, 30.0)
"""Mean number of cycles between two rows of a drawn history; one of them for each: of one charge alone, of charges day by
day, weeks apart."""


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
    cover the first window at least: one to ``context`` rows, their windows, gaps and number drawn from a seed that is the
    cell's."""
    rng = np.random.default_rng(zlib.crc32("/".join(history.key).encode()))
    increments = curve_rows(history, charges, spec)
    covered: Bool = np.asarray(np.isfinite(increments).all(axis=2))
    cycle = history.charge_cycle[charges]
    ends = np.repeat(last, spec.draws)
    shape = (ends.size, spec.context)
    scale = np.array(GAP_SCALES)[rng.integers(len(GAP_SCALES), size=ends.size)]
    gaps = np.rint(rng.exponential(1.0, shape) * scale[:, None]).astype(np.int64)
    gaps[:, 0] = 0
    ages = np.cumsum(gaps, axis=1)
    rows = np.searchsorted(cycle, cycle[ends][:, None] - ages, side="right") - 1
    there = (np.arange(spec.context) < rng.integers(1, spec.context + 1, ends.size)[:, None]) & (rows >= 0)
    rows = np.maximum(rows, 0)
    which = np.where(covered[rows], rng.random((*shape, covered.shape[1])), -1.0).argmax(axis=2)
    there &= np.take_along_axis(covered[rows], which[..., None], axis=2)[..., 0]
    there &= cycle[ends][:, None] - cycle[rows] <= spec.max_age
    return _rows_of(increments, cycle, (rows, which, there), cycle[ends], history.condition.charge_rate_c, spec)


def _rows_of(
    increments: Float64,
    cycle: Int64,
    drawn: tuple[Int64, Int64, Bool],
    end: Int64,
    rate_c: float | None,
    spec: HealthSpec,
) -> Float32:
    """Rows in order, the oldest first, none twice."""
    rows, which, there = drawn
    order = np.where(there, rows * len(spec.starts_v) + which, -1)
    order.sort(axis=1)
    order[:, :-1][order[:, :-1] == order[:, 1:]] = -1
    order.sort(axis=1)
    row, start = np.divmod(np.maximum(order, 0), len(spec.starts_v))
    age = (end[:, None] - cycle[row]) * CYCLE_UNIT
    behind = [np.array(spec.starts_v)[start] * VOLT_UNIT, age]
    behind += [np.full(row.shape, (rate_c or 0.0) * RATE_UNIT)] if spec.charge_rate else []
    x = np.concatenate([increments[row, start], np.stack(behind, axis=2)], axis=2)
    x[order < 0] = 0.0
    return np.asarray(x, dtype=np.float32)


def gathered(rows: Sequence[Row], spec: HealthSpec) -> tuple[Float32, Int64]:
    """Inputs float32 [N, context, columns] after every charge among ``rows``, whatever their order, and the cycle [N] of
    each: the newest rows that are no older than ``max_age``."""
    ordered = sorted(rows, key=lambda row: (row.cycle, row.start_v))
    ends = sorted({row.cycle for row in ordered})
    x = np.zeros((len(ends), spec.context, spec.columns), dtype=np.float32)
    for number, end in enumerate(ends):
        seen = [row for row in ordered if end - spec.max_age <= row.cycle <= end][-spec.context :]
        for place, row in enumerate(seen, start=spec.context - len(seen)):
            behind = (row.start_v * VOLT_UNIT, (end - row.cycle) * CYCLE_UNIT)
            x[number, place] = [*row.values[: spec.increments], *behind, *row.values[spec.increments :]]
    return x, np.array(ends, dtype=np.int64)
