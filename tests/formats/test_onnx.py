"""ONNX files: ONNX Runtime computes what the NumPy runtime computes, and reading gives the graph back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.emit import emit_graph
from edgebat.formats.onnx.integer import emit_sigmoid, emit_tanh
from edgebat.formats.onnx.model import OnnxGraph, OnnxValue, first_difference
from edgebat.formats.onnx.parse import parse_onnx
from edgebat.formats.onnx.read import onnx_graph, read_onnx
from edgebat.formats.onnx.write import graph_proto, write_onnx
from edgebat.graph import IntGraph
from edgebat.graph.arithmetic import sigmoid_q, tanh_q
from edgebat.runtime import Engine
from edgebat.verify import random_graphs
from tests.formats.test_tflite import OPERATORS, one_operator
from tests.formats_graphs import FAMILIES, META, GraphMaker, random_inputs


def session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def same(graph: IntGraph, count: int, folder: Path) -> None:
    path = folder / "model.onnx"
    assert write_onnx(graph, path) == []
    x = random_inputs(graph, count, seed=3)
    expected = Engine(graph).run(x)
    np.testing.assert_array_equal(session(path.read_bytes()).run(None, {graph.input: x})[0], expected)
    assert read_onnx(path).fingerprint == graph.fingerprint


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_runtime_computes_the_same_integers(family: str, seed: int, tmp_path: Path) -> None:
    same(FAMILIES[family](seed), 500, tmp_path)


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_alone(name: str, tmp_path: Path) -> None:
    same(one_operator(name), 2000, tmp_path)


def test_a_convolution_in_front_of_an_lstm(tmp_path: Path) -> None:
    make = GraphMaker(np.random.default_rng(2), (8, 3), 0.05, 4)
    make.conv(4, 3, padding=(2, 0), relu=True)
    make.lut("tanh")
    make.lstm(3)
    make.lstm(2)
    make.last_step()
    make.head(2)
    same(make.graph("mixed"), 200, tmp_path)


@pytest.mark.parametrize("family", random_graphs.FAMILIES)
def test_graphs_of_the_quantizer_come_back(family: str, tmp_path: Path) -> None:
    for seed in range(8):
        graph = random_graphs.random_graph(family, seed)
        write_onnx(graph, tmp_path / "model.onnx")
        assert read_onnx(tmp_path / "model.onnx").fingerprint == graph.fingerprint


def test_files_are_small_deterministic_and_carry_the_metadata(tmp_path: Path) -> None:
    make = GraphMaker(np.random.default_rng(2), (10, 10), 2.0**-5, 0)
    make.lstm(16)
    make.last_step()
    make.head(7)
    graph = make.graph("lstm")
    write_onnx(graph, tmp_path / "a.onnx")
    write_onnx(graph, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "a.onnx").stat().st_size < 25_000
    again = read_onnx(tmp_path / "a.onnx")
    assert (again.name, again.meta) == ("lstm", META)
    onnx.checker.check_model(onnx.load(tmp_path / "a.onnx"), full_check=True)


def test_the_parser_reads_what_the_onnx_package_wrote(tmp_path: Path) -> None:
    graph = FAMILIES["lstm"](1)
    write_onnx(graph, tmp_path / "model.onnx")
    file = parse_onnx((tmp_path / "model.onnx").read_bytes(), "file")
    assert first_difference(file.graph, emit_graph(graph)[0]) is None
    assert file.opsets == {"": 17, "com.microsoft": 1}


@pytest.mark.parametrize("left", [None, *range(-3, 5)])
def test_sigmoid_and_tanh_equal_the_specification_for_all_int16(left: int | None) -> None:
    x = np.arange(-32768, 32768, dtype=np.int32)
    graph = OnnxGraph("function")
    output = emit_sigmoid(graph, "x", "y") if left is None else emit_tanh(graph, "x", left, "y")
    graph.inputs, graph.outputs = [OnnxValue("x", "int32", ["N"])], [OnnxValue(output, "int32", ["N"])]
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph_proto(onnx, graph), opset_imports=opset, ir_version=8)
    got = session(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(got, sigmoid_q(x) if left is None else tanh_q(x, left))


def test_a_stateful_lstm_can_be_stepped_and_resumed(tmp_path: Path) -> None:
    make = GraphMaker(np.random.default_rng(6), (9, 4), 2.0**-5, 3)
    make.lstm(5)
    make.lstm(3)
    make.last_step()
    make.dense(4)
    make.head(2)
    graph = make.graph("stateful")
    assert write_onnx(graph, tmp_path / "model.onnx", stateful=True) == []
    assert read_onnx(tmp_path / "model.onnx").fingerprint == graph.fingerprint
    run = session((tmp_path / "model.onnx").read_bytes())
    x = random_inputs(graph, 50, seed=1)
    state = {
        f"{node}/{part}_in": np.zeros((50, units), dtype)
        for node, units in (("0_lstm", 5), ("1_lstm", 3))
        for part, dtype in (("hidden", np.int8), ("cell", np.int16))
    }
    names = [graph.output, *(f"{node}/{part}" for node in ("0_lstm", "1_lstm") for part in ("last_hidden", "cell_out"))]
    # Pieces of different lengths, each starting from the state that the one before left.
    for start, stop in ((0, 1), (1, 2), (2, 6), (6, 9)):
        y, *after = run.run(names, {graph.input: x[:, start:stop], **state})
        state = dict(zip(state, after, strict=True))
    np.testing.assert_array_equal(y, Engine(graph).run(x))


def test_a_model_that_needs_all_time_steps_is_not_written_as_stateful(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="can't be stepped"):
        write_onnx(one_operator("max pool"), tmp_path / "model.onnx", stateful=True)


def test_two_nodes_of_one_name_are_refused(tmp_path: Path) -> None:
    graph = FAMILIES["mlp"](3)
    nodes = tuple(replace(node, name="same") for node in graph.nodes)
    with pytest.raises(ModelFileError, match="named alike"):
        write_onnx(replace(graph, nodes=nodes), tmp_path / "model.onnx")


def test_what_is_no_onnx_model_is_refused() -> None:
    for content in (b"", b"\x08\x08", b"PK\x03\x04", b"TFL3" * 10):
        with pytest.raises(ModelFileError, match="model"):
            onnx_graph(content, "model")
