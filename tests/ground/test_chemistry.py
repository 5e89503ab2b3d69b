"""Cells of another chemistry: read out of how sources write it, refused where it is stated, and never where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgebat as eb
from edgebat.cells import Condition
from edgebat.chemistry import materials, unlike
from edgebat.graph import load_graph, save_graph
from edgebat.models import open_model, predict_int8, run_cells
from edgebat.runtime.refusal import Refusal
from edgebat.tasks.health import HealthWindows
from tests.ground.test_ground import NCA, with_ground

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("text", "cathodes", "nickel"),
    [
        ("LFP/graphite", {"LFP"}, None),
        ("LiFePO4", {"LFP"}, None),
        ("NMC811/graphite", {"NMC"}, 8),
        ("NCM523/graphite", {"NMC"}, 5),
        ("ncm 622", {"NMC"}, 6),
        ("NMC111/graphite", {"NMC"}, 3),
        ("NMC/graphite", {"NMC"}, None),
        ("NMC-LCO/graphite", {"NMC", "LCO"}, None),
        ("LiNi0.83Co0.11Mn0.07O2/graphite-Si (NCM)", {"NMC"}, 8),
        ("LiNi0.86Co0.11Al0.03O2/graphite-Si (NCA)", {"NCA"}, None),
        ("42 wt.% Li(NiCoMn)O2 with 58 wt.% Li(NiCoAl)O2", {"NMC", "NCA"}, None),
        ("LiNi1/3Co1/3Mn1/3O2", {"NMC"}, 3),
        ("LiCoO2/graphite", {"LCO"}, None),
        ("LiMn2O4", {"LMO"}, None),
    ],
)
def test_what_a_text_says(text: str, cathodes: set[str], nickel: int | None):
    found = materials(text)
    assert found is not None
    assert (set(found.cathodes), found.nickel) == (cathodes, nickel)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not stated",
        "unknown (4.2 V class; read as NCM/graphite)",
        "NCM-class 18650 (not stated in repo)",
        "INR18650-35E",
    ],
)
def test_what_names_none_is_not_stated(text: str):
    assert materials(text) is None
    assert not unlike(text, ["LFP"])
    assert not unlike("LFP", [text])


def test_cells_are_unlike_those_of_other_materials_alone():
    known = ["LiNi0.83Co0.11Mn0.07O2/graphite-Si (NCM)", "NCA/graphite"]
    assert not unlike("NMC811", known)
    assert not unlike("NMC", known)
    assert not unlike("NCA/graphite-Si", known)
    assert unlike("NMC532/graphite", known)
    assert unlike("NMC-LCO", known)
    assert unlike("NCM + NCA blend", known)
    assert unlike("NMC811/LTO", known)
    # Of the two orders in which people write the metals, nickel stands first in both.
    assert not unlike("NMC532", ["NCM523"])
    # A training cell that states nothing says for none of the others that it is known.
    assert unlike("LFP", [*known, "not stated"])


@pytest.fixture
def graph_file(model_file: Path, windows: HealthWindows) -> Path:
    save_graph(with_ground(load_graph(model_file), windows, noise_mv=0.0), model_file)
    return model_file


def test_windows_of_cells_are_refused_for_what_their_sources_state(graph_file: Path, windows: HealthWindows):
    strange = (
        replace(NCA, chemistry="LFP/graphite"),
        replace(NCA, charge_rate_c=1.0),
        replace(NCA, temperature_degc=45.0),
        Condition("MADE_UP"),
    )
    graph = load_graph(graph_file)
    found = run_cells(graph, replace(windows, conditions=strange)).refusal.reshape(4, 10)
    assert [set(row) for row in found[:3].tolist()] == [{Refusal.CHEMISTRY}, {Refusal.RATE}, {Refusal.TEMPERATURE}]
    known = run_cells(graph, replace(windows, conditions=(NCA,) * 4)).refusal
    assert (found[3] == known[30:]).all()
    assert (known == Refusal.NONE).mean() > 0.9


def test_the_estimate_itself_stays_what_it_is(graph_file: Path, windows: HealthWindows):
    graph, strange = load_graph(graph_file), (replace(NCA, chemistry="LFP"),) * 4
    foreign, known = (predict_int8(graph, replace(windows, conditions=c)) for c in (strange, (NCA,) * 4))
    assert np.array_equal(foreign["soh"], known["soh"])


@pytest.fixture(scope="module")
def nca_cells() -> eb.Fleet:
    fleet = eb.synthetic_fleet(3, 16, 120)
    return fleet.select(chemistry="NCA")


def stating(fleet: eb.Fleet, chemistry: str) -> eb.Fleet:
    return replace(fleet, cells=fleet.cells.assign(chemistry=chemistry))


@pytest.mark.usefixtures("quick_learners")
def test_evaluate_counts_what_is_refused_and_scores_what_is_answered(nca_cells: eb.Fleet):
    pytest.importorskip("torch")
    model = eb.load("demo-mlp")
    known = model.evaluate(nca_cells)
    foreign = model.evaluate(stating(nca_cells, "LFP/graphite"))
    windows = known.all["windows"]
    assert known.all["refused"] < 0.1 * windows
    assert known.all["answered"] == pytest.approx(known.all["soh_rmse_pct"], rel=0.2)
    assert foreign.all["refused"] == windows
    assert foreign.all["answered"] is None
    assert foreign.all["soh_rmse_pct"] == known.all["soh_rmse_pct"]
    assert list(foreign.refused.values()) == [windows]
    assert "another chemistry" in next(iter(foreign.refused))
    assert all(cell.scores["refused"] == cell.scores["windows"] for cell in foreign.cells)
    assert not foreign.coverage


def test_the_library_refuses_windows_of_a_fleet(nca_cells: eb.Fleet):
    model = eb.load("demo-mlp")
    assert model.predict(stating(nca_cells, "LFP")).extrapolated.all()
    assert not model.predict(nca_cells).extrapolated.all()


def test_predict_takes_the_chemistry_of_the_cell(
    command: Command, tmp_path: Path, windows: HealthWindows, graph_file: Path
):
    np.save(tmp_path / "w.npy", windows.x)
    code, out, _ = command("predict", graph_file, tmp_path / "w.npy", "--chemistry", "NCA", "--json")
    answer = json.loads(out)
    assert code == 0
    assert not any("chemistry" in remark for remark in answer["remarks"])
    code, out, err = command("predict", graph_file, tmp_path / "w.npy", "--chemistry", "LFP", "--json")
    assert code == 3
    assert {entry["soh_percent"] for entry in json.loads(out)["windows"]} == {None}
    assert "it is LFP, the model knows NCA/graphite" in err
    code, out, _ = command("predict", graph_file, tmp_path / "w.npy", "--json")
    assert code == 0
    assert json.loads(out)["remarks"] == [
        "the cell's chemistry is not stated, the model knows NCA/graphite: say it with --chemistry"
    ]
    code, _, err = command("predict", graph_file, tmp_path / "w.npy", "--chemistry", "lithium")
    assert code == 2
    assert "'lithium' is none that is known; write NCM811" in err


def test_a_file_that_states_no_chemistry_asks_for_none(
    model_file: Path, tmp_path: Path, windows: HealthWindows, command: Command
):
    np.save(tmp_path / "w.npy", windows.x)
    code, out, _ = command("predict", model_file, tmp_path / "w.npy", "--chemistry", "LFP", "--json")
    assert code == 0
    assert not json.loads(out)["remarks"]
    assert open_model(model_file).task.name == "health"
