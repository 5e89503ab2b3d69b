"""Post-training quantization: a float student and windows of training cells in, an integer graph out.

Layer by layer, the calibration windows run through the float layer and through the integer layers built so far; the
float side gives the ranges, the difference of both gives the bias correction. NumPy only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node, Tensor
from edgebat.quantize.border import input_border, output_border
from edgebat.quantize.gru import gru_node
from edgebat.quantize.observers import affine, observe
from edgebat.quantize.requant_search import choose_gates, choose_layer, quantize_symmetric
from edgebat.runtime.gru import GruCell
from edgebat.runtime.kernels import build_kernel
from edgebat.runtime.lstm import LstmCell
from edgebat.students import spec
from edgebat.students.spec import INPUT_STEP, FloatModel, apply_layer, lstm_states, normalize

HEAD_SCALE = 2.0**-12  # of normalized outputs: +-8 standard deviations in int16, 0.0002 standard deviations a step
HIDDEN_SCALE = 2.0**-7  # a hidden state lies in (-1, 1)
MAX_CALIBRATION = 4096


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


@dataclass
class _Builder:
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
    build = _Builder(options, {"input": source}, [], source, real, integer)
    for index, layer in enumerate(model.layers):
        label = f"{index}_{type(layer).__name__.removesuffix('Layer').lower()}"
        inputs = (build.current.name,)
        match layer:
            case spec.DenseLayer() | spec.Conv1DLayer():
                _add_linear(build, layer, label, head=index == len(model.layers) - 1)
            case spec.MaxPool1DLayer():
                _add_plain(build, ops.MaxPool1D(label, inputs, label, layer.size, layer.size), layer)
            case spec.FlattenLayer():
                _add_plain(build, ops.Flatten(label, inputs, label), layer)
            case spec.LastStepLayer():
                _add_plain(build, ops.LastStep(label, inputs, label), layer)
            case spec.LstmLayer():
                _add_lstm(build, layer, label)
            case spec.GruLayer():
                _add_gru(build, layer, label)
    report = {"scheme": "post-training", "options": asdict(options), "windows": len(sample)}
    report["layers"] = [asdict(r) for r in build.reports]
    border = {"kind": model.kind, "input": input_border(model), "outputs": output_border(model, HEAD_SCALE)}
    meta = {**(meta or {}), **border, "quantization": report}
    nodes = tuple(build.nodes)
    return check_graph(IntGraph(name or model.kind, build.tensors, nodes, "input", build.current.name, meta))


def _add_plain(build: _Builder, node: Node, layer: spec.Layer) -> None:
    """A layer that keeps scale and zero point."""
    real = apply_layer(layer, build.real)
    target = replace(build.current, name=node.output, shape=real.shape[1:])
    build.add(node, target, real, build.run(node, target))


def _add_linear(build: _Builder, layer: spec.DenseLayer | spec.Conv1DLayer, label: str, *, head: bool) -> None:
    """Dense or convolution, with fused ReLU; the last layer becomes the int16 head."""
    source, options = build.current, build.options
    weight = layer.weight.astype(np.float64)
    outs = len(weight)
    real = apply_layer(layer, build.real)
    bare = replace(layer, activation="none")
    if head:
        target = Tensor(label, real.shape[1:], "int16", HEAD_SCALE, 0)
        low, high = -32768, 32767
    else:
        scale, zero = affine(*observe(real, options.method, options.percentile))
        target = Tensor(label, real.shape[1:], "int8", scale, zero)
        low, high = (zero, 127) if layer.activation == "relu" else (-128, 127)
    # A channel of zeros still needs a scale; a thousandth of the layer's largest weight changes nothing.
    peak = np.abs(weight).reshape(outs, -1).max(axis=1)
    natural = np.maximum(peak, max(float(peak.max()) * 1e-3, 1e-9)) / 127.0
    widest = max(127 - source.zero_point, source.zero_point + 128)
    magnitude = np.abs(weight).reshape(outs, -1).sum(axis=1) / natural + weight[0].size
    reach = 1.05 * (widest * magnitude + np.abs(layer.bias.astype(np.float64)) / (source.scale * natural))
    most = [int(value) + 1 for value in reach]
    weight_scale, requant, choices = choose_layer(natural.tolist(), most, source, target, low, high)
    fallbacks, tries = sum(not choice.exact for choice in choices), sum(choice.tries for choice in choices)
    op = "head" if head else "dense" if isinstance(layer, spec.DenseLayer) else "conv1d"
    report = LayerReport(label, op, outs, fallbacks, tries, float(np.abs(weight_scale / natural - 1.0).max()))
    integer_weight = quantize_symmetric(weight, weight_scale.reshape(-1, *[1] * (weight.ndim - 1)))
    step = source.scale * weight_scale.astype(np.float64)
    bias = layer.bias.astype(np.float64)
    if options.bias_correction:
        seen = (build.integer - source.zero_point) * source.scale
        rounded: Array = integer_weight * weight_scale.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
        approximate = apply_layer(replace(bare, weight=rounded), seen)
        axes = tuple(range(real.ndim - 1))
        bias = bias + (apply_layer(bare, build.real) - approximate).mean(axis=axes)
    integer_bias = np.clip(np.rint(bias / step), -(2**30), 2**30).astype(np.int32)
    parts = (label, (source.name,), label, integer_weight, integer_bias, weight_scale, requant)
    node: Node = ops.Dense(*parts)
    if isinstance(layer, spec.Conv1DLayer):
        node = ops.Conv1D(*parts, padding=(layer.padding, layer.padding))
    build.reports.append(report)
    build.add(node, target, real, build.run(node, target))


def _add_lstm(build: _Builder, layer: spec.LstmLayer, label: str) -> None:
    """An LSTM layer; its input scale must be a power of two, which input and hidden tensors have."""
    source = build.current
    hidden = layer.weight_hidden.shape[1]
    target = Tensor(label, (source.shape[0], hidden), "int8", HIDDEN_SCALE, 0)
    states, cells = lstm_states(layer, build.real)
    # The smallest power of two that holds every cell value seen, with a margin of a quarter for unseen ones.
    exponent = int(np.clip(np.ceil(np.log2(max(float(np.abs(cells).max()) * 1.25, 2.0**-15) / 32767.0)), -15, -9))
    (wx, sx), (wh, sh) = (
        _gate_weights(matrix.reshape(4, hidden, -1).astype(np.float64), scale)
        for matrix, scale in ((layer.weight_input, source.scale), (layer.weight_hidden, HIDDEN_SCALE))
    )
    bias = np.rint(layer.bias.reshape(4, hidden) / (source.scale * sx.astype(np.float64))[:, None])
    node = ops.Lstm(
        label, (source.name,), label, wx, wh, bias.astype(np.int32), sx, sh, cell_exponent=exponent,
        **lstm_multipliers(source.scale, HIDDEN_SCALE, sx, sh),
    )  # fmt: skip
    cell = LstmCell(node, source, target)
    integer = cell.run(build.integer, cell.initial_state(len(build.integer)))[0]
    build.reports.append(LayerReport(label, "lstm", 4 * hidden))
    build.add(node, target, states, integer)


def _add_gru(build: _Builder, layer: spec.GruLayer, label: str) -> None:
    """A GRU layer, behind an input of any scale."""
    source, units = build.current, layer.weight_hidden.shape[1]
    target = Tensor(label, (source.shape[0], units), "int8", HIDDEN_SCALE, 0)
    node = gru_node(layer, source, label)
    cell = GruCell(node, source, target)
    integer = cell.run(build.integer, cell.initial_state(len(build.integer)))[0]
    build.reports.append(LayerReport(label, "gru", 3 * units))
    build.add(node, target, apply_layer(layer, build.real), integer)


def _gate_weights(weight: Array, input_scale: float) -> tuple[Array, Array]:
    """int8 weights [4, H, *] and their scales [4]."""
    peak = np.maximum(np.abs(weight).reshape(4, -1).max(axis=1), 1e-6)
    scales = choose_gates((peak / 127.0).tolist(), input_scale)
    return quantize_symmetric(weight, scales[:, None, None]), scales
