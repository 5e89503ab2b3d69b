"""Early-life windows: discharge Q(V) in, cycle life and SOH curve out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from edgebat.data.qv import life_cells
from edgebat.errors import DataError
from edgebat.tasks.life.windows import LifeSpec, curve_life, cycle_life, life_windows, running_median, soh_curve
from tests.life_cells import NOMINAL_AH, SMALL, made_up_cell, made_up_windows


def test_a_window_holds_differences_to_the_base_cycle_as_fractions_of_nominal():
    windows = life_windows([made_up_cell(1, 500, columns=20)], SMALL)
    assert windows.x.shape == (1, 20, 20)
    assert windows.x.dtype == np.float32
    assert not windows.x[0, SMALL.base_cycle - 1].any()
    # Cycle 20 lies 15 cycles after the base: 15 * 20 / 500 * 0.02 Ah at the peak.
    peak = np.sin(np.linspace(0, np.pi, 20)).max()
    assert windows.x[0, 19].min() == pytest.approx(-15 * 20 / 500 * 0.02 * peak / NOMINAL_AH, rel=1e-4)
    assert windows.base[0, -1] == pytest.approx(1.0, abs=1e-6)


def test_differences_from_the_source_are_taken_as_they_are():
    windows = life_windows([made_up_cell(1, 500, differences=True, columns=20)], SMALL)
    assert np.isnan(windows.base).all()
    assert windows.x[0, 0].any()


def test_a_missing_cycle_is_interpolated():
    cell = made_up_cell(1, 500)
    whole = life_windows([cell], SMALL).x
    holed = cell.curves_ah.copy()
    holed[9] = np.nan
    filled = life_windows([dataclasses.replace(cell, curves_ah=holed)], SMALL).x
    np.testing.assert_allclose(filled, whole, atol=1e-6)


def test_labels_follow_the_capacities():
    windows = made_up_windows(3)
    np.testing.assert_array_equal(windows.life, [400, 490, 580])
    assert windows.curve[0, 0] == 1.0
    assert windows.curve[0, -1] == 0.0


def test_the_curve_and_its_life_are_inverse():
    spec = LifeSpec()
    cycle = np.arange(1, 1201)
    capacity = 1.1 * (1.0 - 0.3 * cycle / 1200)
    exact = 1 + np.interp(0.8, np.arange(1200)[::-1] * 0 + (capacity / capacity[0])[::-1], np.arange(1200)[::-1])
    assert curve_life(soh_curve(cycle, capacity, spec)[None], spec)[0] == pytest.approx(exact, abs=0.5)


def test_a_curve_that_never_falls_counts_its_whole_length():
    spec = LifeSpec()
    assert curve_life(np.ones((1, 256)), spec)[0] == 2560
    assert curve_life(np.zeros((1, 256)), spec)[0] == 1


@pytest.mark.parametrize(
    ("capacity", "life"),
    [
        ([1.0, 0.9, 0.79, 0.78, 0.77], 3),
        ([1.0, 0.79, 0.95, 0.94, 0.93], float("nan")),  # one bad row is not the end of life
        ([1.0, 0.9, 0.85, 0.83, 0.805], 6),  # stopped at its end of life
        ([1.0, 0.99, 0.98, 0.97, 0.96], float("nan")),  # censored
    ],
)
def test_cycle_life_is_confirmed_or_censored(capacity, life):
    assert cycle_life(np.arange(1, 6), np.array(capacity), 0.8) == pytest.approx(life, nan_ok=True)


def test_a_sparse_record_is_interpolated():
    assert cycle_life(np.array([1, 101, 201]), np.array([1.0, 0.9, 0.7]), 0.8) == 151


def test_published_lives_count_only_for_the_published_end_of_life():
    cell = dataclasses.replace(made_up_cell(1, 500), published_life=777.0)
    assert life_windows([cell], SMALL).life[0] == 777
    assert life_windows([cell], dataclasses.replace(SMALL, eol=0.9)).life[0] == 250


def test_the_running_median_equals_a_plain_loop():
    matrix = np.random.default_rng(1).normal(size=(13, 7))
    found = running_median(matrix, 4, 2)
    padded = np.pad(matrix, ((2, 1), (1, 0)), mode="symmetric")
    for i in range(13):
        for j in range(7):
            assert found[i, j] == np.sort(padded[i : i + 4, j : j + 2].ravel())[4]


def test_cells_without_a_window_are_counted():
    short = made_up_cell(1, 500, cycles=10)
    early = dataclasses.replace(made_up_cell(2, 500), cycle=np.arange(1, 19), capacity_ah=np.ones(18),
                                flagged=np.zeros(18, dtype=bool))  # fmt: skip
    windows = life_windows([short, early, made_up_cell(3, 500)], SMALL)
    assert len(windows) == 1
    assert sum(windows.left_out.values()) == 2
    with pytest.raises(DataError, match="discharge curves of fewer than 20 cycles"):
        life_windows([short], SMALL)


def test_a_student_may_read_the_charging_current_behind_its_curves():
    spec = dataclasses.replace(SMALL, seen_rows=2, seen_columns=5, seen_current=2)
    stairs = np.repeat([6.0, 2.0], 10)  # 6C up to half of the charge, 2C from there on
    windows = life_windows([dataclasses.replace(made_up_cell(1, 500, columns=20), charge_rate_c=stairs)], spec)
    plain = dataclasses.replace(windows, spec=dataclasses.replace(spec, seen_current=0))
    np.testing.assert_array_equal(windows.inputs()[:, :, :5], plain.inputs())
    np.testing.assert_array_equal(windows.inputs()[0, :, 5:], np.float32([[6e-3, 2e-3]] * 2))


def test_a_cell_whose_current_is_not_known_is_left_out_where_it_is_read():
    spec = dataclasses.replace(SMALL, seen_current=2)
    known = dataclasses.replace(made_up_cell(1, 500), charge_rate_c=np.full(101, 3.0))
    windows = life_windows([known, made_up_cell(2, 600)], spec)
    assert windows.cells == (known.key,)
    assert windows.left_out == {
        "cells whose charging current, which is to be read (task.seen_current), is not known": 1
    }
    with pytest.raises(DataError, match="charging current, which is to be read"):
        life_windows([made_up_cell(2, 600)], spec)


def test_select_by_split_and_cells():
    windows = made_up_windows(6)
    assert windows.select(split="test1").cells == (("MADE", "c00"), ("MADE", "c03"))
    assert windows.select(datasets=["OTHER"]).cells == ()
    with pytest.raises(DataError, match="1 cells have no window"):
        windows.select(cells=[("MADE", "c99")])


def test_a_spec_that_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="base_cycle"):
        LifeSpec(cycles=20, base_cycle=21)


def test_a_corpus_folder_is_read(tmp_path):
    cells = [made_up_cell(1, 500), made_up_cell(2, 600)]
    table = pd.DataFrame(
        {
            "dataset": ["MADE"] * 2, "cell_id": ["c01", "c02"], "chemistry": ["LFP/graphite"] * 2,
            "nominal_capacity_ah": [NOMINAL_AH] * 2, "published_cycle_life": [float("nan")] * 2, "split": ["train", ""],
        }
    )  # fmt: skip
    table.to_csv(tmp_path / "cells.csv", index=False)
    rows = [
        {"dataset": "MADE", "cell_id": c.key[1], "cycle": k, "discharge_capacity_ah": q, "rel_capacity": q / NOMINAL_AH,
         "outlier": False}
        for c in cells for k, q in zip(c.cycle, c.capacity_ah, strict=True)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "capacity.parquet")
    (tmp_path / "qv").mkdir()
    outlier = np.zeros((2, 120), dtype=bool)
    outlier[0, 7] = True
    np.savez(tmp_path / "qv" / "MADE.npz", q_ah=np.stack([c.curves_ah for c in cells]), outlier=outlier,
             cycles=cells[0].curve_cycle, cell_id=np.array(["c01", "c02"]))  # fmt: skip
    found = life_cells(tmp_path)
    assert [cell.key for cell in found] == [("MADE", "c01"), ("MADE", "c02")]
    assert [cell.split for cell in found] == ["train", ""]
    assert np.isnan(found[0].curves_ah[7]).all()
    np.testing.assert_allclose(life_windows(found, SMALL).x, life_windows(cells, SMALL).x, atol=1e-6)
    assert np.isnan(life_windows(found, SMALL).charge_rate_c).all()
    table.assign(charge_protocol=["2C(50%)-4C", float("nan")]).to_csv(tmp_path / "cells.csv", index=False)
    rate = life_windows(life_cells(tmp_path), SMALL).select(cells=[("MADE", "c01")]).charge_rate_c
    assert rate[0, [0, 9, 10, 15, 16, 19]] == pytest.approx([2.0, 2.0, 4.0, 4.0, 1.0, 1.0])
    assert np.isnan(life_windows(life_cells(tmp_path), SMALL).charge_rate_c[1]).all()
    with pytest.raises(DataError, match="no discharge curves of"):
        life_cells(tmp_path, ["OTHER"])
    # The tables say what the corpus is: shortened, they make a part of it.
    table[1:].to_csv(tmp_path / "cells.csv", index=False)
    assert [cell.key for cell in life_cells(tmp_path)] == [("MADE", "c02")]
    table[:0].to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(DataError, match="hold curves of no cell"):
        life_cells(tmp_path)
