"""ONNX operators that take windows, ranges or all of time, or join values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.functions import FunctionImporter
from edgebat.formats.onnx.model import OnnxNode
from edgebat.formats.onnx.values import Dequantized, Quantized, Value
from edgebat.formats.tflite.rules import same_padding
from edgebat.graph import model as ops


class WindowImporter(FunctionImporter):
    """One method ``on_<operator>`` per operator; see `operators.Importer`."""

    def like(self, node: OnnxNode, found: Quantized) -> Value:
        """``found`` as integers, or as the float values of integers when the operator's input was."""
        return Dequantized(found) if isinstance(self.value(node, 0), Dequantized) else found

    def moved(self, source: Quantized, name: str, node: ops.Node, steps: int) -> Quantized:
        """What ``node`` gives, which keeps scale and zero point, with so many time steps."""
        before = source.tensor
        target = self.declare(name, (steps, before.shape[1]), before.scale, before.zero_point)
        self.nodes.append(node)
        return replace(source, tensor=target)

    def rows(self, source: Quantized, name: str, padding: tuple[int, int], value: int) -> Quantized:
        """``source`` with rows of ``value`` around it, or without so many rows."""
        if padding == (0, 0):
            return source
        node = ops.Pad1D(name, (source.tensor.name,), name, padding, value)
        return self.moved(source, name, node, source.tensor.shape[0] + sum(padding))

    # -- pooling

    def ints(self, node: OnnxNode, name: str, count: int, default: list[int] | None = None) -> list[int]:
        """A list attribute of so many small numbers."""
        found: Any = node.attributes.get(name, default)
        if (
            not isinstance(found, list)
            or len(found) != count
            or not all(isinstance(v, int) and 0 <= v < 1 << 20 for v in found)
        ):
            raise ModelFileError(f"{self.where}: attribute {name} is {found}; {count} small numbers are expected (1-D)")
        return found

    def image(self, source: Quantized) -> Quantized:
        """``source`` as [N, C, T]."""
        source = self.turned(source, first=True)
        if len(source.tensor.shape) != 2 or not source.channels_first:
            raise ModelFileError(f"{self.where} works on {source.tensor.shape}; edgebat reads [N, C, T]")
        return source

    def padding(self, node: OnnxNode, length: int, reach: int, stride: int) -> tuple[int, int]:
        """(left, right) of a convolution or pooling whose window reaches over ``reach`` positions."""
        automatic = node.attributes.get("auto_pad", "NOTSET")
        if automatic not in ("SAME_UPPER", "SAME_LOWER"):
            left, right = self.ints(node, "pads", 2, [0, 0])
            return left, right
        small, large = same_padding(length, reach, stride, 1)
        return (small, large) if automatic == "SAME_UPPER" else (large, small)

    def window(self, node: OnnxNode, source: Quantized) -> tuple[int, int, tuple[int, int]]:
        """(size, stride, padding) of a pooling; an incomplete last window (ceil_mode) is padded."""
        (size,), (stride,) = self.ints(node, "kernel_shape", 1), self.ints(node, "strides", 1, [1])
        if self.ints(node, "dilations", 1, [1]) != [1] or size < 1 or stride < 1:
            raise ModelFileError(f"{self.where} is dilated, or has a window of {size}, stride {stride}")
        length = source.tensor.shape[0]
        left, right = self.padding(node, length, size, stride)
        if node.attributes.get("ceil_mode", 0):
            count = -(-(length + left + right - size) // stride) + 1
            if (count - 1) * stride >= length + left:  # a window that would begin behind the sequence
                count -= 1
            right = max((count - 1) * stride + size - length - left, 0)
        if max(left, right) >= size or length + left + right < size:
            raise ModelFileError(
                f"{self.where} has a window of {size} on {length} positions padded by {left} and {right}; allowed: windows "
                "with at least one of them"
            )
        return size, stride, (left, right)

    def on_maxpool(self, node: OnnxNode) -> Value:
        """Padding never wins: it counts as the smallest integer."""
        source = self.image(self.quantized(node))
        size, stride, padding = self.window(node, source)
        name = node.outputs[0]
        padded = self.rows(source, f"{name}/padded", padding, -128)
        pool = ops.MaxPool1D(name, (padded.tensor.name,), name, size, stride)
        return self.like(node, self.moved(padded, name, pool, (padded.tensor.shape[0] - size) // stride + 1))

    def float_pool(self, node: OnnxNode, source: Quantized) -> kinds.Pool:
        """An average, which ONNX Runtime computes in float32."""
        source = self.image(source)
        size, stride, padding = self.window(node, source)
        return kinds.Pool(source, size, stride, padding, bool(node.attributes.get("count_include_pad", 0)))

    def on_averagepool(self, node: OnnxNode) -> Value:
        return self.float_pool(node, self.quantized(node))

    def on_qlinearaveragepool(self, node: OnnxNode) -> Value:
        if node.attributes.get("channels_last", 0):
            raise ModelFileError(f"{self.where} has channels last; edgebat reads [N, C, T]")
        pool = self.float_pool(node, self.checked(node, 0))
        return self.round(pool, node.outputs[0], *self.scale_and_zero(node, 3))

    def on_globalaveragepool(self, node: OnnxNode) -> Value:
        source = self.image(self.quantized(node))
        return kinds.Average(source, source.tensor.shape[0], 1)

    def on_qlinearglobalaveragepool(self, node: OnnxNode) -> Value:
        if node.attributes.get("channels_last", 0):
            raise ModelFileError(f"{self.where} has channels last; edgebat reads [N, C, T]")
        source = self.image(self.checked(node, 0))
        pending = kinds.Average(source, source.tensor.shape[0], 1)
        return self.round(pending, node.outputs[0], *self.scale_and_zero(node, 3))

    # -- all of time

    def time(self, source: Quantized) -> int:
        """The axis of the file that is time."""
        return 0 if source.merged else 2 if source.channels_first else 1

    def axes(self, node: OnnxNode, rank: int) -> list[int]:
        """The axes of ``rank`` that an operator works along, as an attribute or an input."""
        found: Any = node.attributes.get("axes")
        if found is None and self.has(node, 1):
            found = self.constant(node, 1, "int64", "int32").ravel().tolist()
        if not isinstance(found, list) or not all(isinstance(axis, int) and -rank <= axis < rank for axis in found):
            raise ModelFileError(f"{self.where} works along the axes {found} of {rank}")
        return [axis % rank for axis in found]

    def on_reducemean(self, node: OnnxNode) -> Value:
        """Over all time steps. ONNX Runtime adds them in float32, in an order of its own."""
        source, flat = self.over_time(node)
        self.float_sums = True
        return kinds.Average(source, source.tensor.shape[0], 1, flat=flat)

    def on_reducesum(self, node: OnnxNode) -> Value:
        mean = self.on_reducemean(node)
        assert isinstance(mean, kinds.Average)
        return replace(mean, total=True)

    def on_reducemax(self, node: OnnxNode) -> Value:
        (source, flat), name = self.over_time(node), node.outputs[0]
        label = f"{name}/pooled" if flat else name
        pool = ops.MaxPool1D(label, (source.tensor.name,), label, source.tensor.shape[0], 1)
        pooled = self.moved(source, label, pool, 1)
        return self.like(node, self.flattened(pooled, name) if flat else pooled)

    def over_time(self, node: OnnxNode) -> tuple[Quantized, bool]:
        """The sequence that is reduced over time, and whether a vector comes out. Raises ModelFileError for other axes."""
        value = self.value(node, 0)
        loose = value if isinstance(value, kinds.Loose) else None
        whole = loose.base if loose is not None else self.quantized(node)
        _, index = self.file_places(loose or whole)
        axes = self.axes(node, index.ndim)
        flat = not node.attributes.get("keepdims", 1)
        time = [axis for axis in axes if index.shape[axis] != 1]
        if loose is not None and len(time) == 1:
            # Axes of size 1 beside time: the sequence without them.
            other = [axis for axis in range(1, index.ndim) if axis not in axes]
            bare = np.moveaxis(index, time[0], 0).reshape(index.shape[time[0]], -1)
            whole = self.laid(whole, bare, f"{node.outputs[0]}/bare", first=True)
            flat = flat or len(other) == 1
        elif len(whole.tensor.shape) == 2 and axes == [3 - self.time(whole)] and not whole.merged:
            whole = self.turned(whole, first=not whole.channels_first)
        elif len(whole.tensor.shape) != 2 or axes != [self.time(whole)]:
            raise ModelFileError(
                f"{self.where} reduces the axes {axes} of {list(index.shape)}; edgebat reduces one axis of a sequence. "
                "Of a vector it is a dense layer"
            )
        return whole, flat

    def on_softmax(self, node: OnnxNode) -> Value:
        return kinds.Softmax(self.last_axis(node, self.quantized(node), 1 if self.opset < 13 else -1))

    def on_qlinearsoftmax(self, node: OnnxNode) -> Value:
        old = node.attributes.get("opset", 13)
        source = self.last_axis(node, self.checked(node, 0), 1 if isinstance(old, int) and old < 13 else -1)
        return self.round(kinds.Softmax(source), node.outputs[0], *self.scale_and_zero(node, 3))

    def last_axis(self, node: OnnxNode, source: Quantized, default: int) -> Quantized:
        """The input of a softmax with its axis as the graph's last one. Raises ModelFileError for the batch."""
        axis, rank = node.attributes.get("axis", default), 1 + len(source.tensor.shape)
        if not isinstance(axis, int) or axis % rank == 0 or source.merged:
            raise ModelFileError(f"{self.where} works along axis {axis}; allowed: time, channels or a vector")
        return self.turned(source, first=axis % rank != rank - 1)

    def bounds_of(self, node: OnnxNode, position: int, name: str) -> list[int]:
        """Numbers that older operator sets have as an attribute, newer ones as an input; [] when absent."""
        found: Any = node.attributes.get(name)
        if isinstance(found, list):
            return found
        return self.constant(node, position, "int64", "int32").ravel().tolist() if self.has(node, position) else []

    def on_pad(self, node: OnnxNode) -> Value:
        """Zeros, or a constant, around time."""
        value = self.value(node, 0)
        pads = self.bounds_of(node, 1, "pads")
        if isinstance(value, kinds.RawInput):
            return self.padded_input(node, value, pads)
        source = self.quantized(node)
        time = self.time(source)
        fill = float(self.constant(node, 2, "float32", "int8", "uint8").ravel()[0]) if self.has(node, 2) else 0.0
        steps = fill - (128 if source.unsigned else 0)
        if isinstance(value, Dequantized):
            steps = fill / source.tensor.scale + source.tensor.zero_point
        rank = 1 + len(source.tensor.shape)
        sides = {axis: (pads[axis], pads[axis + rank]) for axis in range(rank)} if len(pads) == 2 * rank else {}
        others = any(any(pair) for axis, pair in sides.items() if axis != time)
        mode = node.attributes.get("mode", "constant")
        if rank != 3 or not sides or others or mode != "constant" or steps != math.floor(steps):
            raise ModelFileError(
                f"{self.where} pads {pads} with {fill} ({mode}); edgebat pads time with a constant of the input's scale"
            )
        return self.like(node, self.rows(source, node.outputs[0], sides[time], int(np.clip(steps, -128, 127))))

    def padded_input(self, node: OnnxNode, value: kinds.RawInput, pads: list[int]) -> Value:
        """Zeros around the float input: the same as around its integers."""
        fill = float(self.constant(node, 2, "float32").ravel()[0]) if self.has(node, 2) else 0.0
        rank = 1 + len(value.shape)
        sides = [(axis, pads[axis], pads[axis + rank]) for axis in range(rank)] if len(pads) == 2 * rank else []
        padded = [side for side in sides if any(side[1:])]
        if (
            rank != 3
            or len(padded) != 1
            or fill
            or value.steps
            or node.attributes.get("mode", "constant") != "constant"
        ):
            raise ModelFileError(f"{self.where} pads the input by {pads} with {fill}; edgebat pads its time with zeros")
        return replace(value, moves=(*value.moves, ("pad", padded[0])))

    # -- joins

    def on_concat(self, node: OnnxNode) -> Value:
        """Channels beside each other; a part of another scale is brought to that of the output."""
        parts = [self.quantized(node, position) for position in range(len(node.inputs))]
        scales = {(part.tensor.scale, part.tensor.zero_point) for part in parts}
        if len(scales) == 1:
            if self.over_steps(node, parts):
                return self.like(node, self.behind(parts, node.outputs[0]))
            return self.like(node, self.joined(node, parts, node.outputs[0]))
        if not isinstance(self.value(node, 0), Dequantized):
            raise ModelFileError(f"{self.where} joins integers of different scales")
        if self.over_steps(node, parts):
            return kinds.Joined(tuple(parts), steps=True)
        self.axis_of(node, parts)
        return kinds.Joined(tuple(parts))

    def on_qlinearconcat(self, node: OnnxNode) -> Value:
        parts = [self.checked(node, position) for position in range(2, len(node.inputs), 3)]
        steps = self.over_steps(node, parts)
        if not steps:
            self.axis_of(node, parts)
        return self.round(kinds.Joined(tuple(parts), steps), node.outputs[0], *self.scale_and_zero(node, 0))

    def over_steps(self, node: OnnxNode, parts: Sequence[Quantized]) -> bool:
        """Whether sequences follow one another in time."""
        axis = node.attributes.get("axis", 0)
        sequences = all(len(part.tensor.shape) == 2 and not part.merged for part in parts)
        return sequences and isinstance(axis, int) and axis % 3 == self.time(parts[0])

    def behind(self, parts: Sequence[Quantized], name: str) -> Quantized:
        """``parts`` of one scale behind each other in time."""
        first = parts[0].channels_first
        turned = [self.turned(part, first=first) for part in parts]
        found = self.stacked(list(turned), 2 if first else 1, name)
        assert isinstance(found, Quantized)
        return found

    def axis_of(self, node: OnnxNode, parts: Sequence[Quantized]) -> None:
        """Checks that ``parts`` lie beside each other along channels."""
        axis, first = node.attributes.get("axis", 0), parts[0]
        rank = 1 + len(first.tensor.shape)
        channels = 1 if first.channels_first and rank == 3 else rank - 1
        alike = all(
            len(part.tensor.shape) + 1 == rank and part.tensor.shape[:-1] == first.tensor.shape[:-1]
            and part.channels_first == first.channels_first and part.merged == first.merged for part in parts
        )  # fmt: skip
        if not isinstance(axis, int) or axis not in (channels, channels - rank) or not alike:
            raise ModelFileError(
                f"{self.where} joins {[part.tensor.shape for part in parts]} along axis {axis}; edgebat joins channels"
            )

    def joined(self, node: OnnxNode, parts: Sequence[Quantized], name: str) -> Quantized:
        """``parts`` of one scale beside each other."""
        self.axis_of(node, parts)
        return self.join(parts, name)
