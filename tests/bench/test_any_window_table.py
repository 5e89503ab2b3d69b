"""What the tables of ``bench.any_window`` tell drawn histories apart by."""

from __future__ import annotations

import numpy as np

from bench.any_window import Seen
from edgebat.data.synthetic import make_fleet
from edgebat.tasks.health import HealthSpec, health_windows


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
