"""Moves of a quantized ONNX file's values that its layers have no other form for: by a table of places (`formats/takes.py`).

The graph holds sequences as [T, C], the file as [N, C, T] or [N, T, C]; a batch of 1 is meant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgebat.arrays import IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.onnx import values as kinds
from edgebat.formats.onnx.foreign import ImporterBase
from edgebat.formats.onnx.values import Loose, Quantized
from edgebat.formats.takes import moved, places, plain_move, roots
from edgebat.graph import model as ops
from edgebat.graph.check import MAX_ELEMENTS

Placed = Quantized | Loose
_SUMS = ("Add", "Mul", "Sub", "QLinearAdd", "QLinearMul")


class PlaceImporter(ImporterBase):
    """What operators that move values have in common; see `moves.MoveImporter`."""

    def file_sizes(self, source: Quantized) -> tuple[int, ...]:
        """Shape of a value in the file with a batch of 1."""
        own = source.tensor.shape[::-1] if source.channels_first else source.tensor.shape
        return own if source.merged else (1, *own)

    def file_places(self, source: Placed) -> tuple[Quantized, IntArray]:
        """A value of the graph, and which of its values lies where in the file."""
        if isinstance(source, Loose):
            return source.base, source.places
        index = places(source.tensor.shape)
        if source.order is not None:
            index = np.array(source.order)
        return source, (index.T if source.channels_first else index).reshape(self.file_sizes(source))

    def placed(self, source: Quantized, index: IntArray, name: str) -> Placed:
        """The values of ``source`` at ``index``, an array of the file's shape; a shape of no sequence is kept for later."""
        if not 0 < index.size <= MAX_ELEMENTS:
            raise ModelFileError(f"{self.where} gives {list(index.shape)} values; allowed: 1 to {MAX_ELEMENTS}")
        if index.ndim not in (2, 3) or index.shape[0] != 1:
            return Loose(source, index)
        if index.ndim == 2:
            return self.laid(source, index[0], name, first=False)
        first = source.channels_first if len(source.tensor.shape) == 2 else self.wants_channels_first(name)
        return self.laid(source, index[0].T if first else index[0], name, first=first)

    def laid(self, source: Quantized, index: IntArray, name: str, *, first: bool) -> Quantized:
        """The values of ``source`` at ``index``, in the graph's shape."""
        order = np.arange(index.size)
        for held, place in roots(self.nodes, source.tensor.name, index.ravel()):
            tensor = self.tensors[held]
            if tensor.shape == index.shape and np.array_equal(place, order):
                return Quantized(tensor, source.unsigned, first)
        target = self.declare(name, index.shape, source.tensor.scale, source.tensor.zero_point)
        node = plain_move(name, source.tensor, index, target)
        self.nodes.append(node or moved(self.nodes, name, source.tensor, index, target))
        return Quantized(target, source.unsigned, first)

    def turned(self, source: Quantized, *, first: bool) -> Quantized:
        """A sequence as [N, C, T] (first) or [N, T, C], whatever its axes were before."""
        if len(source.tensor.shape) != 2 or source.channels_first == first or source.merged:
            return source
        _, index = self.file_places(source)
        shown = index[0].T if first else index[0]
        label = f"{source.tensor.name}/turned"
        if label in self.tensors:
            return Quantized(self.tensors[label], source.unsigned, first)
        return self.laid(source, shown, label, first=first)

    def as_in_file(self, source: Quantized) -> Quantized:
        """``source`` in the order in which the file holds its values: what a caller reads."""
        if source.order is None and not source.channels_first:
            return source
        base, index = self.file_places(source)
        return self.laid(base, index[0], f"{base.tensor.name}/in order", first=False)

    def wants_channels_first(self, name: str) -> bool:
        """Whether a sequence that is made here reaches a convolution, or meets one of channels first."""
        if self.feeds_image(name):
            return True
        reached = {name}
        for node in self.file.nodes:
            if not reached & set(node.inputs):
                continue
            for other in node.inputs if node.op in _SUMS else ():
                value = self.values.get(other)
                value = value.base if isinstance(value, kinds.Dequantized) else value
                if other not in reached and isinstance(value, Quantized) and len(value.tensor.shape) == 2:
                    return value.channels_first
            if node.op in ("QuantizeLinear", "DequantizeLinear"):
                reached |= set(node.outputs)
        return False

    def stacked(self, parts: list[Placed], axis: int, name: str) -> Placed:
        """Parts of one scale behind each other along ``axis``."""
        base, flat, numbers = 0, [], []
        for place, part in enumerate(parts):
            source, index = self.file_places(part)
            label = f"{name}/flat part {place}"
            flat.append(source.tensor if len(source.tensor.shape) == 1 else self.flattened(source, label).tensor)
            numbers.append(index + base)
            base += int(np.prod(source.tensor.shape))
        try:
            index = np.concatenate(numbers, axis)
        except ValueError:
            raise ModelFileError(
                f"{self.where} joins {[list(part.shape) for part in numbers]} along axis {axis}"
            ) from None
        first = self.file_places(parts[0])[0]
        whole = self.declare(f"{name}/joined", (base,), first.tensor.scale, first.tensor.zero_point)
        self.nodes.append(ops.Concat(whole.name, tuple(tensor.name for tensor in flat), whole.name))
        # Where the parts lay tells how a sequence of them lies.
        if index.ndim == 3 and index.shape[0] == 1:
            turned = first.channels_first
            return self.laid(Quantized(whole, first.unsigned), index[0].T if turned else index[0], name, first=turned)
        return self.placed(Quantized(whole, first.unsigned), index, name)

    def picked(self, index: IntArray, chosen: Callable[[IntArray], IntArray]) -> IntArray:
        """What ``chosen`` takes of places. Raises ModelFileError where that is nothing, or beyond the end."""
        try:
            found = np.asarray(chosen(index))
        except (IndexError, ValueError, TypeError) as error:
            raise ModelFileError(f"{self.where} cannot move {list(index.shape)}: {error}") from None
        if not found.size:
            raise ModelFileError(f"{self.where} takes nothing of {list(index.shape)}")
        return found
