"""Run an exported model on a cycler file: SOH, trajectory and remaining life after every charged cycle. NumPy only.

The arithmetic is the device's: increments become integer ppm of nominal capacity, the integer graph runs, and its
integers come back as 0.01 % of SOH and cycles.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.errors import DataError, ModelFileError
from edgebat.features import HealthSpec, charge_increments, input_windows, to_ppm
from edgebat.graph import IntGraph, load_graph
from edgebat.runtime import Engine, input_clipped, outputs_in_units, quantize_input

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """What a model says about N windows.

    cycle [N]: last cycle of each window (its index for bare windows). soh_cpct [N], trajectory_cpct [N, knots]:
    0.01 % of the reference capacity; the trajectory holds ``ahead`` [knots] cycles after the window. rul_cycles [N].
    outside [N]: an input lies outside the range of the training data, so the estimate is an extrapolation.
    left_out: reason -> number of cycles without increments.
    """

    cycle: Int64
    soh_cpct: Int64
    trajectory_cpct: Int64
    rul_cycles: Int64
    outside: npt.NDArray[np.bool_]
    ahead: Int64
    left_out: dict[str, int] = field(default_factory=dict)


def load_model(path: str | Path) -> IntGraph:
    """The integer graph in ``path``: edgebat's own ``.ebat``, or a ``.tflite`` / ``.onnx`` written by edgebat.

    Raises ModelFileError for another suffix, a missing or a damaged file.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; after a run they lie in runs/<recipe>/models")
    match path.suffix:
        case ".ebat":
            return load_graph(path)
        case ".tflite":
            from edgebat.formats.tflite_read import read_tflite

            return read_tflite(path)
        case ".onnx":
            from edgebat.formats.onnx_read import read_onnx

            return read_onnx(path)
    raise ModelFileError(f"{path}: models end in .ebat, .tflite or .onnx, not {path.suffix or 'nothing'!r}")


def task_of(graph: IntGraph) -> HealthSpec:
    """The task a graph was trained for; raises ModelFileError when it carries none."""
    task = graph.meta.get("task")
    if not isinstance(task, dict):
        raise ModelFileError(f"model {graph.name!r} does not say which task it was trained for; export it with edgebat")
    try:
        return HealthSpec.from_dict(task)
    except DataError as error:
        raise ModelFileError(f"model {graph.name!r} carries an unusable task: {error}") from None


def predict_windows(graph: IntGraph, x: npt.NDArray[np.floating], cycle: Int64 | None = None) -> Prediction:
    """Predictions for windows ``x`` [N, context, increments], fractions of nominal capacity, oldest cycle first.

    Raises DataError when the windows do not have the model's shape.
    """
    spec = task_of(graph)
    if x.ndim != 3 or x.shape[1:] != (spec.context, spec.increments):
        raise DataError(
            f"windows have shape {list(x.shape)}; this model reads [N, {spec.context} cycles, {spec.increments} increments]"
        )
    ppm = to_ppm(x)
    values = outputs_in_units(graph, Engine(graph).run(quantize_input(graph, ppm)))
    knots = values["trajectory"].shape[1]
    return Prediction(
        cycle=np.arange(len(x), dtype=np.int64) if cycle is None else cycle,
        soh_cpct=values["soh"][:, 0],
        trajectory_cpct=values["trajectory"],
        rul_cycles=np.maximum(values["rul"][:, 0], 0),
        outside=input_clipped(graph, ppm),
        ahead=np.rint(np.arange(1, knots + 1) * spec.horizon / knots).astype(np.int64),
    )
