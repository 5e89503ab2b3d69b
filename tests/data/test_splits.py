"""Splits go by cell, are the same every time, and a leak is an error, not a warning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from edgebat.cells import CellKey, Condition
from edgebat.data.fleet import Fleet
from edgebat.data.splits import Split, check_no_leak, split_windows
from edgebat.data.synthetic import make_fleet
from edgebat.errors import DataError


def fleet_of(**cells_per_condition: int) -> Fleet:
    """Cells named by their number; keyword "A_25" means dataset A at 25 degC. Every capacity curve is different."""
    rows = [
        {
            "dataset": name.split("_")[0],
            "cell_id": f"{name.split('_')[1]}-{i}",
            "chemistry": {"A": "NMC", "B": "LFP"}[name[0]],
            "temperature_c": float(name.split("_")[1]),
            "charge_protocol": "1C",
            "split": ("train", "train", "test1", "test2")[i % 4],
        }
        for name, count in cells_per_condition.items()
        for i in range(count)
    ]
    cycles = [
        {"dataset": r["dataset"], "cell_id": r["cell_id"], "cycle": c, "discharge_capacity_ah": 1.0 - 0.001 * n * c}
        for n, r in enumerate(rows)
        for c in (1, 2, 3)
    ]
    return Fleet(pd.DataFrame(rows), pd.DataFrame(cycles))


@dataclass(frozen=True)
class Cells:
    """What a split asks of windows: each cell's key, condition and published part."""

    cells: tuple[CellKey, ...]
    conditions: tuple[Condition, ...]
    published: tuple[str, ...]


def cells_of(fleet: Fleet) -> Cells:
    histories = list(fleet.histories())
    part = dict(zip(fleet.keys, fleet.cells["split"], strict=True))
    return Cells(
        tuple(h.key for h in histories), tuple(h.condition for h in histories), tuple(part[h.key] for h in histories)
    )


def by_condition(fleet: Fleet, seed: int = 0, val: float = 0.15, test: float = 0.2) -> Split:
    return split_windows(cells_of(fleet), by="condition", seed=seed, val=val, test=test)


def test_every_condition_is_tested():
    fleet = fleet_of(A_25=10, A_45=3, B_25=4)
    split = by_condition(fleet, seed=0, val=0.2, test=0.2)
    conditions = dict(zip(fleet.keys, fleet.cells["condition"], strict=True))
    assert {conditions[k] for k in split.test} == {conditions[k] for k in split.val} == set(conditions.values())
    assert {conditions[k] for k in split.train} == set(conditions.values())
    assert (len(split.train), len(split.val), len(split.test)) == (6 + 1 + 2, 2 + 1 + 1, 2 + 1 + 1)
    assert split.cells == fleet.keys


def test_the_same_seed_gives_the_same_split_whatever_else_is_there():
    alone = by_condition(fleet_of(A_25=10), seed=3)
    together = by_condition(fleet_of(A_25=10, B_25=10), seed=3)
    assert alone.test == tuple(k for k in together.test if k[0] == "A")
    assert alone.hash == by_condition(fleet_of(A_25=10), seed=3).hash
    assert alone.hash != by_condition(fleet_of(A_25=10), seed=4).hash


def test_small_conditions_are_pooled_by_dataset():
    fleet = fleet_of(A_15=1, A_25=2, A_35=1, B_25=2)
    split = by_condition(fleet, seed=0)
    assert [len(part) for part in (split.train, split.val, split.test)] == [2 + 2, 1, 1]
    assert {k[0] for k in split.test + split.val} == {"A"}, "two cells of B are too few to test on"
    with pytest.raises(DataError, match=r"val part .* is empty"):
        by_condition(fleet_of(A_25=2, B_25=2))


def test_published_split_takes_validation_out_of_train():
    split = split_windows(cells_of(fleet_of(A_25=8)), by="published", seed=0, val=0.25, test=0.0)
    assert split.test == (("A", "25-2"), ("A", "25-6"))
    assert (len(split.train), len(split.val)) == (3, 1)
    with pytest.raises(DataError, match=r"0 as 'test1'; there is \['train'\]"):
        split_windows(cells_of(fleet_of(A_25=2)), by="published", seed=0, val=0.25, test=0.0)


def test_leave_a_dataset_out():
    cells = cells_of(fleet_of(A_25=5, B_25=3))
    split = split_windows(cells, by="dataset", hold_out=["B"], seed=0, val=0.2, test=0.0)
    assert {k[0] for k in split.test} == {"B"}
    assert (len(split.train), len(split.val), len(split.test)) == (4, 1, 3)
    with pytest.raises(DataError, match=r"choose from \['A', 'B'\]"):
        split_windows(cells, by="dataset", hold_out=["C"], seed=0, val=0.2, test=0.0)


def test_cells_of_known_data_sets_are_tested_beside_those_left_out():
    cells = cells_of(fleet_of(A_25=10, A_35=10, B_25=3))
    split = split_windows(cells, by="dataset", hold_out=["B"], known_test=0.2, seed=0, val=0.25, test=0.0)
    assert sorted(name for name, _ in split.test) == ["A"] * 4 + ["B"] * 3
    assert (len(split.train), len(split.val)) == (12, 4)
    alone = split_windows(cells, by="dataset", hold_out=["B"], seed=0, val=0.25, test=0.0)
    assert set(split.train) | set(split.val) < set(alone.train) | set(alone.val)


def test_a_cell_in_two_parts_is_a_leak():
    a, b, c = ("A", "1"), ("A", "2"), ("A", "3")
    with pytest.raises(DataError, match=r"leak: cell \('A', '1'\) is in train and in test"):
        Split((a, b), (c,), (a,), "by hand")
    # The same cell_id in another dataset is another cell.
    split = Split((a,), (b,), (("B", "1"),), "by hand")
    check_no_leak(split, window_cells=[a, b])
    with pytest.raises(DataError, match="leak: 1 cells have windows but no part"):
        check_no_leak(split, window_cells=[a, b, c])


def test_one_cell_under_two_names_is_a_leak():
    fleet = fleet_of(A_25=3, B_25=3)
    split = Split(fleet.keys[:2], fleet.keys[2:3], fleet.keys[3:], "by hand")
    check_no_leak(split, fleet.keys, fleet)
    twin = fleet.cycles.copy()
    is_last = (twin["dataset"] == "B") & (twin["cell_id"] == "25-2")
    is_first = (twin["dataset"] == "A") & (twin["cell_id"] == "25-0")
    twin.loc[is_last, "discharge_capacity_ah"] = twin.loc[is_first, "discharge_capacity_ah"].to_numpy()
    with pytest.raises(DataError, match="same capacity curve: one cell under two names"):
        check_no_leak(split, fleet.keys, Fleet(fleet.cells, twin))


def test_no_part_of_the_synthetic_fleet_leaks():
    fleet = make_fleet(seed=1, cells=24, max_cycles=40)
    split = by_condition(fleet)
    check_no_leak(split, fleet.keys, fleet)
    assert np.all([len(part) >= 3 for part in (split.train, split.val, split.test)])
