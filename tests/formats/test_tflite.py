"""TFLite files: LiteRT and TFLite Micro compute what the NumPy runtime computes, and reading gives the graph back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tflite_micro.python.tflite_micro import runtime as tflite_micro

from edgebat.errors import ModelFileError
from edgebat.formats.tflite.flatbuffer import read_flatbuffer, write_flatbuffer
from edgebat.formats.tflite.read import read_tflite, tflite_graph
from edgebat.formats.tflite.rules import head_engines, head_offset, lifted_engine
from edgebat.formats.tflite.schema import IDENTIFIER, SCHEMA
from edgebat.formats.tflite.write import tflite_bytes, write_tflite
from edgebat.graph import IntGraph, Requant
from edgebat.runtime import Engine
from edgebat.verify import random_graphs
from tests.formats_graphs import FAMILIES, META, GraphMaker, random_inputs


def litert(content: bytes, x: np.ndarray) -> np.ndarray:
    """All of ``x`` in one call of LiteRT (stateless models)."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    source = interpreter.get_input_details()[0]
    shape = [len(x), *source["shape"][1:]]
    interpreter.resize_tensor_input(source["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], x.reshape(shape))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def micro(content: bytes, x: np.ndarray) -> np.ndarray:
    """``x`` one by one in TFLite Micro, states cleared before each."""
    interpreter = tflite_micro.Interpreter.from_bytes(content, arena_size=1 << 20)
    outputs = []
    for window in x:
        interpreter.reset()
        interpreter.set_input(np.ascontiguousarray(window[None]), 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)[0]))
    return np.array(outputs)


def same(graph: IntGraph, engine: Any, count: int) -> None:
    content, inexact = tflite_bytes(graph)
    assert inexact == []
    x = random_inputs(graph, count, seed=3)
    expected = Engine(graph).run(x)
    np.testing.assert_array_equal(engine(content, x).reshape(expected.shape), expected)
    assert tflite_graph(content).fingerprint == graph.fingerprint


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_litert_computes_the_same_integers(family: str, seed: int) -> None:
    same(FAMILIES[family](seed), litert, 1000)


@pytest.mark.parametrize("seed", range(6))
def test_tflite_micro_computes_the_same_integers_for_lstm(seed: int) -> None:
    # TFLite Micro rounds dense layers twice (D): only LSTM layers and the int16 head are promised.
    make = GraphMaker(np.random.default_rng(seed), (seed + 1, 5), 2.0**-5, seed - 3)
    for units in (4, 7)[: 1 + seed % 2]:
        make.lstm(units)
    make.last_step()
    make.head(3)
    same(make.graph("lstm"), micro, 60)


def one_operator(name: str) -> IntGraph:
    """A graph of the operator ``name`` alone, with an int8 or int16 output."""
    make = GraphMaker(np.random.default_rng(8), (8, 3), 0.05, -20)
    source = make.current
    match name:
        case "dense per step":
            make.dense(5, relu=True)
        case "flatten, dense":
            make.flatten()
            make.dense(5)
        case "causal convolution":
            make.conv(4, 3, dilation=2, padding=(4, 0))
        case "strided convolution":
            make.conv(4, 3, stride=2, padding=(0, 1), relu=True)
        case "depthwise":
            make.conv(0, 3, padding=(1, 1), depthwise=True)
        case "max pool":
            make.max_pool(3, 2)
        case "average pool":
            make.average_pool(4, 2)
        case "global average pool":
            make.average_pool(8, 1)
        case "add":
            make.conv(3, 1)
            make.add(source)
        case "concat":
            make.max_pool(1, 1)
            make.concat(source)
        case "product":
            make.conv(3, 1)
            make.mul(source)
        case "gate of channels":
            make.average_pool(8, 1)
            make.flatten()
            gate, make.current = make.current, source
            make.mul(gate)
        case "gate of time steps":
            gate = make.conv(1, 1)
            make.current = source
            make.mul(gate)
        case "transposed":
            make.take(np.arange(24).reshape(8, 3).T)
        case "last step":
            make.last_step()
        case "head":
            make.last_step()
            make.head(4)
        case _:
            make.lut(name)
    return make.graph(name)


OPERATORS = [
    "dense per step", "flatten, dense", "causal convolution", "strided convolution", "depthwise", "max pool",
    "average pool", "global average pool", "add", "product", "gate of channels", "gate of time steps", "transposed",
    "concat", "last step", "head", "tanh", "sigmoid", "square",
]  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_alone(name: str) -> None:
    same(one_operator(name), litert, 2000)


def test_a_convolution_in_front_of_an_lstm_is_reshaped_around() -> None:
    make = GraphMaker(np.random.default_rng(2), (8, 3), 0.05, 4)
    make.conv(4, 3, padding=(2, 0), relu=True)
    make.lut("tanh")
    make.lstm(3)
    make.last_step()
    make.head(2)
    graph = make.graph("mixed")
    assert tflite_graph(tflite_bytes(graph)[0]).fingerprint == graph.fingerprint


