"""CONTRIBUTING's "A target", done: one YAML file, on which ``edgebat bench`` proves that all outputs equal NumPy's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.bench.nets import reference_net
from edgebat.graph import save_graph
from edgebat.simulate import list_targets
from edgebat.simulate.available import missing_tools
from edgebat.simulate.targets import load_target

Command = Callable[..., tuple[int, str, str]]
FILE = Path(__file__).parent / "toy/targets/toy-board.yaml"


def test_a_target_is_a_file_anywhere(tmp_path: Path, command: Command) -> None:
    board = load_target(FILE)
    assert (board.name, board.bare_metal, board.routes) == ("toy-board", True, ("unicorn",))
    assert board.name not in list_targets()
    if missing := missing_tools(board, "zig"):
        pytest.skip(missing)
    graph = reference_net("mlp")
    save_graph(graph, tmp_path / "mlp.ebat")
    code, out, err = command(
        "bench", tmp_path / "mlp.ebat", "--target", FILE, "--compiler", "zig", "--windows", "4", "--json"
    )
    assert code == 0, err
    (row,) = json.loads(out)
    assert row["target"] == "toy-board"
    assert row["instructions"] > 0


def test_a_model_that_does_not_fit_it_is_refused(tmp_path: Path, command: Command) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(FILE.read_text().replace("262_144", "1_024").replace("name: toy-board", "name: small"))
    if missing := missing_tools(load_target(small), "zig"):
        pytest.skip(missing)
    save_graph(reference_net("mlp"), tmp_path / "mlp.ebat")
    code, _, err = command("export", tmp_path / "mlp.ebat", "--out", tmp_path / "out", "--target", small)
    assert code == 2
    assert "small" in err
    assert not (tmp_path / "out").exists()
