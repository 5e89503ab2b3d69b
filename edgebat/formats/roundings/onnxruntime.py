"""ONNX Runtime on a CPU with fused multiply-add, all optimizations on, as it starts by default."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float32, Int8, Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import average_multiplier
from edgebat.formats.roundings.base import (
    PRODUCTS,
    VALUES,
    Bounds,
    Operand,
    Rounding,
    Summands,
    as_int8,
    dequantized,
    nearest,
    sum_by_steps,
)
from edgebat.graph.arithmetic import requantize_float
from edgebat.graph.model import Requant, Tensor

_FIXED_BITS = 44
"""Fractional bits of summands: more than float32 numbers of any use have."""


class OnnxRuntime(Rounding):
    """float32 everywhere, halves to even."""

    name, engine = "onnxruntime", "ONNX Runtime"

    def mean_outputs(self, source: Tensor, size: int, target: Tensor, sums: Int64) -> Int64:
        multiplier = average_multiplier(source.scale, size, target.scale)
        return requantize_float(sums, multiplier) + target.zero_point

    def add(
        self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds, middle: int = 0
    ) -> tuple[IntArray, Requant]:
        """``rint(fma(a, ratio_a, fma(b, ratio_b, fixed)))``; ``fixed`` holds the zero points (MlasQLinearAdd)."""
        ratios = [np.float32(source.scale) / np.float32(target.scale) for source in sources]
        if not all(2.0**-20 <= ratio < 2.0**8 for ratio in ratios):
            raise ModelFileError(
                f"its scales are {[float(r) for r in ratios]} of its output's; allowed: 2**-20 to 2**8"
            )
        operands = [(VALUES, source.scale, source.zero_point) for source in sources]
        fixed = _fixed(operands[0], operands[1], target, middle)
        b = _fused(VALUES + middle, ratios[1], fixed)
        outputs = np.rint(_fused(VALUES[:, None] + middle, ratios[0], b)).astype(np.int64) - middle
        a = VALUES * np.float64(ratios[0])
        fixed_a, fixed_b = (np.rint(part * 2.0**_FIXED_BITS).astype(np.int64) for part in (a, b - np.float64(fixed)))
        return sum_by_steps(Summands(fixed_a, fixed_b, outputs), target, bounds)

    def float_add(self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds) -> tuple[IntArray, Requant]:
        """Between DequantizeLinear and QuantizeLinear: a sum in float32, divided by the scale, as the model says."""
        a, b = (dequantized(source) for source in sources)
        outputs = np.rint((a[:, None] + b) / np.float32(target.scale)).astype(np.int64) + target.zero_point
        unit = 2.0 ** (_FIXED_BITS - np.ceil(np.log2(max(source.scale for source in sources))))
        fixed_a, fixed_b = (np.rint(part * np.float64(unit)).astype(np.int64) for part in (a, b))
        return sum_by_steps(Summands(fixed_a, fixed_b, outputs), target, bounds)

    def twice(self, source: Tensor, target: Tensor) -> Int8:
        """A value added to itself is not fused: float32, as the model says."""
        x = dequantized(source)
        return nearest(x + x, target)

    def requantize(self, source: Tensor, target: Tensor) -> Int8:
        return nearest(dequantized(source), target)

    def clip(self, source: Tensor, target: Tensor, low: float, high: float) -> Int8:
        return nearest(np.clip(dequantized(source), np.float32(low), np.float32(high)), target)

    def fused_sum(self, source: Tensor, target: Tensor, a: Operand, b: Operand, middle: int) -> Int8:
        ratios = [np.float32(scale) / np.float32(target.scale) for _, scale, _ in (a, b)]
        second = _fused(b[0] + middle, ratios[1], _fixed(a, b, target, middle))
        return as_int8(np.rint(_fused(a[0] + middle, ratios[0], second)).astype(np.int64) - middle)

    def fused_product(self, source: Tensor, target: Tensor, a: Operand, b: Operand, middle: int) -> Int8:
        """``rint(products * ratio + zero point)`` (MlasQLinearMul)."""
        ratio = np.float32(a[1]) * np.float32(b[1]) / np.float32(target.scale)
        products = ((a[0] - a[2]) * (b[0] - b[2])).astype(np.float32) * ratio
        return as_int8(np.rint(products + np.float32(target.zero_point + middle)).astype(np.int64) - middle)

    def gate_outputs(self, sources: tuple[Tensor, Tensor], target: Tensor, middle: int) -> Int8:
        first, second = sources
        factor = (np.ones(1, np.int64), second.scale, 0)
        return self.fused_product(first, target, (PRODUCTS, first.scale, 0), factor, middle)

    def leaky_relu(self, source: Tensor, target: Tensor, alpha: float) -> Int8:
        x = dequantized(source)
        return nearest(np.where(x >= 0, x, x * np.float32(alpha)), target)


def _fixed(a: Operand, b: Operand, target: Tensor, middle: int) -> np.float32:
    """The zero points of an addition, in their scales; the first product is fused."""
    ratios = [np.float32(scale) / np.float32(target.scale) for _, scale, _ in (a, b)]
    zeros = _fused(np.array(a[2] + middle), ratios[0], ratios[1] * np.float32(b[2] + middle))
    return np.float32(np.float32(target.zero_point + middle) - zeros)


def _fused(x: Int64, factor: np.float32, summand: np.float32 | Float32) -> Float32:
    """fma in float32: float64 holds products of int8 and float32, and their sums with a float32, all but exactly."""
    return np.asarray(x * np.float64(factor) + np.asarray(summand, np.float64), np.float32)
