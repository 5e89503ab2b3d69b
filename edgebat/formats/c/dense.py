"""Fully connected layers as calls of C kernels."""

from __future__ import annotations

from edgebat.arrays import Int8
from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.exact import LINEAR, lower_exact_linear
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View, pad4
from edgebat.formats.c.weights import Matrix, block_tables, fold, int8_tables, pair_tables, slide_dense, spread
from edgebat.graph.model import Dense


def lower_dense(low: Lowering, node: Dense) -> None:
    """A layer over a vector, or over every row of a sequence; int16 outputs are those of a head."""
    if node.requant.kind in LINEAR:
        lower_exact_linear(low, node)
        return
    view, label = low.view(node), low.label(node)
    weight: Int8 = node.weight
    flat = len(low.source(node).shape) == 1
    if flat and view.stride != view.width and view.rows > 1:
        weight = spread(weight.reshape(len(weight), view.rows, view.width), view.stride)
    if low.target(node).dtype == "int16":
        _head(low, node, weight, 1 if flat else view.rows)
        return
    matrix = fold(low, node, weight)
    if not flat:
        fields = int8_tables(low, label, matrix)
        out = low.new_view(node.output)
        slide_dense(low, label, fields, view, out, step=view.stride, work=node.weight.size)
    elif low.mode == "fast" and matrix.rounding.fast:
        fields = block_tables(low, label, matrix, kind="fast")
        low.tables.append(tables.structure("edgebat_fast_dense_t", label, fields, 20))
        out, work = low.new_view(node.output), low.new_buffer(2 * pad4(weight.shape[1]))
        low.call("edgebat_fast_dense", f"&{label}", view, out, work)
    else:
        kernel = "edgebat_compact" if low.mode == "flash" else "edgebat_dense"
        low.tables.append(tables.structure(f"{kernel}_t", label, int8_tables(low, label, matrix), 20))
        low.call(kernel, f"&{label}", view, low.new_view(node.output))
    low.finish(node.output, node.requant)


def _head(low: Lowering, node: Dense, weight: Int8, rows: int) -> None:
    """int16 results go straight into the caller's output: blocks of four rows, then the rest in pairs."""
    if node.output != low.graph.output:
        raise ModelFileError(f"node {node.name!r} (dense): an int16 output must be the output of the graph")
    view, outs = low.view(node), len(weight)
    parts = _head_parts(low, low.label(node), fold(low, node, weight))
    for t in range(rows):
        row = View(view.buffer, view.start + t * view.stride, 1, view.width, view.stride)
        for kernel, name, first in parts:
            output = f"&output[{t * outs + first}]" if t * outs + first else "output"
            low.call(kernel, f"&{name}", row, output)
    limits = (node.requant.minimum, node.requant.maximum)
    if limits != (-32768, 32767):
        low.call("edgebat_clamp16", "output", rows * outs, *limits)


def _head_parts(low: Lowering, label: str, matrix: Matrix) -> list[tuple[str, str, int]]:
    """(kernel, C name of its structure, first output) of what computes the outputs of one row."""
    outs = len(matrix.weight)
    if low.mode == "flash":
        fields = pair_tables(low, label, matrix) | {"wide": 1}
        low.tables.append(tables.structure("edgebat_compact_t", label, fields, 20))
        return [("edgebat_compact", label, 0)]
    parts, whole = [], outs // 4 * 4
    if whole:
        fields = block_tables(low, label, matrix, slice(0, whole))
        low.tables.append(tables.structure("edgebat_dense_t", label, fields, 20))
        parts.append(("edgebat_head", label, 0))
    if outs > whole:
        fields = pair_tables(low, f"{label}_rest", matrix, slice(whole, outs))
        low.tables.append(tables.structure("edgebat_rest_t", f"{label}_rest", fields, 20))
        parts.append(("edgebat_head_rest", f"{label}_rest", whole))
    return parts
