"""More members of the kinds of everyday use in ``test_everyday.py``: at least two of each that look unlike the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.results import Status
from edgebat.bms.samples import Samples, samples_array
from edgebat.graph import IntGraph, load_graph
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from tests.bms.test_charge import assert_equal, counter, firmware
from tests.bms.test_everyday import LIMITS, WEEK, aged, down, full, known_charge, live
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, charge, cycles, discharge, feed, rest

MONTH_MS = 30 * 86_400_000


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges with a stated error of 1.2 points, for 10 to 40 degC."""
    graph = load_graph(model_file)
    return replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 120, "temperature_ddegc": [100, 400]}})


# --- 1: braking ------------------------------------------------------------------------------------------------------

PULSES = {
    "begins in the window": samples_array([3605, 3612, 3620], 1000, 1000),
    "comes from below": samples_array([3560, 3590, 3604, 3620], 1000, 1000),
    "jumps over levels": samples_array([3560, 3690, 3695], 4000, 1000),
    "one sample": samples_array([3650], 4000, 1000),
    "over the whole window": samples_array([3560, 3605, 3635, 3660, 3690, 3720], 6000, 1000),
}


@pytest.mark.parametrize("pulse", PULSES.values(), ids=PULSES.keys())
def test_braking_that_goes_over_into_a_charge_costs_none(pulse: Samples):
    """The brake ends and the charger begins between two samples: the current charges all the time."""
    one, alone = counter(), counter()
    rows = feed(one, np.concatenate([discharge(), pulse, known_charge(3500)] * WEEK))
    expected = feed(alone, np.concatenate([discharge(), rest(2, 3540), known_charge(3500)] * WEEK))
    assert rows == expected
    assert one.cycle == alone.cycle == WEEK + 1


@pytest.mark.parametrize("top_mv", [3690, 3699, 3712, 3760])
def test_braking_at_the_end_of_the_window_is_no_charge(top_mv: int):
    """Downhill at the window's last level, so that every pulse is about to finish it."""
    one = counter()
    pulse = samples_array(np.linspace(3650, top_mv, 6).astype(int), 3000, 1000)
    minute = samples_array([3640] * 3, -2000, 18_000)
    day = [*[minute, pulse] * 12, discharge(minutes=20), rest(2, 3540), known_charge(), rest(2, 3700)]
    assert len(feed(one, np.concatenate(day * WEEK))) == WEEK
    assert one.ended == ChargeEnd.OK


def test_a_long_descent_is_a_charge_and_the_one_after_it_is_not_whole():
    """Four percent that stay in the cell are missing in the charge that goes on there."""
    one = counter()
    descent = charge(3570, 3640, ma=2000, seconds=150, ticks=30)
    assert feed(one, np.concatenate([discharge(), descent, rest(2, 3590), charge(3590, 3730)])) == []
    assert one.ended == ChargeEnd.REPEATED


# --- 2: nothing old comes back ---------------------------------------------------------------------------------------


def test_a_store_whose_power_is_cut_every_month_grows_no_healthier(graph: IntGraph):
    estimator = aged(graph, **LIMITS)
    estimator.learn_model(8200)
    live(estimator, *[rest(60, tick_ms=60_000)] * 100)
    before = estimator.result()
    sigma = before.sigma_cpct
    for _ in range(36):
        saved = estimator.state()
        estimator = Estimator(graph, estimator.config)
        estimator.restore(saved)
        estimator.idle(MONTH_MS)
        live(estimator, rest(70))
        result = estimator.result()
        assert result.soh_cpct <= before.soh_cpct
        assert result.sigma_cpct >= sigma
        sigma = result.sigma_cpct
    assert sigma > 800


def test_an_old_count_does_not_speak_for_a_model_that_is_damaged(graph: IntGraph):
    """A count of a new cell, then the model's 80 %; when the self-test fails, nobody says 99 again."""
    estimator = Estimator(graph, Config(NOMINAL_MAH, slew_cpct_h=0, **LIMITS))
    live(estimator, full(), down(minutes=59))
    assert estimator.result().soh_cpct > 9500
    live(estimator, cycles(60, seconds=KNOWN_SECONDS, ticks=60))
    estimator.learn_model(8000)
    live(estimator, rest(2))
    said = estimator.result().soh_cpct
    estimator.corrupt = estimator.fusion.corrupt = True
    estimator.fusion.aged = True
    live(estimator, rest(3))
    assert estimator.result().status == Status.MODEL_CORRUPT
    assert estimator.result().soh_cpct <= said


