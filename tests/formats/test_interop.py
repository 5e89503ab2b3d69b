"""Files that edgebat writes, in the hands of others: checker, interpreters of current versions, and the vectors beside them.

The table of docs/foreign-models.md, section "Files we write", says the same; engines that are not installed are skipped.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.formats.export import c_name, export_all
from edgebat.graph import IntGraph
from edgebat.verify.engines import ENGINES
from tests.formats_graphs import FAMILIES

GRAPHS = {family: make(1) for family, make in FAMILIES.items()}
PROMISES = {engine.name: engine.promise for engine in ENGINES}


@pytest.fixture(scope="module", params=GRAPHS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """Family, folder of its exports, and their golden vectors."""
    folder = tmp_path_factory.mktemp(request.param)
    files, _ = export_all(GRAPHS[request.param], folder, ("tflite", "onnx"), "net")
    assert [path.name for path in files] == ["net.onnx", "net.tflite", "net.golden.json"]
    return request.param, folder, json.loads((folder / "net.golden.json").read_text())


def windows(golden: Any) -> np.ndarray:
    return np.array(golden["inputs"], golden["input"]["dtype"]).reshape(-1, *golden["input"]["shape"])


def test_onnx_checks_the_file_with_all_shapes(exported: tuple[str, Path, Any]) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported[1] / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17, "com.microsoft": 1}


def test_onnx_runtime_gives_the_golden_outputs(exported: tuple[str, Path, Any]) -> None:
    ort = pytest.importorskip("onnxruntime")
    _, folder, golden = exported
    session = ort.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: windows(golden)})[0]
    assert found.reshape(len(found), -1).tolist() == golden["outputs"]


@pytest.mark.filterwarnings("ignore:[^a-z]*Warning. tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("package", ["ai_edge_litert.interpreter", "tensorflow.lite"])
def test_interpreters_of_tflite_take_the_file(exported: tuple[str, Path, Any], package: str) -> None:
    """Equal where their arithmetic is the file's: of LSTM and GRU theirs is another.

    The interpreter within TensorFlow is deprecated in favour of LiteRT, and lacks QUANTIZE from int8 to int16, with which
    an int16 head begins.
    """
    if package == "tensorflow.lite":
        interpreter_of: Any = pytest.importorskip("tensorflow").lite.Interpreter
    else:
        pytest.importorskip("ai_edge_litert")
        interpreter_of = importlib.import_module(package).Interpreter
    family, folder, golden = exported
    interpreter = interpreter_of(model_path=str(folder / "net.tflite"), num_threads=1)
    if package == "tensorflow.lite" and golden["output"]["dtype"] == "int16":
        with pytest.raises(RuntimeError, match="QUANTIZE"):
            interpreter.allocate_tensors()
        return
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert source["quantization"] == (pytest.approx(golden["input"]["scale"]), golden["input"]["zero_point"])
    found = []
    for window in windows(golden):
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]).ravel().tolist())
    assert np.shape(found) == np.shape(golden["outputs"])
    if PROMISES["LiteRT"](GRAPHS[family]) == "0":
        assert found == golden["outputs"]


def test_tflite_micro_gives_the_golden_outputs_of_recurrent_models(exported: tuple[str, Path, Any]) -> None:
    micro = pytest.importorskip("tflite_micro").runtime
    family, folder, golden = exported
    interpreter = micro.Interpreter.from_file(str(folder / "net.tflite"))
    found = []
    for window in windows(golden):
        interpreter.reset()
        interpreter.set_input(window.reshape(interpreter.get_input_details(0)["shape"]), 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0).ravel().tolist())
    assert np.shape(found) == np.shape(golden["outputs"])
    if PROMISES["TFLite Micro"](GRAPHS[family]) == "0":
        assert found == golden["outputs"]


def test_golden_vectors_describe_the_border(exported: tuple[str, Path, Any]) -> None:
    family, _, golden = exported
    graph: IntGraph = GRAPHS[family]
    assert golden["fingerprint"] == graph.fingerprint
    for label, tensor in (("input", graph.input_tensor), ("output", graph.output_tensor)):
        described = golden[label]
        assert (described["dtype"], described["shape"]) == (tensor.dtype, list(tensor.shape))
        assert (described["scale"], described["zero_point"]) == (tensor.scale, tensor.zero_point)


@pytest.mark.parametrize(
    ("name", "called"),
    [("a-b", "a_b"), ("2026", "net_2026"), ("_x", "net__x"), ("edgebat", "net_edgebat"), ("soc", "soc")],
)
def test_any_name_of_a_file_becomes_one_that_c_takes(name: str, called: str) -> None:
    assert c_name(name) == called
