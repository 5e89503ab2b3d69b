"""Everyday use, day after day: what a battery in a car, an e-bike or a shed does to the estimator, and what it says then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.fusion import Ageing, By, Fusion
from edgebat.bms.results import Source, Status
from edgebat.bms.samples import Samples, samples_array
from edgebat.errors import DataError
from edgebat.graph import IntGraph, load_graph
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from tests.bms.test_charge import assert_equal, counter, firmware
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, charge, cycles, discharge, feed, rest

WEEK = 7


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges with a stated error of 1.2 points, for 10 to 40 degC."""
    graph = load_graph(model_file)
    return replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 120, "temperature_ddegc": [100, 400]}})


def live(estimator: Estimator, *parts: Samples) -> None:
    for sample in np.concatenate(parts):
        estimator.push(as_sample(sample))
        estimator.settle()


def aged(graph: IntGraph, **settings: int) -> Estimator:
    """An estimator that has seen four charges."""
    estimator = Estimator(graph, Config(NOMINAL_MAH, **settings))
    live(estimator, cycles(4, seconds=KNOWN_SECONDS))
    assert estimator.result().status == Status.OK
    return estimator


def known_charge(start_mv: int = 3500) -> Samples:
    """Through the window as the model knows it, from further below."""
    lead = charge(start_mv, 3570, seconds=KNOWN_SECONDS * (3570 - start_mv) // 160, ticks=20)
    return np.concatenate([lead, charge(seconds=KNOWN_SECONDS)])


def drive(pulse_ma: int, pulse_s: int = 6, minutes: int = 12) -> Samples:
    """2 A, and once per minute braking that lifts the voltage into the window."""
    minute = samples_array([3540] * 3, -2000, 18_000)
    pulse = samples_array(np.linspace(3560, 3620, pulse_s).astype(int), pulse_ma, 1000)
    return np.concatenate([minute, pulse] * minutes)


# --- 1: braking is no charge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pulse_ma", "pulse_s"), [(2000, 6), (4000, 6), (2000, 20)])
def test_braking_into_the_window_costs_no_charge_and_makes_no_cycle(pulse_ma: int, pulse_s: int):
    one = counter()
    rows = []
    for _ in range(WEEK):
        rows += feed(one, np.concatenate([drive(pulse_ma, pulse_s), rest(2, 3540), known_charge(), rest(2, 3700)]))
    assert len(rows) == WEEK
    assert one.cycle == WEEK + 1
    assert one.ended == ChargeEnd.OK


def test_a_pulse_right_before_parking_is_no_charge_either():
    one = counter()
    pulse = samples_array([3560, 3610, 3620, 3625], 4000, 2000)
    assert len(feed(one, np.concatenate([discharge(), pulse, rest(2, 3540), known_charge()]))) == 1


def test_reasons_are_those_of_charges_and_not_of_pulses():
    one = counter()
    feed(one, np.concatenate([known_charge(), rest(), drive(2000)]))
    assert one.ended == ChargeEnd.OK


def test_a_charge_in_pieces_is_one_cycle_across_restarts(graph: IntGraph):
    estimator = aged(graph)
    live(estimator, discharge())
    before = estimator.counter.cycle
    for piece in range(5):
        estimator.restore(estimator.state())
        live(estimator, charge(3300 + 10 * piece, 3310 + 10 * piece, seconds=500, ticks=10), rest(2, 3300))
    assert estimator.counter.cycle == before + 1


# --- 2: nothing old comes back ---------------------------------------------------------------------------------------


def fused(rated_cycles: int = 0) -> Fusion:
    """A count of 99 % when new, and the model's 80 % after 270 full cycles."""
    fusion = Fusion(Ageing(rated_cycles, 8000), settled=True)
    fusion.learn(By.COUNTING, 9900, 350)
    fusion.weigh()
    fusion.efc, fusion.clock_s = 4 * 270, 2 * 31_557_600
    fusion.learn(By.MODEL, 8000, 100)
    fusion.weigh()
    return fusion


@pytest.mark.parametrize("rated_cycles", [0, 300, 3000])
def test_age_makes_no_cell_healthier_and_nobody_surer(rated_cycles: int):
    fusion = fused(rated_cycles)
    assert (fusion.source, fusion.target_cpct) == (Source.MODEL, 8000)
    before, sigma = fusion.target_cpct, fusion.target_sigma
    for _ in range(60):
        fusion.efc, fusion.clock_s, fusion.aged = fusion.efc + 40, fusion.clock_s + 2_629_800, True
        fusion.weigh()
        assert fusion.target_cpct <= before
        assert fusion.target_sigma >= sigma
        before, sigma = fusion.target_cpct, fusion.target_sigma
    assert sigma > 1200


def test_a_year_of_storage_is_said(graph: IntGraph):
    estimator = aged(graph)
    before = estimator.result()
    for _ in range(366):
        estimator.idle(86_400_000)
        estimator.settle()
    live(estimator, rest(2))
    result = estimator.result()
    assert result.soh_cpct <= before.soh_cpct
    assert result.sigma_cpct**2 > before.sigma_cpct**2 + 290**2
    assert result.status == Status.STALE
    assert result.age_s >= 366 * 86_400


def test_two_fresh_sources_that_contradict_each_other_are_a_status_of_its_own(graph: IntGraph):
    estimator = aged(graph)
    estimator.fusion.learn(By.COUNTING, estimator.published + 1500, 350)
    live(estimator, rest(2))
    result = estimator.result()
    assert result.status == Status.CONFLICT
    assert result.sigma_cpct >= 750


# --- 3: charges unlike the training data are evidence too ------------------------------------------------------------


@pytest.mark.parametrize("left", [0.6, 0.4])
def test_a_dying_cell_does_not_keep_its_health(graph: IntGraph, left: float):
    estimator = aged(graph, slew_cpct_h=0)
    before = estimator.published
    for count in range(1, 9):
        live(estimator, cycles(1, seconds=int(KNOWN_SECONDS * left), ticks=100))
        result = estimator.result()
        assert result.status == Status.OUT_OF_DOMAIN
        if count >= 3:
            assert abs(result.soh_cpct - before * left) < 1.645 * result.sigma_cpct, "the truth lies in the bound"
    assert result.source == Source.WINDOW
    assert result.soh_cpct < before * left + 1000


def test_charges_that_take_more_than_before_make_nobody_healthier(graph: IntGraph):
    estimator = aged(graph, slew_cpct_h=0)
    before = estimator.published
    live(estimator, cycles(8, seconds=int(KNOWN_SECONDS * 1.5), ticks=100))
    assert estimator.published <= before
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    assert (estimator.result().status, estimator.result().source) == (Status.OK, Source.MODEL)


# --- 4: what counting is worth ---------------------------------------------------------------------------------------

LIMITS = {"full_mv": 4190, "empty_mv": 3010}


def full(ma: int = 50, ticks: int = 12, mv: int = 4195) -> Samples:
    return samples_array(np.full(ticks, mv), ma, 1000)


def down(ma: int = -2000, minutes: int = 47, ddegc: int = 250) -> Samples:
    end = samples_array(np.full(3, 3000), ma, 10_000, ddegc)
    return np.concatenate([samples_array(np.linspace(4000, 3020, minutes).astype(int), ma, 60_000, ddegc), end])


@pytest.mark.parametrize("ddegc", [-100, 50, 550])
def test_a_cold_or_hot_cell_is_not_counted(ddegc: int):
    one = counter(**LIMITS)
    feed(one, np.concatenate([full(), down(ddegc=ddegc)]))
    assert one.counted_cpct == UNKNOWN


def test_a_glitch_of_the_thermometer_does_not_spoil_a_count():
    one = counter(**LIMITS)
    glitch = down()
    glitch["temperature_ddegc"][20] = -400
    feed(one, np.concatenate([full(), glitch]))
    assert one.counted_cpct != UNKNOWN


def test_a_fast_discharge_ends_before_a_cell_is_empty():
    fast, slow = counter(**LIMITS), counter(**LIMITS)
    feed(fast, np.concatenate([full(), down()]))
    feed(slow, np.concatenate([full(), down(-200, 470)]))
    assert slow.counted_sigma < 550
    assert fast.counted_sigma > 1000


@pytest.mark.parametrize("last_ma", [100, 150, 200])
def test_a_charger_that_stops_at_its_cut_off_has_made_a_full_cell(last_ma: int):
    one = counter(**LIMITS)
    taper = samples_array(np.full(10, 4195), np.linspace(1000, last_ma, 10).astype(int), 30_000)
    feed(one, np.concatenate([taper, rest(20, 4180), down()]))
    assert one.counted_cpct != UNKNOWN


def slept(graph: IntGraph, wake_mv: int) -> int:
    """The count after a discharge during which the power was off for a while."""
    estimator = Estimator(graph, Config(NOMINAL_MAH, **LIMITS))
    live(estimator, full(), down()[:20], rest(70, 3650))
    estimator.restore(estimator.state())
    live(estimator, rest(2, wake_mv), down()[20:])
    return estimator.result().counting_cpct


def test_a_count_goes_on_after_a_sleep_at_rest(graph: IntGraph):
    assert 7700 <= slept(graph, 3655) <= 7950
    assert slept(graph, 3500) == UNKNOWN, "the battery was used while nobody looked"


def test_a_state_that_was_saved_at_rest_does_not_outlive_the_drive_after_it(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH, **LIMITS))
    live(estimator, full(), down()[:20], rest(70, 3650))
    estimator.state()
    before = estimator.revision
    live(estimator, down()[20:21])
    assert estimator.revision > before, "worth saving: what was saved is not true any more"


