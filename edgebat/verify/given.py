"""A model file that another tool wrote: first against that file in its own engines, then through all of edgebat's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.errors import TooLarge, require
from edgebat.foreign import Border
from edgebat.formats.export import export_model, storable
from edgebat.formats.roundings import ROUNDINGS
from edgebat.graph import IntGraph, load_graph, save_graph
from edgebat.runtime import Engine as NumpyEngine
from edgebat.verify.engines import ENGINES, EQUAL, LITERT, ONNX_RUNTIME, TFLITE_MICRO, Engine, Files, Session, files_in
from edgebat.verify.equality import Equality, verify_model

GIVEN = "given file in"
_UNFUSED = "computes in float32 between the file's integers"


@dataclass(frozen=True)
class _Judge:
    """An engine of others for files with one suffix, and the rounding that is its own, or why it has none."""

    engine: Engine
    suffix: str
    rounding: str
    open: Callable[[IntGraph, Files], Session] | None = None
    title: str = ""


def _onnxruntime(graph: IntGraph, files: Files, *, level: str) -> Session:
    """ONNX Runtime on the given file, whose int8 operators it fuses where optimizations are on."""
    ort = require("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    # On x86 it fuses int8 (not uint8) operators only when it is asked to.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    # On x86 without VNNI its fast kernels for unsigned activations and signed weights saturate sums of two products.
    if graph.meta.get("foreign", {}).get("input_unsigned"):
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(files.onnx), options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]

    def run(x: Int8) -> Array:
        batches = x if isinstance(source.shape[0], str) or source.shape[0] is None else x[:, None]
        if batches is x:
            return np.asarray(session.run(None, {source.name: x})[0])
        return np.concatenate([session.run(None, {source.name: one})[0] for one in batches])

    return Session(run, metadata.version("onnxruntime"))


JUDGES = (
    _Judge(LITERT, ".tflite", "xnnpack"),
    _Judge(TFLITE_MICRO, ".tflite", "tflm"),
    _Judge(ONNX_RUNTIME, ".onnx", "onnxruntime", partial(_onnxruntime, level="ORT_ENABLE_ALL")),
    _Judge(ONNX_RUNTIME, ".onnx", _UNFUSED, partial(_onnxruntime, level="ORT_DISABLE_ALL"), ", optimizations off"),
)


def verify_given(graph: IntGraph, border: Border, path: Path, x: Int8) -> list[Equality]:
    """Every engine against NumPy on ``x`` int8 [N, ...]: the file at ``path`` in its engines, then edgebat's exports of it.

    Raises what the writers raise, ToolError when a compiler or simulator fails.
    """
    own = [judge for judge in JUDGES if judge.suffix == path.suffix]
    own.sort(key=lambda judge: judge.rounding != border.file.rounding)
    table = [_given(judge, border) for judge in own]
    with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
        export_model(graph, Path(folder), ("c",))
        saved = Path(folder) / "saved.ebat"
        save_graph(graph, saved)
        table.append(
            Engine(
                "NumPy from .ebat", lambda *_: Session(NumpyEngine(load_graph(saved)).run, f"NumPy {np.__version__}")
            )
        )
        exported = [name for name in ("tflite", "onnx") if not storable(graph, name)]
        if exported:
            export_model(graph, Path(folder), exported)
        able = {
            "tflite": (LITERT.name, TFLITE_MICRO.name, "NumPy from .tflite"),
            "onnx": (ONNX_RUNTIME.name, "NumPy from .onnx"),
        }
        left_out = {name for kind, names in able.items() if kind not in exported for name in names}
        table += [engine for engine in ENGINES if engine.name not in left_out]
        files = files_in(Path(folder), graph.name)
        given = replace(files, **{path.suffix[1:]: path})
        rows = verify_model(graph, x, given, table[: len(own)])
        return rows + verify_model(graph, x, files, table[len(own) :])


def _given(judge: _Judge, border: Border) -> Engine:
    """The engine on the given file, with the file's types at its border."""
    opening = judge.open or judge.engine.open

    def load(graph: IntGraph, files: Files) -> Session:
        session = Session(lambda x: np.zeros(0))

        def run(x: Int8) -> Array:
            try:
                opened = opening(graph, files)
                outputs = opened.run(border.to_file(x))
            except (RuntimeError, ValueError) as error:  # what the engines raise for operators they do not have
                raise TooLarge(f"it does not take the file: {str(error).splitlines()[0][:120]}") from None
            session.version = opened.version
            return border.from_file(outputs)

        session.run = run
        return session

    return replace(
        judge.engine, name=f"{GIVEN} {judge.engine.name}{judge.title}", open=load,
        promise=lambda graph: _promise(judge, border),
    )  # fmt: skip


def _promise(judge: _Judge, border: Border) -> str:
    if judge.rounding not in ROUNDINGS:
        return judge.rounding
    if judge.rounding != border.file.rounding:
        return f"rounds otherwise; exact with --rounding {judge.rounding}"
    return "fuses sums that the file leaves in float32" if border.file.float_sums else EQUAL
