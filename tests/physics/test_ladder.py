"""Cycles between those that were simulated, without PyBaMM."""

from pathlib import Path

import numpy as np
import pytest

from edgebat.data.corpus import read_corpus
from edgebat.errors import DataError, MissingExtra
from edgebat.physics import fleet
from edgebat.physics.fleet import simulate_fleet
from edgebat.physics.ladder import Ladder
from edgebat.physics.settings import CellPlan, FleetSettings
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import health_windows

GRID_V = np.round(np.arange(3.0, 4.2001, 0.005), 3)


def ladder(cycles: tuple[int, ...] = (1, 11, 21), nominal_ah: float = 2.0) -> Ladder:
    """A cell that loses 0.1 % of nominal a cycle, whose charge begins higher as it ages and ends at 4.2 V."""
    cycle = np.array(cycles)
    capacity = nominal_ah * (1.0 - 0.001 * (cycle - 1))
    start_v = 3.2 + 0.001 * (cycle - 1)
    dq = capacity[:, None] * (GRID_V[None, :] - start_v[:, None]) / (4.2 - start_v[:, None])
    dq = np.where(dq >= 0.0, dq, np.nan)
    falling = np.linspace(4.2, 3.0, 200)
    given = capacity[:, None] * np.linspace(0.0, 1.0, 200)
    first = np.nanmin(dq, axis=1, keepdims=True)
    return Ladder(cycle, capacity, capacity * 1.01, capacity * 3600.0, GRID_V, dq - first, falling, given)


def test_a_cycle_between_two_lies_between_them() -> None:
    every = ladder().every_cycle()
    np.testing.assert_array_equal(every.cycle, np.arange(1, 22))
    np.testing.assert_allclose(every.capacity_ah, 2.0 * (1.0 - 0.001 * np.arange(21)))
    window = np.diff(every.charge_dq_ah[:, np.searchsorted(GRID_V, [3.6, 3.7])])[:, 0]
    assert np.allclose(np.diff(window, n=2)[:9], 0.0)  # straight up to the next simulated cycle
    assert np.isfinite(every.charge_dq_ah[:, GRID_V > 3.25]).all()
    assert (np.nanmin(every.charge_dq_ah, axis=1) == 0.0).all()
    assert (np.diff(every.charge_dq_ah, axis=1)[:, 60:] > 0.0).all()


def test_simulated_cycles_stay_what_they_are() -> None:
    sparse = ladder()
    every = sparse.every_cycle().rows(slice(0, 21, 10))
    np.testing.assert_array_equal(every.capacity_ah, sparse.capacity_ah)
    np.testing.assert_allclose(every.charge_dq_ah, sparse.charge_dq_ah, atol=1e-12)


def test_a_life_ends_where_the_cell_is_worn_out() -> None:
    assert ladder().until(1.99).cycle.tolist() == [1, 11]
    assert ladder().until(0.5).cycle.tolist() == [1, 11, 21]


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cells without PyBaMM; the names of those that were simulated."""
    asked: list[str] = []

    def simulate(plan: CellPlan) -> Ladder:
        asked.append(plan.cell_id)
        return ladder(
            tuple(range(plan.stride, plan.cycles + 1, plan.stride)), fleet.CHEMISTRIES[plan.chemistry].nominal_ah
        )

    monkeypatch.setattr(fleet, "simulate_cell", simulate)
    monkeypatch.setattr(fleet, "installed_version", lambda: "0")
    return asked


SMALL = FleetSettings(cells=3, cycles=35, chemistries=("NMC", "NCA"), rates_c=(0.5,))


def quiet(what: str, done: int, total: int) -> None:
    """Shows no progress."""


def test_what_is_written_is_a_corpus_that_recipes_read(faked: list[str], tmp_path: Path) -> None:
    done = simulate_fleet(tmp_path, SMALL, 1, quiet)
    read = read_corpus(tmp_path)
    assert (done.new, done.cycles) == (3, 63)
    assert read.keys == (("SIM_NCA", "NCA-0002"), ("SIM_NMC", "NMC-0001"), ("SIM_NMC", "NMC-0003"))
    assert [condition.charge_rate_c for condition in read.conditions] == [0.5] * 3
    assert [condition.temperature_degc for condition in read.conditions] == [15.0, 15.0, 25.0]
    assert read.notes == ()
    assert read.synthetic
    kinds = read.cycles["label_kind"].to_numpy().reshape(3, 21)
    assert (kinds[:, ::10] == "measured").all()
    assert (np.delete(kinds, np.arange(0, 21, 10), axis=1) == "interpolated").all()
    windows = health_windows(read, HealthSpec(context=4))
    assert len(windows) == 3 * 18
    assert (tmp_path / "qv" / "SIM_NMC.npz").is_file()


def test_a_call_goes_on_where_another_ended(faked: list[str], tmp_path: Path) -> None:
    simulate_fleet(tmp_path, SMALL, 1, quiet)
    faked.clear()
    more = FleetSettings(cells=4, cycles=35, chemistries=("NMC", "NCA"), rates_c=(0.5,))
    assert simulate_fleet(tmp_path, more, 1, quiet).new == 1
    assert faked == ["NCA-0004"]
    assert simulate_fleet(tmp_path, SMALL, 1, quiet).new == 0
    assert len(read_corpus(tmp_path).keys) == 3


def test_the_same_settings_give_the_same_bytes(faked: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate_fleet(tmp_path / name, SMALL, 1, quiet)
    files = {name: contents(tmp_path / name) for name in ("a", "b")}
    assert files["a"] == files["b"]
    assert len(files["a"]) > 6


def contents(folder: Path) -> dict[str, bytes]:
    """Files below a folder, but for its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_corpus_of_measured_cells_is_not_written_over(faked: list[str], tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("dataset,cell_id\n")
    with pytest.raises(DataError, match="--out FOLDER"):
        simulate_fleet(tmp_path, SMALL, 1, quiet)
    assert (tmp_path / "cells.csv").read_text() == "dataset,cell_id\n"


def test_without_pybamm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> str:
        raise fleet.PackageNotFoundError(name)

    monkeypatch.setattr(fleet, "version", missing)
    with pytest.raises(MissingExtra, match=r'pip install "edgebat\[physics\]"'):
        simulate_fleet(tmp_path / "none", SMALL, 1, quiet)
    assert not (tmp_path / "none").exists()
