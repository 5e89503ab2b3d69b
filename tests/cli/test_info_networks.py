"""``edgebat info`` says what a float network is, or a model quantized otherwise; only damage is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.describe import describe
from edgebat.errors import ModelFileError
from edgebat.formats.export import export_model
from edgebat.models import load_model

Command = Callable[..., tuple[int, str, str]]
FILES = Path(__file__).parents[1] / "files"


def dynamic_onnx(path: Path) -> Path:
    """A dense layer that ONNX Runtime would quantize while it runs."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weight = onnx.numpy_helper.from_array(np.ones((4, 2), np.int8), "w")
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=floats),
        helper.make_node("Mul", ["f", "s"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, floats, ["n", size]) for name, size in (("x", 4), ("y", 2))]
    graph = helper.make_graph(nodes, "dynamic", ends[:1], ends[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_float_onnx_file_is_told_as_onnx_reads_it(command: Command) -> None:
    onnx = pytest.importorskip("onnx")
    path = FILES / "float_mlp.onnx"
    code, out, error = command("info", path, "--json")
    assert (code, error) == (0, "")
    found, graph = json.loads(out), onnx.load(path).graph
    assert (found["kind"], found["what"]) == ("network", "float network of another tool (ONNX)")
    assert f"edgebat quantize {path} --calibration WINDOWS makes it int8" in found["use"]
    assert found["operators"] == Counter(node.op_type for node in graph.node)
    assert list(found["inputs"]) == [value.name for value in graph.input]
    assert list(found["outputs"]) == [value.name for value in graph.output]
    weights = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer)
    assert (found["values in constants"], found["size"]) == (f"{weights:,}", f"{path.stat().st_size:,} bytes")


@pytest.mark.parametrize("name", ["backwards", "cell", "loop_both"])
def test_a_float_tflite_file_is_told_as_litert_reads_it(name: str, command: Command) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    path = FILES / "recurrent" / f"{name}.tflite"
    code, out, error = command("info", path, "--json")
    assert (code, error) == (0, "")
    found, judge = json.loads(out), interpreter(model_path=str(path))
    assert found["kind"] == "network"
    for title, values in (("inputs", judge.get_input_details()), ("outputs", judge.get_output_details())):
        assert list(found[title]) == [value["name"] for value in values]
        assert all(text.startswith("float32 [") for text in found[title].values())
    windows = [str(size) for size in judge.get_input_details()[0]["shape"][1:]]
    assert f"WINDOWS an .npy array [N, {', '.join(windows)}]" in found["use"]


def test_what_it_tells_to_do_works(command: Command, tmp_path: Path) -> None:
    path = FILES / "recurrent" / "cell.tflite"
    sizes = [int(size) for size in describe(path).use.split("[N, ")[1].split("]")[0].split(", ")]
    np.save(tmp_path / "windows.npy", np.random.default_rng(1).normal(size=(64, *sizes)).astype(np.float32))
    code, _, error = command(
        "quantize", path, "--calibration", tmp_path / "windows.npy", "--out", tmp_path / "cell.ebat"
    )
    assert code == 0, error
    assert describe(tmp_path / "cell.ebat").kind == "int8"


def test_a_model_quantized_otherwise_is_told_with_what_to_do(command: Command, tmp_path: Path) -> None:
    path = dynamic_onnx(tmp_path / "dynamic.onnx")
    code, out, error = command("info", path)
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{path}: model of another tool that edgebat does not run (ONNX)"
    assert lines[1].startswith("use: nothing as it is: ")
    assert "quantized while it runs (dynamically)" in lines[1]
    assert {"  x = float32 [n, 4]", "  MatMulInteger = 1", "values in constants: 8"} <= set(lines)
    assert command("verify", path)[0] == 2


@pytest.mark.parametrize("name", ["float_mlp.onnx", "recurrent/cell.tflite"])
def test_half_a_network_is_refused(name: str, command: Command, tmp_path: Path) -> None:
    path = tmp_path / Path(name).name
    whole = (FILES / name).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    code, out, error = command("info", path)
    assert (code, out, path.name in " ".join(error.split())) == (2, "", True)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_a_damaged_model_of_edgebat_is_no_model_of_another_tool(suffix: str, tmp_path: Path, model_file: Path) -> None:
    export_model(load_model(model_file), tmp_path, (suffix,), "mine")
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(path.read_bytes().replace(b'"name"', b'"nome"'))
    with pytest.raises(ModelFileError, match="metadata"):
        describe(path)
