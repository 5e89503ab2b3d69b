"""Small learners that stand beside the forecasters: a patch MLP after CPMLP (BatteryLife) and a random forest.

Both see the last 96 changes before the origin, divided by the window's own fade, and answer the changes after it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32
from edgebat.baselines.cpmlp import fit_batches, seeded
from edgebat.baselines.lines import (
    Line,
    MeanCurve,
    NearestCurve,
    Persistence,
    StraightLine,
    bridged,
    capacity_context,
)
from edgebat.errors import DataError, MissingExtra, require
from edgebat.tasks.forecast.windows import ForecastWindows

PAST = 96
FLOOR = 5e-3
"""Smallest fade a window is divided by, as a fraction of nominal."""


def past_changes(capacity: Float32) -> tuple[Float32, Float32, Float32]:
    """Changes before the origin [N, 96] over each window's scale, that scale [N, 1], and the last capacity [N, 1]."""
    x = bridged(capacity_context(capacity))
    last = x[:, -1:]
    past = np.pad(x, ((0, 0), (max(0, PAST - x.shape[1]), 0)), mode="edge")[:, -PAST:] - last
    scale = np.maximum(np.abs(past).max(axis=1, keepdims=True), FLOOR)
    return (past / scale).astype(np.float32), scale.astype(np.float32), last.astype(np.float32)


class PatchMlp(nn.Module):
    """[N, 96] -> [N, horizon]: patches of 12 cycles embedded alone, mixed across patches, added to a linear map."""

    def __init__(self, horizon: int, width: int = 32) -> None:
        super().__init__()
        self.straight = nn.Linear(PAST, horizon)
        self.embed = nn.Linear(12, width)
        self.within = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.between = nn.Sequential(nn.Linear(PAST // 12 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, horizon))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        h = self.embed(x.reshape(len(x), -1, 12))
        h = h + self.within(h)
        value: Tensor = self.straight(x) + self.between(h.flatten(1))
        return value


class Learner:
    """A patch MLP (``name`` "cpmlp") or forest ("random_forest") fitted to ``train``. Raises MissingExtra, DataError."""

    def __init__(self, train: ForecastWindows, name: str, seed: int = 1, limit: int = 4000, steps: int = 1500) -> None:
        self.name, self.settings = name, {"seed": seed, "limit": limit}
        whole = np.flatnonzero(np.isfinite(train.y[:, -8:]).any(axis=1))
        if not len(whole):
            raise DataError(f"the baseline {name} needs training windows with whole futures; there are none")
        rng = np.random.default_rng(seed)
        # Cells alike, so that the longest-lived do not decide.
        weights = 1.0 / np.bincount(train.cell)[train.cell[whole]]
        rows = whole[rng.choice(len(whole), min(limit, len(whole)), replace=False, p=weights / weights.sum())]
        x, scale, last = past_changes(train.x[rows])
        y = ((bridged(np.asarray(train.y[rows], dtype=np.float64)) - last) / scale).astype(np.float32)
        self.answer = self._forest(x, y, seed) if name == "random_forest" else self._mlp(x, y, seed, steps)

    def _forest(self, x: Float32, y: Float32, seed: int) -> Any:
        ensemble = require("sklearn.ensemble", extra="baselines")
        # Forty trees of sparse inputs and outputs: the curves between are straight enough.
        at = np.arange(7, y.shape[1], 8)
        forest = ensemble.RandomForestRegressor(40, min_samples_leaf=3, random_state=seed).fit(
            x[:, ::8], y[:, at].squeeze()
        )
        grid = np.arange(y.shape[1])

        def answer(x: Float32) -> npt.NDArray[Any]:
            knots = np.column_stack([np.zeros(len(x)), forest.predict(x[:, ::8])])
            return np.stack([np.interp(grid, np.concatenate(([-1], at)), row) for row in knots])

        return answer

    def _mlp(self, x: Float32, y: Float32, seed: int, steps: int) -> Any:
        network = seeded(lambda: PatchMlp(y.shape[1]), seed)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

        def loss(rows: Tensor) -> Tensor:
            error: Tensor = network(inputs[rows]) - targets[rows]
            return error.abs().mean()

        fit_batches(network, loss, len(x), seed, steps)

        @torch.no_grad()
        def answer(x: Float32) -> npt.NDArray[Any]:
            values: npt.NDArray[Any] = network(torch.from_numpy(x)).numpy()
            return values

        return answer

    def predict(self, windows: ForecastWindows) -> dict[str, Float32]:
        """``trajectory`` [N, horizon]."""
        x, scale, last = past_changes(windows.x)
        return {"trajectory": (last + scale * self.answer(x)).astype(np.float32)}


def forecast_baselines(
    horizon: int, train: ForecastWindows | None = None
) -> tuple[dict[str, Line | Learner], list[str]]:
    """Every baseline of the ``forecast`` task by name, those that learn only with training windows; and a note for each
    whose package is missing."""
    found: dict[str, Line | Learner] = {
        "persistence": Persistence(horizon),
        "line24": StraightLine(24, horizon),
        "line48": StraightLine(48, horizon),
        "line_all": StraightLine(None, horizon),
    }
    if train is None:
        return found, []
    notes = []
    found |= {"mean_curve": MeanCurve(train), "nearest_curve": NearestCurve(train, limit=2000)}
    for name in ("cpmlp", "random_forest"):
        try:
            found[name] = Learner(train, name)
        except MissingExtra as error:  # scikit-learn is optional
            notes.append(f"{name} left out: {error}")
    return found, notes


QUICK = ("persistence", "line24", "line48", "line_all")
"""What a run sets beside its students, in seconds."""
SHOWN = ("persistence", "line48")
"""What stands in its charts."""
MOST_WINDOWS = 4
"""Of the training windows one in so many is enough for those that learn."""


def answers(
    train: ForecastWindows | None,
    val: ForecastWindows | None,
    test: ForecastWindows,
    only: Collection[str] | None = None,
) -> tuple[dict[str, dict[str, Float32]], list[str]]:
    """See ``edgebat.baselines.answers``."""
    learns = train is not None and (only is None or set(only) - set(QUICK))
    found, notes = forecast_baselines(test.spec.horizon, train.select_every(MOST_WINDOWS) if train and learns else None)
    return {name: b.predict(test) for name, b in found.items() if only is None or name in only}, notes


def stored_values(name: str, train: ForecastWindows) -> int | None:
    """See ``edgebat.baselines.stored_values``; lines keep nothing."""
    return 0 if name in QUICK else None
