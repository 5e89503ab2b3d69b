"""TFLite operators, one by one, as operators of the integer graph."""

from __future__ import annotations

from functools import partial

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import recover_shift
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.foreign import Table
from edgebat.formats.tflite.functions import in_float
from edgebat.formats.tflite.gru_read import read_gru
from edgebat.formats.tflite.lstm import read_lstm
from edgebat.formats.tflite.model import FileOperator, FileTensor
from edgebat.formats.tflite.moves import MoveImporter
from edgebat.formats.tflite.schema import PADDING
from edgebat.graph import model as ops
from edgebat.graph.model import Requant, Tensor, reach


class Importer(MoveImporter):
    """One method ``on_<operator>`` per operator; see `ImporterBase.graph`."""

    def on_fully_connected(self, operator: FileOperator) -> None:
        if operator.options.get("weights_format", 0) or operator.options.get("asymmetric_quantize_inputs"):
            raise ModelFileError(f"{operator.where} has shuffled or float weights; edgebat reads plain int8 ones")
        weight = self.constant(operator, 1, "int8", rank=2)
        outs, ins = weight.shape
        scale = self.weight_scale(operator, weight, outs)
        if operator.inputs[0] in self.widened:
            self.head(operator, weight.values, scale)
            return
        source = self.source(operator)
        rows = operator.inputs[0] in self.rows or operator.options.get("keep_num_dims")
        if len(source.shape) == 2 and not rows and source.shape[1] != ins:
            source = self.flatten(source, f"{self.model.tensors[operator.outputs[0]].name}/flat")
        target = self.target(operator)
        requant = self.requant(operator, source, target, scale)
        bias = self.bias(operator, 2, outs)
        node = ops.Dense(self.label(target), (source.name,), target.name, weight.values, bias, scale, requant)
        self.finish(node, source, target)

    def head(self, operator: FileOperator, weight: Array, scale: Array) -> None:
        """FULLY_CONNECTED 16x8: the input is ``(x - zp) * 2**power``, hence the bias as well."""
        source, power = self.widened[operator.inputs[0]]
        target = self.target(operator)
        if target.dtype != "int16" or target.zero_point != 0:
            raise ModelFileError(f"{operator.where}: a 16-bit input needs an int16 output with zero point 0")
        wide = self.bias(operator, 2, len(weight), "int64")
        low, high = self.bounds(operator, target)
        real = source.scale / 2**power * scale.astype(np.float64) / target.scale
        if not (np.isfinite(real).all() and (real > 0).all() and (real < 2.0**15).all() and (real > 2.0**-30).all()):
            raise ModelFileError(f"{operator.where}: s_in * s_w / s_out is {real.tolist()[:4]}, out of any use")
        short, exponent = rules.short_multipliers(real)
        k, n = short.astype(np.int32), (15 - exponent - power).astype(np.int32)
        bias = wide >> power
        if (n < 1).any() or (n > 46).any() or (np.abs(bias) >= 1 << 31).any():
            raise ModelFileError(f"{operator.where}: its scales or biases are out of any use")
        plain = Requant("shift", 0, low, high, k, n, np.zeros(len(k), np.int32), real.astype(np.float32), wide=True)
        node = ops.Dense(self.label(target), (source.name,), target.name, weight, bias.astype(np.int32), scale, plain)
        remainder = wide - (bias << power)
        bound = reach(node, source)
        micro = rules.lifted_engine(rules.head_engines(real)[0], power, remainder)
        found = recover_shift(plain, self.hint(target).get("requant"), micro, bound)
        if (
            found is not None
            and power == rules.HEAD_SHIFT
            and np.array_equal(remainder, rules.head_offset(found.multiplier))
        ):
            exact = (found.multiplier * 2.0 ** -found.shift.astype(np.float64)).astype(np.float32)
            found = Requant("shift", 0, low, high, found.multiplier, found.shift, found.clamp, exact, found.wide)
            node = ops.Dense(node.name, node.inputs, node.output, weight, node.bias, scale, found)
        self.nodes.append(node)

    def on_quantize(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 1)
        tensor = self.model.tensors[operator.outputs[0]]
        if operator.inputs[0] in self.real:
            if self.input is not None:
                raise ModelFileError(f"{operator.where} quantizes the input a second time")
            self.input = self.target(operator)
            return
        if operator.inputs[0] in self.dequantized:
            self.append_table(
                operator, self.dequantized[operator.inputs[0]], partial(in_float, np.positive), "requantize"
            )
            return
        if operator.inputs[0] in self.computed:
            self.append_table(operator, *self.computed[operator.inputs[0]], "elu")
            return
        source = self.source(operator)
        if tensor.dtype in ("int8", "uint8"):
            zero = int(tensor.zero_point[0]) - (128 if tensor.dtype == "uint8" else 0) if len(tensor.scale) == 1 else 0
            if len(tensor.scale) == 1 and (source.scale, source.zero_point) == (float(tensor.scale[0]), zero):
                self.values[tensor.index] = source  # from uint8 to int8 or back: the same integers less 128
                return
            target = self.border(tensor, operator.where)
            table = self.rounding.requantize(source, target)
            self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, "requantize", table))
            return
        if tensor.dtype != "int16" or len(tensor.scale) != 1 or tensor.zero_point.any():
            raise ModelFileError(f"{operator.where}: edgebat reads QUANTIZE to int8, or to int16 with zero point 0")
        power = int(np.rint(np.log2(source.scale / float(tensor.scale[0]))))
        if not 0 <= power <= rules.HEAD_SHIFT or float(tensor.scale[0]) * 2**power != source.scale:
            raise ModelFileError(
                f"{operator.where}: its scale {tensor.scale[0]!r} is not {source.scale!r} divided by 1, 2, 4 .. 128"
            )
        self.widened[tensor.index] = (source, power)

    def append_table(self, operator: FileOperator, source: Tensor, compute: Table, function: str) -> None:
        """What has happened to ``source`` in float32, as a table."""
        target = self.target(operator)
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, function, compute(source, target)))

    def on_dequantize(self, operator: FileOperator) -> None:
        self.dequantized[operator.outputs[0]] = self.source(operator)

    def convolution_padding(
        self, operator: FileOperator, kernel: int, dilation: int, along: str
    ) -> tuple[Tensor, int, tuple[int, int]]:
        """(source, stride, (left, right)) along time; a PAD operator in front is folded into the padding."""
        options = operator.options
        self.expect_inputs(operator, 2)
        explicit = (0, 0)
        if operator.inputs[0] in self.padded:
            source, explicit = self.padded[operator.inputs[0]]
        else:
            source = self.source(operator)
        stride = options.get(f"stride_{along}", 1)
        if len(source.shape) != 2 or min(stride, dilation) < 1 or max(stride, dilation) > source.shape[0] + 1:
            raise ModelFileError(
                f"{operator.where}: stride {stride}, dilation {dilation} on an input of shape {list(source.shape)}"
            )
        match options.get("padding", PADDING["same"]):
            case 0:
                same = rules.same_padding(source.shape[0] + sum(explicit), kernel, stride, dilation)
                return source, stride, (explicit[0] + same[0], explicit[1] + same[1])
            case 1:
                return source, stride, explicit
            case other:
                raise ModelFileError(f"{operator.where} has padding {other}; allowed: 0 (same), 1 (valid)")

    def taps(self, operator: FileOperator, weight: FileTensor) -> tuple[Array, int, str]:
        """(weights [O, K, C] along time, dilation, "w" or "h"): across the axis of size 1 only one tap meets the input."""
        options = operator.options
        time = self.time_axis(self.model.tensors[operator.inputs[0]]) if operator.inputs else 2
        along, across = ("w", "h") if time == 2 else ("h", "w")
        values = weight.values if time == 2 else weight.values.swapaxes(1, 2)
        width, step = values.shape[1], max(options.get(f"dilation_{across}", 1), 1)
        if width > 1 and options.get("padding", PADDING["same"]) != PADDING["same"]:
            raise ModelFileError(
                f"{operator.where}: weights {list(weight.shape)} reach over {width} positions of an axis of size 1 without "
                f"padding; allowed: 1. Transpose the kernel, so that its longer side lies along time"
            )
        before = (width - 1) * step // 2
        hit = values[:, before // step] if before % step == 0 else np.zeros_like(values[:, 0])
        return np.ascontiguousarray(hit), options.get(f"dilation_{along}", 1), along

    def on_conv_2d(self, operator: FileOperator) -> None:
        if self.waits(operator):
            return
        weight = self.constant(operator, 1, "int8", rank=4)
        values, dilation, along = self.taps(operator, weight)
        outs, kernel, _ = values.shape
        source, stride, padding = self.convolution_padding(operator, kernel, dilation, along)
        groups = source.shape[-1] // max(values.shape[2], 1)
        if values.shape[2] * groups != source.shape[-1] or outs % max(groups, 1):
            raise ModelFileError(
                f"{operator.where}: weights {list(weight.shape)} do not fit {source.shape[-1]} channels, nor groups of them"
            )
        target = self.target(operator)
        scale = self.weight_scale(operator, weight, outs)
        full, bias = rules.grouped(values, groups), self.bias(operator, 2, outs)
        requant = self.requant(operator, source, target, scale)
        node = ops.Conv1D(
            self.label(target), (source.name,), target.name, full, bias, scale, requant, stride, dilation, padding
        )
        self.finish(node, source, target)

    def on_depthwise_conv_2d(self, operator: FileOperator) -> None:
        if self.waits(operator):
            return
        weight = self.constant(operator, 1, "int8", rank=4)
        taps, dilation, along = self.taps(operator, weight)
        kernel, channels = taps.shape[1:]
        source, stride, padding = self.convolution_padding(operator, kernel, dilation, along)
        if weight.shape[0] != 1 or channels % source.shape[-1] != 0:
            raise ModelFileError(
                f"{operator.where}: weights have shape {list(weight.shape)}; allowed: [1, 1, K, C], C a multiple of "
                f"{source.shape[-1]}"
            )
        target = self.target(operator)
        scale, bias = self.weight_scale(operator, weight, channels), self.bias(operator, 2, channels)
        values = taps[0]
        if channels != source.shape[-1]:  # several filters a channel: a convolution that is zero elsewhere
            owner = np.arange(channels) // (channels // source.shape[-1])
            spread = np.where(np.arange(source.shape[-1]) == owner[:, None, None], values.T[:, :, None], 0).astype(
                np.int8
            )
            self.finish(
                ops.Conv1D(
                    self.label(target), (source.name,), target.name, spread, bias, scale,
                    self.requant(operator, source, target, scale), stride, dilation, padding,
                ), source, target,
            )  # fmt: skip
            return
        uniform = (values == 1).all() and not bias.any() and (scale == scale[0]).all()
        if self.hint(target).get("op") == ops.AveragePool1D.op and uniform and padding == (0, 0) and dilation == 1:
            requant = self.requant(operator, source, target, scale[:1])
            pool = ops.AveragePool1D(self.label(target), (source.name,), target.name, kernel, stride, requant)
            self.finish(pool, source, target)
            return
        requant = self.requant(operator, source, target, scale)
        node = ops.DepthwiseConv1D(
            self.label(target), (source.name,), target.name, values, bias, scale, requant, stride, dilation, padding
        )
        self.finish(node, source, target)

    def on_pad(self, operator: FileOperator) -> None:
        source, tensor = self.source(operator), self.model.tensors[operator.outputs[0]]
        sides = self.time_padding(operator)
        if not tensor.quantized_as(source.scale, source.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point")
        self.padded[tensor.index] = (source, sides)

    def on_unidirectional_sequence_lstm(self, operator: FileOperator) -> None:
        self.nodes += read_lstm(self, operator)

    def on_edgebat_gru(self, operator: FileOperator) -> None:
        self.nodes.append(read_gru(self, operator))
