"""TFLite operators, one by one, as operators of the integer graph."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import average_multiplier, float_requant, recover_shift
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.foreign import ImporterBase
from edgebat.formats.tflite.lstm import read_lstm
from edgebat.formats.tflite.model import FileOperator
from edgebat.formats.tflite.schema import PADDING
from edgebat.graph import model as ops
from edgebat.graph.model import Requant, Tensor, reach


class Importer(ImporterBase):
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
        if len(source.shape) == 2 and not operator.options.get("keep_num_dims") and source.shape[1] != ins:
            source = self.flatten(source, f"{self.model.tensors[operator.outputs[0]].name}/flat")
        target = self.target(operator)
        requant = self.requant(operator, source, target, scale)
        bias = self.bias(operator, 2, outs)
        node = ops.Dense(self.label(target), (source.name,), target.name, weight.values, bias, scale, requant)
        self.finish(node, source, target)

    def flatten(self, source: Tensor, name: str) -> Tensor:
        target = Tensor(name, (int(np.prod(source.shape)),), source.dtype, source.scale, source.zero_point)
        self.tensors[name] = target
        self.nodes.append(ops.Flatten(name, (source.name,), name))
        return target

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
        source = self.source(operator)
        if tensor.dtype == "int8":
            target = self.target(operator)
            table = rules.requantize_table(source, target)
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

    def on_dequantize(self, operator: FileOperator) -> None:
        self.dequantized[operator.outputs[0]] = self.source(operator)

    def convolution_padding(
        self, operator: FileOperator, kernel: int, dilation: int
    ) -> tuple[Tensor, int, tuple[int, int]]:
        """(source, stride, (left, right)); a PAD operator in front is folded into the padding."""
        options = operator.options
        self.expect_inputs(operator, 2)
        explicit = (0, 0)
        if operator.inputs[0] in self.padded:
            source, explicit = self.padded[operator.inputs[0]]
        else:
            source = self.source(operator)
        stride = options.get("stride_w", 1)
        if len(source.shape) != 2 or min(stride, dilation) < 1 or max(stride, dilation) > source.shape[0] + 1:
            raise ModelFileError(
                f"{operator.where}: stride {stride}, dilation {dilation} on an input of shape {list(source.shape)}"
            )
        if options.get("stride_h", 1) not in (1, stride) or options.get("dilation_h", 1) not in (0, 1, dilation):
            raise ModelFileError(f"{operator.where} moves along the axis of size 1; edgebat runs 1-D convolutions")
        match options.get("padding", PADDING["same"]):
            case 0:
                same = rules.same_padding(source.shape[0] + sum(explicit), kernel, stride, dilation)
                return source, stride, (explicit[0] + same[0], explicit[1] + same[1])
            case 1:
                return source, stride, explicit
            case other:
                raise ModelFileError(f"{operator.where} has padding {other}; allowed: 0 (same), 1 (valid)")

    def on_conv_2d(self, operator: FileOperator) -> None:
        weight = self.constant(operator, 1, "int8", rank=4)
        outs, height, kernel, _ = weight.shape
        if height != 1:
            raise ModelFileError(f"{operator.where}: weights have shape {list(weight.shape)}; allowed: [O, 1, K, C]")
        dilation = operator.options.get("dilation_w", 1)
        source, stride, padding = self.convolution_padding(operator, kernel, dilation)
        target = self.target(operator)
        scale = self.weight_scale(operator, weight, outs)
        node = ops.Conv1D(
            self.label(target), (source.name,), target.name, weight.values[:, 0], self.bias(operator, 2, outs), scale,
            self.requant(operator, source, target, scale), stride, dilation, padding,
        )  # fmt: skip
        self.finish(node, source, target)

    def on_depthwise_conv_2d(self, operator: FileOperator) -> None:
        weight = self.constant(operator, 1, "int8", rank=4)
        _, height, kernel, channels = weight.shape
        dilation = operator.options.get("dilation_w", 1)
        source, stride, padding = self.convolution_padding(operator, kernel, dilation)
        if weight.shape[0] != 1 or height != 1 or channels != source.shape[-1]:
            raise ModelFileError(
                f"{operator.where}: weights have shape {list(weight.shape)}; allowed: [1, 1, K, C], one filter a channel"
            )
        target = self.target(operator)
        scale, bias = self.weight_scale(operator, weight, channels), self.bias(operator, 2, channels)
        values = weight.values[0, 0]
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
        amounts = self.constant(operator, 1, "int32", rank=2)
        if amounts.shape not in ((3, 2), (4, 2)) or len(source.shape) != 2 or len(operator.inputs) != 2:
            raise ModelFileError(
                f"{operator.where} pads {list(amounts.shape)} sides; edgebat pads sequences before a convolution"
            )
        rows = amounts.values.tolist()
        left, right = rows[-2]
        if any(side for row in [*rows[:-2], rows[-1]] for side in row) or not (
            0 <= left <= 65535 and 0 <= right <= 65535
        ):
            raise ModelFileError(f"{operator.where} pads by {rows}; edgebat pads along time only")
        if not tensor.quantized_as(source.scale, source.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point")
        self.padded[tensor.index] = (source, (left, right))

    def pooling_window(self, operator: FileOperator) -> tuple[Tensor, Tensor, int, int]:
        """(source, target, size, stride) of a pooling without padding along the axis that is not of size 1."""
        source, options = self.source(operator), operator.options
        shape = self.model.tensors[operator.inputs[0]].shape
        along, across = ("h", "w") if len(shape) == 4 and shape[2] == 1 and shape[1] != 1 else ("w", "h")
        size, stride = options.get(f"filter_{along}", 0), options.get(f"stride_{along}", 0)
        if (
            options.get(f"filter_{across}", 1) != 1
            or len(source.shape) != 2
            or not 1 <= size <= source.shape[0]
            or stride < 1
        ):
            raise ModelFileError(
                f"{operator.where} has a window of {size}, stride {stride}, on shape {list(source.shape)}"
            )
        target = self.target(operator)
        padded = options.get("padding", 0) == 0 and rules.same_padding(source.shape[0], size, stride, 1) != (0, 0)
        if padded or self.bounds(operator, target) != (-128, 127):
            raise ModelFileError(f"{operator.where} has padding or an activation; edgebat runs pooling without")
        return source, target, size, stride

    def on_max_pool_2d(self, operator: FileOperator) -> None:
        source, target, size, stride = self.pooling_window(operator)
        self.nodes.append(ops.MaxPool1D(self.label(target), (source.name,), target.name, size, stride))

    def on_average_pool_2d(self, operator: FileOperator) -> None:
        source, target, size, stride = self.pooling_window(operator)
        if size % 2 == 0:
            raise ModelFileError(
                f"{operator.where} averages over {size} positions; TFLite rounds halves of the raw integers away from "
                "zero, which edgebat does not. Use an odd window, or global average pooling"
            )
        self.average(operator, source, target, size, stride)

    def average(self, operator: FileOperator, source: Tensor, target: Tensor, size: int, stride: int) -> None:
        real = average_multiplier(source.scale, size, target.scale)
        requant = float_requant(real, target.zero_point, *self.bounds(operator, target))
        self.nodes.append(ops.AveragePool1D(self.label(target), (source.name,), target.name, size, stride, requant))

    def over_time(self, operator: FileOperator) -> tuple[Tensor, Tensor, Tensor]:
        """(source [T, C], an intermediate [1, C], target [C]) of a reduction over all time steps."""
        source = self.source(operator)
        axes = self.constant(operator, 1, "int32").values.ravel().tolist()
        rank = len(self.model.tensors[operator.inputs[0]].shape)
        time = {axis % rank for axis in axes} if all(-rank <= axis < rank for axis in axes) else set()
        target = self.target(operator)
        if len(source.shape) != 2 or time not in ({rank - 2}, {1, 2}) or target.shape != source.shape[1:]:
            raise ModelFileError(f"{operator.where} reduces the axes {axes}; edgebat reduces over all time steps only")
        pooled = Tensor(f"{target.name}/pooled", (1, *target.shape), "int8", target.scale, target.zero_point)
        self.tensors[pooled.name] = pooled
        return source, pooled, target

    def on_mean(self, operator: FileOperator) -> None:
        source, pooled, target = self.over_time(operator)
        self.average(operator, source, pooled, source.shape[0], 1)
        self.nodes.append(ops.Flatten(self.label(target), (pooled.name,), target.name))

    def on_reduce_max(self, operator: FileOperator) -> None:
        source, pooled, target = self.over_time(operator)
        self.nodes.append(ops.MaxPool1D(pooled.name, (source.name,), pooled.name, source.shape[0], 1))
        self.nodes.append(ops.Flatten(self.label(target), (pooled.name,), target.name))

    def on_reshape(self, operator: FileOperator) -> None:
        tensor = self.model.tensors[operator.outputs[0]]
        if operator.inputs and operator.inputs[0] in self.padded:
            before = self.model.tensors[operator.inputs[0]]
            if self.sample_shape(tensor, operator.where) != self.sample_shape(before, operator.where):
                raise ModelFileError(
                    f"{operator.where} reshapes a padded sequence; edgebat reads PAD before a convolution"
                )
            self.padded[tensor.index] = self.padded[operator.inputs[0]]
            return
        source = self.source(operator)
        shape = self.sample_shape(tensor, operator.where)
        if not tensor.quantized_as(source.scale, source.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point")
        if shape == source.shape:
            self.values[tensor.index] = source  # only an axis of size 1 comes or goes
        elif shape == (int(np.prod(source.shape)),):
            target = self.target(operator)
            self.nodes.append(ops.Flatten(self.label(target), (source.name,), target.name))
        else:
            raise ModelFileError(
                f"{operator.where} turns {list(source.shape)} into {list(shape)}; edgebat only flattens"
            )

    on_expand_dims = on_squeeze = on_reshape

    def on_concatenation(self, operator: FileOperator) -> None:
        sources = [self.source(operator, position) for position in range(len(operator.inputs))]
        target = self.target(operator)
        rank = len(self.model.tensors[operator.outputs[0]].shape)
        if operator.options.get("axis", 0) not in (-1, rank - 1) or self.bounds(operator, target) != (-128, 127):
            raise ModelFileError(f"{operator.where} joins another axis than the last, or has an activation")
        self.nodes.append(ops.Concat(self.label(target), tuple(source.name for source in sources), target.name))

    def on_add(self, operator: FileOperator) -> None:
        if operator.inputs[:1] and operator.inputs[0] in self.indices:
            self.add_index(operator)
            return
        sources = [self.source(operator, position) for position in (0, 1)]
        target = self.target(operator)
        scales = (sources[0].scale, sources[1].scale)
        try:
            multipliers, requant = rules.add_rounding(scales, target, self.bounds(operator, target))
        except ModelFileError as error:
            raise ModelFileError(f"{operator.where}: {error}") from None
        names = (sources[0].name, sources[1].name)
        self.nodes.append(ops.Add(self.label(target), names, target.name, multipliers, requant))

    # -- tables: one operator, or a cast to int32, an addition of 128 and a gather

    def on_tanh(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.target(operator)
        function = self.hint(target).get("function", {"TANH": "tanh", "LOGISTIC": "sigmoid"}[operator.kind])
        table = rules.function_table(rules.LUT_FUNCTIONS[operator.kind].compute, source, target)
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, str(function), table))

    on_logistic = on_tanh

    def on_cast(self, operator: FileOperator) -> None:
        source = self.source(operator)
        if self.model.tensors[operator.outputs[0]].dtype != "int32" or source.dtype != "int8":
            raise ModelFileError(f"{operator.where}: edgebat reads CAST from int8 to int32, before a table, only")
        self.indices[operator.outputs[0]] = (source, 0)

    def add_index(self, operator: FileOperator) -> None:
        source, added = self.indices[operator.inputs[0]]
        constant = self.constant(operator, 1, "int32", rank=1)
        if constant.shape != (1,) or operator.options.get("activation", 0):
            raise ModelFileError(
                f"{operator.where}: edgebat reads an int32 addition of one constant before a table only"
            )
        self.indices[operator.outputs[0]] = (source, added + int(constant.values[0]))

    def on_gather(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 2)
        source, added = self.indices.get(operator.inputs[1], (None, 0))
        table = self.constant(operator, 0, "int8", rank=1)
        if source is None or added != 128 or table.shape != (256,):
            raise ModelFileError(f"{operator.where}: edgebat reads GATHER from a table of 256 at x + 128 only")
        if operator.options.get("axis", 0) or operator.options.get("batch_dims", 0):
            raise ModelFileError(f"{operator.where} gathers along another axis")
        target = self.target(operator)
        function = str(self.hint(target).get("function", "table"))
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, function, table.values))

    def on_strided_slice(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.target(operator)
        rank = len(self.model.tensors[operator.inputs[0]].shape)
        time = rank - 2
        begin, end, strides = (self.constant(operator, position, "int32", rank=1).values for position in (1, 2, 3))
        options = operator.options
        full = ((1 << rank) - 1) & ~(1 << time)
        shrink = options.get("shrink_axis_mask", 0)
        last = len(source.shape) == 2 and len(begin) == len(end) == len(strides) == rank
        last = last and int(begin[time]) in (-1, source.shape[0] - 1) and (strides == 1).all()
        last = last and options.get("begin_mask", 0) & full == full and options.get("end_mask", 0) & full == full
        last = last and shrink >> time & 1 == 1 and not shrink & ~(1 << time) & ~(2 if rank == 4 else 0)
        last = last and not options.get("begin_mask", 0) >> time & 1 and not options.get("new_axis_mask", 0)
        if not last or options.get("ellipsis_mask", 0) or options.get("offset"):
            raise ModelFileError(f"{operator.where}: edgebat reads a slice of the last time step, [:, -1, :], only")
        self.nodes.append(ops.LastStep(self.label(target), (source.name,), target.name))

    def on_unidirectional_sequence_lstm(self, operator: FileOperator) -> None:
        self.nodes.append(read_lstm(self, operator))
