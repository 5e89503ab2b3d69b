"""The rounding rules of the integer graph, as executable NumPy.

This file *is* the specification: the C kernels, the TFLite and the ONNX files are compared with it bit for bit.
Four ways of turning an int32 accumulator into a small integer occur (names as in docs/quantization-spec.md):

``F``  ``rint(float32(acc) * float32(M))``, half to even: ONNX Runtime (QGemm, QLinearConv) and XNNPACK.
``D``  gemmlowp's doubling high multiply, then a rounding shift, half away from zero: TFLite Micro, CMSIS-NN.
``shift``  ``(clip(acc, -L, L) * k + 2**(n-1)) >> n``: ours. ``k``, ``n``, ``L`` are chosen so that it equals ``F``.
``steps``  how many thresholds an accumulator reaches: averages and sums of other engines, whatever they compute.

All functions take and return integer arrays and never round through float64 by accident.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.arrays import Float32, Float64, Int32, Int64, IntArray

INT32_MAX = 2**31 - 1


def requantize_float(acc: IntArray, multiplier: Float32) -> Int64:
    """``F``: scale accumulators in float32 and round half to even, without zero point or clipping.

    acc: int32 or int64 [..., C] (only values below 2**31 in magnitude); multiplier: float32 [C]. Returns int64.
    """
    scaled = acc.astype(np.float32) * multiplier.astype(np.float32)
    # A huge multiplier of an untrusted file may overflow to inf; every consumer saturates, so clip before the cast.
    return np.rint(np.clip(scaled, -(2.0**40), 2.0**40)).astype(np.int64)


def requantize_shift(acc: IntArray, multiplier: IntArray, shift: IntArray, clamp: IntArray) -> Int64:
    """``shift``: ``(clip(acc, -L, L) * k + 2**(n-1)) >> n`` per channel, without zero point or output clipping.

    acc: int32 [..., C]; multiplier k >= 0, shift n >= 1, clamp L >= 0: int32 [C] (L = 0 means no clamp). Returns int64.
    """
    limit = np.where(clamp > 0, clamp, INT32_MAX).astype(np.int64)
    bounded = np.clip(acc.astype(np.int64), -limit, limit)
    n = shift.astype(np.int64)
    return (bounded * multiplier.astype(np.int64) + (np.int64(1) << (n - 1))) >> n


def requantize_steps(acc: IntArray, thresholds: IntArray) -> Int64:
    """``steps``: how many of the non-decreasing ``thresholds`` [n] each accumulator reaches, int64 of ``acc``'s shape."""
    return np.searchsorted(thresholds, acc, side="right").astype(np.int64)


def doubling_high_multiply(a: IntArray, multiplier: IntArray | int) -> Int64:
    """gemmlowp's SaturatingRoundingDoublingHighMul of int32 ``a`` and a Q31 ``multiplier`` in (-2**31, 2**31).

    ``(a * multiplier + nudge) / 2**31`` truncated towards zero, nudge = 2**30 or 1 - 2**30 by the sign of the product.
    """
    product = a.astype(np.int64) * np.asarray(multiplier, dtype=np.int64)
    nudge = np.where(product >= 0, np.int64(1 << 30), np.int64(1 - (1 << 30)))
    total = product + nudge
    return np.where(total >= 0, total >> 31, -((-total) >> 31))


def rounding_shift(x: IntArray, shift: IntArray | int) -> Int64:
    """gemmlowp's RoundingDivideByPOT: ``x / 2**shift`` rounded to nearest, half away from zero; shift >= 0."""
    x64 = x.astype(np.int64)
    s = np.asarray(shift, dtype=np.int64)
    mask = (np.int64(1) << s) - 1
    remainder = x64 & mask
    threshold = (mask >> 1) + (x64 < 0)
    return (x64 >> s) + (remainder > threshold)


