"""A random forest that stands beside the teachers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgebat.arrays import Float64
from edgebat.errors import require


def forest_on(x: Float64, y: Float64, seed: int, trees: int = 100) -> Callable[[Float64], Float64]:
    """A random forest from features [N, F] to y, [N] or [N, outputs]. Raises MissingExtra without scikit-learn."""
    ensemble = require("sklearn.ensemble", extra="baselines")
    forest = ensemble.RandomForestRegressor(n_estimators=trees, max_features="sqrt", random_state=seed)
    forest.fit(x, y)
    return lambda features: np.asarray(forest.predict(features), dtype=np.float64)
