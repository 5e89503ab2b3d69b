"""Lives in front of the firmware: the generated C on this computer and on a simulated core, Python beside it."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.bms.rest import OcvTable
from edgebat.graph import IntGraph
from edgebat.lives.cell import STEPS, CurvesCell
from edgebat.lives.days import Living, shortened
from edgebat.lives.front import PUBLISHED, Bench, LifeRecord, bound_of, lead, retrained
from edgebat.lives.many import table_of
from edgebat.lives.scores import score, together
from edgebat.lives.settings import Life, list_lives, load_life


def lived(bench: Bench, life: Life, cell: CurvesCell, ocv: OcvTable | None = None) -> LifeRecord:
    return lead(bench, life, cell, Living(life, cell, 1).steps(), ocv)


@pytest.fixture
def ocv(cell: CurvesCell) -> OcvTable | None:
    """The open-circuit voltages of the new cell."""
    new = cell.at(cell.first_age)
    return table_of([(new.rest_v(np.linspace(0.0, new.capacity_ah, STEPS)), new.capacity_ah)], new.capacity_ah)


def changed(life: Life, **sections: object) -> Life:
    return Life.model_validate({**life.model_dump(), **sections})


def test_daily_full_charges_give_an_estimate_within_two_weeks(graph: IntGraph, deep: Life, cell: CurvesCell):
    record = lived(Bench(graph, twin_days=0), deep, cell)
    scores = score(record)
    assert scores.first_ok_day <= 12
    assert scores.error < 3
    assert record.charges["OK"] >= 10
    assert scores.jumps == 0


@pytest.mark.parametrize("name", list_lives())
def test_firmware_and_twin_agree_in_every_frame_and_state(
    name: str, graph: IntGraph, cell: CurvesCell, ocv: OcvTable | None
):
    _, life = load_life(name)
    record = lived(Bench(graph, twin_days=3), shortened(life, 3), cell, ocv)
    assert record.compared > 0 or name == "storage"
    assert record.mismatches == 0


def test_the_simulated_core_says_the_same_as_this_computer(
    graph: IntGraph, deep: Life, cell: CurvesCell, ocv: OcvTable | None
):
    life = changed(deep, days=2, board={"asleep": "idle"})
    board, host = (lived(Bench(graph, target=target, twin_days=1), life, cell, ocv) for target in ("board", "host"))
    assert repr(board) == repr(host)  # NaN is not equal to itself
    assert board.compared > 0 == board.mismatches


def test_update_swap_edited_capacity_and_cuts_are_survived(graph: IntGraph, deep: Life, cell: CurvesCell):
    events = [
        {"day": 12, "what": "update"},
        {"day": 13, "what": "capacity", "factor": 0.98},
        {"day": 14, "what": "swap", "soh": 0.97},
    ]
    life = changed(deep, days=16, events=events, board={"asleep": "idle", "cuts_per_year": 100})
    record = lived(Bench(graph, twin_days=1), life, cell)
    assert record.mismatches == 0
    assert record.jumps == []
    before, after = record.published[11], record.published[12]
    assert after == pytest.approx(before, abs=1)  # a new model inherits it
    assert record.published[13] / record.published[12] == pytest.approx(
        1 / 0.98, abs=0.01
    )  # in parts of a smaller capacity
    assert record.true[13] / record.true[12] == pytest.approx(1 / 0.98, abs=0.01)
    assert record.published[14] == pytest.approx(record.true[14], abs=1)  # service has said so


@pytest.mark.parametrize("asleep", ["never", "idle", "off"])
def test_rests_measure_where_no_charge_passes_the_window(
    asleep: str, graph: IntGraph, deep: Life, cell: CurvesCell, ocv: OcvTable | None
):
    day = [
        {"kind": "use", "at_h": 7, "soc": 0.6, "rate_c": 0.4, "floor": 0.25},
        {"kind": "charge", "at_h": 15, "to_soc": 0.85, "rate_c": 0.3},
    ]
    life = changed(deep, days=4, day=day, board={"asleep": asleep})
    without, with_table = (lived(Bench(graph, twin_days=4), life, cell, table) for table in (None, ocv))
    assert np.isnan(without.published).all()
    assert with_table.published[-1] == pytest.approx(with_table.true[-1], abs=4)
    assert with_table.mismatches == 0


def test_a_record_is_scored():
    record = LifeRecord(
        day=[0, 1, 2, 3],
        true=[90.0, 90.0, 90.0, 90.0],
        published=[float("nan"), 91.0, 93.0, 88.0],
        bound=[float("nan"), 2.0, 2.0, 2.0],
        status=["WARMUP", "OK", "OUT_OF_DOMAIN", "OK"],
        charges={"OK": 3, "STARTS_ABOVE": 1},
    )
    scores = score(record)
    assert scores.first_ok_day == 2
    assert scores.ok_after == 0.5
    assert scores.bounded_days == 3
    assert scores.coverage == pytest.approx(2 / 3)
    assert scores.healthier == pytest.approx(1 / 3)
    assert scores.used == 0.75
    never = score(LifeRecord(day=[0], true=[90.0], published=[float("nan")], bound=[float("nan")], status=["WARMUP"]))
    both = together([scores, never])
    assert both.days == 5
    assert both.coverage == scores.coverage
    assert both.latest_ok_day == float("inf")


def test_a_jump_beyond_the_slew_limit_is_seen(graph: IntGraph, deep: Life, cell: CurvesCell):
    from edgebat.lives.front import _Front, config_for

    front = _Front(Bench(graph, twin_days=0), config_for(graph, deep, cell))
    published = np.zeros(4, dtype=PUBLISHED)
    published["soh"], published["at_s"] = [9000, 9100, 9101, 9110], [0, 3600, 7200, 9000]
    front._observe(published[:1])
    front._observe(published[1:])
    assert front.record.jumps == [3600 / 86400]
    # It moves in steps of 0.1 points, of which one may be ready, and no two.
    steps = np.zeros(4, dtype=PUBLISHED)
    steps["soh"], steps["at_s"] = [9120, 9130, 9140, 9140], [12_600, 13_200, 13_800, 900_000]
    front._observe(steps)
    assert front.record.jumps[1:] == [13_800 / 86400]
    late = np.zeros(1, dtype=PUBLISHED)
    late["soh"], late["at_s"] = 9155, 900_600
    front._observe(late)
    assert front.record.jumps[2:] == [900_600 / 86400], "however long it stood still before"


def test_an_update_is_another_model_with_nearly_the_same_answers(graph: IntGraph):
    assert retrained(graph).fingerprint != graph.fingerprint


def test_the_bound_is_that_of_a_normal_distribution():
    assert bound_of(100) == pytest.approx(1.645)
    assert np.isnan(bound_of(0xFFFF))
