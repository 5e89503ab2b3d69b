"""Tables of exponentials with which engines compute an int8 softmax."""

from __future__ import annotations

import math

import numpy as np

from edgebat.arrays import Int32
from edgebat.errors import ModelFileError
from edgebat.formats.roundings.gemmlowp import exp_of_negative
from edgebat.graph.arithmetic import INT32_MAX, doubling_high_multiply, quantize_multiplier

_BITS = 5
"""Integer bits of a scaled distance: exponentials below exp(-32) count as zero."""


def micro_table(scale: float, beta: float = 1.0) -> Int32:
    """TFLite Micro's exponentials of -d * scale * beta, d from 0 to 255, with 31 fractional bits. Raises ModelFileError."""
    _require_positive(beta)
    real = min(beta * scale * 2.0 ** (31 - _BITS), 2.0**31 - 1)
    multiplier, left = quantize_multiplier(real)
    if left < 0:
        raise ModelFileError(f"its input has the scale {scale!r}; TFLite takes {2.0 ** (_BITS - 31):g} or more")
    farthest = math.floor((2.0**_BITS - 1) * 2.0 ** (31 - _BITS) / 2.0**left)
    table = [INT32_MAX]
    for distance in range(1, 256):
        scaled = int(doubling_high_multiply(np.array([-distance << left]), multiplier)[0])
        inside = distance <= farthest
        table.append((exp_of_negative(scaled, _BITS) if scaled else INT32_MAX) if inside else 0)
    return np.array(table, np.int32)


def litert_table(scale: float, beta: float = 1.0) -> Int32:
    """LiteRT's: float32, by their bits. Raises ModelFileError."""
    _require_positive(beta)
    step = -np.float32(scale) * np.float32(beta)
    exponents = (step * np.arange(256, dtype=np.float32)).astype(np.float64)
    return np.asarray(np.exp(exponents).astype(np.float32).view(np.int32), np.int32)


def _require_positive(beta: float) -> None:
    if not 0 < beta < math.inf:
        raise ModelFileError(f"its beta is {beta!r}; allowed: a finite number above 0. Convert the model again")


def onnxruntime_table(scale: float, values: int) -> Int32:
    """ONNX Runtime's of softmax over ``values`` values, as large as float32 sums of them allow."""
    room = math.log(float(np.finfo(np.float32).max / np.float32(values)))
    shift = max(0.0, room - 5) / float(np.float32(scale))
    exponents = (np.arange(255, -1, -1) - 255 + shift) * float(np.float32(scale))
    return np.asarray(np.exp(exponents).astype(np.float32).view(np.int32), np.int32)
