"""The three networks that every table of speed and size uses, with seeded random weights.

MLP 40-32-16-1 with ReLU; CNN on 32 x 4: convolution 8 k3, convolution 16 k3 (same padding), max-pool 2, dense 50;
LSTM on 32 steps x 4 with 16 hidden units, dense 50 on the last step. Peers are measured on the same shapes.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from edgebat.graph import IntGraph
from edgebat.quantize import quantize_model
from edgebat.students.spec import (
    Conv1DLayer,
    DenseLayer,
    FlattenLayer,
    FloatModel,
    Head,
    LastStepLayer,
    Layer,
    LstmLayer,
    MaxPool1DLayer,
)

NETS = ("mlp", "cnn", "lstm")


@cache
def reference_net(name: str) -> IntGraph:
    """The integer graph of "mlp", "cnn" or "lstm"; the same at every call. Raises KeyError for another name."""
    rng = np.random.default_rng(NETS.index(name) if name in NETS else 0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def dense(outs: int, ins: int, activation: str = "none") -> DenseLayer:
        return DenseLayer(draw(outs, ins), draw(outs, 1)[:, 0] * 0.1, activation)

    def conv(outs: int, channels: int) -> Conv1DLayer:
        return Conv1DLayer(draw(outs, 3, channels), draw(outs, 1)[:, 0] * 0.1, 1, "relu")

    shapes: dict[str, tuple[int, int]] = {"mlp": (10, 4), "cnn": (32, 4), "lstm": (32, 4)}
    outputs = {"mlp": 1, "cnn": 50, "lstm": 50}[name]
    layers: dict[str, tuple[Layer, ...]] = {
        "mlp": (FlattenLayer(), dense(32, 40, "relu"), dense(16, 32, "relu"), dense(1, 16)),
        "cnn": (conv(8, 4), conv(16, 8), MaxPool1DLayer(2), FlattenLayer(), dense(50, 256)),
        "lstm": (LstmLayer(draw(64, 4), draw(64, 16), draw(64, 1)[:, 0]), LastStepLayer(), dense(50, 16)),
    }
    time_steps, channels = shapes[name]
    model = FloatModel(
        name,
        shapes[name],
        layers[name],
        np.zeros(channels, np.float32),
        np.ones(channels, np.float32),
        np.zeros(outputs, np.float32),
        np.ones(outputs, np.float32),
        (Head("output", 0, outputs, "fraction"),),
    )
    return quantize_model(model, rng.standard_normal((512, time_steps, channels)), name=name)


def inputs(graph: IntGraph, count: int) -> np.ndarray:
    """Seeded int8 inputs [count, T, C], uniform over the whole range."""
    return np.random.default_rng(3).integers(-128, 128, (count, *graph.input_tensor.shape), dtype=np.int8)
