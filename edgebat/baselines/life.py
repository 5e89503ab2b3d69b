"""Plain predictors of cycle life that stand beside the teachers in every table.

Each function takes training windows and gives a function from windows to cycle life, float64 [N]. Cells without a
known life are left out of the training. Random forests need scikit-learn (extra ``baselines``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import torch

from edgebat.arrays import Float32, Float64, FloatArray, Int64
from edgebat.baselines import each_at_hand
from edgebat.baselines.cpmlp import CyclePatchMlp, seeded
from edgebat.baselines.forest import forest_on
from edgebat.errors import DataError
from edgebat.tasks.life.score import LifeScores, cell_rows, curve_error_percent, finite, life_scores, rmse
from edgebat.tasks.life.windows import LifeWindows, curve_life

Predictor = Callable[[LifeWindows], Float64]


def known(windows: LifeWindows) -> LifeWindows:
    """The cells whose life was seen. Raises DataError when fewer than two are left."""
    chosen = windows.select(np.isfinite(windows.life))
    if len(chosen) < 2:
        raise DataError(f"{len(chosen)} of {len(windows)} cells have a known life; at least 2 are needed")
    return chosen


def mean(train: LifeWindows) -> Predictor:
    """The geometric mean of the training lives for everybody."""
    value = float(np.exp(np.log(known(train).life.astype(np.float64)).mean()))
    return lambda windows: np.full(len(windows), value)


def last_difference(windows: LifeWindows) -> Float64:
    """Q_last(V) - Q_base(V) over nominal capacity, float64 [N, columns]."""
    return windows.x[:, -1].astype(np.float64)


def log_variance(windows: LifeWindows) -> Float64:
    """Severson's feature: log10 of the variance of the last difference over voltage, float64 [N, 1]."""
    variance: Float64 = last_difference(windows).var(axis=1, keepdims=True)
    return np.log10(variance + 1e-12)


def variance_model(train: LifeWindows) -> Predictor:
    """Severson's one-feature line: log life over log variance (Nature Energy 4, 383)."""
    return _linear(log_variance, train, penalty=1e-6)


def ridge(train: LifeWindows, penalty: float = 1.0) -> Predictor:
    """Ridge regression of log life on the standardized last difference."""
    return _linear(last_difference, train, penalty)


def standardizer(x: Float64) -> Callable[[Float64], Float64]:
    """Each column less its mean over the rows of ``x`` [N, columns], over its deviation, for any rows.

    No such value can exceed sqrt(N) among the N rows themselves. Beyond it, as in a column that was all but constant in
    training, values are cut there: a linear model of log life would answer anything.
    """
    center, scale, most = x.mean(axis=0), x.std(axis=0) + 1e-12, len(x) ** 0.5
    return lambda rows: np.clip((rows - center) / scale, -most, most)


def _linear(features: Callable[[LifeWindows], Float64], train: LifeWindows, penalty: float) -> Predictor:
    train = known(train)
    x, y = features(train), np.log(train.life.astype(np.float64))
    standardized = standardizer(x)
    x = standardized(x)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return lambda windows: np.exp(standardized(features(windows)) @ weights + y.mean())


def plsr(train: LifeWindows, components: int = 4) -> Predictor:
    """Partial least squares (PLS1) of log life on the standardized last difference: least squares within the span of
    ``x'y, x'x x'y, ...`` (Helland, Commun. Stat. Simul. Comput. 17, 581, 1988)."""
    train = known(train)
    x, y = last_difference(train), np.log(train.life.astype(np.float64))
    standardized, level = standardizer(x), y.mean()
    x = standardized(x)
    gram, aim = x.T @ x, x.T @ (y - level)
    basis = aim[:, None]
    for _ in range(1, min(components, len(x) - 1)):
        basis = np.linalg.qr(np.column_stack([basis, gram @ basis[:, -1]]))[0]
    coefficients = basis @ np.linalg.lstsq(basis.T @ gram @ basis, basis.T @ aim, rcond=None)[0]
    return lambda windows: np.exp(standardized(last_difference(windows)) @ coefficients + level)


def matrix_features(windows: LifeWindows) -> Float64:
    """Ten rows spread over the difference matrix, flattened, float64 [N, 10 * columns]."""
    rows = np.linspace(0, windows.spec.cycles - 1, 11).round().astype(int)[1:]
    return windows.x[:, rows].reshape(len(windows), -1).astype(np.float64)


