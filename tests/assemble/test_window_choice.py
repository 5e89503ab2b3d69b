"""The voltage window that ``edgebat init`` proposes: the one that tells most of a cell nobody has learnt from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edgebat.assemble.coverage import windows_of
from edgebat.assemble.propose import propose_recipe
from edgebat.assemble.window_choice import ENOUGH, choose_window
from edgebat.cells import CellKey
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import ChargeCurves, Fleet
from edgebat.data.splits import split_windows
from edgebat.tasks.health import HealthSpec, health_windows

CORPUS = os.environ.get("EDGEBAT_CORPUS")
measured = pytest.mark.skipif(CORPUS is None, reason="EDGEBAT_CORPUS does not name a corpus folder")
NOMINAL_AH = 3.0
CYCLES = 50
GRID_V = np.linspace(3.6, 4.1, 51)


def fleet_of(telling_v: float, richest_v: float, cells: int = 12, rates: Sequence[float] = ()) -> Fleet:
    """Cells whose charge tells SOH between ``telling_v`` and 0.1 V above alone: of its halves one takes more and one less
    as the cell ages. Besides, each takes in each 0.05 V what is its own, most of all from ``richest_v``."""
    rng = np.random.default_rng(3)
    names = [f"cell{number:02d}" for number in range(cells)]
    rate = [rates[number % len(rates)] if rates else 0.0 for number in range(cells)]
    half = ((GRID_V[1:] - GRID_V[0] - 1e-9) / 0.05).astype(int)
    first, richest = (round((volts - GRID_V[0]) / 0.05) for volts in (telling_v, richest_v))
    soh, curves = [], []
    for number in range(cells):
        own = 1.0 + 0.2 * rng.standard_normal(half.max() + 1)
        own[first + 1] = own[first]
        own[[richest, richest + 1]] += 1.0
        faded = np.linspace(0.0, rng.uniform(0.1, 0.25), CYCLES)
        share = np.repeat(own[None], CYCLES, axis=0)
        share[:, first] += faded + 0.1 * rate[number]
        share[:, first + 1] -= faded + 0.1 * rate[number]
        steps = 0.01 * NOMINAL_AH * share[:, half]
        curves.append(np.hstack([np.zeros((CYCLES, 1)), np.cumsum(steps, axis=1)]))
        soh.append(1.0 - faded)
    table = pd.DataFrame({"dataset": "OWN", "cell_id": names, "nominal_capacity_ah": NOMINAL_AH})
    if rates:
        table["charge_protocol"] = [f"CC {each:g}C to 4.2 V" for each in rate]
    ids, cycle = np.repeat(names, CYCLES), np.tile(np.arange(1, CYCLES + 1), cells)
    rows = pd.DataFrame({"dataset": "OWN", "cell_id": ids, "cycle": cycle})
    rows["discharge_capacity_ah"] = NOMINAL_AH * np.concatenate(soh)
    dataset = np.full(len(ids), "OWN", dtype=object)
    charge = ChargeCurves(dataset, ids.astype(object), cycle, GRID_V, np.concatenate(curves).astype(np.float32))
    return Fleet(table, rows, charge, source="made up")


def held_out_cells(fleet: Fleet, start_v: float) -> set[CellKey]:
    """Those that the proposed recipe holds out."""
    windows = health_windows(fleet, HealthSpec(window_start_v=start_v, window_end_v=round(start_v + 0.1, 6)))
    return set(split_windows(windows, by="condition", test=0.25, val=0.15, seed=1).test)


@pytest.mark.parametrize("telling_v", [3.65, 3.7, 3.9])
def test_the_window_that_tells_soh_is_proposed_and_not_the_one_that_takes_most_charge(telling_v: float) -> None:
    fleet = fleet_of(telling_v, richest_v=3.8)
    assert max(windows_of(fleet), key=lambda w: w.taken).start_v == 3.8
    found = choose_window(fleet)
    assert found.window.start_v == telling_v
    errors = [rmse for _, rmse in found.ranked]
    assert errors == sorted(errors)
    assert errors[0] < 0.5 * errors[1]
    assert f"{telling_v:.2f}-{telling_v + 0.1:.2f} V: {errors[0]:.2f} points" in "\n".join(found.why)
    assert choose_window(fleet) == found


def test_cells_that_are_held_out_have_no_say() -> None:
    fleet = fleet_of(3.7, richest_v=3.8)
    tested = held_out_cells(fleet, 3.7)
    own = pd.Series(list(zip(fleet.cycles["dataset"], fleet.cycles["cell_id"], strict=True))).isin(tested).to_numpy()
    assert own.any()
    for rows, same in ((own, True), (~own, False)):
        cycles = fleet.cycles.copy()
        cycles.loc[rows, "discharge_capacity_ah"] *= np.linspace(1.0, 0.7, rows.sum())
        assert (choose_window(replace(fleet, cycles=cycles)).ranked == choose_window(fleet).ranked) is same


def test_the_rate_is_read_where_the_recipe_will_read_it() -> None:
    fleet = fleet_of(3.7, richest_v=3.8, rates=(0.5, 1.5))
    blind = replace(fleet, cells=fleet.cells.drop(columns=["condition"]).assign(charge_protocol="not stated"))
    reading, guessing = (dict(choose_window(of).ranked) for of in (fleet, blind))
    telling = next(window for window in reading if window.start_v == 3.7)
    assert reading[telling] < 0.5 * guessing[telling]


def test_a_window_that_too_few_charges_cover_is_not_ranked_and_one_that_enough_cover_is() -> None:
    fleet = fleet_of(3.65, richest_v=3.8)
    assert fleet.charge is not None
    for part in (0.1, 0.2):
        dq = fleet.charge.dq_ah.copy()
        dq[fleet.charge.cycle > CYCLES * (1.0 - part), :6] = np.nan  # a charge of an old cell begins at 3.66 V
        cut = replace(fleet, charge=replace(fleet.charge, dq_ah=dq))
        found = choose_window(cut)
        assert (found.window.start_v == 3.65) == (1.0 - part >= ENOUGH)
        assert any(window.start_v == 3.65 for window, _ in found.ranked) == (1.0 - part >= ENOUGH)
        if part == 0.1:
            # What its coverage costs, and what one that all cover would.
            assert "points; covered by 90% of the charges, 90% of the cell" in "\n".join(found.why)
            assert "points; covered by 100% of the charges" in "\n".join(found.why)


def test_with_too_few_cells_the_window_that_takes_most_charge_is_proposed_and_said_so() -> None:
    found = choose_window(fleet_of(3.65, richest_v=3.8, cells=4))
    assert found.window.start_v == 3.8
    assert not found.ranked
    assert "3 cells to learn from and tune on, 4 are needed" in "\n".join(found.why)


def simple_error(fleet: Fleet, start_v: float, keep: set[CellKey]) -> float:
    """RMSE, percentage points, of plain least squares on a charge's increments and rate through 0.5 mV of noise, each cell
    asked once: nothing of it is shared with what is tested."""
    rng = np.random.default_rng(5)
    x, y, of = [], [], []
    for number, history in enumerate(fleet.histories()):
        if history.key not in keep or not history.charge_cycle.size:
            continue
        levels = np.linspace(start_v, start_v + 0.1, 11) + rng.normal(0.0, 0.0005, (len(history.charge_cycle), 11))
        taken = [
            np.interp(at, history.charge_voltage_v, dq, left=np.nan)
            for at, dq in zip(levels, history.charge_dq_ah, strict=True)
        ]
        rows = np.diff(np.array(taken), axis=1) / history.nominal_ah
        soh = dict(
            zip(history.cycle.tolist(), history.capacity_ah / history.nominal_ah * ~history.flagged, strict=True)
        )
        label = np.array([soh.get(cycle, np.nan) for cycle in history.charge_cycle.tolist()])
        good = np.isfinite(rows).all(axis=1) & (label > 0.3)
        rate = np.full(good.sum(), history.condition.charge_rate_c or 0.0)
        x.append(np.column_stack([rows[good], rate, np.ones(good.sum())]))
        y.append(label[good])
        of.append(np.full(good.sum(), number))
    features, labels, cell = np.concatenate(x), np.concatenate(y), np.concatenate(of)
    off = np.zeros(len(labels))
    for number in np.unique(cell):
        own = cell == number
        weights = np.linalg.lstsq(features[~own], labels[~own], rcond=None)[0]
        off[own] = features[own] @ weights - labels[own]
    return float(100 * np.sqrt(np.square(off).mean()))


@measured
@pytest.mark.parametrize("dataset", ["TJU_NCA", "CALCE"])
def test_measured_cells_get_a_window_that_is_nearly_the_best(dataset: str) -> None:
    fleet = read_corpus(Path(str(CORPUS)), [dataset])
    found = choose_window(fleet)
    keep = set(fleet.keys) - held_out_cells(fleet, found.window.start_v)
    errors = {window.start_v: simple_error(fleet, window.start_v, keep) for window, _ in found.ranked}
    assert errors[found.window.start_v] <= 1.3 * min(errors.values()), errors
    richest = max((window for window, _ in found.ranked if window.covered > 0.95), key=lambda w: w.taken)
    assert errors[found.window.start_v] < 0.6 * errors[richest.start_v], errors


@measured
def test_a_recipe_is_the_same_twice_and_names_the_choice() -> None:
    texts = {propose_recipe(Path(str(CORPUS)), Path("my.yaml"), "health", ["CALCE"]) for _ in range(2)}
    assert len(texts) == 1
    (text,) = texts
    assert "  window_start_v: 3.85 #" in text
    assert "#   3.90-4.00 V: " in text
