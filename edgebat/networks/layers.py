"""A float network of others in one form, whatever file it came from: layers that read other layers, channels last.

A reader (``torch.py``, ``onnx.py``, ``tflite.py``, ``keras.py``) makes it through `edgebat.networks.build.Builder`;
`edgebat.networks.fold` simplifies it, `edgebat.networks.ptq` quantizes it. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.students.spec import GruLayer as GruLayer
from edgebat.students.spec import LstmLayer as LstmLayer
from edgebat.students.spec import gru_states, lstm_states

INPUT = "input"
"""Name of what the first layers read."""
Function: TypeAlias = Callable[[Float64], Float64]


@dataclass(frozen=True, eq=False)
class Dense:
    """y = W x + b on the last axis; weight float64 [O, I], bias [O]."""

    weight: Array
    bias: Array
    activation: str = "none"


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution over time of [T, C]: weight [O, K, C], or depthwise [C, K]; ``padding`` zeros (left, right)."""

    weight: Array
    bias: Array
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    depthwise: bool = False
    activation: str = "none"


@dataclass(frozen=True)
class MaxPool:
    """Maximum over ``size`` time steps; ``padding`` (left, right) steps never win."""

    size: int
    stride: int
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class AveragePool:
    """Mean over ``size`` time steps, without padding."""

    size: int
    stride: int
    activation: str = "none"


@dataclass(frozen=True)
class MeanPool:
    """Mean over those of ``size`` time steps that lie in the sequence; ``padding`` (left, right) as Keras' "same"."""

    size: int
    stride: int
    padding: tuple[int, int]


@dataclass(frozen=True)
class Softmax:
    """exp(x) / sum(exp(x)) over the last axis."""


@dataclass(frozen=True)
class Flatten:
    """[T, C] to [T * C], time major."""


@dataclass(frozen=True)
class LastStep:
    """[T, C] to [C]."""


@dataclass(frozen=True)
class Reverse:
    """[T, C], the last time step first."""


@dataclass(frozen=True)
class Add:
    """Sum of two layers of equal shape."""

    activation: str = "none"


@dataclass(frozen=True)
class Multiply:
    """Product of two layers of equal shape, or of [T, C] with [C], one factor a channel, or [T, 1], one a time step."""

    activation: str = "none"


@dataclass(frozen=True)
class Concat:
    """Layers beside each other along the last axis."""


@dataclass(frozen=True, eq=False)
class Scale:
    """x * factor + offset with one value for each of the last axis; folded into neighbours where that is possible."""

    factor: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Table:
    """A function of one value, a table of 256 int8 values in the graph."""

    function: str
    compute: Function = field(repr=False)


Linear = Dense | Conv
Recurrent = LstmLayer | GruLayer
Layer = (
    Dense
    | Conv
    | MaxPool
    | AveragePool
    | MeanPool
    | Softmax
    | Flatten
    | LastStep
    | Reverse
    | Add
    | Multiply
    | Concat
    | Scale
    | Table
    | Recurrent
)


