"""What the tables of ``bench.any_window`` tell drawn histories apart by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.any_window import Seen, _flagged, refusers
from edgebat.data.synthetic import make_fleet
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthSpec, health_windows
from tests.any_window_model import any_window_graph


def test_histories_are_told_apart_by_charges_arrival_and_whether_the_newest_is_whole() -> None:
    spec = HealthSpec(windows="any", charge_rate=True, draws=3)
    windows = health_windows(make_fleet(3, 2, 40).histories(), spec)
    seen = Seen.of(windows)
    x = windows.inputs()
    for n in range(0, len(x), 7):
        rows = [(round(float(r[11]) * 1e6), round(float(r[10]) * 1000, 3)) for r in x[n] if r[10] > 0.0]
        assert seen.rows[n] == len(rows)
        assert seen.charges[n] == len({age for age, _ in rows})
        newest = [start for age, start in rows if age == 0]
        assert np.isclose(seen.arrival_v[n], newest[0])
        assert seen.whole[n] == (newest[-1] >= 4.0)
    assert 0.3 < (seen.charges == 1).mean() < 0.5
    assert 0.5 < seen.whole.mean() < 0.9


def test_every_rule_knows_the_training_cells_and_most_notice_rows_of_another_window() -> None:
    spec = HealthSpec(windows="any", charge_rate=True, draws=2)
    windows = health_windows(make_fleet(3, 4, 40).histories(), spec)
    graph = any_window_graph(spec)
    ground = measured_ground(graph, task("health"), windows, windows, GroundSettings())
    rules = refusers(replace(graph, meta={**graph.meta, "ground": ground}), windows, windows)
    x = windows.inputs()
    moved = x.copy()
    # What a charge takes from 3.60 V on is said to be from 4.05 V on, and so on.
    moved[..., 10] = np.where(x[..., 10] > 0.0, 7.65e-3 - x[..., 10], 0.0)
    far = (x[..., 10] > 0.0).any(axis=1) & (np.abs(x[:, -1, 10] - 3.825e-3) > 1.5e-4)
    assert {name: float(rule(x).mean()) for name, rule in rules.items()} == dict.fromkeys(
        rules, pytest.approx(0.02, abs=0.02)
    )
    assert {name: bool(rule(moved[far]).mean() > 0.5) for name, rule in rules.items()} == dict.fromkeys(rules, True)


def test_a_cell_of_the_table_says_what_is_flagged_what_passes_and_what_of_the_wrong_is_flagged() -> None:
    flagged = np.array([True, True, False, False])
    assert _flagged(flagged, np.array([9.0, 1.0, 4.0, 2.0])) == "50.0%, 3.0, 50.0%"
    assert _flagged(~flagged, np.array([1.0, 1.0, 1.0, 1.0])) == "50.0%, 1.0, -"
    assert _flagged(flagged | True, np.array([9.0, 1.0, 4.0, 2.0])) == "100.0%, -, 100.0%"
