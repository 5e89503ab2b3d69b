"""The one table of engines: everything that runs an exported model, and the equality edgebat promises of it.

::

    for engine in ENGINES:
        if not engine.missing():
            session = engine.open(graph, files)         # loads once
            session.run(x)                              # int8 [N, ...] to the graph's integers [N, ...], as often as wanted
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.errors import MissingExtra, require
from edgebat.formats.export import c_name
from edgebat.graph import Dense, IntGraph, LastStep, Lstm, Lut, Node, Softmax
from edgebat.graph.model import Recurrent
from edgebat.runtime import Engine as NumpyEngine

EQUAL = "0"
"""The promise that no integer differs."""


@dataclass(frozen=True)
class Files:
    """Where one model's exports lie: two files and a folder of C."""

    tflite: Path
    onnx: Path
    c: Path


def files_in(folder: Path, name: str) -> Files:
    """The exports of a model in ``folder``, as ``export_model`` names them."""
    return Files(folder / f"{name}.tflite", folder / f"{name}.onnx", folder / "c" / c_name(name))


@dataclass
class Session:
    """A model loaded into an engine. ``run``: int8 [N, ...] to integers [N, ...]; ``version`` of the engine.

    C on a simulator is built anew for each ``run``, which then sets ``version`` to its compiler and simulator.
    """

    run: Callable[[Int8], Array]
    version: str = ""


@dataclass(frozen=True)
class Engine:
    """One engine: ``promise`` gives "0" for a graph whose integers it must reproduce, or why they may differ.

    ``open`` loads a model from its exports; ``missing`` says what has to be installed first, "" when nothing has.
    ``optional``: a judge nobody needs to install, left out of tables where it is missing. ``answers``: graphs it takes.
    """

    name: str
    open: Callable[[IntGraph, Files], Session]
    missing: Callable[[], str] = lambda: ""
    promise: Callable[[IntGraph], str] = lambda graph: EQUAL
    answers: Callable[[IntGraph], bool] = lambda graph: True
    optional: bool = False


def is_recurrent(graph: IntGraph) -> bool:
    """Whether the graph has an LSTM or a GRU."""
    return any(isinstance(node, Recurrent) for node in graph.nodes)


def can_be_stepped(graph: IntGraph) -> bool:
    """Whether every layer works one time step at a time, up to the last one."""
    alone = all(isinstance(node, Recurrent | LastStep | Dense | Lut) for node in graph.nodes)
    return is_recurrent(graph) and alone and any(isinstance(node, LastStep) for node in graph.nodes)


def _litert_promise(graph: IntGraph) -> str:
    if any(isinstance(node, Lstm) for node in graph.nodes):
        return "its own LSTM rounding"
    if any(isinstance(node, Softmax) for node in graph.nodes):
        return "its own softmax in float32"
    return "its own sigmoid and tanh" if is_recurrent(graph) else EQUAL


def _tflite_micro_promise(graph: IntGraph) -> str:
    exact = is_recurrent(graph) and not any(_scales_to_int8(graph, node) for node in graph.nodes)
    return EQUAL if exact else "rounds twice per layer"


def _scales_to_int8(graph: IntGraph, node: Node) -> bool:
    """Whether the node brings int32 sums to int8; heads (int16) have scales that TFLite Micro rounds once."""
    return hasattr(node, "requant") and graph.tensors[node.output].dtype == "int8"


def _missing_package(module: str, extra: str) -> Callable[[], str]:
    """What to install, found without importing it."""
    name = module.split(".")[0]
    return lambda: "" if importlib.util.find_spec(name) else str(MissingExtra(module, extra))


def _numpy(engine: NumpyEngine) -> Session:
    return Session(engine.run, f"NumPy {np.__version__}")


def _reread(path: Path) -> Session:
    from edgebat.models import load_model

    return _numpy(NumpyEngine(load_model(path)))


