"""ONNX operators that only move data: transposing, flattening, axes of size 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.arrays import IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import DTYPE_OF, OnnxNode
from edgebat.formats.onnx.places import Placed
from edgebat.formats.onnx.values import Loose, Quantized, Value
from edgebat.formats.onnx.windows import WindowImporter
from edgebat.graph.check import MAX_ELEMENTS

Move = Callable[[Any], Placed]


class MoveImporter(WindowImporter):
    """One method ``on_<operator>`` per operator; see `operators.Importer`."""

    def move(self, node: OnnxNode, move: Move) -> Value:
        """``move`` on integers, on the float values of integers, or behind a function when that is rounded."""
        value = self.value(node, 0)
        if isinstance(value, kinds.Function | kinds.Average):
            return replace(value, moves=(*value.moves, move))
        found = move(value if isinstance(value, Loose) else self.quantized(node))
        real = isinstance(value, kinds.Dequantized) or (isinstance(value, Loose) and value.real)
        if isinstance(found, Loose):
            return replace(found, real=real)
        return kinds.Dequantized(found) if real else found

    def by_places(self, node: OnnxNode, chosen: Callable[[IntArray], IntArray], name: str = "") -> Value:
        """What ``chosen`` takes of the places of the input."""

        def moved(source: Placed) -> Placed:
            base, index = self.file_places(source)
            found = self.picked(index, chosen)
            if isinstance(source, Quantized) and np.array_equal(found, index):
                return source
            return self.placed(base, found, name or node.outputs[0])

        return self.move(node, moved)

    def on_identity(self, node: OnnxNode) -> Value:
        return self.value(node, 0)

    def on_dropout(self, node: OnnxNode) -> Value:
        if self.has(node, 2) and self.constant(node, 2, "bool").any():
            raise ModelFileError(f"{self.where} drops values; export the model in evaluation mode")
        return self.value(node, 0)

    def on_cast(self, node: OnnxNode) -> Value:
        """To the type that a value has: torch writes one behind every QuantizeLinear."""
        value, kind = self.value(node, 0), DTYPE_OF.get(int(str(node.attributes.get("to", 0))), "")
        same = "float32" if not isinstance(value, Quantized) else "uint8" if value.unsigned else "int8"
        if kind != same or isinstance(value, Loose | kinds.QuantizedConstant | kinds.RawInput):
            raise ModelFileError(
                f"{self.where} converts to {kind or 'another type'}; edgebat reads a Cast to the same type"
            )
        return value

    def on_transpose(self, node: OnnxNode) -> Value:
        perm, value = node.attributes.get("perm"), self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            if perm != [0, 2, 1]:
                raise ModelFileError(f"{self.where} has perm {perm} on the input; allowed: [0, 2, 1]")
            return replace(value, moves=(*value.moves, ("transpose", ())))

        def moved(source: Placed) -> Placed:
            if (
                isinstance(source, Quantized)
                and len(source.tensor.shape) == 2
                and not source.merged
                and perm == [0, 2, 1]
            ):
                return replace(source, channels_first=not source.channels_first)
            base, index = self.file_places(source)
            order = [int(axis) for axis in perm] if isinstance(perm, list) else list(range(index.ndim))[::-1]
            return self.placed(base, self.picked(index, lambda x: x.transpose(order)), node.outputs[0])

        return self.move(node, moved)

    def on_flatten(self, node: OnnxNode) -> Value:
        if node.attributes.get("axis", 1) != 1:
            raise ModelFileError(f"{self.where} flattens from axis {node.attributes.get('axis')}; allowed: 1")
        return self.flat(node)

    def flat(self, node: OnnxNode) -> Value:
        """The values of a window as one vector."""
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            return replace(value, moves=(*value.moves, ("flatten", ())))

        def flat(source: Placed) -> Placed:
            if isinstance(source, Quantized):
                return self.flattened(source, node.outputs[0])
            return self.placed(source.base, source.places.reshape(1, -1), node.outputs[0])

        return self.move(node, flat)

    def on_reshape(self, node: OnnxNode) -> Value:
        shape = self.constant(node, 1, "int64").ravel().tolist()
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            after = self.resolved(shape, (1, *value.shape))
            if len(after) == len(value.shape) == 2 and after == value.shape:
                return replace(value, moves=(*value.moves, ("merge", ())))
            return self.raw(value, after[1:])
        return self.move(node, lambda source: self.shaped(source, shape, node.outputs[0]))

    def raw(self, value: kinds.RawInput, shape: tuple[int, ...]) -> Value:
        """The float input in another shape: flattened, or a vector as a sequence."""
        if len(shape) == 1:
            return replace(value, moves=(*value.moves, ("flatten", ())))
        if value.moves or len(value.shape) != 1 or len(shape) != 2:
            raise ModelFileError(f"{self.where} turns {value.shape} into {shape}; edgebat reads a vector as a sequence")
        self.file_shape = value.shape
        return replace(value, shape=shape)

    def resolved(self, shape: list[int], before: tuple[int, ...]) -> tuple[int, ...]:
        """``shape`` with 0 (as before) and -1 (the rest) resolved for a batch of 1."""
        sizes = [before[axis] if size == 0 and axis < len(before) else size for axis, size in enumerate(shape)]
        known, whole = int(np.prod([size for size in sizes if size != -1])), int(np.prod(before))
        sizes = [whole // max(known, 1) if size == -1 else size for size in sizes]
        if int(np.prod(sizes)) != whole:
            raise ModelFileError(f"{self.where} reshapes {before} to {shape}; export the model with a batch of 1")
        return tuple(sizes)

    def shaped(self, source: Placed, shape: list[int], name: str) -> Placed:
        """``source`` in another shape of the file."""
        if isinstance(source, Loose):
            after = self.resolved(shape, source.places.shape)
            return self.placed(source.base, source.places.reshape(after), name)
        before, own = self.file_sizes(source), source.tensor.shape
        after = self.resolved(shape, before)
        if after == before:
            return source
        bare = [size for size in after if size != 1]
        if len(after) == 2 and after[0] == 1 and not source.merged:
            return self.flattened(source, name)
        if source.merged and after == (1, *own):
            return replace(source, merged=False)
        if len(own) == 2 and after == own and not source.channels_first:
            return replace(source, merged=True)  # batch and time on one axis, as matrix products want them
        at_input = self.input is not None and source.tensor == self.input.tensor and not self.nodes
        if at_input and len(own) == 1 and len(after) == 3 and after[0] == 1 and bare in ([own[0]], []):
            return self.as_sequence(source, after[1:], name)
        return self.placed(source, self.file_places(source)[1].reshape(after), name)

    def as_sequence(self, source: Quantized, shape: tuple[int, ...], name: str) -> Quantized:
        """The input vector as a sequence of one channel, or of one time step."""
        assert self.input is not None
        self.file_shape = source.tensor.shape
        first = self.wants_channels_first(name) if max(shape) > 1 else shape[0] == 1
        tensor = replace(source.tensor, shape=shape[::-1] if first else shape)
        self.tensors[tensor.name] = tensor
        self.input = replace(self.input, tensor=tensor)
        return replace(source, tensor=tensor, channels_first=first)

    def on_squeeze(self, node: OnnxNode) -> Value:
        def squeezed(source: Placed) -> Placed:
            before = self.file_places(source)[1].shape
            found = self.bounds_of(node, 1, "axes")
            axes = (
                {axis % len(before) for axis in found}
                if found
                else {a for a in range(1, len(before)) if before[a] == 1}
            )
            after = [size for axis, size in enumerate(before) if axis not in axes]
            if any(before[axis] != 1 for axis in axes):
                raise ModelFileError(f"{self.where} takes the axes {sorted(axes)} off {list(before)}")
            return self.shaped(source, after, node.outputs[0])

        return self.move(node, squeezed)

    def on_unsqueeze(self, node: OnnxNode) -> Value:
        axes = self.bounds_of(node, 1, "axes")
        value = self.value(node, 0)

        def wider(before: tuple[int, ...]) -> list[int]:
            rank = len(before) + len(axes)
            places = {axis % rank for axis in axes}
            rest = iter(before)
            return [1 if axis in places else next(rest) for axis in range(rank)]

        if isinstance(value, kinds.RawInput):
            return self.raw(value, tuple(wider((1, *value.shape))[1:]))
        return self.move(
            node, lambda source: self.shaped(source, wider(self.file_places(source)[1].shape), node.outputs[0])
        )

    # -- ranges and choices

    def on_gather(self, node: OnnxNode) -> Value:
        """One time step, or any choice along an axis."""
        index, axis = self.constant(node, 1, "int64", "int32"), node.attributes.get("axis", 0)
        place = int(axis) if isinstance(axis, int) else 0
        if index.size > MAX_ELEMENTS:
            raise ModelFileError(f"{self.where} takes {index.size} places; allowed: {MAX_ELEMENTS}")
        return self.by_places(node, lambda x: np.take(x, index.astype(np.int64), axis=place))

    def on_slice(self, node: OnnxNode) -> Value:
        """Ranges along axes, as a TCN cuts off what its padding made."""
        starts, ends = (self.bounds_of(node, place, name) for place, name in ((1, "starts"), (2, "ends")))
        axes = self.bounds_of(node, 3, "axes") or list(range(len(starts)))
        steps = self.bounds_of(node, 4, "steps") or [1] * len(axes)
        if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
            raise ModelFileError(f"{self.where} takes {starts} to {ends} along the axes {axes} by steps of {steps}")

        def cut(index: IntArray) -> IntArray:
            chosen = [slice(None)] * index.ndim
            for first, last, axis, step in zip(starts, ends, axes, steps, strict=True):
                end = None if (step > 0 and last >= 1 << 31) or (step < 0 and last < -(1 << 30)) else last
                chosen[axis] = slice(first, end, step)
            return np.asarray(index[tuple(chosen)])

        return self.by_places(node, cut)

    def on_split(self, node: OnnxNode) -> Value:
        """Parts along an axis; the first one is the operator's value, the others are entered here."""
        axis = node.attributes.get("axis", 0)
        sizes = self.bounds_of(node, 1, "split")
        count = len(node.outputs)
        if not isinstance(axis, int) or not count or (sizes and len(sizes) != count):
            raise ModelFileError(f"{self.where} splits {sizes} along axis {axis} into {count} outputs")

        def part(place: int) -> Callable[[IntArray], IntArray]:
            def taken(index: IntArray) -> IntArray:
                cuts = np.cumsum(sizes)[:-1].tolist() if sizes else count
                return np.asarray(np.split(index, cuts, axis)[place])

            return taken

        for place, name in enumerate(node.outputs[1:], 1):
            self.values[name] = self.by_places(node, part(place), name)
        return self.by_places(node, part(0))
