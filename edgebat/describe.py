"""What ``edgebat info`` says of any file or folder: what it is, what to do with it, and what a model holds. NumPy only."""

from __future__ import annotations

import csv
import json
import re
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebat.arrays import open_npy
from edgebat.cells import packed_count
from edgebat.data.readers import reader_of
from edgebat.data.readers.text import column_names
from edgebat.errors import DataError, EdgebatError, ModelFileError
from edgebat.files import Json
from edgebat.formats.contents import Contents, contents_of
from edgebat.formats.roundings import AUTO, ROUNDINGS
from edgebat.graph import IntGraph
from edgebat.graph.origin import Foreign, foreign_of, graph_ground, graph_interval, synthetic_note
from edgebat.models import load_model, model_file, network_header, tensors_header
from edgebat.paths import recipes_dir, shipped, targets_dir, teachers_dir
from edgebat.user_units import UserBorder, user_border_of

INT8 = (".ebat", ".tflite", ".onnx")
NETWORKS = (".pt2", ".keras", ".h5")
"""Files that are float networks by their ending; TFLite and ONNX files may be."""
FORMS = {".pt2": b"PK", ".keras": b"PK", ".h5": b"\x89HDF\r\n\x1a\n"}
"""How files of networks begin."""
HEAD_BYTES = 1 << 16
LOOKED_AT = 20
"""Files of a folder of which one must be a cycler file for the folder to be one of cycler files."""


@dataclass(frozen=True)
class Description:
    """What lies at ``path``; ``what`` and ``use`` are one line together."""

    path: Path
    kind: str
    """One word for programs: int8, teacher, student, recipe, target, run, corpus, results, cycler ..."""
    what: str
    use: str
    """What one does with it."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """By title: a mapping, a list or one value."""

    def text(self) -> str:
        """The line, and the details below it."""
        lines = [f"{self.path}: {self.what}", f"use: {self.use}"]
        for title, values in self.details.items():
            if isinstance(values, Mapping):
                lines += [f"{title}:", *(f"  {name} = {_shown(name, value)}" for name, value in values.items())]
            elif isinstance(values, list):
                lines += [f"{title}:", *(f"  {value}" for value in values)]
            else:
                lines.append(f"{title}: {values}")
        return "\n".join(lines)

    def to_json(self) -> Json:
        """The same for programs."""
        return {"path": str(self.path), "kind": self.kind, "what": self.what, "use": self.use, **self.details}


def _shown(name: str, value: Any) -> Any:
    """The cells that a model has seen are packed; a reader wants their number."""
    return f"{packed_count(value)} cells" if name == "seen" and isinstance(value, str) else value


def info_text(path: str, *, as_json: bool = False, rounding: str = "auto") -> str:
    """What ``edgebat info`` prints. Raises EdgebatError for a file that is missing, damaged or of no kind known."""
    found = describe(path, rounding)
    return json.dumps(found.to_json(), indent=1, sort_keys=True, default=str) if as_json else found.text()


def describe(path: str | Path, rounding: str = "auto") -> Description:
    """What lies at ``path``, or the shipped recipe, student, target or teacher of that name.

    rounding: as `load_model` takes it. Raises EdgebatError.
    """
    given = shipped(path)
    if not given.exists():
        for folder in (recipes_dir(), targets_dir()):
            if given.parent == Path() and (named := folder / f"{given}.yaml").is_file():
                return _yaml(named, str(given))
        if not given.is_absolute() and (teacher := teachers_dir() / f"{given}.safetensors").is_file():
            return _safetensors(teacher)
        raise ModelFileError(
            f"there is no model file {given}, nor another file or folder; after a run models lie in runs/<recipe>/models, "
            "ready ones are named by edgebat zoo list"
        )
    if given.is_dir():
        return _folder(given)
    if given.suffix in INT8:
        return _int8(given, rounding)
    if given.suffix == ".safetensors":
        return _safetensors(given)
    if given.suffix in (".yaml", ".yml"):
        return _yaml(given, str(given))
    if given.suffix in NETWORKS:
        _expect_form(given)
        return Description(
            given, "network", f"float network, or one in another tool's form ({given.suffix})",
            f"edgebat quantize {_quoted(given)} --calibration WINDOWS makes it int8",
        )  # fmt: skip
    return _measurements(given)


def _expect_form(path: Path) -> None:
    """Refuse what only its name calls a network. Raises ModelFileError."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith(FORMS[path.suffix]) or (path.suffix != ".h5" and not zipfile.is_zipfile(path)):
        raise ModelFileError(
            f"{path} is no {path.suffix} file: it begins with {start!r}, or is cut off; save the network again"
        )


