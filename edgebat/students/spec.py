"""A trained student as plain NumPy: what the quantizer reads and what tests compare with.

The layers are the ones an integer graph can express, in executing order, laid out channels last (``[T, C]``). Between
physical values and layers stand two normalizations: ``z = clip((x - input_mean) / input_std)`` and
``value = y * output_std + output_mean``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError

# Normalized inputs live on the int8 grid of scale 2**-5: -128..127 steps are -4 .. 4 - 2**-5. Training clips alike.
INPUT_STEP = 2.0**-5
INPUT_MIN = -128 * INPUT_STEP
INPUT_MAX = 127 * INPUT_STEP


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """y = activation(W x + b) on the last axis; weight [O, I], bias [O]; activation "none" or "relu"."""

    weight: Float32
    bias: Float32
    activation: str = "none"


@dataclass(frozen=True, eq=False)
class Conv1DLayer:
    """Convolution over time, stride 1; weight [O, K, C], bias [O]; ``padding`` zeros at both ends; then activation."""

    weight: Float32
    bias: Float32
    padding: int = 0
    activation: str = "none"


@dataclass(frozen=True)
class MaxPool1DLayer:
    """Maximum over ``size`` neighbouring time steps, stride = size, an incomplete last group is dropped."""

    size: int


@dataclass(frozen=True)
class FlattenLayer:
    """[T, C] to [T * C], time major."""


@dataclass(frozen=True, eq=False)
class LstmLayer:
    """LSTM over time, zero initial state, whole hidden sequence out; gate rows in the order i, f, g, o.

    weight_input [4H, I], weight_hidden [4H, H], bias [4H] (both of torch's biases added).
    """

    weight_input: FloatArray
    weight_hidden: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class GruLayer:
    """GRU over time, zero initial state, whole hidden sequence out; gate rows in the order r, z, n (`gru_weights.py`).

    weight_input [3H, I], weight_hidden [3H, H], bias [3H]. reset_after: the reset gate acts on the recurrent product of
    the new gate, which ``bias_hidden`` [H] is added to before; else on the hidden state, and ``bias_hidden`` is zero.
    """

    weight_input: FloatArray
    weight_hidden: FloatArray
    bias: FloatArray
    bias_hidden: FloatArray
    reset_after: bool = True


@dataclass(frozen=True)
class LastStepLayer:
    """[T, C] to [C]: the last time step."""


Layer = DenseLayer | Conv1DLayer | MaxPool1DLayer | FlattenLayer | LstmLayer | GruLayer | LastStepLayer


@dataclass(frozen=True)
class HeadSlice:
    """One named group of outputs: ``size`` values from ``index`` on; unit "fraction" (of the reference) or "cycles".
    relative: they are changes since the window's last input value."""

    name: str
    index: int
    size: int
    unit: str
    relative: bool = False


@dataclass(frozen=True, eq=False)
class FloatModel:
    """Layers, normalizations and heads of one student.

    kind: the student's family, as "lstm". input_mean, input_std: [C], one per input channel, the same for all time steps.
    output_mean, output_std: [O], one per output. input_shape: (T, C).
    """

    kind: str
    input_shape: tuple[int, int]
    layers: tuple[Layer, ...]
    input_mean: Float32
    input_std: Float32
    output_mean: Float32
    output_std: Float32
    heads: tuple[HeadSlice, ...]
    relative: bool = False
    """Layers see the changes since the window's last value."""

    @property
    def parameters(self) -> int:
        """Number of weights and biases (an LSTM's two biases count once)."""
        arrays = (value for layer in self.layers for value in vars(layer).values() if isinstance(value, np.ndarray))
        return sum(array.size for array in arrays)


def normalize(model: FloatModel, x: FloatArray) -> FloatArray:
    """Physical inputs [N, T, C] to clipped normalized ones, in the dtype of ``x``."""
    if model.relative:
        x = x - x[:, -1:, -1:]
    z = (x - model.input_mean.astype(x.dtype)) / model.input_std.astype(x.dtype)
    return np.asarray(np.clip(z, INPUT_MIN, INPUT_MAX))


def float_forward(model: FloatModel, x: FloatArray) -> FloatArray:
    """Normalized outputs [N, O] for physical inputs [N, T, C], computed in the dtype of ``x`` (float32 or float64).

    Raises DataError when the inputs do not have the model's shape.
    """
    if x.ndim != 3 or x.shape[1:] != model.input_shape:
        raise DataError(
            f"the {model.kind} student takes inputs [N, {model.input_shape[0]}, {model.input_shape[1]}], not "
            f"{list(x.shape)}; build the windows with the student's own definition of its task"
        )
    values = normalize(model, x)
    for layer in model.layers:
        values = apply_layer(layer, values)
    return values


def apply_layer(layer: Layer, x: FloatArray) -> FloatArray:
    """One layer on a batch [N, ...], in the dtype of ``x`` (the quantizer runs the layers one by one)."""
    match layer:
        case DenseLayer():
            return _activate(x @ layer.weight.T.astype(x.dtype) + layer.bias.astype(x.dtype), layer.activation)
        case Conv1DLayer():
            kernel = layer.weight.shape[1]
            padded = np.pad(x, ((0, 0), (layer.padding, layer.padding), (0, 0)))
            patches = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1)  # [N, T', C, K]
            sums = np.einsum("ntck,okc->nto", patches, layer.weight.astype(x.dtype)) + layer.bias.astype(x.dtype)
            return _activate(sums, layer.activation)
        case MaxPool1DLayer():
            steps = x.shape[1] // layer.size
            return np.asarray(x[:, : steps * layer.size].reshape(len(x), steps, layer.size, -1).max(axis=2))
        case FlattenLayer():
            return x.reshape(len(x), -1)
        case LstmLayer():
            return lstm_states(layer, x)[0]
        case GruLayer():
            return gru_states(layer, x)
        case LastStepLayer():
            return x[:, -1]


