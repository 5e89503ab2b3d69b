"""How TFLite's kernels turn the scales of a file into integers, where that is not plain ``F``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Array, Float64, Int8, Int32, Int64
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import Engine
from edgebat.graph.arithmetic import quantize_multipliers
from edgebat.graph.model import Requant, Tensor

Function = Callable[[Float64], Float64]
# The head's int8 input becomes (x - zp) * 2**HEAD_SHIFT in int16: the largest shift that cannot overflow.
HEAD_SHIFT = 7


@dataclass(frozen=True)
class LutFunction:
    """A function of one real variable and the (scale, zero point) that TFLite demands of its int8 output."""

    compute: Function
    output: tuple[float, int]


LUT_FUNCTIONS = {
    "TANH": LutFunction(np.tanh, (2.0**-7, 0)),
    "LOGISTIC": LutFunction(lambda x: 1.0 / (1.0 + np.exp(-x)), (2.0**-8, -128)),
}


def function_table(compute: Function, source: Tensor, target: Tensor) -> Int8:
    """The int8 table [256] of ``compute``, rounded to nearest even as LiteRT, XNNPACK and ONNX Runtime do."""
    real = (np.arange(-128, 128) - source.zero_point) * np.float64(source.scale)
    with np.errstate(over="ignore"):
        steps = np.clip(compute(real) / target.scale, -1e6, 1e6)
    return np.asarray(np.clip(np.rint(steps) + target.zero_point, -128, 127), np.int8)


def float_table(compute: Function, source: Tensor, target: Tensor, *, even: bool = True) -> Int8:
    """The same of a function that engines compute in float32: its values there can lie in the middle of two steps where
    those of real numbers do not. These go to the even step, or away from zero."""
    real = (np.arange(-128, 128) - source.zero_point).astype(np.float32) * np.float32(source.scale)
    with np.errstate(over="ignore"):
        steps = compute(real.astype(np.float64)).astype(np.float32) / np.float32(target.scale)
    whole = np.clip(steps, -1e6, 1e6).astype(np.float64)
    nearest = np.rint(whole) if even else np.trunc(whole + np.copysign(0.5, whole))
    return np.asarray(np.clip(nearest + target.zero_point, -128, 127), np.int8)


def activation_range(name: str, target: Tensor) -> tuple[int, int]:
    """Smallest and largest output integer of fused activation ``name`` ("none", "relu", "relu6") on ``target``."""
    low, high = (-128, 127) if target.dtype == "int8" else (-32768, 32767)
    if name == "none":
        return low, high
    if name == "relu_n1_to_1":
        one = int(np.rint(1.0 / target.scale))
        return max(low, target.zero_point - one), min(high, target.zero_point + one)
    top = high if name == "relu" else target.zero_point + int(np.rint(6.0 / target.scale))
    return max(low, target.zero_point), min(high, top)


def same_padding(length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """(left, right) positions that padding SAME adds to a sequence of ``length``."""
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
    return total // 2, total - total // 2


def grouped(weight: Array, groups: int) -> Array:
    """Weights [O, K, C / groups] as [O, K, C]: each group reads its own channels, with zeros for the others."""
    outs, kernel, width = weight.shape
    if groups == 1:
        return weight
    full = np.zeros((outs, kernel, width * groups), weight.dtype)
    for index in range(outs):
        first = index // (outs // groups) * width
        full[index, :, first : first + width] = weight[index]
    return full


def short_multipliers(real: Float64) -> tuple[Int64, Int64]:
    """TFLite Micro's 15-bit multipliers [C] and their exponents [C] for accumulators of 64 bits."""
    q31, exponent = (values.astype(np.int64) for values in quantize_multipliers(real))
    return np.minimum((q31 + (1 << 15)) >> 16, 0x7FFF), exponent


def head_engines(real: Float64) -> list[Engine]:
    """How 16x8 kernels with an int64 bias requantize; real: s_in * s_w / s_out in double, [C].

    TFLite Micro shortens the Q31 multiplier to 15 bits and rounds halves up (MultiplyByQuantizedMultiplier for int64);
    LiteRT 2 keeps all bits and rounds halves away from zero.
    """
    short, exponent = (values[:, None] for values in short_multipliers(real))
    q31 = quantize_multipliers(real)[0].astype(np.int64)[:, None]

    def micro(acc: Int64) -> Int64:
        return (acc * short + (np.int64(1) << (14 - exponent))) >> (15 - exponent)

    def litert(acc: Int64) -> Int64:
        # floor(x + half - 1 unit) below zero: halves away from zero.
        return (acc * q31 + (np.int64(1) << (30 - exponent)) - (acc < 0)) >> (31 - exponent)

    return [micro, litert]


def lifted_engine(engine: Engine, power: int, offset: Int64) -> Engine:
    """``engine`` on accumulators that the file holds multiplied by ``2**power``, plus ``offset`` [C]."""
    return lambda acc: engine((acc << power) + offset[:, None])


def head_offset(multiplier: Int32) -> Int64:
    """What is added to the bias of the 16x8 head (in 1 / 2**HEAD_SHIFT of an accumulator step), [C].

    The integer graph rounds halves up; engines disagree about halves. Lifting every accumulator by less than the
    distance 1 / k of two values of ``acc * k`` (nearly by half of it) turns halves into values slightly above, for
    which all engines agree, and changes no other output. It needs k < 2**HEAD_SHIFT.
    """
    k = multiplier.astype(np.int64)
    offset: Int64 = np.maximum((2**HEAD_SHIFT + k) // (2 * np.maximum(k, 1)), 1)
    return offset


def add_multipliers(scale_a: float, scale_b: float, scale_out: float) -> tuple[list[int], int]:
    """XNNPACK's int8 addition: ``(a * m[0] + b * m[1] + 2**(shift-1)) >> shift``; returns (m, shift).

    The larger multiplier has 21 bits. Source: xnn_init_qs8_add_minmax_scalar_params in XNNPACK. Raises ModelFileError
    for scales that are too far apart for XNNPACK: the larger ratio has to lie in [2**-10, 2**8).
    """
    exact = [scale / scale_out for scale in (scale_a, scale_b)]
    if not 2.0**-10 <= max(exact) < 2.0**8 * (1 - 2.0**-23):
        raise ModelFileError(
            f"an addition of tensors with scales {scale_a!r}, {scale_b!r} to {scale_out!r} is too uneven"
        )
    ratios = [np.float32(ratio) for ratio in exact]
    shift = 20 - int(np.floor(np.log2(max(ratios))))
    return [int(np.rint(float(ratio) * 2.0**shift)) for ratio in ratios], shift


def add_rounding(scales: tuple[float, float], target: Tensor, bounds: tuple[int, int]) -> tuple[Int32, Requant]:
    """Multipliers [2] and requantization of an addition to ``target``, clipped to ``bounds``; raises as above."""
    multipliers, shift = add_multipliers(*scales, target.scale)
    one, real = np.ones(1, np.int32), np.array([2.0**-shift], np.float32)
    requant = Requant("shift", target.zero_point, *bounds, one, one * shift, one * 0, real, wide=True)
    return np.array(multipliers, np.int32), requant