def _quoted(path: object) -> str:
    return shlex.quote(str(path))


def _int8(path: Path, rounding: str) -> Description:
    """An integer graph, with the task it was trained for or without one; or a file that holds another model."""
    try:
        graph = load_model(path, rounding)
    except ModelFileError as error:
        if path.suffix == ".ebat" or rounding != AUTO:
            raise
        return _no_graph(path, error)
    if foreign := foreign_of(graph):
        return _foreign(path, graph, foreign)
    if border := user_border_of(graph):
        return _network(path, graph, border)
    layers = [f"{node.op:<18} -> {_tensor(graph, node.output)}" for node in graph.nodes]
    details: Json = {"model": f"{graph.name}: {graph.fingerprint[:16]}", "layers": layers}
    for title in ("task", "training"):
        if isinstance(values := graph.meta.get(title), dict):
            details[title] = values
    if graph.meta.get("task"):
        details["ground"] = dict(graph_ground(graph).facts())
    if (interval := graph_interval(graph)) is not None:
        details["interval"] = dict(interval.facts())
    task = graph.meta.get("task")
    name = task.get("name", "health") if isinstance(task, dict) else ""
    made_of = ", trained on synthetic cells" if synthetic_note(graph) else ""
    what = f"int8 model of the task {name}{made_of}" if name else "int8 model of no task of edgebat"
    predict = f"edgebat predict {_quoted(path)} FILE, " if name else ""
    use = f"{predict}edgebat export {_quoted(path)} --to c, edgebat bench {_quoted(path)}"
    return Description(path, "int8", what, use, details)


def _no_graph(path: Path, refused: ModelFileError) -> Description:
    """A whole file that holds a model which is no integer graph. Raises ``refused`` where it is damaged or of edgebat."""
    try:
        contents = contents_of(path)
    except ModelFileError:
        raise refused from None
    if contents.own:
        raise refused
    form = {".tflite": "TensorFlow Lite", ".onnx": "ONNX"}[path.suffix]
    details: Json = {
        "inputs": _border(contents.inputs), "outputs": _border(contents.outputs), "operators": dict(contents.operators),
        "values in constants": f"{contents.constants:,}", "size": f"{contents.size_bytes:,} bytes",
    }  # fmt: skip
    name = _quoted(path)
    if contents.floating:
        return Description(
            path, "network", f"float network of another tool ({form})",
            f"edgebat quantize {name} --calibration WINDOWS makes it int8{_windows(contents)}; edgebat verify, bench "
            "and export take what that writes", details,
        )  # fmt: skip
    return Description(
        path, "other", f"model of another tool that edgebat does not run ({form})",
        f"nothing as it is: {refused}", details,
    )  # fmt: skip


def _windows(contents: Contents) -> str:
    """What the windows are, where the file has one input with sizes."""
    if len(contents.inputs) != 1 or not contents.inputs[0][2]:
        return ""
    sizes = [str(size) if size != -1 else "?" for size in contents.inputs[0][2][1:]]
    return f", WINDOWS an .npy array [{', '.join(['N', *sizes])}]"


def _border(values: Sequence[tuple[str, str, Sequence[int | str] | None]]) -> Json:
    return {
        name: f"{dtype} {'of any size' if sizes is None else '[' + ', '.join(map(str, sizes)) + ']'}"
        for name, dtype, sizes in values
    }


def _network(path: Path, graph: IntGraph, border: UserBorder) -> Description:
    """A user's network that edgebat quantized: its units, and what its layers lose."""
    columns = [f"{scale:.9g} {unit}".strip() for scale, unit in zip(border.scales.tolist(), border.units, strict=True)]
    outputs = {name: f"{scale:.9g} {unit}".strip() for name, scale, unit, _ in border.outputs}
    report = graph.meta.get("quantization", {})
    losses = {entry["name"]: f"{entry['db']} dB" for entry in report.get("errors", ())}
    layers = [
        f"{node.op:<18} -> {_scaled(graph, node.output)}  {losses.get(node.name, '')}".rstrip() for node in graph.nodes
    ]
    details: Json = {
        "model": f"{graph.name}: {graph.fingerprint[:16]}",
        "network": f"from {border.source}, windows {list(border.file_shape)}",
        "one integer in": columns, "one integer out": outputs,
        "quantization": f"{report.get('scheme')}, {report.get('windows')} windows", "layers": layers,
    }  # fmt: skip
    name = _quoted(path)
    use = f"edgebat export {name} --to c, edgebat verify {name}, edgebat bench {name}, edgebat predict {name} ARRAY"
    return Description(path, "int8", "int8 model of a user's own network", use, details)