def _activate(x: FloatArray, activation: str) -> FloatArray:
    return np.maximum(x, 0) if activation == "relu" else x


def lstm_states(layer: LstmLayer, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hidden states and cell values [N, T, H] after each time step of ``x`` [N, T, I], from an empty state."""
    units = layer.weight_hidden.shape[1]
    weight_input, weight_hidden = layer.weight_input.T.astype(x.dtype), layer.weight_hidden.T.astype(x.dtype)
    hidden = np.zeros((len(x), units), x.dtype)
    cell = np.zeros_like(hidden)
    sequence = np.empty((len(x), x.shape[1], units), x.dtype)
    cells = np.empty_like(sequence)
    for t in range(x.shape[1]):
        gates = x[:, t] @ weight_input + hidden @ weight_hidden + layer.bias.astype(x.dtype)
        i, f, g, o = np.split(gates, 4, axis=1)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
        hidden = _sigmoid(o) * np.tanh(cell)
        sequence[:, t], cells[:, t] = hidden, cell
    return sequence, cells


def gru_states(layer: GruLayer, x: FloatArray) -> FloatArray:
    """Hidden states [N, T, H] after each time step of ``x`` [N, T, I], from zero."""
    units = layer.weight_hidden.shape[1]
    weight_input, weight_hidden = layer.weight_input.T.astype(x.dtype), layer.weight_hidden.T.astype(x.dtype)
    from_input = x @ weight_input + layer.bias.astype(x.dtype)
    hidden = np.zeros((len(x), units), x.dtype)
    sequence = np.empty((len(x), x.shape[1], units), x.dtype)
    for t in range(x.shape[1]):
        gates = _sigmoid(from_input[:, t, : 2 * units] + hidden @ weight_hidden[:, : 2 * units])
        reset, update = gates[:, :units], gates[:, units:]
        if layer.reset_after:
            recurrent = reset * (hidden @ weight_hidden[:, 2 * units :] + layer.bias_hidden.astype(x.dtype))
        else:
            recurrent = (reset * hidden) @ weight_hidden[:, 2 * units :]
        new = np.tanh(from_input[:, t, 2 * units :] + recurrent)
        hidden = new + update * (hidden - new)
        sequence[:, t] = hidden
    return sequence


def _sigmoid(x: FloatArray) -> FloatArray:
    # 1 / (1 + exp(-x)) written with tanh, which cannot overflow.
    return np.asarray((np.tanh(x / 2) + 1) / 2)
