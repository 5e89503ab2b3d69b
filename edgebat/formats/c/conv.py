"""Convolutions and pooling over time as calls of C kernels; maximum pooling behind a convolution is computed on the way."""

from __future__ import annotations

import numpy as np

from edgebat.formats.c import tables
from edgebat.formats.c.exact import LINEAR, lower_exact_average, lower_exact_linear
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View, pad4
from edgebat.formats.c.requant import lower_requant
from edgebat.formats.c.tables import Fields
from edgebat.formats.c.weights import block_tables, fold, int8_tables, slide_dense, spread
from edgebat.graph.model import AveragePool1D, Conv1D, DepthwiseConv1D, MaxPool1D


def lower_conv1d(low: Lowering, node: Conv1D) -> None:
    """A fully connected layer that slides over the sequence, from a gathered window where taps lie apart."""
    if node.requant.kind in LINEAR:
        lower_exact_linear(low, node)
        return
    view, label = low.view(node), low.label(node)
    pool = _pool_after(low, node)
    target, size = (pool.output, pool.size) if pool else (node.output, 1)
    gathered = view.buffer is None and (node.padding != (0, 0) or view.stride % 4 != 0)
    gathered = gathered or (node.dilation > 1 and node.weight.shape[1] > 1)
    # Padding counts as the zero point, which the buffer around the tensor really holds: fold over all taps.
    weight = spread(node.weight, pad4(view.width))
    matrix = fold(low, node, weight)
    fields = block_tables(low, label, matrix) if gathered else int8_tables(low, label, matrix)
    out = low.new_view(target, spare_rows=1 if size > 1 else 0)
    if gathered:
        _gather(low, node, fields, size, out)
    else:
        start = view.start - node.padding[0] * view.stride
        padded = View(view.buffer, start, view.rows + sum(node.padding), view.width, view.stride)
        slide_dense(low, label, fields, padded, out, step=node.stride * view.stride, work=weight.size, pool=size)
    low.finish(target, node.requant)


def _pool_after(low: Lowering, node: Conv1D) -> MaxPool1D | None:
    """The maximum pooling that can be computed while convolving: sole consumer, windows side by side."""
    users = low.consumers[node.output]
    pool = low.graph.nodes[users[0]] if len(users) == 1 and node.output != low.graph.output else None
    return pool if isinstance(pool, MaxPool1D) and pool.size == pool.stride else None


def _gather(low: Lowering, node: Conv1D, fields: Fields, pool: int, out: View) -> None:
    """Taps that do not lie side by side, or rows without padding, are gathered into a window first."""
    view, label, taps = low.view(node), low.label(node), node.weight.shape[1]
    more: Fields = {
        "dense": tables.initializer(label, fields), "positions": out.rows, "pool": pool, "stride": node.stride,
        "left": node.padding[0], "rows": view.rows, "width": view.width, "step": view.stride, "taps": taps,
        "dilation": node.dilation, "zero_point": low.source(node).zero_point,
    }  # fmt: skip
    low.tables.append(tables.structure("edgebat_gather_t", label, more, 40))
    low.call("edgebat_gather", f"&{label}", view, out, low.new_buffer(taps * pad4(view.width)))


def lower_depthwise(low: Lowering, node: DepthwiseConv1D) -> None:
    """One filter a channel, over rows as they lie in memory."""
    if node.requant.kind in LINEAR:
        lower_exact_linear(low, node)
        return
    view, label = low.view(node), low.label(node)
    kernel, channels = node.weight.shape
    weight = node.weight.astype(np.int64)
    bias = node.bias.astype(np.int64) - low.source(node).zero_point * weight.sum(axis=0)
    reach = 128 * np.abs(weight).sum(axis=0) + np.abs(bias)
    rounding = lower_requant(f"node {node.name!r} (depthwise_conv1d)", node.requant, reach)
    row = pad4(channels)
    more = [0] * (row - channels)
    numbers = [int(v) for tap in weight for v in [*tap, *more]]
    out = low.new_view(node.output)
    fields: Fields = {
        "weights": f"{label}_weights", "bias": f"{label}_bias", "multiplier": f"{label}_multiplier",
        "rounding": rounding.macro(), "positions": out.rows, "kernel": kernel, "tap": node.dilation * view.stride,
        "step": node.stride * view.stride, "row": row,
    }  # fmt: skip
    low.tables += [
        tables.byte_table(f"{label}_weights", numbers),
        tables.word_table(f"{label}_bias", [*(int(b) for b in bias), *more]),
        tables.word_table(f"{label}_multiplier", [*rounding.k, *more], rounding),
        tables.structure("edgebat_depthwise_t", label, fields, 32),
    ]
    start = View(view.buffer, view.start - node.padding[0] * view.stride, view.rows, view.width, view.stride)
    low.call("edgebat_depthwise", f"&{label}", start, out)
    low.overlap(start, out, node.stride * view.stride)
    low.finish(node.output, node.requant)


def lower_max_pool(low: Lowering, node: MaxPool1D) -> None:
    """The maximum of a window of rows."""
    view, out = low.view(node), low.new_view(node.output)
    low.call("edgebat_max_pool", view, out, view.stride, out.rows, node.size, node.stride)
    low.overlap(view, out, node.stride * view.stride)
    low.finish(node.output)


def lower_average_pool(low: Lowering, node: AveragePool1D) -> None:
    """The mean of a window of rows, rounded once."""
    if node.requant.kind != "shift":
        lower_exact_average(low, node)
        return
    view, label = low.view(node), low.label(node)
    rounding = lower_requant(f"node {node.name!r} (average_pool1d)", node.requant, np.array([node.size * 255]))
    out = low.new_view(node.output)
    fields: Fields = {
        "bias": -node.size * low.source(node).zero_point, "multiplier": rounding.multiplier_macro(rounding.k[0]),
        "rounding": rounding.macro(), "positions": out.rows, "size": node.size, "stride": node.stride,
        "row": view.stride,
    }  # fmt: skip
    low.tables.append(tables.structure("edgebat_average_t", label, fields, 24))
    low.call("edgebat_average", f"&{label}", view, out)
    low.overlap(view, out, node.stride * view.stride)
    low.finish(node.output, node.requant)
