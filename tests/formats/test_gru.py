"""The GRU in files: the same integers in TFLite Micro and ONNX Runtime, read back, stepped, and never taken on trust."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import GraphError, ModelFileError
from edgebat.formats.c.write import write_c
from edgebat.formats.onnx.read import read_onnx
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.read import tflite_graph
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph import Gru, IntGraph, check_graph
from edgebat.runtime import Engine
from edgebat.verify.engines import ENGINES, LITERT, TFLITE_MICRO
from edgebat.verify.equality import verify_model
from edgebat.verify.random_graphs import random_graph
from tests.formats_graphs import GraphMaker, random_inputs


def both_forms(steps: int = 12, scale: float = 0.037) -> IntGraph:
    """A layer of each form over more steps than TFLite Micro joins at once, behind an input of any scale."""
    make = GraphMaker(np.random.default_rng(5), (steps, 3), scale, -11)
    make.gru(6, reset_after=False)
    make.gru(5)
    make.last_step()
    make.head(3)
    return make.graph("forms")


def test_every_engine_keeps_its_promise() -> None:
    rows = verify_model(both_forms(), random_inputs(both_forms(), 60, 1), table=ENGINES)
    promised = {row.engine: row.mismatches for row in rows if row.promise == "0"}
    assert set(promised) == {engine.name for engine in ENGINES} - {LITERT.name}
    assert set(promised.values()) == {0}


@pytest.mark.parametrize("seed", range(8))
def test_tflite_micro_computes_the_same_integers(seed: int) -> None:
    graph = random_graph("gru", seed)
    row = verify_model(graph, random_inputs(graph, 40, seed), table=[TFLITE_MICRO])[0]
    assert (row.promise, row.mismatches, row.skipped) == ("0", 0, "")


def test_the_whole_sequence_can_be_used() -> None:
    make = GraphMaker(np.random.default_rng(7), (9, 3), 0.05, 0)
    make.dense(5)
    make.max_pool(2, 1)
    make.gru(6)
    make.average_pool(2, 2)
    make.flatten()
    make.head(5)
    graph = make.graph("sequence")
    rows = verify_model(graph, random_inputs(graph, 40, 1))
    assert {row.engine for row in rows if row.promise == "0"} >= {"host C", "ONNX Runtime", "NumPy from .tflite"}
    assert [row for row in rows if not row.passed] == []


def test_onnx_can_be_stepped_and_resumed(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    graph, path = both_forms(9), tmp_path / "model.onnx"
    assert write_onnx(graph, path, stateful=True) == []
    assert read_onnx(path).fingerprint == graph.fingerprint
    run = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = random_inputs(graph, 30, seed=1)
    state = {f"{node.name}/hidden_in": np.zeros((30, node.bias.shape[1]), np.int16)
             for node in graph.nodes if isinstance(node, Gru)}  # fmt: skip
    names = [graph.output, *(name.replace("_in", "_out") for name in state)]
    for start, stop in ((0, 1), (1, 2), (2, 6), (6, 9)):
        y, *after = run.run(names, {graph.input: x[:, start:stop], **state})
        state = dict(zip(state, after, strict=True))
    np.testing.assert_array_equal(y, Engine(graph).run(x))


def altered(graph: IntGraph, change: dict[str, Any]) -> bytes:
    """The file of ``graph`` with another note of its first layer."""
    content = tflite_bytes(graph)[0]
    begin = content.index(b'{"format":1')
    note, _ = json.JSONDecoder().raw_decode(content[begin:].decode("utf-8", "replace"))
    length = len(json.dumps(note, sort_keys=True, separators=(",", ":")))
    hint = note["nodes"]["0_gru"]
    hint |= change.get("hint", {})
    hint["gru"] |= change.get("gru", {})
    text = json.dumps(note, sort_keys=True, separators=(",", ":")).encode()
    assert len(text) <= length, "the note has to fit in its place"
    return content[:begin] + text.ljust(length) + content[begin + length :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gru": {"reset_after": True}}, "describes another model"),
        ({"gru": {"input_shift": [1, 1, 1]}}, "describes another model"),
        ({"gru": {"input_shift": [1, 1]}}, "metadata is damaged"),
        ({"gru": {"input_scale": "x"}}, "metadata is damaged"),
        ({"gru": {"input_factor": [9]}}, "metadata is damaged"),
        ({"hint": {"count": 0}}, "is said to be operators"),
        ({"hint": {"first": 9}}, "share operators"),
        ({"hint": {"first": 1}}, "not a usable model"),
    ],
)
def test_a_note_that_says_something_else_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        tflite_graph(altered(both_forms(), change), "model.tflite")


def test_a_note_of_another_layer_is_refused() -> None:
    """One changed letter of the layer's name: found by mutating files at full scale."""
    data = tflite_bytes(both_forms())[0]
    name = re.findall(rb'"(\w+)":\{"count":\d+,"first":\d+,"gru"', data)[0]
    for other in (name[:-1] + b"x", b"x" + name[1:]):
        with pytest.raises(ModelFileError, match="its metadata is damaged"):
            tflite_graph(data.replace(b'"' + name + b'":{"count"', b'"' + other + b'":{"count"'), "model.tflite")


def test_the_unchanged_note_is_accepted() -> None:
    graph = both_forms()
    assert tflite_graph(altered(graph, {}), "model.tflite").fingerprint == graph.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_factor": np.array([40, 0, 40], np.int32)}, "factor outside"),
        ({"recurrent_shift": np.array([5, 31, 5], np.int32)}, "shift outside"),
        ({"recurrent_bias": np.zeros(4, np.int32)}, "recurrent bias is int32"),
        ({"recurrent_bias": np.full(5, 2**30, np.int32)}, "scaled recurrent sum can reach"),
        ({"reset_after": False}, "recurrent bias although"),
        ({"bias": np.zeros((4, 5), np.int32)}, "bias is int32"),
    ],
)
def test_what_could_leave_32_bits_is_refused(change: dict[str, Any], message: str) -> None:
    make = GraphMaker(np.random.default_rng(5), (4, 3), 0.05, 0)
    make.gru(5)
    graph = make.graph("one")
    with pytest.raises(GraphError, match=message):
        check_graph(replace(graph, nodes=(replace(graph.nodes[0], **change),)))


def test_factors_of_too_many_bits_are_refused_by_name(tmp_path: Path) -> None:
    make = GraphMaker(np.random.default_rng(5), (4, 3), 0.05, 0)
    make.gru(5)
    graph = make.graph("one")
    wide = replace(graph.nodes[0], input_factor=np.full(3, 300, np.int32), input_shift=np.ones(3, np.int32))
    graph = check_graph(replace(graph, nodes=(wide,)))
    with pytest.raises(ModelFileError, match=r"\(gru\): a factor is 300; TFLite needs less than 128"):
        tflite_bytes(graph)
    with pytest.raises(ModelFileError, match=r"\(gru\): a gate's factor is 300"):
        write_c(graph, tmp_path, "net")
