"""Run an exported model on a cycler file: SOH, trajectory and remaining life after every charged cycle. NumPy only.

The arithmetic is the device's: increments become integer ppm of nominal capacity, the integer graph runs, and its
integers come back as 0.01 % of SOH and cycles.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Int64
from edgebat.data.readers import CurrentSign, RawCell, read_csv_map
from edgebat.data.readers.bdf import COLUMNS, CYCLE
from edgebat.data.readers.csv_map import header_of
from edgebat.errors import DataError, ModelFileError
from edgebat.graph import IntGraph, load_graph
from edgebat.runtime import Engine, input_clipped, outputs_in_units, quantize_input
from edgebat.tasks.health import HealthSpec, charge_increments, input_windows, to_ppm


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
            from edgebat.formats.tflite.read import read_tflite

            return read_tflite(path)
        case ".onnx":
            from edgebat.formats.onnx.read import read_onnx

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


def predict_cell(graph: IntGraph, cell: RawCell, nominal_ah: float | None = None) -> Prediction:
    """Predictions after every cycle of a measured cell that completes a window.

    nominal_ah: nominal capacity in Ah; None takes the file's own. Raises DataError when no capacity is known or no
    window is complete, with the reasons counted.
    """
    spec = task_of(graph)
    nominal = nominal_ah or cell.nominal_ah
    if not nominal:
        raise DataError(
            f"{cell.source} does not state the nominal capacity; give it with --nominal-ah, for example 3.5"
        )
    cycles, rows, left_out = [], [], dict[str, int]()
    for number, samples in cell.cycles():
        found, status = charge_increments(
            cell.time_s[samples], cell.voltage_v[samples], cell.current_a[samples], nominal, spec
        )
        if found is None:
            left_out[str(status)] = left_out.get(str(status), 0) + 1
        else:
            cycles.append(number)
            rows.append(found)
    numbers = np.array(cycles, dtype=np.int64)
    x, last = input_windows(numbers, np.array(rows).reshape(-1, spec.increments), spec)
    if not len(x):
        reasons = (
            ", ".join(f"{count} cycles: {reason}" for reason, count in sorted(left_out.items())) or "none left out"
        )
        raise DataError(
            f"{cell.source} gives no complete window: {len(cycles)} cycles charge through "
            f"{spec.window_start_v:g} to {spec.window_end_v:g} V, {spec.context} neighbouring ones are needed ({reasons})"
        )
    prediction = predict_windows(graph, x, numbers[last])
    return replace(prediction, left_out=left_out)


def predict_file(
    graph: IntGraph,
    path: str | Path,
    nominal_ah: float | None = None,
    mapping: Sequence[str] = (),
    sign: str = CurrentSign.POSITIVE_IS_CHARGE,
) -> Prediction:
    """Predictions for a cycler CSV, or for ready windows (``.npy`` [N, context, increments], or a CSV without header
    with context x increments numbers per row; fractions of nominal capacity).

    mapping: ``"current=I_mA:1e-3"`` names a column and its factor to s, V, A; columns that are not named are looked for
    under their BDF names. Raises DataError.
    """
    path = Path(path)
    spec = task_of(graph)
    if path.suffix == ".npy":
        try:
            return predict_windows(graph, np.load(path, allow_pickle=False).astype(np.float64))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read as an array of windows: {error}") from None
    header = header_of(path)
    if not mapping and len(header) == spec.context * spec.increments and _all_numbers(header):
        try:
            table = np.loadtxt(path, delimiter=",", ndmin=2)
        except ValueError as error:
            raise DataError(f"{path} cannot be read as windows, one per row: {error}") from None
        return predict_windows(graph, table.reshape(-1, spec.context, spec.increments))
    return predict_cell(graph, read_csv_map(path, _columns(header, mapping), sign, nominal_ah), nominal_ah)


def _columns(header: list[str], mapping: Sequence[str]) -> dict[str, str]:
    columns = {}
    for entry in mapping:
        quantity, equals, column = entry.partition("=")
        if not equals:
            raise DataError(f"--map {entry!r} is not of the form quantity=column:factor, for example current=I_mA:1e-3")
        columns[quantity.strip()] = column
    for quantity, names in (*COLUMNS.items(), ("cycle", CYCLE)):
        present = [name for name in names if name in header]
        if quantity not in columns and (present or quantity in COLUMNS):
            columns[quantity] = (present or list(names))[0]
    return columns


def _all_numbers(texts: Sequence[str]) -> bool:
    try:
        [float(text) for text in texts]
    except ValueError:
        return False
    return True


def as_dict(graph: IntGraph, prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON-able data: percent and cycles, one entry per window."""
    windows = [
        {
            "cycle": int(prediction.cycle[i]),
            "soh_percent": int(prediction.soh_cpct[i]) / 100,
            "trajectory_percent": {
                f"+{int(a)}": int(v) / 100 for a, v in zip(prediction.ahead, prediction.trajectory_cpct[i], strict=True)
            },
            "rul_cycles": int(prediction.rul_cycles[i]),
            "extrapolated": bool(prediction.outside[i]),
        }
        for i in range(len(prediction.cycle))
    ]
    return {"model": graph.name, "fingerprint": graph.fingerprint, "windows": windows, "left_out": prediction.left_out}


