"""TFLite Micro's reference kernels, and CMSIS-NN, which computes the same."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float32, Int8, Int32, Int64
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import double_requant
from edgebat.formats.roundings import gemmlowp
from edgebat.formats.roundings.base import VALUES, Bounds, Rounding, Summands, as_int8, sum_by_steps
from edgebat.graph.arithmetic import quantize_multiplier, requantize_double
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
        multiplier, exponent = _quantized(source.scale / target.scale)
        left = min(size.bit_length() - 1, 32, 31 + exponent)
        return requantize_double(sums, (multiplier << left) // size, exponent - left) + target.zero_point

    def add(self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds) -> tuple[Int32, Requant]:
        twice = 2.0 * max(source.scale for source in sources)
        a, b = (
            requantize_double((VALUES - source.zero_point) << _ADD_BITS, *_quantized(source.scale / twice))
            for source in sources
        )
        scaled = requantize_double(a[:, None] + b, *_quantized(twice / (2.0**_ADD_BITS * target.scale)))
        return sum_by_steps(Summands(a, b, scaled + target.zero_point), target, bounds)

    def requantize(self, source: Tensor, target: Tensor) -> Int8:
        return conversion(source, target)

    def leaky_relu(self, source: Tensor, target: Tensor, alpha: float) -> Int8:
        return leaky_relu(source, target, alpha)

    def tanh(self, source: Tensor, target: Tensor) -> Int8:
        return gemmlowp.table(gemmlowp.tanh, source, 24, 0)

    def sigmoid(self, source: Tensor, target: Tensor) -> Int8:
        return gemmlowp.table(gemmlowp.logistic, source, 23, -128)


def conversion(source: Tensor, target: Tensor) -> Int8:
    """A change of scale by ``D``."""
    scaled = requantize_double(VALUES - source.zero_point, *_quantized(source.scale / target.scale))
    return as_int8(scaled + target.zero_point)


def leaky_relu(source: Tensor, target: Tensor, alpha: float) -> Int8:
    """Both slopes by ``D``."""
    x, ratio = VALUES - source.zero_point, source.scale / target.scale
    if alpha < 0:
        raise ModelFileError(f"its slope is {alpha}; allowed: 0 or more")
    slopes = [requantize_double(x, *_quantized(factor)) for factor in (ratio, ratio * alpha)]
    return as_int8(np.where(x >= 0, *slopes) + target.zero_point)


def _quantized(real: float) -> tuple[int, int]:
    """Q31 multiplier and exponent of ``real``. Raises ModelFileError when it is out of any use."""
    if not real < 2.0**16:
        raise ModelFileError(f"its scales are {real} times apart; allowed: below 65536")
    return quantize_multiplier(real)
