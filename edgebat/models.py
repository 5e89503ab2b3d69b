"""Open any model file: a teacher, a float student, or an int8 model. The file is read once and says what it is.

::

    model = open_model("runs/demo/models/lstm.ebat")
    model.task.name, model.seen, model.predict(windows)["soh"]

Int8 models need NumPy alone; teachers and float students need torch (extra ``train``).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Bool, FloatArray, Int32, Int64
from edgebat.errors import DataError, ModelFileError, require
from edgebat.files import Json
from edgebat.formats.roundings import OWN
from edgebat.graph import IntGraph, load_graph
from edgebat.interval import BOUNDS
from edgebat.paths import TEACHERS_HINT, shipped, students_dir, teachers_dir
from edgebat.runtime import Engine, input_clipped, outputs_in_units, quantize_input
from edgebat.runtime.refusal import Refusal, condition_refusals, refusals, too_aged
from edgebat.tasks.base import FACTORS, AnyTask, Head, physical, task_of
from edgebat.tasks.windows import Definition, Windows

PPM = 1_000_000
MAX_HEADER_BYTES = 1 << 24


@dataclass(frozen=True)
class Model:
    """A model and what its file says of it."""

    path: Path
    kind: str
    """What a person calls it: ``teacher ic2ml``, ``float lstm``, ``int8 lstm``."""
    task: AnyTask
    spec: Definition
    """Definition of the task it was trained for."""
    provenance: Mapping[str, Any]
    """How it was trained, as far as the file says."""
    predict: Callable[[Windows], Mapping[str, FloatArray]] = field(repr=False)
    """Physical predictions by head for N windows of its task."""
    network: Any = field(default=None, repr=False)
    """The teacher, float student or integer graph itself."""
    notes: Callable[[Windows], list[str]] = field(default=lambda windows: [], repr=False)
    """What a reader of its predictions for N windows must know."""
    refused: Callable[[Windows], Int64] | None = field(default=None, repr=False)
    """A ``Refusal`` [N] where a device would give no estimate; None for a model that no device asks."""

    @property
    def seen(self) -> str:
        """Cells it has learnt from or was tuned on, see ``edgebat.cells.seen_cells``; empty when the file says none."""
        return str(self.provenance.get("seen", ""))


def open_model(path: str | Path) -> Model:
    """The model in a file, or in a folder that holds ``teacher.safetensors`` or one ``.safetensors``.

    Raises ModelFileError for a missing, damaged or foreign file, MissingExtra when torch is needed and missing.
    """
    path = model_file(path)
    if path.suffix != ".safetensors":
        graph = load_model(path)
        task, spec = task_of(graph.meta.get("task"), f"model {graph.name!r}")
        training = graph.meta.get("training") or {}
        return Model(
            path,
            f"int8 {graph.name}",
            task,
            spec,
            training,
            lambda windows: predict_int8(graph, windows),
            graph,
            notes=lambda windows: [] if task.domain_scored else _notes_of_cut_off(graph, windows),
            refused=(lambda windows: run_cells(graph, windows).refusal) if task.domain_scored else None,
        )
    if not path.is_file():
        hint = TEACHERS_HINT if path.is_relative_to(teachers_dir()) else "After a run they lie in runs/<recipe>/models"
        raise ModelFileError(f"there is no model file {path}. {hint}")
    require("torch", extra="train")
    from edgebat.training.tensorfile import read_network

    stored = read_network(path)
    origin = stored.header.get("provenance") or {}
    task, spec = task_of(origin.get("task"), str(path))
    if stored.header["format"] == "edgebat-teacher":
        from edgebat.teachers.store import teacher_of

        teacher: Any = teacher_of(stored)
        return Model(path, f"teacher {teacher.name}", task, spec, origin, teacher.predict, teacher, teacher.notes)
    from edgebat.students.store import student_of

    student = student_of(stored)
    return Model(path, f"float {student.kind}", task, spec, origin, lambda w: student.predict(w.inputs()), student)


def model_file(path: str | Path) -> Path:
    """``path`` itself, or the model in the folder ``path``: its only one or teacher.safetensors. What edgebat
    ships is found: ``export/...``, and a ready student of the zoo by its name."""
    path = shipped(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("teacher.safetensors")) or sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise ModelFileError(f"folder {path} must hold teacher.safetensors or one .safetensors file; found: {names}")
    return found[0]


def load_model(path: str | Path, rounding: str = "auto") -> IntGraph:
    """The integer graph in ``path``: edgebat's own ``.ebat``, or a ``.tflite`` / ``.onnx``, whoever wrote it.

    rounding: whose integers a file of others stands for, "auto" or a name of ``edgebat.formats.roundings.ROUNDINGS``.
    The name of a ready student of the zoo stands for its file. Raises ModelFileError for another suffix, a missing or a
    damaged file.
    """
    path = shipped(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; give one of its models, a file that ends in .ebat, .tflite or .onnx")
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [folder.name for folder in students_dir().glob("*")], n=1)
        hint = f". Did you mean {near[0]}?" if near else "; ready ones: edgebat zoo list"
        raise ModelFileError(f"there is no model file {path}; after a run they lie in runs/<recipe>/models{hint}")
    match path.suffix:
        case ".ebat":
            if rounding != "auto":
                raise ModelFileError(f"{path} {OWN}")
            return load_graph(path)
        case ".tflite":
            from edgebat.formats.tflite.read import read_tflite

            return read_tflite(path, rounding)
        case ".onnx":
            from edgebat.formats.onnx.read import read_onnx

            return read_onnx(path, rounding)
        case ".safetensors" if (header := network_header(path)) is not None:
            name = header.get("name") or header.get("kind")
            role = "teacher" if header.get("format") == "edgebat-teacher" else "float student"
            raise ModelFileError(
                f"{path} is the {role} {name}, which predicts through edgebat evaluate {path} --corpus CORPUS only; "
                "an int8 student of it ends in .ebat, .tflite or .onnx, and edgebat run RECIPE makes one"
            )
    raise ModelFileError(f"{path}: models end in .ebat, .tflite or .onnx, not {path.suffix or 'nothing'!r}")


def tensors_header(path: Path) -> Json:
    """The JSON header of a ``.safetensors`` file. Raises ModelFileError when it has none that can be read."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        content = stream.read(min(length, MAX_HEADER_BYTES))
    try:
        header: Json = dict(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a .safetensors file, or a damaged one: {error}") from None
    return header


def network_header(path: Path) -> Json | None:
    """What edgebat noted of the network in a ``.safetensors`` file; None when it is of no network of edgebat's.

    Raises ModelFileError when the file is damaged.
    """
    noted = tensors_header(path).get("__metadata__")
    try:
        return dict(json.loads(noted["edgebat"])) if noted and "edgebat" in noted else None
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} carries a damaged header: {error}") from None