def as_table(prediction: Prediction, spec: HealthSpec) -> str:
    """A prediction as plain text columns."""
    head = ["cycle", "SOH %", *(f"+{int(a)}" for a in prediction.ahead), "RUL", ""]
    rows = [
        [
            str(int(prediction.cycle[i])),
            f"{prediction.soh_cpct[i] / 100:.2f}",
            *(f"{value / 100:.2f}" for value in prediction.trajectory_cpct[i]),
            str(int(prediction.rul_cycles[i])),
            "extrapolated" if prediction.outside[i] else "",
        ]
        for i in range(len(prediction.cycle))
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    lines.append(
        f"SOH in % of the {spec.soh_reference} capacity; +n: SOH n cycles ahead; RUL: cycles until {spec.eol * 100:g} %."
    )
    if prediction.outside.any():
        lines.append("extrapolated: an input lies outside the range of the training cells; do not rely on that row.")
    if prediction.left_out:
        skipped = ", ".join(f"{count} ({reason})" for reason, count in sorted(prediction.left_out.items()))
        lines.append(f"Cycles without an input: {skipped}.")
    return "\n".join(lines)


def predict_text(
    model: str,
    data: str,
    *,
    nominal_ah: float | None = None,
    mapping: Sequence[str] = (),
    sign: str = CurrentSign.POSITIVE_IS_CHARGE,
    last: bool = False,
    as_json: bool = False,
) -> str:
    """What ``edgebat predict`` prints. Raises ModelFileError or DataError."""
    graph = load_model(model)
    prediction = predict_file(graph, data, nominal_ah, mapping, sign)
    if last:
        prediction = replace(
            prediction,
            **{
                name: getattr(prediction, name)[-1:]
                for name in ("cycle", "soh_cpct", "trajectory_cpct", "rul_cycles", "outside")
            },
        )
    if as_json:
        return json.dumps(as_dict(graph, prediction), indent=1)
    return as_table(prediction, task_of(graph))


def describe_model(model: str) -> str:
    """What ``edgebat info`` prints: the task, the layers and where the model comes from. Raises ModelFileError."""
    graph = load_model(model)
    lines = [f"{graph.name}: {graph.fingerprint[:16]}", "layers:"]
    for node in graph.nodes:
        tensor = graph.tensors[node.output]
        lines.append(f"  {node.op:<18} -> {tensor.dtype} {list(tensor.shape)}")
    for title in ("task", "training"):
        values = graph.meta.get(title)
        if isinstance(values, dict):
            lines.append(f"{title}:")
            lines += [f"  {name} = {value}" for name, value in values.items()]
    return "\n".join(lines)
