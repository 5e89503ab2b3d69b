"""Sums, tables, joins and views: operators that keep values where, or nearly where, they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.exact import lower_exact_add, lower_exact_lut
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View
from edgebat.formats.c.requant import lower_requant
from edgebat.graph.model import Add, Concat, Flatten, LastStep, Lut, Reverse, Take

MOST_PLACE = 65535


def lower_add(low: Lowering, node: Add) -> None:
    """The sum of two tensors, which have to lie alike."""
    label = low.label(node)
    a, b = (low.views[name] for name in node.inputs)
    if a.stride % 4 or a.stride != b.stride or a.rows != b.rows:
        a, b = low.compact(a), low.compact(b)
    if node.requant.kind == "steps":
        lower_exact_add(low, node, a, b)
        return
    zeros = np.array([low.graph.tensors[n].zero_point for n in node.inputs], np.int64)
    factors = node.multiplier.astype(np.int64)
    bias = -int((zeros * factors).sum())
    reach = np.array([int(128 * np.abs(factors).sum()) + abs(bias)])
    rounding = lower_requant(f"node {node.name!r} (add)", node.requant, reach)
    out = low.new_view(node.output, like=a)
    fields: tables.Fields = {
        "factor_a": int(factors[0]), "factor_b": int(factors[1]), "bias": bias,
        "multiplier": rounding.multiplier_macro(rounding.k[0]), "rounding": rounding.macro(),
    }  # fmt: skip
    low.tables.append(tables.structure("edgebat_add_t", label, fields, 24))
    low.call("edgebat_add", f"&{label}", a, b, out, out.bytes)
    low.finish(node.output, node.requant)


def lower_lut(low: Lowering, node: Lut) -> None:
    """Every value through a table of 256."""
    if node.table.ndim == 2:
        lower_exact_lut(low, node)
        return
    view, label = low.view(node), low.label(node)
    if view.stride % 4:
        view = low.compact(view)
    out = low.new_view(node.output, like=view)
    low.tables.append(tables.byte_table(f"{label}_table", [int(v) for v in node.table]))
    low.call("edgebat_lut", f"{label}_table", view, out, out.bytes)
    low.finish(node.output)


def lower_concat(low: Lowering, node: Concat) -> None:
    """Copies side by side."""
    out, column = low.new_view(node.output), 0
    for name in node.inputs:
        view, shape = low.views[name], low.graph.tensors[name].shape
        # A flattened tensor still has its rows: they follow one another in the joined vector.
        step = out.stride if len(shape) == 2 else view.width
        low.call("edgebat_copy", view, view.stride, replace(out, start=out.start + column), step, view.rows, view.width)
        column += shape[-1]
    low.finish(node.output)


def lower_flatten(low: Lowering, node: Flatten) -> None:
    """Another look at the same memory."""
    low.views[node.output] = low.view(node)


def lower_last_step(low: Lowering, node: LastStep) -> None:
    """The last row, where it lies."""
    view = low.view(node)
    start = view.start + (view.rows - 1) * view.stride
    low.views[node.output] = View(view.buffer, start, 1, view.width, view.stride)


def lower_take(low: Lowering, node: Take) -> None:
    """Values by their places, or, where these follow one another, rows copied."""
    view, out, label = low.view(node), low.new_view(node.output), low.label(node)
    if (np.diff(node.index) == 1).all():
        whole = replace(view, rows=1, width=view.rows * view.width)
        if view.rows > 1 and view.stride != view.width:
            whole = low.compact(view)
        start = replace(whole, start=whole.start + int(node.index[0]))
        low.call("edgebat_copy", start, out.width, out, out.stride, out.rows, out.width)
        low.finish(node.output)
        return
    place = node.index // view.width * view.stride + node.index % view.width
    if place.max() > MOST_PLACE:
        raise ModelFileError(
            f"node {node.name!r} (take): it moves a value at byte {place.max()}; C allows {MOST_PLACE}. Use a smaller layer"
        )
    low.tables.append(tables.byte_table(f"{label}_places", place.astype("<u2").view(np.int8).tolist()))
    low.call("edgebat_take", f"{label}_places", view, out, out.stride, out.rows, out.width)
    low.finish(node.output)


def lower_reverse(low: Lowering, node: Reverse) -> None:
    """Rows in the other order."""
    view, out = low.view(node), low.new_view(node.output)
    low.call("edgebat_reverse", view, view.stride, out, out.stride, out.rows, out.width)
    low.finish(node.output)
