"""LiteRT with XNNPACK, its default on every CPU; what XNNPACK does not take, LiteRT's own kernels compute."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Int8, Int64, IntArray
from edgebat.formats.roundings import tflm
from edgebat.formats.roundings.base import VALUES, Bounds, Constant, Rounding, as_int8
from edgebat.formats.tflite.rules import add_multipliers, add_rounding
from edgebat.graph.model import Requant, Tensor

_LOW, _HIGH = 2.0**-8, 2.0**7
"""Ratios of scales that XNNPACK's conversions take."""


class Xnnpack(Rounding):
    """Multipliers in float32, halves to even; sums and conversions with few fractional bits, halves up."""

    name, engine = "xnnpack", "LiteRT (XNNPACK)"

    def mean_outputs(self, source: Tensor, size: int, target: Tensor, sums: Int64) -> Int64:
        """In float32: ``rint(sum of raw values * M + (zero_out - size * zero_in * M))``."""
        count, zero = np.float32(size), source.zero_point
        m = np.float32(source.scale) / np.float32(target.scale) * (np.float32(1) / count)
        bias = np.float32(target.zero_point) - np.float32(size * zero) * m
        return np.asarray(np.rint((sums + size * zero).astype(np.float32) * m + bias), np.int64)

    def add(
        self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds, middle: int = 0
    ) -> tuple[IntArray, Requant]:
        return add_rounding((sources[0].scale, sources[1].scale), target, bounds)

    def multiply(self, source: Tensor, constant: Constant, target: Tensor) -> Int8:
        return self.product(
            (VALUES - source.zero_point, source.scale), (constant.steps[:, None], constant.scale), target
        )

    def product(self, a: tuple[Int64, float], b: tuple[Int64, float], target: Tensor) -> Int8:
        factor = np.float32(a[1]) * np.float32(b[1]) / np.float32(target.scale)
        return as_int8(np.rint((a[0] * b[0]).astype(np.float32) * factor).astype(np.int64) + target.zero_point)

    def square(self, source: Tensor, target: Tensor) -> Int8:
        """A function of one value to XNNPACK, in float32."""
        x = (VALUES - source.zero_point).astype(np.float32) * np.float32(source.scale)
        scaled = x * x * (np.float32(1) / np.float32(target.scale)) + np.float32(target.zero_point)
        return as_int8(np.rint(scaled).astype(np.int64))

    def add_constant(self, source: Tensor, constant: Constant, target: Tensor, sign: int = 1) -> Int8:
        (first, second), shift = add_multipliers(source.scale, constant.scale, target.scale)
        sums = (VALUES - source.zero_point) * first + sign * constant.steps[:, None] * second
        return as_int8(((sums + (1 << (shift - 1))) >> shift) + target.zero_point)

    def requantize(self, source: Tensor, target: Tensor) -> Int8:
        ratio = _ratio(source, target)
        if not _LOW <= ratio <= _HIGH:
            return tflm.conversion(source, target)
        return as_int8(_short(VALUES - source.zero_point, ratio) + target.zero_point)

    def leaky_relu(self, source: Tensor, target: Tensor, alpha: float) -> Int8:
        ratio = _ratio(source, target)
        negative = float(np.float32(ratio) * np.float32(alpha))
        if not (_LOW <= ratio <= _HIGH and _LOW <= abs(negative) <= _HIGH):
            return tflm.leaky_relu(source, target, alpha)
        x = VALUES - source.zero_point
        return as_int8(np.where(x >= 0, _short(x, ratio), _short(x, negative)) + target.zero_point)


def _ratio(source: Tensor, target: Tensor) -> float:
    return float(np.float32(source.scale) / np.float32(target.scale))


def _short(x: Int64, ratio: float) -> Int64:
    """``x * ratio`` with a multiplier of 8 fractional bits, halves up."""
    return (x * round(256.0 * ratio) + 128) >> 8