def _stepped(graph: IntGraph, files: Files) -> Session:
    engine = NumpyEngine(graph)

    def run(x: Int8) -> Array:
        state = engine.initial_state(len(x))
        for t in range(x.shape[1]):
            y, state = engine.step(np.ascontiguousarray(x[:, t]), state)
        return y

    return Session(run, f"NumPy {np.__version__}")


def _onnxruntime(graph: IntGraph, files: Files) -> Session:
    """ONNX Runtime on one thread of the CPU, the whole batch at once."""
    ort = require("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(files.onnx), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Session(lambda x: np.asarray(session.run(None, {name: x})[0]), metadata.version("onnxruntime"))


def _litert(graph: IntGraph, files: Files) -> Session:
    """LiteRT on one thread with its default delegate (XNNPACK), one window after another, its state cleared before."""
    litert = require("ai_edge_litert.interpreter", "tflite")
    with _quiet_stderr():
        interpreter = litert.Interpreter(model_path=str(files.tflite), num_threads=1)
        interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def one(window: Int8) -> Array:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"])[0])

    return Session(lambda x: np.stack([one(window) for window in x]), metadata.version("ai-edge-litert"))


def _tflite_micro(graph: IntGraph, files: Files) -> Session:
    """TFLite Micro's reference kernels (PyPI ``tflite-micro``), one window after another."""
    runtime = require("tflite_micro.python.tflite_micro.runtime", "tflm")
    interpreter = runtime.Interpreter.from_file(str(files.tflite))
    shape = tuple(interpreter.get_input_details(0)["shape"])

    def one(window: Int8) -> Array:
        interpreter.reset()
        interpreter.set_input(np.ascontiguousarray(window.reshape(shape)), 0)
        interpreter.invoke()
        return np.array(interpreter.get_output(0)[0])

    return Session(lambda x: np.stack([one(window) for window in x]), metadata.version("tflite-micro"))


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """LiteRT's C++ announces its delegate on file descriptor 2, in the middle of a progress bar."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def c_engine(target: str) -> Engine:
    """The exported C, compiled for ``target`` and run there: "host", a simulated core, or a target file."""

    def missing() -> str:
        from edgebat.simulate.available import missing_tools
        from edgebat.simulate.targets import load_target

        return missing_tools(load_target(target))

    def load(graph: IntGraph, files: Files) -> Session:
        from edgebat.simulate.measure import measure

        def run(x: Int8) -> Array:
            done = measure(files.c, c_name(graph.name), target, x, counted=1)
            session.version = ", ".join(filter(None, (done.compiler, done.simulator)))
            return done.outputs

        session = Session(run)
        return session

    return Engine("host C" if target == "host" else f"C on {target}", load, missing)


NUMPY = Engine("NumPy runtime", lambda graph, files: _numpy(NumpyEngine(graph)))
"""What all others are compared with."""
ONNX_RUNTIME = Engine("ONNX Runtime", _onnxruntime, _missing_package("onnxruntime", "onnx"))
LITERT = Engine("LiteRT", _litert, _missing_package("ai_edge_litert.interpreter", "tflite"), promise=_litert_promise)
TFLITE_MICRO = Engine(
    "TFLite Micro",
    _tflite_micro,
    _missing_package("tflite_micro.python.tflite_micro.runtime", "tflm"),
    promise=_tflite_micro_promise,
    optional=True,
)
FOREIGN = (ONNX_RUNTIME, LITERT, TFLITE_MICRO)
"""Engines of others."""


ENGINES = (
    Engine("NumPy from .tflite", lambda graph, files: _reread(files.tflite)),
    Engine("NumPy from .onnx", lambda graph, files: _reread(files.onnx)),
    Engine("NumPy step by step", _stepped, answers=can_be_stepped),
    *FOREIGN,
    c_engine("host"),
    *map(c_engine, ("cortex-m4f", "cortex-m0plus")),
)
"""All that are compared with NumPy, in the order of the tables."""
