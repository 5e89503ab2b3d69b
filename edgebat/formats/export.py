"""One integer graph out of the door: C99, TFLite, ONNX and edgebat's own file, under one name."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgebat.errors import ModelFileError, RecipeError
from edgebat.files import atomic_write
from edgebat.formats.c.bms import export_bms
from edgebat.formats.c.lowering import HEADERS
from edgebat.formats.c.write import write_c
from edgebat.formats.golden import write_golden
from edgebat.formats.onnx.emit import emit_graph
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.roundings import ROUNDINGS
from edgebat.formats.roundings.softmax import micro_table
from edgebat.formats.tflite.rules import same_padding
from edgebat.formats.tflite.write import tflite_bytes, write_tflite
from edgebat.graph.check import check_name
from edgebat.graph.model import FloatPool1D, IntGraph, Lut, MeanPool1D, Node, Requant, Softmax
from edgebat.graph.origin import foreign_of
from edgebat.graph.store import save_graph

FORMATS = ("c", "tflite", "onnx", "ebat")
USUAL = FORMATS[:3]
"""What is written where nothing else is asked for."""
_WRITERS: dict[str, Callable[[IntGraph, Path], object]] = {
    "ebat": save_graph, "tflite": write_tflite, "onnx": write_onnx
}  # fmt: skip


def c_name(name: str) -> str:
    """``name`` as a C identifier: other characters become underscores; ``net_`` goes before what is no letter, and before
    edgebat's own names."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"net_{word}" if not word[:1].isalpha() or re.match(r"edgebat(_|$)", word) else word


def export_model(
    graph: IntGraph,
    folder: Path,
    formats: Sequence[str] = ("c", "tflite", "onnx"),
    name: str | None = None,
    *,
    mode: str = "balanced",
    given: Path | None = None,
) -> list[Path]:
    """Write ``graph`` to ``folder`` and return the files, sorted: ``<name>.tflite``, ``<name>.onnx``, ``c/<name>/...``.

    mode: what the C code is to be good at, see ``edgebat.formats.c.write.MODES``. given: the file of another tool that
    ``graph`` was read from, which is copied where its own format is asked for.
    Raises RecipeError for an unknown format and whatever the writers raise; then ``folder`` is as it was.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise RecipeError(f"cannot export to {', '.join(unknown) or 'nothing'}; formats are {', '.join(FORMATS)}")
    if name:
        graph = replace(graph, name=name)
    check_name(graph.name)
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder} is a file; --out needs a folder, where the files go")
    with tempfile.TemporaryDirectory(prefix="edgebat-") as made:
        _write(graph, Path(made), formats, mode, given)
        written = sorted(path.relative_to(made) for path in Path(made).rglob("*") if path.is_file())
        for path in written:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / path, (Path(made) / path).read_bytes())
    return sorted(folder / path for path in written)


def _write(graph: IntGraph, folder: Path, formats: Sequence[str], mode: str, given: Path | None) -> None:
    if "c" in formats:
        target = folder / "c" / c_name(graph.name)
        model = write_c(graph, target, c_name(graph.name), mode=mode)
        # The kernels the model calls come along, so that the folder compiles as it is in any firmware.
        private = sorted(model.kernel_sources[0].parent.glob("*.h")) if model.kernel_sources else []
        private = [header for header in private if header.stem not in HEADERS]  # those lie beside models that need them
        for source in [*model.kernel_sources, *private, *sorted(model.include_dir.glob("*.h"))]:
            atomic_write(target / source.name, source.read_bytes())
    for kind, write in _WRITERS.items():
        if kind not in formats:
            continue
        if given is not None and given.suffix == f".{kind}" and foreign_of(graph) is not None:
            atomic_write(folder / f"{graph.name}.{kind}", given.read_bytes())
            continue
        if reason := storable(graph, kind):
            raise ModelFileError(reason)
        write(_as_own(graph, kind), folder / f"{graph.name}.{kind}")


def storable(graph: IntGraph, kind: str) -> str:
    """Why a file of ``kind`` would give other integers than ``graph``; "" when it would not.

    TFLite and ONNX files hold scales only; roundings of other engines than theirs have no form there.
    """
    if kind not in ("tflite", "onnx"):
        return ""
    for node in graph.nodes:
        found = getattr(node, "requant", None)
        by_channel = isinstance(node, Lut) and node.table.ndim == 2
        if (
            by_channel
            or _foreign_form(graph, node, kind)
            or (isinstance(found, Requant) and found.kind in ("double", "steps"))
        ):
            foreign = foreign_of(graph)
            engine = (
                ROUNDINGS[foreign.rounding].engine if foreign and foreign.rounding in ROUNDINGS else "another engine"
            )
            return (
                f"node {node.name!r} ({node.op}) is rounded as in {engine}, which a .{kind} file written by edgebat cannot "
                "hold: its integers would change. Export --to c or ebat, or keep the given file"
            )
    return _unwritable(graph, kind) if foreign_of(graph) else ""


def _unwritable(graph: IntGraph, kind: str) -> str:
    """Why the writer of ``kind`` has no form for a model of another tool, e.g. for a scale that no float32 gives."""
    try:
        _ = tflite_bytes(graph) if kind == "tflite" else emit_graph(graph)
    except ModelFileError as reason:
        return f"{reason}. Export --to c or ebat, or keep the given file"
    return ""


def _foreign_form(graph: IntGraph, node: Node, kind: str) -> bool:
    """Whether ``node`` is of an engine that files of ``kind`` do not stand for."""
    match node:
        case FloatPool1D():
            return kind != "onnx" or node.unsigned
        case Softmax(form="tflm"):
            return not np.array_equal(node.table, micro_table(graph.tensors[node.inputs[0]].scale))
        case Softmax():
            return (node.form, kind) != ("onnxruntime", "onnx")
        case MeanPool1D() if kind == "tflite":
            length = graph.tensors[node.inputs[0]].shape[0]
            return node.padding != same_padding(length, node.size, node.stride, 1)
        case _:
            return False


def _as_own(graph: IntGraph, kind: str) -> IntGraph:
    """``graph`` without what the file of another tool kept to itself, in formats whose files are read as edgebat's."""
    if kind == "ebat":
        return graph
    return replace(graph, meta={key: value for key, value in graph.meta.items() if key != "foreign"})


