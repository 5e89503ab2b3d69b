"""Choose weight scales so that one int32 multiply and shift equals the float32 requantization of ORT and XNNPACK.

The weight scale of an output channel is ours to choose before the weights are rounded. Around the natural scale we
look for one where, for **every** accumulator ``acc`` the channel can produce (not only sampled ones),

    clip(((clip(acc, -L, L) * k + 2**(n-1)) >> n) + zp)  ==  clip(rint(float32(acc) * float32(M)) + zp)

with k odd and ``L * k`` inside int32. Both sides are monotone step functions of ``acc``, so it is enough to compare
them on both sides of each of our steps: that is a proof for all accumulators, not a sample. Source of the idea and of
the bounds: docs/quantization-spec.md, section Requantization.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float32
from edgebat.graph.model import Requant, Tensor

# Bits of a head multiplier. With so few, LiteRT (31 bits, ties away from zero) and TFLite Micro (15 bits, ties up) both
# give our result, see formats/rounding.py; the weight scale is at most 12 % above what the weights need.
HEAD_BITS = 6
GATE_SCALE = 2.0**-12  # fixed by TFLite's int8 LSTM
GATE_BITS = 10  # bits of a gate multiplier: gate products then need 32-bit arithmetic only
INT32_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class ScaleChoice:
    """The scale chosen for one channel and its integer requantization; ``exact`` says whether the proof succeeded."""

    weight_scale: np.float32
    multiplier: int
    shift: int
    clamp: int
    real: np.float32
    tries: int
    exact: bool


def float_multiplier(input_scale: float, weight_scale: np.float32, output_scale: float) -> np.float32:
    """M = (s_in * s_w) / s_out in float32, in the order in which ORT and XNNPACK compute it."""
    return np.float32(np.float32(np.float32(input_scale) * weight_scale) / np.float32(output_scale))


def proves_equal(k: int, n: int, limit: int, real: np.float32, steps: npt.NDArray[np.int64]) -> bool:
    """True when the int32 form with (k, n, L) equals ``rint(float32(acc) * real)`` wherever the output can tell.

    steps: the consecutive output steps (before the zero point) that the clipped output can distinguish. Compares at
    the first accumulator of each of our steps and at the one before it.
    """
    half = 1 << (n - 1)
    if limit * k + half > INT32_LIMIT:
        return False
    # smallest acc with (acc * k + half) >> n >= step, that is (step * 2**n - half) / k rounded up
    first = -((half - (steps << n)) // k)
    above = np.rint(first.astype(np.float32) * real)
    below = np.rint((first - 1).astype(np.float32) * real)
    return bool((above >= steps).all() and (below < steps).all() and (np.abs(first) <= limit).all())


def visible_steps(lowest: int, highest: int, reach: float) -> npt.NDArray[np.int64]:
    """The output steps that can be seen: inside the clipped output range and inside what the accumulator reaches.

    lowest, highest: output range minus its zero point; reach: bound of |acc| * M.
    """
    seen = int(min(max(abs(lowest), abs(highest)), reach + 1)) + 1
    return np.arange(max(lowest + 1, -seen), min(highest, seen) + 1, dtype=np.int64)


def choose_scale(
    natural: float,
    input_scale: float,
    output_scale: float,
    lowest: int = -255,
    highest: int = 255,
    reach: int = INT32_LIMIT,
) -> ScaleChoice:
    """A weight scale near ``natural`` (within 3 %, if need be 12 %) whose int32 requantization is proven exact; where there
    is none, one channel of ten thousand, a scale of up to twice as much, which costs it a bit of its weights.

    natural: max |w| / 127 of the channel; lowest, highest: output range minus its zero point; reach: bound of |acc|
    (at any such scale). When no scale is found, the natural one is returned with the nearest integer approximation
    and ``exact = False`` (the count of such channels is reported on the card).
    """
    tries = 0
    for tolerance, candidates in ((0.03, _candidates), (0.12, _candidates), (1.0, _wide)):
        ratio = float(np.float32(input_scale)) / float(np.float32(output_scale))
        real = natural * ratio
        steps = visible_steps(lowest, highest, reach * real * (1 + tolerance))
        seen = max(-int(steps.min(initial=0)), int(steps.max(initial=0))) + 1
        # Where one step of the accumulator is more than the output can show, it is clamped to one.
        limit = 1 << max(int(np.ceil(np.log2((seen + 1) / (real * (1.0 - min(tolerance, 0.12)))))), 0)
        top = min(int(np.floor(np.log2(INT32_LIMIT / (limit * real * (1 + tolerance))))), 30)
        for k, n in candidates(real, top, tolerance):
            base = np.float32(k * 2.0**-n / ratio)
            for ulp in range(-4, 5):
                scale = np.float32(base + ulp * np.spacing(base))
                tries += 1
                m = float_multiplier(input_scale, scale, output_scale)
                if proves_equal(k, n, limit, m, steps):
                    return ScaleChoice(scale, k, n, limit, m, tries, True)
    n = max(top, 1)
    scale = np.float32(natural)
    m = float_multiplier(input_scale, scale, output_scale)
    return ScaleChoice(scale, min(max(round(float(m) * 2.0**n), 1), INT32_LIMIT), n, limit, m, tries, False)


def _candidates(real: float, top: int, tolerance: float) -> Iterator[tuple[int, int]]:
    """Odd k within ``tolerance`` of ``real * 2**n``, nearest first, for the four largest n (largest first)."""
    for n in range(top, max(top - 4, 0), -1):
        centre = real * 2.0**n
        span = max(int(centre * tolerance), 1)
        ks = round(centre) + np.arange(-span, span + 1)
        ks = ks[(ks > 0) & (ks % 2 == 1)]
        for k in ks[np.argsort(np.abs(ks - centre), kind="stable")][:96]:
            yield int(k), n


def _wide(real: float, top: int, _tolerance: float) -> Iterator[tuple[int, int]]:
    """Odd k from 12 % below ``real * 2**n`` to twice as much, for all n; the last one is 1: a shift alone."""
    for n in range(top, 0, -1):
        centre = real * 2.0**n
        for k in range(int(np.ceil(0.88 * centre)) | 1, int(2.0 * centre) + 1, 2):
            yield k, n


def choose_power_scale(natural: float, ratio: float, bits: int) -> tuple[np.float32, int, int]:
    """The smallest scale >= ``natural`` with ``scale * ratio = k * 2**-n``, k of at most ``bits`` bits.

    For LSTM gates, whose ``ratio`` is a power of two: the float32 scale then is exact, and so is the Q31 multiplier.
    Returns (weight scale float32, k, n); ratio = s_in / s_out.
    """
    real = natural * ratio
    n = bits - int(np.floor(np.log2(real))) - 1
    k = int(np.ceil(real * 2.0**n))
    if k == 1 << bits:
        k, n = k >> 1, n - 1
    return np.float32(k * 2.0**-n / ratio), k, n


def choose_head_scale(natural: float, ratio: float, bits: int) -> tuple[np.float32, int, int]:
    """A scale from ``natural`` to 12 % above it with ``scale * ratio = k * 2**-n`` so nearly that engines agree.

    For the int16 head: foreign engines form the multiplier from the float32 scale, so its relative error times the
    largest output (2**15) and 2**n must stay well below one half. k is no power of two, because TFLite Micro cuts a
    multiplier just below one. Returns (weight scale float32, k, n); k stays below 1.12 * 2**bits; ratio = s_in / s_out.
    """
    real = natural * ratio
    n = bits - int(np.floor(np.log2(real))) - 1
    first = int(np.ceil(real * 2.0**n))
    best = (np.inf, np.float32(natural), first)
    for k in range(first, max(first + 4, int(first * 1.12)) + 1):
        if k & (k - 1) == 0:
            continue
        scale = np.float32(k * 2.0**-n / ratio)
        error = abs(float(scale) * ratio / (k * 2.0**-n) - 1.0) * 2.0 ** (15 + n)
        if error < best[0]:
            best = (error, scale, k)
        if error < 0.25:
            break
    return best[1], best[2], n


def choose_layer(
    natural: Sequence[float], reach: Sequence[int], source: Tensor, target: Tensor, low: int, high: int
) -> tuple[Float32, Requant, list[ScaleChoice]]:
    """Weight scales [O] and the requantization of a layer from ``source`` to ``target``, clipped to [low, high].

    natural, reach: of every channel, as for `choose_scale`. An int16 output makes it a head, see `choose_head_scale`.
    """
    zero, choices = target.zero_point, []
    for value, most in zip(natural, reach, strict=True):
        if target.dtype == "int16":
            scale, k, n = choose_head_scale(value, source.scale / target.scale, HEAD_BITS)
            # The clamp lies above what the accumulator reaches: it changes nothing and proves that int32 suffices.
            choices.append(ScaleChoice(scale, k, n, 1 << most.bit_length(), np.float32(k * 2.0**-n), 0, True))
        else:
            choices.append(choose_scale(value, source.scale, target.scale, low - zero, high - zero, most))
    keys = ("multiplier", "shift", "clamp")
    multiplier, shift, clamp = (np.array([getattr(c, key) for c in choices]).astype(np.int32) for key in keys)
    scales, reals = (np.array([getattr(c, key) for c in choices], np.float32) for key in ("weight_scale", "real"))
    return scales, Requant("shift", zero, low, high, multiplier, shift, clamp, reals), choices


def choose_gates(natural: Sequence[float], input_scale: float) -> Float32:
    """Weight scales [4] of the gates of an LSTM layer from what they need; ``input_scale`` is a power of two."""
    chosen = [choose_power_scale(value, input_scale / GATE_SCALE, GATE_BITS)[0] for value in natural]
    return np.array(chosen, np.float32)


def quantize_symmetric(weight: npt.NDArray[np.floating], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """round(weight / scale) clipped to [-127, 127] (symmetric, so that -128 never meets -128); scale broadcasts."""
    return np.clip(np.rint(weight.astype(np.float64) / scale), -127, 127).astype(np.int8)
