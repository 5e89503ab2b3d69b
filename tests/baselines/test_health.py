"""Baselines and scores, compared with numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest

from edgebat.baselines.health import BASELINES, QUICK, known_rows, stored_values
from edgebat.cells import join_seen, pack_cells, seen_cells
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows

score = task("health").score


def parts(windows: HealthWindows) -> tuple[HealthWindows, HealthWindows, HealthWindows]:
    return tuple(windows.select(cells=[windows.cells[i] for i in cells]) for cells in ((0, 3), (1,), (2,)))  # type: ignore[return-value]


@pytest.mark.parametrize("name", QUICK)
def test_every_baseline_answers_every_window(windows: HealthWindows, name: str) -> None:
    train, val, test = parts(windows)
    answer = BASELINES[name](train, val, test)
    assert answer["soh"].shape == (len(test),)
    assert answer["trajectory"].shape == (len(test), windows.spec.horizon)
    assert answer["rul"].shape == (len(test),)
    assert all(np.isfinite(values).all() for values in answer.values())


def test_the_mean_is_the_mean(windows: HealthWindows) -> None:
    train, val, test = parts(windows)
    answer = BASELINES["mean"](train, val, test)
    assert answer["soh"] == pytest.approx(np.full(len(test), train.soh.mean()))
    assert answer["rul"][0] == pytest.approx(np.nanmean(train.rul))
    assert answer["trajectory"][0] == pytest.approx(np.nanmean(train.trajectory, axis=0))
    short = train.trajectory.copy()
    short[:, -2:] = np.nan
    answer = BASELINES["mean"](dataclasses.replace(train, trajectory=short), val, test)
    assert answer["trajectory"][0, -2:] == pytest.approx(answer["soh"][:2])


def test_ridge_finds_a_linear_rule(windows: HealthWindows) -> None:
    # In these windows SOH is ten times the increment, up to noise of a thousandth.
    train, val, test = parts(windows)
    assert BASELINES["ridge"](train, val, test)["soh"] == pytest.approx(test.soh, abs=0.002)


def test_trajectories_that_nobody_measured_to_the_end_are_held() -> None:
    y = np.array([[1.0, 0.9, np.nan], [np.nan, 0.8, 0.7], [0.6, np.nan, np.nan]])
    rows, values = known_rows(y)
    assert rows.tolist() == [0, 2]
    assert values.tolist() == [[1.0, 0.9, 0.9], [0.6, 0.6, 0.6]]
    rows, values = known_rows(np.vstack([y, [[0.5, 0.4, 0.3]]]))
    assert (rows.tolist(), values.tolist()) == ([3], [[0.5, 0.4, 0.3]])
    assert known_rows(np.full((2, 1), np.nan))[0].size == 0


def test_the_nearest_neighbour_of_a_training_window_is_itself(windows: HealthWindows) -> None:
    train, val, _ = parts(windows)
    assert BASELINES["nearest"](train, val, train)["soh"] == pytest.approx(train.soh)


def test_what_a_baseline_keeps(windows: HealthWindows) -> None:
    # 3 cycles of 4 increments in; SOH, 10 cycles ahead and RUL out.
    assert stored_values("mean", windows) == 12
    assert stored_values("ridge", windows) == 13 * 12
    assert stored_values("nearest", windows) == 40 * 24


def test_scores_by_hand(windows: HealthWindows) -> None:
    exact = {"soh": windows.soh, "trajectory": windows.trajectory, "rul": windows.rul}
    found = score(windows, exact)
    assert found.pop("windows") == len(windows)
    assert set(found.values()) == {0.0}
    shifted = {
        "soh": windows.soh + np.where(windows.cell == 0, 0.02, 0.0),
        "trajectory": windows.trajectory - 0.01,
        "rul": windows.rul + 5,
    }
    found = score(windows, shifted)
    # A quarter of the windows is 2 points off: sqrt(0.25 * 2^2) = 1.
    assert found["soh_rmse_pct"] == pytest.approx(1.0, abs=1e-4)
    assert found["soh_mae_pct"] == pytest.approx(0.5, abs=1e-4)
    assert found["soh_max_pct"] == pytest.approx(2.0, abs=1e-4)
    assert found["trajectory_rmse_pct"] == pytest.approx(1.0, abs=1e-4)
    assert found["rul_rmse_cycles"] == found["rul_mae_cycles"] == pytest.approx(5.0)


def test_rul_is_scored_before_eol_and_on_observed_lives_only(windows: HealthWindows) -> None:
    answer = {"soh": windows.soh, "trajectory": windows.trajectory, "rul": windows.rul.copy()}
    answer["rul"][windows.rul == 0] = 1000.0
    answer["rul"][windows.cell == 3] = 1000.0
    assert score(windows, answer)["rul_rmse_cycles"] == 0.0
    censored = windows.select(windows.cell == 3)
    exact = {"soh": censored.soh, "trajectory": censored.trajectory, "rul": censored.rul}
    assert score(censored, exact)["rul_rmse_cycles"] is None


def test_a_model_knows_the_cells_it_has_seen() -> None:
    seen = [("A", "1"), ("A", "2"), ("B", "1")]
    packed = pack_cells(seen)
    assert pack_cells(reversed(seen)) == packed == pack_cells([*seen, *seen])
    assert len(packed) == 16
    assert seen_cells(packed, [("A", "1"), ("B", "2"), ("B", "1")]) == [True, False, True]
    assert seen_cells("", [("A", "1")]) == [False]
    assert join_seen(packed, pack_cells([("B", "1"), ("B", "2")]), "") == pack_cells([*seen, ("B", "2")])