def to_ppm(fraction: FloatArray) -> Int32:
    """Fractions of nominal capacity as the integers the device works with: int32 parts per million, half to even.

    Raises DataError for values that are not finite or do not fit.
    """
    scaled = np.rint(np.asarray(fraction, dtype=np.float64) * PPM)
    if not (np.abs(scaled) < 2**31).all():
        raise DataError("inputs must be finite and below 2147 times nominal to be written as int32 ppm")
    return scaled.astype(np.int32)


def graph_heads(graph: IntGraph, task: AnyTask, spec: Definition) -> tuple[Head, ...]:
    """The heads of an int8 model of ``task``. Raises ModelFileError when its outputs are not those."""
    outputs = list(graph.meta.get("outputs") or ())
    bounds = {str(entry["name"]): entry for entry in outputs if entry.get("of")}
    sizes = {str(entry["name"]): int(entry["size"]) for entry in outputs if entry["name"] not in bounds}
    heads = task.heads(spec, max(sizes.values(), default=1))
    wanted = {head.name: head.size for head in heads}
    if sizes != wanted:
        raise ModelFileError(
            f"model {graph.name!r} has the outputs {sizes}; a model of the task {task.name} has {wanted}"
        )
    named = {head.name: head for head in heads}
    return (*heads, *(_bound(named.get(str(entry["of"])), entry, graph.name) for entry in bounds.values()))


