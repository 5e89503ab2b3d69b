"""ONNX operators of quantized models of others, one by one; see `foreign.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import OnnxNode
from edgebat.formats.onnx.moves import MoveImporter
from edgebat.formats.onnx.values import Dequantized, Linear, Quantized, QuantizedConstant, Value


class Importer(MoveImporter):
    """One method ``on_<operator>`` per operator, returning what its output stands for."""

    # -- the border between float and integer

    def on_quantizelinear(self, node: OnnxNode) -> Value:
        scale, zero, unsigned = self.scale_and_zero(node, 1)
        if node.inputs[0] in self.file.initializers:
            return self.quantized_constant(node, scale, zero, unsigned)
        value = self.value(node, 0)
        name = node.outputs[0]
        if isinstance(value, kinds.RawInput):
            return self.begin(value, scale, zero, unsigned)
        if isinstance(value, kinds.Loose):
            if (value.base.tensor.scale, value.base.tensor.zero_point) != (scale, zero):
                raise ModelFileError(
                    f"{self.where} changes the scale of values of the shape {list(value.places.shape)}"
                )
            return replace(value, real=False)
        if isinstance(value, Dequantized):
            tensor = value.base.tensor
            if (tensor.scale, tensor.zero_point) == (scale, zero):
                return replace(value.base, unsigned=unsigned)
            value = kinds.Function(value.base, "requantize")
        if isinstance(value, Quantized | QuantizedConstant | kinds.RealConstant):
            raise ModelFileError(f"{self.where} quantizes {node.inputs[0]!r}, which is quantized already")
        return self.round(value, name, scale, zero, unsigned)

    def quantized_constant(self, node: OnnxNode, scale: float, zero: int, unsigned: bool) -> Value:
        """A float constant that the file quantizes itself: its integers become the constant."""
        values = self.constant(node, 0, "float32")
        steps = np.clip(np.rint(values / np.float32(scale)) + zero, -128, 127)
        integers = (steps + 128).astype(np.uint8) if unsigned else steps.astype(np.int8)
        self.file.initializers[node.outputs[0]] = integers
        return kinds.RealConstant((steps.astype(np.float32) - np.float32(zero)) * np.float32(scale))

    def on_dequantizelinear(self, node: OnnxNode) -> Value:
        name = node.inputs[0] if node.inputs else ""
        if name not in self.file.initializers:
            value = self.value(node, 0)
            scale, zero, unsigned = self.scale_and_zero(node, 1)
            if isinstance(value, kinds.Loose):
                return replace(value, real=True)
            same = isinstance(value, Quantized) and value.unsigned == unsigned
            if (
                not isinstance(value, Quantized)
                or not same
                or (value.tensor.scale, value.tensor.zero_point) != (scale, zero)
            ):
                raise ModelFileError(f"{self.where} reads {name!r} with another scale, zero point or type than it has")
            return Dequantized(value)
        values = self.constant(node, 0, "int8", "uint8", "int32")
        if values.ndim < 2 and values.dtype != np.int32:
            scale, zero, _ = self.scale_and_zero(node, 1)
            centre = 128 if values.dtype == np.uint8 else 0
            return kinds.RealConstant((values.astype(np.float32) - np.float32(zero + centre)) * np.float32(scale))
        zero_point = self.constant(node, 2, values.dtype.name) if self.has(node, 2) else None
        axis = node.attributes.get("axis", 1)
        return self.weights(values, self.constant(node, 1, "float32"), zero_point, axis if isinstance(axis, int) else 1)

    # -- operators on integers

    def on_qgemm(self, node: OnnxNode) -> Value:
        attributes = node.attributes
        if attributes.get("alpha", 1.0) != 1.0 or attributes.get("transA", 0):
            raise ModelFileError(f"{self.where} has alpha or transA; edgebat runs y = x w + b")
        weight = self.integer_weights(node, 3, 0 if attributes.get("transB", 0) else 1)
        bias = self.constant(node, 6, "int32") if self.has(node, 6) else None
        linear = self.dense(self.checked(node, 0), weight, bool(attributes.get("transB", 0)), bias)
        return self.round(linear, node.outputs[0], *self.scale_and_zero(node, 7))

    def on_qlinearmatmul(self, node: OnnxNode) -> Value:
        linear = self.dense(self.checked(node, 0), self.integer_weights(node, 3, 1), False, None)
        return self.round(linear, node.outputs[0], *self.scale_and_zero(node, 6))

    def on_qlinearconv(self, node: OnnxNode) -> Value:
        bias = self.constant(node, 8, "int32") if self.has(node, 8) else None
        linear = self.convolution(node, self.checked(node, 0), self.integer_weights(node, 3, 0), bias)
        return self.round(linear, node.outputs[0], *self.scale_and_zero(node, 6))

    def integer_weights(self, node: OnnxNode, position: int, axis: int) -> QuantizedConstant:
        values = self.constant(node, position, "int8", "uint8")
        zero = self.constant(node, position + 2, values.dtype.name)
        return self.weights(values, self.constant(node, position + 1, "float32"), zero, axis)

    # -- float operators between DequantizeLinear and QuantizeLinear

    def on_gemm(self, node: OnnxNode) -> Value:
        attributes = node.attributes
        if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0 or attributes.get("transA", 0):
            raise ModelFileError(f"{self.where} has alpha, beta or transA; edgebat runs y = x w + b")
        bias = self.dequantized_bias(node, 2, self.dequantized_weights(node, 1))
        return self.dense(
            self.quantized(node), self.dequantized_weights(node, 1), bool(attributes.get("transB", 0)), bias
        )

    def on_matmul(self, node: OnnxNode) -> Value:
        return self.dense(self.quantized(node), self.dequantized_weights(node, 1), False, None)

    def on_conv(self, node: OnnxNode) -> Value:
        bias = self.dequantized_bias(node, 2, self.dequantized_weights(node, 1))
        return self.convolution(node, self.quantized(node), self.dequantized_weights(node, 1), bias)

    def dequantized_weights(self, node: OnnxNode, position: int) -> QuantizedConstant:
        value = self.value(node, position)
        if not isinstance(value, QuantizedConstant) or value.values.dtype not in (np.int8, np.int16):
            raise ModelFileError(f"{self.where}: its weights {node.inputs[position]!r} are no int8 constant")
        return value

    def dequantized_bias(self, node: OnnxNode, position: int, weight: QuantizedConstant) -> Array | None:
        """A bias of int32; one of float32 as ONNX Runtime quantizes it before it fuses the layer."""
        if not self.has(node, position):
            return None
        known = self.file.initializers.get(node.inputs[position])
        if known is not None and known.dtype == np.float32:
            scale = np.float32(self.quantized(node).tensor.scale) * weight.scale
            with np.errstate(over="ignore"):
                steps = np.rint(known.ravel() / scale)
            if not (np.abs(steps) < 1 << 31).all():
                raise ModelFileError(f"{self.where}: its bias is {known.ravel()[:4]}, beyond 32 bits of its scale")
            return np.asarray(steps, np.int32)
        value = self.value(node, position)
        if not isinstance(value, QuantizedConstant) or value.values.dtype != np.int32:
            raise ModelFileError(f"{self.where}: its bias {node.inputs[position]!r} is no int32 constant")
        return value.values

    # -- shared parts

    def dense(self, source: Quantized, weight: QuantizedConstant, transposed: bool, bias: Array | None) -> Linear:
        """transposed: the file's weights are [O, I], as the graph's; else [I, O]."""
        source = self.turned(source, first=False)
        if weight.values.ndim != 2 or source.channels_first:
            raise ModelFileError(f"{self.where}: weights have shape {weight.values.shape}; allowed: two sizes")
        values = weight.values if transposed else weight.values.T
        scale = self.channel_scale(weight, len(values), 0 if transposed else 1)
        if source.order is not None:
            if values.shape[1] != len(source.order):
                raise ModelFileError(
                    f"{self.where}: weights take {values.shape[1]} inputs; there are {len(source.order)}"
                )
            values = source.reordered(values.T).T
            source = replace(source, order=None)
        return self.in_parts(
            Linear("dense", source, np.ascontiguousarray(values), scale, self.whole_bias(bias, len(values)))
        )

    def in_parts(self, layer: Linear) -> Linear:
        """``layer`` with int8 weights: wider ones as sums of int8 ones, each of which reads the input once more."""
        parts: list[Array] = []
        rest = layer.weight.astype(np.int16)
        if layer.weight.dtype == np.int8:
            return layer
        while rest.any() or not parts:
            parts.append(np.clip(rest, -127, 127).astype(np.int8))
            rest = rest - parts[-1]
        again = f"{layer.source.tensor.name}/{len(parts)} times"
        known = self.tensors.get(again)
        source = replace(layer.source, tensor=known) if known else self.join((layer.source,) * len(parts), again)
        return replace(layer, source=source, weight=np.concatenate(parts, axis=-1))

    def whole_bias(self, bias: Array | None, channels: int) -> Array:
        if bias is None:
            return np.zeros(channels, np.int32)
        if bias.size != channels:
            raise ModelFileError(f"{self.where}: {bias.size} biases for {channels} channels")
        return bias.reshape(-1).astype(np.int32)

    def convolution(self, node: OnnxNode, source: Quantized, weight: QuantizedConstant, bias: Array | None) -> Linear:
        source = self.image(source)
        values, channels = weight.values, source.tensor.shape[1]
        if values.ndim != 3 or 0 in values.shape:
            raise ModelFileError(f"{self.where}: weights of shape {values.shape}; edgebat runs 1-D convolutions")
        outs, _, kernel = values.shape
        (stride,), (dilation,) = self.ints(node, "strides", 1, [1]), self.ints(node, "dilations", 1, [1])
        reach = (kernel - 1) * dilation + 1
        left, right = self.padding(node, source.tensor.shape[0], reach, max(stride, 1))
        group = node.attributes.get("group", 1)
        depthwise = group == channels == outs and values.shape[1] == 1 and group != 1 and values.dtype == np.int8
        fits = isinstance(group, int) and group >= 1 and outs % group == 0 and values.shape[1] * group == channels
        if min(stride, dilation) < 1 or source.tensor.shape[0] + left + right < reach or not fits:
            raise ModelFileError(
                f"{self.where}: stride {stride}, dilation {dilation}, group {group} of {channels} channels, or a kernel "
                "longer than its input"
            )
        scale = self.channel_scale(weight, outs, 0)
        if (
            isinstance(group, int) and group != 1 and not depthwise
        ):  # each group reads its own channels: a convolution that is zero elsewhere
            spread = np.zeros((outs, channels, kernel), values.dtype)
            each, own = outs // group, values.shape[1]
            for index in range(group):
                rows = slice(index * each, (index + 1) * each)
                spread[rows, index * own : (index + 1) * own] = values[rows]
            values = spread
        values = values[:, 0].T if depthwise else values.transpose(0, 2, 1)
        return self.in_parts(Linear(
            "depthwise" if depthwise else "conv", source, np.ascontiguousarray(values), scale, self.whole_bias(bias, outs),
            stride, dilation, (left, right),
        ))  # fmt: skip
