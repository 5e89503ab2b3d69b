"""CONTRIBUTING's "An operator", done: an entry after the other, until every back end gives the same integers.

A contributor edits the tables of edgebat; here the entries of ``toy/operators/invert.py`` are put into them for one test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import GraphError, ModelFileError
from edgebat.formats.c.operators import OPERATORS as C_OPERATORS
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.formats.onnx import emit, note
from edgebat.formats.onnx.emit import emit_graph
from edgebat.formats.tflite import write
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph import OPERATORS, IntGraph, Tensor, check_graph, load_graph, save_graph
from edgebat.runtime import Engine, engine, kernels
from edgebat.verify.engines import ENGINES, files_in
from edgebat.verify.equality import require_equal, verify_model
from tests.formats_graphs import random_inputs
from tests.howto.toy.operators import invert as toy


def test_an_operator_is_an_entry_in_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: Tensor(name, (6, 3), "int8", 0.05, 0) for name in ("input", "output")}
    graph = IntGraph("inverted", tensors, (toy.Invert("0_invert", ("input",), "output"),), "input", "output")

    # Steps 1 and 2: the class. Before it is registered a graph with it is refused by name.
    with pytest.raises(GraphError, match=r"'Invert' is unknown; allowed: .*'lut'"):
        check_graph(graph)
    monkeypatch.setitem(OPERATORS, "invert", toy.Invert)
    check_graph(graph)

    # Step 3: NumPy, and once more in plain integers.
    build = kernels.build_kernel
    monkeypatch.setattr(engine, "build_kernel", lambda node, t: toy.kernel if node.op == "invert" else build(node, t))
    x = random_inputs(graph, 40, 1)
    y = Engine(graph).run(x)
    assert y.ravel().tolist() == toy.scalar(x.ravel().tolist())
    save_graph(graph, tmp_path / "inverted.ebat")
    np.testing.assert_array_equal(Engine(load_graph(tmp_path / "inverted.ebat")).run(x), y)

    # Every back end that has no entry yet says so, by name.
    with pytest.raises(ModelFileError, match="TFLite has no form of operator 'invert'"):
        tflite_bytes(graph)
    with pytest.raises(ModelFileError, match="ONNX has no form of operator 'invert'"):
        emit_graph(graph)
    with pytest.raises(ModelFileError, match=r"\(invert\): C has no kernel"):
        write_c(graph, tmp_path, "inverted")

    # Steps 4, 5 and 7: their entries.
    monkeypatch.setitem(write._OPERATORS, "invert", toy.tflite)
    monkeypatch.setitem(emit._OPERATORS, "invert", toy.onnx)
    monkeypatch.setitem(note._OPERATORS, "invert", toy.onnx_back)
    monkeypatch.setitem(C_OPERATORS, "invert", toy.c)  # type: ignore[arg-type]
    export_model(graph, tmp_path, ("tflite", "onnx", "c"))

    # Step 10: equal in every engine that is installed, simulated cores among them.
    rows = verify_model(graph, x, files_in(tmp_path, graph.name), ENGINES)
    ran = {row.engine for row in rows if not row.skipped}
    assert {"NumPy from .tflite", "NumPy from .onnx"} <= ran
    assert not any(row.mismatches for row in rows)
    require_equal(rows)
