"""What an ONNX file of ours says about itself in its metadata: everything that is not one of its constants."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edgebat.formats.rounding import shift_hint
from edgebat.graph import IntGraph, Requant

NOTE_FORMAT = 1


def graph_note(graph: IntGraph) -> dict[str, Any]:
    """A JSON-able description of ``graph``; arrays are left out, they are the file's constants."""
    nodes = []
    for node in graph.nodes:
        entry: dict[str, Any] = {"op": node.op}
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if isinstance(value, Requant):
                entry[field.name] = {
                    "kind": value.kind, "minimum": value.minimum, "maximum": value.maximum, "hint": shift_hint(value)
                }  # fmt: skip
            elif not isinstance(value, np.ndarray):
                entry[field.name] = list(value) if isinstance(value, tuple) else value
        nodes.append(entry)
    return {
        "format": NOTE_FORMAT,
        "name": graph.name,
        "input": graph.input,
        "output": graph.output,
        "tensors": [dataclasses.asdict(tensor) for tensor in graph.tensors.values()],
        "nodes": nodes,
        "meta": graph.meta,
    }
