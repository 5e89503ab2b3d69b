"""Post-training quantization of a float network: layers, calibration windows and units in, an integer graph out. NumPy only.

As `edgebat.quantization.ptq` does it for students, for layers that read any earlier layer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import DataError, GraphError, ModelFileError
from edgebat.files import Json
from edgebat.formats.c.border import RESERVED, is_output_name
from edgebat.formats.tflite.rules import LUT_FUNCTIONS, add_rounding, function_table
from edgebat.graph import model as ops
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node, Requant, Tensor
from edgebat.networks import layers as kinds
from edgebat.networks.border import OutputBorder, input_border, output_border, units_of
from edgebat.networks.layers import INPUT, FloatNetwork, Step, apply, product, scaled
from edgebat.networks.padded import add_padded_max, add_softmax
from edgebat.networks.products import product_requant
from edgebat.quantization.ptq import (
    HEAD_SCALE,
    HIDDEN_SCALE,
    MAX_CALIBRATION,
    Builder,
    LayerReport,
    Linear,
    QuantizeOptions,
    activation_limits,
    activation_scale,
    add_gru,
    add_linear,
    add_lstm,
)
from edgebat.quantization.requant_search import float_multiplier, proves_equal, visible_steps
from edgebat.runtime.kernels import build_kernel

MAX_VALUES = 1 << 22
"""Of the largest activation over all calibration windows: they are held in memory twice."""
_KEEPS_SCALE = (kinds.MaxPool, kinds.Flatten, kinds.LastStep, kinds.Reverse)
MOST_HEAD_STEPS = 8.0
"""Steps of the int16 head that one step of input times weight may be."""
SEPARATE_HEADS = 16
"""Up to so many outputs each have a name and a range of their own."""
HARD_LIMIT = 60.0  # dB: better than any int8 layer, shown for layers without an error


@dataclass(frozen=True)
class LayerError:
    """How far a layer's integers are from the float layer, over the calibration windows."""

    name: str
    source: str
    """The operator in the file."""
    db: float
    """Signal to quantization noise of its output, with the errors of all layers before it, in dB."""
    lost_db: float
    """How much of that the layer itself has lost, in dB."""