# --- 3: charges unlike the training data -----------------------------------------------------------------------------


def test_a_cell_that_dies_in_small_steps_is_followed(graph: IntGraph):
    estimator = aged(graph, slew_cpct_h=0)
    new = estimator.published
    for step in range(1, 41):
        left = 1 - 0.01 * step
        live(estimator, cycles(1, seconds=int(KNOWN_SECONDS * left), ticks=100))
        result = estimator.result()
        assert result.soh_cpct - new * left < 1.645 * result.sigma_cpct, "the truth is not below the bound"
    assert result.soh_cpct < new * 0.75


def test_a_dead_cell_that_is_never_charged_through_the_window_does_not_stay_ok(graph: IntGraph):
    estimator = aged(graph)
    broken_off = np.concatenate([discharge(), rest(), charge(3570, 3660, seconds=900, ticks=60), rest()])
    live(estimator, *[broken_off] * 12)
    assert estimator.result().status == Status.STALE


@pytest.mark.parametrize("ddegc", [-100, 600])
def test_charges_in_the_cold_make_nobody_older(graph: IntGraph, ddegc: int):
    """A cold cell takes less charge over the window; that is the weather, not the cell."""
    estimator = aged(graph, slew_cpct_h=0)
    before = estimator.published
    live(estimator, cycles(8, seconds=int(KNOWN_SECONDS * 0.6), ticks=100, ddegc=ddegc))
    assert estimator.result().status == Status.OUT_OF_DOMAIN
    assert before - 50 < estimator.published <= before


# --- 4: counting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mv", "ma"), [(4150, 1000), (4195, 400), (4180, 50)], ids=["at 95 %", "at C/5", "below the voltage"]
)
def test_a_charger_that_is_unplugged_early_has_made_no_full_cell(mv: int, ma: int):
    one = counter(**LIMITS)
    feed(one, np.concatenate([samples_array(np.full(20, mv), ma, 1000), rest(30, mv - 20), down()]))
    assert one.counted_cpct == UNKNOWN


