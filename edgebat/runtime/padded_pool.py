"""Averages over windows that reach beyond the sequence: TFLite's in integers, ONNX Runtime's in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edgebat.arrays import Array, Int64
from edgebat.graph.model import FloatPool1D, MeanPool1D, Pad1D, Tensor

Kernel = Callable[[Array], Array]


def window_ends(node: MeanPool1D | FloatPool1D, length: int) -> Iterator[tuple[int, int]]:
    """(first, one behind the last) position of each window that lies within a sequence of ``length``."""
    left, right = node.padding
    for start in range(-left, length + right - node.size + 1, node.stride):
        yield max(start, 0), min(start + node.size, length)


def counts(node: MeanPool1D | FloatPool1D, length: int) -> Int64:
    """By how much the sum of each window is divided, [T']."""
    whole = isinstance(node, FloatPool1D) and node.count_padding
    return np.array([node.size if whole else end - start for start, end in window_ends(node, length)], np.int64)


def pad(node: Pad1D, x: Array) -> Array:
    """Rows of a constant at the ends, or without so many rows."""
    left, right = node.padding
    kept = x[:, max(-left, 0) : x.shape[1] - max(-right, 0)]
    sides = ((0, 0), (max(left, 0), max(right, 0)), (0, 0))
    return np.pad(kept, sides, constant_values=float(node.value))


def divided(sums: Array, count: Array) -> Array:
    """Integers divided by ``count``, halves away from zero."""
    return np.asarray(np.sign(sums) * ((np.abs(sums) + count // 2) // count))


def mean_pool(node: MeanPool1D, source: Tensor) -> Kernel:
    """Raw integers summed and divided."""
    length = source.shape[0]
    ends, count = list(window_ends(node, length)), counts(node, length)[:, None]
    return lambda x: divided(np.stack([x[:, start:end].sum(axis=1) for start, end in ends], axis=1), count)


def float_values(source: Tensor) -> Array:
    """float32 [256]: every int8 value as ONNX Runtime dequantizes it."""
    steps = np.arange(-128, 128) - source.zero_point
    return np.asarray(steps.astype(np.float32) * np.float32(source.scale))


def float_outputs(node: FloatPool1D, sums: Array, count: Array, target: Tensor) -> Array:
    """What becomes of float32 ``sums``, each operation rounded to float32."""
    middle = 128 if node.unsigned else 0
    steps = (sums / count.astype(np.float32)) / np.float32(target.scale) + np.float32(target.zero_point + middle)
    return np.asarray(np.clip(np.rint(steps) - middle, -128, 127))


def float_pool(node: FloatPool1D, source: Tensor, target: Tensor) -> Kernel:
    """Positions added one after another, so that float32 rounds as it does there."""
    length, values = source.shape[0], float_values(source)
    ends, count = list(window_ends(node, length)), counts(node, length)[:, None]

    def pool(x: Array) -> Array:
        real = values[x.astype(np.intp) + 128]
        sums = np.zeros((len(x), len(ends), x.shape[2]), np.float32)
        for t, (start, end) in enumerate(ends):
            for position in range(start, end):
                sums[:, t] += real[:, position]
        return float_outputs(node, sums, count, target).astype(np.float64)

    return pool
