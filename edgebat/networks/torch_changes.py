"""Operators of torch that change a tensor where it lies are read as those that make a new one, where that is the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebat.errors import ModelFileError
from edgebat.networks.pt2 import Name, Node, Program

_VIEWS = (
    "select", "slice", "view", "reshape", "_unsafe_view", "flatten", "permute", "transpose", "swapaxes", "swapdims", "t",
    "mT", "movedim", "squeeze", "unsqueeze", "expand", "alias", "detach", "contiguous", "to", "identity",
)  # fmt: skip
"""What they give may be the same numbers in memory as what they read."""


def operator_of(node: Node) -> str:
    """``add`` of ``torch.ops.aten.add.Tensor``, ``add_`` of one that changes its first argument."""
    return node.target.removeprefix("torch.ops.aten.").partition(".")[0]


def require_unseen(program: Program, what: str) -> None:
    """Refuse changes of a buffer, and of numbers that something else reads later on. Raises ModelFileError."""
    base: dict[str, str] = {}
    for place, node in enumerate(program.nodes):
        operator, first = operator_of(node), next(iter(node.arguments.values()), None)
        if not isinstance(first, Name) or not (operator in _VIEWS or operator.endswith("_")):
            continue
        root = base.get(first.text, first.text)
        if operator.endswith("_"):
            alike = {root, *(name for name, of in base.items() if of == root)} - {first.text}
            later = {name for after in program.nodes[place + 1 :] for name in _names(list(after.arguments.values()))}
            if root in program.constants:
                raise ModelFileError(
                    f"{what}: {operator} changes {root!r}, a state between windows; keep states in a recurrent layer"
                )
            if seen := sorted(alike & (later | set(program.outputs))):
                raise ModelFileError(
                    f"{what}: {operator} changes {first.text!r}, which {seen[0]!r} is a part of; use an operator that "
                    "makes a new tensor"
                )
        base |= dict.fromkeys(node.outputs, root)


def _names(argument: Any) -> Iterator[str]:
    if isinstance(argument, Name):
        yield argument.text
    elif isinstance(argument, list):
        for one in argument:
            yield from _names(one)