def export_for_bms(graph: IntGraph, folder: Path, name: str | None = None) -> tuple[list[Path], str]:
    """What runs ``graph`` in a BMS, estimator or forecaster, beside the C that ``export_model`` has written to ``folder``.

    Returns the files, sorted, or why there are none.
    """
    called = c_name(name or graph.name)
    try:
        return export_bms(graph, folder / "c" / called / "bms", called), ""
    except ModelFileError as error:
        return [], f"no c/{called}/bms: {error}"


def export_all(
    graph: IntGraph,
    folder: Path,
    formats: Sequence[str] = ("c", "tflite", "onnx"),
    name: str | None = None,
    *,
    mode: str = "balanced",
    given: Path | None = None,
) -> tuple[list[Path], str]:
    """``export_model``, golden vectors, and with C ``export_for_bms``: all files, and why there is none for a BMS.

    given: as there; then of the usual formats those are left out that would change integers.
    """
    if given is not None and foreign_of(graph) is not None:
        reasons = {kind: storable(graph, kind) for kind in formats if given.suffix != f".{kind}"}
        usual = tuple(formats) == USUAL
        kept = [kind for kind in formats if not (usual and reasons.get(kind))]
        files = [*export_model(graph, folder, kept, name, mode=mode, given=given), beside(graph, folder, name)]
        return files, "; ".join(f"no .{kind}: {why}" for kind, why in reasons.items() if why)
    files = export_model(graph, folder, formats, name, mode=mode)
    # A user's own network is of no task that a BMS estimator knows.
    bms = "c" in formats and "network" not in graph.meta
    found, why = export_for_bms(graph, folder, name) if bms else ([], "")
    return [*files, beside(graph, folder, name), *found], why


def beside(graph: IntGraph, folder: Path, name: str | None) -> Path:
    """The golden vectors of what ``export_model`` has written to ``folder``."""
    return write_golden(graph, folder / f"{name or graph.name}.golden.json")