def requantize_double(acc: IntArray, multiplier: IntArray | int, exponent: IntArray | int) -> Int64:
    """``D``: scale by ``multiplier * 2**(exponent - 31)`` as TFLite Micro's MultiplyByQuantizedMultiplier.

    acc: int32 [..., C]; multiplier: Q31 int32 in [2**30, 2**31) or 0; exponent: int32 (positive shifts left first).
    """
    e = np.asarray(exponent, dtype=np.int64)
    left = np.maximum(e, 0)
    right = np.maximum(-e, 0)
    return rounding_shift(doubling_high_multiply(acc.astype(np.int64) << left, multiplier), right)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive real multiplier as (Q31 multiplier, exponent), as TFLite's QuantizeMultiplier rounds it.

    Raises ValueError when ``real`` is negative, NaN or infinite.
    """
    if not np.isfinite(real) or real < 0:
        raise ValueError(f"multiplier {real!r} is not a finite number >= 0")
    if real == 0:
        return 0, 0
    mantissa, exponent = np.frexp(real)
    # std::round rounds half away from zero; the mantissa is positive.
    q31 = int(np.floor(float(mantissa) * 2**31 + 0.5))
    if q31 == 2**31:
        q31, exponent = 2**30, exponent + 1
    if exponent < -31:
        return 0, 0
    return q31, int(exponent)


def quantize_multipliers(real: Float64) -> tuple[Int32, Int32]:
    """`quantize_multiplier` of every value of ``real`` [C]: (Q31 multipliers [C], exponents [C])."""
    pairs = [quantize_multiplier(float(value)) for value in real]
    multipliers, exponents = np.array(pairs, np.int32).reshape(-1, 2).T.copy()
    return multipliers, exponents


def lstm_multipliers(
    input_scale: float, hidden_scale: float, input_weight_scale: Float32, recurrent_weight_scale: Float32
) -> dict[str, Any]:
    """The multipliers and exponents of an `Lstm`, by field, as TFLite Micro derives them from scales (of weights: [4]).

    They bring gate sums to the scale 2**-12, and the product of output gate and cell, 2**-30, to ``hidden_scale``.
    """
    fields: dict[str, Any] = {}
    for part, scale, weight in (
        ("input", input_scale, input_weight_scale), ("recurrent", hidden_scale, recurrent_weight_scale)
    ):  # fmt: skip
        real = scale * weight.astype(np.float64) * 2.0**12
        fields[f"{part}_multiplier"], fields[f"{part}_exponent"] = quantize_multipliers(real)
    fields["hidden_multiplier"], fields["hidden_exponent"] = quantize_multiplier(2.0**-30 / hidden_scale)
    return fields


def _sigmoid_table() -> Int64:
    """TFLite Micro's 256-entry table of sigmoid(i / 24) in 0.16 fixed point (all values fit uint16).

    It is round(65536 / (1 + exp(-i/24))) except at the listed places, where the published table is one larger.
    """
    one_larger = (
        4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46,
        49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
    )  # fmt: skip
    i = np.arange(256)
    table = np.round(65536.0 / (1.0 + np.exp(-i / 24.0))).astype(np.int64)
    table[list(one_larger)] += 1
    return np.minimum(table, 65535)


SIGMOID_TABLE = _sigmoid_table()


def _interpolated(magnitude: Int64, bits: int, saturated: int) -> Int64:
    """SIGMOID_TABLE at ``magnitude / 2**bits``, times ``2**bits``; ``saturated`` from its last entry on."""
    index = magnitude >> bits
    u = np.minimum(index, 254)
    t = magnitude & ((1 << bits) - 1)
    r = (SIGMOID_TABLE[u] << bits) + t * (SIGMOID_TABLE[u + 1] - SIGMOID_TABLE[u])
    return np.where(index >= 255, np.int64(saturated), r)


def sigmoid_q(x: IntArray) -> Int64:
    """Sigmoid of int16 ``x`` with scale 2**-12 as TFLite Micro computes it; result int64 in Q0.15 (0..32767)."""
    d = 3 * x.astype(np.int64)
    r = _interpolated(np.abs(d), 9, 0x7FFF << 10)
    return np.where(d >= 0, (r + (1 << 9)) >> 10, ((1 << 25) - r + (1 << 9) - 1) >> 10)


def tanh_q(x: IntArray, left_shift: int = 0) -> Int64:
    """Tanh of int16 ``x`` with scale ``2**(left_shift - 12)`` as TFLite Micro computes it; result int64 in Q0.15.

    left_shift is 0 for gate values (scale 2**-12) and ``cell_exponent + 12`` for the cell; a negative one rounds.
    The table holds sigmoid(i / 24), hence tanh(v) = 2 sigmoid(2 v) - 1 reads it at 48 v = 3 * 2**12 v / 256.
    """
    x3 = x.astype(np.int64) * 3
    d = x3 << left_shift if left_shift >= 0 else (x3 + (1 << (-left_shift - 1))) >> -left_shift
    r = _interpolated(np.abs(d), 8, 0xFFFF << 8)
    return np.where(d >= 0, (r - (1 << 23) + (1 << 7)) >> 8, (-r + (1 << 23) + (1 << 7) - 1) >> 8)
