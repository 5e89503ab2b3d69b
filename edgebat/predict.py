"""Run an exported model on a user's file: predictions after every cycle that completes a window. NumPy only.

The arithmetic is the device's: inputs become integer ppm of nominal capacity, the integer graph runs, and its integers come
back as 0.01 % and cycles.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Bool, FloatArray, Int64, open_npy
from edgebat.chemistry import materials
from edgebat.data.readers import reader_of
from edgebat.data.readers.text import first_row
from edgebat.errors import DataError, ModelFileError, OutsideGround
from edgebat.files import Json
from edgebat.foreign import border_of, predict_array
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground, graph_interval, synthetic_note
from edgebat.models import DeviceOutputs, load_model, run_int8
from edgebat.paths import shipped
from edgebat.runtime.refusal import Refusal, row_limits
from edgebat.tasks.base import AnyTask, FileInputs, FileOptions, Head, task_of
from edgebat.tasks.windows import Definition
from edgebat.user_units import predict_in_units, user_border_of

CHEMISTRY_HINT = "write NCM811, NMC, NCA, LFP, LCO, LMO, a blend as NMC-LCO, or a formula"
UNIT_SUFFIX = {"fraction": ("percent", 100.0), "cycles": ("cycles", 1.0)}
"""Unit of a head -> ending of its JSON key, and what its integers are divided by."""


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for N windows.

    cycle [N]: last cycle of each window (its index for bare windows). outputs: integers by head. left_out: reason -> number
    of cycles without an input. remarks: how the file was read: what was guessed, and what was left out. suspicion: what
    explains best that all windows are refused, if they are.
    """

    cycle: Int64
    outputs: DeviceOutputs
    left_out: dict[str, int]
    remarks: tuple[str, ...] = ()
    suspicion: str = ""

    @property
    def outside(self) -> Bool:
        """[N] a device gives no estimate: the window is unlike those that the model has learnt from."""
        return self.outputs.outside

    @property
    def reasons(self) -> list[str]:
        """Why, in words, for each window; "" where there is an estimate."""
        return [Refusal(value).text for value in self.outputs.refusal.tolist()]

    def newest(self) -> Prediction:
        """The last window alone."""
        outputs = self.outputs
        values = {name: found[-1:] for name, found in outputs.values.items()}
        return replace(self, cycle=self.cycle[-1:], outputs=DeviceOutputs(outputs.heads, values, outputs.refusal[-1:]))

    def __getitem__(self, head: str) -> Int64:
        """Integers [N, size] of a head, 0.01 % or cycles."""
        return self.outputs.values[head]


def spec_of(graph: IntGraph) -> Any:
    """The definition of the task a graph was trained for; the caller knows of which class. Raises ModelFileError when the
    graph carries none."""
    return _task(graph)[1]


def _task(graph: IntGraph) -> tuple[AnyTask, Definition]:
    return task_of(graph.meta.get("task"), f"model {graph.name!r}")


def predict_windows(
    graph: IntGraph, x: FloatArray, cycle: Int64 | None = None, left_out: dict[str, int] | None = None
) -> Prediction:
    """Predictions for windows ``x`` [N, T, C], fractions of nominal capacity, oldest time step first.

    Raises DataError when the windows do not have the model's shape.
    """
    numbers = np.arange(len(x), dtype=np.int64) if cycle is None else cycle
    return Prediction(numbers, run_int8(graph, x), left_out or {})


def predict_file(graph: IntGraph, path: str | Path, how: FileOptions | None = None) -> Prediction:
    """Predictions for a file that the model's task can read (a cycler file, a capacity history), or for ready windows
    (``.npy`` [N, T, C], or a CSV without header with T x C numbers per row; fractions of nominal capacity).

    Raises DataError.
    """
    how = how or FileOptions()
    found = inputs_of_file(*_task(graph), graph.input_tensor.shape, Path(path), asked(graph, how))
    return of_inputs(graph, found, how.chemistry)


