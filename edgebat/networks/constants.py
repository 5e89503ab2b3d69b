"""What readers of float networks share about operators that work on constants alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgebat.arrays import Array

MOST_VALUES = 1 << 26
"""Of one constant: more is no network for a BMS, but a file that claims too much."""


def allowed(shape: Sequence[int]) -> Sequence[int]:
    """``shape``, if a constant may have it. Raises ValueError."""
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"it makes {list(shape)}")
    return shape


def of_two(compute: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    """``compute`` of two arrays that broadcast; the second one times ``alpha``, as torch's sums have it."""

    def apply(a: Any, b: Any, alpha: float = 1.0) -> Array:
        allowed(np.broadcast_shapes(np.shape(a), np.shape(b)))
        return np.asarray(compute(np.asarray(a), np.asarray(b) * alpha if alpha != 1.0 else np.asarray(b)))

    return apply
