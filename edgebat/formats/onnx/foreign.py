"""A quantized ONNX file that edgebat did not write (ORT quantize_static, QDQ or QOperator) as an integer graph.

The graph's input and output are int8: the file's QuantizeLinear at the beginning and DequantizeLinear at the end belong
to the caller. ``meta["foreign"]`` says in which layout and type the file takes its input.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import MICROSOFT, OnnxGraph, OnnxNode
from edgebat.formats.onnx.values import Dequantized, Linear, Quantized, QuantizedConstant, Value
from edgebat.formats.roundings import Rounding
from edgebat.formats.roundings.base import elu_table
from edgebat.graph import model as ops
from edgebat.graph.model import IntGraph, Node, Tensor

_ON_IMAGES = ("Conv", "QLinearConv", "MaxPool", "GlobalAveragePool", "QLinearGlobalAveragePool")
_ELEMENTWISE = ("QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "Tanh", "Sigmoid", "QLinearSigmoid")


class ImporterBase:
    """Tensors, constants and rounding; `operators.Importer` adds the operators."""

    def __init__(self, graph: OnnxGraph, what: str, rounding: Rounding) -> None:
        self.file, self.what, self.rounding = graph, what, rounding
        self.values: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.input: Quantized | None = None
        self.float_sums = False
        self.where = what

    def graph(self, name: str) -> IntGraph:
        """Convert all operators. Raises ModelFileError for the first one that is not understood."""
        if len(self.file.inputs) != 1 or len(self.file.outputs) != 1:
            raise ModelFileError(
                f"{self.what} has {len(self.file.inputs)} inputs and {len(self.file.outputs)} outputs; edgebat runs one each"
            )
        source = self.file.inputs[0]
        sizes = source.shape[1:] if source.shape else []
        if source.dtype != "float32" or not all(isinstance(s, int) and 0 < s < 1 << 20 for s in sizes):
            raise ModelFileError(
                f"{self.what}: input {source.name!r} is {source.dtype} {source.shape}; allowed: float32 [N, ...], fixed"
            )
        self.values[source.name] = kinds.RawInput(source.name, tuple(int(s) for s in sizes))
        for node in self.file.nodes:
            self.where = f"{self.what}: {node.op} {node.name or (node.outputs or [''])[0]!r}"
            method = getattr(self, f"on_{node.op.lower()}", None) if node.domain in ("", MICROSOFT, "ai.onnx") else None
            if method is None:
                known = sorted(label[3:] for label in dir(self) if label.startswith("on_"))
                raise ModelFileError(f"{self.where}: edgebat does not run this operator; it runs {', '.join(known)}")
            if len([name for name in node.outputs if name]) != 1 or node.outputs[0] in self.values:
                raise ModelFileError(f"{self.where} has {len(node.outputs)} outputs, or writes one that exists")
            try:
                self.values[node.outputs[0]] = method(node)
            except ModelFileError as error:
                text = str(error)
                raise ModelFileError(text if self.where in text else f"{self.where}: {text}") from None
        self.where = f"{self.what}: output {self.file.outputs[0].name!r}"
        last = self.values.get(self.file.outputs[0].name)
        if isinstance(last, Dequantized):
            last = last.base
        if not isinstance(last, Quantized) or self.input is None:
            raise ModelFileError(f"{self.where} is not quantized; quantize the model's last operator as well")
        if last.order is not None or (last.channels_first and len(last.tensor.shape) == 2):
            raise ModelFileError(
                f"{self.where} is a sequence of channels first; edgebat's outputs are [N, C] or [N, T, C]"
            )
        layout = "NCT" if self.input.channels_first else "NTC"
        foreign = {
            "rounding": self.rounding.name, "input": "float32", "output": "float32", "input_layout": layout,
            "float_sums": self.float_sums, "input_unsigned": self.input.unsigned, "unsigned": last.unsigned,
        }  # fmt: skip
        return IntGraph(
            name, self.tensors, tuple(self.nodes), self.input.tensor.name, last.tensor.name, {"foreign": foreign}
        )

    # -- values

    def value(self, node: OnnxNode, position: int) -> Value:
        name = node.inputs[position] if position < len(node.inputs) else ""
        found = self.values.get(name)
        if found is None:
            raise ModelFileError(f"{self.where} reads {name!r}, which is no quantized value")
        return found

    def quantized(self, node: OnnxNode, position: int = 0) -> Quantized:
        """An integer input, or the integers behind a DequantizeLinear."""
        value = self.value(node, position)
        if isinstance(value, Dequantized):
            return value.base
        if not isinstance(value, Quantized):
            raise ModelFileError(f"{self.where}: its input {node.inputs[position]!r} is not quantized")
        return value

    def constant(self, node: OnnxNode, position: int, *dtypes: str) -> Array:
        name = node.inputs[position] if position < len(node.inputs) else ""
        found = self.file.initializers.get(name)
        if found is None or found.dtype.name not in dtypes:
            raise ModelFileError(f"{self.where}: input {position} ({name!r}) is not a constant {' or '.join(dtypes)}")
        return found

    def has(self, node: OnnxNode, position: int) -> bool:
        return position < len(node.inputs) and node.inputs[position] != ""

    def scale_and_zero(self, node: OnnxNode, position: int) -> tuple[float, int, bool]:
        """(scale, zero point of the int8 form, unsigned) of an activation from two inputs of the operator."""
        scale = self.constant(node, position, "float32")
        zero = self.constant(node, position + 1, "int8", "uint8")
        if scale.size != 1 or zero.size != 1 or not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ModelFileError(f"{self.where}: scale {scale.ravel()[:2]} is not one finite number > 0")
        unsigned = zero.dtype == np.uint8
        return float(scale.ravel()[0]), int(zero.ravel()[0]) - (128 if unsigned else 0), unsigned

    def weights(self, values: Array, scale: Array, zero: Array | None, axis: int) -> QuantizedConstant:
        """int8 weights without zero point; uint8 ones around 128 are the same."""
        if not (np.isfinite(scale).all() and (scale > 0).all()) or scale.ndim > 1:
            raise ModelFileError(f"{self.where}: a constant has scales that are not finite numbers > 0")
        middle = 128 if values.dtype == np.uint8 else 0
        if zero is not None and (zero != middle).any():
            raise ModelFileError(
                f"{self.where}: weights have the zero points {zero.ravel()[:4].tolist()}; edgebat runs symmetric ones. "
                "Quantize with weight_type=QInt8 and WeightSymmetric"
            )
        centred = values if middle == 0 else (values.astype(np.int16) - middle).astype(np.int8)
        return QuantizedConstant(centred, scale.reshape(-1).astype(np.float32), axis)

    def channel_scale(self, constant: QuantizedConstant, channels: int, axis: int) -> Array:
        sizes = len(constant.scale)
        if sizes not in (1, channels) or (sizes > 1 and constant.axis % constant.values.ndim != axis):
            raise ModelFileError(f"{self.where}: weights have {sizes} scales for {channels} output channels")
        return np.broadcast_to(constant.scale, channels).astype(np.float32)

    # -- rounding

    def declare(self, name: str, shape: tuple[int, ...], scale: float, zero: int) -> Tensor:
        if name in self.tensors:
            raise ModelFileError(f"{self.where}: tensor {name!r} is written twice")
        tensor = self.tensors[name] = Tensor(name, shape, "int8", scale, zero)
        return tensor

    def begin(self, raw: kinds.RawInput, scale: float, zero: int, unsigned: bool) -> Quantized:
        """The graph's input, and what was done to the float input before it was quantized."""
        if self.input is not None or len(raw.shape) not in (1, 2):
            raise ModelFileError(
                f"{self.where}: input of shape {raw.shape}, or quantized twice; allowed: [N, F], [N, T, C]"
            )
        # A sequence whose first use is a convolution comes as [N, C, T].
        transposed = sum(op == "transpose" for op, _ in raw.moves) % 2 == 1
        first = len(raw.shape) == 2 and not transposed and not raw.moves and self.feeds_image(raw.name)
        shape = raw.shape[::-1] if first else raw.shape
        start = Quantized(self.declare(raw.name, shape, scale, zero), unsigned, channels_first=first)
        self.input = current = start
        for op, argument in raw.moves:
            if op == "transpose":
                current = replace(current, channels_first=not current.channels_first)
            else:
                current = self.flattened(current, f"{raw.name}/{op}{argument}")
        return current

    def feeds_image(self, name: str) -> bool:
        """Whether the value reaches a convolution or pooling (which need [N, C, T]) before a dense layer."""
        reached = {name}
        for node in self.file.nodes:
            if reached & set(node.inputs[:1]):
                if node.op in _ON_IMAGES:
                    return True
                if node.op in _ELEMENTWISE:
                    reached |= set(node.outputs)
        return False

    def flattened(self, source: Quantized, name: str) -> Quantized:
        if len(source.tensor.shape) == 1:
            return source
        t, c = source.tensor.shape
        target = self.declare(name, (t * c,), source.tensor.scale, source.tensor.zero_point)
        self.nodes.append(ops.Flatten(name, (source.tensor.name,), name))
        order = (c, t) if source.channels_first and t > 1 and c > 1 else None
        return Quantized(target, source.unsigned, False, order)

    def bounds(self, value: Linear | kinds.Sum | kinds.Average, scale: float, zero: int) -> tuple[int, int]:
        ends = (np.clip(end / scale, -1e6, 1e6) for end in (value.low, value.high))
        low, high = (int(np.clip(np.rint(end) + zero, -128, 127)) for end in ends)
        return low, high

    def round(self, value: kinds.Pending, name: str, scale: float, zero: int, unsigned: bool) -> Quantized:
        """Give a pending float value its integers."""
        if isinstance(value, Linear):
            return self.round_linear(value, name, scale, zero, unsigned)
        first = value.sources[0] if isinstance(value, kinds.Sum) else value.source
        source, shape = first.tensor, first.tensor.shape
        if isinstance(value, kinds.Average):
            shape = ((shape[0] - value.size) // value.stride + 1, shape[1])
        target = self.declare(name, shape, scale, zero)
        node: Node
        match value:
            case kinds.Sum(sources=(_, second)):
                self.float_sums |= not value.fused
                add = self.rounding.add if value.fused else self.rounding.float_add
                rounded = add((source, second.tensor), target, self.bounds(value, scale, zero))
                node = ops.Add(name, (source.name, second.tensor.name), name, *rounded)
            case kinds.Average():
                requant = self.rounding.mean(source, value.size, target, self.bounds(value, scale, zero))
                node = ops.AveragePool1D(name, (source.name,), name, value.size, value.stride, requant)
            case kinds.Function():
                table = self.table(value, source, target)
                node = ops.Lut(name, (source.name,), name, value.name, table)
        self.nodes.append(node)
        return replace(first, tensor=target, unsigned=unsigned)

    def table(self, value: kinds.Function, source: Tensor, target: Tensor) -> Int8:
        if value.name == "elu":
            return elu_table(source, target)
        self.float_sums |= value.name == "twice"
        found: Int8 = getattr(self.rounding, value.name)(source, target, *value.arguments)
        return found

    def round_linear(self, value: Linear, name: str, scale: float, zero: int, unsigned: bool) -> Quantized:
        source = value.source.tensor
        fake = Tensor(name, (1,), "int8", scale, zero)
        requant = self.rounding.linear(source.scale, value.weight_scale, fake, self.bounds(value, scale, zero))
        arrays = (value.weight, value.bias, value.weight_scale, requant)
        if value.kind == "dense":
            target = self.declare(name, (*source.shape[:-1], len(value.bias)), scale, zero)
            self.nodes.append(ops.Dense(name, (source.name,), name, *arrays))
            return Quantized(target, unsigned)
        kernel = value.weight.shape[0 if value.kind == "depthwise" else 1]
        length = (source.shape[0] + sum(value.padding) - (kernel - 1) * value.dilation - 1) // value.stride + 1
        target = self.declare(name, (length, len(value.bias)), scale, zero)
        cls = ops.DepthwiseConv1D if value.kind == "depthwise" else ops.Conv1D
        self.nodes.append(cls(name, (source.name,), name, *arrays, value.stride, value.dilation, value.padding))
        return Quantized(target, unsigned, channels_first=True)

    def max_pool(self, source: Quantized, name: str, size: int, stride: int) -> Quantized:
        before = source.tensor
        length = (before.shape[0] - size) // stride + 1
        target = self.declare(name, (length, before.shape[1]), before.scale, before.zero_point)
        self.nodes.append(ops.MaxPool1D(name, (before.name,), name, size, stride))
        return replace(source, tensor=target)
