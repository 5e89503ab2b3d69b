"""ONNX graphs as plain Python: what the writer emits and what the reader parses, without the ``onnx`` package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError

Attribute: TypeAlias = "int | float | str | list[int] | list[str] | Array | OnnxGraph"

MICROSOFT = "com.microsoft"
METADATA_KEY = "edgebat"

# Element types of TensorProto that occur in quantized models.
ELEMENT_TYPE = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float64": 11,
}  # fmt: skip
DTYPE_OF = {number: name for name, number in ELEMENT_TYPE.items()}


@dataclass
class OnnxNode:
    """One operator; ``domain`` is "" (ai.onnx) or ``MICROSOFT``."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    name: str = ""


@dataclass
class OnnxValue:
    """A graph input or output: ``shape`` holds sizes, names of free sizes, or is None when unknown."""

    name: str
    dtype: str
    shape: list[int | str] | None


@dataclass
class OnnxGraph:
    """Operators in executing order, constants by name, inputs and outputs."""

    name: str
    nodes: list[OnnxNode] = field(default_factory=list)
    initializers: dict[str, Array] = field(default_factory=dict)
    inputs: list[OnnxValue] = field(default_factory=list)
    outputs: list[OnnxValue] = field(default_factory=list)

    def constant(self, name: str, value: Any, dtype: str) -> str:
        """Add (or find again) the constant ``name`` and return its name."""
        array = np.asarray(value, dtype, order="C")
        known = self.initializers.setdefault(name, array)
        if known is not array and not same_array(known, array):
            raise ModelFileError(f"two nodes are named alike: constant {name!r} would have two values")
        return name

    def emit(self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Attribute) -> str:
        """Append an operator with one output and return the output's name."""
        self.nodes.append(OnnxNode(op, list(inputs), [output], attributes, domain, output))
        return output


def same_array(a: Array, b: Array) -> bool:
    """Equal type, shape and bits (NaN equals the same NaN)."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def first_difference(a: OnnxGraph, b: OnnxGraph) -> str | None:
    """Where two graphs differ, as words for an error message; None when they are the same."""
    if a.inputs != b.inputs or a.outputs != b.outputs:
        return "its inputs or outputs"
    for name in sorted(set(a.initializers) | set(b.initializers)):
        left, right = a.initializers.get(name), b.initializers.get(name)
        if left is None or right is None or not same_array(left, right):
            return f"constant {name!r}"
    if len(a.nodes) != len(b.nodes):
        return f"its number of operators, {len(a.nodes)} instead of {len(b.nodes)}"
    for one, other in zip(a.nodes, b.nodes, strict=True):
        if (one.op, one.domain, one.inputs, one.outputs) != (other.op, other.domain, other.inputs, other.outputs):
            return f"operator {one.op} {one.name!r}"
        names = one.attributes.keys() | other.attributes.keys()
        if not all(_same_attribute(one.attributes.get(name), other.attributes.get(name)) for name in names):
            return f"an attribute of operator {one.op} {one.name!r}"
    return None


def _same_attribute(left: Attribute | None, right: Attribute | None) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return same_array(left, right)
    if isinstance(left, OnnxGraph) and isinstance(right, OnnxGraph):
        return first_difference(left, right) is None
    return type(left) is type(right) and bool(left == right)
