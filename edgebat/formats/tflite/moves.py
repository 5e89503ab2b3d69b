"""TFLite operators that only move values: shapes, transposing, ranges and choices of steps and channels, joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgebat.arrays import IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.takes import moved, places, plain_move, roots
from edgebat.formats.tflite.functions import FunctionImporter
from edgebat.formats.tflite.model import FileOperator, FileTensor
from edgebat.graph import model as ops
from edgebat.graph.check import MAX_ELEMENTS
from edgebat.graph.model import Tensor


class MoveImporter(FunctionImporter):
    """One method ``on_<operator>`` per operator; see `ImporterBase.graph`."""

    def move(self, operator: FileOperator, source: Tensor, index: IntArray, output: int = 0) -> None:
        """Output number ``output`` of the operator: the values of ``source`` at ``index``, an array of the file's shape.

        A shape that no sequence has is kept as it is, for the operators that follow. Float values between DEQUANTIZE and
        QUANTIZE move as the integers that they stand for.
        """
        tensor = self.model.tensors[operator.outputs[output]]
        if tensor.dtype == "float32":
            one = np.array([source.scale], np.float32), np.array([source.zero_point], np.int64)
            tensor = replace(tensor, dtype="int8", scale=one[0], zero_point=one[1])
            self.move_to(operator, tensor, source, index)
            if tensor.index in self.values:
                self.dequantized[tensor.index] = self.values.pop(tensor.index)
        else:
            self.move_to(operator, tensor, source, index)

    def move_to(self, operator: FileOperator, tensor: FileTensor, source: Tensor, index: IntArray) -> None:
        if not tensor.quantized_as(source.scale, source.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point")
        alike = len(tensor.shape) == index.ndim and all(
            stated in (-1, size) for stated, size in zip(tensor.shape, index.shape, strict=True)
        )
        if not alike or not 0 < index.size <= MAX_ELEMENTS:
            raise ModelFileError(f"{operator.where} gives {list(index.shape)}; the file states {list(tensor.shape)}")
        try:
            bare = index.ndim == 1  # a vector without the batch of 1
            shape = index.shape if bare else self.sample_shape(replace(tensor, shape=index.shape), operator.where)
        except ModelFileError:
            self.loose[tensor.index] = (source, index)
            return
        held = next((name for name in self.held(source, index) if self.tensors[name].shape == shape), None)
        if held is not None:
            self.values[tensor.index] = self.tensors[held]  # only an axis of size 1 comes or goes
            return
        target = self.declare(tensor, operator.where, shape)
        label, own = self.label(target), self.hint(target)
        cut = operator.kind in ("STRIDED_SLICE", "SLICE", "GATHER")
        node = plain_move(label, source, index, target, step=cut) if own.get("op") != ops.Take.op else None
        self.nodes.append(node or moved(self.nodes, label, source, index, target, str(own.get("source", ""))))

    def held(self, source: Tensor, index: IntArray) -> Iterator[str]:
        """Tensors that hold the values of ``source`` at ``index`` in this order already."""
        if self.input is not None and source.name == self.input.name and not self.nodes and len(source.shape) == 1:
            return
        order = np.arange(index.size)
        for name, place in roots(self.nodes, source.name, index.ravel()):
            if np.array_equal(place, order) and int(np.prod(self.tensors[name].shape)) == index.size:
                yield name

    def before(self, operator: FileOperator, position: int = 0) -> tuple[Tensor, IntArray]:
        """An input, and the numbers of its places in the file's shape."""
        self.expect_inputs(operator, position + 1)
        if (found := self.loose.get(operator.inputs[position])) is not None:
            return found
        source = self.dequantized.get(operator.inputs[position]) or self.source(operator, position)
        return source, places(self.file_shape(operator.inputs[position]))

    # -- shapes

    def on_reshape(self, operator: FileOperator) -> None:
        if self.passed_on(operator):
            return
        tensor = self.model.tensors[operator.outputs[0]]
        if operator.inputs and operator.inputs[0] in self.padded:
            before = self.model.tensors[operator.inputs[0]]
            if self.sample_shape(tensor, operator.where) != self.sample_shape(before, operator.where):
                raise ModelFileError(
                    f"{operator.where} reshapes a padded sequence; edgebat reads PAD before a convolution"
                )
            self.padded[tensor.index] = self.padded[operator.inputs[0]]
            return
        source, index = self.before(operator)
        after = self.wanted(operator, index.size)
        if tensor.dtype == "float32":
            self.move(operator, source, index.reshape(after))
            return
        if not tensor.quantized_as(source.scale, source.zero_point):
            raise ModelFileError(f"{operator.where} changes the scale or zero point")
        if len(after) == len(source.shape) == 2 and after == source.shape and after[0] != 1:
            self.values[tensor.index] = source  # batch and time on one axis, as a dense layer over steps wants them
            self.rows.add(tensor.index)
            return
        bare = tuple(size for size in after[1:] if size != 1)
        if source is self.input and len(after) > 2 and len(bare) < 3 and not self.nodes and len(source.shape) == 1:
            shape = self.sample_shape(replace(tensor, shape=after), operator.where)
            # The first thing that happens to a flat input: the graph takes it as a sequence, in the same order.
            self.input = self.values[tensor.index] = self.tensors[source.name] = replace(source, shape=shape)
            return
        self.move(operator, source, index.reshape(after))

    on_expand_dims = on_squeeze = on_reshape

    def wanted(self, operator: FileOperator, count: int) -> tuple[int, ...]:
        """The shape that an operator gives for a batch of 1, by its shape input where it has one."""
        declared = self.model.tensors[operator.outputs[0]].shape
        asked = [int(size) for size in declared]
        if operator.kind == "RESHAPE" and len(operator.inputs) > 1:
            try:
                asked = self.shapes.of(operator.inputs[1]).ravel().tolist()
            except ValueError:
                raise ModelFileError(
                    f"{operator.where} has a shape that is no constant; convert with a batch of 1"
                ) from None
        elif operator.kind == "EXPAND_DIMS" or operator.kind == "SQUEEZE":
            asked = [1 if size == -1 else size for size in asked]
        known = int(np.prod([size for size in asked if size != -1]))
        free = asked.count(-1)
        after = tuple(count // max(known, 1) if size == -1 else size for size in asked)
        if free > 1 or min(after, default=1) < 1 or int(np.prod(after)) != count:
            raise ModelFileError(f"{operator.where} makes {asked} of {count} values; convert with a batch of 1")
        if len(after) != len(declared) or any(k not in (-1, size) for k, size in zip(declared, after, strict=True)):
            raise ModelFileError(f"{operator.where} gives {list(after)}; the file states {list(declared)}")
        return after

    def on_transpose(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        order = self.constant(operator, 1, "int32", rank=1).values.tolist()
        if sorted(order) != list(range(index.ndim)):
            raise ModelFileError(f"{operator.where} orders the axes {order} of {list(index.shape)}")
        self.move(operator, source, index.transpose(order))

    # -- ranges and choices

    def on_strided_slice(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        begin, end, strides = (self.constant(operator, position, "int32", rank=1).values for position in (1, 2, 3))
        options = operator.options
        if not len(begin) == len(end) == len(strides) == index.ndim or any(
            options.get(name) for name in ("ellipsis_mask", "new_axis_mask", "offset")
        ):
            raise ModelFileError(f"{operator.where} has an ellipsis or new axes; write it as [:, first:last, :]")
        chosen: list[slice | int] = []
        for axis, (first, last, step) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)):
            open_begin, open_end = (options.get(name, 0) >> axis & 1 for name in ("begin_mask", "end_mask"))
            if options.get("shrink_axis_mask", 0) >> axis & 1:
                chosen.append(first)
            else:
                chosen.append(slice(None if open_begin else first, None if open_end else last, step))
        self.move(operator, source, self.picked(operator, index, tuple(chosen)))

    def picked(self, operator: FileOperator, index: IntArray, chosen: tuple[slice | int | IntArray, ...]) -> IntArray:
        """``index[chosen]``. Raises ModelFileError where that is nothing, or beyond the end."""
        try:
            found = index[chosen]
        except (IndexError, ValueError) as error:
            raise ModelFileError(f"{operator.where} takes {chosen} of {list(index.shape)}: {error}") from None
        if not found.size:
            raise ModelFileError(f"{operator.where} takes nothing of {list(index.shape)}")
        return np.asarray(found)

    def on_slice(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        begin, size = (self.constant(operator, position, "int32", rank=1).values.tolist() for position in (1, 2))
        if not len(begin) == len(size) == index.ndim:
            raise ModelFileError(f"{operator.where} slices {begin}, {size} of {list(index.shape)}")
        chosen = [slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True)]
        self.move(operator, source, self.picked(operator, index, tuple(chosen)))

    def on_gather(self, operator: FileOperator) -> None:
        """A table looked up, or values chosen by constant places."""
        self.expect_inputs(operator, 2)
        if operator.inputs[1] in self.indices or self.model.tensors[operator.inputs[0]].data is not None:
            super().on_gather(operator)
            return
        source, index = self.before(operator)
        chosen = self.constant(operator, 1, "int32").values
        axis = operator.options.get("axis", 0) % max(index.ndim, 1)
        if operator.options.get("batch_dims", 0) or chosen.size > MAX_ELEMENTS:
            raise ModelFileError(f"{operator.where} gathers within a batch")
        self.move(operator, source, self.picked(operator, index, (*(slice(None),) * axis, chosen)))

    def on_split(self, operator: FileOperator) -> None:
        """Equal parts along an axis."""
        axis = int(self.constant(operator, 0, "int32").values.ravel()[0])
        self.parts(operator, 1, axis, len(operator.outputs))

    def on_split_v(self, operator: FileOperator) -> None:
        sizes = self.constant(operator, 1, "int32", rank=1).values
        axis = int(self.constant(operator, 2, "int32").values.ravel()[0])
        self.parts(operator, 0, axis, np.cumsum(sizes)[:-1])

    def parts(self, operator: FileOperator, position: int, axis: int, cuts: int | IntArray) -> None:
        source, index = self.before(operator, position)
        if not operator.outputs:
            raise ModelFileError(f"{operator.where} has no outputs")
        try:
            found = np.split(index, cuts if isinstance(cuts, int) else cuts.tolist(), axis)
        except (ValueError, IndexError) as error:
            raise ModelFileError(f"{operator.where} splits {list(index.shape)} along axis {axis}: {error}") from None
        if len(found) != len(operator.outputs):
            raise ModelFileError(f"{operator.where} has {len(operator.outputs)} outputs for {len(found)} parts")
        for place, part in enumerate(found):
            if part.size:  # what is empty nobody can read
                self.move(operator, source, part, place)

    def on_unpack(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        axis = operator.options.get("axis", 0)
        if not -index.ndim <= axis < index.ndim or index.shape[axis] != len(operator.outputs):
            raise ModelFileError(f"{operator.where} unpacks axis {axis} of {list(index.shape)}")
        for place, part in enumerate(np.moveaxis(index, axis, 0)):
            self.move(operator, source, part, place)

    def on_tile(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        times = self.constant(operator, 1, "int32", rank=1).values
        if (
            len(times) != index.ndim
            or times.min() < 1
            or float(np.prod(times, dtype=float)) * index.size > MAX_ELEMENTS
        ):
            raise ModelFileError(f"{operator.where} repeats {list(index.shape)} {times.tolist()} times")
        self.move(operator, source, np.tile(index, times))

    def on_reverse_v2(self, operator: FileOperator) -> None:
        source, index = self.before(operator)
        axes = self.constant(operator, 1, "int32", rank=1).values.tolist()
        if axes == [self.time_axis(self.model.tensors[operator.inputs[0]])] and len(source.shape) == 2:
            target = self.target(operator)
            self.nodes.append(ops.Reverse(self.label(target), (self.renamed(source, target).name,), target.name))
            return
        if any(not -index.ndim <= axis < index.ndim for axis in axes):
            raise ModelFileError(f"{operator.where} turns the axes {axes} of {list(index.shape)} round")
        self.move(operator, source, np.flip(index, tuple(axes)))

    def renamed(self, source: Tensor, target: Tensor) -> Tensor:
        """``source`` with the scale of ``target``: converters write another behind an LSTM, and engines copy integers."""
        if (source.scale, source.zero_point) == (target.scale, target.zero_point):
            return source
        name = f"{target.name}/renamed"
        known = self.tensors[name] = replace(target, name=name, shape=source.shape)
        same = np.arange(-128, 128).astype(np.int8)
        self.nodes.append(ops.Lut(name, (source.name,), name, "relabel", same))
        return known

    # -- joins

    def on_concatenation(self, operator: FileOperator) -> None:
        """Along channels; along another axis the parts as vectors, put in order."""
        self.expect_inputs(operator, 1)
        pairs = [self.before(operator, position) for position in range(len(operator.inputs))]
        sources = [source for source, _ in pairs]
        tensor = self.model.tensors[operator.outputs[0]]
        rank, axis = len(tensor.shape), operator.options.get("axis", 0)
        if self.bounds(operator, self.border_of(operator)) != (-128, 127) or not -rank <= axis < rank:
            raise ModelFileError(f"{operator.where} joins along axis {axis}, or has an activation")
        if axis % rank == rank - 1:
            target = self.target(operator)
            self.nodes.append(ops.Concat(self.label(target), tuple(source.name for source in sources), target.name))
            return
        self.stacked(operator, pairs, axis % rank)

    def on_pack(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 1)
        pairs = [self.before(operator, position) for position in range(len(operator.inputs))]
        axis, rank = operator.options.get("axis", 0), pairs[0][1].ndim + 1
        if not -rank <= axis < rank:
            raise ModelFileError(f"{operator.where} stacks along axis {axis} of {rank}")
        axis %= rank
        self.stacked(operator, [(source, np.expand_dims(index, axis)) for source, index in pairs], axis)

    def stacked(self, operator: FileOperator, pairs: list[tuple[Tensor, IntArray]], axis: int) -> None:
        """Parts behind each other along ``axis``."""
        base, name = 0, self.model.tensors[operator.outputs[0]].name
        flat, numbers = [], []
        for place, (source, index) in enumerate(pairs):
            if (source.scale, source.zero_point) != (pairs[0][0].scale, pairs[0][0].zero_point):
                raise ModelFileError(f"{operator.where} joins integers of different scales")
            flat.append(source if len(source.shape) == 1 else self.flatten(source, f"{name}/part {place}"))
            numbers.append(index + base)
            base += index.size
        try:
            after = np.concatenate(numbers, axis)
        except ValueError:
            raise ModelFileError(
                f"{operator.where} joins {[list(index.shape) for index in numbers]} along axis {axis}"
            ) from None
        whole = Tensor(f"{name}/joined", (base,), "int8", flat[0].scale, flat[0].zero_point)
        self.tensors[whole.name] = whole
        self.nodes.append(ops.Concat(whole.name, tuple(part.name for part in flat), whole.name))
        self.move(operator, whole, after)
