"""What each operator of the integer graph computes, in NumPy; every kernel works on a batch ``[N, ...]``.

Activations pass between kernels as float64 arrays of integers: products and sums of a checked graph stay below
2**53, so BLAS computes them exactly, and a requantization is a floor. Kernels are built once, with constants folded:

    ((acc * k + 2**(n-1)) >> n) + zp  =  floor(x @ (w * k / 2**n) + (bias * k / 2**n + 1/2 + zp))

holds exactly, because every term is a multiple of 2**-n well inside float64's 53 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgebat.arrays import Array
from edgebat.graph import arithmetic
from edgebat.graph import model as ops
from edgebat.graph.model import Node, Requant, Tensor, reach
from edgebat.runtime.padded_pool import float_pool, mean_pool, pad
from edgebat.runtime.softmax import softmax

Kernel = Callable[..., Array]


def build_kernel(node: Node, tensors: Mapping[str, Tensor]) -> Kernel:
    """The function that executes ``node``: one float64 array [N, ...] of integers per input, the same as output."""
    source = tensors[node.inputs[0]]
    match node:
        case ops.Dense():
            return _dense(node, source)
        case ops.Conv1D():
            return _conv1d(node, source, tensors[node.output])
        case ops.DepthwiseConv1D():
            return _depthwise_conv1d(node, source)
        case ops.MaxPool1D():
            return _max_pool(node, tensors[node.output])
        case ops.AveragePool1D():
            return _average_pool(node, source)
        case ops.Pad1D():
            return lambda x: pad(node, x)
        case ops.MeanPool1D():
            return mean_pool(node, source)
        case ops.FloatPool1D():
            return float_pool(node, source, tensors[node.output])
        case ops.Softmax():
            return softmax(node, tensors[node.output])
        case ops.Flatten():
            return lambda x: x.reshape(x.shape[0], -1)
        case ops.Concat():
            return lambda *xs: np.concatenate(xs, axis=-1)
        case ops.Add():
            return _add(node, tensors)
        case ops.Take():
            shape = tensors[node.output].shape
            return lambda x: x.reshape(len(x), -1)[:, node.index].reshape(len(x), *shape)
        case ops.Mul():
            return _mul(node, tensors)
        case ops.Lut():
            table = node.table.astype(np.float64)
            if table.ndim == 2:
                channel = np.arange(len(table))
                return lambda x: table[channel, x.astype(np.intp) + 128]
            return lambda x: table[x.astype(np.intp) + 128]
        case ops.LastStep():
            return lambda x: x[:, -1]
        case ops.Reverse():
            return lambda x: x[:, ::-1]
        case _:
            raise TypeError(f"node {node.name!r} ({node.op}) is not a stateless operator")


def linear(node: ops.Weighted, weight: Array, source: Tensor) -> tuple[Array, Callable[[Array], Array]]:
    """A folded linear layer: the matrix [F, O] to multiply inputs with, and what turns the product into outputs.

    weight: that of ``node`` as int8 [O, F].
    """
    bias, zero_point, requant = node.bias, source.zero_point, node.requant
    folded = bias.astype(np.float64) - zero_point * weight.astype(np.float64).sum(axis=1)
    if requant.kind == "shift" and _clamp_is_invisible(node, source):
        step = requant.multiplier * 2.0 ** -requant.shift.astype(np.float64)
        offset = folded * step + (0.5 + requant.zero_point)
        low, high = np.float64(requant.minimum), np.float64(requant.maximum)

        def finish(product: Array) -> Array:
            product += offset
            np.floor(product, out=product)
            np.minimum(product, high, out=product)
            return np.maximum(product, low, out=product)

        return np.ascontiguousarray((weight * step[:, None]).T), finish
    rounding = build_requant(requant)
    return np.ascontiguousarray(weight.T.astype(np.float64)), lambda product: rounding(product + folded)


def _clamp_is_invisible(node: ops.Weighted, source: Tensor) -> bool:
    """True when no accumulator beyond the clamp exists, or all of them saturate the output anyway."""
    requant = node.requant
    limit = np.where(requant.clamp > 0, requant.clamp, arithmetic.INT32_MAX).astype(np.int64)
    ends = arithmetic.requantize_shift(np.stack([-limit, limit]), requant.multiplier, requant.shift, requant.clamp)
    saturated = (ends[0] + requant.zero_point <= requant.minimum) & (ends[1] + requant.zero_point >= requant.maximum)
    return bool(((reach(node, source) <= limit) | saturated).all())


def build_requant(requant: Requant) -> Callable[[Array], Array]:
    """The function that turns accumulators [..., C] into outputs as ``requant`` says, for any kind of rounding."""

    def rounding(acc: Array) -> Array:
        integers = acc.astype(np.int64)
        if requant.kind == "shift":
            y = arithmetic.requantize_shift(integers, requant.multiplier, requant.shift, requant.clamp)
        elif requant.kind == "float":
            y = arithmetic.requantize_float(integers, requant.scale)
        elif requant.kind == "steps":
            y = arithmetic.requantize_steps(integers, requant.multiplier) + (requant.minimum - requant.zero_point)
        else:
            y = arithmetic.requantize_double(integers, requant.multiplier, requant.shift)
        return np.clip(y + requant.zero_point, requant.minimum, requant.maximum).astype(np.float64)

    return rounding


def _dense(node: ops.Dense, source: Tensor) -> Kernel:
    matrix, finish = linear(node, node.weight, source)
    return lambda x: finish(x @ matrix)


def _windows(x: Array, kernel: int, stride: int, dilation: int, padding: tuple[int, int], pad_value: int) -> Array:
    """Copies of [N, T, C] as [N, T_out, kernel, C], padded with ``pad_value``."""
    samples, length, channels = x.shape
    if padding != (0, 0):
        padded = np.full((samples, length + sum(padding), channels), float(pad_value))
        padded[:, padding[0] : padding[0] + length] = x
        x = padded
    else:
        x = np.ascontiguousarray(x)
    positions = (x.shape[1] - ((kernel - 1) * dilation + 1)) // stride + 1
    n, t, c = x.strides
    # A view over the padded buffer; building it by hand is ten times cheaper than sliding_window_view.
    return np.ndarray((samples, positions, kernel, channels), x.dtype, x, 0, (n, t * stride, t * dilation, c))


def _conv1d(node: ops.Conv1D, source: Tensor, target: Tensor) -> Kernel:
    outs, kernel, channels = node.weight.shape
    matrix, finish = linear(node, node.weight.reshape(outs, -1), source)
    positions = target.shape[0]

    def conv1d(x: Array) -> Array:
        windows = _windows(x, kernel, node.stride, node.dilation, node.padding, source.zero_point)
        product = windows.reshape(-1, kernel * channels) @ matrix
        return finish(product).reshape(-1, positions, outs)

    return conv1d


def _depthwise_conv1d(node: ops.DepthwiseConv1D, source: Tensor) -> Kernel:
    matrix, finish = linear(node, np.ascontiguousarray(node.weight.T), source)

    def depthwise(x: Array) -> Array:
        windows = _windows(x, len(matrix), node.stride, node.dilation, node.padding, source.zero_point)
        return finish((windows * matrix).sum(axis=2))

    return depthwise


def _max_pool(node: ops.MaxPool1D, target: Tensor) -> Kernel:
    reach = node.stride * (target.shape[0] - 1) + 1

    def max_pool(x: Array) -> Array:
        y = x[:, : reach : node.stride]
        for offset in range(1, node.size):
            y = np.maximum(y, x[:, offset : offset + reach : node.stride])
        return y

    return max_pool


def _average_pool(node: ops.AveragePool1D, source: Tensor) -> Kernel:
    rounding = build_requant(node.requant)

    def average_pool(x: Array) -> Array:
        windows = _windows(x, node.size, node.stride, 1, (0, 0), 0)
        return rounding(windows.sum(axis=2) - node.size * source.zero_point)

    return average_pool


def _add(node: ops.Add, tensors: Mapping[str, Tensor]) -> Kernel:
    rounding = build_requant(node.requant)
    if node.requant.kind == "steps":
        summand_a, summand_b = node.multiplier.reshape(2, 256).astype(np.int64)
        return lambda a, b: rounding(summand_a[a.astype(np.intp) + 128] + summand_b[b.astype(np.intp) + 128])
    zero_a, zero_b = (tensors[name].zero_point for name in node.inputs)
    m_a, m_b = (float(m) for m in node.multiplier)
    return lambda a, b: rounding((a - zero_a) * m_a + (b - zero_b) * m_b)


def _mul(node: ops.Mul, tensors: Mapping[str, Tensor]) -> Kernel:
    rounding = build_requant(node.requant)
    first, second = (tensors[name] for name in node.inputs)
    by_channel = len(second.shape) < len(first.shape)

    def mul(a: Array, b: Array) -> Array:
        gate = b[:, None] if by_channel else b
        return rounding((a - first.zero_point) * (gate - second.zero_point))

    return mul
