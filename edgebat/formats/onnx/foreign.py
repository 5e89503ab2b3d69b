"""A quantized ONNX file that edgebat did not write (ORT quantize_static, QDQ or QOperator) as an integer graph.

The graph's input and output are int8: the file's QuantizeLinear at the beginning and DequantizeLinear at the end belong
to the caller. ``meta["foreign"]`` says in which layout and type the file takes its input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.errors import ModelFileError
from edgebat.formats.ancestry import read_nodes
from edgebat.formats.float32 import within_float32
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import DTYPE_OF, MICROSOFT, OnnxGraph, OnnxNode
from edgebat.formats.onnx.values import Dequantized, Linear, Loose, Quantized, QuantizedConstant, Value
from edgebat.formats.roundings import Rounding
from edgebat.formats.roundings.base import elu_table
from edgebat.formats.roundings.softmax import onnxruntime_table
from edgebat.graph import model as ops
from edgebat.graph.model import IntGraph, Node, Tensor

_RECURRENT = (
    "ONNX Runtime computes it in float32, also in a quantized file, so that there are no integers to keep. Quantize the "
    "float model: edgebat quantize FILE --calibration WINDOWS"
)
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul")
REMEDIES = {
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "SkipLayerNormalization"),
        "it normalizes each window by its own numbers; use batch normalization, which folds into the layer before it",
    ),
    **dict.fromkeys(
        _DYNAMIC,
        "it is quantized while it runs (dynamically). Quantize the float model: edgebat quantize FILE --calibration WINDOWS",
    ),
    **dict.fromkeys(("Resize", "Upsample", "ConvTranspose"), "outputs of a BMS model are shorter than its inputs"),
    "Shape": "it computes with shapes; export the model with fixed sizes and a batch of 1, or run quant_pre_process first",
}
"""What to do about operators that edgebat does not run."""
_ON_IMAGES = (
    "Conv", "QLinearConv", "MaxPool", "AveragePool", "QLinearAveragePool", "GlobalAveragePool", "QLinearGlobalAveragePool",
)  # fmt: skip
_ELEMENTWISE = (
    "QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "Tanh", "Sigmoid", "QLinearSigmoid", "LeakyRelu",
    "QLinearLeakyRelu", "Add", "QLinearAdd", "Mul", "QLinearMul", "Pad", "Slice",
)  # fmt: skip
"""What keeps the axes of its first input."""


class ImporterBase:
    """Tensors, constants and rounding; `operators.Importer` adds the operators."""

    def __init__(self, graph: OnnxGraph, what: str, rounding: Rounding, opset: int = 13) -> None:
        self.file, self.what, self.rounding = graph, what, rounding
        self.values: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.input: Quantized | None = None
        self.float_sums = False
        self.opset = opset
        self.file_shape: tuple[int, ...] = ()
        self.steps: tuple[tuple[str, Array], ...] = ()  # what the file does to its float input, op and constant
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
        dynamic = sorted({node.op for node in self.file.nodes if node.op in _DYNAMIC})
        if dynamic:
            raise ModelFileError(f"{self.what}: {', '.join(dynamic)}: {REMEDIES['DynamicQuantizeLinear']}")
        if (found := next((node for node in self.file.nodes if node.op in ("LSTM", "GRU", "RNN")), None)) is not None:
            raise ModelFileError(f"{self.what}: {found.op} {found.name or found.outputs[0]!r}: {_RECURRENT}")
        for node in self.file.nodes:
            self.where = f"{self.what}: {node.op} {node.name or (node.outputs or [''])[0]!r}"
            if self.folded(node):
                continue
            method = getattr(self, f"on_{node.op.lower()}", None) if node.domain in ("", MICROSOFT, "ai.onnx") else None
            if method is None:
                known = sorted(label[3:] for label in dir(self) if label.startswith("on_"))
                unknown = f"edgebat does not run this operator; it runs {', '.join(known)}"
                raise ModelFileError(f"{self.where}: {REMEDIES.get(node.op, unknown)}")
            several = len([name for name in node.outputs if name]) != 1 and node.op != "Split"
            if several or not node.outputs or node.outputs[0] in self.values:
                raise ModelFileError(f"{self.where} has {len(node.outputs)} outputs, or writes one that exists")
            try:
                with within_float32():
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
        last = self.as_in_file(last)
        self.nodes = list(read_nodes(self.nodes, last.tensor.name))
        kept = {self.input.tensor.name, *(node.output for node in self.nodes)}
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in kept}
        layout = "NCT" if self.input.channels_first else "NTC"
        foreign: dict[str, Any] = {
            "rounding": self.rounding.name, "input": "float32", "output": "float32", "input_layout": layout,
            "float_sums": self.float_sums, "input_unsigned": self.input.unsigned, "unsigned": last.unsigned,
        }  # fmt: skip
        if self.file_shape:
            foreign["input_shape"] = list(self.file_shape)
        if self.steps:
            foreign["input_steps"] = [[op, constant.tolist()] for op, constant in self.steps]
        return IntGraph(
            name, tensors, tuple(self.nodes), self.input.tensor.name, last.tensor.name, {"foreign": foreign}
        )

    def folded(self, node: OnnxNode) -> bool:
        """Whether ``node`` works on constants alone; its result becomes a constant."""
        result: Array | None = None
        inputs = [self.file.initializers.get(name) for name in node.inputs if name]
        if node.op == "Constant":
            result = np.asarray(next(iter(node.attributes.values()), np.zeros(0)))
        elif node.op == "ConstantOfShape" and inputs and inputs[0] is not None and inputs[0].size < 9:
            value, sizes = node.attributes.get("value"), inputs[0].ravel().tolist()
            fill = value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else np.float32(0)
            if min(sizes, default=1) >= 0 and math.prod(sizes) <= 1 << 20:
                result = np.full(sizes, fill)
        elif node.op in ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape") and inputs and inputs[0] is not None:
            kind = DTYPE_OF.get(int(str(node.attributes.get("to", 0))), "int64") if node.op == "Cast" else ""
            result = inputs[0].astype(kind) if kind and inputs[0].dtype.kind in "iu" else inputs[0]
        if result is None or len(node.outputs) != 1:
            return False
        self.file.initializers[node.outputs[0]] = result
        return True

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
            raise ModelFileError(
                f"{self.where}: its input {node.inputs[position]!r} is not quantized; quantize the operator before it "
                "as well, or leave that out"
            )
        return value

    def checked(self, node: OnnxNode, position: int) -> Quantized:
        """A quantized input whose scale and zero point, given again by the operator, are its own."""
        value = self.quantized(node, position)
        scale, zero, unsigned = self.scale_and_zero(node, position + 1)
        if (value.tensor.scale, value.tensor.zero_point, value.unsigned) != (scale, zero, unsigned):
            raise ModelFileError(f"{self.where} reads {node.inputs[position]!r} with another scale or zero point")
        return value

    def sum(self, a: Quantized, b: Quantized) -> kinds.Sum:
        b = self.turned(b, first=a.channels_first)
        if a.tensor.shape != b.tensor.shape or a.channels_first != b.channels_first or a.order != b.order:
            raise ModelFileError(f"{self.where} adds {a.tensor.shape} and {b.tensor.shape}; edgebat adds equal shapes")
        return kinds.Sum((a, b))

    def turned(self, source: Quantized, *, first: bool) -> Quantized:
        """A sequence as [N, C, T] (first) or [N, T, C]; see `places.PlaceImporter`."""
        raise NotImplementedError

    def as_in_file(self, source: Quantized) -> Quantized:
        """The output in the order of the file; see `places.PlaceImporter`."""
        raise NotImplementedError

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
        """Weights less their zero points: int8, or int16 where these lead beyond."""
        if not (np.isfinite(scale).all() and (scale > 0).all()) or scale.ndim > 1:
            raise ModelFileError(f"{self.where}: a constant has scales that are not finite numbers > 0")
        centred = values
        if zero is not None and values.dtype != np.int32:
            along = values.shape[axis] if -values.ndim <= axis < values.ndim else 0
            if zero.size not in (1, scale.size) or (zero.size > 1 and zero.size != along):
                raise ModelFileError(
                    f"{self.where}: weights have {zero.size} zero points, {scale.size} scales and {along} channels"
                )
            sizes = [-1 if other == axis % values.ndim else 1 for other in range(values.ndim)]
            wide = values.astype(np.int16) - zero.ravel().astype(np.int16).reshape(sizes if zero.size > 1 else -1)
            inside = wide.min(initial=0) >= -128 and wide.max(initial=0) <= 127
            centred = wide.astype(np.int8) if inside else wide
        elif zero is not None and zero.any():
            raise ModelFileError(f"{self.where}: an int32 constant has zero points other than 0")
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
        plain = all(op == "pad" for op, _ in raw.moves)
        transposed = sum(op == "transpose" for op, _ in raw.moves) % 2 == 1
        first = len(raw.shape) == 2 and not transposed and plain and self.feeds_image(raw.name)
        shape = raw.shape[::-1] if first else raw.shape
        start = Quantized(self.declare(raw.name, shape, scale, zero), unsigned, channels_first=first)
        self.input, self.steps = start, raw.steps
        current = start
        for op, argument in raw.moves:
            if op == "pad":
                current = self.padded_rows(
                    current, f"{raw.name}/{op}{argument}", (argument[1], argument[2]), argument[0]
                )
            elif op == "transpose":
                current = replace(current, channels_first=not current.channels_first)
            elif op == "merge":
                current = replace(current, merged=True)
            else:
                current = self.flattened(current, f"{raw.name}/{op}{argument}")
        return current

    def padded_rows(self, source: Quantized, name: str, padding: tuple[int, int], axis: int) -> Quantized:
        """Zeros around the time of the input. Raises ModelFileError for another axis of the file."""
        steps, channels = source.tensor.shape
        if axis != (2 if source.channels_first else 1):
            raise ModelFileError(f"{self.where}: the input is padded along axis {axis}; edgebat pads time only")
        target = self.declare(name, (steps + sum(padding), channels), source.tensor.scale, source.tensor.zero_point)
        self.nodes.append(ops.Pad1D(name, (source.tensor.name,), name, padding, source.tensor.zero_point))
        return replace(source, tensor=target)

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
        turned = source.channels_first and t > 1 and c > 1
        order = tuple(np.arange(t * c).reshape(t, c).T.ravel().tolist()) if turned else None
        return Quantized(target, source.unsigned, False, order)

    def bounds(
        self, value: Linear | kinds.Sum | kinds.Product | kinds.Average, scale: float, zero: int
    ) -> tuple[int, int]:
        ends = (np.clip(end / scale, -1e6, 1e6) for end in (value.low, value.high))
        low, high = (int(np.clip(np.rint(end) + zero, -128, 127)) for end in ends)
        return low, high

    def round(self, value: kinds.Pending, name: str, scale: float, zero: int, unsigned: bool) -> Quantized:
        """Give a pending float value its integers."""
        if isinstance(value, Linear):
            return self.round_linear(value, name, scale, zero, unsigned)
        if isinstance(value, kinds.Joined):
            return replace(self.converted(value, name, scale, zero), unsigned=unsigned)
        first = value.sources[0] if isinstance(value, kinds.Sum | kinds.Product) else value.source
        source, shape = first.tensor, first.tensor.shape
        if isinstance(value, kinds.Average | kinds.Pool):
            padding = value.padding if isinstance(value, kinds.Pool) else (0, 0)
            shape = ((shape[0] + sum(padding) - value.size) // value.stride + 1, shape[1])
        moves = value.moves if isinstance(value, kinds.Function | kinds.Average) else ()
        if isinstance(value, kinds.Average) and value.flat:
            moves = (partial(self.flattened, name=f"{name}/flat" if moves else name), *moves)
        target = self.declare(f"{name}/before" if moves else name, shape, scale, zero)
        name = target.name
        node: Node
        match value:
            case kinds.Sum(sources=(_, second)):
                self.float_sums |= not value.fused
                operands, limits = (source, second.tensor), self.bounds(value, scale, zero)
                rounded = (
                    self.rounding.add(operands, target, limits, 128 * unsigned)
                    if value.fused
                    else self.rounding.float_add(operands, target, limits)
                )
                node = ops.Add(name, (source.name, second.tensor.name), name, *rounded)
            case kinds.Product(sources=(_, second)):
                limits = self.bounds(value, scale, zero)
                # Fused where nothing stands between the product and its rounding.
                self.float_sums |= (value.low, value.high) != (-np.inf, np.inf)
                gated = self.rounding.gate((source, second.tensor), target, limits, 128 * unsigned)
                node = ops.Mul(name, (source.name, second.tensor.name), name, gated)
            case kinds.Average():
                summed = replace(source, scale=source.scale * value.size) if value.total else source
                requant = self.rounding.mean(summed, value.size, target, self.bounds(value, scale, zero))
                node = ops.AveragePool1D(name, (source.name,), name, value.size, value.stride, requant)
            case kinds.Function():
                table = self.table(value, source, target)
                node = ops.Lut(name, (source.name,), name, value.name, table)
            case kinds.Softmax():
                node = self.softmax(first, target, unsigned)
            case kinds.Pool(_, size, stride, padding, count_padding):
                names = (name, (source.name,), name)
                node = ops.FloatPool1D(*names, size, stride, padding, count_padding, unsigned)
        self.nodes.append(node)
        result: Quantized | Loose = replace(first, tensor=target, unsigned=unsigned)
        for move in moves:
            result = move(result)
        if not isinstance(result, Quantized):
            raise ModelFileError(
                f"{self.where} gives the shape {list(result.places.shape)}; allowed: [N, F] and sequences"
            )
        return result

    def converted(self, value: kinds.Joined, name: str, scale: float, zero: int) -> Quantized:
        """Parts beside each other, each brought to the scale of the output."""
        parts = []
        for index, part in enumerate(value.parts):
            if (part.tensor.scale, part.tensor.zero_point) != (scale, zero):
                part = self.at_scale(part, f"{name}/part {index}", scale, zero)
            parts.append(part)
        return self.behind(parts, name) if value.steps else self.join(parts, name)

    def behind(self, parts: Sequence[Quantized], name: str) -> Quantized:
        """``parts`` of one scale behind each other in time; see `windows.WindowImporter`."""
        raise NotImplementedError

    def at_scale(self, part: Quantized, label: str, scale: float, zero: int) -> Quantized:
        """``part`` with another scale and zero point, by a table."""
        target = self.declare(label, part.tensor.shape, scale, zero)
        table = self.rounding.requantize(part.tensor, target)
        self.nodes.append(ops.Lut(label, (part.tensor.name,), label, "requantize", table))
        return replace(part, tensor=target)

    def join(self, parts: Sequence[Quantized], name: str) -> Quantized:
        """``parts`` of one scale beside each other."""
        first = parts[0]
        size = sum(part.tensor.shape[-1] for part in parts)
        shape = (*first.tensor.shape[:-1], size)
        target = self.declare(name, shape, first.tensor.scale, first.tensor.zero_point)
        self.nodes.append(ops.Concat(name, tuple(part.tensor.name for part in parts), name))
        order: list[int] = []
        for part in parts:
            own = part.order or range(part.tensor.shape[-1])
            start = len(order)
            order += [start + place for place in own]
        turned = any(part.order is not None for part in parts)
        return replace(first, tensor=target, order=tuple(order) if turned else None)

    def softmax(self, source: Quantized, target: Tensor, unsigned: bool) -> Node:
        """ONNX Runtime's, which does not saturate int8 above 127."""
        highest = np.floor(np.float32(1) / np.float32(target.scale)) + target.zero_point
        if source.order is not None or (not unsigned and highest > 127):
            raise ModelFileError(
                f"{self.where} has an output of scale {target.scale!r} and zero point {target.zero_point}, or works on "
                "values flattened channels first; ONNX Runtime's int8 overflows from 127 to -128 there. Quantize with "
                "QuantFormat.QDQ and activation_type=QUInt8, or end the model before the softmax"
            )
        table = onnxruntime_table(source.tensor.scale, source.tensor.shape[-1])
        return ops.Softmax(target.name, (source.tensor.name,), target.name, "onnxruntime", table)

    def table(self, value: kinds.Function, source: Tensor, target: Tensor) -> Int8:
        if value.compute is not None:
            found: Int8 = self.rounding.real(source, target, value.compute, rough=value.rough)
        elif value.name == "elu":
            found = elu_table(source, target)
        else:
            self.float_sums |= value.name == "twice"
            found = getattr(self.rounding, value.name)(source, target, *value.arguments)
        if found.ndim == 2 and (found == found[0]).all():
            return np.asarray(found[0], np.int8)
        return found if found.ndim == 1 else np.array(np.broadcast_to(found, (source.shape[-1], 256)))

    def round_linear(self, value: Linear, name: str, scale: float, zero: int, unsigned: bool) -> Quantized:
        source = value.source.tensor
        fake = Tensor(name, (1,), "int8", scale, zero)
        requant = self.rounding.linear(source.scale, value.weight_scale, fake, self.bounds(value, scale, zero))
        arrays = (value.weight, value.bias, value.weight_scale, requant)
        if value.kind == "dense":
            target = self.declare(name, (*source.shape[:-1], len(value.bias)), scale, zero)
            self.nodes.append(ops.Dense(name, (source.name,), name, *arrays))
            return Quantized(target, unsigned, merged=value.source.merged)
        kernel = value.weight.shape[0 if value.kind == "depthwise" else 1]
        length = (source.shape[0] + sum(value.padding) - (kernel - 1) * value.dilation - 1) // value.stride + 1
        target = self.declare(name, (length, len(value.bias)), scale, zero)
        cls = ops.DepthwiseConv1D if value.kind == "depthwise" else ops.Conv1D
        self.nodes.append(cls(name, (source.name,), name, *arrays, value.stride, value.dilation, value.padding))
        return Quantized(target, unsigned, channels_first=True)
