"""What each operator of the integer graph computes, in NumPy; every kernel works on a batch ``[N, ...]``.

A kernel is built once per node (constants folded, weights laid out for BLAS) and then called with integer arrays.
Integer products run in float32 BLAS while all sums stay below 2**24, and in float64 beyond: both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.graph import arithmetic
from edgebat.graph.model import (
    Add,
    AveragePool1D,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    LastStep,
    Lut,
    MaxPool1D,
    Node,
    Requant,
    Tensor,
)

Array = npt.NDArray[Any]
Kernel = Callable[..., Array]

_FLOAT32_EXACT = 1 << 24


def build_kernel(node: Node, tensors: Mapping[str, Tensor]) -> Kernel:
    """The function that executes ``node``: takes one array [N, ...] per input, returns the output array [N, ...]."""
    source, target = tensors[node.inputs[0]], tensors[node.output]
    match node:
        case Dense():
            return _dense(node, source, target)
        case Conv1D():
            return _conv1d(node, source, target)
        case DepthwiseConv1D():
            return _depthwise_conv1d(node, source, target)
        case MaxPool1D():
            return _max_pool(node, target)
        case AveragePool1D():
            return _average_pool(node, source, target)
        case Flatten():
            return lambda x: x.reshape(x.shape[0], -1)
        case Concat():
            return lambda *xs: np.concatenate(xs, axis=-1)
        case Add():
            return _add(node, tensors)
        case Lut():
            return lambda x: node.table[x.astype(np.intp) + 128]
        case LastStep():
            return lambda x: np.ascontiguousarray(x[:, -1])
        case _:
            raise TypeError(f"node {node.name!r} ({node.op}) is not a stateless operator")


def build_requant(requant: Requant, dtype: str) -> Callable[[Array], Array]:
    """The function that turns int32 accumulators [..., C] into outputs of ``dtype`` as ``requant`` says."""
    zero, low, high = requant.zero_point, requant.minimum, requant.maximum
    if requant.kind == "shift" and not requant.wide and (requant.clamp > 0).all():
        # Everything fits int32: this is what the C kernels do, in the same order.
        k, n, limit = requant.multiplier, requant.shift, requant.clamp
        half = np.int32(1) << (n - 1)

        def shift32(acc: Array) -> Array:
            y = np.clip(acc, -limit, limit)
            y *= k
            y += half
            y >>= n
            y += np.int32(zero)
            return np.asarray(np.clip(y, low, high).astype(dtype))

        return shift32
    if requant.kind == "shift":
        return lambda acc: np.clip(
            arithmetic.requantize_shift(acc, requant.multiplier, requant.shift, requant.clamp) + zero, low, high
        ).astype(dtype)
    if requant.kind == "float":
        scale = requant.scale
        return lambda acc: np.clip(arithmetic.requantize_float(acc, scale) + zero, low, high).astype(dtype)
    return lambda acc: np.clip(
        arithmetic.requantize_double(acc, requant.multiplier, requant.shift) + zero, low, high
    ).astype(dtype)


def exact_float(fan_in: int) -> Any:
    """The float type in which sums of ``fan_in`` int8 products (inputs not offset) are exact."""
    return np.float32 if fan_in * 128 * 128 < _FLOAT32_EXACT else np.float64


def _dense(node: Dense, source: Tensor, target: Tensor) -> Kernel:
    dtype = exact_float(node.weight.shape[1])
    weight = np.ascontiguousarray(node.weight.T.astype(dtype))
    bias = _folded_bias(node.bias, node.weight.astype(np.int64).sum(axis=1), source.zero_point)
    requant = build_requant(node.requant, target.dtype)

    def dense(x: Array) -> Array:
        acc = (x.astype(dtype) @ weight).astype(np.int32)
        acc += bias
        return requant(acc)

    return dense


def _folded_bias(bias: Array, weight_sum: Array, zero_point: int) -> Array:
    # sum((x - z) w) + b = sum(x w) + (b - z sum(w)); graph.check bounds it to int32.
    return np.asarray((bias.astype(np.int64) - zero_point * weight_sum).astype(np.int32))


def _windows(x: Array, kernel: int, stride: int, dilation: int, padding: tuple[int, int], pad_value: int) -> Array:
    """Views of [N, T, C] as [N, T_out, kernel, C], padded with ``pad_value``."""
    if padding != (0, 0):
        x = np.pad(x, ((0, 0), padding, (0, 0)), constant_values=pad_value)
    reach = (kernel - 1) * dilation + 1
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=1)[:, ::stride]  # [N, T_out, C, reach]
    return view[..., ::dilation].transpose(0, 1, 3, 2)


def _conv1d(node: Conv1D, source: Tensor, target: Tensor) -> Kernel:
    outs, kernel, channels = node.weight.shape
    dtype = exact_float(kernel * channels)
    weight = np.ascontiguousarray(node.weight.reshape(outs, -1).T.astype(dtype))
    bias = _folded_bias(node.bias, node.weight.astype(np.int64).sum(axis=(1, 2)), source.zero_point)
    requant = build_requant(node.requant, target.dtype)

    def conv1d(x: Array) -> Array:
        # Convert before unfolding: the unfolded copy is the large one.
        windows = _windows(x.astype(dtype), kernel, node.stride, node.dilation, node.padding, source.zero_point)
        acc = (windows.reshape(*windows.shape[:2], -1) @ weight).astype(np.int32)
        acc += bias
        return requant(acc)

    return conv1d


def _depthwise_conv1d(node: DepthwiseConv1D, source: Tensor, target: Tensor) -> Kernel:
    weight = node.weight.astype(np.int32)
    bias = _folded_bias(node.bias, node.weight.astype(np.int64).sum(axis=0), source.zero_point)
    requant = build_requant(node.requant, target.dtype)

    def depthwise(x: Array) -> Array:
        windows = _windows(x, weight.shape[0], node.stride, node.dilation, node.padding, source.zero_point)
        return requant((windows.astype(np.int32) * weight).sum(axis=2, dtype=np.int32) + bias)

    return depthwise


def _max_pool(node: MaxPool1D, target: Tensor) -> Kernel:
    positions = target.shape[0]

    def max_pool(x: Array) -> Array:
        y = x[:, : node.stride * (positions - 1) + 1 : node.stride]
        for offset in range(1, node.size):
            y = np.maximum(y, x[:, offset : offset + node.stride * (positions - 1) + 1 : node.stride])
        return np.ascontiguousarray(y)

    return max_pool


def _average_pool(node: AveragePool1D, source: Tensor, target: Tensor) -> Kernel:
    requant = build_requant(node.requant, target.dtype)

    def average_pool(x: Array) -> Array:
        windows = _windows(x, node.size, node.stride, 1, (0, 0), 0)
        return requant(windows.sum(axis=2, dtype=np.int32) - np.int32(node.size * source.zero_point))

    return average_pool


def _add(node: Add, tensors: Mapping[str, Tensor]) -> Kernel:
    zero_a, zero_b = (tensors[name].zero_point for name in node.inputs)
    m_a, m_b = node.multiplier
    requant = build_requant(node.requant, tensors[node.output].dtype)

    def add(a: Array, b: Array) -> Array:
        return requant((a.astype(np.int32) - zero_a) * m_a + (b.astype(np.int32) - zero_b) * m_b)

    return add
