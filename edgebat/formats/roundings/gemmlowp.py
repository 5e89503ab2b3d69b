"""tanh and the logistic function in gemmlowp's fixed point, as TFLite Micro computes them for int8.

Source: fixedpoint.h of gemmlowp; values are Python integers, inputs with 27 fractional bits, results with 31.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgebat.arrays import Int8
from edgebat.graph.arithmetic import (
    INT32_MAX,
    doubling_high_multiply,
    quantize_multiplier,
    requantize_double,
    rounding_shift,
)
from edgebat.graph.model import Tensor

_FRACTION = 27
_EXP_FACTORS = (
    (-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242),
)  # fmt: skip
"""exp(-2**k) with 31 fractional bits."""


def table(function: Callable[[int], int], source: Tensor, shift: int, zero_point: int) -> Int8:
    """The table of ``function``, its result shifted right by ``shift``; saturated beyond the range of 15."""
    multiplier, exponent = quantize_multiplier(source.scale * 2.0**_FRACTION)
    radius = int(np.floor(15 * 2.0 ** (_FRACTION - exponent)))

    def one(x: int) -> int:
        if abs(x) >= radius:
            return 127 if x > 0 else -128
        fixed = int(requantize_double(np.array([x]), multiplier, exponent)[0])
        return _divided(function(fixed), shift) + zero_point

    values = [one(q - source.zero_point) for q in range(-128, 128)]
    return np.clip(values, -128, 127).astype(np.int8)


def logistic(a: int) -> int:
    """1 / (1 + exp(-a))."""
    if a == 0:
        return 1 << 30
    positive = _saturated(_newton(exp_of_negative(-abs(a), 4)) << 1)
    return positive if a > 0 else INT32_MAX - positive


def tanh(a: int) -> int:
    """tanh(a)."""
    if a == 0:
        return 0
    # The argument of exp is -2 |a|: the same integer with one fractional bit less.
    positive = _saturated((_newton(exp_of_negative(-abs(a), 5)) - (1 << 29)) << 2)
    return positive if a > 0 else -positive


def exp_of_negative(a: int, integer_bits: int) -> int:
    """exp(a) of ``a`` < 0 with so many integer bits: the rest below 1/4 by a polynomial, then bit by bit."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (a & (quarter - 1)) - quarter
    x = (rest << integer_bits) + (1 << 28)
    squared = _product(x, x)
    fourth = _divided(_product(squared, squared), 2)
    terms = _divided(_product(fourth + _product(squared, x), 715827883) + squared, 1)
    result = _saturated(1895147668 + _product(1895147668, x + terms))
    for exponent, factor in _EXP_FACTORS:
        if integer_bits > exponent and (rest - a) & (1 << (fraction + exponent)):
            result = _product(result, factor)
    return result


def _newton(a: int) -> int:
    """1 / ((1 + a) / 2) of ``a`` in [0, 1], with 29 fractional bits, by three steps of Newton and Raphson."""
    half = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + _product(half, -1010580540)
    for _ in range(3):
        x += _saturated(_product(x, (1 << 29) - _product(half, x)) << 2)
    return x


def _product(a: int, b: int) -> int:
    return int(doubling_high_multiply(np.array([a]), b)[0])


def _divided(a: int, shift: int) -> int:
    return int(rounding_shift(np.array([a]), shift)[0])


def _saturated(a: int) -> int:
    return max(-INT32_MAX - 1, min(INT32_MAX, a))