def _bound(of: Head | None, entry: Mapping[str, Any], model: str) -> Head:
    """The head that says how low or high ``of`` may be."""
    if of is None or entry.get("bound") not in BOUNDS or int(entry["size"]) != of.size:
        raise ModelFileError(
            f"model {model!r} has an output {entry['name']!r} that is no bound of another; export it again"
        )
    return replace(of, name=str(entry["name"]), title=str(entry["bound"]))


@dataclass(frozen=True)
class DeviceOutputs:
    """What a device says of N windows: integers by head [N, size] in 0.01 % and cycles, and a ``Refusal`` [N] where it would
    not ask the model, because the window is not like what that has learnt from."""

    heads: tuple[Head, ...]
    values: Mapping[str, Int64]
    refusal: Int64

    @property
    def outside(self) -> Bool:
        """[N] a device gives no estimate for the window."""
        return np.asarray(self.refusal != Refusal.NONE)

    def physical(self) -> dict[str, FloatArray]:
        """Fractions and cycles by head [N, values]; values between knots lie on straight lines."""
        # Changes are already added to the last value, so that here no head is relative.
        parts = [self.values[head.name] / FACTORS[head.unit][1] for head in self.heads]
        absolute = tuple(head.absolute() for head in self.heads)
        return physical(np.concatenate(parts, axis=1), absolute, np.zeros(len(self.outside)))


def run_int8(graph: IntGraph, x: FloatArray) -> DeviceOutputs:
    """The integer graph on inputs x [N, T, C], fractions of nominal capacity, with the device's arithmetic throughout.

    Raises DataError when the inputs do not have the model's shape, ModelFileError when the model names no task.
    """
    task, spec = task_of(graph.meta.get("task"), f"model {graph.name!r}")
    heads = graph_heads(graph, task, spec)
    shape = graph.input_tensor.shape
    if x.ndim != 3 or x.shape[1:] != shape:
        raise DataError(
            f"windows have shape {list(x.shape)}; this model reads [N, {shape[0]} time steps, {shape[1]} values]"
        )
    ppm = to_ppm(x)
    quantized = quantize_input(graph, ppm)
    values = outputs_in_units(graph, Engine(graph).run(quantized), ppm[:, -1, -1])
    floored = {h.name: values[h.name] if h.floor is None else
               np.maximum(values[h.name], round(h.floor * FACTORS[h.unit][1])) for h in heads}  # fmt: skip
    refusal = refusals(graph, ppm, quantized)
    if task.domain_scored:
        refusal[(refusal == Refusal.NONE) & too_aged(graph, values["soh"][:, 0])] = Refusal.AGE
    return DeviceOutputs(heads, floored, refusal)


def run_cells(graph: IntGraph, windows: Windows) -> DeviceOutputs:
    """``run_int8`` on windows of cells, refused too for what their sources state of rate, temperature and chemistry."""
    found = run_int8(graph, windows.inputs())
    if not task_of(graph.meta.get("task"), f"model {graph.name!r}")[0].domain_scored:
        return found
    stated = condition_refusals(graph, windows.conditions)[windows.cell]
    return replace(found, refusal=np.where(stated, stated, found.refusal))


def _notes_of_cut_off(graph: IntGraph, windows: Windows) -> list[str]:
    """How many windows the border cuts off, for a model that refuses none."""
    cut = int(input_clipped(graph, to_ppm(windows.inputs())).sum())
    if not cut:
        return []
    return [
        f"{cut} of {len(windows)} windows hold values beyond the range that the model reads, and are cut off there: nothing "
        "it has seen vouches for its answers there"
    ]


def predict_int8(graph: IntGraph, windows: Windows) -> dict[str, FloatArray]:
    """What the device would say, in physical units: everything passes through the integers of the border, 0.01 % and whole
    cycles; values between knots lie on straight lines. Bounds are NaN where a device gives no estimate."""
    found = run_cells(graph, windows)
    values = found.physical()
    for name in (str(entry["name"]) for entry in graph.meta.get("outputs") or () if entry.get("of")):
        values[name] = np.where(found.outside, np.nan, values[name])
    return values
