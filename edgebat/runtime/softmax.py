"""Softmax over int8 values, as three engines compute it: docs/quantization-spec.md, section Softmax."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from edgebat.arrays import Array, Float32, Int64, IntArray
from edgebat.graph.arithmetic import INT32_MAX, doubling_high_multiply, rounding_shift
from edgebat.graph.model import Softmax, Tensor

Kernel = Callable[[Array], Array]
_SUM_BITS = 12
"""Integer bits of the sum of exponentials: 4096 values of 1."""


def softmax(node: Softmax, target: Tensor) -> Kernel:
    """The kernel of ``node``: integers [N, ..., C] to integers of the same shape."""
    compute = partial(_FLOAT[node.form], node, target) if node.form in _FLOAT else partial(micro, node)

    def kernel(x: Array) -> Array:
        distance = (x.max(axis=-1, keepdims=True) - x).astype(np.intp)
        return np.clip(compute(distance), -128, 127).astype(np.float64)

    return kernel


def micro(node: Softmax, distance: IntArray) -> Int64:
    """TFLite Micro: exponentials with 31 fractional bits, their sum with 19, its reciprocal by Newton and Raphson."""
    exponentials = node.table.astype(np.int64)[distance]
    sums = rounding_shift(exponentials, _SUM_BITS).sum(axis=-1, keepdims=True)
    # The sum as 2**bits (1 + a), a in [0, 1) with 31 fractional bits.
    leading = 32 - np.frexp(sums.astype(np.float64))[1].astype(np.int64)
    fraction = (sums << leading) - (np.int64(1) << 31)
    products = doubling_high_multiply(exponentials, reciprocal(fraction))
    return rounding_shift(products, _SUM_BITS - leading + 31 - 8) - 128


def reciprocal(a: Int64) -> Int64:
    """1 / (1 + a) for ``a`` in [0, 1), both with 31 fractional bits, as gemmlowp's one_over_one_plus_x_for_x_in_0_1."""
    half = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + doubling_high_multiply(half, -1010580540)
    for _ in range(3):
        error = (1 << 29) - doubling_high_multiply(half, x)
        x = x + np.clip(doubling_high_multiply(x, error) << 2, -INT32_MAX - 1, INT32_MAX)
    return np.asarray(np.clip(x << 1, -INT32_MAX - 1, INT32_MAX), np.int64)


def _summed(exponentials: Float32) -> Float32:
    """float32 sums [..., 1], one value after another."""
    total = np.zeros((*exponentials.shape[:-1], 1), np.float32)
    for index in range(exponentials.shape[-1]):
        total = total + exponentials[..., index : index + 1]
    return total


def litert(node: Softmax, target: Tensor, distance: IntArray) -> Array:
    """LiteRT's own kernel, which XNNPACK leaves to it: times the reciprocal of the scaled sum, halves up."""
    exponentials = node.table.view(np.float32)[distance]
    inverse = np.float32(1) / (_summed(exponentials) * np.float32(target.scale))
    return np.asarray(np.trunc(exponentials * inverse + np.float32(0.5)).astype(np.int64) + target.zero_point)


def onnxruntime(node: Softmax, target: Tensor, distance: IntArray) -> Array:
    """ONNX Runtime's QLinearSoftmax: times the whole part of 1 / scale, divided by the sum, halves to even."""
    exponentials = node.table.view(np.float32)[distance]
    steps = np.floor(np.float32(1) / np.float32(target.scale))
    return np.asarray(np.rint((exponentials * steps) / _summed(exponentials)).astype(np.int64) + target.zero_point)


_FLOAT = {"litert": litert, "onnxruntime": onnxruntime}
