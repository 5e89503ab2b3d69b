"""Small learners that stand beside the forecasters: a patch MLP after CPMLP (BatteryLife), a GRU and a random forest.

All see the last 96 changes before the origin, divided by the window's own fade, and answer the changes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32, Float64, FloatArray
from edgebat.baselines import each_at_hand
from edgebat.baselines.cpmlp import CyclePatchMlp, fit_batches, seeded
from edgebat.baselines.forest import forest_on
from edgebat.baselines.lines import (
    Line,
    MeanCurve,
    NearestCurve,
    Persistence,
    StraightLine,
    bridged,
    capacity_context,
    whole_futures,
)
from edgebat.tasks.forecast.windows import ForecastWindows

PAST = 96
GROUP = 4
"""Cycles that are one step of a recurrent network."""
FLOOR = 5e-3
"""Smallest fade a window is divided by, as a fraction of nominal."""
Answer = Callable[[Float32], FloatArray]
"""From changes before the origin, [N, 96], to those after it, [N, horizon]."""


def past_changes(x: Float64) -> tuple[Float32, Float32, Float32]:
    """Changes before the origin [N, 96] over each window's scale, that scale [N, 1], and the last capacity [N, 1], of a
    ``capacity_context``."""
    x = bridged(x)
    last = x[:, -1:]
    past = np.pad(x, ((0, 0), (max(0, PAST - x.shape[1]), 0)), mode="edge")[:, -PAST:] - last
    scale = np.maximum(np.abs(past).max(axis=1, keepdims=True), FLOOR)
    return (past / scale).astype(np.float32), scale.astype(np.float32), last.astype(np.float32)


class PatchMlp(nn.Module):
    """[N, 96] -> [N, horizon]: patches of 12 cycles embedded alone, mixed across patches, added to a linear map."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.straight = nn.Linear(PAST, horizon)
        self.patches = CyclePatchMlp(PAST // 12, 12, width=32, outputs=horizon)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        value: Tensor = self.straight(x) + self.patches(x.reshape(len(x), -1, 12))
        return value


def random_forest(x: Float32, y: Float32, seed: int) -> Answer:
    """Forty trees of sparse inputs and outputs: the curves between are straight enough. Raises MissingExtra."""
    at = np.arange(7, y.shape[1], 8)
    forest = forest_on(x[:, ::8], y[:, at].squeeze(), seed, n_estimators=40, max_features=1.0, min_samples_leaf=3)
    grid = np.arange(y.shape[1])

    def answer(x: Float32) -> FloatArray:
        knots = np.column_stack([np.zeros(len(x)), forest(x[:, ::8])])
        return np.stack([np.interp(grid, np.concatenate(([-1], at)), row) for row in knots])

    return answer


class Recurrent(nn.Module):
    """[N, 96] -> [N, horizon]: a GRU over groups of four cycles, its last state added to a linear map."""

    def __init__(self, horizon: int, units: int = 32) -> None:
        super().__init__()
        self.straight = nn.Linear(PAST, horizon)
        self.gru = nn.GRU(GROUP, units, batch_first=True)
        self.ahead = nn.Linear(units, horizon)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        state = self.gru(x.reshape(len(x), -1, GROUP))[1][0]
        value: Tensor = self.straight(x) + self.ahead(state)
        return value


def network(make: Callable[[int], nn.Module], x: Float32, y: Float32, seed: int, steps: int = 1500) -> Answer:
    """``make(horizon)`` trained on absolute errors."""
    network = seeded(lambda: make(y.shape[1]), seed)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def loss(rows: Tensor) -> Tensor:
        error: Tensor = network(inputs[rows]) - targets[rows]
        return error.abs().mean()

    fit_batches(network, loss, len(x), seed, steps)

    @torch.no_grad()
    def answer(x: Float32) -> FloatArray:
        values: FloatArray = network(torch.from_numpy(x)).numpy()
        return values

    return answer


LEARNERS: dict[str, Callable[[Float32, Float32, int], Answer]] = {
    "cpmlp": partial(network, PatchMlp),
    "gru": partial(network, Recurrent),
    "random_forest": random_forest,
}


class Learner(Line):
    """One of ``LEARNERS``, by ``name``, fitted to at most ``limit`` windows of ``train``. Raises MissingExtra, DataError."""

    def __init__(self, train: ForecastWindows, name: str, seed: int = 1, limit: int = 4000) -> None:
        whole = whole_futures(train, f"the baseline {name}")
        rng = np.random.default_rng(seed)
        # Cells alike, so that the longest-lived do not decide.
        weights = 1.0 / np.bincount(train.cell)[train.cell[whole]]
        rows = whole[rng.choice(len(whole), min(limit, len(whole)), replace=False, p=weights / weights.sum())]
        x, scale, last = past_changes(capacity_context(train.x[rows]))
        y = ((bridged(np.asarray(train.y[rows], dtype=np.float64)) - last) / scale).astype(np.float32)
        self.answer = LEARNERS[name](x, y, seed)

    def ahead(self, x: Float64) -> Float64:
        past, scale, last = past_changes(x)
        return np.asarray(last + scale * self.answer(past), dtype=np.float64)


def forecast_baselines(
    horizon: int, train: ForecastWindows | None = None, only: Collection[str] | None = None
) -> tuple[dict[str, Line], list[str]]:
    """Every baseline of the ``forecast`` task by name, or ``only`` some, those that learn only with training windows; and
    a note for each whose package is missing."""
    makers: dict[str, Callable[[], Line]] = {
        "persistence": partial(Persistence, horizon),
        "line24": partial(StraightLine, 24, horizon),
        "line48": partial(StraightLine, 48, horizon),
        "line_all": partial(StraightLine, None, horizon),
    }
    if train is not None:
        makers |= {"mean_curve": partial(MeanCurve, train), "nearest_curve": partial(NearestCurve, train, limit=2000)}
        makers |= {name: partial(Learner, train, name) for name in LEARNERS}
    return each_at_hand([n for n in makers if only is None or n in only], lambda name: makers[name]())


QUICK = ("persistence", "line24", "line48", "line_all")
"""What a run sets beside its students, in seconds."""
SHOWN = ("persistence", "line24", "line48")
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
    learnt = train.select_every(MOST_WINDOWS) if train and learns else None
    found, notes = forecast_baselines(test.spec.horizon, learnt, only)
    return {name: baseline.predict(test) for name, baseline in found.items()}, notes


def stored_values(name: str, train: ForecastWindows) -> int | None:
    """See ``edgebat.baselines.stored_values``; lines keep nothing."""
    return 0 if name in QUICK else None
