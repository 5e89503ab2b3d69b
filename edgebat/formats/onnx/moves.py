"""ONNX operators that only move data: transposing, flattening, axes of size 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.model import OnnxNode
from edgebat.formats.onnx.values import Quantized, Value
from edgebat.formats.onnx.windows import WindowImporter

Move = Callable[[Quantized], Quantized]


class MoveImporter(WindowImporter):
    """One method ``on_<operator>`` per operator; see `operators.Importer`."""

    def move(self, node: OnnxNode, move: Move) -> Value:
        """``move`` on integers, on the float values of integers, or behind a function when that is rounded."""
        value = self.value(node, 0)
        if isinstance(value, kinds.Function):
            return replace(value, moves=(*value.moves, move))
        return self.like(node, move(self.quantized(node)))

    def on_identity(self, node: OnnxNode) -> Value:
        return self.value(node, 0)

    on_dropout = on_identity

    def on_transpose(self, node: OnnxNode) -> Value:
        if node.attributes.get("perm") != [0, 2, 1]:
            raise ModelFileError(f"{self.where} has perm {node.attributes.get('perm')}; allowed: [0, 2, 1]")
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            return replace(value, moves=(*value.moves, ("transpose", ())))
        return self.move(node, self.transposed)

    def transposed(self, source: Quantized) -> Quantized:
        """Time and channels exchanged."""
        if len(source.tensor.shape) != 2 or source.merged:
            raise ModelFileError(f"{self.where} transposes {source.tensor.shape}")
        return replace(source, channels_first=not source.channels_first)

    def on_flatten(self, node: OnnxNode) -> Value:
        if node.attributes.get("axis", 1) != 1:
            raise ModelFileError(f"{self.where} flattens from axis {node.attributes.get('axis')}; allowed: 1")
        return self.flat(node)

    def flat(self, node: OnnxNode) -> Value:
        """The values of a window as one vector."""
        value = self.value(node, 0)
        if isinstance(value, kinds.RawInput):
            return replace(value, moves=(*value.moves, ("flatten", ())))
        return self.move(node, partial(self.flattened, name=node.outputs[0]))

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

    def file_sizes(self, source: Quantized) -> tuple[int, ...]:
        """Shape of a value in the file with a batch of 1."""
        own = source.tensor.shape[::-1] if source.channels_first else source.tensor.shape
        return own if source.merged else (1, *own)

    def shaped(self, source: Quantized, shape: list[int], name: str) -> Quantized:
        """``source`` in another shape of the file."""
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
        if len(own) == 1 and len(after) == 3 and after[0] == 1 and bare in ([own[0]], []):
            return self.as_sequence(source, after[1:])
        raise ModelFileError(
            f"{self.where} turns {list(before)} into {list(after)}; edgebat reads flattening, axes of size 1, and "
            "[1, T, C] as [T, C]"
        )

    def as_sequence(self, source: Quantized, shape: tuple[int, ...]) -> Quantized:
        """The vector that the model reads as a sequence of one channel, or of one time step."""
        if self.input is None or source.tensor != self.input.tensor or self.nodes:
            raise ModelFileError(
                f"{self.where} makes a sequence of a vector within the network; edgebat does so at its input"
            )
        self.file_shape = source.tensor.shape
        tensor = replace(source.tensor, shape=(max(shape), 1))
        self.tensors[tensor.name] = tensor
        self.input = replace(self.input, tensor=tensor)
        return replace(source, tensor=tensor, channels_first=shape[0] == 1)

    def on_squeeze(self, node: OnnxNode) -> Value:
        def squeezed(source: Quantized) -> Quantized:
            before = self.file_sizes(source)
            found = self.bounds_of(node, 1, "axes")
            axes = (
                {axis % len(before) for axis in found}
                if found
                else {a for a in range(1, len(before)) if before[a] == 1}
            )
            after = [size for axis, size in enumerate(before) if axis not in axes]
            if 0 in axes or any(before[axis] != 1 for axis in axes):
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
        return self.move(node, lambda source: self.shaped(source, wider(self.file_sizes(source)), node.outputs[0]))
