"""How wide an activation is: three ways to choose the range that an int8 tensor covers.

All take a sample of real values and return (low, high) with low <= 0 <= high, because zero must be representable.
"""

from __future__ import annotations

import numpy as np

from edgebat.arrays import FloatArray

METHODS = ("minmax", "percentile", "mse")


def observe(values: FloatArray, method: str = "mse", percentile: float = 99.99) -> tuple[float, float]:
    """The range of ``values`` by ``method``: "minmax", "percentile" (both tails cut) or "mse" (least squared error).

    Raises ValueError for an unknown method or an empty sample.
    """
    if values.size == 0:
        raise ValueError("the calibration sample is empty; give it windows of training cells")
    flat = np.asarray(values, dtype=np.float64).ravel()
    low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
    if method == "minmax":
        return low, high
    if method == "percentile":
        cut_low, cut_high = np.percentile(flat, [100.0 - percentile, percentile])
        return min(float(cut_low), 0.0), max(float(cut_high), 0.0)
    if method == "mse":
        return _least_squared_error(flat, low, high)
    raise ValueError(f"calibration method {method!r} is unknown; allowed: {', '.join(METHODS)}")


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale (a float32 value) and int8 zero point of the range [low, high]; low <= 0 <= high."""
    scale = float(np.float32(max(high - low, 1e-6) / 255.0))
    zero_point = int(np.clip(np.rint(-128.0 - low / scale), -128, 127))
    return scale, zero_point


def _least_squared_error(flat: FloatArray, low: float, high: float) -> tuple[float, float]:
    # Rounding error shrinks with the range, clipping error grows: try ranges shrunk evenly, keep the best.
    sample = flat if flat.size <= 50_000 else flat[:: flat.size // 50_000 + 1]
    best, best_error = (low, high), np.inf
    for factor in np.linspace(1.0, 0.5, 51):
        scale, zero = affine(low * factor, high * factor)
        rounded = (np.clip(np.rint(sample / scale) + zero, -128, 127) - zero) * scale
        error = float(np.mean((rounded - sample) ** 2))
        if error < best_error:
            best, best_error = (low * factor, high * factor), error
    return best
