"""A float network out of a TensorFlow Lite file, with NumPy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.tflite.model import FileModel, FileOperator, FileTensor, parse_tflite, read_bytes
from edgebat.formats.tflite.rules import same_padding
from edgebat.formats.tflite.schema import ACTIVATION, METADATA_NAME, PADDING
from edgebat.networks import functions
from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, ONE, TIME, Value
from edgebat.networks.build import Builder
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.outputs import finished
from edgebat.networks.refusals import ONE_INPUT, remedy, require_float
from edgebat.networks.tflite_recurrent import Inside, RecurrentOperators

_BY_AXIS = (
    "MEAN", "REDUCE_MAX", "SLICE", "STRIDED_SLICE", "CONCATENATION", "PAD", "PADV2", "REVERSE_V2", "TRANSPOSE",
)  # fmt: skip
_ACTIVATION_NAME = {number: name for name, number in ACTIVATION.items()}


def read_float_tflite(path: Path) -> FloatNetwork:
    """The layers of a float ``.tflite`` file. Raises ModelFileError."""
    return float_tflite(read_bytes(path), str(path), path.stem)


def float_tflite(data: bytes, what: str, name: str) -> FloatNetwork:
    """As `read_float_tflite`, from the file's content."""
    model = parse_tflite(data, what, loops=True)
    if METADATA_NAME in model.metadata:
        raise ModelFileError(f"{what} is an int8 model that edgebat wrote; export, verify and bench take it as it is")
    require_float(model, what)
    return _Reader(model, what).network(name)


@dataclass(frozen=True)
class _Spaced:
    """A sequence that SPACE_TO_BATCH_ND has cut for a dilated convolution, and the convolution on it."""

    value: Value
    block: int
    padding: tuple[int, int]
    convolution: FileOperator | None = None


