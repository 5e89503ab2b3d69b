"""Golden vectors: inputs in engineering integers and what the device must answer to them. NumPy only.

``golden.json`` of an entry::

    fingerprint     of the integer graph
    inputs_ppm      [N][T][C] ppm of the nominal capacity, what a BMS has
    input_int8      [N][T][C] the same after the border, what .tflite and .onnx read
    output_int8     [N][O]    what .tflite and .onnx give
    outputs         head -> [N][size], 0.01 % and whole cycles, what the C function and ``edgebat predict`` give
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgebat.arrays import Int64
from edgebat.errors import ModelFileError
from edgebat.files import Json
from edgebat.graph import IntGraph
from edgebat.models import PPM, run_int8
from edgebat.runtime import Engine, quantize_input
from edgebat.verify.inputs import random_inputs

GOLDEN = "golden.json"
COUNT = 8


def golden(graph: IntGraph) -> Json:
    """Golden vectors of ``graph``: seeded inputs over the range it knows, none of them measured."""
    return answers(graph, _inputs_ppm(graph))


def answers(graph: IntGraph, inputs_ppm: Int64) -> Json:
    """What ``graph`` gives for inputs [N, T, C] in ppm, as ``golden.json`` has it."""
    x = quantize_input(graph, inputs_ppm)
    outputs = run_int8(graph, inputs_ppm / PPM).values
    return {
        "fingerprint": graph.fingerprint,
        "inputs_ppm": inputs_ppm.tolist(),
        "input_int8": x.tolist(),
        "output_int8": Engine(graph).run(x).tolist(),
        "outputs": {name: values.tolist() for name, values in outputs.items()},
    }


def check_golden(graph: IntGraph, path: Path) -> None:
    """Raises ModelFileError unless ``graph`` answers the golden vectors in ``path`` to the last integer."""
    asked = json.loads(path.read_text(encoding="utf-8"))
    found = answers(graph, np.asarray(asked["inputs_ppm"], dtype=np.int64))
    differing = [key for key in asked if found[key] != asked[key]]
    if differing:
        raise ModelFileError(f"{path}: {graph.name} gives other integers: {', '.join(differing)}")


def _inputs_ppm(graph: IntGraph) -> Int64:
    """Inputs in ppm that the border takes to int8 values of every size; of a model of changes, around 90 % SOH."""
    border = graph.meta["input"]
    offset, multiplier = (np.asarray(border[key], dtype=np.int64) for key in ("offset", "multiplier"))
    steps = random_inputs(graph, COUNT).astype(np.int64) - graph.input_tensor.zero_point
    ppm = (steps << int(border["shift"])) // multiplier + offset
    return np.asarray(ppm + 9 * PPM // 10 if border.get("relative_to") else ppm)