# --- 5: what was learnt is kept --------------------------------------------------------------------------------------


def test_the_morning_begins_where_the_evening_ended(graph: IntGraph):
    estimator = aged(graph, slew_cpct_h=20)
    saved, revision = estimator.state(), estimator.revision
    estimator.learn_model(estimator.published - 1500)
    first = estimator.published
    for _ in range(5):
        live(estimator, *[rest(8, tick_ms=60_000)] * 60)
        if estimator.revision != revision:
            revision = estimator.revision
            saved = estimator.state()
        evening = estimator.published
        morning = Estimator(graph, estimator.config)
        morning.restore(saved)
        assert morning.published == evening
    assert estimator.published < first - 600


# --- 6: charges that count -------------------------------------------------------------------------------------------


def solar(spread_ma: int) -> Samples:
    """A tenth of the one-hour current, clouds or not."""
    rng = np.random.default_rng(5)
    sun = charge(ma=200, seconds=5 * KNOWN_SECONDS, ticks=600)
    sun["current_ma"] += np.repeat(rng.integers(-spread_ma // 2, spread_ma // 2 + 1, 60), 10).astype(np.int32)
    return sun


def test_a_small_current_may_wander():
    assert len(feed(counter(), solar(90))) == 1
    clouds = counter()
    assert not feed(clouds, solar(300))
    assert clouds.ended == ChargeEnd.NOT_CONSTANT


@pytest.mark.parametrize("ddegc", [-400, 32_767, 900])
def test_one_wrong_temperature_in_an_hour_is_one_wrong_temperature(graph: IntGraph, ddegc: int):
    estimator = aged(graph)
    glitch = charge(seconds=KNOWN_SECONDS)
    glitch["temperature_ddegc"][150] = ddegc
    live(estimator, discharge(), rest(), glitch, rest())
    assert (estimator.result().status, estimator.result().age_cycles) == (Status.OK, 0)


def test_many_charges_that_gave_nothing_make_an_estimate_stale(graph: IntGraph):
    estimator = aged(graph)
    wanders = charge(seconds=KNOWN_SECONDS, ticks=100)
    wanders["current_ma"][50:] += 400
    live(estimator, *[discharge(), rest(), wanders, rest()] * 10)
    assert estimator.result().status == Status.STALE
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    assert estimator.result().status == Status.OK


# --- 7: limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"max_mv": 3650},
        {"full_mv": 3600},
        {"min_mv": 3610},
        {"empty_mv": 3600},
        {"reference_mah": NOMINAL_MAH // 2},
        {"reference_mah": 2 * NOMINAL_MAH},
    ],
)
def test_a_cell_that_the_model_can_never_see_is_refused(graph: IntGraph, limits: dict[str, int]):
    with pytest.raises(DataError, match=r"never charged through the window|cannot be 100 %"):
        Estimator(graph, Config(NOMINAL_MAH, **limits))


@pytest.mark.parametrize("reference_mah", [NOMINAL_MAH * 9 // 10, NOMINAL_MAH * 11 // 10])
def test_model_and_counting_have_one_scale(graph: IntGraph, reference_mah: int):
    """The model's 100 % is nominal; what is published is of the reference capacity, whoever says it."""
    nominal, other = aged(graph), aged(graph, reference_mah=reference_mah, **LIMITS)
    scale = NOMINAL_MAH / reference_mah
    published, rescaled = nominal.result(), other.result()
    assert abs(rescaled.model_cpct - scale * published.model_cpct) < 1
    assert rescaled.soh_cpct == rescaled.model_cpct
    for before, after in zip(published.points_cpct[: published.points], rescaled.points_cpct, strict=False):
        assert abs(after - scale * before) < 1
    minutes = round(60 * published.model_cpct / 10_000)
    live(other, full(), down(minutes=minutes))
    assert abs(other.result().counting_cpct - other.result().model_cpct) < 300, "2 A for as long as the model says"
    assert other.result().status == Status.OK


def test_a_model_of_the_first_capacity_needs_no_other_scale(graph: IntGraph):
    task = {**graph.meta["task"], "soh_reference": "first"}
    first = replace(graph, meta={**graph.meta, "task": task})
    published = aged(first, reference_mah=NOMINAL_MAH * 9 // 10).result()
    assert published.model_cpct == aged(graph).result().model_cpct


def test_when_samples_stop_the_status_says_so(graph: IntGraph):
    estimator = aged(graph)
    for _ in range(2000):
        estimator.step()
    assert estimator.result().status == Status.INPUT_INVALID, "nobody calls push, and the loop goes on"
    live(estimator, rest(2))
    assert estimator.result().status == Status.OK
    estimator.idle(10_000)
    assert estimator.result().status == Status.INPUT_INVALID


def test_c_equals_python_on_everyday_use(model_file: Path, tmp_path: Path):
    host, twin = firmware(
        model_file, tmp_path / "build", **LIMITS, rated_cycles=300, reference_mah=NOMINAL_MAH * 19 // 20
    )
    glitch = down()
    glitch["temperature_ddegc"][20] = -400
    parts = [
        *(full(), down(), cycles(3, seconds=KNOWN_SECONDS, ticks=100)),
        *(drive(4000), rest(2, 3540), known_charge(), rest(70, 3700), full(60, 5), rest(80, 4180), down()),
        *(cycles(5, seconds=KNOWN_SECONDS // 2, ticks=60), solar(90), solar(300), discharge(), known_charge()),
        *(full(), glitch, rest(30, 3000, tick_ms=60_000), cycles(1, seconds=KNOWN_SECONDS, ticks=100, ddegc=-100)),
    ]
    assert_equal(host, twin, np.concatenate(parts))
    twin.power_on(twin.saved[-1])
    assert host.power_on() == 0
    assert_equal(host, twin, np.concatenate(parts[3:9]))


def test_use_between_two_losses_of_power_is_not_lost_and_widens_the_bound(graph: IntGraph):
    """A board without power at rest saves the use of a day when the cell rests, counts or not: 0.5 of nominal a day."""
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    estimator.learn(By.MODEL, 9000, 150)
    saved, revision = estimator.state(), estimator.revision
    for _ in range(120):
        restored = Estimator(graph, estimator.config)
        restored.restore(saved)
        revision = restored.revision
        for sample in np.concatenate(
            [discharge(minutes=15), rest(70), charge(3700, 3900, ma=1000, seconds=1800, ticks=60), rest(70)]
        ):
            restored.push(as_sample(sample))
            restored.settle()
            if restored.revision != revision:
                revision, saved = restored.revision, restored.state()
    assert restored.result().efc_quarters > 110
    assert restored.result().sigma_cpct > 180
