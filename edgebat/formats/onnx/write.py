"""Write an integer graph as an ONNX file; the operators are those of `emit.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.errors import require
from edgebat.files import atomic_write
from edgebat.formats.onnx.emit import OPSETS, emit_graph
from edgebat.formats.onnx.model import ELEMENT_TYPE, METADATA_KEY, OnnxGraph
from edgebat.formats.onnx.note import graph_note
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph

IR_VERSION = 8  # the oldest one for operator set 17


def write_onnx(graph: IntGraph, path: str | Path, *, stateful: bool = False) -> list[str]:
    """Write ``graph`` to ``path``, checked by the onnx checker. The same graph gives the same bytes.

    stateful: for LSTM models; each layer's state is an input (``<node>/hidden_in`` int8 and ``<node>/cell_in`` int16,
    [N, H]) and an output (``<node>/last_hidden``, ``<node>/cell_out``), and the number of time steps is free: N calls
    of one step are one call of N steps.
    Returns the names of the nodes whose requantization no scale of the file expresses exactly (empty as a rule), as
    `write_tflite` does. Raises GraphError when the graph breaks its rules, ModelFileError when ONNX has no exact form
    of an operator, MissingExtra without the onnx package.
    """
    onnx = require("onnx", extra="onnx")
    emitted, inexact = emit_graph(check_graph(graph), stateful=stateful)
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = onnx.helper.make_model(
        graph_proto(onnx, emitted), opset_imports=opsets, ir_version=IR_VERSION, producer_name="edgebat"
    )
    note = graph_note(graph) | {"stateful": stateful}
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(note, sort_keys=True, allow_nan=False)})
    onnx.checker.check_model(model, full_check=False)
    atomic_write(path, model.SerializeToString(deterministic=True))
    return inexact


def graph_proto(onnx: Any, graph: OnnxGraph) -> Any:
    """``graph`` as the GraphProto of the ``onnx`` package, which is passed in because it is optional."""
    helper = onnx.helper
    nodes = []
    for node in graph.nodes:
        attributes = {
            name: graph_proto(onnx, value)
            if isinstance(value, OnnxGraph)
            else onnx.numpy_helper.from_array(value)
            if isinstance(value, np.ndarray)
            else value
            for name, value in node.attributes.items()
        }
        nodes.append(
            helper.make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain, **attributes)
        )
    return helper.make_graph(
        nodes,
        graph.name,
        [helper.make_tensor_value_info(v.name, ELEMENT_TYPE[v.dtype], v.shape) for v in graph.inputs],
        [helper.make_tensor_value_info(v.name, ELEMENT_TYPE[v.dtype], v.shape) for v in graph.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in graph.initializers.items()],
    )
