"""Products of two tensors as calls of C kernels: of equal shape, or one that gates the rows or columns of the other."""

from __future__ import annotations

import numpy as np

from edgebat.formats.c import tables
from edgebat.formats.c.exact import PREFIX, threshold_table
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View
from edgebat.formats.c.requant import lower_requant
from edgebat.graph.model import MOST_PRODUCT, Mul


def lower_mul(low: Lowering, node: Mul) -> None:
    """By a multiplication of 32 bits, or, in models of others, by thresholds of the product."""
    label, requant = low.label(node), node.requant
    a, b = _aligned(low, node)
    out = low.new_view(node.output, like=a)
    first, second = (low.graph.tensors[name] for name in node.inputs)
    gate = second.shape != first.shape
    zeros: tables.Fields = {"zero_a": first.zero_point, "zero_b": second.zero_point}
    sizes: tables.Fields = {
        "rows": out.rows, "width": out.width, "a_row": a.stride, "b_row": 0 if gate and b.rows == 1 else b.stride,
        "row": out.stride, "own": int(not gate or second.shape == first.shape[1:]),
    }  # fmt: skip
    if requant.kind == "steps":
        thresholds: tables.Fields = {"thresholds": threshold_table(low, label, requant)}
        fields = thresholds | zeros | sizes | {"minimum": requant.minimum}
        low.tables.append(tables.structure(f"{PREFIX}_mul_t", label, fields, 24))
        low.call(f"{PREFIX}_mul", f"&{label}", a, b, out)
        low.finish(node.output)
        return
    rounding = lower_requant(f"node {node.name!r} (mul)", requant, np.array([MOST_PRODUCT]))
    scaling: tables.Fields = {
        "multiplier": rounding.multiplier_macro(rounding.k[0]), "rounding": rounding.macro()
    }  # fmt: skip
    low.tables.append(tables.structure("edgebat_mul_t", label, zeros | scaling | sizes, 32))
    low.call("edgebat_mul", f"&{label}", a, b, out)
    low.finish(node.output, requant)


def _aligned(low: Lowering, node: Mul) -> tuple[View, View]:
    """Both operands in rows that belong together; a flattened one may lie in others."""
    a, b = (low.views[name] for name in node.inputs)
    first, second = (low.graph.tensors[name] for name in node.inputs)
    if first.shape == second.shape:
        return (a, b) if (a.rows, a.width) == (b.rows, b.width) else (low.compact(a), low.compact(b))
    # A gate of every channel is one row.
    return a, low.compact(b) if len(second.shape) == 1 and b.rows > 1 else b