def test_files_carry_name_and_metadata_and_are_deterministic(tmp_path: Path) -> None:
    graph = FAMILIES["cnn"](3)
    write_tflite(graph, tmp_path / "a.tflite")
    write_tflite(graph, tmp_path / "b.tflite")
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()
    again = read_tflite(tmp_path / "a.tflite")
    assert (again.name, again.meta) == ("cnn3", META)
    assert write_tflite(again, tmp_path / "c.tflite") == []
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "c.tflite").read_bytes()


@pytest.mark.parametrize("family", random_graphs.FAMILIES)
def test_graphs_of_the_quantizer_come_back(family: str) -> None:
    for seed in range(8):
        graph = random_graphs.random_graph(family, seed)
        assert tflite_graph(tflite_bytes(graph)[0]).fingerprint == graph.fingerprint


def test_engines_of_the_head_agree_with_our_shift_for_every_accumulator() -> None:
    """TFLite Micro rounds halves up and cuts the multiplier, LiteRT rounds them away from zero: neither matters."""
    k, n = np.array([33, 48, 63], np.int32), np.array([5, 9, 2], np.int32)
    real = k * 2.0**-n / 128
    acc = np.tile(np.arange(-70_000, 70_000, dtype=np.int64), (3, 1))
    ours = (acc * k[:, None] + (1 << (n[:, None] - 1).astype(np.int64))) >> n[:, None]
    for engine in head_engines(real):
        np.testing.assert_array_equal(lifted_engine(engine, 7, head_offset(k))(acc), ours)


def test_a_requantization_that_no_scale_expresses_is_reported() -> None:
    graph = FAMILIES["mlp"](3)
    dense = graph.nodes[1]
    wrong = replace(dense.requant, multiplier=dense.requant.multiplier + 2)
    changed = replace(graph, nodes=(graph.nodes[0], replace(dense, requant=wrong), *graph.nodes[2:]))
    content, inexact = tflite_bytes(changed)
    assert inexact == [dense.name]
    # Reading it gives what engines compute from the scales.
    assert tflite_graph(content).nodes[1].requant.kind == "float"


def test_scales_that_contradict_the_requantization_are_refused() -> None:
    graph = FAMILIES["mlp"](3)
    dense = graph.nodes[1]
    assert isinstance(dense.requant, Requant)
    wrong = replace(dense, requant=replace(dense.requant, scale=dense.requant.scale * np.float32(1.5)))
    with pytest.raises(ModelFileError, match="is not s_in"):
        tflite_bytes(replace(graph, nodes=(graph.nodes[0], wrong, *graph.nodes[2:])))


def altered(graph: IntGraph, change: Any) -> bytes:
    """The file of ``graph`` after ``change`` was applied to its parsed content."""
    model = read_flatbuffer(tflite_bytes(graph)[0], SCHEMA, "Model", IDENTIFIER, "file")
    change(model, model["subgraphs"][0])
    return write_flatbuffer(model, SCHEMA, "Model", IDENTIFIER)


def set_to(target: dict[str, Any], **values: Any) -> None:
    target.update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, g: m["subgraphs"].append(g), "2 subgraphs"),
        (lambda m, g: set_to(g, inputs=[0, 1]), "2 inputs"),
        (lambda m, g: set_to(g, outputs=[999]), "the file has"),
        (lambda m, g: set_to(m["operator_codes"][0], code=118, deprecated_code=118), "builtin operator number 118"),
        (lambda m, g: set_to(m["operator_codes"][0], custom_code="Mine"), "custom operator 'Mine'"),
        (lambda m, g: set_to(g["tensors"][0], type=2), "is int32 with 1 scales"),
        (lambda m, g: set_to(g["tensors"][0], shape=[1, 1 << 30, 64]), "more than the 1048576 allowed"),
        (lambda m, g: set_to(g["tensors"][0]["quantization"], scale=[float("nan")]), "finite numbers > 0"),
        (lambda m, g: set_to(g["tensors"][0]["quantization"], scale=[0.1, 0.1]), "another number of zero points"),
        (lambda m, g: set_to(g["tensors"][0]["quantization"], zero_point=[300]), "zero point 300"),
        (lambda m, g: set_to(g["operators"][1], inputs=[0]), "at least 2 are expected"),
        (lambda m, g: set_to(g["operators"][1]["options"], activation=4), "has the activation tanh"),
        (lambda m, g: set_to(g["operators"][1]["options"], weights_format=1), "shuffled"),
        (lambda m, g: set_to(g["operators"][1], outputs=g["operators"][0]["outputs"]), "written twice"),
        (lambda m, g: set_to(m["metadata"][0], buffer=999), "names buffer 999"),
        (lambda m, g: m["buffers"][m["metadata"][0]["buffer"]].update(data=np.frombuffer(b"{]", "u1")), "is damaged"),
    ],
)  # fmt: skip
def test_what_edgebat_does_not_run_is_refused_by_name(change: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        tflite_graph(altered(FAMILIES["mlp"](3), change), "model.tflite")
