"""The synthetic fleet: same bytes for the same seed, plausible cells, and a task that is neither trivial nor hopeless."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.data.readers import check_sign
from edgebat.data.splits import split_windows
from edgebat.data.synthetic import make_fleet, make_raw_cell
from edgebat.errors import DataError
from edgebat.tasks.health import HealthSpec, charge_increments, health_windows, increments_from_curve


@pytest.fixture(scope="module")
def fleet():
    return make_fleet(seed=0)


def test_same_seed_same_bytes(fleet):
    assert make_fleet(seed=0).fingerprint == fleet.fingerprint
    assert make_fleet(seed=1).fingerprint != fleet.fingerprint


def test_a_cell_does_not_depend_on_the_others(fleet):
    small = make_fleet(seed=0, cells=2)
    assert small.fingerprint == fleet.select(cells=small.keys).fingerprint


def test_says_that_it_is_synthetic(fleet):
    assert fleet.synthetic
    assert set(fleet.cells["quality"]) == {"synthetic"}
    assert set(fleet.cells["dataset"]) == {"SYN_LFP", "SYN_NCA", "SYN_NMC"}


def test_cells_age_like_cells(fleet):
    for history in fleet.histories():
        relative = history.capacity_ah[~history.flagged] / history.nominal_ah
        assert 0.97 < relative[:5].mean() < 1.03, "a new cell has its nominal capacity"
        assert relative[-1] < relative[0] - 0.05
        assert 150 <= history.cycle.size <= 600
    grid, dq = history.charge_voltage_v, history.charge_dq_ah
    covered = np.isfinite(dq[0])
    assert (np.diff(dq[0, covered]) >= 0.0).all()
    assert dq[0, covered][-1] < 1.05 * history.nominal_ah
    assert grid[covered][0] < 3.6


def test_increments_carry_soh_but_not_linearly(fleet):
    windows = health_windows(fleet)
    split = split_windows(windows, by="condition", seed=0, val=0.15, test=0.2)
    train, test = windows.select(cells=split.train), windows.select(cells=split.test)

    def ridge_error(train, test):
        flat = [np.c_[w.x.reshape(len(w), -1) / 0.01, np.ones(len(w))].astype(float) for w in (train, test)]
        weights = np.linalg.solve(flat[0].T @ flat[0] + 0.1 * np.eye(101), flat[0].T @ train.soh)
        return np.sqrt(np.mean((flat[1] @ weights - test.soh) ** 2))

    linear = ridge_error(train, test)
    assert 0.01 < linear < 0.5 * test.soh.std(), "informative, and room for a better model"
    one_chemistry = [w.select(cells=[k for k in w.cells if k[0] == "SYN_NCA"]) for w in (train, test)]
    assert ridge_error(*one_chemistry) < 0.5 * linear, "what a line cannot do is tell the chemistries apart"


def test_raw_samples_and_charge_curves_are_of_the_same_cell(fleet):
    """Two ways to the same increments: counting logged samples, and reading the curve."""
    spec = HealthSpec()
    cell = make_raw_cell(seed=0, index=0, cycles=[1, 50, 300], period_s=1.0, noise_v=0.0)
    check_sign(cell)
    history = next(h for h in fleet.histories() if h.key[1] == cell.cell_id)
    curves = increments_from_curve(history.charge_voltage_v, history.charge_dq_ah, history.nominal_ah, spec)
    for number, rows in cell.cycles():
        samples = cell.time_s[rows], cell.voltage_v[rows], cell.current_a[rows]
        counted, status = charge_increments(*samples, history.nominal_ah, spec)
        assert status == "ok"
        # The curves carry 0.15 mV of noise per crossing, 2 % of a 10 mV step.
        assert counted == pytest.approx(curves[history.charge_cycle == number][0], rel=0.08)


def test_refuses_nonsense():
    with pytest.raises(DataError, match="cells=0"):
        make_fleet(cells=0)
    with pytest.raises(DataError, match="allowed: cycles 1-600"):
        make_raw_cell(cycles=[601])


def test_a_charge_ends_where_the_anode_is_full_below_the_highest_voltage() -> None:
    cell = make_raw_cell(seed=5, index=6, cycles=[289], period_s=60.0, noise_v=0.0)
    assert 4.1 < cell.voltage_v.max() < 4.2
    charged = float(np.sum(np.maximum(cell.current_a, 0.0)) * 60.0 / 3600.0)
    assert 0.5 < charged / cell.nominal_ah < 1.0
    assert cell.time_s.size < 1000
