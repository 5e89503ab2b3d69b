"""Run a model file in the engines of others: ONNX Runtime, LiteRT and TFLite Micro.

Each function takes int8 inputs [N, ...] and gives the file's outputs [N, O] in the file's own integer type.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import require


def run_onnxruntime(path: str | Path, x: Array) -> Array:
    """Outputs of the ``.onnx`` file in ONNX Runtime on the CPU, the whole batch at once.

    Raises MissingExtra when onnxruntime is not installed.
    """
    ort = require("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def run_litert(path: str | Path, x: Array) -> Array:
    """Outputs of the ``.tflite`` file in LiteRT with its default delegate (XNNPACK), one inference per window.

    Recurrent state is cleared before each window. Raises MissingExtra when ai-edge-litert is not installed.
    """
    litert = require("ai_edge_litert.interpreter", "tflite")
    interpreter = litert.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = np.empty((len(x), *target["shape"][1:]), target["dtype"])
    for index, window in enumerate(x):
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        outputs[index] = interpreter.get_tensor(target["index"])[0]
    return outputs


def run_tflite_micro(path: str | Path, x: Array) -> Array:
    """Outputs of the ``.tflite`` file in TFLite Micro (reference kernels, PyPI ``tflite-micro``), one per window.

    Raises MissingExtra when tflite-micro is not installed.
    """
    runtime = require("tflite_micro.python.tflite_micro.runtime", "tflm")
    interpreter = runtime.Interpreter.from_file(str(path))
    shape = tuple(interpreter.get_input_details(0)["shape"])
    outputs = []
    for window in x:
        interpreter.reset()
        interpreter.set_input(np.ascontiguousarray(window.reshape(shape)), 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)[0]))
    return np.stack(outputs)