@dataclass(frozen=True)
class Units:
    """What the integers at the border stand for; see `edgebat.networks.border.units_of`."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Of the outputs; without: those of a file with several, else ``y``, or ``y0``, ``y1``, ..."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """A graph, the float network as it was quantized (it reads z of the border), and the errors of its layers."""

    graph: IntGraph
    network: FloatNetwork
    layers: tuple[LayerError, ...]
    warnings: tuple[str, ...]


def quantize_network(
    network: FloatNetwork,
    x: Array,
    units: Units | None = None,
    options: QuantizeOptions | None = None,
    meta: Json | None = None,
) -> Quantized:
    """Quantize ``network`` after training.

    x: calibration windows float [N, *shape] in the network's units, at most 4096 evenly spaced ones are used. Raises
    DataError for windows that do not fit, ModelFileError for layers the integer graph does not have.
    """
    options, units = options or QuantizeOptions(), units or Units()
    x = _sample(network, x)
    border = input_border(network, x, units_of(units.inputs, x, "columns of the input"), options)
    network, source = border.network, border.tensor
    z = _border_real(x, border.meta, source)
    y = network.forward(z)
    head = isinstance(network.steps[-1].layer, kinds.Dense) and _is_head(network)
    heads = _heads(network, y, units, None, _smallest_deviations(network, z)) if head else None
    network = network if heads is None else _normalized(network, heads.mean, heads.std)
    integer = np.clip(np.rint(z / source.scale) + source.zero_point, -128, 127)
    walk = _Walk(Builder(options, {INPUT: source}, [], source, z, integer), network, head)
    walk.all()
    build = walk.build
    heads = heads or _heads(network, y, units, build.current)
    report: Json = {"scheme": "post-training", "options": asdict(options), "windows": len(x)}
    report["layers"] = [asdict(one) for one in build.reports]
    report["errors"] = [asdict(one) for one in walk.errors]
    found = {"kind": "network", "input": border.meta, "outputs": heads.meta, "quantization": report}
    found["network"] = {
        "source": network.kind, "file_shape": list(network.file_shape), "transposed": network.transposed,
        "parameters": network.parameters,
    }  # fmt: skip
    graph = IntGraph(
        network.name, build.tensors, tuple(build.nodes), INPUT, build.current.name, {**(meta or {}), **found}
    )
    try:
        check_graph(graph)
    except GraphError as error:
        raise ModelFileError(
            f"{error}. The calibration windows reach from {x.min():g} to {x.max():g}: drop what was not measured, and give "
            "the network values of the size that it was trained on"
        ) from None
    return Quantized(graph, network, tuple(walk.errors), border.warnings)


def _sample(network: FloatNetwork, x: Array) -> Array:
    if x.ndim < 2 or x.shape[1:] != network.shape or not len(x):
        raise DataError(
            f"calibration windows have shape {list(x.shape)}; the network reads [N, {', '.join(map(str, network.shape))}] "
            "with N >= 1"
        )
    if not np.isfinite(x).all():
        raise DataError("calibration windows hold NaN or infinity; drop those windows")
    largest = max(int(np.prod(shape)) for shape in [network.shape, *(step.shape for step in network.steps)])
    most = max(min(MAX_CALIBRATION, MAX_VALUES // largest), 16)
    return x[:: max(1, -(-len(x) // most))].astype(np.float64)


def _border_real(x: Array, meta: Json, tensor: Tensor) -> Array:
    """What the border makes of real windows, before rounding: values of the input tensor."""
    scale = np.array([unit["scale"] for unit in meta["units"]])
    gain = np.array(meta["multiplier"]) * 2.0 ** -meta["shift"]
    return np.asarray((x / scale - np.array(meta["offset"])) * gain * tensor.scale)


def _is_head(network: FloatNetwork) -> bool:
    last = network.steps[-1]
    activation = getattr(last.layer, "activation", "none")
    return last.name == network.output and len(last.shape) == 1 and activation in ("none", "relu")


def _smallest_deviations(network: FloatNetwork, z: Array) -> Array:
    """Deviations [O] of the outputs below which a step of the last layer's products is many steps of the head.

    Windows that all look alike would ask for less; the head's multiplier has no form for that.
    """
    last = network.steps[-1]
    assert isinstance(last.layer, kinds.Dense)
    seen = network.trace(z[:64])[last.inputs[0]]
    step = max(float(np.ptp(seen)), float(np.abs(seen).max()), 1e-6) / 127.0
    step = max(step, _fixed_step(network, last.inputs[0]))
    peak = np.abs(last.layer.weight).max(axis=1)
    return np.asarray(step * np.maximum(peak, peak.max() * 1e-3) / 127.0 / HEAD_SCALE / MOST_HEAD_STEPS)


def _fixed_step(network: FloatNetwork, name: str) -> float:
    """The scale of a tensor that has the same one whatever the windows hold; 0 for others."""
    step = next((step for step in network.steps if step.name == name), None)
    match None if step is None else step.layer:
        case kinds.LstmLayer() | kinds.GruLayer() | kinds.Table(function="tanh"):
            return HIDDEN_SCALE
        case kinds.Softmax() | kinds.Table(function="sigmoid"):
            return 2.0**-8
        case kinds.MaxPool() | kinds.Flatten() | kinds.LastStep() | kinds.Reverse():
            assert step is not None
            return _fixed_step(network, step.inputs[0])
    return 0.0


def _heads(
    network: FloatNetwork, y: Array, units: Units, tensor: Tensor | None, smallest: Array | float = 0.0
) -> OutputBorder:
    """Names, units and constants of outputs y [N, ...]; tensor: the last one of a network without an int16 head."""
    flat = y.reshape(len(y), -1)
    outputs = flat.shape[1]
    names = units.names or network.output_names
    if not names:
        names = ("y",) if outputs == 1 or outputs > SEPARATE_HEADS else tuple(f"y{i}" for i in range(outputs))
    if len(names) not in (1, outputs):
        raise DataError(f"{len(names)} names for {outputs} outputs; give one for all, or one for each, in their order")
    if unusable := [name for name in names if not is_output_name(name)]:
        raise DataError(
            f"output name {unusable[0]!r} cannot be the name of a C function; allowed: a letter, then up to 30 letters, "
            f"digits and underscores, but not {', '.join(sorted(RESERVED))}"
        )
    given = units_of(units.outputs, flat, "outputs")
    if len(names) != outputs:
        given = [max(given, key=lambda unit: unit.scale)] * outputs
    centred = getattr(network.steps[-1].layer, "activation", "none") == "none"
    return output_border(flat, given, names, y.shape[1:], tensor, centred=centred, smallest=smallest)


def _normalized(network: FloatNetwork, mean: Array, std: Array) -> FloatNetwork:
    """``network`` whose last layer gives (y - mean) / std."""
    last = network.steps[-1]
    assert isinstance(last.layer, kinds.Dense)
    layer = scaled(last.layer, 1.0 / std, -mean / std)
    return replace(network, steps=(*network.steps[:-1], replace(last, layer=layer)))


class _Walk:
    """Layer by layer: float values, integers and errors of every tensor that is still read."""

    def __init__(self, build: Builder, network: FloatNetwork, head: bool) -> None:
        self.build, self.network, self.head = build, network, head
        self.values: dict[str, tuple[Tensor, Array, Array]] = {INPUT: (build.current, build.real, build.integer)}
        self.readers = network.consumers()
        self.errors: list[LayerError] = []
        self.db: dict[str, float] = {INPUT: HARD_LIMIT}

    def all(self) -> None:
        """Every layer, in executing order."""
        left = {name: len(steps) for name, steps in self.readers.items()}
        for step in self.network.steps:
            self.focus(step.inputs[0])
            self.layer(step)
            build = self.build
            self.values[step.name] = build.current, build.real, build.integer
            self.measure(step)
            for name in step.inputs:
                left[name] -= 1
                if not left[name]:
                    del self.values[name]

    def focus(self, name: str) -> None:
        build = self.build
        build.current, build.real, build.integer = self.values[name]

    def measure(self, step: Step) -> None:
        tensor, real, integer = self.values[step.name]
        noise = float(np.mean((real - (integer - tensor.zero_point) * tensor.scale) ** 2))
        signal = float(np.mean((real - real.mean(axis=tuple(range(real.ndim - 1)))) ** 2))
        db = HARD_LIMIT if noise == 0 else 10.0 * math.log10(max(signal, 1e-30) / noise)
        self.db[step.name] = min(db, HARD_LIMIT)
        if step.inputs[0] != INPUT or len(step.inputs) > 1:
            before = min(self.db[name] for name in step.inputs)
            lost = round(before - self.db[step.name], 1)
        else:
            lost = 0.0
        self.errors.append(LayerError(step.name, step.source, round(db, 1), lost))

    def feeds_lstm(self, name: str) -> bool:
        """Whether an LSTM reads the tensor, or what has its scale."""
        return any(
            isinstance(step.layer, kinds.LstmLayer)
            or (isinstance(step.layer, _KEEPS_SCALE) and self.feeds_lstm(step.name))
            for step in self.readers[name]
        )

    def layer(self, step: Step) -> None:
        build, label, inputs = self.build, step.name, step.inputs
        match step.layer:
            case kinds.Dense() | kinds.Conv() as layer:
                head = self.head and step.name == self.network.output
                real = apply(layer, build.real)
                add_linear(build, _linear(layer), label, head=head, real=real, power=self.feeds_lstm(label))
            case kinds.MaxPool(padding=padding) as layer if padding != (0, 0):
                add_padded_max(build, layer, step)
            case kinds.MeanPool(size, stride, padding):
                self.plain(step, ops.MeanPool1D(label, inputs, label, size, stride, padding))
            case kinds.Softmax():
                add_softmax(build, step)
            case kinds.MaxPool() as layer:
                self.plain(step, ops.MaxPool1D(label, inputs, label, layer.size, layer.stride))
            case kinds.Flatten():
                self.plain(step, ops.Flatten(label, inputs, label))
            case kinds.LastStep():
                self.plain(step, ops.LastStep(label, inputs, label))
            case kinds.Reverse():
                self.plain(step, ops.Reverse(label, inputs, label))
            case kinds.LstmLayer() as layer:
                self.lstm(layer, label)
            case kinds.GruLayer() as layer:
                add_gru(build, layer, label)
            case kinds.AveragePool() as layer:
                self.average(layer, step)
            case kinds.Add() as layer:
                self.add(layer, step)
            case kinds.Multiply() as layer:
                self.multiply(layer, step)
            case kinds.Concat():
                self.concat(step)
            case kinds.Table() as layer:
                self.table(layer, step)
            case _:
                raise ModelFileError(f"{step.source}: the integer graph has no layer {type(step.layer).__name__}")

    def plain(self, step: Step, node: Node) -> None:
        build = self.build
        target = replace(build.current, name=step.name, shape=step.shape)
        build.add(node, target, apply(step.layer, build.real), build.run(node, target))

    def lstm(self, layer: kinds.LstmLayer, label: str) -> None:
        source = self.build.current
        if 2.0 ** round(np.log2(source.scale)) != source.scale:
            self.relabel(source.name, *activation_scale(self.build.real, self.build.options, True), f"{label}_input")
        add_lstm(self.build, layer, label)

    def relabel(self, name: str, scale: float, zero: int, label: str) -> None:
        """The tensor ``name`` on another scale, by a table; it is the current one then."""
        self.focus(name)
        source, real = self.build.current, self.build.real
        target = Tensor(label, source.shape, "int8", scale, zero)
        node = ops.Lut(label, (name,), label, "requantize", function_table(lambda v: v, source, target))
        self.build.add(node, target, real, self.build.run(node, target))

    def average(self, layer: kinds.AveragePool, step: Step) -> None:
        build = self.build
        source, real = build.current, apply(layer, build.real)
        power = self.feeds_lstm(step.name)
        scale, zero = activation_scale(real, build.options, power)
        target = Tensor(step.name, step.shape, "int8", scale, zero)
        requant, exact = average_requant(source, target, layer.size, layer.activation, fixed=power)
        target = replace(target, scale=exact)
        node = ops.AveragePool1D(step.name, step.inputs, step.name, layer.size, layer.stride, requant)
        build.reports.append(LayerReport(step.name, "average_pool1d", 1))
        build.add(node, target, real, build.run(node, target))

    def add(self, layer: kinds.Add, step: Step) -> None:
        build = self.build
        (first, real_a, a), (second, real_b, b) = (self.values[name] for name in step.inputs)
        real = apply(layer, real_a, real_b)
        power = self.feeds_lstm(step.name)
        target = Tensor(step.name, step.shape, "int8", *activation_scale(real, build.options, power))
        scales = (first.scale, second.scale)
        multiplier, requant = add_rounding(scales, target, activation_limits(layer.activation, target))
        node = ops.Add(step.name, step.inputs, step.name, multiplier, requant)
        build.tensors[target.name] = target
        build.add(node, target, real, build_kernel(node, build.tensors)(a, b))

    def multiply(self, layer: kinds.Multiply, step: Step) -> None:
        build = self.build
        (first, real_a, a), (second, real_b, b) = (self.values[name] for name in step.inputs)
        real = apply(layer, real_a, real_b)
        wanted = Tensor(step.name, step.shape, "int8", *activation_scale(real, build.options, False))
        requant, target, exact = product_requant((first, second), wanted, layer.activation)
        build.reports.append(LayerReport(step.name, "mul", 1, fallbacks=int(not exact)))
        node = ops.Mul(step.name, step.inputs, step.name, requant)
        build.tensors[target.name] = target
        build.add(node, target, real, build_kernel(node, build.tensors)(a, b))

    def concat(self, step: Step) -> None:
        build = self.build
        tensors = [self.values[name][0] for name in step.inputs]
        parts = [self.values[name][1] for name in step.inputs]
        real, names, integers = apply(step.layer, *parts), [], []
        widest = max(tensors, key=lambda tensor: tensor.scale)
        same = len({(tensor.scale, tensor.zero_point) for tensor in tensors}) == 1
        scale, zero = activation_scale(real, build.options, self.feeds_lstm(step.name))
        for index, (tensor, name) in enumerate(zip(tensors, step.inputs, strict=True)):
            if same or (tensor.scale, tensor.zero_point) == (scale, zero):
                names.append(name)
                integers.append(self.values[name][2])
                continue
            self.relabel(name, scale, zero, f"{step.name}_{index}")
            names.append(build.current.name)
            integers.append(build.integer)
        if same:
            scale, zero = widest.scale, widest.zero_point
        target = Tensor(step.name, step.shape, "int8", scale, zero)
        build.tensors[target.name] = target
        node = ops.Concat(step.name, tuple(names), step.name)
        build.add(node, target, real, build_kernel(node, build.tensors)(*integers))

    def table(self, layer: kinds.Table, step: Step) -> None:
        build = self.build
        with np.errstate(over="ignore"):
            real = apply(layer, build.real)
        if not np.isfinite(real).all():
            raise ModelFileError(
                f"{step.source}: {layer.function} gives values that are not finite on the calibration windows"
            )
        fixed = {"tanh": LUT_FUNCTIONS["TANH"].output, "sigmoid": LUT_FUNCTIONS["LOGISTIC"].output}.get(layer.function)
        chosen = fixed or activation_scale(real, build.options, self.feeds_lstm(step.name))
        target = Tensor(step.name, step.shape, "int8", *chosen)
        table = function_table(layer.compute, build.current, target)
        node = ops.Lut(step.name, step.inputs, step.name, layer.function, table)
        build.add(node, target, real, build.run(node, target))


def _linear(layer: kinds.Dense | kinds.Conv) -> Linear:
    sums = partial(product, layer)
    if isinstance(layer, kinds.Dense):
        return Linear("dense", layer.weight, layer.bias, layer.activation, sums, ops.Dense)
    geometry: Json = {"stride": layer.stride, "dilation": layer.dilation, "padding": layer.padding}
    if not layer.depthwise:
        return Linear("conv1d", layer.weight, layer.bias, layer.activation, sums, partial(ops.Conv1D, **geometry))

    def depthwise(name: str, inputs: tuple[str, ...], output: str, weight: Array, *rest: object) -> Node:
        return ops.DepthwiseConv1D(name, inputs, output, np.ascontiguousarray(weight.T), *rest, **geometry)  # type: ignore[arg-type]

    return Linear("depthwise_conv1d", layer.weight, layer.bias, layer.activation, sums, depthwise)


def average_requant(
    source: Tensor, target: Tensor, size: int, activation: str, *, fixed: bool = False
) -> tuple[Requant, float]:
    """Requantization of a mean over ``size`` steps, and the output scale near the target's that it is proven exact for.

    fixed: the scale stays as it is, and other engines may differ by one step.
    """
    for tried in range(1 if fixed else 200):
        tensor = replace(target, scale=float(np.float32(target.scale * (1.0 + 0.0005 * tried))))
        requant, exact = exact_average(source, tensor, size, activation_limits(activation, tensor))
        if exact:
            break
    return requant, tensor.scale


def exact_average(source: Tensor, target: Tensor, size: int, bounds: tuple[int, int]) -> tuple[Requant, bool]:
    """Requantization of a mean over ``size`` steps, and whether it is proven equal to float32."""
    reach = size * max(127 - source.zero_point, source.zero_point + 128)
    limit, zero = 1 << reach.bit_length(), target.zero_point
    real = float_multiplier(source.scale, np.float32(1.0 / size), target.scale)
    shift = min(int(np.floor(np.log2((2**31 - 1) / (limit * float(real) * 1.01)))), 30)
    k = max(int(np.rint(float(real) * 2.0**shift)), 1)
    steps = visible_steps(bounds[0] - zero, bounds[1] - zero, reach * float(real))
    multiply, shifts, limits = (np.array([value], np.int32) for value in (k, shift, limit))
    requant = Requant("shift", zero, *bounds, multiply, shifts, limits, np.array([real], np.float32))
    return requant, proves_equal(k, shift, limit, real, steps)
