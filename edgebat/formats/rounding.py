"""Which integer requantization a file's float scales stand for.

ONNX and TFLite store scales, not multipliers and shifts; their engines compute ``F`` (see `edgebat.graph.arithmetic`)
from them. Both sides are monotone step functions of the accumulator, so comparing them at each step of ours and just
before it proves that they are equal for *every* accumulator. That makes multipliers found in metadata trustworthy:
they are used only when they are proven to be another way of writing the scales of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Float32, Int64
from edgebat.errors import ModelFileError
from edgebat.graph.arithmetic import INT32_MAX, quantize_multipliers, requantize_float
from edgebat.graph.model import AveragePool1D, DepthwiseConv1D, Mul, Requant, Tensor, Weighted, reach

Engine = Callable[[Int64], Int64]
Linear = Weighted | AveragePool1D | Mul
_Linear = TypeVar("_Linear", bound=Linear)


def real_multiplier(input_scale: float, weight_scale: Float32, output_scale: float) -> Float32:
    """M = (s_in * s_w) / s_out in float32, in the order in which ONNX Runtime and XNNPACK compute it."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        product = np.float32(input_scale) * weight_scale.astype(np.float32)
        return np.asarray(product / np.float32(output_scale), np.float32)


def agrees(requant: Requant, engine: Engine, reach: Int64) -> npt.NDArray[np.bool_]:
    """For each channel: does a "shift" ``requant`` equal ``engine`` for every accumulator in [-reach, reach]?

    engine: a non-decreasing function of int64 accumulators [C, n] (without zero point or clipping), int64 [C, n];
    reach: int64 [C], see `reach`.
    """
    k, n, clamp = (a.astype(np.int64)[:, None] for a in (requant.multiplier, requant.shift, requant.clamp))
    if (k < 1).any() or (n < 1).any() or (n > 46).any():
        return np.zeros(len(k), np.bool_)
    bound = np.minimum(np.broadcast_to(reach, len(k)), INT32_MAX)[:, None]
    limit = np.minimum(np.where(clamp > 0, clamp, INT32_MAX), bound)
    # Inside the clipped output range only the steps low + 1 .. high can be told apart.
    steps = np.arange(requant.minimum - requant.zero_point + 1, requant.maximum - requant.zero_point + 1)
    half = np.int64(1) << (n - 1)
    first = -((half - (steps[None, :].astype(np.int64) << n)) // k)  # smallest acc that reaches the step
    always, never = first <= -limit, first > limit
    reached = engine(np.where(always, -bound, np.where(never, bound, first))) >= steps
    before = ~always & (engine(np.where(always | never, bound, first - 1)) >= steps)
    return np.asarray(np.where(never, ~reached, reached & ~before).all(axis=1))


def is_exact(node: Linear, source: Tensor, target: Tensor, weight_scale: Float32, where: str) -> bool:
    """Whether ``F`` on the scales of a file equals the int8 requantization of ``node`` for every accumulator.

    Raises ModelFileError when that has another scale than ``where``, a kind of file, can store.
    """
    requant = node.requant
    real = real_multiplier(source.scale, weight_scale, target.scale)
    if requant.kind != "double" and not np.array_equal(real, requant.scale):
        raise ModelFileError(
            f"node {node.name!r} ({node.op}): its requantization scale is not s_in * s_w / s_out of its tensors; "
            f"{where} stores only the latter. Set both from one choice of scales"
        )
    if requant.kind == "shift":
        return bool(agrees(requant, float_engine(real), reach(node, source)).all())
    return requant.kind == "float"


def average_window(node: AveragePool1D, source: Tensor, target: Tensor) -> DepthwiseConv1D:
    """``node`` as a depthwise convolution of ones, whose rounding is that of all other operators.

    Raises ModelFileError when no float32 weight scale requantizes as ``node`` does.
    """
    wanted, channels = node.requant.scale[:1], source.shape[1]
    scale = wanted * np.float32(target.scale) / np.float32(source.scale)
    # The division may be off by an ulp; take the neighbour that gives exactly the graph's multiplier.
    for candidate in (scale, np.nextafter(scale, np.float32(0)), np.nextafter(scale, np.float32(np.inf))):
        if np.array_equal(real_multiplier(source.scale, candidate, target.scale), wanted):
            return DepthwiseConv1D(
                node.name, node.inputs, node.output, np.ones((node.size, channels), np.int8),
                np.zeros(channels, np.int32), np.repeat(candidate, channels).astype(np.float32), node.requant, node.stride,
            )  # fmt: skip
    raise ModelFileError(f"node {node.name!r}: no float32 scale gives its requantization; choose another output scale")


def average_multiplier(input_scale: float, size: int, output_scale: float) -> Float32:
    """M = s_in / (s_out * size) in float32 [1], in the order in which ONNX Runtime computes it."""
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        divisor = np.float32(output_scale) * np.float32(size)
        return np.array([np.float32(input_scale) / divisor], np.float32)


def float_engine(scale: Float32) -> Engine:
    """``F`` with one float32 multiplier per channel."""
    return lambda acc: requantize_float(acc, scale[:, None])


def float_requant(scale: Float32, zero_point: int, minimum: int, maximum: int) -> Requant:
    """Requantization by ``F`` with float32 multipliers ``scale`` [C]; raises ModelFileError for absurd ones."""
    if not ((scale > 0) & (scale < 2.0**16)).all():
        raise ModelFileError(f"s_in * s_w / s_out is {scale[:4].tolist()} ...; allowed: above 0 and below 65536")
    zeros = np.zeros(len(scale), np.int32)
    return Requant("float", zero_point, minimum, maximum, zeros, zeros, zeros, scale.astype(np.float32))


def double_requant(input_scale: float, weight_scale: Float32, target: Tensor, minimum: int, maximum: int) -> Requant:
    """Requantization by ``D`` as TFLite Micro derives it from float32 scales (in double); weight_scale [C]."""
    real = input_scale * weight_scale.astype(np.float64) / target.scale
    checked = float_requant(real.astype(np.float32), target.zero_point, minimum, maximum)
    multiplier, exponent = quantize_multipliers(real)
    return replace(checked, kind="double", multiplier=multiplier, shift=exponent)


def recover_shift(requant: Requant, hint: Any, engine: Engine, reach: Int64) -> Requant | None:
    """The "shift" form of ``requant`` that ``hint`` claims, when it is proven equal to ``engine``; else None.

    hint: ``{"k": [...], "n": [...], "L": [...], "wide": bool}`` from the file's metadata; anything else is ignored.
    """
    claimed = _arrays(hint, len(requant.scale))
    if claimed is None:
        return None
    k, n, clamp = claimed
    wide = hint.get("wide") is True or _needs_wide(k, n, clamp)
    shift = replace(requant, kind="shift", multiplier=k, shift=n, clamp=clamp, wide=wide)
    return shift if agrees(shift, engine, reach).all() else None


def proven(node: _Linear, source: Tensor, hint: Any) -> _Linear:
    """``node`` with the multiply and shift of ``hint``, when that is proven to be what its scales stand for."""
    found = recover_shift(node.requant, hint, float_engine(node.requant.scale), reach(node, source))
    return node if found is None else replace(node, requant=found)


def shift_hint(requant: Requant) -> dict[str, Any] | None:
    """What `recover_shift` needs to find ``requant`` again; None when it is not a "shift"."""
    if requant.kind != "shift":
        return None
    hint: dict[str, Any] = {
        "k": requant.multiplier.tolist(), "n": requant.shift.tolist(), "L": requant.clamp.tolist()
    }  # fmt: skip
    return hint | ({"wide": True} if requant.wide else {})


def _needs_wide(k: npt.NDArray[np.int32], n: npt.NDArray[np.int32], clamp: npt.NDArray[np.int32]) -> bool:
    limit = np.where(clamp > 0, clamp, INT32_MAX).astype(np.int64)
    return bool((limit * k + (np.int64(1) << (n.astype(np.int64) - 1)) > INT32_MAX).any())


def _arrays(hint: Any, channels: int) -> tuple[npt.NDArray[np.int32], ...] | None:
    if not isinstance(hint, dict):
        return None
    found = []
    for key, low, high in (("k", 1, INT32_MAX), ("n", 1, 46), ("L", 0, INT32_MAX)):
        values = hint.get(key)
        if not isinstance(values, list) or len(values) != channels:
            return None
        if not all(type(v) is int and low <= v <= high for v in values):
            return None
        found.append(np.array(values, np.int32))
    return tuple(found)
