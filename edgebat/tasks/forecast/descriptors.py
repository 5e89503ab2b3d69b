"""Ten numbers that describe how a cell was charged and discharged in a cycle; training aids, never model inputs.

NaN where a source does not tell. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebat.arrays import Float32, Float64, Int64
from edgebat.cells import CellKey
from edgebat.errors import DataError
from edgebat.tasks.forecast.windows import ForecastWindows

DESCRIPTORS = (
    "charge_log_s",
    "cc_log_s",
    "cv_log_s",
    "charge_mean_v",
    "charge_std_v",
    "charge_mean_c",
    "charge_std_c",
    "charge_skewness_v",
    "discharge_mean_v",
    "discharge_log_s",
)
"""Durations as log(1 + s), voltages in V, currents in C-rate; cc and cv: the parts of the charge at constant current
and at constant voltage."""

CV_BAND_V = 0.005
"""A charge is at constant voltage while it is this close to its highest voltage and its current falls."""

DescriptorTable = Mapping[CellKey, tuple[Int64, Float64]]
"""Cell -> (cycle numbers [C], descriptors [C, 10])."""


def charge_descriptors(time_s: Float64, voltage_v: Float64, current_c: Float64) -> Float64:
    """The eight descriptors of one charge, [10] with NaN for the discharge's two.

    time_s, voltage_v, current_c: [T] samples of the charge alone, time ascending, current in C-rate. Means are over
    time. Raises DataError for fewer than 3 samples, unequal lengths or time that does not ascend.
    """
    t, v, i = (np.asarray(values, dtype=np.float64) for values in (time_s, voltage_v, current_c))
    if not t.shape == v.shape == i.shape or t.ndim != 1 or len(t) < 3 or not (np.diff(t) > 0.0).all():
        raise DataError(f"a charge needs 3 or more samples with ascending time and equal lengths; seen {t.shape}, "
                        f"{v.shape}, {i.shape}")  # fmt: skip
    duration = t[-1] - t[0]

    def mean(values: Float64) -> float:
        return float(np.trapezoid(values, t) / duration)

    mean_v, mean_i = mean(v), mean(i)
    std_v = np.sqrt(max(mean((v - mean_v) ** 2), 0.0))
    std_i = np.sqrt(max(mean((i - mean_i) ** 2), 0.0))
    skewness = mean((v - mean_v) ** 3) / std_v**3 if std_v > 0.0 else 0.0
    # Constant voltage begins after the last sample that is below the band or still at full current.
    full = (v < v.max() - CV_BAND_V) | (i > 0.97 * np.median(i[i >= np.median(i)]))
    start = int(np.flatnonzero(full)[-1]) if full.any() else 0
    cc_s = t[start] - t[0]
    parts = np.log1p([duration, cc_s, duration - cc_s])
    return np.array([*parts, mean_v, std_v, mean_i, std_i, skewness, np.nan, np.nan])


def match_cycles(values: Float64, capacities: Float64, cycles: Int64, tolerance: float = 2e-5) -> Int64:
    """Cycle number of each row of a table that carries capacities but no cycle numbers; -1 where there is no match.

    values [R]: the table's capacities in Ah, in order; capacities [C] and cycles [C]: the cell's. A row matches the
    next cycle of equal capacity, at most 30 rows on, so that order is kept and a missing row costs only itself.
    """
    found = np.full(len(values), -1, dtype=np.int64)
    start = 0
    for row, value in enumerate(values):
        near = np.flatnonzero(np.abs(capacities[start : start + 30] - value) < tolerance)
        if len(near):
            found[row] = cycles[start + near[0]]
            start += int(near[0]) + 1
    return found


def window_descriptors(windows: ForecastWindows, table: DescriptorTable, cycles: int = 48) -> Float32:
    """Mean descriptors over the last ``cycles`` cycles of each window, float32 [N, 10].

    Robustly scaled within each dataset (median and interquartile range, cut at +-5): sources describe different parts
    of the charge, so that absolute values of two datasets cannot be compared. NaN where nothing is known.
    """
    out = np.full((len(windows), len(DESCRIPTORS)), np.nan)
    for index, key in enumerate(windows.cells):
        if key not in table:
            continue
        numbers, values = table[key]
        rows = np.flatnonzero(windows.cell == index)
        known = np.isfinite(values)
        sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(np.where(known, values, 0.0), axis=0)])
        counts = np.vstack([np.zeros(values.shape[1]), np.cumsum(known, axis=0)])
        last = np.searchsorted(numbers, windows.cycle[rows], side="right")
        first = np.searchsorted(numbers, windows.cycle[rows] - cycles, side="right")
        count = counts[last] - counts[first]
        out[rows] = np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)
    dataset = windows.dataset
    for name in np.unique(dataset):
        rows = np.flatnonzero(dataset == name)
        for column in range(out.shape[1]):
            values = out[rows, column]
            known = np.isfinite(values)
            if known.any():
                low, middle, high = np.percentile(values[known], (25, 50, 75))
                out[rows, column] = np.clip((values - middle) / max(high - low, 1e-9), -5.0, 5.0)
    return out.astype(np.float32)
