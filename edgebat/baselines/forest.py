"""A random forest that stands beside the teachers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Float64, FloatArray
from edgebat.errors import require


def forest_on(x: FloatArray, y: FloatArray, seed: int, **own: Any) -> Callable[[FloatArray], Float64]:
    """A random forest of a hundred trees from features [N, F] to y, [N] or [N, outputs]. own: other arguments of
    ``RandomForestRegressor``. Raises MissingExtra without scikit-learn."""
    ensemble = require("sklearn.ensemble", extra="baselines")
    forest = ensemble.RandomForestRegressor(**{"max_features": "sqrt", "random_state": seed, **own}).fit(x, y)
    return lambda features: np.asarray(forest.predict(features), dtype=np.float64)
