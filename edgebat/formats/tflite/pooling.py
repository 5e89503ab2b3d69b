"""TFLite operators that take windows or all of time together, padding that stands alone, and softmax."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgebat.errors import ModelFileError
from edgebat.formats.roundings.softmax import litert_table, micro_table
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.dilated import DilatedImporter
from edgebat.formats.tflite.model import FileOperator
from edgebat.formats.tflite.schema import PADDING
from edgebat.graph import model as ops
from edgebat.graph.check import MAX_PADDING
from edgebat.graph.model import Tensor


@dataclass(frozen=True)
class Window:
    """Of a pooling from ``source`` to ``target``: ``size`` positions, ``stride`` apart, ``padding`` (left, right)."""

    source: Tensor
    target: Tensor
    size: int
    stride: int
    padding: tuple[int, int]


class PoolingImporter(DilatedImporter):
    """One method ``on_<operator>`` per operator; see `ImporterBase.graph`."""

    def pooling_window(self, operator: FileOperator) -> Window:
        """The window of a pooling along the axis that is not of size 1."""
        source, options = self.source(operator), operator.options
        along, across = ("h", "w") if self.time_axis(self.model.tensors[operator.inputs[0]]) == 1 else ("w", "h")
        size, stride = options.get(f"filter_{along}", 0), options.get(f"stride_{along}", 0)
        same = options.get("padding", PADDING["same"]) == PADDING["same"]
        length = source.shape[0] if len(source.shape) == 2 else 0
        if (
            (options.get(f"filter_{across}", 1) != 1 and not same)
            or not length
            or not 1 <= size <= (MAX_PADDING if same else length)
            or not 1 <= stride <= MAX_PADDING
        ):
            raise ModelFileError(
                f"{operator.where} has a window of {size}, stride {stride}, on shape {list(source.shape)}"
            )
        target = self.target(operator)
        if self.bounds(operator, target) != (-128, 127):
            raise ModelFileError(
                f"{operator.where} has an activation; allowed: none. Put the activation before the pooling"
            )
        padding = rules.same_padding(length, size, stride, 1) if same else (0, 0)
        return Window(source, target, size, stride, padding)

    def on_max_pool_2d(self, operator: FileOperator) -> None:
        """Padding never wins: it counts as the smallest integer."""
        window = self.pooling_window(operator)
        source = window.source if window.padding == (0, 0) else self.pad_with(window.source, window, -128)
        target = window.target
        self.nodes.append(ops.MaxPool1D(self.label(target), (source.name,), target.name, window.size, window.stride))

    def on_average_pool_2d(self, operator: FileOperator) -> None:
        window = self.pooling_window(operator)
        source, target, size, stride = window.source, window.target, window.size, window.stride
        if (source.scale, source.zero_point) != (target.scale, target.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point, which TFLite does not allow")
        names = (self.label(target), (source.name,), target.name, size, stride)
        if window.padding != (0, 0) or self.hint(target).get("op") == ops.MeanPool1D.op:
            self.nodes.append(ops.MeanPool1D(*names, window.padding))
            return
        self.nodes.append(
            ops.AveragePool1D(*names, self.rounding.pool(source, size, target, self.bounds(operator, target)))
        )

    def pad_with(self, source: Tensor, window: Window, value: int) -> Tensor:
        """``source`` with rows of ``value`` around it."""
        left, right = window.padding
        name = f"{window.target.name}/padded"
        padded = replace(source, name=name, shape=(source.shape[0] + left + right, source.shape[1]))
        self.tensors[name] = padded
        self.nodes.append(ops.Pad1D(name, (source.name,), name, window.padding, value))
        return padded

    def time_padding(self, operator: FileOperator) -> tuple[int, int]:
        """(left, right) rows of a PAD or PADV2 of a sequence, along time only."""
        source = self.source(operator)
        amounts = self.constant(operator, 1, "int32", rank=2)
        if amounts.shape not in ((3, 2), (4, 2)) or len(source.shape) != 2:
            raise ModelFileError(f"{operator.where} pads {list(amounts.shape)} sides; edgebat pads sequences")
        rows = amounts.values.tolist()
        time = self.time_axis(self.model.tensors[operator.inputs[0]])
        left, right = rows[time]
        others = [side for axis, row in enumerate(rows) for side in row if axis != time]
        if any(others) or not (0 <= left <= 65535 and 0 <= right <= 65535):
            raise ModelFileError(f"{operator.where} pads by {rows}; edgebat pads along time only")
        return left, right

    def on_padv2(self, operator: FileOperator) -> None:
        """Rows of a constant along time."""
        source, sides = self.source(operator), self.time_padding(operator)
        value = self.constant(operator, 2, "int8")
        target = self.target(operator)
        if value.values.size != 1:
            raise ModelFileError(f"{operator.where} pads with {value.values.size} values; allowed: one")
        node = ops.Pad1D(self.label(target), (source.name,), target.name, sides, int(value.values.ravel()[0]))
        self.nodes.append(node)

    def on_softmax(self, operator: FileOperator) -> None:
        """Over the last axis. Engines disagree by a step: TFLite Micro computes in fixed point, LiteRT in float32."""
        source, target = self.source(operator), self.target(operator)
        if (target.scale, target.zero_point) != (2.0**-8, -128):
            raise ModelFileError(
                f"{operator.where}: its output has the scale {target.scale!r} and zero point {target.zero_point}; TFLite "
                "allows 1/256 and -128 only"
            )
        beta = float(operator.options.get("beta", 0.0))
        own = self.rounding.name == "tflm" or self.hint(target).get("form") == "tflm"
        form = "tflm" if own else "litert"
        table = {"tflm": micro_table, "litert": litert_table}[form](source.scale, beta)
        self.nodes.append(ops.Softmax(self.label(target), (source.name,), target.name, form, table))

    def over_time(self, operator: FileOperator) -> tuple[Tensor, Tensor, Tensor]:
        """(source [T, C], an intermediate [1, C], target [C]) of a reduction over all time steps."""
        source = self.source(operator)
        axes = self.constant(operator, 1, "int32").values.ravel().tolist()
        before = self.model.tensors[operator.inputs[0]]
        rank, time = len(before.shape), self.time_axis(before)
        reduced = {axis % rank for axis in axes} if all(-rank <= axis < rank for axis in axes) else set()
        both = {1, 2} if rank == 4 else {time}
        target = self.target(operator)
        kept = target.shape == (1, source.shape[-1])
        if len(source.shape) != 2 or reduced not in ({time}, both) or not (kept or target.shape == source.shape[1:]):
            raise ModelFileError(f"{operator.where} reduces the axes {axes}; edgebat reduces over all time steps only")
        if kept:
            return source, target, target
        pooled = Tensor(f"{target.name}/pooled", (1, *target.shape), "int8", target.scale, target.zero_point)
        self.tensors[pooled.name] = pooled
        return source, pooled, target

    def on_mean(self, operator: FileOperator) -> None:
        source, pooled, target = self.over_time(operator)
        requant = self.rounding.mean(source, source.shape[0], target, self.bounds(operator, target))
        self.nodes.append(ops.AveragePool1D(pooled.name, (source.name,), pooled.name, source.shape[0], 1, requant))
        self.without_time(pooled, target)

    def without_time(self, pooled: Tensor, target: Tensor) -> None:
        if pooled is not target:
            self.nodes.append(ops.Flatten(self.label(target), (pooled.name,), target.name))

    def on_reduce_max(self, operator: FileOperator) -> None:
        source, pooled, target = self.over_time(operator)
        self.nodes.append(ops.MaxPool1D(pooled.name, (source.name,), pooled.name, source.shape[0], 1))
        self.without_time(pooled, target)