def asked(graph: IntGraph, how: FileOptions) -> FileOptions:
    """``how`` with the ground of the model that is to read the file, so that charges are left out as on a device."""
    return replace(how, ground=replace(graph_ground(graph), rows=row_limits(graph)))


def of_inputs(graph: IntGraph, found: FileInputs, chemistry: str = "") -> Prediction:
    """Predictions for what a file or named columns gave of a cell of ``chemistry``; of one that the model does not know all
    are refused. Raises DataError for a text that names no chemistry."""
    if chemistry and materials(chemistry) is None:
        raise DataError(f"the chemistry {chemistry!r} is none that is known; {CHEMISTRY_HINT}")
    prediction = predict_windows(graph, found.x, found.cycle, found.left_out)
    ground = graph_ground(graph)
    known = "; ".join(text for text in ground.train.chemistries if materials(text))
    unsaid = f"the cell's chemistry is not stated, the model knows {known}: say it with --chemistry"
    asks = known and not chemistry and not synthetic_note(graph)
    remarks = (*found.remarks, unsaid) if asks else found.remarks
    prediction = replace(prediction, remarks=remarks, suspicion=found.suspicion)
    if ground.knows_chemistry(chemistry):
        return prediction
    outputs = replace(prediction.outputs, refusal=np.full_like(prediction.outputs.refusal, Refusal.CHEMISTRY))
    return replace(prediction, outputs=outputs, suspicion=f"it is {chemistry}, the model knows {known}")


def inputs_of_file(task: AnyTask, spec: Definition, shape: tuple[int, ...], path: Path, how: FileOptions) -> FileInputs:
    """Inputs [N, T, C] of a model of ``shape`` (T, C) out of any file that ``predict_file`` takes. Raises DataError."""
    path = shipped(path)
    ready = _ready_windows(path, shape, how)
    return task.inputs_of_file(path, spec, how) if ready is None else ready


def _ready_windows(path: Path, shape: tuple[int, ...], how: FileOptions) -> FileInputs | None:
    """The windows in a file that holds nothing else; None for any other file."""
    if path.suffix == ".npy":
        try:
            x = open_npy(path)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read as an array of windows: {error}") from None
        if x.dtype.kind not in "biuf" or not x.size or not x.ndim:
            raise DataError(f"{path} holds {x.dtype} {list(x.shape)}; windows are numbers [N, T, C], N >= 1")
        return FileInputs(x.astype(np.float64), np.arange(len(x), dtype=np.int64))
    if reader_of(path):
        return None
    header = first_row(path)
    if how.mapping or len(header) != int(np.prod(shape)) or not _all_numbers(header):
        return None
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as windows, one per row: {error}") from None
    return FileInputs(table.reshape(-1, *shape), np.arange(len(table), dtype=np.int64))


def _all_numbers(texts: Sequence[str]) -> bool:
    try:
        [float(text) for text in texts]
    except ValueError:
        return False
    return True


def _derived(graph: IntGraph, prediction: Prediction) -> dict[str, FloatArray]:
    task, spec = _task(graph)
    return task.derived(spec, prediction.outputs.physical())


def as_dict(graph: IntGraph, prediction: Prediction) -> Json:
    """A prediction as JSON-able data: percent and cycles, one entry per window; null where nothing is known."""
    derived = _derived(graph, prediction)
    windows = []
    for i, (cycle, reason) in enumerate(zip(prediction.cycle, prediction.reasons, strict=True)):
        entry: Json = {"cycle": int(cycle)}
        for head in prediction.outputs.heads:
            suffix, divisor = UNIT_SUFFIX[head.unit]
            values = [int(v) / divisor if divisor > 1.0 else int(v) for v in prediction[head.name][i]]
            ahead = {f"+{round(n)}": v for n, v in zip(head.ahead, values, strict=False)}
            entry[f"{head.name}_{suffix}"] = None if reason else ahead or values[0]
        known = {name: np.isfinite(values[i]) and not reason for name, values in derived.items()}
        entry |= {name: int(values[i]) if known[name] else None for name, values in derived.items()}
        windows.append(entry | {"extrapolated": bool(reason), **({"refused": reason} if reason else {})})
    made_up: Json = {"synthetic": True} if synthetic_note(graph) else {}
    origin = {"model": graph.name, "fingerprint": graph.fingerprint, **made_up}
    return {**origin, "windows": windows, "left_out": prediction.left_out, "remarks": list(prediction.remarks)}


