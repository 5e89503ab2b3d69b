"""What a workshop does: a measured cell, another module, another board, another model; and how often anything is written."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.results import Reset, Source, Status
from edgebat.bms.samples import Samples
from edgebat.bms.service import adopt, reset, use
from edgebat.errors import DataError
from edgebat.graph import IntGraph, load_graph
from edgebat.tasks.health.charge_types import UNKNOWN
from tests.bms.test_charge import assert_equal, firmware
from tests.bms.test_everyday import LIMITS, down, full
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, charge, cycles, discharge, rest


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges with a stated error of 1.2 points."""
    graph = load_graph(model_file)
    return replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 120}})


def live(estimator: Estimator, *parts: Samples) -> None:
    for sample in np.concatenate(parts):
        estimator.push(as_sample(sample))
        estimator.settle()


@pytest.fixture
def aged(graph: IntGraph) -> Estimator:
    """An estimator that has counted once and seen four charges."""
    estimator = Estimator(graph, Config(NOMINAL_MAH, **LIMITS))
    live(estimator, full(), down(), cycles(4, seconds=KNOWN_SECONDS))
    assert estimator.result().status == Status.OK
    assert estimator.result().counting_cpct != UNKNOWN
    return estimator


def test_use_is_part_of_the_result(aged: Estimator):
    result = aged.result()
    charged = 4 * KNOWN_SECONDS * 1000 / 3600
    discharged = 47 * 2000 / 60 + 4 * 40 * 2000 / 60
    assert result.throughput_mah == pytest.approx(charged + discharged, rel=0.02)
    assert result.efc_quarters == int(4 * result.throughput_mah / (2 * NOMINAL_MAH))


def test_a_measured_cell_takes_the_place_of_all_that_was_known(aged: Estimator):
    before = aged.result()
    aged.seed(8800, 150)
    live(aged, rest(1))
    result = aged.result()
    assert (result.soh_cpct, result.sigma_cpct, result.source) == (8800, 150, Source.INHERITED)
    assert (result.cycle, result.throughput_mah) == (before.cycle, before.throughput_mah)


@pytest.mark.parametrize(("soh", "sigma"), [(900, 100), (15_001, 100), (8000, 0), (8000, 10_001)])
def test_what_is_no_soh_is_refused(aged: Estimator, soh: int, sigma: int):
    with pytest.raises(DataError, match="no SOH to begin with"):
        aged.seed(soh, sigma)


def test_one_thing_is_forgotten_and_the_others_stay(aged: Estimator):
    before = aged.result()
    reset(aged, Reset.COUNTING)
    live(aged, rest(1))
    assert aged.result().counting_cpct == UNKNOWN
    assert aged.result().model_cpct == before.model_cpct
    reset(aged, Reset.USE)
    live(aged, rest(1))
    result = aged.result()
    assert (result.cycle, result.throughput_mah, result.age_cycles) == (1, 0, 0)
    assert result.model_cpct == before.model_cpct
    reset(aged, Reset.WINDOW)
    live(aged, rest(1))
    result = aged.result()
    assert (result.model_cpct, result.warmup, result.status) == (UNKNOWN, 3, Status.WARMUP)
    assert result.soh_cpct == before.soh_cpct, "what was published last stays until somebody measures"


def test_another_module_begins_as_new_in_the_same_board(aged: Estimator):
    aged.serial = 77
    reset(aged, Reset.MODULE)
    live(aged, rest(1))
    result = aged.result()
    assert (result.soh_cpct, result.source, result.cycle, result.throughput_mah) == (UNKNOWN, Source.NONE, 1, 0)
    assert aged.serial == 77
    live(aged, cycles(4, seconds=KNOWN_SECONDS))
    assert aged.result().status == Status.OK


def test_another_board_goes_on_where_the_old_one_was(aged: Estimator, graph: IntGraph):
    aged.serial = 4711
    handed_on = use(aged)
    board = Estimator(graph, aged.config)
    adopt(board, handed_on)
    live(board, rest(1))
    old, new = aged.result(), board.result()
    assert use(board) == replace(handed_on, clock_s=board.fusion.clock_s)
    assert (new.soh_cpct, new.cycle, new.throughput_mah) == (old.soh_cpct, old.cycle, old.throughput_mah)
    assert new.sigma_cpct == old.sigma_cpct
    assert new.source == Source.INHERITED
    saved = Estimator(graph, aged.config)
    saved.restore(board.state())
    assert use(saved).serial == 4711
    with pytest.raises(DataError, match="no use to go on from"):
        adopt(board, replace(handed_on, cycle=0))
    with pytest.raises(DataError, match="no SOH to begin with"):
        adopt(board, replace(handed_on, soh_cpct=100))