@dataclass(frozen=True, eq=False)
class Step:
    """A layer in its place: ``name`` of its output, ``inputs`` that it reads, ``shape`` of the output without batch.

    source: what the file calls the operator, for messages.
    """

    name: str
    inputs: tuple[str, ...]
    layer: Layer
    shape: tuple[int, ...]
    source: str = ""


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in executing order. ``file_shape``: a window as the file takes it; ``shape``: as the layers do, [T, C] or [F].

    transposed: the file takes [C, T].
    """

    name: str
    kind: str
    steps: tuple[Step, ...]
    output: str
    shape: tuple[int, ...]
    file_shape: tuple[int, ...]
    transposed: bool = False
    output_names: tuple[str, ...] = ()
    """Of each number, where a file has several outputs and names them."""

    def windows(self, x: Array) -> Float64:
        """Windows [N, *file_shape] as the layers take them, [N, *shape]."""
        x = x.astype(np.float64)
        if self.transposed:
            x = x.reshape(len(x), *self.shape[::-1]).swapaxes(1, 2)
        return np.ascontiguousarray(x.reshape(len(x), *self.shape))

    def forward(self, x: Array, batch: int = 256) -> Float64:
        """Outputs float64 [N, ...] of windows [N, *shape]."""
        parts = [self.trace(x[i : i + batch])[self.output] for i in range(0, max(len(x), 1), batch)]
        return np.concatenate(parts)

    def trace(self, x: Array) -> dict[str, Float64]:
        """The output of every layer for windows [N, *shape]."""
        values: dict[str, Float64] = {INPUT: x.astype(np.float64)}
        for step in self.steps:
            values[step.name] = apply(step.layer, *(values[name] for name in step.inputs))
        return values

    def consumers(self) -> Mapping[str, list[Step]]:
        """Steps that read each name."""
        found: dict[str, list[Step]] = {name: [] for name in (INPUT, *(step.name for step in self.steps))}
        for step in self.steps:
            for name in step.inputs:
                found[name].append(step)
        return found

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        arrays = (v for s in self.steps for v in vars(s.layer).values() if isinstance(v, np.ndarray))
        return sum(array.size for array in arrays)


def product(layer: Linear, weight: Array, bias: Array, x: Array) -> Array:
    """Sums of a linear layer with other weights, without activation: [N, ...] to [N, ..., O]."""
    if isinstance(layer, Dense):
        return np.asarray(x @ weight.T + bias)
    padded = np.pad(x, ((0, 0), layer.padding, (0, 0)))
    kernel = weight.shape[1]
    positions = (padded.shape[1] - (kernel - 1) * layer.dilation - 1) // layer.stride + 1
    reach = (positions - 1) * layer.stride + 1
    y = np.broadcast_to(bias, (len(x), positions, len(weight))).astype(np.float64)
    for k in range(kernel):
        taken = padded[:, k * layer.dilation : k * layer.dilation + reach : layer.stride]
        y = y + (taken * weight[:, k] if layer.depthwise else taken @ weight[:, k].T)
    return y


def activate(x: Array, activation: str) -> Array:
    """``x`` behind "none", "relu" or "relu6"."""
    return x if activation == "none" else np.clip(x, 0.0, 6.0 if activation == "relu6" else None)


def apply(layer: Layer, *xs: Array) -> Array:
    """One layer on batches [N, ...]."""
    x = xs[0]
    match layer:
        case Dense() | Conv():
            return activate(product(layer, layer.weight, layer.bias, x), layer.activation)
        case MaxPool():
            padded = np.pad(x, ((0, 0), layer.padding, (0, 0)), constant_values=-np.inf)
            return np.asarray(_pooled(padded, layer.size, layer.stride).max(axis=-1))
        case MeanPool():
            padded = np.pad(x, ((0, 0), layer.padding, (0, 0)), constant_values=np.nan)
            return np.asarray(np.nanmean(_pooled(padded, layer.size, layer.stride), axis=-1))
        case Softmax():
            raised = np.exp(x - x.max(axis=-1, keepdims=True))
            return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
        case AveragePool():
            return activate(_pooled(x, layer.size, layer.stride).mean(axis=-1), layer.activation)
        case Flatten():
            return x.reshape(len(x), -1)
        case LastStep():
            return x[:, -1]
        case Reverse():
            return x[:, ::-1]
        case Add():
            return activate(xs[0] + xs[1], layer.activation)
        case Multiply():
            gate = xs[1][:, None] if xs[1].ndim < x.ndim else xs[1]
            return activate(x * gate, layer.activation)
        case Concat():
            return np.concatenate(xs, axis=-1)
        case Scale():
            return np.asarray(x * layer.factor + layer.offset)
        case Table():
            return layer.compute(x)
        case LstmLayer():
            return lstm_states(layer, x)[0]
        case GruLayer():
            return gru_states(layer, x)


def _pooled(x: Array, size: int, stride: int) -> Array:
    """Windows [N, T', C, size]."""
    return np.lib.stride_tricks.sliding_window_view(x, size, axis=1)[:, ::stride]


def scaled(layer: Linear, factor: Array, offset: Array) -> Linear:
    """``layer`` with its outputs times ``factor`` plus ``offset`` [O]; it has no activation."""
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    return replace(layer, weight=layer.weight * factor.reshape(shape), bias=layer.bias * factor + offset)
