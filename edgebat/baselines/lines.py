"""Forecasts without learning, or with next to none: what every table of forecasters is held against. NumPy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float32, Float64
from edgebat.errors import DataError
from edgebat.tasks.forecast.windows import ForecastWindows


def capacity_context(capacity: Float32) -> Float64:
    """``x`` of windows, [N, L], in float64. Raises DataError unless each ends with a measured value."""
    x = np.asarray(capacity, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x[:, -1]).all():
        raise DataError(f"forecast windows are [N, L] and end with a measured value; seen shape {x.shape}")
    return x


def whole_futures(train: ForecastWindows, who: str) -> npt.NDArray[np.intp]:
    """Rows of the windows whose future was measured to its last cycles. Raises DataError, naming ``who`` needs one."""
    rows = np.flatnonzero(np.isfinite(train.y[:, -8:]).any(axis=1))
    if not len(rows):
        raise DataError(f"{who} needs training windows with whole futures; there are none")
    return rows


class Line(ABC):
    """A forecast that follows from the capacities of a window alone."""

    def predict(self, windows: ForecastWindows) -> dict[str, Float32]:
        """``trajectory`` [N, horizon]."""
        return {"trajectory": self.ahead(capacity_context(windows.x)).astype(np.float32)}

    @abstractmethod
    def ahead(self, x: Float64) -> Float64:
        """[N, horizon] for ``capacity_context``s, ``x`` [N, L]."""


@dataclass(frozen=True)
class Persistence(Line):
    """The capacity stays as it is."""

    horizon: int = 96

    def ahead(self, x: Float64) -> Float64:
        return np.repeat(x[:, -1:], self.horizon, axis=1)


@dataclass(frozen=True)
class StraightLine(Line):
    """Least squares through the measured values of the last ``cycles`` cycles (None: the whole context), continued; a single
    value gives a flat line."""

    cycles: int | None = 48
    horizon: int = 96

    def ahead(self, x: Float64) -> Float64:
        x = x if self.cycles is None else x[:, -self.cycles :]
        time = np.arange(1 - x.shape[1], 1, dtype=np.float64)
        known = np.isfinite(x)
        count = known.sum(axis=1, keepdims=True)
        mean_t = np.where(known, time, 0.0).sum(axis=1, keepdims=True) / count
        mean_x = np.where(known, x, 0.0).sum(axis=1, keepdims=True) / count
        around = np.where(known, time - mean_t, 0.0)
        slope = (around * np.where(known, x - mean_x, 0.0)).sum(axis=1, keepdims=True)
        slope /= np.maximum((around**2).sum(axis=1, keepdims=True), 1e-9)
        ahead = np.arange(1, self.horizon + 1)
        return np.asarray(mean_x + slope * (ahead - mean_t))


class MeanCurve(Line):
    """Every cell fades as the training windows do on average: the mean change since the origin, cycle by cycle."""

    def __init__(self, train: ForecastWindows) -> None:
        change = np.asarray(train.y - train.x[:, -1:], dtype=np.float64)
        known = np.isfinite(change)
        counts = known.sum(axis=0)
        if not counts.any():
            raise DataError("the mean curve needs training windows with measured futures; there are none")
        mean = np.where(known, change, 0.0).sum(axis=0) / np.maximum(counts, 1)
        steps = np.arange(len(mean))
        self.change = np.interp(steps, steps[counts > 0], mean[counts > 0])

    def ahead(self, x: Float64) -> Float64:
        return np.asarray(x[:, -1:] + self.change)


class NearestCurve(Line):
    """The future of the training window whose last ``cycles`` look most alike, shifted to the same last capacity.

    Alike means the smallest mean squared distance of the changes before the origin, at cycles both have (holes are
    bridged by straight lines). limit: at most so many training windows are kept, evenly spaced.
    """

    def __init__(self, train: ForecastWindows, cycles: int = 96, limit: int = 8000) -> None:
        whole = whole_futures(train, "the nearest curve")
        kept = whole[np.unique(np.linspace(0, len(whole) - 1, min(limit, len(whole))).astype(np.int64))]
        self.past = bridged(np.asarray(train.x[kept], dtype=np.float64))[:, -cycles:]
        self.past -= self.past[:, -1:]
        self.future = bridged(np.asarray(train.y[kept] - train.x[kept, -1:], dtype=np.float64))

    def ahead(self, x: Float64) -> Float64:
        past = bridged(x)[:, -self.past.shape[1] :]
        past = past - past[:, -1:]
        nearest = [int(np.argmin(((self.past - row) ** 2).sum(axis=1))) for row in past]
        return x[:, -1:] + self.future[nearest]


def bridged(x: Float64) -> Float64:
    """Holes filled by straight lines, ends by the nearest value."""
    index = np.arange(x.shape[1])
    out = x.copy()
    for row in out:
        known = np.isfinite(row)
        if not known.all():
            row[:] = np.interp(index, index[known], row[known])
    return out
