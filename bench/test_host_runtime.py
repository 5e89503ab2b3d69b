"""NumPy runtime and exported C against ONNX Runtime, LiteRT and TFLite Micro on the host.

One inference, and batches of 4,096. ``make bench`` prints one table per network and batch; the figures in brackets are
ratios to the fastest engine of the same run. ``python bench/ratios.py`` prints NumPy's ratio to the others from the
saved run. Times are this machine's.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from bench.nets import NETS, inputs, reference_net
from edgebat.bench.sessions import tflite_micro_session
from edgebat.formats.c.write import write_c
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.write import write_tflite
from edgebat.runtime import Engine
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import find_compiler

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


def tflite_micro_engine(net: str, folder: Path, x: np.ndarray):
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    run = tflite_micro_session(reference_net(net), folder)
    return lambda: run(x)


def c_engine(net: str, folder: Path, x: np.ndarray):
    """The exported C as a shared library; a call through ctypes costs about a microsecond on top."""
    model = write_c(reference_net(net), folder, net)
    compiler = find_compiler(load_target("host"))
    flags = ["-std=c99", "-O2", "-shared", "-fPIC", f"-I{model.include_dir}"]
    sources = [str(path) for path in [*model.files, *model.kernel_sources] if path.suffix == ".c"]
    compiler.call([*flags, *sources, "-o", str(folder / "net.so")], "build a shared library")
    function = getattr(ctypes.CDLL(str(folder / "net.so")), f"{net}_run")
    output = np.empty(model.output_len, np.int16)
    scratch = np.empty(model.scratch_bytes // 4 + 1, np.int32)
    arrays = (x, output, scratch)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]  # these keep their arrays alive

    def run():
        assert function(*pointers) == 0
        return output

    return run


@pytest.mark.parametrize("engine", ["c", "numpy", "onnxruntime", "litert", "tflite_micro"])
@pytest.mark.parametrize(("net", "batch"), CASES)
def test_inference(benchmark, net: str, batch: int, engine: str, tmp_path: Path) -> None:
    if engine in ("c", "litert", "tflite_micro") and batch > 1:
        pytest.skip("takes one window per call")
    x = inputs(reference_net(net), batch)
    run = globals()[f"{engine}_engine"](net, tmp_path, x)
    expected = Engine(reference_net(net)).run(x)
    got = np.asarray(run()).reshape(expected.shape)
    # LiteRT's LSTM rounds elsewhere, TFLite Micro's other layers round twice; `edgebat verify` prints by how much.
    if (net == "lstm", engine) not in {(True, "litert"), (False, "tflite_micro")}:
        np.testing.assert_array_equal(got, expected)
    benchmark.group = f"{net}, batch {batch}"
    benchmark.extra_info.update(net=net, batch=batch, engine=engine)
    benchmark.pedantic(run, rounds=30 if batch == 1 else 3, iterations=100 if batch == 1 else 1, warmup_rounds=1)
