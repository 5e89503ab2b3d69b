"""What every health model has to beat, and learners that stand beside a teacher, on the same windows of the same cells.

Each takes windows to learn from, to choose on and to answer, and gives soh [N], trajectory [N, horizon] (fractions) and
rul [N] (cycles). Persistence and the straight line are missing: they need measured capacities, and these windows are
pieces of charges. Partial least squares and the random forest need scikit-learn (extra ``baselines``), CPMLP torch, the
others NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float64
from edgebat.baselines import each_at_hand
from edgebat.baselines.forest import forest_on
from edgebat.errors import require
from edgebat.tasks.health.windows import HealthWindows

Predictions = dict[str, Float64]
Learn = Callable[[HealthWindows, HealthWindows, HealthWindows], Predictions]
Fit = Callable[[str, Float64, Float64], Callable[[Float64], Float64]]
"""(head, features [M, F], its values [M, outputs]) -> from features [N, F] to values, [N, outputs] or [N]."""

PENALTIES = tuple(10.0**p for p in range(-2, 5))
MAX_WINDOWS = 8192
"""Training windows a forest learns from and neighbours are searched in; neighbours in time are nearly equal, so an even
sample of a large set loses nothing."""


def flat(windows: HealthWindows) -> Float64:
    """The window's inputs side by side, float64 [N, context * columns]."""
    return windows.inputs().reshape(len(windows), -1).astype(np.float64)


def standardized(train: HealthWindows) -> Callable[[HealthWindows], Float64]:
    """``flat``, each column less its mean over the training windows and over its deviation."""
    x = flat(train)
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    return lambda windows: (flat(windows) - centre) / scale


def log_variance(windows: HealthWindows) -> Float64:
    """Severson's feature on a piece of charge: log10 of the variance of the last cycle's increments less the first's,
    float64 [N, 1]."""
    change = windows.increments[:, -1].astype(np.float64) - windows.increments[:, 0]
    spread: Float64 = np.log10(change.var(axis=1, keepdims=True) + 1e-12)
    return spread


def known_rows(y: Float64) -> tuple[npt.NDArray[np.intp], Float64]:
    """Which rows of labels y [N, outputs] can be learnt from, and what they say: those known throughout; where there are
    none, those known at first, held at their last known value."""
    rows = np.flatnonzero(np.isfinite(y).all(axis=1))
    if rows.size:
        return rows, y[rows]
    rows = np.flatnonzero(np.isfinite(y[:, 0]))
    last = np.maximum.accumulate(np.where(np.isfinite(y[rows]), np.arange(y.shape[1]), 0), axis=1)
    return rows, np.take_along_axis(y[rows], last, axis=1)


def known_heads(windows: HealthWindows) -> Iterator[tuple[str, npt.NDArray[np.intp], Float64]]:
    """Each head with the rows [M] it can be learnt from, and its values there [M, outputs]; see ``known_rows``."""
    for name in ("soh", "trajectory", "rul"):
        y = getattr(windows, name).astype(np.float64).reshape(len(windows), -1)
        yield (name, *known_rows(y))


def answer_heads(
    train: HealthWindows, features: Callable[[HealthWindows], Float64], test: HealthWindows, fit: Fit, least: int = 2
) -> Predictions:
    """Every head from a fit of its own; zeros for a head that fewer than ``least`` windows know, RUL at least 0."""
    x, ask = features(train), features(test)
    predicted = {}
    for name, rows, y in known_heads(train):
        values = fit(name, x[rows], y)(ask) if len(rows) >= least else np.zeros((len(ask), y.shape[1]))
        predicted[name] = values.reshape(len(ask), -1)
    return {
        "soh": predicted["soh"][:, 0],
        "trajectory": predicted["trajectory"],
        "rul": np.maximum(predicted["rul"][:, 0], 0.0),
    }


