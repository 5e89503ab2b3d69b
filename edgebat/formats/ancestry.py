"""What tables in a graph come from: two values that are functions of the same one, and nodes that nobody reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebat.arrays import Int8
from edgebat.graph.model import Lut, Node

_VALUES: Int8 = np.arange(-128, 128).astype(np.int8)


def ancestors(nodes: Sequence[Node], tensor: str) -> dict[str, Int8]:
    """``tensor`` and what it is a table of, nearest first: name -> integers of ``tensor`` for every int8 value of that.

    Tables are [256], or [C, 256] where one on the way is of each channel.
    """
    made = {node.output: node for node in nodes if isinstance(node, Lut)}
    found, table = {tensor: _VALUES}, _VALUES
    name = tensor
    while name in made and made[name].inputs[0] not in found:
        before = made[name].table
        index = before.astype(np.intp) + 128
        if before.ndim == 2 and table.ndim == 2:
            table = np.take_along_axis(table, index, axis=1)
        else:
            table = table[..., index] if before.ndim == 1 else table[index]
        name = made[name].inputs[0]
        found[name] = table
    return found


def common(nodes: Sequence[Node], a: str, b: str) -> tuple[str, Int8, Int8] | None:
    """The nearest tensor that both ``a`` and ``b`` are tables of, and these tables; None when there is none."""
    of_a, of_b = ancestors(nodes, a), ancestors(nodes, b)
    return next(((name, table, of_b[name]) for name, table in of_a.items() if name in of_b), None)


def read_nodes(nodes: Sequence[Node], output: str) -> tuple[Node, ...]:
    """``nodes`` without those that ``output`` does not depend on."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if node.output in needed:
            needed |= set(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