def test_a_board_that_knows_nothing_hands_nothing_on(graph: IntGraph):
    new = Estimator(graph, Config(NOMINAL_MAH, rated_cycles=500))
    live(new, rest(2))
    assert new.result().source == Source.DATASHEET
    handed_on = use(new)
    assert (handed_on.soh_cpct, handed_on.sigma_cpct) == (UNKNOWN, UNKNOWN), "a data sheet has measured nothing"
    other = Estimator(graph, Config(NOMINAL_MAH))
    adopt(other, handed_on)
    live(other, rest(2))
    assert other.result().source == Source.NONE


def test_another_model_goes_on_with_cycles_throughput_and_a_wider_error(aged: Estimator, graph: IntGraph):
    before = aged.result()
    other = Estimator(replace(graph, name="other"), aged.config)
    other.model = replace(other.model, fingerprint=other.model.fingerprint ^ 1)
    assert not other.restore(aged.state())
    live(other, rest(1))
    result = other.result()
    assert (result.cycle, result.throughput_mah) == (before.cycle, before.throughput_mah)
    assert result.soh_cpct == before.soh_cpct
    assert aged.fusion.target_sigma + 100 <= result.sigma_cpct <= before.sigma_cpct + 101


def test_an_edited_capacity_rescales(aged: Estimator, graph: IntGraph):
    edited = Estimator(graph, Config(round(1.1 * NOMINAL_MAH), **LIMITS))
    edited.restore(aged.state())
    live(edited, rest(1))
    assert edited.result().soh_cpct == pytest.approx(aged.published / 1.1, abs=2)


def test_c_equals_python_in_the_workshop(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", **LIMITS, rated_cycles=300)
    estimator = lambda: twin.estimator  # noqa: E731 - a start makes another one
    visits = [
        ("vbms_seed", 8800 | 150 << 16, lambda: estimator().seed(8800, 150)),
        ("vbms_adopt", 99, lambda: adopt(estimator(), replace(use(estimator()), serial=99))),
        *[
            ("vbms_reset", int(what), lambda what=what: reset(estimator(), what))
            for what in Reset
            if what < Reset.RESISTANCE
        ],
        ("vbms_reset", 5, lambda: reset(estimator(), Reset.HEALTH | Reset.COUNTING)),
        ("vbms_reset", 15, lambda: reset(estimator(), Reset.MODULE)),
    ]
    for function, argument, python in visits:
        parts = [full(), down(), cycles(4, seconds=KNOWN_SECONDS, ticks=100), discharge(), charge(3570, 3650)]
        assert_equal(host, twin, np.concatenate(parts))
        assert host._call(function, argument, signed=True) == 0
        python()
        assert_equal(host, twin, rest(3))
        twin.power_on(twin.saved[-1])
        assert host.power_on() == 0
    assert host._call("vbms_reset", 0, signed=True) == host._call("vbms_reset", 16, signed=True) == -5
    assert host._call("vbms_seed", 8800, signed=True) == -5


def test_a_year_of_daily_cycles_is_written_no_more_often_than_stated(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH, **LIMITS))
    revision = writes = moved = 0
    before, days = UNKNOWN, 30
    for day in range(days):
        parts = [down(), rest(70, 3300), charge(3570, 3730, seconds=KNOWN_SECONDS - day // 2, ticks=100), full()]
        for sample in np.concatenate([*parts, rest(70, 4180)]):
            estimator.push(as_sample(sample))
            estimator.settle()
            moved += abs(estimator.published - before) if UNKNOWN not in (estimator.published, before) else 0
            before = estimator.published
            if estimator.revision != revision:
                revision = estimator.revision
                estimator.state()
                writes += 1
    assert 2 * days < writes <= 6 * days + 10 * moved / 100, "six per cycle and ten per point"
    assert 6 * 365 + 10 * 5 < 2500, "a cycle a day, five points a year"


def as_version_2(state: bytes) -> bytes:
    """What firmware before rests and serial numbers would have written."""
    length = (len(state) - 32).to_bytes(4, "little")
    first = state[:3] + b"\x02" + length + state[8:140]
    body = first + zlib.crc32(first).to_bytes(4, "little") + state[176:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_a_state_of_version_2_goes_on_in_c_and_python_alike(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", **LIMITS, rated_cycles=300)
    assert_equal(host, twin, np.concatenate([full(), down(), cycles(4, seconds=KNOWN_SECONDS, ticks=100), rest(3)]))
    assert twin.estimator.has_estimate
    newest, old = twin.saved[-1], as_version_2(twin.saved[-1])
    twin.power_on(newest)
    before = twin.estimator.result()
    host.write_fram(0, old.ljust(len(newest), b"\0"))
    host.write_fram(1, bytes(len(newest)))
    twin.power_on(old)
    assert host.power_on() == 0
    assert twin.estimator.result() == before
    assert_equal(host, twin, cycles(2, seconds=KNOWN_SECONDS, ticks=100))
    assert twin.saved[-1][3] == 3
