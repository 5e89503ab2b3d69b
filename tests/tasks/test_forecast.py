"""Forecast windows: what enters a context, what counts as a target, and what never does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from edgebat.cells import CapacityHistory
from edgebat.data.fleet import Fleet
from edgebat.errors import DataError
from edgebat.tasks.forecast.descriptors import DESCRIPTORS, charge_descriptors, match_cycles, window_descriptors
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import cycles_to_eol, eol_scores
from edgebat.tasks.forecast.windows import ForecastSpec, capacity_histories, forecast_windows

SPEC = ForecastSpec(context=16, horizon=8, min_rows=4, min_history=6, min_targets=2, stride=3)


def cell(name: str, cycles: np.ndarray, capacity: np.ndarray) -> CapacityHistory:
    return CapacityHistory(("LAB", name), "LFP", "LAB", 2.0, cycles.astype(np.int64), capacity.astype(np.float64))


def counting(name: str, start: int, length: int) -> CapacityHistory:
    """A cell whose capacity is its cycle number, so that every value says where it came from."""
    cycles = np.arange(start, start + length)
    return cell(name, cycles, cycles)


def test_a_window_holds_the_cycles_before_and_after_its_origin() -> None:
    windows = forecast_windows([counting("a", 1, 40)], SPEC)
    assert windows.cycle.tolist() == list(range(7, 33, 3))
    last = np.flatnonzero(windows.cycle == 31)[0]
    assert windows.x[last].tolist() == list(range(16, 32))
    assert windows.y[last].tolist() == list(range(32, 40))
    first = windows.x[0]
    assert np.isnan(first[:9]).all()
    assert first[9:].tolist() == list(range(1, 8))


def test_windows_never_cross_cells() -> None:
    windows = forecast_windows([counting("a", 1, 40), counting("b", 1001, 40)], SPEC)
    for index in range(len(windows)):
        low = 1 if windows.cells[windows.cell[index]][1] == "a" else 1001
        values = np.concatenate([windows.x[index], windows.y[index]])
        values = values[np.isfinite(values)]
        assert values.min() >= low
        assert values.max() < low + 40


def test_only_measured_rows_enter() -> None:
    cycles = np.arange(1, 61)
    kinds = np.where(cycles % 5 == 1, "rpt", "interpolated")
    capacity_ah = 2.0 - 0.01 * cycles
    table = pd.DataFrame({"dataset": "LAB", "cell_id": "a", "cycle": cycles, "discharge_capacity_ah": capacity_ah,
                          "label_kind": kinds, "outlier": cycles == 11})  # fmt: skip
    cells = pd.DataFrame({"dataset": ["LAB"], "cell_id": ["a"], "nominal_capacity_ah": [2.0], "chemistry": ["LFP"]})
    (history,) = capacity_histories(Fleet(cells, table))
    assert history.cycle.tolist() == [1, 6, *range(16, 61, 5)]
    assert history.capacity == pytest.approx(1.0 - 0.005 * history.cycle)
    windows = forecast_windows([history], replace(SPEC, min_rows=3, min_targets=1))
    assert set(windows.cycle.tolist()) <= set(history.cycle.tolist())
    assert np.isfinite(windows.x).sum(axis=1).max() <= 4


def test_a_cell_without_nominal_capacity_is_scaled_by_its_first_rows() -> None:
    table = pd.DataFrame({"dataset": "LAB", "cell_id": "a", "cycle": range(1, 9),
                          "discharge_capacity_ah": [2.0, 2.2, 2.1, 1.9, 2.1, 1.0, 1.0, 1.0]})  # fmt: skip
    (history,) = capacity_histories(Fleet(pd.DataFrame({"dataset": ["LAB"], "cell_id": ["a"]}), table))
    assert history.nominal_ah == 2.1


def test_what_lies_before_a_large_gap_is_cut_off() -> None:
    cycles = np.r_[1:20, 60:90]
    windows = forecast_windows([cell("a", cycles, cycles)], replace(SPEC, context=64, max_gap=24))
    after = windows.x[windows.cycle >= 60]
    assert len(after)
    assert np.nanmin(after) == 60


def test_the_end_of_the_horizon_must_have_been_watched_unless_asked_otherwise() -> None:
    history = counting("a", 1, 20)
    assert forecast_windows([history], SPEC).cycle.max() == 10
    partial = forecast_windows([history], replace(SPEC, whole_horizon=False))
    assert partial.cycle.max() == 16
    assert np.isfinite(partial.y[-1]).sum() == 4


def test_select_renumbers_cells() -> None:
    windows = forecast_windows([counting("a", 1, 40), counting("b", 1001, 40)], SPEC)
    of_b = windows.select(windows.cell == 1)
    assert of_b.cells == (("LAB", "b"),)
    assert (of_b.cell == 0).all()
    assert (of_b.x[np.isfinite(of_b.x)] >= 1001).all()
    with pytest.raises(DataError, match="mask has shape"):
        windows.select(np.ones(3, dtype=bool))


def test_joined_windows_keep_their_cells() -> None:
    spec = ForecastSpec(context=20, horizon=5, min_history=8)
    first = forecast_windows([counting("a", 1, 60)], spec)
    second = forecast_windows([counting("b", 1, 80), counting("c", 1, 40)], spec)
    both = first.join(second)
    assert [name for _, name in both.cells] == ["a", "b", "c"]
    assert len(both) == len(first) + len(second)
    for index in range(3):
        own = first if index == 0 else second
        np.testing.assert_array_equal(both.x[both.cell == index], own.x[own.cell == max(0, index - 1)])
    with pytest.raises(DataError, match=r"context=20, horizon=5.*context=20, horizon=6"):
        first.join(forecast_windows([counting("d", 1, 60)], replace(spec, horizon=6)))


def test_cycles_must_ascend() -> None:
    with pytest.raises(DataError, match="must ascend"):
        forecast_windows([cell("a", np.array([1, 3, 2]), np.ones(3))], SPEC)


def test_spec_round_trip_and_refusals() -> None:
    assert ForecastSpec.from_dict(SPEC.to_dict()) == SPEC
    with pytest.raises(DataError, match="horizont"):
        ForecastSpec.from_dict({"horizont": 3})
    with pytest.raises(DataError, match="min_history < context"):
        ForecastSpec(context=16, min_history=16)


def test_made_up_curves_fade_and_repeat() -> None:
    first, again = fade_curves(40, seed=3), fade_curves(40, seed=3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.capacity, other.capacity)
        assert np.isfinite(one.capacity).all()
    fades = [np.mean(h.capacity[:5]) - np.mean(h.capacity[-5:]) for h in first]
    assert np.mean(np.array(fades) > 0.02) > 0.9
    assert not np.array_equal(fade_curves(1, seed=4)[0].capacity, first[0].capacity)


def test_descriptors_of_a_charge_at_constant_current_then_voltage() -> None:
    # One hour at 0.5 C from 3.0 to 4.2 V in a straight line, then 1000 s at 4.2 V with a current falling to 0.05 C.
    time = np.arange(0.0, 4601.0, 10.0)
    voltage = np.minimum(3.0 + 1.2 * time / 3600.0, 4.2)
    current = np.where(time <= 3600.0, 0.5, 0.5 - 0.45 * (time - 3600.0) / 1000.0)
    found = dict(zip(DESCRIPTORS, charge_descriptors(time, voltage, current), strict=True))
    assert np.expm1(found["charge_log_s"]) == pytest.approx(4600.0)
    assert np.expm1(found["cc_log_s"]) == pytest.approx(3600.0, abs=80.0)
    assert np.expm1(found["cv_log_s"]) == pytest.approx(1000.0, abs=80.0)
    assert found["charge_mean_v"] == pytest.approx((3.6 * 3600 + 4.2 * 1000) / 4600, abs=1e-3)
    assert found["charge_mean_c"] == pytest.approx((0.5 * 3600 + 0.275 * 1000) / 4600, abs=1e-3)
    assert found["charge_skewness_v"] < 0.0
    assert np.isnan(found["discharge_mean_v"])


def test_a_charge_at_constant_current_alone_has_no_cv_part() -> None:
    time = np.linspace(0.0, 3600.0, 100)
    found = charge_descriptors(time, 3.0 + time / 3600.0, np.full(100, 1.0))
    assert np.expm1(found[DESCRIPTORS.index("cv_log_s")]) == pytest.approx(0.0, abs=40.0)
    assert found[DESCRIPTORS.index("charge_std_v")] == pytest.approx(1.0 / np.sqrt(12.0), abs=1e-3)
    assert found[DESCRIPTORS.index("charge_skewness_v")] == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(DataError, match="ascending time"):
        charge_descriptors(time[::-1], time, time)


def test_rows_find_their_cycles_by_capacity() -> None:
    capacities, cycles = np.array([2.0, 1.9, 1.8, 1.7, 1.6]), np.array([1, 2, 4, 5, 6])
    assert match_cycles(np.array([1.9, 1.75, 1.7]), capacities, cycles).tolist() == [2, -1, 5]


def test_window_descriptors_average_the_last_cycles_and_know_what_is_missing() -> None:
    windows = forecast_windows([counting("a", 1, 40), counting("b", 1, 40)], SPEC)
    values = np.full((40, 10), np.nan)
    values[:, 0] = np.arange(1, 41)
    found = window_descriptors(windows, {("LAB", "a"): (np.arange(1, 41), values)}, cycles=4)
    of_a = found[windows.cell == 0, 0]
    # The mean over the last 4 cycles is the origin less 1.5; scaling by median and quartiles keeps the spacing.
    origins = windows.cycle[windows.cell == 0]
    spread = np.subtract(*np.percentile(origins, (75, 25)))
    np.testing.assert_allclose(of_a, (origins - np.median(origins)) / spread, rtol=1e-5)
    assert np.isnan(found[windows.cell == 1]).all()
    assert np.isnan(found[:, 1:]).all()


def test_end_of_life_is_the_first_cycle_below_it():
    fall = np.array([0.81, 0.80, 0.79, 0.78])
    curves = np.stack([fall, fall + 0.02, fall[::-1], np.linspace(0.8004, 0.8, 4)])
    np.testing.assert_array_equal(cycles_to_eol(curves, 0.8), [3, np.nan, 1, np.nan])


def test_ends_of_life_that_are_missed_are_counted_apart_from_those_found_too_soon():
    nan = np.nan
    measured = np.array([10, 40, 90, 200, nan, 0], np.float64)
    predicted = np.array([14, nan, 80, 60, 50, 1], np.float64)
    scores = eol_scores(predicted, measured, horizon=96)
    assert scores["eol_missed_pct"] == pytest.approx(100 / 3), "one of the three that end within 96 cycles"
    assert scores["eol_mae_cycles"] == pytest.approx((4 + 10 + 140) / 3), "the end after 200 cycles was said for 60"
    nothing = eol_scores(predicted[4:], measured[4:], horizon=96)
    assert nothing == {"eol_missed_pct": None, "eol_mae_cycles": None}
