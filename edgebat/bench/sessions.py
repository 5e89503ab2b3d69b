"""Engines of others with a model loaded once, so that one inference alone can be timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import require
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.write import write_tflite
from edgebat.graph import IntGraph

Run = Callable[[Array], Array]


def onnxruntime_session(graph: IntGraph, folder: Path) -> Run:
    """ONNX Runtime on one thread; takes int8 [N, ...]. Writes the model into ``folder``; raises MissingExtra."""
    ort = require("onnxruntime", extra="onnx")
    write_onnx(graph, folder / "model.onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def litert_session(graph: IntGraph, folder: Path) -> Run:
    """LiteRT on one thread; takes one window int8 [1, ...]. Writes the model into ``folder``; raises MissingExtra."""
    litert = require("ai_edge_litert.interpreter", extra="tflite")
    write_tflite(graph, folder / "model.tflite")
    interpreter = litert.Interpreter(model_path=str(folder / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(x: Array) -> Array:
        interpreter.reset_all_variables()  # an LSTM starts from an empty state
        interpreter.set_tensor(source["index"], x.reshape(source["shape"]))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"]))

    return run


def tflite_micro_session(graph: IntGraph, folder: Path) -> Run:
    """TFLite Micro's reference kernels; takes one window int8 [1, ...]. Writes into ``folder``; raises MissingExtra."""
    runtime = require("tflite_micro.python.tflite_micro.runtime", extra="tflm")
    write_tflite(graph, folder / "model.tflite")
    interpreter = runtime.Interpreter.from_file(str(folder / "model.tflite"))
    shape = tuple(interpreter.get_input_details(0)["shape"])

    def run(x: Array) -> Array:
        interpreter.reset()
        interpreter.set_input(np.ascontiguousarray(x.reshape(shape)), 0)
        interpreter.invoke()
        return np.asarray(interpreter.get_output(0))

    return run


SESSIONS = {
    "onnxruntime": onnxruntime_session,
    "ai-edge-litert": litert_session,
    "tflite-micro": tflite_micro_session,
}
"""By the name of the package on PyPI."""
