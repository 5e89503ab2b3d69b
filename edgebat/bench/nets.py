"""Networks with seeded random weights: the three of every table of speed and size, and any other of the same families.

MLP 40-32-16-1 with ReLU; CNN on 32 x 4: convolution 8 k3, convolution 16 k3 (same padding), max-pool 2, dense 50;
LSTM on 32 steps x 4 with 16 hidden units, dense 50 on the last step. Peers are measured on the same shapes. The GRU of the
same size is no part of those tables; it is measured where it is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from edgebat.arrays import Float32
from edgebat.graph import IntGraph
from edgebat.quantization import quantize_model
from edgebat.students import spec
from edgebat.students.spec import FloatModel, HeadSlice, Layer

Draw = Callable[..., Float32]

NETS = ("mlp", "cnn", "lstm")
"""Those of every table."""

_REFERENCE: dict[str, tuple[tuple[int, int], tuple[int, ...], int]] = {
    "mlp": ((10, 4), (32, 16), 1),
    "cnn": ((32, 4), (8, 16), 50),
    "lstm": ((32, 4), (16,), 50),
    "gru": ((32, 4), (16,), 50),
}
ALL_NETS = tuple(_REFERENCE)


@cache
def reference_net(name: str) -> IntGraph:
    """The integer graph of a name in ``ALL_NETS``; the same at every call. Raises KeyError for another name."""
    shape, widths, outputs = _REFERENCE[name]
    return random_net(name, shape, widths, outputs, seed=ALL_NETS.index(name))


def reference_float_net(name: str) -> FloatModel:
    """The float model that ``reference_net(name)`` was quantized from."""
    return _float_net(np.random.default_rng(ALL_NETS.index(name)), name, *_REFERENCE[name])


@cache
def lstm_alone(inputs: int, hidden: int) -> IntGraph:
    """16 steps of one LSTM layer and the smallest possible head: for instructions per MAC of the layer itself."""
    return random_net("lstm", (16, inputs), (hidden,), 1, name=f"lstm_{inputs}_{hidden}")


def random_net(
    family: str, shape: tuple[int, int], widths: Sequence[int], outputs: int, *, seed: int = 0, name: str = ""
) -> IntGraph:
    """An integer graph of the ``family`` "mlp", "cnn", "lstm" or "gru" with random weights, input int8 [T, C] = ``shape``.

    widths: units of the hidden dense layers, filters of the convolutions (k3, same padding, max-pool 2 behind the
    last one) or units of the stacked recurrent layers; ``outputs`` dense outputs. Raises KeyError for another family.
    """
    rng = np.random.default_rng(seed)
    model = _float_net(rng, family, shape, widths, outputs)
    return quantize_model(model, rng.standard_normal((512, *shape)), name=name or family)


def _float_net(
    rng: np.random.Generator, family: str, shape: tuple[int, int], widths: Sequence[int], outputs: int
) -> FloatModel:
    def draw(*dimensions: int) -> Float32:
        values: Float32 = (rng.standard_normal(dimensions) / np.sqrt(np.prod(dimensions[1:]))).astype(np.float32)
        return values

    layers = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm, "gru": _gru}[family](draw, shape, widths, outputs)
    channels = shape[1]
    return FloatModel(
        family,
        shape,
        layers,
        np.zeros(channels, np.float32),
        np.ones(channels, np.float32),
        np.zeros(outputs, np.float32),
        np.ones(outputs, np.float32),
        (HeadSlice("output", 0, outputs, "fraction"),),
    )


def _dense(draw: Draw, outputs: int, inputs: int, activation: str = "none") -> spec.DenseLayer:
    return spec.DenseLayer(draw(outputs, inputs), draw(outputs, 1)[:, 0] * np.float32(0.1), activation)


def _mlp(draw: Draw, shape: tuple[int, int], widths: Sequence[int], outputs: int) -> tuple[Layer, ...]:
    sizes = [shape[0] * shape[1], *widths]
    hidden = [_dense(draw, b, a, "relu") for a, b in itertools.pairwise(sizes)]
    return (spec.FlattenLayer(), *hidden, _dense(draw, outputs, sizes[-1]))


def _cnn(draw: Draw, shape: tuple[int, int], widths: Sequence[int], outputs: int) -> tuple[Layer, ...]:
    sizes = [shape[1], *widths]
    filters = [
        spec.Conv1DLayer(draw(b, 3, a), draw(b, 1)[:, 0] * np.float32(0.1), 1, "relu")
        for a, b in itertools.pairwise(sizes)
    ]
    return (*filters, spec.MaxPool1DLayer(2), spec.FlattenLayer(), _dense(draw, outputs, shape[0] // 2 * sizes[-1]))


def _lstm(draw: Draw, shape: tuple[int, int], widths: Sequence[int], outputs: int) -> tuple[Layer, ...]:
    sizes = [shape[1], *widths]
    layers = [
        spec.LstmLayer(draw(4 * b, a), draw(4 * b, b), draw(4 * b, 1)[:, 0]) for a, b in itertools.pairwise(sizes)
    ]
    return (*layers, spec.LastStepLayer(), _dense(draw, outputs, sizes[-1]))


def _gru(draw: Draw, shape: tuple[int, int], widths: Sequence[int], outputs: int) -> tuple[Layer, ...]:
    sizes = [shape[1], *widths]
    layers = [
        spec.GruLayer(draw(3 * b, a), draw(3 * b, b), draw(3 * b, 1)[:, 0], draw(b, 1)[:, 0])
        for a, b in itertools.pairwise(sizes)
    ]
    return (*layers, spec.LastStepLayer(), _dense(draw, outputs, sizes[-1]))
