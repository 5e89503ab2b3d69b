"""Every operator of the integer graph exists in every back end: the one test that a new operator fails first."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.c.operators import OPERATORS as C_OPERATORS
from edgebat.formats.c.write import write_c
from edgebat.formats.export import storable
from edgebat.formats.onnx import emit, note
from edgebat.formats.onnx.emit import emit_graph
from edgebat.formats.rounding import average_multiplier, float_requant
from edgebat.formats.tflite import write
from edgebat.formats.tflite.read import tflite_graph
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph import OPERATORS, AveragePool1D, IntGraph, Node, Tensor
from edgebat.runtime import Engine
from tests.formats_graphs import FAMILIES, GraphMaker, random_inputs

TABLES = {
    "C": C_OPERATORS,
    "TFLite writer": write._OPERATORS,
    "ONNX writer": emit._OPERATORS,
    "ONNX reader": note._OPERATORS,
}
ONE_ENGINE = {"float_pool1d": "ONNX Runtime's"}
"""Operators of one engine alone, which no other format has a form for."""
GRAPHS = [FAMILIES[family](seed) for family in FAMILIES for seed in range(8)]


@pytest.mark.parametrize("back_end", TABLES)
def test_a_table_holds_exactly_the_operators_of_the_graph(back_end: str) -> None:
    assert sorted(TABLES[back_end]) == sorted(OPERATORS)


def test_an_operator_of_one_engine_is_refused_by_the_other_format() -> None:
    make = GraphMaker(np.random.default_rng(1), (8, 3), 0.05, 3)
    make.float_pool(2, 2, (0, 1), count_padding=True)
    graph = make.graph("one")
    assert emit_graph(graph)[0].nodes
    with pytest.raises(ModelFileError, match=r"\(float_pool1d\): .* ONNX Runtime's"):
        tflite_bytes(graph)


@pytest.mark.parametrize("op", [op for op in OPERATORS if op not in ONE_ENGINE])
def test_every_operator_runs_and_is_written_in_every_format(op: str, tmp_path: Path) -> None:
    graph = next(graph for graph in GRAPHS if op in {node.op for node in graph.nodes})
    assert len(Engine(graph).run(random_inputs(graph, 3, 1))) == 3
    assert write_c(graph, tmp_path, "net").files[1].exists()
    assert tflite_graph(tflite_bytes(graph)[0]).fingerprint == graph.fingerprint
    assert emit_graph(graph)[0].nodes


def test_an_operator_without_an_entry_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Median(Node):
        op = "median"

    graph = FAMILIES["mlp"](1)
    first = graph.nodes[0]
    odd = replace(graph, nodes=(Median(first.name, first.inputs, first.output), *graph.nodes[1:]))
    monkeypatch.setitem(OPERATORS, "median", Median)
    monkeypatch.setattr("edgebat.graph.check._check_node", lambda *_: None)
    with pytest.raises(ModelFileError, match=r"\(median\): C has no kernel"):
        write_c(odd, tmp_path, "net")
    with pytest.raises(ModelFileError, match="TFLite has no form of operator 'median'"):
        tflite_bytes(odd)
    with pytest.raises(ModelFileError, match="ONNX has no form of operator 'median'"):
        emit_graph(odd)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_an_average_whose_scale_no_float32_gives_is_left_out_of_a_format_with_the_reason(kind: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(2000):
        scales = [float(np.float32(rng.uniform(0.01, 0.1))) for _ in range(2)]
        source, target = (
            Tensor(name, shape, "int8", scale, 0)
            for name, shape, scale in zip("xy", ((40, 2), (1, 2)), scales, strict=True)
        )
        requant = float_requant(average_multiplier(source.scale, 40, target.scale), 0, -128, 127)
        node = AveragePool1D("mean", ("x",), "y", 40, 1, requant)
        foreign = {"rounding": "onnxruntime", "input": "float32", "output": "float32"}
        graph = IntGraph("mean", {"x": source, "y": target}, (node,), "x", "y", {"foreign": foreign})
        if reason := storable(graph, kind):
            break
    assert "node 'mean': no float32 scale gives its requantization" in reason
    assert reason.endswith("keep the given file")
