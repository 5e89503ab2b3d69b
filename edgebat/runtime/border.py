"""The border of the integer graph: engineering units in, engineering units out, integers only.

``meta["input"]`` and ``meta["outputs"]`` of a graph hold the constants; the C header carries the same ones. Inputs are
ppm of the nominal capacity; outputs are 0.01 % ("cpct") and cycles. Where ``meta["input"]`` says ``relative_to: last``, the
window's very last value (last time step, last channel) is subtracted from all values before they are quantized, and added
again to the heads that are ``relative``: on an absolute int8 scale capacity would lose its slopes. A head that is a
``bound`` ``of`` one before it never lies on the wrong side of that one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.arrays import Bool, Int8, Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.graph.model import IntGraph
from edgebat.interval import LOW

PPM_PER_CPCT = 100


def quantize_input(graph: IntGraph, values: IntArray) -> Int8:
    """Integers in the model's input unit [N, T, C] to the graph's int8 input.

    ``q = clip(((value - offset[c]) * multiplier[c] + 2**(shift-1)) >> shift + zero_point)``, 64-bit product.
    Raises ModelFileError when the model carries no border description.
    """
    clipped: Int8 = np.clip(_scaled(graph, values), -128, 127).astype(np.int8)
    return clipped


def input_clipped(graph: IntGraph, values: IntArray) -> Bool:
    """Which windows [N] hold a value outside the range the model was trained for (they are clipped by the border)."""
    scaled = _scaled(graph, values)
    outside = (scaled < -128) | (scaled > 127)
    return np.asarray(outside.any(axis=tuple(range(1, outside.ndim))))


def unclipped_ppm(graph: IntGraph) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Per column the least and the largest integer that the border does not clip. Raises ModelFileError."""
    border, zero_point = _border(graph, "input"), graph.input_tensor.zero_point
    shift, limit = int(border["shift"]), 2**31 - 1
    if min(border["multiplier"], default=1) < 1 or shift < 1:
        raise ModelFileError(f"model {graph.name!r} has an input border that no value passes; export it again")
    # -128 <= ((v - offset) * multiplier + half >> shift) + zero_point <= 127, solved for v
    half = 1 << (shift - 1)
    least = ((-128 - zero_point) << shift) - half
    beyond = ((128 - zero_point) << shift) - half
    columns = list(zip(border["offset"], border["multiplier"], strict=True))
    low = tuple(max(o - (-least // m), -limit) for o, m in columns)
    return low, tuple(min(o + (beyond - 1) // m, limit) for o, m in columns)


def _scaled(graph: IntGraph, values: IntArray) -> Int64:
    border = _border(graph, "input")
    offset, multiplier = (np.asarray(border[key], dtype=np.int64) for key in ("offset", "multiplier"))
    shift = int(border["shift"])
    wide = values.astype(np.int64)
    if border.get("relative_to"):
        wide = wide - wide[:, -1:, -1:]
    scaled = ((wide - offset) * multiplier + (1 << (shift - 1))) >> shift
    return np.asarray(scaled + graph.input_tensor.zero_point)


def outputs_in_units(graph: IntGraph, y: IntArray, last_ppm: IntArray | None = None) -> dict[str, Int64]:
    """The graph's output [N, O] as named integers [N, size] in 0.01 % and cycles.

    last_ppm: [N] last value of each window, needed by heads that are relative; it is rounded to 0.01 % half up. Raises
    ModelFileError when it is missing.
    """
    named: dict[str, Int64] = {}
    for head in _border(graph, "outputs"):
        index, size, shift = int(head["index"]), int(head["size"]), int(head["shift"])
        part = y[:, index : index + size].astype(np.int64)
        values = int(head["offset"]) + ((part * int(head["multiplier"]) + (1 << (shift - 1))) >> shift)
        if head.get("relative"):
            if last_ppm is None:
                raise ModelFileError(
                    f"head {head['name']!r} of model {graph.name!r} needs the last value of each window"
                )
            values = values + (last_ppm.astype(np.int64)[:, None] + PPM_PER_CPCT // 2) // PPM_PER_CPCT
        if head.get("of"):
            values = (np.minimum if head["bound"] == LOW else np.maximum)(values, named[str(head["of"])])
        named[str(head["name"])] = values
    return named


def _border(graph: IntGraph, key: str) -> Any:
    try:
        return graph.meta[key]
    except KeyError:
        raise ModelFileError(
            f"model {graph.name!r} carries no {key!r} description, so its integers have no unit; export it with edgebat"
        ) from None
