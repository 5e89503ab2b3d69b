"""The trajectory as a few knots: SOH after 10, 20, ... cycles, straight lines in between, starting at the SOH of now.

Fifty outputs would cost 45 more rows of weights on the device than five knots, and capacity fades smoothly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def knot_cycles(horizon: int, knots: int) -> npt.NDArray[np.float64]:
    """Cycles ahead at which the knots stand: equally spaced, the last one at ``horizon``. float64 [knots]."""
    return np.arange(1, knots + 1, dtype=np.float64) * (horizon / knots)


def expansion(horizon: int, knots: int) -> npt.NDArray[np.float32]:
    """Matrix E, float32 [horizon, 1 + knots]: trajectory = E @ (soh, knot 1, ..., knot K); rows sum to one."""
    positions = np.concatenate([[0.0], knot_cycles(horizon, knots)])
    ahead = np.arange(1, horizon + 1)
    columns = [np.interp(ahead, positions, unit) for unit in np.eye(knots + 1)]
    return np.stack(columns, axis=1).astype(np.float32)
