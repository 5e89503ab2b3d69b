"""Pooling over time as calls of C kernels."""

from __future__ import annotations

import numpy as np

from edgebat.formats.c import tables
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.requant import lower_requant
from edgebat.graph.model import AveragePool1D, MaxPool1D


def lower_max_pool(low: Lowering, node: MaxPool1D) -> None:
    """The maximum of a window of rows."""
    view, out = low.view(node), low.new_view(node.output)
    low.call("edgebat_max_pool", view, out, view.stride, out.rows, node.size, node.stride)
    low.overlap(view, out, node.stride * view.stride)
    low.finish(node.output)


def lower_average_pool(low: Lowering, node: AveragePool1D) -> None:
    """The mean of a window of rows, rounded once."""
    view, label = low.view(node), low.label(node)
    rounding = lower_requant(f"node {node.name!r} (average_pool1d)", node.requant, np.array([node.size * 255]))
    out = low.new_view(node.output)
    fields: tables.Fields = {
        "bias": -node.size * low.source(node).zero_point, "multiplier": rounding.multiplier_macro(rounding.k[0]),
        "rounding": rounding.macro(), "positions": out.rows, "size": node.size, "stride": node.stride,
        "row": view.stride,
    }  # fmt: skip
    low.tables.append(tables.structure("edgebat_average_t", label, fields, 24))
    low.call("edgebat_average", f"&{label}", view, out)
    low.overlap(view, out, node.stride * view.stride)
    low.finish(node.output, node.requant)
