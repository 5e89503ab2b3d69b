"""Baselines every model has to beat, on the same windows of the same training cells. NumPy only.

Each gives physical predictions for test windows: soh [N], trajectory [N, horizon] (fractions), rul [N] (cycles).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float64
from edgebat.tasks.health import HealthWindows

Predictions = dict[str, Float64]

PENALTIES = tuple(10.0**p for p in range(-2, 5))
MAX_NEIGHBOURS = 8192
"""Training windows to search; neighbours in time are nearly equal, so an even sample of a large set loses nothing."""


def known_rows(y: Float64) -> tuple[npt.NDArray[np.intp], Float64]:
    """Which rows of labels y [N, outputs] can be learnt from, and what they say: those known throughout; where there are
    none, those known at first, held at their last known value."""
    rows = np.flatnonzero(np.isfinite(y).all(axis=1))
    if rows.size:
        return rows, y[rows]
    rows = np.flatnonzero(np.isfinite(y[:, 0]))
    last = np.maximum.accumulate(np.where(np.isfinite(y[rows]), np.arange(y.shape[1]), 0), axis=1)
    return rows, np.take_along_axis(y[rows], last, axis=1)


def mean(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """The mean of the training windows, whatever the input; cycles ahead that none of them has measured get its SOH."""
    count, soh = len(test), float(train.soh.mean(dtype=np.float64))
    known = np.isfinite(train.trajectory)
    total = np.where(known, train.trajectory, 0.0).sum(axis=0, dtype=np.float64)
    trajectory = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), soh)
    return {
        "soh": np.full(count, soh),
        "trajectory": np.repeat(trajectory[None], count, axis=0),
        "rul": np.full(count, float(np.nanmean(train.rul)) if np.isfinite(train.rul).any() else 0.0),
    }


def ridge(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """Ridge regression on the flattened window, one per head; the penalty is the best of a grid on validation cells."""
    centre, scale = _flat(train).mean(axis=0), _flat(train).std(axis=0) + 1e-12
    x, tune, ask = ((_flat(w) - centre) / scale for w in (train, val, test))

    def head(name: str) -> Float64:
        y, y_val = (getattr(w, name).astype(np.float64).reshape(len(w), -1) for w in (train, val))
        (known, y), (known_val, y_val) = known_rows(y), known_rows(y_val)
        if not known.size:
            return np.zeros((len(test), y.shape[1]))
        offset = y.mean(axis=0)
        gram, right = x[known].T @ x[known], x[known].T @ (y - offset)
        fits = [np.linalg.solve(gram + p * np.eye(len(gram)), right) for p in PENALTIES]
        errors = [np.square(tune[known_val] @ w + offset - y_val).sum() for w in fits]
        best: Float64 = ask @ fits[int(np.argmin(errors))] + offset
        return best

    return {"soh": head("soh")[:, 0], "trajectory": head("trajectory"), "rul": np.maximum(head("rul")[:, 0], 0.0)}


def nearest(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """The labels of the nearest training window (Euclidean, increments scaled to unit variance) that carries them."""
    centre, scale = _flat(train).mean(axis=0), _flat(train).std(axis=0) + 1e-12
    x, ask = ((_flat(w) - centre) / scale for w in (train, test))

    def head(name: str) -> Float64:
        known, y = known_rows(getattr(train, name).astype(np.float64).reshape(len(train), -1))
        if not known.size:
            return np.zeros((len(test), y.shape[1]))
        step = max(1, -(-known.size // MAX_NEIGHBOURS))
        known, y = known[::step], y[::step]
        pool, squares = x[known], np.square(x[known]).sum(axis=1)
        # The squared distance without the term that is the same for all neighbours.
        index = [
            np.argmin(squares - 2.0 * (part @ pool.T), axis=1) for part in np.array_split(ask, len(ask) // 256 + 1)
        ]
        return np.asarray(y[np.concatenate(index)])

    return {"soh": head("soh")[:, 0], "trajectory": head("trajectory"), "rul": head("rul")[:, 0]}


BASELINES: dict[str, Callable[[HealthWindows, HealthWindows, HealthWindows], Predictions]] = {
    "mean": mean,
    "ridge": ridge,
    "nearest": nearest,
}


def stored_values(name: str, train: HealthWindows) -> int:
    """How many numbers a baseline keeps to answer with, to be set beside a network's weights."""
    heads = 2 + train.spec.horizon
    inputs = train.spec.context * train.spec.increments
    kept = min(len(train), MAX_NEIGHBOURS)
    return {"mean": heads, "ridge": (inputs + 1) * heads, "nearest": kept * (inputs + heads)}[name]


def _flat(windows: HealthWindows) -> Float64:
    return windows.x.reshape(len(windows), -1).astype(np.float64)