def as_table(graph: IntGraph, prediction: Prediction) -> str:
    """A prediction as plain text columns."""
    task, spec = _task(graph)
    columns: list[tuple[str, Head, int]] = []
    for head in prediction.outputs.heads:
        names = [f"+{round(n)}" for n in head.ahead] or [head.title]
        columns += [(name, head, index) for index, name in enumerate(names)]
    derived = _derived(graph, prediction)
    rows = []
    for i, (cycle, reason) in enumerate(zip(prediction.cycle, prediction.reasons, strict=True)):
        texts = []
        for _, head, index in columns:
            divisor = UNIT_SUFFIX[head.unit][1]
            value = int(prediction[head.name][i, index])
            texts.append(f"{value / divisor:.2f}" if divisor > 1.0 else str(value))
        texts += [f"{values[i]:.0f}" if np.isfinite(values[i]) else "-" for values in derived.values()]
        rows.append([str(int(cycle)), *(["-"] * len(texts) if reason else texts), "refused" if reason else ""])
    head_row = ["cycle", *(name for name, _, _ in columns), *derived, ""]
    widths = [max(map(len, column)) for column in zip(head_row, *rows, strict=True)]
    lines = ["  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in [head_row, *rows]]
    lines.append(task.legend(spec))
    if interval := graph_interval(graph):
        lines.append(f"low, high: the true value lies between them {interval.nominal:.0%} of the time, on cells like those "
                     "it has learnt from.")  # fmt: skip
    if note := synthetic_note(graph):
        lines.append(note)
    for reason in sorted({reason for reason in prediction.reasons if reason}):
        lines.append(f"refused: {reason}; a device gives no estimate there.")
    if prediction.left_out:
        skipped = ", ".join(f"{count} ({reason})" for reason, count in sorted(prediction.left_out.items()))
        lines.append(f"Cycles without an input: {skipped}.")
    if prediction.remarks:
        lines.append(f"Read as: {'; '.join(prediction.remarks)}.")
    return "\n".join(lines)


def predict_text(
    model: str, data: str, how: FileOptions, *, last: bool = False, as_json: bool = False, rounding: str = "auto"
) -> str:
    """What ``edgebat predict`` prints. Raises ModelFileError or DataError; OutsideGround, with the text, when no window of
    the file is one that a device would answer."""
    if shipped(data).suffix in (".ebat", ".tflite", ".onnx"):
        raise ModelFileError(f"{data} is a model, where a file of measurements belongs: edgebat predict MODEL FILE")
    graph = load_model(model, rounding)
    if border := border_of(graph):
        return predict_array(graph, border, Path(data), last=last, as_json=as_json)
    if in_units := user_border_of(graph):
        return predict_in_units(graph, in_units, Path(data), last=last, as_json=as_json)
    prediction = predict_file(graph, data, how)
    prediction = prediction.newest() if last else prediction
    text = json.dumps(as_dict(graph, prediction), indent=1) if as_json else as_table(graph, prediction)
    if len(prediction.cycle) and prediction.outside.all():
        reasons = " and ".join(sorted(set(prediction.reasons)))
        suspicion = f". Suspected: {prediction.suspicion}" if prediction.suspicion else ""
        raise OutsideGround(f"{data}: no estimate, for {reasons}{suspicion}", text)
    return text