def every_so_many(rows: int) -> slice:
    """An even sample of ``rows`` rows, at most ``MAX_WINDOWS``."""
    return slice(None, None, max(1, -(-rows // MAX_WINDOWS)))


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
    features = standardized(train)
    tune, held = features(val), {name: (rows, y) for name, rows, y in known_heads(val)}

    def fit(head: str, x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        offset = y.mean(axis=0)
        gram, right = x.T @ x, x.T @ (y - offset)
        fits = [np.linalg.solve(gram + p * np.eye(len(gram)), right) for p in PENALTIES]
        rows, y_val = held[head]
        best = fits[int(np.argmin([np.square(tune[rows] @ w + offset - y_val).sum() for w in fits]))]
        return lambda ask: np.asarray(ask @ best + offset)

    return answer_heads(train, features, test, fit, least=1)


def nearest(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """The labels of the nearest training window (Euclidean, increments scaled to unit variance) that carries them."""

    def fit(head: str, x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        pool, y = x[every_so_many(len(x))], y[every_so_many(len(x))]
        squares = np.square(pool).sum(axis=1)

        def labels(ask: Float64) -> Float64:
            parts = np.array_split(ask, len(ask) // 256 + 1)
            # The squared distance without the term that is the same for all neighbours.
            index = [np.argmin(squares - 2.0 * (part @ pool.T), axis=1) for part in parts]
            return np.asarray(y[np.concatenate(index)])

        return labels

    return answer_heads(train, standardized(train), test, fit, least=1)


def variance_model(train: HealthWindows, val: HealthWindows, test: HealthWindows) -> Predictions:
    """A straight line over ``log_variance`` for each output (after Severson, Nature Energy 4, 383)."""

    def fit(head: str, x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        weights = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
        return lambda ask: np.asarray(np.column_stack([np.ones(len(ask)), ask]) @ weights)

    return answer_heads(train, log_variance, test, fit)


def plsr(train: HealthWindows, val: HealthWindows, test: HealthWindows, components: int = 8) -> Predictions:
    """Partial least squares on the standardized window. Raises MissingExtra without scikit-learn."""
    cross = require("sklearn.cross_decomposition", extra="baselines")

    def fit(head: str, x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        model = cross.PLSRegression(min(components, *x.shape)).fit(x, y)
        return lambda ask: np.asarray(model.predict(ask), dtype=np.float64)

    return answer_heads(train, flat, test, fit)


def random_forest(train: HealthWindows, val: HealthWindows, test: HealthWindows, seed: int = 1) -> Predictions:
    """A hundred trees per head on the window. Raises MissingExtra without scikit-learn."""

    def fit(head: str, x: Float64, y: Float64) -> Callable[[Float64], Float64]:
        rows = every_so_many(len(x))
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

    seen = train.inputs()
    context, columns = seen.shape[1:]
    # A step that hardly differs among the training windows must not become a huge input on others.
    centre, scale = seen.mean(axis=0), np.maximum(seen.std(axis=0), train.smallest_std())
    y = np.column_stack([train.soh, train.trajectory, train.rul]).astype(np.float32)
    known = np.isfinite(y)
    count = np.maximum(known.sum(axis=0), 1)
    level = np.where(known, y, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, y - level, 0.0) ** 2).sum(axis=0) / count)
    targets = torch.from_numpy(np.where(known, (y - level) / (spread + 1e-12), np.nan).astype(np.float32))
    inputs, ask = (torch.from_numpy(((w.inputs() - centre) / scale).astype(np.float32)) for w in (train, test))
    network = seeded(lambda: CyclePatchMlp(context, columns, width=32, outputs=y.shape[1]), seed)

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
    "mean": mean,
    "ridge": ridge,
    "nearest": nearest,
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
    others = () if only is None else BASELINES.keys() - set(only)
    if val is not None:
        return health_baselines(train, val, test, others)

    held = train.cells[::5]
    found, notes = health_baselines(train, train, test, {*others, "ridge"})
    if "ridge" not in others:
        rest = train.select(cells=[key for key in train.cells if key not in held])
        found["ridge"] = ridge(rest, train.select(cells=held), test)
    return {name: found[name] for name in BASELINES if name in found}, notes


def stored_values(name: str, train: HealthWindows) -> int | None:
    """See ``edgebat.baselines.stored_values``."""
    heads = 2 + train.spec.horizon
    inputs = train.spec.context * train.spec.columns
    kept = min(len(train), MAX_WINDOWS)
    return {"mean": heads, "ridge": (inputs + 1) * heads, "nearest": kept * (inputs + heads)}.get(name)


def health_baselines(
    train: HealthWindows, val: HealthWindows, test: HealthWindows, left_out: Collection[str] = ()
) -> tuple[dict[str, Predictions], list[str]]:
    """What every baseline not ``left_out`` says of ``test``, by name, and a note for each whose package is missing."""
    names = [name for name in BASELINES if name not in left_out]
    return each_at_hand(names, lambda name: BASELINES[name](train, val, test))