def _foreign(path: Path, graph: IntGraph, foreign: Foreign) -> Description:
    """A model that another tool quantized: its scales, and whose integers these are."""
    engine = ROUNDINGS[foreign.rounding].engine if foreign.rounding in ROUNDINGS else foreign.rounding
    ends = {
        title: f"{_scaled(graph, name)}, {kind} in the file"
        for title, name, kind in (("input", graph.input, foreign.input), ("output", graph.output, foreign.output))
    }
    layers = [f"{node.op:<18} -> {_scaled(graph, node.output)}" for node in graph.nodes]
    details: Json = {
        "model": f"{graph.name}: {graph.fingerprint[:16]}", "rounding": f"{foreign.rounding}, the integers of {engine}",
        "border": ends, "layers": layers,
    }  # fmt: skip
    name = _quoted(path)
    use = (
        f"edgebat verify {name}, edgebat export {name} --to c, edgebat bench {name}, edgebat predict {name} ARRAY; another "
        "engine's integers: --rounding"
    )
    return Description(path, "int8", "int8 model of another tool, of no task of edgebat", use, details)


def _scaled(graph: IntGraph, name: str) -> str:
    tensor = graph.tensors[name]
    return f"{_tensor(graph, name)}, scale {tensor.scale:.9g}, zero point {tensor.zero_point}"


def _tensor(graph: IntGraph, name: str) -> str:
    tensor = graph.tensors[name]
    return f"{tensor.dtype} {list(tensor.shape)}"


def _safetensors(path: Path) -> Description:
    """A teacher, a float student, or what a run keeps between its steps."""
    header = network_header(path)
    if header is None:
        names = tensors_header(path)
        if "windows" in names.get("__metadata__", {}):
            return Description(
                path, "windows", "windows of a run, cut by its step data", "edgebat run goes on from them"
            )
        return Description(
            path, "tensors", f"tensors that are no network of edgebat: {', '.join(sorted(set(names) - {'__metadata__'}))}",
            "nothing here; models of others come in as int8 .tflite or .onnx",
        )  # fmt: skip
    origin = header.get("provenance") or {}
    task = (origin.get("task") or {}).get("name", "health")
    made_of = ", trained on synthetic cells" if origin.get("synthetic") or origin.get("made_up") else ""
    details = {title: header[title] for title in ("settings",) if header.get(title)}
    details |= {"task": origin.get("task") or {}}
    details["training"] = {name: value for name, value in origin.items() if name != "task"}
    if header.get("format") == "edgebat-teacher":
        return Description(
            path, "teacher", f"teacher {header.get('name')} of the task {task}{made_of}",
            f"edgebat evaluate {_quoted(path)} --corpus CORPUS; to distil it: teacher: {{file: {path}}} in a recipe, then "
            "edgebat run RECIPE", details,
        )  # fmt: skip
    return Description(
        path, "student", f"float student {header.get('kind')} of the task {task}{made_of}",
        f"edgebat evaluate {_quoted(path)} --corpus CORPUS; for a device its int8 form, {path.stem}.ebat of the same folder",
        details,
    )  # fmt: skip


def _yaml(path: Path, name: str) -> Description:
    """A recipe, a study or a target; told apart by keys at the top, so that PyYAML is not needed."""
    text = _head(path)
    if text is None:
        raise EdgebatError(f"{path} ends in {path.suffix} and is not text; it is damaged or has a wrong name")
    keys = set(re.findall(r"^([A-Za-z_]\w*):", text, re.MULTILINE))
    title = re.search(r"^(?:title|description): *(.+)$", text, re.MULTILINE)
    heading = f": {title[1].strip()}" if title else ""
    if "study" in keys:
        return Description(path, "study", f"recipe of a study of one teacher{heading}",
                           f"edgebat run {_quoted(name)} --corpus CORPUS")  # fmt: skip
    if keys & {"task", "teacher"}:
        corpus = " --corpus CORPUS" if re.search(r"source: *corpus", text) else ""
        return Description(
            path, "recipe", f"recipe of a whole pipeline{heading}", f"edgebat run {_quoted(name)}{corpus}"
        )
    if keys & {"core", "clock_hz", "float_abi"}:
        return Description(path, "target", f"target, a board to build for and simulate{heading}",
                           f"edgebat bench MODEL --target {_quoted(name)}")  # fmt: skip
    return Description(
        path, "yaml", f"YAML file with the keys {', '.join(sorted(keys)) or 'none'}: neither recipe nor target",
        "a recipe needs task: and teacher: (edgebat settings), a target core: (edgebat targets)",
    )  # fmt: skip


