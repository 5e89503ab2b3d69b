"""Seeded int8 inputs of several kinds: one maker for equality, speed and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgebat.arrays import Int8
from edgebat.graph import IntGraph

Draw = Callable[[np.random.Generator, tuple[int, ...], int], Int8]


KINDS: dict[str, Draw] = {
    "uniform": lambda rng, shape, _: rng.integers(-128, 128, shape, dtype=np.int8),
    "bell": lambda rng, shape, _: np.clip(np.rint(rng.normal(0.0, 40.0, shape)), -128, 127).astype(np.int8),
    "ends": lambda rng, shape, _: rng.choice(np.array([-128, 127], np.int8), shape),
    "near": lambda rng, shape, zero: np.clip(zero + rng.integers(-3, 4, shape), -128, 127).astype(np.int8),
}
"""Over the whole range; like normalized data; -128 or 127 alone; within three steps of the input's zero point."""


def random_inputs(graph: IntGraph, count: int, seed: int = 3, kinds: Sequence[str] = tuple(KINDS)) -> Int8:
    """Seeded int8 inputs [count, *input shape]: windows of the ``kinds`` in turn (names of KINDS).

    The last three of eight or more are constant: -128, 0 and 127.
    """
    tensor, x = graph.input_tensor, np.empty((count, *graph.input_tensor.shape), np.int8)
    for index, kind in enumerate(kinds):
        drawn = KINDS[kind](np.random.default_rng(seed + index), x.shape, tensor.zero_point)
        x[index :: len(kinds)] = drawn[index :: len(kinds)]
    if count >= 8:
        x[-3:] = np.array([-128, 0, 127], np.int8).reshape(3, *[1] * (x.ndim - 1))
    return x
