"""Moves of values as one table of places: transposing, picking, repeating, joining along time, other shapes.

A reader lets NumPy do what an operator of a file does to the numbers of places; what comes out says where each value
comes from. Moves that follow one another become one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edgebat.arrays import IntArray
from edgebat.errors import ModelFileError
from edgebat.graph.check import MAX_ELEMENTS
from edgebat.graph.model import Flatten, LastStep, Node, Pad1D, Take, Tensor


def places(shape: tuple[int, ...]) -> IntArray:
    """The number of every place of an array of ``shape``. Raises ModelFileError for more than a graph may hold."""
    if not 0 < math.prod(shape) <= MAX_ELEMENTS:
        raise ModelFileError(f"a shape of {list(shape)} has no value, or more than the {MAX_ELEMENTS} allowed")
    return np.arange(math.prod(shape)).reshape(shape)


def roots(nodes: Sequence[Node], source: str, index: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Tensors whose values ``source`` holds in another order, nearest first, and where each of its ``index`` is there."""
    made = {node.output: node for node in nodes}
    yield source, index
    while isinstance(node := made.get(source), Flatten | Take):
        index = node.index[index] if isinstance(node, Take) else index
        source = node.inputs[0]
        yield source, index


def moved(nodes: Sequence[Node], label: str, source: Tensor, index: IntArray, target: Tensor, stop: str = "") -> Node:
    """The node that gives ``target`` the values of ``source`` at ``index``; read from ``stop`` if that holds them too."""
    found = list(roots(nodes, source.name, index.ravel()))
    name, index = next(((name, place) for name, place in found if name == stop), found[-1])
    return Take(label, (name,), target.name, index.astype(np.int32))


def plain_move(label: str, source: Tensor, index: IntArray, target: Tensor, *, step: bool = False) -> Node | None:
    """An operator without a table, where one does the same: flattening, the last step, a range of time steps.

    step: of one step the only one is the last one, rather than all values.
    """
    flat, names = index.ravel(), (label, (source.name,), target.name)
    follows = bool((np.diff(flat) == 1).all())
    if len(source.shape) != 2 or not follows:
        return None
    steps, width = source.shape
    first, last = int(flat[0]), int(flat[-1]) + 1
    if len(target.shape) == 1:
        if len(flat) == steps * width and not step:
            return Flatten(*names)
        return LastStep(*names) if (first, last) == ((steps - 1) * width, steps * width) else None
    if target.shape[1] != width or first % width or last % width:
        return None
    return Pad1D(*names, (-(first // width), last // width - steps), source.zero_point)
