"""What all operators of a TFLite file need on their way into an integer graph: tensors, constants, requantization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.arrays import Array, Int8, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.ancestry import read_nodes
from edgebat.formats.float32 import within_float32
from edgebat.formats.rounding import proven
from edgebat.formats.roundings import Rounding
from edgebat.formats.tflite.model import FileModel, FileOperator, FileTensor
from edgebat.formats.tflite.rules import activation_range
from edgebat.formats.tflite.schema import ACTIVATION
from edgebat.formats.tflite.shapes import Shapes
from edgebat.graph.model import IntGraph, Node, Pad1D, Requant, Tensor

_ACTIVATION_NAME = {number: name for name, number in ACTIVATION.items()}
Table = Callable[[Tensor, Tensor], Int8]
SPLITTING = ("SPLIT", "SPLIT_V", "UNPACK")
"""Operators of several outputs."""
_NORMALIZES = (
    "It normalizes each window by its own numbers: use batch normalization, which folds into the layer before it"
)
REMEDIES = {
    "SQUARED_DIFFERENCE": _NORMALIZES,
    "RSQRT": _NORMALIZES,
    "L2_NORMALIZATION": _NORMALIZES,
    "BATCH_MATMUL": "It multiplies matrices of two layers, as attention does: use a gate for each channel, or an LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "Write it as two LSTMs, one of them with go_backwards=True",
    "TRANSPOSE_CONV": "Outputs of a BMS model are shorter than its inputs: use a convolution",
    "DIV": "The integer graph multiplies layers only: use another activation, e.g. tanh",
    "SELECT_V2": "Use an activation of one operator, e.g. relu, leaky_relu, elu, swish, gelu",
    "GREATER": "Use an activation of one operator, e.g. relu, leaky_relu, elu, swish, gelu",
    "LESS": "Use an activation of one operator, e.g. relu, leaky_relu, elu, swish, gelu",
    "WHILE": "Convert an LSTM as the fused operator: Keras LSTM(unroll=False) with a fixed batch of 1",
}
"""What to do about operators that edgebat does not run."""


class ImporterBase:
    """Builds the graph of ``model``; ``hints`` by output tensor name are what the writer noted (see `write_tflite`)."""

    def __init__(self, model: FileModel, hints: dict[str, Any], what: str, rounding: Rounding) -> None:
        self.model, self.hints, self.what, self.rounding = model, hints, what, rounding
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        # What each file tensor is in the graph; several may be one (a sequence as [1, T, C] and as [1, 1, T, C]).
        self.values: dict[int, Tensor] = {}
        self.padded: dict[int, tuple[Tensor, tuple[int, int]]] = {}  # outputs of PAD, waiting for a convolution
        self.widened: dict[int, tuple[Tensor, int]] = {}  # outputs of QUANTIZE to int16: source and power of two
        self.spaced: dict[int, Any] = {}  # outputs of SPACE_TO_BATCH_ND, waiting for a convolution
        self.waiting: dict[int, FileOperator] = {}  # convolutions of those, waiting for BATCH_TO_SPACE_ND
        self.indices: dict[int, tuple[Tensor, int]] = {}  # int8 values as table indices: source and what was added
        self.input: Tensor | None = None
        self.real: set[int] = set()  # the float input of a model that quantizes it itself
        self.dequantized: dict[int, Tensor] = {}
        self.shapes = Shapes(model)
        self.rows: set[int] = set()  # sequences with batch and time on one axis, [T, C], as dense layers want them
        self.loose: dict[int, tuple[Tensor, IntArray]] = {}  # moved values of a shape that no sequence has
        self.computed: dict[int, tuple[Tensor, Table]] = {}  # float values between DEQUANTIZE and QUANTIZE

    def graph(self, name: str, meta: dict[str, Any]) -> IntGraph:
        """Convert all operators. Raises ModelFileError for the first one that is not understood."""
        model = self.model
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ModelFileError(
                f"{self.what} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; edgebat runs one of each"
            )
        first = model.tensors[model.inputs[0]]
        if first.dtype == "float32":
            self.real.add(first.index)
        else:
            self.input = self.border(first, self.what)
        for operator in model.operators:
            if self.shapes.takes(operator):
                continue
            method = getattr(self, f"on_{operator.kind.lower()}", None)
            if method is None:
                known = sorted(
                    name[3:].upper() for name in dir(self) if name.startswith("on_") and "edgebat" not in name
                )
                raise ModelFileError(
                    f"{operator.where}: edgebat does not run this operator; it runs {', '.join(known)}. "
                    f"{REMEDIES.get(operator.kind, 'Replace the layer by these and convert the model again')}"
                )
            if len(operator.outputs) != 1 and operator.kind not in SPLITTING:
                raise ModelFileError(f"{operator.where} has {len(operator.outputs)} outputs; one is expected")
            try:
                with within_float32():
                    method(operator)
            except ModelFileError as error:
                text = str(error)
                raise ModelFileError(text if operator.where in text else f"{operator.where}: {text}") from None
        target = self.dequantized.get(model.outputs[0]) or self.value(model.outputs[0], self.what)
        if self.input is None:
            raise ModelFileError(
                f"{self.what}: its float input is never quantized; convert it with full integer quantization"
            )
        nodes = read_nodes(self.nodes, target.name)
        kept = {self.input.name, *(node.output for node in nodes)}
        tensors = {label: tensor for label, tensor in self.tensors.items() if label in kept}
        return IntGraph(name, tensors, nodes, self.input.name, target.name, meta)

    # -- tensors

    def border(self, tensor: FileTensor, where: str) -> Tensor:
        """An activation at the border, which may be uint8: the graph's integers are those less 128."""
        if tensor.dtype == "uint8" and len(tensor.scale) == 1:
            tensor = replace(tensor, dtype="int8", zero_point=tensor.zero_point - 128)
        return self.declare(tensor, where)

    def declare(self, tensor: FileTensor, where: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """The graph tensor for an activation of the file, entered under its name; shape: where the file has another."""
        if tensor.dtype not in ("int8", "int16") or len(tensor.scale) != 1 or tensor.data is not None:
            raise ModelFileError(
                f"{where}: tensor {tensor.name!r} is {tensor.dtype} with {len(tensor.scale)} scales; activations are "
                "int8 (or int16 at the output) with one scale. Convert the model with full integer quantization"
            )
        if not np.iinfo(tensor.dtype).min <= tensor.zero_point[0] <= np.iinfo(tensor.dtype).max:
            raise ModelFileError(f"{where}: tensor {tensor.name!r} has zero point {tensor.zero_point[0]}")
        if tensor.name in self.tensors or tensor.index in self.values:
            raise ModelFileError(f"{where}: tensor {tensor.name!r} is written twice")
        sample = shape or self.sample_shape(tensor, where)
        value = Tensor(tensor.name, sample, tensor.dtype, float(tensor.scale[0]), int(tensor.zero_point[0]))
        self.tensors[value.name] = self.values[tensor.index] = value
        return value

    @staticmethod
    def sample_shape(tensor: FileTensor, where: str) -> tuple[int, ...]:
        """Shape without batch: (F,) of [N, F], (T, C) of [N, T, C], [N, 1, T, C] and [N, T, 1, C]."""
        shape = tensor.shape
        if len(shape) == 1 and shape[0] >= 1:
            return shape  # a vector without the batch of 1
        if len(shape) == 4 and 1 in shape[1:3]:
            shape = (shape[0], shape[1] * shape[2], shape[3])
        if len(shape) not in (2, 3) or shape[0] not in (-1, 1) or min(shape[1:]) < 1:
            raise ModelFileError(
                f"{where}: tensor {tensor.name!r} has shape {list(tensor.shape)}; allowed: [1, F], [1, T, C] and "
                "[1, 1, T, C]. A recurrent layer is one operator with unroll=False and a batch of 1; or quantize "
                "the float model: edgebat quantize FLOAT_FILE --calibration WINDOWS"
            )
        return shape[1:]

    @staticmethod
    def time_axis(tensor: FileTensor) -> int:
        """The axis of the file tensor that is time in the graph: 2 of [N, 1, T, C], 1 of [N, T, 1, C] and [N, T, C], 0 of a
        sequence that has lost its batch."""
        if len(tensor.shape) == 2:
            return 0
        return 2 if len(tensor.shape) == 4 and (tensor.shape[1] == 1 or tensor.shape[2] != 1) else 1

    def value(self, index: int, where: str) -> Tensor:
        if index in self.padded and index not in self.values:
            self.pad_alone(index, where)
        found = self.values.get(index)
        if found is None:
            name = self.model.tensors[index].name if index >= 0 else "(absent)"
            raise ModelFileError(
                f"{where} reads {name!r}, which no earlier operator writes as int8. Convert with full integer quantization "
                "(OpsSet.TFLITE_BUILTINS_INT8 alone); or quantize the float model: edgebat quantize FLOAT_FILE "
                "--calibration WINDOWS"
            )
        return found

    def pad_alone(self, index: int, where: str) -> None:
        """The output of a PAD that no convolution takes up, as an operator of its own."""
        source, padding = self.padded[index]
        target = self.declare(self.model.tensors[index], where)
        self.nodes.append(Pad1D(self.label(target), (source.name,), target.name, padding, source.zero_point))

    def source(self, operator: FileOperator, position: int = 0) -> Tensor:
        self.expect_inputs(operator, position + 1)
        return self.value(operator.inputs[position], operator.where)

    def target(self, operator: FileOperator) -> Tensor:
        tensor, shape = self.model.tensors[operator.outputs[0]], None
        if (merged := next((index for index in operator.inputs if index in self.rows), None)) is not None:
            shape = (self.values[merged].shape[0], *tensor.shape[1:])
            self.rows.add(tensor.index)
        return self.declare(tensor, operator.where, shape)

    def file_shape(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor of the file for a batch of 1."""
        if index in self.rows:
            return self.values[index].shape
        return tuple(1 if size == -1 else size for size in self.model.tensors[index].shape)

    def border_of(self, operator: FileOperator) -> Tensor:
        """The operator's output as a tensor that is not entered yet."""
        tensor = self.model.tensors[operator.outputs[0]]
        if tensor.dtype != "int8" or len(tensor.scale) != 1:
            raise ModelFileError(
                f"{operator.where}: its output is {tensor.dtype} with {len(tensor.scale)} scales, not int8"
            )
        return Tensor(tensor.name, (), "int8", float(tensor.scale[0]), int(tensor.zero_point[0]))

    def constant(self, operator: FileOperator, position: int, dtype: str, rank: int | None = None) -> FileTensor:
        self.expect_inputs(operator, position + 1)
        index = operator.inputs[position]
        tensor = self.model.tensors[index] if index >= 0 else None
        if tensor is None or tensor.data is None or tensor.dtype != dtype:
            raise ModelFileError(f"{operator.where}: input {position} is not a constant {dtype} tensor")
        if rank is not None and len(tensor.shape) != rank:
            raise ModelFileError(f"{operator.where}: {tensor.name!r} has shape {list(tensor.shape)}, not {rank} sizes")
        return tensor

    @staticmethod
    def expect_inputs(operator: FileOperator, count: int) -> None:
        if len(operator.inputs) < count:
            raise ModelFileError(f"{operator.where} has {len(operator.inputs)} inputs; at least {count} are expected")

    def hint(self, target: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = self.hints.get(target.name, {})
        return found

    def label(self, target: Tensor) -> str:
        name = self.hint(target).get("name", target.name)
        return name if isinstance(name, str) else target.name

    # -- requantization

    def weight_scale(self, operator: FileOperator, weight: FileTensor, channels: int) -> Array:
        if len(weight.scale) not in (1, channels) or weight.zero_point.any():
            raise ModelFileError(
                f"{operator.where}: weights {weight.name!r} have {len(weight.scale)} scales and zero points "
                f"{weight.zero_point.tolist()[:4]}; allowed: 1 or {channels} scales, zero points 0"
            )
        return np.broadcast_to(weight.scale, channels).astype(np.float32)

    def bias(self, operator: FileOperator, position: int, channels: int, dtype: str = "int32") -> Array:
        if len(operator.inputs) <= position or operator.inputs[position] == -1:
            return np.zeros(channels, dtype)
        bias = self.constant(operator, position, dtype, rank=1)
        if bias.shape != (channels,) or bias.data is None:
            raise ModelFileError(
                f"{operator.where}: bias {bias.name!r} has {bias.shape} values for {channels} channels"
            )
        return bias.data.astype(dtype)

    def bounds(self, operator: FileOperator, target: Tensor) -> tuple[int, int]:
        name = _ACTIVATION_NAME.get(operator.options.get("activation", 0))
        if name not in ("none", "relu", "relu6", "relu_n1_to_1"):
            raise ModelFileError(
                f"{operator.where} has the activation {name or 'unknown'}; allowed: none, relu, relu6, relu_n1_to_1"
            )
        return activation_range(name, target)

    def requant(self, operator: FileOperator, source: Tensor, target: Tensor, scale: Array) -> Requant:
        return self.rounding.linear(source.scale, scale, target, self.bounds(operator, target))

    def finish(self, node: Any, source: Tensor, target: Tensor) -> None:
        """Append ``node``, its requantization as multiply and shift when the hint proves to be that."""
        if node.requant.kind != "double":
            node = proven(node, source, self.hint(target).get("requant"))
        self.nodes.append(node)
