"""An ONNX file taken apart and checked, with NumPy alone: see `edgebat.formats.onnx.protobuf` and `model`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.onnx.model import DTYPE_OF, Attribute, OnnxGraph, OnnxNode, OnnxValue
from edgebat.formats.onnx.protobuf import read_protobuf

# Field numbers of onnx.proto3; what is left out here is skipped by the reader (documentation strings and the like).
SCHEMA: dict[str, dict[int, tuple[str, str]]] = {
    "Model": {
        1: ("ir_version", "int"), 7: ("graph", "Graph"), 8: ("opsets", "[OperatorSet]"), 14: ("metadata", "[Entry]"),
        25: ("functions", "[bytes]"),
    },
    "OperatorSet": {1: ("domain", "string"), 2: ("version", "int")},
    "Entry": {1: ("key", "string"), 2: ("value", "string")},
    "Graph": {
        1: ("nodes", "[Node]"), 2: ("name", "string"), 5: ("initializers", "[Tensor]"), 11: ("inputs", "[Value]"),
        12: ("outputs", "[Value]"), 15: ("sparse_initializers", "[bytes]"),
    },
    "Node": {
        1: ("inputs", "[string]"), 2: ("outputs", "[string]"), 3: ("name", "string"), 4: ("op", "string"),
        5: ("attributes", "[Attribute]"), 7: ("domain", "string"),
    },
    "Attribute": {
        1: ("name", "string"), 2: ("f", "float"), 3: ("i", "int"), 4: ("s", "bytes"), 5: ("t", "Tensor"),
        6: ("g", "Graph"), 7: ("floats", "[float]"), 8: ("ints", "[int]"),
        9: ("strings", "[bytes]"), 20: ("type", "int"),
        21: ("reference", "string"),
    },
    "Tensor": {
        1: ("dims", "[int]"), 2: ("type", "int"), 4: ("float_data", "[float]"), 5: ("int32_data", "[int]"),
        7: ("int64_data", "[int]"), 8: ("name", "string"), 9: ("raw_data", "bytes"), 13: ("external", "[bytes]"),
        14: ("location", "int"),
    },
    "Value": {1: ("name", "string"), 2: ("type", "Type")},
    "Type": {1: ("tensor", "TensorType")},
    "TensorType": {1: ("type", "int"), 2: ("shape", "Shape")},
    "Shape": {1: ("dims", "[Dimension]")},
    "Dimension": {1: ("value", "int"), 2: ("name", "string")},
}  # fmt: skip

# AttributeProto.type: 1 float, 2 int, 3 string, 4 tensor, 5 graph, 6 floats, 7 ints, 8 strings.
_ATTRIBUTE_KIND = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}


@dataclass(frozen=True)
class OnnxFile:
    """The graph of a file, its operator set versions by domain, and its metadata."""

    graph: OnnxGraph
    opsets: dict[str, int]
    metadata: dict[str, str]


def parse_onnx(data: bytes, what: str) -> OnnxFile:
    """Parse and check the structure of an ONNX file; ``what`` names it in errors. Raises ModelFileError."""
    model = read_protobuf(data, SCHEMA, "Model", what)
    if "graph" not in model or not model.get("opsets"):
        raise ModelFileError(f"{what} is not an ONNX model: it has no graph or no operator set")
    if model.get("functions"):
        raise ModelFileError(f"{what} defines {len(model['functions'])} functions; inline them before")
    opsets = {entry.get("domain", ""): entry.get("version", 0) for entry in model["opsets"]}
    metadata = {entry.get("key", ""): entry.get("value", "") for entry in model.get("metadata", [])}
    return OnnxFile(_graph(model["graph"], what), opsets, metadata)


def _graph(entry: dict[str, Any], what: str) -> OnnxGraph:
    if entry.get("sparse_initializers"):
        raise ModelFileError(f"{what} has sparse constants; edgebat reads dense ones")
    graph = OnnxGraph(entry.get("name", ""))
    for tensor in entry.get("initializers", []):
        name = tensor.get("name", "")
        if name in graph.initializers:
            raise ModelFileError(f"{what} has two constants named {name!r}")
        graph.initializers[name] = _tensor(tensor, what)
    graph.nodes = [_node(node, what) for node in entry.get("nodes", [])]
    # Old files list constants among the inputs as well.
    inputs = [_value(value) for value in entry.get("inputs", [])]
    graph.inputs = [value for value in inputs if value.name not in graph.initializers]
    graph.outputs = [_value(value) for value in entry.get("outputs", [])]
    return graph


def _value(entry: dict[str, Any]) -> OnnxValue:
    tensor = entry.get("type", {}).get("tensor", {})
    dtype = DTYPE_OF.get(tensor.get("type", 0), f"element type {tensor.get('type', 0)}")
    if "shape" not in tensor:
        return OnnxValue(entry.get("name", ""), dtype, None)
    shape = [dim.get("value", dim.get("name", "?")) for dim in tensor["shape"].get("dims", [])]
    return OnnxValue(entry.get("name", ""), dtype, shape)


def _node(entry: dict[str, Any], what: str) -> OnnxNode:
    name, op = entry.get("name", ""), entry.get("op", "")
    attributes: dict[str, Attribute] = {}
    for attribute in entry.get("attributes", []):
        label, kind = attribute.get("name", ""), _ATTRIBUTE_KIND.get(attribute.get("type", 0))
        if kind is None or label in attributes or "reference" in attribute:
            raise ModelFileError(f"{what}: attribute {label!r} of {op} {name!r} is of an unknown type or given twice")
        value = attribute.get(kind)
        if kind in ("floats", "ints"):
            attributes[label] = [] if value is None else value.tolist()
        elif kind == "strings":
            texts = [bytes(part).decode("utf-8", "replace") for part in value or []]
            attributes[label] = texts
        elif kind == "s":
            attributes[label] = bytes(value or b"").decode("utf-8", "replace")
        elif kind == "t":
            attributes[label] = _tensor(value or {}, what)
        elif kind == "g":
            attributes[label] = _graph(value or {}, what)
        else:
            attributes[label] = value if value is not None else (0.0 if kind == "f" else 0)
    return OnnxNode(op, entry.get("inputs", []), entry.get("outputs", []), attributes, entry.get("domain", ""), name)


def _tensor(entry: dict[str, Any], what: str) -> Array:
    where = f"{what}: constant {entry.get('name', '')!r}"
    dtype = DTYPE_OF.get(entry.get("type", 0))
    if dtype is None or entry.get("location", 0) or entry.get("external"):
        raise ModelFileError(f"{where} has element type {entry.get('type', 0)} or lies in another file")
    dims = [int(size) for size in entry.get("dims", [])]
    elements = math.prod(dims)
    if min(dims, default=1) < 0 or len(dims) > 8:
        raise ModelFileError(f"{where} has the shape {dims}")
    wanted = np.dtype(dtype).newbyteorder("<")
    if "raw_data" in entry:
        values = np.frombuffer(entry["raw_data"], np.uint8)
        if elements * wanted.itemsize != len(values):
            raise ModelFileError(f"{where} of shape {dims}, {dtype}, has {len(values)} bytes of data")
        return values.view(wanted).reshape(dims)
    field = {"float32": "float_data", "int64": "int64_data"}.get(dtype, "int32_data")
    loose: Array = entry.get(field, np.zeros(0, np.int64))
    if loose.size != elements or dtype == "float64":
        raise ModelFileError(f"{where} of shape {dims}, {dtype}, has {loose.size} values")
    converted = loose.astype(dtype)
    if dtype != "float32" and not np.array_equal(converted.astype(np.int64), loose):
        raise ModelFileError(f"{where} has values that do not fit {dtype}")
    return converted.reshape(dims)
