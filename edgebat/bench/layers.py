"""Where the instructions of one inference went, by layer: calls seen by the simulator beside the layers of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgebat.formats.c.lowering import Program
from edgebat.graph import IntGraph
from edgebat.graph.model import node_macs
from edgebat.simulate.unicorn_run import Call


@dataclass(frozen=True)
class Layer:
    """Instructions of one layer, of copies between layers ("memory") or of the calling sequence ("calls").

    ``macs`` are the layer's multiply-accumulates, 0 for what has none; ``kernels`` the functions that were called.
    """

    name: str
    kernels: tuple[str, ...]
    instructions: int
    macs: int

    @property
    def per_mac(self) -> float | None:
        """Instructions per multiply-accumulate, or None without one."""
        return self.instructions / self.macs if self.macs else None


def split_layers(graph: IntGraph, program: Program, counts: Sequence[Call], total: int) -> list[Layer]:
    """The ``counts`` of one traced inference by layer of ``graph``, in executing order; they add up to ``total``.

    program: what ``formats.c.program.lower`` made of ``graph`` in the mode that was measured.
    A compiler may inline a kernel or peel a loop: a count is given to the next statement of the generated program that
    calls the same function, and what is inlined stays in "calls".
    """
    statements = [(call.function, call.layer) for call in program.calls]
    found: dict[str, list[Call]] = {}
    position = -1
    for count in counts:
        position = _next(statements, count.function, position)
        found.setdefault(statements[position][1] if position >= 0 else "", []).append(count)
    macs = {node.name: node_macs(node, graph.tensors) for node in graph.nodes} | {"": 0}
    layers = []
    for name in [name for name in macs if name in found]:
        kernels = tuple(dict.fromkeys(count.function for count in found[name]))
        layers.append(Layer(name or "memory", kernels, sum(count.instructions for count in found[name]), macs[name]))
    return [*layers, Layer("calls", (), total - sum(layer.instructions for layer in layers), 0)]


def _next(statements: Sequence[tuple[str, str]], function: str, position: int) -> int:
    """Index of the first statement after ``position`` that calls ``function``, from the start again at the end; or -1."""
    count = len(statements)
    order = [(position + 1 + offset) % count for offset in range(count)]
    return next((index for index in order if statements[index][0] == function), -1)
