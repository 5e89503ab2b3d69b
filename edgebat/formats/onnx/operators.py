"""ONNX operators of quantized models of others, one by one; see `foreign.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.foreign import ImporterBase
from edgebat.formats.onnx.model import OnnxNode
from edgebat.formats.onnx.values import Dequantized, Linear, Quantized, QuantizedConstant, Value
from edgebat.graph import model as ops


class Importer(ImporterBase):
    """One method ``on_<operator>`` per operator, returning what its output stands for."""

    # -- the border between float and integer

    def on_quantizelinear(self, node: OnnxNode) -> Value:
        scale, zero, unsigned = self.scale_and_zero(node, 1)
        value = self.value(node, 0)
        name = node.outputs[0]
        if isinstance(value, kinds.RawInput):
            return self.begin(value, scale, zero, unsigned)
        if isinstance(value, Dequantized):
            tensor = value.base.tensor
            if (tensor.scale, tensor.zero_point) == (scale, zero):
                return replace(value.base, unsigned=unsigned)
            value = kinds.Function(value.base, "requantize")
        if isinstance(value, Quantized | QuantizedConstant):
            raise ModelFileError(f"{self.where} quantizes {node.inputs[0]!r}, which is quantized already")
        return self.round(value, name, scale, zero, unsigned)

    def on_dequantizelinear(self, node: OnnxNode) -> Value:
        name = node.inputs[0] if node.inputs else ""
        if name not in self.file.initializers:
            value = self.value(node, 0)
            scale, zero, unsigned = self.scale_and_zero(node, 1)
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
            return kinds.RealConstant(
                (values.ravel().astype(np.float32) - np.float32(zero + centre)) * np.float32(scale)
            )
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

    def on_qlinearadd(self, node: OnnxNode) -> Value:
        for name in (*node.inputs[0:1], *node.inputs[3:4]):
            if name in self.file.initializers:
                raise self.constant_addition(name)
        pending = replace(self.sum(self.checked(node, 0), self.checked(node, 3)), fused=True)
        return self.round(pending, node.outputs[0], *self.scale_and_zero(node, 6))

    def on_qlinearsigmoid(self, node: OnnxNode) -> Value:
        return self.round(
            kinds.Function(self.checked(node, 0), "sigmoid"), node.outputs[0], *self.scale_and_zero(node, 3)
        )

    def on_qlinearglobalaveragepool(self, node: OnnxNode) -> Value:
        if node.attributes.get("channels_last", 0):
            raise ModelFileError(f"{self.where} has channels last; edgebat reads [N, C, T]")
        source = self.image(self.checked(node, 0))
        pending = kinds.Average(source, source.tensor.shape[0], 1)
        return self.round(pending, node.outputs[0], *self.scale_and_zero(node, 3))

    def checked(self, node: OnnxNode, position: int) -> Quantized:
        """A quantized input whose scale and zero point, given again by the operator, are its own."""
        value = self.quantized(node, position)
        scale, zero, unsigned = self.scale_and_zero(node, position + 1)
        if (value.tensor.scale, value.tensor.zero_point, value.unsigned) != (scale, zero, unsigned):
            raise ModelFileError(f"{self.where} reads {node.inputs[position]!r} with another scale or zero point")
        return value

    def integer_weights(self, node: OnnxNode, position: int, axis: int) -> QuantizedConstant:
        values = self.constant(node, position, "int8", "uint8")
        zero = self.constant(node, position + 2, values.dtype.name)
        return self.weights(values, self.constant(node, position + 1, "float32"), zero, axis)

    # -- float operators between DequantizeLinear and QuantizeLinear

    def on_gemm(self, node: OnnxNode) -> Value:
        attributes = node.attributes
        if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0 or attributes.get("transA", 0):
            raise ModelFileError(f"{self.where} has alpha, beta or transA; edgebat runs y = x w + b")
        bias = self.dequantized_bias(node, 2)
        return self.dense(
            self.quantized(node), self.dequantized_weights(node, 1), bool(attributes.get("transB", 0)), bias
        )

    def on_matmul(self, node: OnnxNode) -> Value:
        return self.dense(self.quantized(node), self.dequantized_weights(node, 1), False, None)

    def on_conv(self, node: OnnxNode) -> Value:
        bias = self.dequantized_bias(node, 2)
        return self.convolution(node, self.quantized(node), self.dequantized_weights(node, 1), bias)

    def on_add(self, node: OnnxNode) -> Value:
        for position, name in enumerate(node.inputs[:2]):
            if isinstance(self.value(node, position), kinds.RealConstant | QuantizedConstant):
                raise self.constant_addition(name)
        if node.inputs[0] == node.inputs[1]:
            return kinds.Function(self.quantized(node), "twice")
        return self.sum(self.quantized(node, 0), self.quantized(node, 1))

    def on_tanh(self, node: OnnxNode) -> Value:
        return kinds.Function(self.quantized(node), node.op.lower())

    on_sigmoid = on_tanh

    def on_elu(self, node: OnnxNode) -> Value:
        if node.attributes.get("alpha", 1.0) != 1.0:
            raise ModelFileError(f"{self.where} has alpha {node.attributes['alpha']}; edgebat reads 1")
        return kinds.Function(self.quantized(node), "elu")

    def on_leakyrelu(self, node: OnnxNode) -> Value:
        alpha = node.attributes.get("alpha", 0.01)
        return kinds.Function(self.quantized(node), "leaky_relu", (float(alpha) if isinstance(alpha, float) else 0.01,))

    def on_prelu(self, node: OnnxNode) -> Value:
        slope = self.real(node, 1)
        if slope.size != 1:
            raise ModelFileError(
                f"{self.where} has {slope.size} slopes; edgebat reads one. Build the layer with num_parameters=1, or use "
                "LeakyRelu"
            )
        return kinds.Function(self.quantized(node), "leaky_relu", (float(slope[0]),))

    def on_batchnormalization(self, node: OnnxNode) -> Value:
        """Behind an activation it stays alone: one line a channel, in float32 as ONNX Runtime computes it."""
        source = self.quantized(node)
        gain, offset, mean, variance = (self.real(node, position) for position in (1, 2, 3, 4))
        if source.order is not None or any(
            part.shape != source.tensor.shape[-1:] for part in (gain, offset, mean, variance)
        ):
            raise ModelFileError(f"{self.where} does not work on the channels of its input, {source.tensor.shape}")
        epsilon = np.float32(node.attributes.get("epsilon", 1e-5))
        scale = gain * (np.float32(1) / np.sqrt(variance + epsilon))
        return kinds.Function(source, "affine", (scale, offset - mean * scale))

    def real(self, node: OnnxNode, position: int) -> Array:
        """A constant float32 [C], which may be stored quantized."""
        value = self.values.get(node.inputs[position]) if self.has(node, position) else None
        if isinstance(value, kinds.RealConstant):
            return value.values
        if isinstance(value, QuantizedConstant):
            return value.values.ravel().astype(np.float32) * value.scale
        return self.constant(node, position, "float32").ravel()

    def on_gather(self, node: OnnxNode) -> Value:
        value, source = self.value(node, 0), self.quantized(node)
        index, axis = self.constant(node, 1, "int64", "int32"), node.attributes.get("axis", 0)
        time = 2 if source.channels_first else 1
        steps = source.tensor.shape[0]
        if (
            len(source.tensor.shape) != 2
            or axis not in (time, time - 3)
            or index.shape != ()
            or int(index) not in (-1, steps - 1)
        ):
            raise ModelFileError(
                f"{self.where} takes {index.ravel()[:4].tolist()} along axis {axis} of {source.tensor.shape}; edgebat reads "
                f"the last time step, -1 along axis {time}, only. Take that, or pool over time"
            )
        target = self.declare(node.outputs[0], source.tensor.shape[1:], source.tensor.scale, source.tensor.zero_point)
        self.nodes.append(ops.LastStep(target.name, (source.tensor.name,), target.name))
        last = Quantized(target, source.unsigned)
        return Dequantized(last) if isinstance(value, Dequantized) else last

    def on_relu(self, node: OnnxNode) -> Value:
        return self.limited(self.value(node, 0), 0.0, np.inf, node)

    def on_clip(self, node: OnnxNode) -> Value:
        low, high = -np.inf, np.inf
        if self.has(node, 1):
            low = float(self.constant(node, 1, "float32").ravel()[:1].sum())
        if self.has(node, 2):
            high = float(self.constant(node, 2, "float32").ravel()[:1].sum())
        if not low < high:
            raise ModelFileError(f"{self.where} clips to {low}..{high}")
        return self.limited(self.value(node, 0), low, high, node)

    def limited(self, value: Value, low: float, high: float, node: OnnxNode) -> Value:
        if isinstance(value, Linear | kinds.Sum | kinds.Average):
            return replace(value, low=max(value.low, low), high=min(value.high, high))
        return kinds.Function(self.quantized(node), "clip", (low, high))

    def on_globalaveragepool(self, node: OnnxNode) -> Value:
        source = self.image(self.quantized(node))
        return kinds.Average(source, source.tensor.shape[0], 1)

    def dequantized_weights(self, node: OnnxNode, position: int) -> QuantizedConstant:
        value = self.value(node, position)
        if not isinstance(value, QuantizedConstant) or value.values.dtype != np.int8:
            raise ModelFileError(f"{self.where}: its weights {node.inputs[position]!r} are no int8 constant")
        return value

    def dequantized_bias(self, node: OnnxNode, position: int) -> Array | None:
        if not self.has(node, position):
            return None
        value = self.value(node, position)
        if not isinstance(value, QuantizedConstant) or value.values.dtype != np.int32:
            raise ModelFileError(f"{self.where}: its bias {node.inputs[position]!r} is no int32 constant")
        return value.values

    # -- operators that move data

    def on_maxpool(self, node: OnnxNode) -> Value:
        value = self.value(node, 0)
        source = self.image(self.quantized(node))
        (size,), (stride,) = self.ints(node, "kernel_shape", 1), self.ints(node, "strides", 1, [1])
        plain = any(self.ints(node, "pads", 2, [0, 0])) or self.ints(node, "dilations", 1, [1]) != [1]
        if (
            plain
            or node.attributes.get("ceil_mode", 0)
            or node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        ):
            raise ModelFileError(f"{self.where} is padded, dilated or rounds up; edgebat runs max pooling without")
        if not 1 <= size <= source.tensor.shape[0] or stride < 1:
            raise ModelFileError(
                f"{self.where} has a window of {size}, stride {stride}, on {source.tensor.shape[0]} positions"
            )
        pooled = self.max_pool(source, node.outputs[0], size, stride)
        return Dequantized(pooled) if isinstance(value, Dequantized) else pooled

    def on_transpose(self, node: OnnxNode) -> Value:
        if node.attributes.get("perm") != [0, 2, 1]:
            raise ModelFileError(f"{self.where} has perm {node.attributes.get('perm')}; allowed: [0, 2, 1]")
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            return replace(value, moves=(*value.moves, ("transpose", ())))
        source = self.quantized(node)
        if len(source.tensor.shape) != 2:
            raise ModelFileError(f"{self.where} transposes {source.tensor.shape}")
        turned = replace(source, channels_first=not source.channels_first)
        return Dequantized(turned) if isinstance(value, Dequantized) else turned

    def on_flatten(self, node: OnnxNode) -> Value:
        if node.attributes.get("axis", 1) != 1:
            raise ModelFileError(f"{self.where} flattens from axis {node.attributes.get('axis')}; allowed: 1")
        return self.flat(node)

    def on_reshape(self, node: OnnxNode) -> Value:
        shape = self.constant(node, 1, "int64").ravel().tolist()
        value = self.value(node, 0)
        size = int(np.prod(value.shape if isinstance(value, kinds.RawInput) else self.quantized(node).tensor.shape))
        if len(shape) != 2 or shape[1] not in (-1, size) or shape[0] not in (0, 1, -1):
            raise ModelFileError(f"{self.where} reshapes to {shape}; edgebat reads a flattening to [N, {size}] only")
        return self.flat(node)

    def flat(self, node: OnnxNode) -> Value:
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            return replace(value, moves=(*value.moves, ("flatten", ())))
        result = self.flattened(self.quantized(node), node.outputs[0])
        return Dequantized(result) if isinstance(value, Dequantized) else result

    def on_squeeze(self, node: OnnxNode) -> Value:
        shape = self.quantized(node).tensor.shape
        if len(shape) != 2 or shape[0] != 1:
            raise ModelFileError(f"{self.where} squeezes a value of shape {shape}; edgebat reads [N, C, 1]")
        return self.flat(node)

    def on_identity(self, node: OnnxNode) -> Value:
        return self.value(node, 0)

    # -- shared parts

    def ints(self, node: OnnxNode, name: str, count: int, default: list[int] | None = None) -> list[int]:
        found: Any = node.attributes.get(name, default)
        if (
            not isinstance(found, list)
            or len(found) != count
            or not all(isinstance(v, int) and 0 <= v < 1 << 20 for v in found)
        ):
            raise ModelFileError(f"{self.where}: attribute {name} is {found}; {count} small numbers are expected (1-D)")
        return found

    def image(self, source: Quantized) -> Quantized:
        if len(source.tensor.shape) != 2 or not source.channels_first:
            raise ModelFileError(
                f"{self.where} works on {source.tensor.shape} with channels last; edgebat reads [N, C, T]"
            )
        return source

    def dense(self, source: Quantized, weight: QuantizedConstant, transposed: bool, bias: Array | None) -> Linear:
        """transposed: the file's weights are [O, I], as the graph's; else [I, O]."""
        if weight.values.ndim != 2 or source.channels_first:
            raise ModelFileError(
                f"{self.where}: weights have shape {weight.values.shape}, or the input is channels first"
            )
        values = weight.values if transposed else weight.values.T
        scale = self.channel_scale(weight, len(values), 0 if transposed else 1)
        if source.order is not None:
            c, t = source.order
            if values.shape[1] != c * t:
                raise ModelFileError(f"{self.where}: weights take {values.shape[1]} inputs; there are {c * t}")
            values = values.reshape(-1, c, t).transpose(0, 2, 1).reshape(-1, t * c)
            source = replace(source, order=None)
        return Linear("dense", source, np.ascontiguousarray(values), scale, self.whole_bias(bias, len(values)))

    def whole_bias(self, bias: Array | None, channels: int) -> Array:
        if bias is None:
            return np.zeros(channels, np.int32)
        if bias.size != channels:
            raise ModelFileError(f"{self.where}: {bias.size} biases for {channels} channels")
        return bias.reshape(-1).astype(np.int32)

    def convolution(self, node: OnnxNode, source: Quantized, weight: QuantizedConstant, bias: Array | None) -> Linear:
        source = self.image(source)
        values, channels = weight.values, source.tensor.shape[1]
        if (
            values.ndim != 3
            or 0 in values.shape
            or node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        ):
            raise ModelFileError(
                f"{self.where}: weights of shape {values.shape}, or auto_pad; edgebat runs 1-D convolutions"
            )
        outs, _, kernel = values.shape
        (stride,), (dilation,) = self.ints(node, "strides", 1, [1]), self.ints(node, "dilations", 1, [1])
        left, right = self.ints(node, "pads", 2, [0, 0])
        group = node.attributes.get("group", 1)
        depthwise = group == channels == outs and values.shape[1] == 1 and group != 1
        reach = (kernel - 1) * dilation + 1
        if min(stride, dilation) < 1 or source.tensor.shape[0] + left + right < reach or not (depthwise or group == 1):
            raise ModelFileError(
                f"{self.where}: stride {stride}, dilation {dilation}, group {group}, or a kernel longer than its input; "
                "edgebat runs plain and depthwise convolutions"
            )
        scale = self.channel_scale(weight, outs, 0)
        values = values[:, 0].T if depthwise else values.transpose(0, 2, 1)
        return Linear(
            "depthwise" if depthwise else "conv", source, np.ascontiguousarray(values), scale, self.whole_bias(bias, outs),
            stride, dilation, (left, right),
        )  # fmt: skip

    def constant_addition(self, name: str) -> ModelFileError:
        return ModelFileError(
            f"{self.where}: {name!r} is a quantized constant that is added; edgebat reads biases of Gemm and Conv only. "
            "Run onnxruntime.quantization.quant_pre_process first: it makes one Gemm of MatMul and Add"
        )

    def sum(self, a: Quantized, b: Quantized) -> kinds.Sum:
        if a.tensor.shape != b.tensor.shape or a.channels_first != b.channels_first or a.order != b.order:
            raise ModelFileError(f"{self.where} adds {a.tensor.shape} and {b.tensor.shape}; edgebat adds equal shapes")
        return kinds.Sum((a, b))
