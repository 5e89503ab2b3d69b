"""Cells that PyBaMM ages: small ones, of few cycles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.data.corpus import read_corpus
from edgebat.physics.cell import simulate_cell
from edgebat.physics.chemistries import CHEMISTRIES
from edgebat.physics.fleet import simulate_fleet
from edgebat.physics.settings import CellPlan, FleetSettings, plan_cells

pytest.importorskip("pybamm", reason="needs edgebat[physics]: PyBaMM")


def plan(chemistry: str = "NCA", rate_c: float = 0.5, temperature_degc: float = 25.0, cycles: int = 80) -> CellPlan:
    """A cell of few simulated cycles."""
    settings = FleetSettings(
        cells=1,
        cycles=cycles,
        chemistries=(chemistry,),
        rates_c=(rate_c,),
        temperatures_degc=(temperature_degc,),
        stride=20,
    )
    return plan_cells(settings)[0]


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_new_cell_delivers_about_what_it_should_and_fades(chemistry: str) -> None:
    life = simulate_cell(plan(chemistry))
    soh = life.capacity_ah / CHEMISTRIES[chemistry].nominal_ah
    assert life.cycle.tolist() == [20, 40, 60, 80]
    assert 0.88 < soh[0] < 1.05
    assert (np.diff(soh) < 0.0).all()
    assert 0.002 < soh[0] - soh[-1] < 0.15
    assert np.nanmax(life.charge_dq_ah[0]) > 0.5 * life.capacity_ah[0]


def test_each_mechanism_takes_capacity() -> None:
    cell = plan(cycles=40)
    still = replace(cell.ageing, sei=1e-6, plating=0.0, lam_negative=0.0, lam_positive=0.0, resistance=0.0)
    kept = simulate_cell(replace(cell, ageing=still)).capacity_ah
    assert kept[-1] == pytest.approx(kept[0], rel=1e-3)
    for mechanism, much in (("sei", 0.6), ("plating", 10.0), ("lam_negative", 3.0), ("lam_positive", 0.9)):
        faded = simulate_cell(replace(cell, ageing=replace(still, **{mechanism: much}))).capacity_ah
        assert faded[-1] < kept[-1] - 0.001 * kept[0], mechanism


def test_a_faster_charge_reaches_the_highest_voltage_with_less_in_the_cell() -> None:
    charge = []
    for rate in (0.25, 1.0):
        life = simulate_cell(plan(rate_c=rate, cycles=40))
        charge.append(float(np.nanmax(life.charge_dq_ah[0])))
    assert charge[1] < 0.95 * charge[0]


def test_two_calls_write_the_same_bytes_whoever_works(tmp_path: Path) -> None:
    settings = FleetSettings(cells=2, cycles=40, chemistries=("NMC", "LFP"), rates_c=(0.5,), stride=20)
    shown: list[tuple[str, int, int]] = []
    for name, jobs in (("one", 1), ("two", 2)):
        simulate_fleet(tmp_path / name, settings, jobs, lambda *progress: shown.append(progress))
    assert sorted((done, total) for _, done, total in shown) == [(1, 2), (1, 2), (2, 2), (2, 2)]
    assert {name for name, _, _ in shown} == {"NMC-0001", "LFP-0002"}
    for file in ("cells.csv", "capacity.parquet", "segments/SIM-NMC-NMC-0001.npz", "qv/SIM_LFP.npz", "simulated.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert len(read_corpus(tmp_path / "one").keys) == 2
