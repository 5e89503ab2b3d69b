"""TFLite's int8 hard swish, x * relu6(x + 3) / 6 in 16 bits, in every engine of TFLite files.

Source: HardSwish and HardSwishParams of the reference kernels.
"""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Int8, Int64
from edgebat.graph.arithmetic import quantize_multiplier, rounding_shift
from edgebat.graph.model import Tensor


def hard_swish(source: Tensor, target: Tensor) -> Int8:
    """The table of hard swish."""
    x = (np.arange(-128, 128) - source.zero_point) << 7
    finer = float(np.float32(source.scale) / np.float32(128))
    output, output_exponent = _short(float(np.float32(finer) / np.float32(target.scale)))
    gate, gate_exponent = _short(float(np.float32(finer) / np.float32(3.0 / 32768.0)))
    scaled = _high(x, output)
    share = _saturated(x << max(gate_exponent - 1, 0))
    share = _high(share, gate)
    if gate_exponent > 0:
        share = _saturated(share << 1)
    elif gate_exponent < 0:
        share = rounding_shift(share, -gate_exponent)
    share = (share + (1 << 15)) >> 1
    product = share * scaled
    product = np.sign(product) * (np.abs(product) >> 15)
    if output_exponent < 0:
        product = rounding_shift(product, -output_exponent)
    elif output_exponent > 0:
        product = _saturated(product << output_exponent)
    return np.clip(product + target.zero_point, -128, 127).astype(np.int8)


def _short(real: float) -> tuple[int, int]:
    """A multiplier of 15 bits and its exponent."""
    q31, exponent = quantize_multiplier(real)
    return min((q31 + (1 << 15)) >> 16, 32767), exponent


def _saturated(values: Int64) -> Int64:
    return np.clip(values, -32768, 32767)


def _high(values: Int64, multiplier: int) -> Int64:
    """``values * multiplier / 2**15``, nearest, as gemmlowp's SaturatingRoundingDoublingHighMul of int16."""
    product = values * multiplier
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return _saturated(np.sign(nudged) * (np.abs(nudged) >> 15))
