"""Tables of a weight matrix: blocks of packed weights, biases with the zero point folded in, constants of rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Int8, Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.calls import Slide
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import View, pad4
from edgebat.formats.c.requant import lower_requant
from edgebat.formats.c.tables import Fields, Rounding
from edgebat.graph.model import Conv1D, Dense

ALL = slice(None)


@dataclass(frozen=True)
class Matrix:
    """``weight`` [O, I] as it is laid out, ``bias`` [O] with the input's zero point folded in, and the rounding."""

    weight: Int64
    bias: Int64
    rounding: Rounding


def spread(weight: Int8, stride: int) -> Int8:
    """Weights [O, rows, width] as [O, rows * stride]: zeros where rows of the input are padded."""
    return np.pad(weight, ((0, 0), (0, 0), (0, stride - weight.shape[2]))).reshape(len(weight), -1)


def fold(low: Lowering, node: Dense | Conv1D, weight: IntArray) -> Matrix:
    """The matrix of ``node`` with its ``weight`` laid out as [O, I]. Raises ModelFileError where C has no exact form."""
    where = f"node {node.name!r} ({node.op})"
    wide = weight.astype(np.int64)
    bias = node.bias.astype(np.int64) - low.source(node).zero_point * wide.sum(axis=1)
    reach = 128 * np.abs(wide).sum(axis=1) + np.abs(bias)
    rounding = lower_requant(where, node.requant, reach)
    tables.check_rows(where, wide, reach)
    if rounding.up and low.target(node).dtype == "int8" and low.mode != "flash":
        raise ModelFileError(
            f"{where}: a requantization multiplier is {max(rounding.k)} * 2**-{rounding.n}; C needs less than 0.5. "
            "Use a coarser output scale"
        )
    return Matrix(wide, bias, rounding)


def row_tables(
    low: Lowering, label: str, matrix: Matrix, rows: slice = ALL, height: int = 4, kind: str = "weights"
) -> Fields:
    """Tables of ``rows`` of ``matrix`` in blocks of ``height`` rows; the fields that name them."""
    weight, bias, rounding = matrix.weight[rows], matrix.bias[rows], matrix.rounding
    blocks = tables.blocked(weight, height)
    titles = tables.row_titles(rows.start or 0, len(weight), height)
    low.tables.append(tables.weight_table(f"{label}_weights", blocks, titles, kind))
    low.tables.append(tables.channel_table(f"{label}_channels", bias, rounding.k[rows], rounding, height))
    return {
        "weights": f"{label}_weights", "channels": f"{label}_channels",
        "rounding": rounding.fast_macro() if kind == "fast" else rounding.macro(), "columns4": blocks.shape[1],
    }  # fmt: skip


def block_tables(low: Lowering, label: str, matrix: Matrix, rows: slice = ALL, kind: str = "weights") -> Fields:
    """Fields of an ``edgebat_dense_t`` over ``rows`` of ``matrix``, or of kind "fast" of an ``edgebat_fast_dense_t``."""
    return row_tables(low, label, matrix, rows, kind=kind) | {"blocks": pad4(len(matrix.weight[rows])) // 4}


def pair_tables(low: Lowering, label: str, matrix: Matrix, rows: slice = ALL) -> Fields:
    """Fields of an ``edgebat_rest_t`` over ``rows`` of ``matrix``, and the beginning of an ``edgebat_compact_t``."""
    return row_tables(low, label, matrix, rows, 2, "weights2") | {"outputs": len(matrix.weight[rows])}


def int8_tables(low: Lowering, label: str, matrix: Matrix) -> Fields:
    """Fields of an ``edgebat_dense_t``, or of an ``edgebat_compact_t`` for the smallest flash."""
    if low.mode == "flash":
        return pair_tables(low, label, matrix) | {"wide": 0}
    return block_tables(low, label, matrix)


def slide_dense(
    low: Lowering, label: str, fields: Fields, view: View, out: View, *, step: int, work: int, pool: int = 1
) -> None:
    """The same fully connected layer at positions ``step`` bytes apart, from where ``view`` starts.

    work: multiply-accumulates of one position; pool: positions of which the maximum is one output row.
    """
    kernel = "edgebat_compact_conv1d" if low.mode == "flash" else "edgebat_conv1d"
    more: Fields = {"dense": tables.initializer(label, fields), "positions": out.rows, "step": step, "pool": pool}
    if low.mode == "flash":
        more["row"] = out.stride
    low.tables.append(tables.structure(f"{kernel}_t", label, more, 28))
    slide = Slide(label, out.rows, step * pool, out.stride, work * pool)
    low.call(kernel, f"&{label}", view, out, slide=slide)
    low.overlap(view, out, step * pool)
