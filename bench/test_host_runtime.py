"""NumPy runtime against ONNX Runtime and LiteRT on the host: one inference, and batches of 4,096.

``make bench`` prints one table per network and batch; the figures in brackets are ratios to the fastest engine of the
same run. ``python bench/ratios.py`` prints NumPy's ratio to the others from the saved run. Times are this machine's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.nets import NETS, inputs, reference_net
from edgebat.formats.onnx_write import write_onnx
from edgebat.formats.tflite_write import write_tflite
from edgebat.runtime import Engine

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")

CASES = [(net, batch) for net in NETS for batch in (1, 4096)]


def numpy_engine(net: str, folder: Path, x: np.ndarray):
    engine = Engine(reference_net(net))
    return lambda: engine.run(x)


def onnxruntime_engine(net: str, folder: Path, x: np.ndarray):
    write_onnx(reference_net(net), folder / "net.onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # NumPy's small products run on one thread as well
    session = ort.InferenceSession(str(folder / "net.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]


def litert_engine(net: str, folder: Path, x: np.ndarray):
    write_tflite(reference_net(net), folder / "net.tflite")
    interpreter = litert.Interpreter(model_path=str(folder / "net.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    window = x.reshape(source["shape"])

    def run():
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], window)
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return run


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime", "litert"])
@pytest.mark.parametrize(("net", "batch"), CASES)
def test_inference(benchmark, net: str, batch: int, engine: str, tmp_path: Path) -> None:
    if engine == "litert" and batch > 1:
        pytest.skip("the .tflite file takes one window per call")
    x = inputs(reference_net(net), batch)
    run = globals()[f"{engine}_engine"](net, tmp_path, x)
    expected = Engine(reference_net(net)).run(x)
    got = np.asarray(run()).reshape(expected.shape)
    if not (
        net == "lstm" and engine == "litert"
    ):  # LiteRT's LSTM rounds elsewhere; `edgebat verify` prints by how much
        np.testing.assert_array_equal(got, expected)
    benchmark.group = f"{net}, batch {batch}"
    benchmark.extra_info.update(net=net, batch=batch, engine=engine)
    benchmark.pedantic(run, rounds=30 if batch == 1 else 3, iterations=100 if batch == 1 else 1, warmup_rounds=1)
