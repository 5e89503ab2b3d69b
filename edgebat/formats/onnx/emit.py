"""An integer graph as ONNX operators with the graph's own integers; NumPy only.

Dense layers become QGemm (com.microsoft), convolutions and average pooling QLinearConv: their rounding is ``F``, which
every requantization was chosen to equal. What has no such operator (int16 head, addition, LSTM, GRU) is written in plain
integer operators. Sequences are ``[N, T, C]``; convolutions work on ``[N, C, T]``, with Transpose where needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Float32
from edgebat.errors import ModelFileError
from edgebat.formats.onnx.gru import emit_gru
from edgebat.formats.onnx.integer import emit_lstm, emit_shift
from edgebat.formats.onnx.model import ELEMENT_TYPE, MICROSOFT, OnnxGraph, OnnxValue
from edgebat.formats.onnx.pooling import emit_mean_pool
from edgebat.formats.onnx.softmax import emit_softmax
from edgebat.formats.rounding import Linear, average_window, is_exact
from edgebat.formats.roundings.softmax import onnxruntime_table
from edgebat.graph import model as ops
from edgebat.graph.model import MOST_PRODUCT, IntGraph, Node, Tensor, reach

OPSETS = {"": 17, MICROSOFT: 1}


def emit_graph(graph: IntGraph, *, stateful: bool = False) -> tuple[OnnxGraph, list[str]]:
    """``graph`` as ONNX operators, and the names of nodes that are not expressed exactly; needs NumPy only.

    `read_onnx` calls this as well: a file is accepted when it is what this function makes of the graph read from it.
    """
    emitter = _Emitter(graph, stateful)
    result = emitter.onnx
    source, target = graph.input_tensor, graph.output_tensor
    # With its state outside a model takes any number of steps.
    steps: list[int | str] = ["T", *source.shape[1:]] if stateful else list(source.shape)
    result.inputs.append(OnnxValue(source.name, source.dtype, ["N", *steps]))
    result.outputs.append(OnnxValue(target.name, target.dtype, ["N", *target.shape]))
    for node in graph.nodes:
        emitter.node(node)
    emitter.sequence(graph.output)
    return result, emitter.inexact


class _Emitter:
    def __init__(self, graph: IntGraph, stateful: bool) -> None:
        self.graph, self.stateful = graph, stateful
        self.onnx = OnnxGraph("edgebat")
        self.inexact: list[str] = []
        self.known = {graph.input}  # tensors that exist as [N, T, C] or [N, C]
        self.channels_first: dict[str, str] = {}  # tensors that exist as [N, C, T], under this name

    # -- layouts

    def sequence(self, name: str) -> str:
        """The tensor ``name`` as [N, T, C] or [N, C]."""
        if name not in self.known:
            self.onnx.emit("Transpose", [self.channels_first[name]], name, perm=[0, 2, 1])
            self.known.add(name)
        return name

    def image(self, name: str) -> str:
        """The tensor ``name`` as [N, C, T]."""
        if name not in self.channels_first:
            self.channels_first[name] = self.onnx.emit("Transpose", [name], f"{name}/nct", perm=[0, 2, 1])
        return self.channels_first[name]

    # -- parts

    def zero_point(self, tensor: Tensor) -> str:
        return self.onnx.constant(f"{tensor.name}/zero_point", tensor.zero_point, tensor.dtype)

    def scale_and_zero(self, tensor: Tensor) -> list[str]:
        return [self.onnx.constant(f"{tensor.name}/scale", tensor.scale, "float32"), self.zero_point(tensor)]

    def linear(
        self, op: str, inputs: list[str], output: str, node: Linear, domain: str = "", **attributes: Any
    ) -> None:
        """A rounding operator; a fused ReLU is a clip of int8 values behind it."""
        limits = {"minimum": node.requant.minimum, "maximum": node.requant.maximum}
        clipped = tuple(limits.values()) != (-128, 127)
        raw = self.onnx.emit(op, inputs, f"{output}/linear" if clipped else output, domain, **attributes)
        if clipped:
            bounds = [self.onnx.constant(f"{node.output}/{label}", v, "int8") for label, v in limits.items()]
            self.onnx.emit("Clip", [raw, *bounds], output)

    # -- operators

    def node(self, node: Node) -> None:
        if self.stateful and not isinstance(node, ops.Recurrent | ops.LastStep | ops.Dense | ops.Lut):
            raise ModelFileError(f"node {node.name!r} ({node.op}) needs all time steps: the model can't be stepped")
        source, target = self.graph.tensors[node.inputs[0]], self.graph.tensors[node.output]
        if node.op not in _OPERATORS:
            raise ModelFileError(f"node {node.name!r}: ONNX has no form of operator {node.op!r} that is exact")
        _OPERATORS[node.op](self, node, source, target)
        if target.name not in self.channels_first:
            self.known.add(target.name)

    def check(self, node: Linear, source: Tensor, target: Tensor, weight_scale: Float32) -> None:
        if not is_exact(node, source, target, weight_scale, "ONNX"):
            self.inexact.append(node.name)

    def dense(self, node: ops.Dense, source: Tensor, target: Tensor) -> None:
        if target.dtype == "int16":
            self.head(node, source, target)
            return
        self.check(node, source, target, node.weight_scale)
        outs, ins = node.weight.shape
        x = self.sequence(source.name)
        output = target.name
        if len(source.shape) == 2:
            rows = self.onnx.constant(f"{node.name}/rows", [-1, ins], "int64")
            x, output = self.onnx.emit("Reshape", [x, rows], f"{target.name}/rows_in"), f"{target.name}/rows_out"
        inputs = [
            x, *self.scale_and_zero(source),
            self.onnx.constant(f"{node.name}/weight", node.weight, "int8"),
            self.onnx.constant(f"{node.name}/weight_scale", node.weight_scale, "float32"),
            self.onnx.constant(f"{node.name}/weight_zero_point", np.zeros(outs), "int8"),
            self.onnx.constant(f"{node.name}/bias", node.bias, "int32"),
            *self.scale_and_zero(target),
        ]  # fmt: skip
        self.linear("QGemm", inputs, output, node, MICROSOFT, alpha=1.0, transA=0, transB=1)
        if output != target.name:
            shape = self.onnx.constant(f"{node.name}/steps", [-1, *target.shape], "int64")
            self.onnx.emit("Reshape", [output, shape], target.name)

    def conv1d(self, node: ops.Convolution, source: Tensor, target: Tensor) -> None:
        self.check(node, source, target, node.weight_scale)
        self.window(node, source, target)

    depthwise_conv1d = conv1d

    def average_pool1d(self, node: ops.AveragePool1D, source: Tensor, target: Tensor) -> None:
        window = average_window(node, source, target)
        self.check(node, source, target, window.weight_scale[:1])
        self.window(window, source, target)

    def window(self, node: ops.Convolution, source: Tensor, target: Tensor) -> None:
        depthwise = isinstance(node, ops.DepthwiseConv1D)
        weight = node.weight.T[:, None] if depthwise else node.weight.transpose(0, 2, 1)
        output = f"{target.name}/nct"
        inputs = [
            self.image(source.name), *self.scale_and_zero(source),
            self.onnx.constant(f"{node.name}/weight", weight, "int8"),
            self.onnx.constant(f"{node.name}/weight_scale", node.weight_scale, "float32"),
            self.onnx.constant(f"{node.name}/weight_zero_point", np.zeros(len(weight)), "int8"),
            *self.scale_and_zero(target),
            self.onnx.constant(f"{node.name}/bias", node.bias, "int32"),
        ]  # fmt: skip
        self.linear(
            "QLinearConv", inputs, output, node, kernel_shape=[weight.shape[2]], strides=[node.stride],
            dilations=[node.dilation], pads=list(node.padding), group=len(weight) if depthwise else 1,
        )  # fmt: skip
        self.channels_first[target.name] = output

    def max_pool1d(self, node: ops.MaxPool1D, source: Tensor, target: Tensor) -> None:
        self.channels_first[target.name] = self.onnx.emit(
            "MaxPool", [self.image(source.name)], f"{target.name}/nct", kernel_shape=[node.size], strides=[node.stride]
        )

    def pad1d(self, node: ops.Pad1D, source: Tensor, target: Tensor) -> None:
        left, right = node.padding
        pads = self.onnx.constant(f"{node.name}/pads", [0, left, 0, 0, right, 0], "int64")
        value = self.onnx.constant(f"{node.name}/value", node.value, "int8")
        self.onnx.emit("Pad", [self.sequence(source.name), pads, value], target.name)

    def mean_pool1d(self, node: ops.MeanPool1D, source: Tensor, target: Tensor) -> None:
        self.channels_first[target.name] = emit_mean_pool(
            self.onnx, node, source, self.image(source.name), f"{target.name}/nct"
        )

    def float_pool1d(self, node: ops.FloatPool1D, source: Tensor, target: Tensor) -> None:
        if node.unsigned:
            raise ModelFileError(f"node {node.name!r} (float_pool1d): it rounds as for uint8; edgebat writes int8")
        inputs = [self.image(source.name), *self.scale_and_zero(source), *self.scale_and_zero(target)]
        self.channels_first[target.name] = self.onnx.emit(
            "QLinearAveragePool", inputs, f"{target.name}/nct", MICROSOFT, kernel_shape=[node.size], strides=[node.stride],
            pads=list(node.padding), count_include_pad=int(node.count_padding),
        )  # fmt: skip

    def softmax(self, node: ops.Softmax, source: Tensor, target: Tensor) -> None:
        x = self.sequence(source.name)
        if node.form == "tflm":
            emit_softmax(self.onnx, node, x, target.name)
            return
        if node.form != "onnxruntime" or not np.array_equal(
            node.table, onnxruntime_table(source.scale, source.shape[-1])
        ):
            raise ModelFileError(
                f"node {node.name!r} (softmax): it is that of {node.form}, which ONNX has no operators for"
            )
        inputs = [x, *self.scale_and_zero(source), *self.scale_and_zero(target)]
        self.onnx.emit("QLinearSoftmax", inputs, target.name, MICROSOFT, axis=-1, opset=OPSETS[""])

    def flatten(self, _node: ops.Flatten, source: Tensor, target: Tensor) -> None:
        self.onnx.emit("Flatten", [self.sequence(source.name)], target.name, axis=1)

    def last_step(self, _node: ops.LastStep, source: Tensor, target: Tensor) -> None:
        last = self.onnx.constant("int64(-1)", -1, "int64")
        self.onnx.emit("Gather", [self.sequence(source.name), last], target.name, axis=1)

    def reverse(self, node: ops.Reverse, source: Tensor, target: Tensor) -> None:
        last = self.onnx.constant("int64[-1]", [-1], "int64")
        before_first = self.onnx.constant(f"{node.name}/before_first", [-source.shape[0] - 1], "int64")
        time = self.onnx.constant("int64[1]", [1], "int64")
        self.onnx.emit("Slice", [self.sequence(source.name), last, before_first, time, last], target.name)

    def concat(self, node: ops.Concat, _source: Tensor, target: Tensor) -> None:
        self.onnx.emit("Concat", [self.sequence(name) for name in node.inputs], target.name, axis=-1)

    def lut(self, node: ops.Lut, source: Tensor, target: Tensor) -> None:
        table = self.onnx.constant(f"{node.name}/table", node.table, "int8")
        wide = self.onnx.emit("Cast", [self.sequence(source.name)], f"{target.name}/wide", to=ELEMENT_TYPE["int32"])
        middle = self.onnx.constant("int32(128)", 128, "int32")
        index = self.onnx.emit("Add", [wide, middle], f"{target.name}/index")
        self.onnx.emit("Gather", [table, index], target.name)

    def lstm(self, node: ops.Lstm, source: Tensor, target: Tensor) -> None:
        self.sequence(source.name)
        emit_lstm(self.onnx, node, source, target, self.stateful)

    clipped_lstm = lstm

    def gru(self, node: ops.Gru, source: Tensor, target: Tensor) -> None:
        self.sequence(source.name)
        emit_gru(self.onnx, node, source, target, self.stateful)

    def head(self, node: ops.Dense, source: Tensor, target: Tensor) -> None:
        if node.requant.kind != "shift":
            raise ModelFileError(f"node {node.name!r} (dense, int16): only a shift requantization is exact in ONNX")
        weight = self.onnx.constant(f"{node.name}/weight", node.weight.T, "int8")
        zero_point = self.zero_point(source)
        acc = self.onnx.emit("MatMulInteger", [self.sequence(source.name), weight, zero_point], f"{target.name}/sums")
        bias = self.onnx.constant(f"{node.name}/bias", node.bias, "int32")
        acc = self.onnx.emit("Add", [acc, bias], f"{target.name}/biased")
        acc = self.onnx.emit("Cast", [acc], f"{target.name}/wide", to=ELEMENT_TYPE["int64"])
        emit_shift(self.onnx, acc, node.requant, reach(node, source), "int16", target.name)

    def add(self, node: ops.Add, _source: Tensor, target: Tensor) -> None:
        if node.requant.kind != "shift":
            raise ModelFileError(f"node {node.name!r} (add): only a shift requantization is exact in ONNX")
        terms, largest = [], 0
        for index, name in enumerate(node.inputs):
            tensor = self.graph.tensors[name]
            label = f"{target.name}/term{index}"
            wide = self.onnx.emit("Cast", [self.sequence(name)], f"{label}_wide", to=ELEMENT_TYPE["int64"])
            zero_point = self.onnx.constant(f"{label}_zero_point", tensor.zero_point, "int64")
            centred = self.onnx.emit("Sub", [wide, zero_point], f"{label}_centred")
            factor = int(node.multiplier[index])
            multiplier = self.onnx.constant(f"{label}_multiplier", factor, "int64")
            terms.append(self.onnx.emit("Mul", [centred, multiplier], label))
            largest += abs(factor) * 255
        acc = self.onnx.emit("Add", terms, f"{target.name}/sum")
        emit_shift(self.onnx, acc, node.requant, largest, "int8", target.name)

    def mul(self, node: ops.Mul, source: Tensor, target: Tensor) -> None:
        if node.requant.kind != "shift":
            raise ModelFileError(f"node {node.name!r} (mul): only a shift requantization is exact in ONNX")
        factors = []
        for index, name in enumerate(node.inputs):
            tensor, label = self.graph.tensors[name], f"{target.name}/factor{index}"
            x = self.sequence(name)
            if len(tensor.shape) < len(source.shape):
                time = self.onnx.constant("int64[1]", [1], "int64")
                x = self.onnx.emit("Unsqueeze", [x, time], f"{label}_row")
            wide = self.onnx.emit("Cast", [x], f"{label}_wide", to=ELEMENT_TYPE["int64"])
            zero_point = self.onnx.constant(f"{label}_zero_point", tensor.zero_point, "int64")
            factors.append(self.onnx.emit("Sub", [wide, zero_point], f"{label}_centred"))
        acc = self.onnx.emit("Mul", factors, f"{target.name}/product")
        emit_shift(self.onnx, acc, node.requant, MOST_PRODUCT, "int8", target.name)

    def take(self, node: ops.Take, source: Tensor, target: Tensor) -> None:
        whole = int(np.prod(source.shape))
        flat = self.onnx.constant(f"{node.name}/flat_shape", [-1, whole], "int64")
        index = self.onnx.constant(f"{node.name}/index", node.index, "int32")
        shape = self.onnx.constant(f"{node.name}/shape", [-1, *target.shape], "int64")
        values = self.onnx.emit("Reshape", [self.sequence(source.name), flat], f"{target.name}/flat")
        moved = self.onnx.emit("Gather", [values, index], f"{target.name}/moved", axis=1)
        self.onnx.emit("Reshape", [moved, shape], target.name)


_OPERATORS: dict[str, Callable[[_Emitter, Any, Tensor, Tensor], None]] = {
    name: getattr(_Emitter, name) for name in ops.OPERATORS if hasattr(_Emitter, name)
}
"""The method of each operator's name."""
