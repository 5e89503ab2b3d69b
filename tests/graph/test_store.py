"""Graph checks and the .ebat file: what is refused, and that nothing is lost or changed on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import GraphError, ModelFileError
from edgebat.formats.export import export_model
from edgebat.graph import IntGraph, check_graph, load_graph, save_graph
from edgebat.runtime import Engine
from edgebat.verify.inputs import random_inputs
from edgebat.verify.random_graphs import FAMILIES, random_graph


def with_tensor(graph: IntGraph, **changes: object) -> IntGraph:
    tensor = replace(graph.input_tensor, **changes)
    return replace(graph, tensors={**graph.tensors, tensor.name: tensor})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_graph_reads_back_equal_and_saves_to_the_same_bytes(family: str, tmp_path: Path) -> None:
    graph = random_graph(family, 1)
    save_graph(graph, tmp_path / "a.ebat")
    again = load_graph(tmp_path / "a.ebat")
    save_graph(again, tmp_path / "b.ebat")
    assert again.fingerprint == graph.fingerprint
    assert again.meta == graph.meta
    assert (tmp_path / "a.ebat").read_bytes() == (tmp_path / "b.ebat").read_bytes()
    x = random_inputs(graph, 50, 0)
    np.testing.assert_array_equal(Engine(again).run(x), Engine(graph).run(x))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": float("nan")}, "finite number > 0"),
        ({"scale": 0.0}, "finite number > 0"),
        ({"zero_point": 200}, "zero point 200"),
        ({"dtype": "float32"}, "dtype 'float32'"),
        ({"shape": (10**6, 10**6)}, "at most"),
        ({"shape": (3, 3)}, "weight is int8"),
    ],
)
def test_an_impossible_tensor_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(GraphError, match=says):
        check_graph(with_tensor(random_graph("cnn", 2), **changes))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\\b", "", "..", "a\nb", "a\0b", "x" * 300])
def test_a_name_that_would_leave_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    graph = replace(random_graph("mlp", 1), name=name)
    with pytest.raises(GraphError, match="cannot be the name of a file"):
        check_graph(graph)
    with pytest.raises(GraphError, match="cannot be the name of a file"):
        export_model(graph, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_cycle_and_a_missing_tensor_are_refused() -> None:
    graph = random_graph("mlp", 3)
    first = replace(graph.nodes[0], inputs=(graph.output,))
    with pytest.raises(GraphError, match="no earlier node writes"):
        check_graph(replace(graph, nodes=(first, *graph.nodes[1:])))
    with pytest.raises(GraphError, match="not described"):
        check_graph(replace(graph, output="nowhere"))


def test_an_accumulator_that_could_overflow_is_refused() -> None:
    graph = random_graph("mlp", 3)
    head = graph.nodes[-1]
    heavy = replace(head, bias=np.full_like(head.bias, 2**31 - 2))
    with pytest.raises(GraphError, match="accumulator can reach"):
        check_graph(replace(graph, nodes=(*graph.nodes[:-1], heavy)))


def test_damaged_files_give_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.ebat"
    save_graph(random_graph("lstm", 1), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    unchanged = 0
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            data = data[: int(rng.integers(0, len(data)))]
        else:
            for _ in range(trial % 5 + 1):
                data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(data))
        try:
            graph = load_graph(path)
        except ModelFileError:
            continue
        # Bits that carry nothing (time stamps, padding) may flip unnoticed; the numbers may not.
        unchanged += graph.fingerprint == random_graph("lstm", 1).fingerprint
        assert graph.fingerprint == random_graph("lstm", 1).fingerprint
    assert unchanged < 50


def test_a_missing_file_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.ebat"):
        load_graph(tmp_path / "absent.ebat")
    (tmp_path / "text.ebat").write_text("hello")
    with pytest.raises(ModelFileError, match=r"text\.ebat"):
        load_graph(tmp_path / "text.ebat")
