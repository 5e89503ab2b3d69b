"""Post-training quantization: a float student and windows of training cells in, an integer graph out.

Layer by layer, the calibration windows run through the float layer and through the integer layers built so far; the
float side gives the ranges, the difference of both gives the bias correction. NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node, Tensor
from edgebat.quantization.border import input_border, output_border
from edgebat.quantization.gru import gru_node
from edgebat.quantization.observers import affine, observe
from edgebat.quantization.requant_search import choose_gates, choose_layer, quantize_symmetric
from edgebat.runtime.gru import GruCell
from edgebat.runtime.kernels import build_kernel
from edgebat.runtime.lstm import LstmCell
from edgebat.students import spec
from edgebat.students.spec import INPUT_STEP, FloatModel, apply_layer, lstm_states, normalize

HEAD_SCALE = 2.0**-12  # of normalized outputs: +-8 standard deviations in int16, 0.0002 standard deviations a step
HIDDEN_SCALE = 2.0**-7  # a hidden state lies in (-1, 1)
MAX_CALIBRATION = 4096
_MOST_BIAS = 1 << 29  # of the integers that a bias is: sums have 32 bits


@dataclass(frozen=True)
class QuantizeOptions:
    """How a float student becomes an integer graph."""

    method: str = "mse"
    """How ranges of activations are chosen: ``minmax``, ``percentile`` or ``mse``."""
    percentile: float = 99.99
    """Of the absolute values, for the method ``percentile``."""
    bias_correction: bool = True
    """Undo the mean rounding error of every layer."""
    qat_epochs: int = 0
    """Epochs of quantization-aware training after that (distill/qat_train.py); 0 = post-training only."""


@dataclass
class LayerReport:
    """One quantized layer: channels, channels whose int32 requantization could not be proven equal to float32."""

    name: str
    op: str
    channels: int
    fallbacks: int = 0
    tries: int = 0
    scale_change: float = 0.0  # largest relative change of a weight scale made by the search


@dataclass(frozen=True)
class Linear:
    """What the quantizer knows of a layer of products: weights [O, ...] and bias [O] in float64, ``activation`` "none",
    "relu" or "relu6"; ``product(weight, bias, x)``: its sums without activation; ``node(*parts)``: its node of name,
    inputs, output, weight, bias, weight scale, requantization."""

    op: str
    weight: Array
    bias: Array
    activation: str
    product: Callable[[Array, Array, Array], Array]
    node: Callable[..., Node]


@dataclass
class Builder:
    """A graph that grows layer by layer, and what the calibration windows are behind its last one."""

    options: QuantizeOptions
    tensors: dict[str, Tensor]
    nodes: list[Node]
    current: Tensor
    real: Array  # float activations of the calibration windows
    integer: Array  # the same through the integer layers: float64 arrays of integers
    reports: list[LayerReport] = field(default_factory=list)

    def add(self, node: Node, target: Tensor, real: Array, integer: Array) -> None:
        self.tensors[target.name] = target
        self.nodes.append(node)
        self.current, self.real, self.integer = target, real, integer

    def run(self, node: Node, target: Tensor) -> Array:
        return build_kernel(node, {**self.tensors, target.name: target})(self.integer)


def quantize_model(
    model: FloatModel,
    calibration: Array,
    options: QuantizeOptions | None = None,
    *,
    name: str = "",
    meta: Json | None = None,
) -> IntGraph:
    """Quantize ``model`` after training.

    calibration: physical inputs float [N, T, C] of **training** cells (at most 4096 evenly spaced ones are used).
    meta: copied into the graph's meta, beside the border arithmetic and the quantization report.
    Raises DataError when the calibration windows do not fit the model or hold NaN.
    """
    options = options or QuantizeOptions()
    if calibration.ndim != 3 or calibration.shape[1:] != model.input_shape or not len(calibration):
        raise DataError(
            f"calibration windows have shape {list(calibration.shape)}; allowed: [N, {model.input_shape[0]}, "
            f"{model.input_shape[1]}] with N >= 1"
        )
    if not np.isfinite(calibration).all():
        raise DataError("calibration windows hold NaN or infinity; drop those windows")
    sample = calibration[:: max(1, -(-len(calibration) // MAX_CALIBRATION))].astype(np.float64)
    real = normalize(model, sample)
    source = Tensor("input", model.input_shape, "int8", INPUT_STEP, 0)
    integer = np.clip(np.rint(real / INPUT_STEP), -128, 127)
    build = Builder(options, {"input": source}, [], source, real, integer)
    for index, layer in enumerate(model.layers):
        label = f"{index}_{type(layer).__name__.removesuffix('Layer').lower()}"
        inputs = (build.current.name,)
        match layer:
            case spec.DenseLayer() | spec.Conv1DLayer():
                head = index == len(model.layers) - 1
                add_linear(build, _linear(layer), label, head=head, real=apply_layer(layer, build.real))
            case spec.MaxPool1DLayer():
                _add_plain(build, ops.MaxPool1D(label, inputs, label, layer.size, layer.size), layer)
            case spec.FlattenLayer():
                _add_plain(build, ops.Flatten(label, inputs, label), layer)
            case spec.LastStepLayer():
                _add_plain(build, ops.LastStep(label, inputs, label), layer)
            case spec.LstmLayer():
                add_lstm(build, layer, label)
            case spec.GruLayer():
                add_gru(build, layer, label)
    report = {"scheme": "post-training", "options": asdict(options), "windows": len(sample)}
    report["layers"] = [asdict(r) for r in build.reports]
    border = {"kind": model.kind, "input": input_border(model), "outputs": output_border(model, HEAD_SCALE)}
    meta = {**(meta or {}), **border, "quantization": report}
    nodes = tuple(build.nodes)
    return check_graph(IntGraph(name or model.kind, build.tensors, nodes, "input", build.current.name, meta))


def _add_plain(build: Builder, node: Node, layer: spec.Layer) -> None:
    """A layer that keeps scale and zero point."""
    real = apply_layer(layer, build.real)
    target = replace(build.current, name=node.output, shape=real.shape[1:])
    build.add(node, target, real, build.run(node, target))


def _linear(layer: spec.DenseLayer | spec.Conv1DLayer) -> Linear:
    bare = replace(layer, activation="none")
    node: Callable[..., Node] = ops.Dense
    if isinstance(layer, spec.Conv1DLayer):
        node = partial(ops.Conv1D, padding=(layer.padding, layer.padding))
    return Linear(
        "dense" if isinstance(layer, spec.DenseLayer) else "conv1d",
        layer.weight.astype(np.float64),
        layer.bias.astype(np.float64),
        layer.activation,
        lambda weight, bias, x: apply_layer(replace(bare, weight=weight, bias=bias), x),
        node,
    )


def activation_limits(activation: str, target: Tensor) -> tuple[int, int]:
    """The integers of ``target`` that "none", "relu" or "relu6" leaves."""
    low, high = (-32768, 32767) if target.dtype == "int16" else (-128, 127)
    if activation == "none":
        return low, high
    top = high if activation == "relu" else target.zero_point + int(np.rint(6.0 / target.scale))
    return max(low, target.zero_point), min(high, top)


def add_linear(build: Builder, linear: Linear, label: str, *, head: bool, real: Array, power: bool = False) -> None:
    """A layer of products whose float outputs are ``real``, with fused activation; ``head``: int16 outputs.

    power: an output scale that is a power of two, which an LSTM behind it needs.
    """
    source, options, weight, outs = build.current, build.options, linear.weight, len(linear.weight)
    if head:
        target = Tensor(label, real.shape[1:], "int16", HEAD_SCALE, 0)
    else:
        target = Tensor(label, real.shape[1:], "int8", *activation_scale(real, options, power))
    low, high = activation_limits(linear.activation, target)
    # A channel of zeros still needs a scale; a thousandth of the layer's largest weight changes nothing.
    peak = np.abs(weight).reshape(outs, -1).max(axis=1)
    natural = np.maximum(peak, max(float(peak.max()) * 1e-3, 1e-9)) / 127.0
    # Where a bias is large beside the weights, it decides.
    natural = np.maximum(natural, np.abs(linear.bias) / (source.scale * _MOST_BIAS))
    widest = max(127 - source.zero_point, source.zero_point + 128)
    magnitude = np.abs(weight).reshape(outs, -1).sum(axis=1) / natural + weight[0].size
    reach = 1.05 * (widest * magnitude + np.abs(linear.bias) / (source.scale * natural))
    most = [int(value) + 1 for value in reach]
    weight_scale, requant, choices = choose_layer(natural.tolist(), most, source, target, low, high)
    fallbacks, tries = sum(not choice.exact for choice in choices), sum(choice.tries for choice in choices)
    op = "head" if head else linear.op
    report = LayerReport(label, op, outs, fallbacks, tries, float(np.abs(weight_scale / natural - 1.0).max()))
    integer_weight = quantize_symmetric(weight, weight_scale.reshape(-1, *[1] * (weight.ndim - 1)))
    step = source.scale * weight_scale.astype(np.float64)
    bias = linear.bias
    if options.bias_correction:
        seen = (build.integer - source.zero_point) * source.scale
        rounded: Array = integer_weight * weight_scale.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
        approximate = linear.product(rounded, linear.bias, seen)
        axes = tuple(range(real.ndim - 1))
        bias = bias + (linear.product(weight, linear.bias, build.real) - approximate).mean(axis=axes)
    integer_bias = np.clip(np.rint(bias / step), -(2**30), 2**30).astype(np.int32)
    node = linear.node(label, (source.name,), label, integer_weight, integer_bias, weight_scale, requant)
    build.reports.append(report)
    build.add(node, target, real, build.run(node, target))


def activation_scale(real: Array, options: QuantizeOptions, power: bool = False) -> tuple[float, int]:
    """Scale and int8 zero point for ``real`` values as the options choose them; power: a power of two as scale."""
    low, high = observe(real, options.method, options.percentile)
    if not power:
        return affine(low, high)
    scale = 2.0 ** int(np.ceil(np.log2(max(high - low, 1e-6) / 255.0)))
    return scale, int(np.clip(np.rint(-128.0 - low / scale), -128, 127))


def add_lstm(build: Builder, layer: spec.LstmLayer, label: str) -> None:
    """An LSTM layer; its input scale must be a power of two, which input and hidden tensors have."""
    source = build.current
    hidden = layer.weight_hidden.shape[1]
    target = Tensor(label, (source.shape[0], hidden), "int8", HIDDEN_SCALE, 0)
    states, cells = lstm_states(layer, build.real)
    # The smallest power of two that holds every cell value seen, with a margin of a quarter for unseen ones.
    exponent = int(np.clip(np.ceil(np.log2(max(float(np.abs(cells).max()) * 1.25, 2.0**-15) / 32767.0)), -15, -9))
    biases = layer.bias.reshape(4, hidden)
    # Where a bias is large beside the weights, it decides.
    least = np.abs(biases).max(axis=1) / (source.scale * _MOST_BIAS)
    wx, sx = _gate_weights(layer.weight_input, source.scale, least)
    wh, sh = _gate_weights(layer.weight_hidden, HIDDEN_SCALE)
    bias = np.rint(biases / (source.scale * sx.astype(np.float64))[:, None])
    node = ops.Lstm(
        label, (source.name,), label, wx, wh, bias.astype(np.int32), sx, sh, cell_exponent=exponent,
        **lstm_multipliers(source.scale, HIDDEN_SCALE, sx, sh),
    )  # fmt: skip
    cell = LstmCell(node, source, target)
    integer = cell.run(build.integer, cell.initial_state(len(build.integer)))[0]
    build.reports.append(LayerReport(label, "lstm", 4 * hidden))
    build.add(node, target, states, integer)


def add_gru(build: Builder, layer: spec.GruLayer, label: str) -> None:
    """A GRU layer, behind an input of any scale."""
    source, units = build.current, layer.weight_hidden.shape[1]
    target = Tensor(label, (source.shape[0], units), "int8", HIDDEN_SCALE, 0)
    node = gru_node(layer, source, label)
    cell = GruCell(node, source, target)
    integer = cell.run(build.integer, cell.initial_state(len(build.integer)))[0]
    build.reports.append(LayerReport(label, "gru", 3 * units))
    build.add(node, target, apply_layer(layer, build.real), integer)


def _gate_weights(weight: Array, input_scale: float, least: Array | float = 0.0) -> tuple[Array, Array]:
    """int8 weights [4, H, *] of ``weight`` [4 H, *], and their scales [4]; least: of those scales."""
    gates = weight.astype(np.float64).reshape(4, len(weight) // 4, -1)
    peak = np.maximum(np.abs(gates).reshape(4, -1).max(axis=1), 1e-6)
    scales = choose_gates(np.maximum(peak / 127.0, least).tolist(), input_scale)
    return quantize_symmetric(gates, scales[:, None, None]), scales
