"""More outputs for an integer graph that is finished: rows of its head, the others untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Float64
from edgebat.errors import GraphError
from edgebat.graph.check import check_graph
from edgebat.graph.model import Dense, IntGraph
from edgebat.quantization.requant_search import choose_layer, quantize_symmetric


def head_of(graph: IntGraph) -> Dense:
    """The last layer of a graph. Raises GraphError when it is no head."""
    node = graph.nodes[-1]
    if not isinstance(node, Dense) or graph.output_tensor.dtype != "int16" or len(graph.output_tensor.shape) != 1:
        raise GraphError(f"graph {graph.name!r} ends in {node.op!r}, not in a dense head of one vector")
    return node


def with_rows(graph: IntGraph, weight: Float64, bias: Float64) -> IntGraph:
    """``graph`` with outputs ``weight @ hidden + bias`` [R] behind its own; weight [R, H] and bias [R] of normalized
    outputs, hidden the real values of the head's input. Every row has its own scale, so no other output changes."""
    node, target = head_of(graph), graph.output_tensor
    source = graph.tensors[node.inputs[0]]
    peak = np.abs(weight).max(axis=1)
    natural = np.maximum(peak, max(float(peak.max()) * 1e-3, 1e-9)) / 127.0
    widest = max(127 - source.zero_point, source.zero_point + 128)
    magnitude = np.abs(weight).sum(axis=1) / natural + weight.shape[1]
    reach = 1.05 * (widest * magnitude + np.abs(bias) / (source.scale * natural))
    scale, more, _ = choose_layer(natural.tolist(), [int(v) + 1 for v in reach], source, target, -32768, 32767)
    step = source.scale * scale.astype(np.float64)
    grown = replace(
        node,
        weight=np.concatenate([node.weight, quantize_symmetric(weight, scale[:, None])]),
        bias=np.concatenate([node.bias, np.clip(np.rint(bias / step), -(2**30), 2**30).astype(np.int32)]),
        weight_scale=np.concatenate([node.weight_scale, scale]),
        requant=replace(
            node.requant,
            multiplier=np.concatenate([node.requant.multiplier, more.multiplier]),
            shift=np.concatenate([node.requant.shift, more.shift]),
            clamp=np.concatenate([node.requant.clamp, more.clamp]),
            scale=np.concatenate([node.requant.scale, more.scale]),
        ),
    )
    tensors = {**graph.tensors, graph.output: replace(target, shape=(len(grown.bias),))}
    return check_graph(replace(graph, tensors=tensors, nodes=(*graph.nodes[:-1], grown)))
