"""Where the instructions of one inference went, by layer: calls seen by the simulator beside the layers of the graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgebat.graph import IntGraph
from edgebat.graph.model import node_macs
from edgebat.simulate.unicorn_run import Call

# A call of a kernel; the first argument of a layer is its table.
_STATEMENT = re.compile(r"\b(edgebat_\w+)\((?:&layer_(\w+))?")


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


def split_layers(graph: IntGraph, source: str, calls: Sequence[Call], instructions: int) -> list[Layer]:
    """The ``calls`` of one traced inference by layer of ``graph``, in executing order; they add up to ``instructions``.

    source: text of the generated ``.c`` file.
    A compiler may inline a kernel or peel a loop: a call is given to the next statement of the generated program that
    calls the same function, and what is inlined stays in "calls".
    """
    statements = _statements(source)
    labels = {re.sub(r"[^A-Za-z0-9_]", "_", node.name): node for node in graph.nodes}
    found: dict[str, list[Call]] = {}
    position = -1
    for call in calls:
        position = _next(statements, call.function, position)
        label = statements[position][1] if position >= 0 else ""
        # Tables of a layer's last rows carry the layer's label and a suffix.
        name = max((known for known in labels if label == known or label.startswith(f"{known}_")), key=len, default="")
        found.setdefault(name, []).append(call)
    layers = []
    for name in [label for label in labels if label in found] + ([""] if "" in found else []):
        kernels = tuple(dict.fromkeys(call.function for call in found[name]))
        node = labels.get(name)
        macs = node_macs(node, graph.tensors) if node else 0
        layers.append(
            Layer(node.name if node else "memory", kernels, sum(call.instructions for call in found[name]), macs)
        )
    rest = instructions - sum(layer.instructions for layer in layers)
    return [*layers, Layer("calls", (), rest, 0)]


def _statements(source: str) -> list[tuple[str, str]]:
    """(function, label of its first argument or "") of every kernel call of ``_run``, ``_step`` and ``_head``."""
    bodies = re.findall(r"^int \w+_(?:run|step|head)\(.*?^}", source, re.MULTILINE | re.DOTALL)
    return [(match[1], match[2] or "") for body in bodies for match in _STATEMENT.finditer(body)]


def _next(statements: Sequence[tuple[str, str]], function: str, position: int) -> int:
    """Index of the first statement after ``position`` that calls ``function``, from the start again at the end; or -1."""
    count = len(statements)
    order = [(position + 1 + offset) % count for offset in range(count)]
    return next((index for index in order if statements[index][0] == function), -1)