def random_forest(train: LifeWindows, seed: int = 1) -> Predictor:
    """A random forest on ten rows of the difference matrix."""
    train = known(train)
    forest = forest_on(matrix_features(train), train.life.astype(np.float64), seed)
    return lambda windows: forest(matrix_features(windows))


def nearest_rows(train: LifeWindows, windows: LifeWindows) -> Int64:
    """Index [N] of the training cell whose standardized difference matrix and early capacities are nearest."""
    x = np.concatenate((train.x, windows.x)).reshape(len(train) + len(windows), -1)
    soh = np.concatenate((train.capacity / train.capacity[:, :1], windows.capacity / windows.capacity[:, :1]))
    parts = []
    for feature in (x, soh):
        spread = feature[: len(train)].std() * np.sqrt(feature.shape[1]) + 1e-12
        parts.append(feature / spread)
    both = np.concatenate(parts, axis=1)
    distance = np.square(both[len(train) :, None] - both[None, : len(train)]).sum(axis=2)
    nearest: Int64 = distance.argmin(axis=1)
    return nearest


def nearest_curve(train: LifeWindows) -> Predictor:
    """The life of the nearest training cell."""
    train = known(train)
    return lambda windows: train.life[nearest_rows(train, windows)].astype(np.float64)


def cpmlp(train: LifeWindows, seed: int = 1, steps: int = 300) -> Predictor:
    """CPMLP trained on standardized log life with full batches."""
    train = known(train)
    network = seeded(lambda: CyclePatchMlp(train.spec.cycles, train.spec.columns), seed)
    scale, y = float(train.x.std()) + 1e-12, torch.log(torch.from_numpy(train.life))
    target, x = (y - y.mean()) / y.std(), torch.from_numpy(train.x) / scale
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(x).squeeze(1) - target).square().mean().backward()
        optimizer.step()

    @torch.no_grad()
    def predict(windows: LifeWindows) -> Float64:
        z = network(torch.from_numpy(windows.x) / scale).squeeze(1)
        return torch.exp(z * y.std() + y.mean()).double().numpy()

    return predict


BASELINES: dict[str, Callable[[LifeWindows], Predictor]] = {
    "mean": mean,
    "variance": variance_model,
    "ridge": ridge,
    "plsr": plsr,
    "nearest": nearest_curve,
    "cpmlp": cpmlp,
    "random_forest": random_forest,
}


def nearest_soh_curve(train: LifeWindows, windows: LifeWindows) -> tuple[Float32, Float64]:
    """The nearest cell's SOH curve [N, points] copied, and the life it means [N]."""
    curve = train.curve[nearest_rows(train, windows)]
    return curve, curve_life(curve, train.spec)


def score_baseline(name: str, train: LifeWindows, test: LifeWindows) -> LifeScores:
    """What a baseline reaches; the nearest curve's also as RUL and SOH of the copied curve."""
    predicted = BASELINES[name](train)(test)
    scores = life_scores(predicted, test.life)
    if name == "nearest":
        curve, life = nearest_soh_curve(train, test)
        scores["rul_rmse"] = rmse(life - curve_life(test.curve, test.spec))
        scores["soh_rmse"] = curve_error_percent(curve, test.curve, test.spec.eol)
    return LifeScores(finite(scores), cell_rows(predicted, test))


QUICK = ("mean", "variance", "ridge", "plsr", "nearest", "random_forest")
"""What a run trains beside its students, in seconds."""
SHOWN = ("ridge", "nearest")
"""What stands in its charts."""


def answers(
    train: LifeWindows | None, val: LifeWindows | None, test: LifeWindows, only: Collection[str] | None = None
) -> tuple[dict[str, dict[str, FloatArray]], list[str]]:
    """See ``edgebat.baselines.answers``. The nearest cell also lends its SOH curve."""
    if train is None:
        return {}, []
    names = [name for name in BASELINES if only is None or name in only]
    lives, notes = each_at_hand(names, lambda name: BASELINES[name](train)(test))
    found: dict[str, dict[str, FloatArray]] = {name: {"life": life} for name, life in lives.items()}
    if "nearest" in found:
        found["nearest"]["soh_curve"] = nearest_soh_curve(train, test)[0]
    return found, notes


def stored_values(name: str, train: LifeWindows) -> int | None:
    """See ``edgebat.baselines.stored_values``."""
    inputs = train.spec.columns
    kept = len(train) * train.spec.cycles * (inputs + 1)
    return {"mean": 1, "variance": 2, "ridge": inputs + 1, "plsr": inputs + 1, "nearest": kept}.get(name)