class _Reader(RecurrentOperators):
    """One method ``on_<operator>`` for each operator."""

    def __init__(self, model: FileModel, what: str) -> None:
        self.model, self.what = model, what
        if len(model.inputs) != 1 or not model.outputs:
            raise ModelFileError(f"{what} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; {ONE_INPUT}")
        source = model.tensors[model.inputs[0]]
        shape = source.shape
        if source.dtype != "float32" or len(shape) < 2 or shape[0] not in (-1, 1) or min(shape[1:]) < 1:
            raise ModelFileError(
                f"{what}: input {source.name!r} is {source.dtype} {list(source.shape)}; allowed: float32 [1, ...], fixed. "
                "Convert with a fixed batch of 1 and fixed time steps"
            )
        self.build = Builder(what, "tflite", source.shape[1:], channels_first=False)
        self.values: dict[int, Any] = {source.index: self.build.input}
        self.known: dict[int, Array] = {}  # constants that the file computes, and widened float16 ones

    def network(self, name: str) -> FloatNetwork:
        with self.build.reading():
            return self.whole(name)

    def whole(self, name: str) -> FloatNetwork:
        for operator in self.model.operators:
            output = self.model.tensors[operator.outputs[0]] if operator.outputs else None
            self.build.where = operator.where
            self.build.source = f"{operator.kind} {'' if output is None else output.name}".strip()
            if output is None:
                self.build.fail("it has no output")
            if self.is_done(operator):
                continue
            values = [self.values.get(i) for i in operator.inputs]
            if operator.kind == "DEQUANTIZE" and (wide := self.widened(operator)) is not None:
                self.known[output.index] = wide
                continue
            if not any(isinstance(value, Value | _Spaced) for value in values):
                if all(i < 0 or self.model.tensors[i].data is not None for i in operator.inputs):
                    self.build.fail("it works on constants alone; fold them when the model is converted")
                self.build.fail("it reads what no operator before it writes")
            try:
                with self.build.reading():
                    self.require_ranks(operator)
                    if (result := self.operator(operator)) is not None:
                        self.require_size(result, output)
                        self.values[output.index] = result
            except ModelFileError as error:
                if not self.has_loops():
                    raise
                # It may be within a layer above, which reads the last step of one below.
                self.within(operator, Inside(str(error)))
        last = [self.values.get(output) for output in self.model.outputs]
        if isinstance(last[0], Inside):
            raise ModelFileError(last[0].reason)
        return finished(self.build, last, name, [self.model.tensors[output].name for output in self.model.outputs])

    def widened(self, operator: FileOperator) -> Array | None:
        """float16 weights, as a converter with that optimization leaves them, in float32."""
        index = operator.inputs[0] if operator.inputs else -1
        tensor = self.model.tensors[index] if index >= 0 else None
        if tensor is None or tensor.dtype != "float16" or tensor.data is None:
            return None
        return tensor.data.astype(np.float32)

    def require_ranks(self, operator: FileOperator) -> None:
        """Refuse to count axes of a tensor that has others here, the batch in front of them."""
        for index in operator.inputs if operator.kind in _BY_AXIS else ():
            found, shape = self.values.get(index), self.model.tensors[index].shape
            if isinstance(found, Value) and len(found.axes) != len(shape):
                self.build.fail(f"it counts axes of {list(shape)}, which has lost its batch; keep it as the first axis")

    def require_size(self, result: Any, output: FileTensor) -> None:
        """Refuse a result of another size than the file says."""
        if isinstance(result, Value) and min(output.shape, default=1) > 0:
            own = self.build.shape(result)
            if -math.prod(own) != math.prod(output.shape):
                self.build.fail(f"its result would be {list(own)}, and is {list(output.shape)} in the file")

    def operator(self, operator: FileOperator) -> Any:
        if operator.kind in _FUNCTIONS:
            name, compute = _FUNCTIONS[operator.kind]
            return self.build.function(self.value(operator), name, compute)
        method = getattr(self, f"on_{operator.kind.lower()}", None)
        if method is None:
            known = sorted({n[3:].upper() for n in dir(self) if n.startswith("on_")} | set(_FUNCTIONS))
            return self.build.fail(
                remedy(operator.kind) or f"edgebat does not quantize this operator; it knows {', '.join(known)}"
            )
        return method(operator)

    # -- values and constants

    def value(self, operator: FileOperator, position: int = 0) -> Value:
        found = self.values.get(operator.inputs[position]) if position < len(operator.inputs) else None
        if not isinstance(found, Value):
            self.build.fail(f"input {position} is no layer's output")
        return found

    def constant(self, operator: FileOperator, position: int, rank: int | None = None) -> Array:
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        data = self.known.get(index, self.model.tensors[index].data) if index >= 0 else None
        if data is None or (rank is not None and data.ndim != rank):
            self.build.fail(f"input {position} is no constant" + ("" if rank is None else f" of {rank} axes"))
        return data

    def bias(self, operator: FileOperator, position: int, outs: int) -> Array:
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            return np.zeros(outs)
        return self.constant(operator, position).astype(np.float64).reshape(-1)

    def activated(self, operator: FileOperator, value: Value) -> Value:
        name = _ACTIVATION_NAME.get(operator.options.get("activation", 0), "unknown")
        if name == "none":
            return value
        if name == "relu_n1_to_1":
            return self.build.function(value, "clip", functions.clip(-1.0, 1.0))
        if name not in functions.PLAIN:
            self.build.fail(f"it has the activation {name}; allowed: none, relu, relu6, relu_n1_to_1, tanh")
        return self.build.function(value, name, functions.PLAIN[name])

    def output(self, operator: FileOperator) -> FileTensor:
        return self.model.tensors[operator.outputs[0]]

    # -- linear layers

    def on_fully_connected(self, operator: FileOperator) -> Value:
        value, weight = self.value(operator), self.constant(operator, 1, 2)
        if operator.options.get("weights_format", 0):
            self.build.fail("its weights are shuffled")
        shape = self.build.shape(value)
        if shape[-1] != weight.shape[1]:
            value = self.build.flatten(value)
        return self.activated(operator, self.build.dense(value, weight, self.bias(operator, 2, len(weight))))

    def on_conv_2d(self, operator: FileOperator) -> Any:
        return self.convolution(operator, self.constant(operator, 1, 4), 1)

    def on_depthwise_conv_2d(self, operator: FileOperator) -> Any:
        weight = self.constant(operator, 1, 4)  # [1, H, W, C * m]
        return self.convolution(operator, weight.transpose(3, 1, 2, 0), 0)

    def convolution(self, operator: FileOperator, weight: Array, groups: int) -> Any:
        """weight [O, H, W, C]; groups 0: one for each channel."""
        found, build = self.values.get(operator.inputs[0]), self.build
        if isinstance(found, _Spaced):
            return _Spaced(found.value, found.block, found.padding, operator)
        return self.convolved(operator, self.value(operator), weight, groups, 0, (0, 0), build)

    def convolved(
        self, operator: FileOperator, value: Value, weight: Array, groups: int, block: int, more: tuple[int, int],
        build: Builder,
    ) -> Value:  # fmt: skip
        options, labels = operator.options, build.labels(value)
        if len(labels) != 4:
            build.fail(f"it reads {list(build.shape(value))}; allowed: [N, 1, T, C] or [N, T, 1, C]")
        time = next((place for place in (2, 1) if labels[3 - place] == ONE), None)
        if time is None:
            build.fail(f"{remedy('conv2d')}; its input is {list(build.shape(value))}")
        along, across = ("w", "h") if time == 2 else ("h", "w")
        stride, dilation = (options.get(f"{key}_{along}", 1) or 1 for key in ("stride", "dilation"))
        same = options.get("padding", PADDING["same"]) == PADDING["same"]
        width, step = weight.shape[3 - time], options.get(f"dilation_{across}", 1) or 1
        before = (width - 1) * step // 2 if same else 0
        if width > 1 and (not same or before % step):
            build.fail(
                f"weights {list(weight.shape)} reach over {width} positions of an axis of size 1; lay them along time"
            )
        # Of the kernel along an axis of size 1 only the tap on the data counts; the others meet padding.
        taps = weight.take(before // step, axis=3 - time)  # [O, K, C]
        ends = (0, 0)
        if same:
            length = build.shape(value)[time]
            ends = same_padding(length, taps.shape[1], stride, dilation)
        ends = (ends[0] + more[0], ends[1] + more[1])
        layer = kinds.Conv(taps, self.bias(operator, 2, len(taps)), stride, block or dilation, ends)
        channels = build.shape(value)[3]
        return self.activated(operator, build.conv(value, layer, time, 3, groups or channels))

    def on_space_to_batch_nd(self, operator: FileOperator) -> _Spaced:
        value = self.value(operator)
        block, ends = self.of_time(operator, value)
        return _Spaced(value, block, ends)

    def of_time(self, operator: FileOperator, value: Value) -> tuple[int, tuple[int, int]]:
        blocks, amounts = self.constant(operator, 1), self.constant(operator, 2, 2)
        active = [i for i in range(len(blocks)) if blocks[i] != 1 or amounts[i].any()]
        if len(active) > 1 or len(blocks) > 2:
            self.build.fail(f"it cuts blocks of {blocks.tolist()}; allowed: along time, around a dilated convolution")
        place = active[0] if active else 0
        return int(blocks[place]), (int(amounts[place][0]), int(amounts[place][1]))

    def on_batch_to_space_nd(self, operator: FileOperator) -> Value:
        found, build = self.values.get(operator.inputs[0]), self.build
        if not isinstance(found, _Spaced) or found.convolution is None:
            build.fail("it follows no convolution on what SPACE_TO_BATCH_ND has cut")
        block, crops = self.of_time(operator, found.value)
        padding = (found.padding[0] - crops[0], found.padding[1] - crops[1])
        inner = found.convolution
        depthwise = inner.kind == "DEPTHWISE_CONV_2D"
        weight = self.constant(inner, 1, 4)
        weight = weight.transpose(3, 1, 2, 0) if depthwise else weight
        value = found.value
        if block != found.block or min(padding) < 0 or inner.options.get("padding", 0) != PADDING["valid"]:
            build.fail(f"block {block} and crops {crops} do not undo SPACE_TO_BATCH_ND before it")
        if len(value.axes) == 3:
            value = build.unsqueeze(value, [1])
        result = self.convolved(inner, value, weight, 0 if depthwise else 1, block, padding, build)
        flat = len(found.value.axes) == 3 and len(self.output(operator).shape) == 3
        return build.squeeze(result, [1]) if flat else result

    def on_pad(self, operator: FileOperator) -> Value:
        value, amounts = self.value(operator), self.constant(operator, 1, 2)
        for axis, (left, right) in enumerate(amounts.tolist()):
            if left or right:
                value = self.build.pad(value, axis, left, right)
        return value

    def on_padv2(self, operator: FileOperator) -> Value:
        if self.constant(operator, 2).any():
            self.build.fail("it pads with other values than 0")
        return self.on_pad(operator)

    # -- pooling

    def on_max_pool_2d(self, operator: FileOperator) -> Value:
        return self.pool(operator, kinds.MaxPool)

    def on_average_pool_2d(self, operator: FileOperator) -> Value:
        return self.pool(operator, kinds.AveragePool)

    def pool(self, operator: FileOperator, kind: Any) -> Value:
        build, value, options = self.build, self.value(operator), operator.options
        labels = build.labels(value)
        time = next((place for place in (2, 1) if len(labels) == 4 and labels[3 - place] == ONE), None)
        if time is None:
            build.fail(f"it pools over two dimensions of {list(build.shape(value))}; pool along time")
        along, across = ("w", "h") if time == 2 else ("h", "w")
        size, stride = options.get(f"filter_{along}", 0), options.get(f"stride_{along}", 0)
        length = build.shape(value)[time]
        same = options.get("padding", 0) == PADDING["same"]
        if options.get(f"filter_{across}", 1) != 1 or size < 1 or stride < 1 or (size > length and not same):
            build.fail(f"it pools windows of {size}, stride {stride}, over {length} positions, or over two dimensions")
        padding = same_padding(length, size, stride, 1) if same else (0, 0)
        if kind is kinds.MaxPool:
            return self.activated(operator, build.pool(value, kind(size, stride, padding), time, 3))
        return self.activated(operator, build.average(value, (size, stride, padding), (time, 3), zeros=False))

    def on_softmax(self, operator: FileOperator) -> Value:
        value, beta = self.value(operator), float(operator.options.get("beta", 1.0))
        return self.build.softmax(value if beta == 1.0 else self.build.scalar(value, beta, 0.0), -1)

    def on_mean(self, operator: FileOperator) -> Value:
        return self.reduced(operator, "mean")

    def on_reduce_max(self, operator: FileOperator) -> Value:
        return self.reduced(operator, "max")

    def reduced(self, operator: FileOperator, kind: str) -> Value:
        axes = [int(axis) for axis in np.ravel(self.constant(operator, 1))]
        return self.build.over_time(self.value(operator), kind, axes, bool(operator.options.get("keep_dims")))

    # -- elementwise

    def on_add(self, operator: FileOperator) -> Value:
        return self.arithmetic(operator, "add")

    def on_sub(self, operator: FileOperator) -> Value:
        return self.arithmetic(operator, "sub")

    def on_mul(self, operator: FileOperator) -> Value:
        return self.arithmetic(operator, "mul")

    def on_div(self, operator: FileOperator) -> Value:
        return self.arithmetic(operator, "div")

    def arithmetic(self, operator: FileOperator, what: str) -> Value:
        build, zero = self.build, np.zeros(1)
        a, b = (self.values.get(i) for i in operator.inputs[:2])
        if isinstance(a, Value) and isinstance(b, Value):
            return self.activated(operator, build.combine(a, b, what))
        first = isinstance(b, Value)
        value = self.value(operator, 1 if first else 0)
        other = self.constant(operator, 0 if first else 1).astype(np.float64)
        match what:
            case "add":
                result = build.affine(value, np.ones(1), other)
            case "sub":
                result = build.affine(value, np.full(1, -1.0 if first else 1.0), other if first else -other)
            case "mul":
                result = build.affine(value, other, zero)
            case _ if first:
                if other.size != 1:
                    build.fail("it divides a constant by a layer")
                result = build.function(value, "reciprocal", lambda v: float(other.ravel()[0]) / v)
            case _:
                result = build.affine(value, 1.0 / other, zero)
        return self.activated(operator, result)

    def on_leaky_relu(self, operator: FileOperator) -> Value:
        slope = float(operator.options.get("alpha", 0.0))
        return self.build.function(self.value(operator), "leaky_relu", functions.leaky_relu(slope))

    def on_prelu(self, operator: FileOperator) -> Value:
        slope = self.constant(operator, 1)
        if len(np.unique(slope)) != 1:
            self.build.fail("it has several slopes; use one (shared_axes) with equal values, or LeakyReLU")
        return self.build.function(self.value(operator), "leaky_relu", functions.leaky_relu(float(slope.ravel()[0])))

    def on_gelu(self, operator: FileOperator) -> Value:
        name = "gelu_tanh" if operator.options.get("approximate") else "gelu"
        return self.build.function(self.value(operator), name, functions.PLAIN[name])

    def on_maximum(self, operator: FileOperator) -> Value:
        return self.limited(operator, lambda end: functions.clip(end, np.inf), "relu")

    def on_minimum(self, operator: FileOperator) -> Value:
        return self.limited(operator, lambda end: functions.clip(-np.inf, end), "")

    def limited(self, operator: FileOperator, made: Any, at_zero: str) -> Value:
        end = self.constant(operator, 1)
        if end.size != 1:
            self.build.fail("it limits by several values; allowed: one")
        limit = float(end.ravel()[0])
        return self.build.function(self.value(operator), at_zero if limit == 0 and at_zero else "clip", made(limit))

    # -- shapes

    def on_reshape(self, operator: FileOperator) -> Any:
        found = self.values.get(operator.inputs[0])
        if isinstance(found, _Spaced):
            return found  # an axis of size 1 around the convolution
        build, target = self.build, self.target_shape(operator)
        value = self.in_front(self.value(operator))
        if (ordered := self.with_batch_inside(value, target)) is not None:
            return ordered
        sizes = build.shape(value)
        # A dense layer on every time step: [1, T, C] as the rows [T, C], and back.
        if len(target) == 2 and target[-1] == sizes[-1] and len(sizes) == 3 and target[0] in (-1, sizes[1]) and (
            sizes[1] != 1 or build.labels(value)[1] == TIME
        ) and not (target[0] == -1 and sizes[1] == 1):  # fmt: skip
            return value
        if value.axes[0] == BATCH and target[0] == 1:
            target[0] = -1
        if target.count(-1) > 1:
            build.fail(f"it makes {target} of {list(sizes)}; convert with fixed sizes")
        inside = [int(np.prod(sizes[1:])) // max(int(np.prod([t for t in target[1:] if t != -1])), 1) if t == -1 else t
                  for t in target[1:]]  # fmt: skip
        return build.reshape(value, [-1, *inside])

    on_expand_dims = on_squeeze = on_reshape

    def on_transpose(self, operator: FileOperator) -> Value:
        return self.build.transpose(self.value(operator), [int(axis) for axis in self.constant(operator, 1)])

    def on_concatenation(self, operator: FileOperator) -> Value:
        values = [self.value(operator, position) for position in range(len(operator.inputs))]
        return self.activated(operator, self.build.concat(values, operator.options.get("axis", 0)))

    def on_strided_slice(self, operator: FileOperator) -> Value:
        build, value, options = self.build, self.value(operator), operator.options
        begin, end, strides = (self.constant(operator, position, 1).tolist() for position in (1, 2, 3))
        masks = [options.get(f"{key}_mask", 0) for key in ("begin", "end", "shrink_axis", "ellipsis", "new_axis")]
        if (
            any(step != 1 for step in strides)
            or masks[3]
            or masks[4]
            or options.get("offset")
            or len(begin) != len(value.axes)
        ):
            build.fail("it takes strides, an ellipsis or new axes; allowed: the last time step")
        for axis in reversed(range(len(begin))):
            if masks[2] >> axis & 1:
                value = build.select(value, axis, begin[axis])
            elif axis:
                start = 0 if masks[0] >> axis & 1 else begin[axis]
                value = build.cut(value, axis, start, 1 << 30 if masks[1] >> axis & 1 else end[axis])
        return value

    def on_slice(self, operator: FileOperator) -> Value:
        value = self.value(operator)
        for axis, (start, size) in enumerate(zip(self.constant(operator, 1), self.constant(operator, 2), strict=True)):
            if axis:
                value = self.build.cut(value, axis, int(start), 1 << 30 if size == -1 else int(start + size))
        return value


_FUNCTIONS = {
    kind: (name, functions.PLAIN[name])
    for kind, name in {
        "RELU": "relu", "RELU6": "relu6", "TANH": "tanh", "LOGISTIC": "sigmoid", "HARD_SWISH": "hard_swish", "ELU": "elu",
        "EXP": "exp", "ABS": "abs",
    }.items()
}  # fmt: skip
