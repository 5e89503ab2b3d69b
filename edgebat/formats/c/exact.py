"""Layers of models of others as calls of the kernels in ``firmware_stubs/exact``, which round as those tools' engines."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float32, Int8, Int32, Int64
from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View
from edgebat.formats.roundings.base import steps
from edgebat.graph.arithmetic import INT32_MAX
from edgebat.graph.model import Add, AveragePool1D, Convolution, Dense, DepthwiseConv1D, Lut, Requant, Weighted
from edgebat.runtime.kernels import build_requant

PREFIX = "edgebat_exact"
LINEAR = ("double", "float")
"""Kinds of rounding of `lower_exact_linear`."""
_THRESHOLDS = 255
_FLOAT_BITS = 24


def lower_exact_linear(low: Lowering, node: Weighted) -> None:
    """A dense layer over a vector or over rows, or a convolution: taps of a window, one after another."""
    view, label, target = low.view(node), low.label(node), low.target(node)
    if target.dtype != "int8":
        raise ModelFileError(
            f"node {node.name!r} ({node.op}): an int16 output rounded as {node.requant.kind!r} has no C kernel"
        )
    weight, own = _taps(node, view, len(low.source(node).shape) == 1)
    outs, taps, width = weight.shape
    out = low.new_view(node.output)
    positions, step, tap, start = 1, view.stride, view.stride, view.start
    if isinstance(node, Convolution):
        positions, step, tap = out.rows, node.stride * view.stride, node.dilation * view.stride
        start -= node.padding[0] * view.stride
    elif len(target.shape) == 2:
        positions = out.rows
    bias = node.bias.astype(np.int64) - low.source(node).zero_point * weight.astype(np.int64).sum(axis=(1, 2))
    multiplier, exponent = _scales(node, weight, bias)
    requant = node.requant
    fields: tables.Fields = {
        "weights": low.share("int8_t", f"{label}_weights", weight.ravel().tolist()),
        "bias": low.share("int32_t", f"{label}_bias", bias.tolist()),
        "multiplier": low.share("int32_t", f"{label}_multiplier", multiplier.tolist()),
        "exponent": low.share("int32_t", f"{label}_exponent", exponent.tolist()),
        "positions": positions, "outputs": outs, "taps": taps, "width": width, "tap": tap, "step": step,
        "row": out.stride, "own": int(own), "rounding": f"EDGEBAT_EXACT_{'TWICE' if requant.kind == 'double' else 'FLOAT'}",
        "zero_point": requant.zero_point, "minimum": requant.minimum, "maximum": requant.maximum,
    }  # fmt: skip
    low.tables.append(tables.structure(f"{PREFIX}_linear_t", label, fields, 36))
    low.call(f"{PREFIX}_linear", f"&{label}", View(view.buffer, start, view.rows, view.width, view.stride), out)
    low.finish(node.output)


def _taps(node: Weighted, view: View, flat: bool) -> tuple[Int8, bool]:
    """Weights as [outputs, taps, width], and whether each output reads its own channel only."""
    if isinstance(node, DepthwiseConv1D):
        return np.ascontiguousarray(node.weight.T)[:, :, None], True
    if isinstance(node, Dense):
        return node.weight.reshape(len(node.weight), view.rows if flat else 1, view.width), False
    return node.weight, False


def _scales(node: Weighted, weight: Int8, bias: Int64) -> tuple[Int32, Int32]:
    """Multipliers and exponents [C]. Raises ModelFileError where sums could leave 32 bits, or products 64."""
    requant = node.requant
    reach = 128 * np.abs(weight.astype(np.int64)).sum(axis=(1, 2)) + np.abs(bias)
    where = f"node {node.name!r} ({node.op})"
    left = np.maximum(requant.shift.astype(np.int64), 0) if requant.kind == "double" else np.zeros(len(bias), np.int64)
    if (reach << left).max() > INT32_MAX:
        raise ModelFileError(
            f"{where}: a sum can reach {int((reach << left).max())} before it is scaled; C allows {INT32_MAX}. Use a "
            "smaller layer or a coarser output scale"
        )
    if requant.kind == "double":
        return requant.multiplier, requant.shift
    return float_parts(requant.scale)


def float_parts(scale: Float32) -> tuple[Int32, Int32]:
    """float32 numbers > 0 as (24-bit integers, powers of two)."""
    mantissa, exponent = np.frexp(scale.astype(np.float64))
    return (mantissa * 2.0**_FLOAT_BITS).astype(np.int32), (exponent - _FLOAT_BITS).astype(np.int32)


def threshold_table(low: Lowering, label: str, requant: Requant) -> str:
    """The table of all 255 thresholds: above the last one nothing is reached."""
    missing = [INT32_MAX] * (_THRESHOLDS - len(requant.multiplier))
    return low.share("int32_t", f"{label}_thresholds", [*requant.multiplier.tolist(), *missing])


def lower_exact_average(low: Lowering, node: AveragePool1D) -> None:
    """The mean of a window of rows, by the thresholds of its sum."""
    view, label = low.view(node), low.label(node)
    if view.stride % 4:
        raise ModelFileError(f"node {node.name!r} ({node.op}): rows of {view.stride} bytes cannot be averaged")
    out, requant = low.new_view(node.output), node.requant
    if requant.kind != "steps":
        zero = low.source(node).zero_point
        sums = np.arange(node.size * (-128 - zero), node.size * (127 - zero) + 1)
        requant = steps(sums, build_requant(requant)(sums).astype(np.int64), requant)
    fields: tables.Fields = {
        "thresholds": threshold_table(low, label, requant), "bias": -node.size * low.source(node).zero_point,
        "positions": out.rows, "size": node.size, "stride": node.stride, "row": view.stride,
        "minimum": node.requant.minimum,
    }  # fmt: skip
    low.tables.append(tables.structure(f"{PREFIX}_average_t", label, fields, 20))
    low.call(f"{PREFIX}_average", f"&{label}", view, out)
    low.finish(node.output)


def lower_exact_add(low: Lowering, node: Add, a: View, b: View) -> None:
    """The sum of two tensors that lie alike, by summands and thresholds."""
    label = low.label(node)
    if node.multiplier.dtype != np.int32:
        raise ModelFileError(
            f"node {node.name!r} ({node.op}): its rounding depends on more than 32 bits of a sum; C has 32. Calibrate the "
            "model again, so that its scales are no round numbers, or choose another --rounding"
        )
    out = low.new_view(node.output, like=a)
    fields: tables.Fields = {
        "summands": low.share("int32_t", f"{label}_summands", node.multiplier.tolist()),
        "thresholds": threshold_table(low, label, node.requant),
        "minimum": node.requant.minimum,
    }  # fmt: skip
    low.tables.append(tables.structure(f"{PREFIX}_add_t", label, fields, 12))
    low.call(f"{PREFIX}_add", f"&{label}", a, b, out, out.bytes)
    low.finish(node.output)


def lower_exact_lut(low: Lowering, node: Lut) -> None:
    """Every value through the table of its channel."""
    view, label = low.view(node), low.label(node)
    out = low.new_view(node.output, like=view)
    # A flattened tensor still has its rows, and tables for the values of all of them.
    again = int(len(node.table) == view.width)
    table = low.share("int8_t", f"{label}_table", node.table.ravel().tolist())
    sizes = (view.rows, view.width, again)
    low.call(f"{PREFIX}_lut", table, view, view.stride, out, out.stride, *sizes)
    low.finish(node.output)
