"""Learners that stand beside a health teacher in its tables, with those of ``edgebat.baselines.health``.

Each takes windows to learn from, to choose on and to answer, and gives soh [N], trajectory [N, horizon] (fractions) and
rul [N] (cycles). Persistence and the straight line are missing: they need measured capacities, and these windows are
pieces of charges. Partial least squares and the random forest need scikit-learn (extra ``baselines``), CPMLP torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float64
from edgebat.baselines import health_plain as baselines
from edgebat.baselines.forest import forest_on
from edgebat.baselines.health_plain import Predictions, known_rows
from edgebat.errors import MissingExtra, require
from edgebat.tasks.health.windows import SMALLEST_STD, HealthWindows

Learn = Callable[[HealthWindows, HealthWindows, HealthWindows], Predictions]
Fit = Callable[[Float64, Float64], Callable[[Float64], Float64]]

MAX_WINDOWS = 8192
"""Training windows a forest learns from; neighbours in time are nearly equal."""


def flat(windows: HealthWindows) -> Float64:
    """The window's increments side by side, float64 [N, context * increments]."""
    return windows.x.reshape(len(windows), -1).astype(np.float64)


def log_variance(windows: HealthWindows) -> Float64:
    """Severson's feature on a piece of charge: log10 of the variance of the last cycle's increments less the first's,
    float64 [N, 1]."""
    change = windows.x[:, -1].astype(np.float64) - windows.x[:, 0]
    spread: Float64 = np.log10(change.var(axis=1, keepdims=True) + 1e-12)
    return spread


def known_heads(windows: HealthWindows) -> Iterator[tuple[str, npt.NDArray[np.intp], Float64]]:
    """Each head with the rows [M] it can be learnt from, and its values there [M, outputs]; see ``known_rows``."""
    for name in ("soh", "trajectory", "rul"):
        y = getattr(windows, name).astype(np.float64).reshape(len(windows), -1)
        yield (name, *known_rows(y))


def answer_heads(train: HealthWindows, features: Callable[[HealthWindows], Float64], test: HealthWindows,
                 fit: Fit) -> Predictions:  # fmt: skip
    """Every head from a fit of its own; zeros for a head that fewer than two windows know, RUL at least 0."""
    x, ask = features(train), features(test)
    predicted = {}
    for name, rows, y in known_heads(train):
        values = fit(x[rows], y)(ask) if len(rows) > 1 else np.zeros((len(ask), y.shape[1]))
        predicted[name] = values.reshape(len(ask), -1)
    return {
        "soh": predicted["soh"][:, 0],
        "trajectory": predicted["trajectory"],
        "rul": np.maximum(predicted["rul"][:, 0], 0.0),
    }


