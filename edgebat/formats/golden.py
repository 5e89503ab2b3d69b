"""Golden vectors beside an export: inputs as integers, and what every engine must answer to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.files import atomic_write
from edgebat.graph.model import IntGraph, Tensor
from edgebat.runtime import Engine

WINDOWS = 8


def golden_vectors(graph: IntGraph, windows: int) -> tuple[Int8, Array]:
    """Seeded inputs int8 [windows, *] over the whole range, different for every model, and their outputs [windows, O]."""
    rng = np.random.default_rng(int(graph.fingerprint[:16], 16))
    x = rng.integers(-128, 128, (windows, *graph.input_tensor.shape), dtype=np.int8)
    return x, Engine(graph).run(x).reshape(windows, -1)


def write_golden(graph: IntGraph, path: Path) -> Path:
    """Write ``<name>.golden.json`` for any engine to be compared with; the same graph gives the same bytes.

    ``input`` and ``output`` describe the tensors: dtype, shape of a window, scale, zero_point. ``inputs`` and ``outputs``
    are integers, [N][values of a window], row-major.
    """
    x, y = golden_vectors(graph, WINDOWS)
    found = {
        "model": graph.name,
        "fingerprint": graph.fingerprint,
        "input": _described(graph.input_tensor),
        "output": _described(graph.output_tensor),
        "inputs": x.reshape(WINDOWS, -1).tolist(),
        "outputs": y.tolist(),
    }
    atomic_write(path, json.dumps(found, separators=(",", ":")).encode())
    return path


def _described(tensor: Tensor) -> dict[str, str | list[int] | float | int]:
    return {"dtype": tensor.dtype, "shape": list(tensor.shape), "scale": tensor.scale, "zero_point": tensor.zero_point}
