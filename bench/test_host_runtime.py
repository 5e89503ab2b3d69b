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

from edgebat.bench.nets import NETS, reference_net
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.runtime import Engine as NumpyEngine
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import find_compiler
from edgebat.verify.engines import LITERT, NUMPY, ONNX_RUNTIME, TFLITE_MICRO, Engine, files_in
from edgebat.verify.inputs import random_inputs

ENGINES = {"numpy": NUMPY, "onnxruntime": ONNX_RUNTIME, "litert": LITERT, "tflite_micro": TFLITE_MICRO}
CASES = [(net, batch) for net in NETS for batch in (1, 4096)]


def session_of(engine: Engine, net: str, folder: Path, x: np.ndarray):
    """One engine of the table, the model loaded once."""
    if missing := engine.missing():
        pytest.skip(missing)
    graph = reference_net(net)
    export_model(graph, folder, ("tflite", "onnx"))
    session = engine.open(graph, files_in(folder, graph.name))
    return lambda: session.run(x)


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


@pytest.mark.parametrize("engine", ["c", *ENGINES])
@pytest.mark.parametrize(("net", "batch"), CASES)
def test_inference(benchmark, net: str, batch: int, engine: str, tmp_path: Path) -> None:
    if engine in ("c", "litert", "tflite_micro") and batch > 1:
        pytest.skip("takes one window per call")
    graph = reference_net(net)
    x = random_inputs(graph, batch)
    run = c_engine(net, tmp_path, x) if engine == "c" else session_of(ENGINES[engine], net, tmp_path, x)
    expected = NumpyEngine(graph).run(x)
    got = np.asarray(run()).reshape(expected.shape)
    # LiteRT's LSTM rounds elsewhere, TFLite Micro's other layers round twice; `edgebat verify` prints by how much.
    if engine == "c" or ENGINES[engine].promise(graph) == "0":
        np.testing.assert_array_equal(got, expected)
    benchmark.group = f"{net}, batch {batch}"
    benchmark.extra_info.update(net=net, batch=batch, engine=engine)
    benchmark.pedantic(run, rounds=30 if batch == 1 else 3, iterations=100 if batch == 1 else 1, warmup_rounds=1)
