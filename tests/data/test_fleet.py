"""A Fleet refuses tables that would give wrong windows, and knows its content by a fingerprint."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edgebat.data.fleet import ChargeCurves, Fleet
from edgebat.errors import DataError


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    cells = pd.DataFrame(
        {
            "dataset": ["B", "A", "A"],
            "cell_id": ["1", "2", "1"],
            "chemistry": ["LFP/graphite", "NMC/graphite", "NMC/graphite"],
            "nominal_capacity_ah": [1.0, 2.0, 2.0],
            "temperature_c": [25.0, 45.0, np.nan],
            "charge_protocol": ["1C", "0.5C", None],
            "quality": ["A", "B", "A"],
        }
    )
    cycles = pd.DataFrame(
        {
            "dataset": ["A", "A", "B", "A"],
            "cell_id": ["1", "1", "1", "2"],
            "cycle": [2, 1, 1, 1],
            "discharge_capacity_ah": [1.9, 2.0, 1.0, np.nan],
        }
    )
    return cells, cycles


def curves(**changes) -> ChargeCurves:
    values = {
        "dataset": np.array(["B", "A"], dtype=object),
        "cell_id": np.array(["1", "1"], dtype=object),
        "cycle": np.array([1, 1]),
        "voltage_v": np.array([3.5, 3.6, 3.7]),
        "dq_ah": np.array([[0.0, 0.1, 0.2], [0.0, 0.2, 0.4]]),
    }
    return ChargeCurves(**(values | changes))


def test_sorts_and_fills_what_the_source_does_not_state():
    cells, cycles = tables()
    fleet = Fleet(cells, cycles, curves())
    assert fleet.keys == (("A", "1"), ("A", "2"), ("B", "1"))
    assert list(fleet.cells["condition"]) == [
        "A, temperature not stated, not stated",
        "A, 45 degC, 0.5C",
        "B, 25 degC, 1C",
    ]
    assert list(fleet.cycles["cycle"]) == [1, 2, 1, 1]
    assert not fleet.cycles["outlier"].any()
    assert list(fleet.charge.dataset) == ["A", "B"]
    histories = {h.key: h for h in fleet.histories()}
    assert list(histories["A", "1"].capacity_ah) == [2.0, 1.9]
    assert histories["A", "1"].charge_dq_ah == pytest.approx(np.array([[0.0, 0.2, 0.4]]))
    assert histories["A", "2"].charge_cycle.size == 0


def test_fingerprint_follows_the_content_not_the_order():
    cells, cycles = tables()
    fleet = Fleet(cells, cycles, curves(), source="one file")
    assert Fleet(cells[::-1], cycles[::-1], curves(), source="another").fingerprint == fleet.fingerprint
    changed = cycles.assign(discharge_capacity_ah=[1.9, 2.0, 1.0001, np.nan])
    assert Fleet(cells, changed, curves()).fingerprint != fleet.fingerprint
    assert Fleet(cells, cycles).fingerprint != fleet.fingerprint


def test_select():
    cells, cycles = tables()
    fleet = Fleet(cells, cycles, curves(), notes=("one curve left out",))
    assert fleet.select(datasets=["A"], quality=["A"]).keys == (("A", "1"),)
    lfp = fleet.select(chemistry="LFP")
    assert (lfp.keys, len(lfp.cycles), len(lfp.charge), lfp.notes) == ((("B", "1"),), 1, 1, fleet.notes)
    assert fleet.select(cells=[("A", "2")]).charge is None
    with pytest.raises(DataError, match=r"no cell .*datasets: \['A', 'B'\]"):
        fleet.select(datasets=["C"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells, cycles: (cells.drop(columns="cell_id"), cycles), r"cells lacks \['cell_id'\]"),
        (lambda cells, cycles: (cells, cycles.drop(columns="cycle")), r"cycles lacks \['cycle'\]"),
        (lambda cells, cycles: (cells.assign(cell_id=["1", None, "1"]), cycles), "cell_id.*row 1 has no value"),
        (lambda cells, cycles: (pd.concat([cells, cells[:1]]), cycles), r"listed twice, first \('B', '1'\)"),
        (lambda cells, cycles: (cells.assign(nominal_capacity_ah=[1.0, -2.0, 2.0]), cycles), "-2.0 Ah"),
        (lambda cells, cycles: (cells, cycles.assign(cycle=[1, 1, 1, 1])), "cycle 1 of cell 1 of A is there twice"),
        (lambda cells, cycles: (cells, cycles.assign(cycle=[2, np.nan, 1, 1])), "row 1 has no value"),
        (lambda cells, cycles: (cells, cycles.assign(cycle=[2, 1.5, 1, 1])), "seen 1.5"),
        (lambda cells, cycles: (cells, cycles.assign(discharge_capacity_ah=[1.0, -0.1, 1, 1])), "-0.1 Ah"),
        (lambda cells, cycles: (cells, cycles.assign(discharge_capacity_ah="much")), "discharge_capacity_ah"),
        (lambda cells, cycles: (cells[1:], cycles), "cells not listed, first 1 of B"),
        (lambda cells, cycles: (cells[:0], cycles[:0]), "empty"),
    ],
)
def test_refuses_bad_tables(change, message):
    with pytest.raises(DataError, match=message):
        Fleet(*change(*tables()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voltage_v": np.array([3.5, 3.7, 3.6])}, "ascend"),
        ({"voltage_v": np.array([3.5, 3.6])}, r"shape \(2, 3\)"),
        ({"dq_ah": np.array([[0.0, 0.1, 0.2], [0.0, 0.2, 0.1]])}, "cycle 1 of cell 1 of A falls"),
        ({"dataset": np.array(["A", "A"], dtype=object)}, "twice"),
        ({"cell_id": np.array(["9", "1"], dtype=object)}, "not listed"),
    ],
)
def test_refuses_bad_charge_curves(changes, message):
    with pytest.raises(DataError, match=message):
        Fleet(*tables(), curves(**changes))
