"""Write an integer graph as a TensorFlow Lite file.

The flatbuffer is written directly: converters derive scales again, and the integers would no longer be ours. While
writing, every requantization is compared with what engines derive from the file's scales, for all accumulators.

* Sequences are ``[1, 1, T, C]`` in convolutional models (no reshape chains) and ``[1, T, C]`` elsewhere.
* Average pooling becomes a depthwise convolution of ones, whose rounding is that of all other operators.
* The int16 head is QUANTIZE int8 -> int16 (exactly ``(x - zp) * 128``) and FULLY_CONNECTED 16x8 with an
  int64 bias that lifts halves slightly, because engines do not agree how to round them (`rules.head_offset`).
* ``graph.meta`` and the shift form of every requantization are stored as JSON in the metadata buffer "edgebat".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float32, Int8, Int32
from edgebat.errors import ModelFileError
from edgebat.files import atomic_write
from edgebat.formats.rounding import Linear, agrees, average_window, is_exact, shift_hint
from edgebat.formats.roundings.softmax import micro_table
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.build import FileBuilder
from edgebat.formats.tflite.gru import write_gru
from edgebat.formats.tflite.schema import ACTIVATION, PADDING, TENSOR_TYPE
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node, Requant, Tensor, reach

_IN_FILE = ("name", "inputs", "output", "input_weight", "recurrent_weight", "bias", "recurrent_bias")
"""Of a GRU, what its operators hold; the rest is noted."""
GATES = ("input", "forget", "cell", "output")

Planar = tuple[str, int, str]  # name, version and options of an operator on images
CONV_2D = ("CONV_2D", 3, "Conv2DOptions")
DEPTHWISE_CONV_2D = ("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions")
AVERAGE_POOL_2D = ("AVERAGE_POOL_2D", 2, "Pool2DOptions")
MAX_POOL_2D = ("MAX_POOL_2D", 2, "Pool2DOptions")


def write_tflite(graph: IntGraph, path: str | Path) -> list[str]:
    """Write ``graph`` to ``path``. The same graph gives the same bytes.

    Returns the names of the nodes whose requantization no scale of the file expresses exactly (empty as a rule: those
    are the channels that the scale search counted as fallbacks); engines differ there by one step now and then.
    Raises GraphError when the graph breaks its rules, ModelFileError when TFLite has no form of an operator.
    """
    content, inexact = tflite_bytes(graph)
    atomic_write(path, content)
    return inexact


def tflite_bytes(graph: IntGraph) -> tuple[bytes, list[str]]:
    """The content of the file that `write_tflite` writes, and what it returns."""
    writer = _Writer(check_graph(graph))
    for node in graph.nodes:
        writer.node(node)
    note = {"format": 1, "name": graph.name, "meta": graph.meta, "nodes": writer.hints}
    text = json.dumps(note, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return writer.content(writer.index[graph.input], writer.index[graph.output], text), writer.inexact


class _Writer(FileBuilder):
    def __init__(self, graph: IntGraph) -> None:
        super().__init__()
        self.graph = graph
        self.inexact: list[str] = []
        recurrent = any(isinstance(node, ops.Recurrent) for node in graph.nodes)
        convolutional = any(
            isinstance(node, ops.Convolution | ops.MaxPool1D | ops.AveragePool1D | ops.MeanPool1D)
            for node in graph.nodes
        )
        self.lead = (1, 1) if convolutional and not recurrent else (1,)
        self.hints: dict[str, dict[str, Any]] = {}
        self.index: dict[str, int] = {}
        for tensor in [graph.input_tensor, *(graph.tensors[node.output] for node in graph.nodes)]:
            self.index[tensor.name] = self.activation(tensor)

    # -- parts

    def activation(self, tensor: Tensor, shape: tuple[int, ...] | None = None, suffix: str = "") -> int:
        if shape is None:
            shape = (*(self.lead if len(tensor.shape) == 2 else (1,)), *tensor.shape)
        return self.tensor(tensor.name + suffix, shape, tensor.dtype, scale=tensor.scale, zero_point=tensor.zero_point)

    def hint(self, node: Node, **values: Any) -> None:
        """Remember what the reader needs to find ``node`` again; by output tensor, as operators have no names."""
        self.hints.setdefault(node.output, {}).update(values)

    def node(self, node: Node) -> None:
        source, target = self.graph.tensors[node.inputs[0]], self.graph.tensors[node.output]
        if node.name != node.output:
            self.hint(node, name=node.name)
        if node.op not in _OPERATORS:
            raise ModelFileError(f"node {node.name!r}: TFLite has no form of operator {node.op!r} that is exact")
        _OPERATORS[node.op](self, node, source, target)

    def requant(self, node: Linear, source: Tensor, target: Tensor, weight_scale: Float32) -> int:
        """The fused activation of an int8 requantization; notes whether F on the file's scales equals the graph's."""
        if not is_exact(node, source, target, weight_scale, "TFLite"):
            self.inexact.append(node.name)
        if node.requant.kind == "shift":
            self.hint(node, requant=shift_hint(node.requant))
        return self.activation_of(node, node.requant, target)

    def activation_of(self, node: Node, requant: Requant, target: Tensor) -> int:
        for name in ("none", "relu", "relu6", "relu_n1_to_1"):
            if rules.activation_range(name, target) == (requant.minimum, requant.maximum):
                return ACTIVATION[name]
        raise ModelFileError(
            f"node {node.name!r} ({node.op}) is clipped to {requant.minimum}..{requant.maximum}; TFLite knows no "
            "activation, ReLU, ReLU6 and -1 to 1 only"
        )

    def parameters(
        self, node: ops.Weighted, weight: Int8, bias: Array, source_scale: float, dimension: int = 0
    ) -> list[int]:
        """Constants for ``weight`` and ``bias`` as the file lays them out; the channels are on axis ``dimension``."""
        scale, name = node.weight_scale, node.name
        bias_scale = np.float32(source_scale) * scale
        return [
            self.tensor(f"{name}/weight", weight.shape, "int8", data=weight, scale=scale, dimension=dimension),
            self.tensor(f"{name}/bias", bias.shape, str(bias.dtype), data=bias, scale=bias_scale),
        ]

    def reshape(self, source: int, target: int, shape: Int32, name: str) -> None:
        constant = self.tensor(f"{name}/shape", (len(shape),), "int32", data=shape)
        self.operator("RESHAPE", 1, [source, constant], target, "ReshapeOptions", {"new_shape": shape})

    def planar(
        self, operator: Planar, source: Tensor, target: Tensor, constants: Sequence[int], values: dict[str, Any]
    ) -> None:
        """An operator on images [1, 1, T, C]; tensors of recurrent models are [1, T, C] and reshaped around it."""
        inner, outer = self.index[source.name], self.index[target.name]
        if len(self.lead) == 2:
            self.operator(*operator[:2], [inner, *constants], outer, operator[2], values)
            return
        before = self.activation(source, (1, 1, *source.shape), f"/before {target.name}")
        # The reader names a value after the first tensor that holds it.
        image = self.activation(target, (1, 1, *target.shape))
        self.tensors[outer]["name"] = f"{target.name}/sequence"
        self.reshape(inner, before, np.array([-1, 1, *source.shape], np.int32), f"{target.name}/before")
        self.operator(*operator[:2], [before, *constants], image, operator[2], values)
        self.reshape(image, outer, np.array([-1, *target.shape], np.int32), f"{target.name}/after")

    # -- operators

    def dense(self, node: ops.Dense, source: Tensor, target: Tensor) -> None:
        if target.dtype == "int16":
            self.head(node, source, target)
            return
        activation = self.requant(node, source, target, node.weight_scale)
        inputs = [self.index[source.name], *self.parameters(node, node.weight, node.bias, source.scale)]
        options = {"activation": activation, "keep_num_dims": len(source.shape) == 2}
        self.operator("FULLY_CONNECTED", 12, inputs, self.index[target.name], "FullyConnectedOptions", options)

    def conv1d(self, node: ops.Convolution, source: Tensor, target: Tensor) -> None:
        self.window(node, source, target, self.requant(node, source, target, node.weight_scale))

    depthwise_conv1d = conv1d

    def average_pool1d(self, node: ops.AveragePool1D, source: Tensor, target: Tensor) -> None:
        window = average_window(node, source, target)
        self.hint(node, op=node.op)
        self.window(window, source, target, self.requant(node, source, target, window.weight_scale[:1]))

    def window(self, node: ops.Convolution, source: Tensor, target: Tensor, activation: int) -> None:
        depthwise = isinstance(node, ops.DepthwiseConv1D)
        kernel = node.weight.shape[0 if depthwise else 1]
        options: dict[str, Any] = {
            "stride_w": node.stride, "stride_h": 1, "dilation_w": node.dilation, "dilation_h": 1,
            "activation": activation, "padding": PADDING["valid"],
        }  # fmt: skip
        if node.padding not in ((0, 0), rules.same_padding(source.shape[0], kernel, node.stride, node.dilation)):
            source = self.pad(node, source)
        elif node.padding != (0, 0):
            options["padding"] = PADDING["same"]
        if depthwise:
            constants = self.parameters(node, node.weight[None, None], node.bias, source.scale, 3)
            self.planar(DEPTHWISE_CONV_2D, source, target, constants, options | {"depth_multiplier": 1})
        else:
            constants = self.parameters(node, node.weight[:, None], node.bias, source.scale)
            self.planar(CONV_2D, source, target, constants, options)

    def pad(self, node: ops.Convolution, source: Tensor) -> Tensor:
        """Explicit (causal) padding; PAD fills int8 tensors with their zero point."""
        left, right = node.padding
        padded = Tensor(
            f"{source.name}/padded for {node.name}", (source.shape[0] + left + right, source.shape[1]), source.dtype,
            source.scale, source.zero_point,
        )  # fmt: skip
        self.index[padded.name] = self.activation(padded)
        amounts = np.array([*((0, 0) for _ in self.lead), (left, right), (0, 0)], np.int32)
        constant = self.tensor(f"{node.name}/padding", amounts.shape, "int32", data=amounts)
        self.operator("PAD", 2, [self.index[source.name], constant], self.index[padded.name], "PadOptions")
        return padded

    def max_pool1d(self, node: ops.MaxPool1D, source: Tensor, target: Tensor) -> None:
        options = {
            "padding": PADDING["valid"], "stride_w": node.stride, "stride_h": 1, "filter_w": node.size,
            "filter_h": 1, "activation": ACTIVATION["none"],
        }  # fmt: skip
        self.planar(MAX_POOL_2D, source, target, [], options)

    def pad1d(self, node: ops.Pad1D, source: Tensor, target: Tensor) -> None:
        if min(node.padding) < 0:
            self.crop(node, source, target)
            return
        amounts = np.array([*((0, 0) for _ in self.lead), node.padding, (0, 0)], np.int32)
        sides = self.tensor(f"{node.name}/padding", amounts.shape, "int32", data=amounts)
        value = self.tensor(
            f"{node.name}/value", (1,), "int8", data=np.array([node.value], np.int8), scale=source.scale,
            zero_point=source.zero_point,
        )  # fmt: skip
        self.operator("PADV2", 2, [self.index[source.name], sides, value], self.index[target.name])

    def crop(self, node: ops.Pad1D, source: Tensor, target: Tensor) -> None:
        """STRIDED_SLICE of the rows that stay."""
        if max(node.padding) > 0:
            raise ModelFileError(f"node {node.name!r} (pad1d): TFLite pads or cuts, not both at once")
        rank, time = len(self.lead) + 2, len(self.lead)
        begin, end = np.zeros(rank, np.int32), np.zeros(rank, np.int32)
        begin[time], end[time] = -node.padding[0], source.shape[0] + node.padding[1]
        constants = [
            self.tensor(f"{node.name}/{label}", (rank,), "int32", data=data)
            for label, data in (("begin", begin), ("end", end), ("strides", np.ones(rank, np.int32)))
        ]
        masks = dict.fromkeys(("begin_mask", "end_mask"), ((1 << rank) - 1) & ~(1 << time))
        self.operator(
            "STRIDED_SLICE",
            2,
            [self.index[source.name], *constants],
            self.index[target.name],
            "StridedSliceOptions",
            masks,
        )

    def mean_pool1d(self, node: ops.MeanPool1D, source: Tensor, target: Tensor) -> None:
        if node.padding != rules.same_padding(source.shape[0], node.size, node.stride, 1):
            raise ModelFileError(
                f"node {node.name!r} (mean_pool1d): TFLite pads as SAME does, not by {node.padding}; export to C or ONNX"
            )
        self.hint(node, op=node.op)
        options = {
            "padding": PADDING["same"], "stride_w": node.stride, "stride_h": 1, "filter_w": node.size,
            "filter_h": 1, "activation": ACTIVATION["none"],
        }  # fmt: skip
        self.planar(AVERAGE_POOL_2D, source, target, [], options)

    def float_pool1d(self, node: ops.FloatPool1D, _source: Tensor, _target: Tensor) -> None:
        raise ModelFileError(
            f"node {node.name!r} (float_pool1d): TFLite averages no int8 values in float32; it is ONNX Runtime's"
        )

    def softmax(self, node: ops.Softmax, source: Tensor, target: Tensor) -> None:
        if node.form != "tflm" or not np.array_equal(node.table, micro_table(source.scale)):
            raise ModelFileError(
                f"node {node.name!r} (softmax): it is that of {node.form}; a TFLite file stands for TFLite Micro's"
            )
        self.hint(node, form=node.form)
        self.operator("SOFTMAX", 2, [self.index[source.name]], self.index[target.name], "SoftmaxOptions", {"beta": 1.0})

    def flatten(self, node: ops.Flatten, source: Tensor, target: Tensor) -> None:
        shape = np.array([-1, *target.shape], np.int32)
        self.reshape(self.index[source.name], self.index[target.name], shape, node.name)

    def concat(self, node: ops.Concat, _source: Tensor, target: Tensor) -> None:
        inputs, output = [self.index[name] for name in node.inputs], self.index[target.name]
        options = {"axis": len(self.tensors[output]["shape"]) - 1, "activation": ACTIVATION["none"]}
        self.operator("CONCATENATION", 2, inputs, output, "ConcatenationOptions", options)

    def head(self, node: ops.Dense, source: Tensor, target: Tensor) -> None:
        if target.zero_point != 0 or len(source.shape) != 1:
            raise ModelFileError(f"node {node.name!r} (dense, int16): TFLite needs zero point 0 and an input [N, I]")
        scale = source.scale / 2**rules.HEAD_SHIFT
        offset = rules.head_offset(node.requant.multiplier)
        real = scale * node.weight_scale.astype(np.float64) / target.scale
        engines = [rules.lifted_engine(engine, rules.HEAD_SHIFT, offset) for engine in rules.head_engines(real)]
        if node.requant.kind != "shift" or not all(agrees(node.requant, e, reach(node, source)).all() for e in engines):
            self.inexact.append(node.name)
        self.hint(node, requant=shift_hint(node.requant))
        wide = self.tensor(f"{node.name}/int16", (1, *source.shape), "int16", scale=scale)
        self.operator("QUANTIZE", 2, [self.index[source.name]], wide, "QuantizeOptions")
        bias = (node.bias.astype(np.int64) << rules.HEAD_SHIFT) + offset
        inputs = [wide, *self.parameters(node, node.weight, bias, scale)]
        options = {"activation": self.activation_of(node, node.requant, target)}
        self.operator("FULLY_CONNECTED", 11, inputs, self.index[target.name], "FullyConnectedOptions", options)

    def add(self, node: ops.Add, _source: Tensor, target: Tensor) -> None:
        scale_a, scale_b = (self.graph.tensors[name].scale for name in node.inputs)
        multipliers, shift = rules.add_multipliers(scale_a, scale_b, target.scale)
        r = node.requant
        if (r.kind, r.multiplier.tolist(), r.shift.tolist(), r.clamp.tolist()) != ("shift", [1], [shift], [0]) or (
            node.multiplier.tolist() != multipliers
        ):
            raise ModelFileError(
                f"node {node.name!r} (add): TFLite derives the multipliers {multipliers} and the shift {shift} from "
                f"its scales; the graph has {node.multiplier.tolist()} and {r.shift.tolist()}"
            )
        options = {"activation": self.activation_of(node, r, target)}
        self.operator("ADD", 2, [self.index[n] for n in node.inputs], self.index[target.name], "AddOptions", options)

    def mul(self, node: ops.Mul, source: Tensor, target: Tensor) -> None:
        if node.requant.kind != "shift":
            raise ModelFileError(f"node {node.name!r} (mul): only a shift requantization is exact in TFLite")
        factor = np.array([self.graph.tensors[node.inputs[1]].scale], np.float32)
        options = {"activation": self.requant(node, source, target, factor)}
        second = self.graph.tensors[node.inputs[1]]
        inputs = [self.index[name] for name in node.inputs]
        if len(second.shape) < len(source.shape):  # XNNPACK takes factors of equal rank
            shape = (*self.lead, 1, *second.shape)
            inputs[1] = self.activation(second, shape, f"/gate of {node.name}")
            self.reshape(self.index[second.name], inputs[1], np.array([-1, *shape[1:]], np.int32), f"{node.name}/gate")
        self.operator("MUL", 2, inputs, self.index[target.name], "MulOptions", options)

    def take(self, node: ops.Take, source: Tensor, target: Tensor) -> None:
        """GATHER from all values as one vector, and their shape."""
        flat = Tensor(f"{node.name}/flat", (int(np.prod(source.shape)),), "int8", source.scale, source.zero_point)
        moved = Tensor(f"{node.name}/moved", (len(node.index),), "int8", source.scale, source.zero_point)
        before, after = self.activation(flat), self.activation(moved)
        self.reshape(self.index[source.name], before, np.array([-1, *flat.shape], np.int32), f"{node.name}/flatten")
        index = self.tensor(f"{node.name}/index", node.index.shape, "int32", data=node.index)
        self.operator("GATHER", 2, [before, index], after, "GatherOptions", {"axis": 1})
        shape = np.array([-1, *self.tensors[self.index[target.name]]["shape"][1:]], np.int32)
        self.reshape(after, self.index[target.name], shape, f"{node.name}/shape it")
        self.hint(node, op=node.op, source=source.name)

    def lut(self, node: ops.Lut, source: Tensor, target: Tensor) -> None:
        if node.table.ndim == 2:
            raise ModelFileError(f"node {node.name!r} (lut): TFLite has no exact form of a table for each channel")
        self.hint(node, function=node.function)
        for kind, function in rules.LUT_FUNCTIONS.items():
            if (target.scale, target.zero_point) == function.output and np.array_equal(
                node.table, rules.float_table(function.compute, source, target)
            ):
                self.operator(kind, 2, [self.index[source.name]], self.index[target.name])
                return
        # TFLite has no table operator: table[x + 128] is a cast, an addition and a gather, all exact.
        shape = self.tensors[self.index[source.name]]["shape"]
        wide, position = (self.tensor(f"{node.name}/{label}", shape, "int32") for label in ("int32", "index"))
        offset = self.tensor(f"{node.name}/offset", (1,), "int32", data=np.array([128], np.int32))
        table = self.tensor(
            f"{node.name}/table", (256,), "int8", data=node.table, scale=target.scale, zero_point=target.zero_point
        )
        types = {"in_type": TENSOR_TYPE["int8"], "out_type": TENSOR_TYPE["int32"]}
        self.operator("CAST", 1, [self.index[source.name]], wide, "CastOptions", types)
        self.operator("ADD", 1, [wide, offset], position, "AddOptions", {"activation": ACTIVATION["none"]})
        self.operator("GATHER", 2, [table, position], self.index[target.name], "GatherOptions", {"axis": 0})

    def last_step(self, node: ops.LastStep, source: Tensor, _target: Tensor) -> None:
        rank, time = len(self.lead) + 2, len(self.lead)
        begin, end = np.zeros(rank, np.int32), np.zeros(rank, np.int32)
        begin[time], end[time] = source.shape[0] - 1, source.shape[0]
        everything = ((1 << rank) - 1) & ~(1 << time)
        shrink = (1 << time) | (2 if rank == 4 else 0)
        constants = [
            self.tensor(f"{node.name}/{label}", (rank,), "int32", data=data)
            for label, data in (("begin", begin), ("end", end), ("strides", np.ones(rank, np.int32)))
        ]
        self.operator(
            "STRIDED_SLICE", 2, [self.index[source.name], *constants], self.index[node.output], "StridedSliceOptions",
            {"begin_mask": everything, "end_mask": everything, "shrink_axis_mask": shrink},
        )  # fmt: skip

    def reverse(self, node: ops.Reverse, source: Tensor, target: Tensor) -> None:
        time = self.tensor(f"{node.name}/axis", (1,), "int32", data=np.array([len(self.lead)], np.int32))
        self.operator("REVERSE_V2", 3, [self.index[source.name], time], self.index[target.name])

    def lstm(self, node: ops.Lstm, source: Tensor, target: Tensor) -> None:
        hidden = target.shape[1]
        derived = lstm_multipliers(source.scale, target.scale, node.input_scale, node.recurrent_scale)
        for label in ("input", "recurrent"):
            fields = (f"{label}_multiplier", f"{label}_exponent")
            if not all(np.array_equal(derived[field], getattr(node, field)) for field in fields):
                pairs = list(zip(*(derived[field].tolist() for field in fields), strict=True))
                raise ModelFileError(
                    f"node {node.name!r} (lstm): its {label} multipliers are not those of its scales, {pairs}"
                )
        if any(getattr(node, field) != derived[field] for field in ("hidden_multiplier", "hidden_exponent")):
            raise ModelFileError(f"node {node.name!r} (lstm): its hidden multiplier is not that of its output scale")
        weights = [
            self.tensor(f"{node.name}/{gate} {label}", weight.shape, "int8", data=weight, scale=scale)
            for label, array, scales in (
                ("weight", node.input_weight, node.input_scale),
                ("recurrent weight", node.recurrent_weight, node.recurrent_scale),
            )
            for gate, weight, scale in zip(GATES, array, scales, strict=True)
        ]
        biases = [
            self.tensor(
                f"{node.name}/{gate} bias", bias.shape, "int32", data=bias, scale=np.float32(source.scale) * scale
            )
            for gate, bias, scale in zip(GATES, node.bias, node.input_scale, strict=True)
        ]
        state = self.tensor(
            f"{node.name}/hidden state", (1, hidden), "int8", scale=target.scale, zero_point=target.zero_point,
            variable=True,
        )  # fmt: skip
        cell = self.tensor(
            f"{node.name}/cell state", (1, hidden), "int16", scale=2.0**node.cell_exponent, variable=True
        )
        # Only the last intermediate matters: the hidden state before a projection, which there is none of.
        intermediates = [self.tensor(f"{node.name}/{gate} gate", (0,), "int16", scale=2.0**-12) for gate in GATES]
        intermediates.append(
            self.tensor(f"{node.name}/hidden", (0,), "int8", scale=target.scale, zero_point=target.zero_point)
        )
        none = [-1]
        inputs = [
            self.index[source.name], *weights, *none * 3, *biases, *none * 2, state, cell, *none * 4
        ]  # fmt: skip
        clip = node.cell_clip * 2.0**node.cell_exponent if isinstance(node, ops.ClippedLstm) else 0.0
        options = {"activation": ACTIVATION["tanh"], "cell_clip": clip, "projection_clip": 0.0, "time_major": False}
        self.operator(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", 3, inputs, self.index[target.name], "SequenceLSTMOptions", options,
            intermediates,
        )  # fmt: skip

    clipped_lstm = lstm

    def gru(self, node: ops.Gru, source: Tensor, target: Tensor) -> None:
        first = len(self.operators)
        if not write_gru(self, node, source, (self.index[source.name], self.index[target.name])):
            self.inexact.append(node.name)
        listed = {f.name: getattr(node, f.name) for f in fields(node) if f.name not in _IN_FILE}
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in listed.items()}
        self.hint(node, gru=plain, first=first, count=len(self.operators) - first)


_OPERATORS: dict[str, Callable[[_Writer, Any, Tensor, Tensor], None]] = {
    name: getattr(_Writer, name) for name in ops.OPERATORS if hasattr(_Writer, name)
}
"""The method of each operator's name."""
