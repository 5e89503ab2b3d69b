"""TFLite Micro's reference kernels, and CMSIS-NN, which computes the same."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float32, Int8, Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import double_requant
from edgebat.formats.roundings import gemmlowp
from edgebat.formats.roundings.base import (
    VALUES,
    Bounds,
    Constant,
    Rounding,
    Summands,
    as_int8,
    quantized,
    sum_by_steps,
)
from edgebat.graph.arithmetic import requantize_double
from edgebat.graph.model import Requant, Tensor

_ADD_BITS = 20
"""Inputs of an addition are shifted left so far first."""


class TfliteMicro(Rounding):
    """``D`` everywhere: Q31 multipliers, rounded twice."""

    name, engine = "tflm", "TFLite Micro"

    def linear(self, source_scale: float, weight_scale: Float32, target: Tensor, bounds: Bounds) -> Requant:
        return double_requant(source_scale, weight_scale, target, *bounds)

    def mean_outputs(self, source: Tensor, size: int, target: Tensor, sums: Int64) -> Int64:
        """The division by ``size`` is folded into the multiplier, shifted left as far as 64 bits allow."""
        multiplier, exponent = quantized(source.scale / target.scale)
        left = min(size.bit_length() - 1, 32, 31 + exponent)
        return requantize_double(sums, (multiplier << left) // size, exponent - left) + target.zero_point

    def add(
        self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds, middle: int = 0
    ) -> tuple[IntArray, Requant]:
        a, b, outputs = _added(sources[0], VALUES - sources[1].zero_point, sources[1].scale, target)
        return sum_by_steps(Summands(a, b, outputs), target, bounds)

    def multiply(self, source: Tensor, constant: Constant, target: Tensor) -> Int8:
        return self.product(
            (VALUES - source.zero_point, source.scale), (constant.steps[:, None], constant.scale), target
        )

    def product(self, a: tuple[Int64, float], b: tuple[Int64, float], target: Tensor) -> Int8:
        scaled = requantize_double(a[0] * b[0], *quantized(a[1] * b[1] / target.scale))
        return as_int8(scaled + target.zero_point)

    def relu(self, source: Tensor, target: Tensor, low: float, high: float) -> Int8:
        """RELU6 clips the integers of its input and keeps their scale, whatever its output says."""
        if high != 6.0:
            return super().relu(source, target, low, high)
        top = source.zero_point + int(np.floor(6.0 / source.scale + 0.5))
        return as_int8(np.clip(VALUES, source.zero_point, min(top, 127)))

    def add_constant(self, source: Tensor, constant: Constant, target: Tensor, sign: int = 1) -> Int8:
        return as_int8(_added(source, constant.steps * sign, constant.scale, target)[2].T)

    def requantize(self, source: Tensor, target: Tensor) -> Int8:
        return conversion(source, target)

    def leaky_relu(self, source: Tensor, target: Tensor, alpha: float) -> Int8:
        return leaky_relu(source, target, alpha)

    def tanh(self, source: Tensor, target: Tensor) -> Int8:
        return gemmlowp.table(gemmlowp.tanh, source, 24, 0)

    def sigmoid(self, source: Tensor, target: Tensor) -> Int8:
        return gemmlowp.table(gemmlowp.logistic, source, 23, -128)


def _added(source: Tensor, steps: Int64, scale: float, target: Tensor) -> tuple[Int64, Int64, Int64]:
    """Summands [256] of the values of ``source``, [C] of ``steps`` of ``scale``, and the outputs [256, C] of their sums."""
    twice = 2.0 * max(source.scale, scale)
    a, b = (
        requantize_double(part << _ADD_BITS, *quantized(own / twice))
        for part, own in ((VALUES - source.zero_point, source.scale), (steps, scale))
    )
    scaled = requantize_double(a[:, None] + b, *quantized(twice / (2.0**_ADD_BITS * target.scale)))
    return a, b, scaled + target.zero_point


def conversion(source: Tensor, target: Tensor) -> Int8:
    """A change of scale by ``D``."""
    scaled = requantize_double(VALUES - source.zero_point, *quantized(source.scale / target.scale))
    return as_int8(scaled + target.zero_point)


def leaky_relu(source: Tensor, target: Tensor, alpha: float) -> Int8:
    """Both slopes by ``D``."""
    x, ratio = VALUES - source.zero_point, source.scale / target.scale
    if alpha < 0:
        raise ModelFileError(f"its slope is {alpha}; allowed: 0 or more")
    slopes = [requantize_double(x, *quantized(factor)) for factor in (ratio, ratio * alpha)]
    return as_int8(np.where(x >= 0, *slopes) + target.zero_point)
