"""New ageing curves from DiffBatt, and how good they are: FID, precision and recall, and what a forest learns from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from edgebat.arrays import Float64
from edgebat.baselines.forest import forest_on
from edgebat.baselines.life import matrix_features
from edgebat.errors import DataError
from edgebat.tasks.life.windows import LifeWindows, curve_life
from edgebat.teachers.diffbatt.network import DiffBatt
from edgebat.teachers.diffbatt.settings import Sampling


def synthesize(teacher: DiffBatt, windows: LifeWindows, sampling: Sampling, noise: float = 0.01) -> LifeWindows:
    """``sampling.draws`` made-up cells per cell of ``windows``: its matrix with ``noise`` (a fraction of the matrices'
    standard deviation), a drawn curve, and the life that curve means. Their dataset's name ends in ``-synthetic``."""
    curves = np.clip(teacher.draw(teacher.tensor(windows), sampling), 0.0, None)
    rows = np.repeat(np.arange(len(windows)), sampling.draws)
    made = windows.take(rows)
    generator = np.random.default_rng(sampling.seed)
    shaken = made.x + noise * windows.x.std() * generator.standard_normal(made.x.shape)
    curve = curves.reshape(len(made), -1).astype(np.float32)
    return dataclasses.replace(
        made,
        x=shaken.astype(np.float32),
        curve=curve,
        life=curve_life(curve, windows.spec).astype(np.float32),
        cells=tuple((f"{d}-synthetic", f"{c}-{i % sampling.draws}") for i, (d, c) in enumerate(made.cells)),
    )


def forest_rul_error(train: LifeWindows, test: LifeWindows, seed: int) -> float:
    """RMSE in cycles of a random forest from matrices to the life of the curve, trained on ``train`` (Table 3)."""
    forest = forest_on(matrix_features(train), curve_life(train.curve, train.spec), seed)
    error = forest(matrix_features(test)) - curve_life(test.curve, test.spec)
    return float(np.sqrt(np.square(error).mean()))


def principal_components(real: Float64, made: Float64, components: int = 16) -> tuple[Float64, Float64]:
    """Both sets of curves [N, points] in the leading principal components of the real ones. Raises DataError."""
    components = min(components, len(real) - 1, real.shape[1])
    if components < 1:
        raise DataError(f"{len(real)} real curves cannot be compared; at least 2 are needed")
    center = real.mean(axis=0)
    axes = np.linalg.svd(real - center, full_matrices=False)[2][:components].T
    return (real - center) @ axes, (made - center) @ axes


def frechet_distance(real: Float64, made: Float64) -> float:
    """Distance between the Gaussians through both sets of features [N, F]: 0 when mean and covariance agree."""
    real_cov, made_cov = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, made))
    # The trace of the matrix square root is the sum of the roots of the product's eigenvalues.
    mixed = np.sqrt(np.linalg.eigvals(real_cov @ made_cov).real.clip(min=0.0)).sum()
    shift = np.square(real.mean(axis=0) - made.mean(axis=0)).sum()
    return float(max(shift + np.trace(real_cov) + np.trace(made_cov) - 2.0 * mixed, 0.0))


def precision_recall(real: Float64, made: Float64, neighbours: int = 3) -> tuple[float, float]:
    """Share of made features [N, F] inside the real ones' manifold, and the other way round (Kynkaanniemi 2019)."""
    return _covered(real, made, neighbours), _covered(made, real, neighbours)


def _covered(manifold: Float64, points: Float64, neighbours: int) -> float:
    """Share of points within some manifold point's distance to its ``neighbours``-th neighbour."""
    if len(manifold) <= neighbours:
        raise DataError(f"{len(manifold)} curves are too few for {neighbours} neighbours")
    own = _distances(manifold, manifold)
    radius = np.sort(own, axis=1)[:, neighbours]
    return float((_distances(points, manifold) <= radius[None, :]).any(axis=1).mean())


def _distances(a: Float64, b: Float64) -> Float64:
    distance: Float64 = torch.cdist(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return distance


def synthesis_scores(real: LifeWindows, made: LifeWindows) -> dict[str, float]:
    """``fid``, ``precision`` and ``recall`` of made curves against real ones."""
    features = principal_components(real.curve.astype(np.float64), made.curve.astype(np.float64))
    precision, recall = precision_recall(*features)
    return {"fid": frechet_distance(*features), "precision": precision, "recall": recall}


def synthesis_rows(
    teacher: DiffBatt, train: LifeWindows, test: LifeWindows, weights: Sequence[float], sampling: Sampling
) -> list[dict[str, float]]:
    """FID, precision, recall and the forest's RUL error per guidance weight; ``guidance`` -1 is the real data."""
    rows = [{"guidance": -1.0, "forest_rmse": forest_rul_error(train, test, sampling.seed)}]
    for weight in weights:
        made = synthesize(teacher, train, dataclasses.replace(sampling, guidance=weight))
        forest = forest_rul_error(made, test, sampling.seed)
        rows.append({"guidance": weight, "forest_rmse": forest, **synthesis_scores(train, made)})
    return rows
