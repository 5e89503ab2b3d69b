"""The border of the integer graph: engineering units in, engineering units out, integers only.

``meta["input"]`` and ``meta["outputs"]`` of a graph hold the constants; the C header carries the same ones.
Inputs are capacity increments in ppm of the nominal capacity; outputs are 0.01 % SOH ("cpct") and cycles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.errors import ModelFileError
from edgebat.graph.model import IntGraph


def quantize_input(graph: IntGraph, values: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.int8]:
    """Integers in the model's input unit [N, T, C] to the graph's int8 input.

    ``q = clip(((value - offset[c]) * multiplier[c] + 2**(shift-1)) >> shift + zero_point)``, 64-bit product.
    Raises ModelFileError when the model carries no border description.
    """
    clipped: npt.NDArray[np.int8] = np.clip(_scaled(graph, values), -128, 127).astype(np.int8)
    return clipped


def input_clipped(graph: IntGraph, values: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.bool_]:
    """Which windows [N] hold a value outside the range the model was trained for (they are clipped by the border)."""
    scaled = _scaled(graph, values)
    outside = (scaled < -128) | (scaled > 127)
    return np.asarray(outside.reshape(len(values), -1).any(axis=1))


def _scaled(graph: IntGraph, values: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.int64]:
    border = _border(graph, "input")
    if border.get("relative_to") == "last":
        values = values - values[:, -1:, -1:].astype(np.int64)
    offset, multiplier = (np.asarray(border[key], dtype=np.int64) for key in ("offset", "multiplier"))
    shift = int(border["shift"])
    scaled = ((values.astype(np.int64) - offset) * multiplier + (1 << (shift - 1))) >> shift
    return np.asarray(scaled + graph.input_tensor.zero_point)


def outputs_in_units(
    graph: IntGraph,
    y: npt.NDArray[np.signedinteger],
    last_ppm: npt.NDArray[np.signedinteger] | None = None,
) -> dict[str, npt.NDArray[np.int64]]:
    """The graph's output [N, O] as named integers [N, size]: "soh" and "trajectory" in 0.01 %, "rul" in cycles.

    last_ppm [N]: the windows' last values, which relative heads are added to.
    """
    named: dict[str, npt.NDArray[np.int64]] = {}
    for head in _border(graph, "outputs"):
        index, size, shift = int(head["index"]), int(head["size"]), int(head["shift"])
        part = y[:, index : index + size].astype(np.int64)
        named[str(head["name"])] = int(head["offset"]) + (
            (part * int(head["multiplier"]) + (1 << (shift - 1))) >> shift
        )
        if head.get("relative"):
            if last_ppm is None:
                raise ModelFileError(f"head {head['name']!r} of model {graph.name!r} is relative: give the last values")
            named[str(head["name"])] += (last_ppm.astype(np.int64)[:, None] + 50) // 100
    return named


def _border(graph: IntGraph, key: str) -> Any:
    try:
        return graph.meta[key]
    except KeyError:
        raise ModelFileError(
            f"model {graph.name!r} carries no {key!r} description, so its integers have no unit; export it with edgebat"
        ) from None
