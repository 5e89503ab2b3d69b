"""ONNX operators that work value by value: float32 functions between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float32
from edgebat.errors import ModelFileError
from edgebat.formats import float32 as plain
from edgebat.formats.ancestry import common
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import OnnxNode
from edgebat.formats.onnx.places import PlaceImporter
from edgebat.formats.onnx.values import Dequantized, Function, Linear, Quantized, QuantizedConstant, Value
from edgebat.formats.roundings.base import NEGATIVE, dequantized
from edgebat.graph import model as ops

Compute = Callable[[Float32], Float32]
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power,
}  # fmt: skip

QUOTIENTS = "the integer graph multiplies layers only. Divide by a constant, or end the model before"


def _composed(after: Compute, before: Compute, x: Float32) -> Float32:
    return after(before(x))


class FunctionImporter(PlaceImporter):
    """One method ``on_<operator>`` per operator; see `operators.Importer`."""

    # -- functions of one value

    def function(self, value: Value, compute: Compute, name: str, *, rough: bool = False) -> Function:
        """``compute`` of every value, which has been dequantized or is a function itself; rough: approximately."""
        if isinstance(value, Dequantized):
            return Function(value.base, name, compute=compute, rough=rough)
        if isinstance(value, Function) and not value.moves:
            whole = partial(_composed, compute, self.computed(value))
            return replace(value, name=name, compute=whole, rough=rough or value.rough or value.name in plain.ROUGH)
        raise ModelFileError(
            f"{self.where} reads a value that is not quantized; quantize the output of the layer before it as well"
        )

    def computed(self, value: Function) -> Compute:
        """A function in float32, also one that engines have an operator of their own for."""
        if value.compute is not None:
            return value.compute
        known = plain.NAMED.get(value.name)
        if known is None:
            raise ModelFileError(f"{self.where} follows {value.name}, which is not rounded yet")
        return partial(known, **dict(zip(("first", "second"), value.arguments, strict=False)))

    def unary(self, node: OnnxNode) -> Value:
        """A float32 function without parameters."""
        name = node.op.lower()
        return self.function(self.value(node, 0), self.entry(node, plain.PLAIN), name, rough=name in plain.ROUGH)

    def entry(self, node: OnnxNode, table: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
        """The operator's entry: methods are found in any case, but to ONNX an operator in another case is none."""
        if node.op not in table:
            raise ModelFileError(f"{self.where}: ONNX has no operator of this name; export the model again")
        return table[node.op]

    on_exp = on_erf = on_softplus = on_softsign = on_abs = on_neg = on_sqrt = on_log = on_mish = unary
    on_reciprocal = on_hardswish = on_sin = on_cos = unary

    def on_selu(self, node: OnnxNode) -> Value:
        own = [self.number(node, name, value) - value for name, value in (("alpha", 1.6732632), ("gamma", 1.0507010))]
        if max(map(abs, own)) > 1e-6:
            raise ModelFileError(f"{self.where} has alpha or gamma; edgebat runs the published ones")
        return self.unary(node)

    def on_hardsigmoid(self, node: OnnxNode) -> Value:
        alpha, beta = (self.number(node, name, value) for name, value in (("alpha", 0.2), ("beta", 0.5)))
        return self.function(self.value(node, 0), partial(plain.hard_sigmoid, first=alpha, second=beta), "hardsigmoid")

    def on_gelu(self, node: OnnxNode) -> Value:
        rough = node.attributes.get("approximate", "none") == "tanh"
        return self.function(self.value(node, 0), plain.gelu_tanh if rough else plain.gelu, "gelu", rough=True)

    def number(self, node: OnnxNode, name: str, default: float) -> float:
        """A float attribute."""
        found = node.attributes.get(name, default)
        return float(found) if isinstance(found, float | int) else default

    def named(self, node: OnnxNode, name: str, *arguments: float) -> Value:
        """A function that engines may have an operator of their own for."""
        value = self.value(node, 0)
        if isinstance(value, Function):
            known = partial(plain.NAMED[name], **dict(zip(("first", "second"), arguments, strict=False)))
            return self.function(value, known, name, rough=name in plain.ROUGH)
        return Function(self.quantized(node), name, arguments)

    def on_tanh(self, node: OnnxNode) -> Value:
        return self.named(node, node.op.lower())

    on_sigmoid = on_tanh

    def on_elu(self, node: OnnxNode) -> Value:
        alpha = self.number(node, "alpha", 1.0)
        if alpha != 1.0:
            return self.function(self.value(node, 0), partial(plain.elu, first=alpha), "elu", rough=True)
        return self.named(node, "elu")

    def on_leakyrelu(self, node: OnnxNode) -> Value:
        return self.named(node, "leaky_relu", self.number(node, "alpha", 0.01))

    def on_prelu(self, node: OnnxNode) -> Value:
        slope = self.along_channels(node, 1, self.file_form(node))
        if slope.size == 1:
            return self.named(node, "leaky_relu", float(slope.ravel()[0]))
        return self.function(self.value(node, 0), partial(plain.leaky_relu, first=slope), "prelu")

    def on_relu(self, node: OnnxNode) -> Value:
        return self.limited(self.value(node, 0), 0.0, np.inf, node)

    def on_clip(self, node: OnnxNode) -> Value:
        low, high = -np.inf, np.inf
        if self.has(node, 1):
            low = float(self.constant(node, 1, "float32").ravel()[:1].sum())
        if self.has(node, 2):
            high = float(self.constant(node, 2, "float32").ravel()[:1].sum())
        low, high = self.number(node, "min", low), self.number(node, "max", high)
        if not low < high:
            raise ModelFileError(f"{self.where} clips to {low}..{high}")
        return self.limited(self.value(node, 0), low, high, node)

    def limited(self, value: Value, low: float, high: float, node: OnnxNode) -> Value:
        """``value`` clipped to real bounds: fused with a layer, or a table."""
        if isinstance(value, Linear | kinds.Sum | kinds.Product | kinds.Average):
            return replace(value, low=max(value.low, low), high=min(value.high, high))
        return self.named(node, "clip", low, high)

    def on_batchnormalization(self, node: OnnxNode) -> Value:
        """Behind an activation it stays alone: one line a channel, in float32 as ONNX Runtime computes it."""
        if node.attributes.get("training_mode"):
            raise ModelFileError(f"{self.where} normalizes by the batch; export the model in evaluation mode")
        source = self.file_form(node)
        gain, offset, mean, variance = (self.real(node, position).ravel() for position in (1, 2, 3, 4))
        if any(part.shape != source.tensor.shape[-1:] for part in (gain, offset, mean, variance)) or source.order:
            raise ModelFileError(f"{self.where} does not work on the channels of its input, {source.tensor.shape}")
        scale = gain * (np.float32(1) / np.sqrt(variance + np.float32(self.number(node, "epsilon", 1e-5))))
        line = partial(plain.line, first=scale[:, None], second=(offset - mean * scale)[:, None])
        return self.function(self.value(node, 0), line, "batchnormalization")

    # -- constants

    def file_form(self, node: OnnxNode) -> Quantized:
        """The activation that an operator's first input is a function of."""
        value = self.value(node, 0)
        return value.source if isinstance(value, Function) else self.quantized(node)

    def real(self, node: OnnxNode, position: int) -> Array:
        """A constant float32, which may be stored quantized, in the shape it has in the file."""
        value = self.values.get(node.inputs[position]) if self.has(node, position) else None
        if isinstance(value, kinds.RealConstant):
            return value.values
        if isinstance(value, QuantizedConstant):
            if value.scale.size == 1:
                return np.asarray(value.values.astype(np.float32) * value.scale[0], np.float32)
            shape = [1] * value.values.ndim
            shape[value.axis] = -1
            return np.asarray(value.values.astype(np.float32) * value.scale.reshape(shape), np.float32)
        return self.constant(node, position, "float32")

    def along_channels(self, node: OnnxNode, position: int, source: Quantized) -> Float32:
        """A real constant as [1, 1] or [C, 1], in the order of the graph. Raises ModelFileError."""
        return np.asarray(self.by_channel(self.real(node, position), source), np.float32)

    def by_channel(self, array: Array, source: Quantized) -> Array:
        """``array``, which broadcasts against an activation of the file, as [1, 1] or [C, 1]."""
        rank, channels = 1 + len(source.tensor.shape), source.tensor.shape[-1]
        axis = 1 if source.channels_first and rank == 3 else rank - 1
        wide = array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim <= rank else array
        if array.size == 1:
            return array.reshape(1, 1)
        if wide.ndim != rank or wide.size != channels or wide.shape[axis] != channels:
            raise ModelFileError(
                f"{self.where} has a constant of shape {list(array.shape)} for {channels} channels of "
                f"{list(source.tensor.shape)}; allowed: one value, or one for each channel"
            )
        return source.reordered(wide.reshape(-1))[:, None]

    def is_constant(self, node: OnnxNode, position: int) -> bool:
        """Whether an input is a constant, quantized or not."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        known = isinstance(self.values.get(name), kinds.RealConstant | QuantizedConstant)
        return known or name in self.file.initializers

    # -- two values

    def on_add(self, node: OnnxNode) -> Value:
        return self.combined(node)

    on_sub = on_mul = on_div = on_pow = on_add

    def combined(self, node: OnnxNode) -> Value:
        """A sum, difference, product or quotient with a constant, or of two functions of one value; or a sum."""
        operation, constant = self.entry(node, _OPERATIONS), [self.is_constant(node, position) for position in (0, 1)]
        if any(constant):
            value = self.value(node, 0 if constant[1] else 1)
            if isinstance(value, kinds.RawInput):
                return self.normalized(node, value, constant[1])
            source = value.source if isinstance(value, Function) else self.quantized(node, 0 if constant[1] else 1)
            other = self.along_channels(node, 1 if constant[1] else 0, source)
            self.float_sums |= isinstance(value, Dequantized) and node.op in ("Add", "Mul")
            arguments = (lambda x: operation(x, other)) if constant[1] else (lambda x: operation(other, x))
            return self.function(value, arguments, node.op.lower())
        a, b = self.value(node, 0), self.value(node, 1)
        if (found := self.of_one(a, b, operation, node.op.lower())) is not None:
            return found
        first, second = self.quantized(node, 0), self.quantized(node, 1)
        match node.op:
            case "Add":
                return self.sum(first, second)
            case "Sub":
                return self.sum(first, self.negated(second, f"{node.outputs[0]}/negative"))
            case "Mul":
                return self.gate(first, second, node.outputs[0])
        raise ModelFileError(f"{self.where} divides two layers by each other, or raises one to the other; {QUOTIENTS}")

    def negated(self, source: Quantized, name: str) -> Quantized:
        """``-x``: all integers below its zero point as far above the new one."""
        tensor = source.tensor
        target = self.declare(name, tensor.shape, tensor.scale, -tensor.zero_point - 1)
        self.nodes.append(ops.Lut(name, (tensor.name,), name, "negative", NEGATIVE))
        return replace(source, tensor=target)

    def gate(self, a: Quantized, b: Quantized, name: str) -> kinds.Product:
        """A product of equal shapes, or with one value for each channel, time step or window."""
        if a.tensor.shape != b.tensor.shape and np.prod(a.tensor.shape) < np.prod(b.tensor.shape):
            a, b = b, a
        b = self.turned(b, first=a.channels_first)
        sizes, gates = self.file_sizes(a), self.file_sizes(b)
        fits = len(sizes) == len(gates) and all(size in (1, whole) for size, whole in zip(gates, sizes, strict=True))
        same = a.order == b.order or gates != sizes
        if not fits or not same or a.merged != b.merged:
            raise ModelFileError(
                f"{self.where} multiplies {list(sizes)} and {list(gates)}; allowed: equal shapes, or one value for each "
                "channel, time step or window"
            )
        if b.tensor.shape != a.tensor.shape and len(b.tensor.shape) == 2 and b.tensor.shape[0] == 1:
            b = self.flattened(b, f"{name}/gate")
        return kinds.Product((a, b))

    def normalized(self, node: OnnxNode, value: kinds.RawInput, behind: bool) -> Value:
        """A normalization of the float input, which the border does."""
        array = np.asarray(self.real(node, 1 if behind else 0), np.float32)
        wide = array.reshape(array.shape[1:]) if array.ndim == len(value.shape) + 1 and len(array) == 1 else array
        fits = wide.ndim <= len(value.shape) and np.broadcast_shapes(wide.shape, value.shape) == value.shape
        invertible = node.op in ("Add", "Sub", "Mul", "Div") and (node.op in ("Add", "Sub") or (wide != 0).all())
        if value.moves or not behind or not fits or not invertible:
            raise ModelFileError(
                f"{self.where} works on the float input before it is quantized with a constant of shape "
                f"{list(array.shape)}; edgebat reads input + - * / constant, one for all or for each value of a window"
            )
        return replace(value, steps=(*value.steps, (node.op.lower(), wide)))

    def of_one(self, a: Value, b: Value, operation: Callable[..., Any], name: str) -> Value | None:
        """``operation`` on two functions of one activation, as a function of that; None of two that are not."""
        plain_values = isinstance(a, Dequantized) and isinstance(b, Dequantized)
        if plain_values and name == "add" and a.base.tensor == b.base.tensor:  # type: ignore[union-attr]
            return Function(a.base, "twice")  # type: ignore[union-attr]
        first, second = (v.base if isinstance(v, Dequantized) else v.source if isinstance(v, Function) else None
                         for v in (a, b))  # fmt: skip
        if first is None or second is None or first.channels_first != second.channels_first:
            return None
        if name == "add" and plain_values:
            return None  # a sum of layers is an operator of the graph
        found = common(self.nodes, first.tensor.name, second.tensor.name)
        if found is None or first.order != second.order:
            return None
        root, table_a, table_b = found
        parts = []
        for value, own, table in ((a, first, table_a), (b, second, table_b)):
            reals = dequantized(own.tensor)[table.astype(np.intp) + 128]
            parts.append(self.computed(value)(reals) if isinstance(value, Function) else reals)
        reals = np.asarray(operation(*parts), np.float32)
        self.float_sums |= name in ("add", "mul")
        rough = any(isinstance(value, Function) and value.rough for value in (a, b))
        return Function(replace(first, tensor=self.tensors[root]), name, compute=lambda _: reals, rough=rough)

    # -- operators on integers

    def on_qlinearsigmoid(self, node: OnnxNode) -> Value:
        return self.round(Function(self.checked(node, 0), "sigmoid"), node.outputs[0], *self.scale_and_zero(node, 3))

    def on_qlinearleakyrelu(self, node: OnnxNode) -> Value:
        value = Function(self.checked(node, 0), "leaky_relu", (self.number(node, "alpha", 0.01),))
        return self.round(value, node.outputs[0], *self.scale_and_zero(node, 3))

    def on_qlinearadd(self, node: OnnxNode) -> Value:
        if any(name in self.file.initializers for name in (*node.inputs[0:1], *node.inputs[3:4])):
            return self.integers_combined(node)
        pending = replace(self.sum(self.checked(node, 0), self.checked(node, 3)), fused=True)
        return self.round(pending, node.outputs[0], *self.scale_and_zero(node, 6))

    def on_qlinearmul(self, node: OnnxNode) -> Value:
        return self.integers_combined(node)

    def integers_combined(self, node: OnnxNode) -> Value:
        """QLinearAdd with a constant; QLinearMul with one, or of two functions of one value: a table."""
        name = "fused_sum" if node.op == "QLinearAdd" else "fused_product"
        constant = next((place for place in (0, 3) if node.inputs[place] in self.file.initializers), None)
        output = (node.outputs[0], *self.scale_and_zero(node, 6))
        if constant is not None:
            source = self.checked(node, 3 - constant)
            scale, zero, unsigned = self.scale_and_zero(node, constant + 1)
            values = self.constant(node, constant, "int8", "uint8").astype(np.int64) - (128 if unsigned else 0)
            steps = self.by_channel(values, source)
            own = (np.arange(-128, 128)[None], source.tensor.scale, source.tensor.zero_point)
            operands = (own, (steps, scale, zero)) if constant == 3 else ((steps, scale, zero), own)
            return self.round(Function(source, name, (*operands, 128 * output[3])), *output)
        a, b = self.checked(node, 0), self.checked(node, 3)
        found = common(self.nodes, a.tensor.name, b.tensor.name)
        if found is None:
            return self.round(self.gate(a, b, node.outputs[0]), *output)
        root, *tables = found
        operands = tuple(
            (table.astype(np.int64), value.tensor.scale, value.tensor.zero_point)
            for table, value in zip(tables, (a, b), strict=True)
        )  # type: ignore[assignment]
        value = Function(replace(a, tensor=self.tensors[root]), name, (*operands, 128 * output[3]))
        return self.round(value, *output)