def test_a_charger_that_ends_at_a_tenth_counts_within_its_error():
    """Three percent are missing in the cell, and so they are in the count."""
    one = counter(**LIMITS)
    feed(one, np.concatenate([full(NOMINAL_MAH // 10, 5), rest(20, 4185), down(-400, 228)]))
    assert abs(one.counted_cpct - 7800) < 1.645 * one.counted_sigma


def test_a_reversed_current_sensor_counts_nothing():
    one = counter(**LIMITS)
    reverse = np.concatenate([full(), down(), charge(3010, 4190, seconds=7000, ticks=200), full(), down()])
    reverse["current_ma"] *= -1
    feed(one, reverse)
    assert one.counted_cpct == UNKNOWN


@pytest.mark.parametrize("ddegc", [-400, 1190])
def test_a_thermometer_that_is_stuck_at_its_end_counts_nothing_and_costs_the_model_its_voice(
    graph: IntGraph, ddegc: int
):
    estimator = aged(graph, **LIMITS)
    live(estimator, full(), down(ddegc=ddegc), rest(5, ddegc=ddegc), cycles(1, seconds=KNOWN_SECONDS, ddegc=ddegc))
    assert estimator.result().counting_cpct == UNKNOWN
    assert estimator.result().status == Status.OUT_OF_DOMAIN


# --- 5: what was learnt is kept --------------------------------------------------------------------------------------


def test_a_capacity_that_was_edited_and_put_right_again_leaves_the_soh(graph: IntGraph):
    estimator = aged(graph)
    before = estimator.result()
    for reference_mah in (NOMINAL_MAH * 9 // 10, NOMINAL_MAH):
        edited = Estimator(graph, Config(NOMINAL_MAH, reference_mah=reference_mah))
        edited.restore(estimator.state())
        estimator = edited
    live(estimator, rest(2))
    after = estimator.result()
    assert abs(after.soh_cpct - before.soh_cpct) <= 1
    assert before.sigma_cpct < after.sigma_cpct <= before.sigma_cpct + 2 * 100 + 5
    assert after.cycle == before.cycle
    assert after.throughput_mah == before.throughput_mah


@pytest.mark.parametrize("reference_mah", [NOMINAL_MAH, NOMINAL_MAH * 11 // 10])
def test_a_new_model_with_another_window_goes_on_at_once_and_after_a_power_cut(graph: IntGraph, reference_mah: int):
    estimator = aged(graph)
    before = estimator.result()
    higher_uv = tuple(level + 50_000 for level in estimator.model.level_uv)
    other = replace(estimator.model, fingerprint=estimator.model.fingerprint ^ 1, level_uv=higher_uv)
    saved = estimator.state()
    for _ in range(3):
        estimator = Estimator(graph, Config(NOMINAL_MAH, reference_mah=reference_mah))
        estimator.model, estimator.counter.levels_uv = other, higher_uv
        estimator.restore(saved)
        saved = estimator.state()
    live(estimator, rest(2))
    after = estimator.result()
    assert abs(after.soh_cpct - before.soh_cpct * NOMINAL_MAH / reference_mah) <= 1
    assert after.sigma_cpct <= before.sigma_cpct + 105, "inherited once, not with every start"
    assert after.cycle == before.cycle


# --- 6: charges that count -------------------------------------------------------------------------------------------


def test_a_thermometer_that_fails_for_good_costs_certainty_and_no_charge(graph: IntGraph):
    estimator = aged(graph)
    before = estimator.result()
    blind = cycles(4, seconds=KNOWN_SECONDS)
    blind["valid"] = 3
    live(estimator, blind)
    after = estimator.result()
    assert (after.status, after.age_cycles) == (Status.OK, 0)
    assert after.sigma_cpct > before.sigma_cpct + 150


@pytest.mark.parametrize("dt_ms", [2**32 - 7000, 90_000])
def test_a_clock_that_is_set_in_a_charge_costs_this_one_alone(graph: IntGraph, dt_ms: int):
    estimator = aged(graph)
    before = estimator.result()
    jumped = charge(seconds=KNOWN_SECONDS)
    jumped["dt_ms"][150] = dt_ms
    live(estimator, discharge(), rest(), jumped, rest())
    assert estimator.result().charge == ChargeEnd.GAP
    assert estimator.result().soh_cpct == before.soh_cpct
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    after = estimator.result()
    assert (after.status, after.age_cycles, after.cycle) == (Status.OK, 0, before.cycle + 2)


WAKING = {
    "no voltage": samples_array([0], 0, 1000),
    "reference not yet there": samples_array([4480], 0, 1000),
    "a current": samples_array([3300], 39_000, 1000),
    "cold": samples_array([3300], 0, 1000, -400),
    "all flags, no numbers": samples_array([-1], -1, 1000, -1),
}


@pytest.mark.parametrize("glitch", WAKING.values(), ids=WAKING.keys())
def test_a_glitch_at_every_wake_up_costs_no_charge(graph: IntGraph, glitch: Samples):
    estimator = aged(graph)
    before = estimator.result()
    for day in range(5):
        saved = estimator.state()
        estimator = Estimator(graph, estimator.config)
        estimator.restore(saved)
        live(estimator, glitch, rest(3), cycles(1, seconds=KNOWN_SECONDS))
        after = estimator.result()
        assert (after.status, after.age_cycles, after.cycle) == (Status.OK, 0, before.cycle + day + 1)
        assert abs(after.soh_cpct - before.soh_cpct) < 100


def test_two_charges_a_day_both_count(graph: IntGraph):
    """At work and at home, each after a drive of a tenth."""
    one = counter()
    drive = discharge(minutes=20)
    rows = feed(one, np.concatenate([drive, rest(2, 3540), known_charge(), rest(2, 3800)] * (2 * WEEK)))
    assert len(rows) == 2 * WEEK


# --- C ---------------------------------------------------------------------------------------------------------------


def test_c_equals_python_on_them(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", **LIMITS)
    parts = [cycles(4, seconds=KNOWN_SECONDS, ticks=100)]
    for pulse in PULSES.values():
        parts += [discharge(), pulse, known_charge()]
    for glitch in WAKING.values():
        parts += [glitch, rest(3)]
    blind = cycles(2, seconds=KNOWN_SECONDS, ticks=100)
    blind["valid"] = 3
    jumped = charge(seconds=KNOWN_SECONDS)
    jumped["dt_ms"][150] = 2**32 - 7000
    parts += [full(NOMINAL_MAH // 10, 5), rest(20, 4185), down(-400, 228), blind, discharge(), jumped, full()]
    parts += [down(ddegc=-400), *[cycles(1, seconds=KNOWN_SECONDS - 150 * step, ticks=100) for step in range(8)]]
    assert_equal(host, twin, np.concatenate(parts))
    assert twin.estimator.has_estimate