def _folder(path: Path) -> Description:
    """A run, a corpus, results over logs, a folder with one model, or one of cycler files."""
    if (path / "config.yaml").is_file() and (path / "steps").is_dir():
        done = sorted(record.stem for record in (path / "steps").glob("*.json"))
        report = path / "report.html"
        use = f"open {report}; " if report.is_file() else "edgebat run RECIPE goes on from there; "
        return Description(path, "run", f"run folder, {len(done)} steps finished",
                           f"{use}models: {path / 'models'}", {"finished": done})  # fmt: skip
    if (path / "study.json").is_file():
        return Description(path, "study run", "results of a study", "edgebat run RECIPE goes on from there")
    if (path / "cells.csv").is_file():
        with (path / "cells.csv").open(encoding="utf-8", errors="replace", newline="") as stream:
            cells = sum(1 for _ in csv.reader(stream)) - 1
        corpus = _quoted(path)
        use = (
            f"edgebat data check {corpus}, edgebat init my.yaml --corpus {corpus}, edgebat run RECIPE --corpus {corpus}, "
            f"edgebat evaluate MODEL --corpus {corpus}"
        )
        return Description(path, "corpus", f"corpus of {max(cells, 0)} measured cells", use)
    if (path / "job.json").is_file() and (path / "parts").is_dir():
        return Description(
            path, "results", f"results of a model on many logs, {len(list((path / 'parts').glob('*.parquet')))} parts",
            f"pandas.read_parquet({str(path / 'parts')!r}) reads all rows; what became of each log: {path / 'logs.csv'}",
        )  # fmt: skip
    try:
        return describe(model_file(path))
    except ModelFileError:
        names = sorted(entry.name for entry in path.iterdir())
        if any(_is_cycler_file(path / name) for name in names[:LOOKED_AT]):
            return Description(
                path, "cycler files", f"folder of {len(names)} files, cycler files among them",
                f"edgebat data add {_quoted(path)} --out CORPUS --nominal-ah AH makes a corpus of them; "
                f"edgebat predict MODEL {_quoted(path)} --out RESULTS --nominal-ah AH takes each for the log of one cell",
            )  # fmt: skip
        shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise ModelFileError(
            f"{path} is a folder, but neither a run (config.yaml, steps/), nor a corpus (cells.csv), nor one with a single "
            f"model, nor one of cycler files; it holds: {shown or 'nothing'}"
        ) from None


def _is_cycler_file(path: Path) -> bool:
    try:
        return path.is_file() and describe(path).kind == "cycler"
    except EdgebatError:
        return False


def _measurements(path: Path) -> Description:
    """Windows, or what a cycler or a capacity test wrote."""
    if path.suffix == ".npy":
        try:
            shape = open_npy(path).shape
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as an array: {error}") from None
        return Description(path, "windows", f"array {list(shape)}, windows for a model of that shape",
                           f"edgebat predict MODEL {_quoted(path)}")  # fmt: skip
    if reader_of(path):
        return Description(path, "cycler", f"cycler file ({path.suffix})",
                           f"edgebat predict MODEL {_quoted(path)} --nominal-ah AH")  # fmt: skip
    text = _head(path)
    line = "" if text is None else text.partition("\n")[0].strip()
    names = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", line)]
    predict = f"edgebat predict MODEL {_quoted(path)} --nominal-ah AH"
    if {"dataset", "cell_id"} <= set(names):
        return Description(
            path,
            "cells",
            f"table of the cells of a corpus, {len(names)} columns",
            f"edgebat info {_quoted(path.parent)}",
        )
    if {"cycle", "capacity_ah"} <= set(names):
        return Description(path, "history", "capacity history, a capacity per cycle", f"{predict}, of a forecast model")
    if columns := column_names(text or ""):
        return Description(path, "cycler", f"cycler file, {len(columns)} columns: {', '.join(columns)[:200]}",
                           f"{predict}; columns with other names: --map current=I_mA:1e-3")  # fmt: skip
    raise ModelFileError(
        f"{path} is of no kind that edgebat knows by its name and first lines: models end in .ebat, .tflite or .onnx, "
        "teachers in .safetensors, recipes and targets in .yaml; a cycler file names voltage and current above its samples"
    )


def _head(path: Path) -> str | None:
    """The beginning of a text file; None for one that is no text."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", errors="ignore")
    text = head.decode("utf-8-sig", errors="replace")
    if "\ufffd" in text[:-1]:  # the last character may be cut
        text = head.decode("cp1252", errors="replace")
    return None if b"\0" in head else text