def variance_model(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """A straight line over ``log_variance`` for each output (after Severson, Nature Energy 4, 383)."""

    def fit(x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        weights = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
        return lambda ask: np.asarray(np.column_stack([np.ones(len(ask)), ask]) @ weights)

    return answer_heads(train, log_variance, test, fit)


def plsr(train: HealthWindows, val: HealthWindows, test: HealthWindows, components: int = 8) -> Predictions:
    """Partial least squares on the standardized window. Raises MissingExtra without scikit-learn."""
    cross = require("sklearn.cross_decomposition", extra="baselines")

    def fit(x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        model = cross.PLSRegression(min(components, *x.shape)).fit(x, y)
        return lambda ask: np.asarray(model.predict(ask), dtype=np.float64)

    return answer_heads(train, flat, test, fit)


def random_forest(train: HealthWindows, val: HealthWindows, test: HealthWindows, seed: int = 1) -> Predictions:
    """A hundred trees per head on the window. Raises MissingExtra without scikit-learn."""

    def fit(x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        rows = np.arange(0, len(x), max(1, -(-len(x) // MAX_WINDOWS)))
        return forest_on(x[rows], y[rows, 0] if y.shape[1] == 1 else y[rows], seed)

    return answer_heads(train, flat, test, fit)


def cpmlp(
    train: HealthWindows, val: HealthWindows, test: HealthWindows, seed: int = 1, steps: int = 2000
) -> Predictions:
    """CPMLP (BatteryLife): each cycle is a patch; one network for all heads, unknown targets left out of its loss.
    Raises MissingExtra without torch."""
    require("torch", extra="train")
    import torch

    from edgebat.baselines.cpmlp import CyclePatchMlp, fit_batches, seeded

    context, increments = train.x.shape[1:]
    # A step that hardly differs among the training windows must not become a huge input on others.
    centre, scale = train.x.mean(axis=0), np.maximum(train.x.std(axis=0), SMALLEST_STD)
    y = np.column_stack([train.soh, train.trajectory, train.rul]).astype(np.float32)
    known = np.isfinite(y)
    counted = np.where(known, y, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    level = counted.sum(axis=0) / count
    spread = np.sqrt((np.where(known, y - level, 0.0) ** 2).sum(axis=0) / count)
    targets = torch.from_numpy(np.where(known, (y - level) / (spread + 1e-12), np.nan).astype(np.float32))
    inputs, ask = (torch.from_numpy(((w.x - centre) / scale).astype(np.float32)) for w in (train, test))
    network = seeded(lambda: CyclePatchMlp(context, increments, width=32, outputs=y.shape[1]), seed)

    def loss(rows: Any) -> Any:
        target = targets[rows]
        there = torch.isfinite(target)
        error = torch.where(there, network(inputs[rows]) - torch.where(there, target, 0.0), 0.0)
        return error.square().sum() / there.sum().clamp(min=1)

    fit_batches(network, loss, len(inputs), seed, steps)
    with torch.no_grad():
        predicted = network(ask).double().numpy() * spread + level
    return {"soh": predicted[:, 0], "trajectory": predicted[:, 1:-1], "rul": np.maximum(predicted[:, -1], 0.0)}


BASELINES: dict[str, Learn] = {
    **baselines.BASELINES,
    "variance": variance_model,
    "plsr": plsr,
    "cpmlp": cpmlp,
    "random_forest": random_forest,
}


QUICK = ("mean", "ridge", "nearest")
"""What a run trains beside its students, in seconds."""
SHOWN = ("ridge", "nearest")
"""What stands in its charts."""


def answers(
    train: HealthWindows | None, val: HealthWindows | None, test: HealthWindows, only: Collection[str] | None = None
) -> tuple[dict[str, Predictions], list[str]]:
    """See ``edgebat.baselines.answers``. Without ``val`` every fifth training cell chooses the ridge's penalty; all others
    learn from all."""
    if train is None:
        return {}, []
    names = [name for name in BASELINES if only is None or name in only]
    if val is not None:
        return health_baselines(train, val, test, [name for name in BASELINES if name not in names])
    held = train.cells[::5]
    found, notes = health_baselines(train, train, test, [n for n in BASELINES if n not in names or n == "ridge"])
    if "ridge" in names:
        rest = train.select(cells=[key for key in train.cells if key not in held])
        found["ridge"] = baselines.ridge(rest, train.select(cells=held), test)
    return {name: found[name] for name in BASELINES if name in found}, notes


def stored_values(name: str, train: HealthWindows) -> int | None:
    """See ``edgebat.baselines.stored_values``."""
    return baselines.stored_values(name, train) if name in baselines.BASELINES else None


def health_baselines(
    train: HealthWindows, val: HealthWindows, test: HealthWindows, left_out: Collection[str] = ()
) -> tuple[dict[str, Predictions], list[str]]:
    """What every baseline not ``left_out`` says of ``test``, by name, and a note for each whose package is missing."""
    found, notes = {}, []
    for name, learn in BASELINES.items():
        if name in left_out:
            continue
        try:
            found[name] = learn(train, val, test)
        except MissingExtra as error:
            notes.append(f"{name} left out: {error}")
    return found, notes
