"""Rows around a sequence, averages of windows that reach beyond it, and softmax, as calls of C kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Float32
from edgebat.formats.c import tables
from edgebat.formats.c.exact import PREFIX
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View
from edgebat.graph.model import FloatPool1D, MeanPool1D, Pad1D, Softmax
from edgebat.runtime.padded_pool import float_values

_FORMS = {"tflm": "MICRO", "litert": "LITERT", "onnxruntime": "ONNXRUNTIME"}


def lower_pad(low: Lowering, node: Pad1D) -> None:
    """A copy, of the rows that stay, between two stripes of one value."""
    view, out = low.view(node), low.new_view(node.output)
    left, right = node.padding
    first, kept = max(-left, 0), view.rows + min(left, 0) + min(right, 0)
    source = replace(view, start=view.start + first * view.stride, rows=kept)
    middle = View(out.buffer, out.start + max(left, 0) * out.stride, kept, view.width, out.stride)
    low.call("edgebat_copy", source, view.stride, middle, out.stride, kept, view.width)
    for rows, start in ((left, out.start), (right, middle.start + middle.bytes)):
        if rows > 0:
            stripe = View(out.buffer, start, rows, view.width, out.stride)
            low.call("edgebat_fill", stripe, rows * out.stride, node.value)
    low.finish(node.output)


def lower_mean_pool(low: Lowering, node: MeanPool1D) -> None:
    """Integers divided by the number of positions."""
    _pool(low, node, {"values": 0, "scale": 0, "zero_point": 0, "whole": 0, "middle": 0})


def lower_float_pool(low: Lowering, node: FloatPool1D) -> None:
    """float32 numbers by table, added one after another."""
    label, target = f"{low.label(node)}_values", low.target(node)
    low.tables.append(tables.word_table(label, _bits(float_values(low.source(node)))))
    middle = 128 if node.unsigned else 0
    scale, zero = _bits(np.array([target.scale, target.zero_point + middle], np.float32))
    fields: tables.Fields = {
        "values": label, "scale": _word(scale), "zero_point": _word(zero), "whole": int(node.count_padding), "middle": middle
    }  # fmt: skip
    _pool(low, node, fields)


def _pool(low: Lowering, node: MeanPool1D | FloatPool1D, fields: tables.Fields) -> None:
    view, label = low.view(node), low.label(node)
    out = low.new_view(node.output)
    sizes: tables.Fields = {
        "positions": out.rows, "length": view.rows, "width": view.width, "size": node.size, "stride": node.stride,
        "left": node.padding[0], "row": view.stride, "out": out.stride,
    }  # fmt: skip
    low.tables.append(tables.structure(f"{PREFIX}_pool_t", label, fields | sizes, 32))
    low.call(f"{PREFIX}_pool", f"&{label}", view, out)
    low.finish(node.output)


def lower_softmax(low: Lowering, node: Softmax) -> None:
    """Row by row; a vector that lies in several rows is made one first."""
    view, label, target = low.view(node), low.label(node), low.target(node)
    if len(target.shape) == 1 and view.rows > 1:
        view = low.compact(view)
    out = low.new_view(node.output)
    scale = np.float32(target.scale)
    if node.form == "onnxruntime":
        scale = np.floor(np.float32(1) / scale)
    low.tables.append(tables.word_table(f"{label}_table", node.table.tolist()))
    fields: tables.Fields = {
        "table": f"{label}_table", "scale": _word(_bits(np.array([scale], np.float32))[0]), "rows": out.rows,
        "width": out.width, "step": view.stride, "row": out.stride, "form": f"EDGEBAT_EXACT_{_FORMS[node.form]}",
        "zero_point": target.zero_point,
    }  # fmt: skip
    low.tables.append(tables.structure(f"{PREFIX}_softmax_t", label, fields, 20))
    low.call(f"{PREFIX}_softmax", f"&{label}", view, out)
    low.finish(node.output)


def _bits(values: Float32) -> list[int]:
    """float32 numbers as int32 with the same bits."""
    return [int(value) for value in values.view(np.int32)]


def _word(bits: int) -> str:
    return f"UINT32_C(0x{bits & 0xFFFFFFFF:08X})"
