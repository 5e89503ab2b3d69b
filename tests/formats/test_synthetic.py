"""A model trained on synthetic cells says so wherever it goes, in words alone; one that was not stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.can import dbc_text
from edgebat.bms.ports import list_ports, load_port, port_files
from edgebat.describe import describe
from edgebat.formats.c.bms_models import health_model
from edgebat.graph import IntGraph, load_graph, save_graph
from edgebat.graph.origin import SYNTHETIC, synthetic_note
from edgebat.quantization import quantize_model
from tests.formats.test_golden import META, fixed_student

Command = Callable[..., tuple[int, str, str]]
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@pytest.fixture(scope="module")
def plain() -> IntGraph:
    """The golden LSTM, which says nothing of its cells."""
    student = fixed_student("lstm")
    x = np.random.default_rng(1).normal(0.01, 0.005, (64, *student.input_shape))
    return quantize_model(student, x, name="lstm", meta=META)


def marked(graph: IntGraph, synthetic: object) -> IntGraph:
    return replace(graph, meta={**graph.meta, "training": {**graph.meta["training"], "synthetic": synthetic}})


@pytest.mark.parametrize("said", [False, None, "yes", 1])
def test_only_what_says_so_is_synthetic(plain: IntGraph, said: object) -> None:
    assert synthetic_note(plain) == ""
    assert synthetic_note(marked(plain, said)) == ""
    assert synthetic_note(marked(plain, True)) == SYNTHETIC
    assert synthetic_note(replace(plain, meta={"training": "unknown"})) == ""


@pytest.mark.parametrize("port", list_ports())
def test_every_port_says_it_in_words_alone(plain: IntGraph, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebat.bms.integration._cost", lambda *_: "measured elsewhere")
    before, measured, after = (
        port_files(graph, load_port(port), "soh") for graph in (plain, marked(plain, False), marked(plain, True))
    )
    assert before == measured
    changed = {path for path in after if after[path] != before[path]}
    assert {path.rsplit(".", 1)[1] for path in changed} == {"c", "h", "dbc", "a2l", "md"}
    assert any(path.endswith("README.md") for path in changed)
    for path in changed:
        text = after[path].decode()
        assert SYNTHETIC in text
        if path.endswith((".c", ".h", ".a2l")):
            code, code_before = (COMMENT.sub("", content) for content in (text, before[path].decode()))
            assert code.split() == code_before.split()
        else:
            assert set(text.splitlines()) - set(before[path].decode().splitlines()) <= {
                f"> **{SYNTHETIC}**",
                f'CM_ BU_ EDGEBAT "{SYNTHETIC}";',
            }


def test_a_can_tool_shows_it(plain: IntGraph) -> None:
    cantools = pytest.importorskip("cantools")
    database = cantools.database.load_string(dbc_text(health_model(marked(plain, True))), database_format="dbc")
    assert database.nodes[0].comment == SYNTHETIC


def test_predictions_and_info_say_it(plain: IntGraph, command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((2, *plain.input_tensor.shape), 0.01))
    for synthetic in (True, False):
        path = tmp_path / f"{synthetic}.ebat"
        save_graph(marked(plain, synthetic), path)
        out = command("predict", path, tmp_path / "x.npy")[1]
        assert (SYNTHETIC in out) is synthetic
        assert (
            json.loads(command("predict", path, tmp_path / "x.npy", "--json")[1]).get("synthetic", False) is synthetic
        )
        assert ("synthetic cells" in describe(path).what) is synthetic
        assert synthetic_note(load_graph(path)) == (SYNTHETIC if synthetic else "")
