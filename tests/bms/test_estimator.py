"""The result contract: when the model speaks, when it may not, and who speaks instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.fusion import By
from edgebat.bms.results import Source, Status
from edgebat.bms.samples import Samples
from edgebat.cells import Condition
from edgebat.errors import DataError, ModelFileError
from edgebat.formats.c.bms_models import describe
from edgebat.graph import IntGraph, load_graph
from edgebat.predict import predict_windows
from edgebat.runs.field import field_limits
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthSpec, HealthWindows
from edgebat.tasks.health.charge_types import UNKNOWN
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, charge, cycles, discharge, rest


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges whose range of inputs holds the charges of these tests."""
    return load_graph(model_file)


def live(estimator: Estimator, samples: Samples) -> None:
    for s in samples:
        estimator.push(as_sample(s))
        estimator.settle()


def aged(graph: IntGraph, count: int = 4, **settings: int) -> Estimator:
    estimator = Estimator(graph, Config(NOMINAL_MAH, **settings))
    live(estimator, cycles(count, seconds=KNOWN_SECONDS))
    return estimator


def test_three_charges_make_an_estimate_that_equals_the_numpy_runtime(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    rows = []
    for missing in (3, 2, 1, 0):
        result = estimator.result()
        assert result.warmup == missing
        assert (result.status == Status.WARMUP) == (missing > 0)
        live(estimator, np.concatenate([discharge(), rest(), charge(seconds=KNOWN_SECONDS), rest()]))
        rows.append([v / 1e6 for v in estimator.counter.row])
    predicted = predict_windows(graph, np.array([rows[-3:]]))
    result = estimator.result()
    assert result.model_cpct == predicted["soh"][0, 0]
    assert result.points_cpct[: result.points] == tuple(predicted["trajectory"][0])
    assert (result.status, result.source) == (Status.OK, Source.MODEL)


def test_charges_unlike_the_training_data_never_reach_the_model(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH, rated_cycles=500))
    live(estimator, cycles(4, seconds=6000))
    result = estimator.result()
    assert (result.status, result.source) == (Status.OUT_OF_DOMAIN, Source.DATASHEET)
    assert (result.model_cpct, result.rul_cycles, result.sigma_cpct, result.warmup) == (UNKNOWN, UNKNOWN, UNKNOWN, 3)
    assert result.points == 0
    # Four discharges of 1.3 Ah and what was charged: a few cycles of 500 down to 80 %.
    assert 9980 < result.counting_cpct < 10_000


def test_one_odd_charge_leaves_the_estimate_before_it(graph: IntGraph):
    estimator = aged(graph)
    before = estimator.result()
    live(estimator, cycles(1, seconds=6000))
    result = estimator.result()
    assert (result.status, result.source) == (Status.OUT_OF_DOMAIN, Source.MODEL)
    assert (result.model_cpct, result.age_cycles) == (before.model_cpct, 1)
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    assert (estimator.result().status, estimator.result().age_cycles) == (Status.OK, 0)


def test_the_firmware_knows_on_which_data_its_model_was_trained(graph: IntGraph):
    training = {"split_hash": "7cc41682" + 56 * "0"}
    assert describe(replace(graph, meta={**graph.meta, "training": training})).data_fingerprint == 0x7CC41682
    for unknown in ({}, {"split_hash": "no hash"}, {"split_hash": None}, 7):
        assert describe(replace(graph, meta={**graph.meta, "training": unknown})).data_fingerprint == 0


def test_temperatures_unlike_the_training_data_are_out_of_domain(graph: IntGraph):
    meta = {**graph.meta, "field": {"temperature_ddegc": [100, 400], "sigma_cpct": 120}}
    known = replace(graph, meta=meta)
    assert describe(known).sigma_cpct == 120
    warm = Estimator(known, Config(NOMINAL_MAH))
    live(warm, cycles(4, seconds=KNOWN_SECONDS, ddegc=300))
    assert warm.result().status == Status.OK
    assert warm.result().sigma_cpct == 240, "nobody else has measured"
    cold = Estimator(known, Config(NOMINAL_MAH))
    live(cold, cycles(4, seconds=KNOWN_SECONDS, ddegc=-50))
    assert cold.result().status == Status.OUT_OF_DOMAIN


def test_a_battery_without_a_thermometer_gets_a_larger_error(graph: IntGraph):
    meta = {**graph.meta, "field": {"temperature_ddegc": [100, 400], "sigma_cpct": 120}}
    blind = Estimator(replace(graph, meta=meta), Config(NOMINAL_MAH))
    samples = cycles(4, seconds=KNOWN_SECONDS, ddegc=300)
    samples["valid"] = 3
    live(blind, samples)
    assert (blind.result().status, blind.result().sigma_cpct) == (Status.OK, 646)
    silent = Estimator(replace(graph, meta=meta), Config(NOMINAL_MAH))
    live(silent, np.concatenate([rest(1, ddegc=-100), samples]))
    assert silent.result().status == Status.OUT_OF_DOMAIN, "the last temperature was none that the model knows"


def test_without_samples_the_status_is_input_invalid(graph: IntGraph):
    estimator = aged(graph)
    bad = rest(12)
    bad["valid"] = 0
    live(estimator, bad[:9])
    assert estimator.result().status == Status.OK
    live(estimator, bad[9:])
    assert estimator.result().status == Status.INPUT_INVALID
    live(estimator, rest(1))
    assert estimator.result().status == Status.OK


def test_an_old_estimate_is_stale_and_nothing_older_takes_its_place(graph: IntGraph):
    estimator = aged(graph, stale_cycles=3, rated_cycles=500)
    before = estimator.published
    for _ in range(5):
        live(estimator, np.concatenate([discharge(), charge(3650, 3800)]))
    result = estimator.result()
    assert (result.status, result.source) == (Status.STALE, Source.MODEL)
    assert result.soh_cpct <= before, "the data sheet thinks better of it"
    assert (result.rul_cycles, result.points) == (UNKNOWN, 0)


def test_shallow_cycles_between_two_charges_keep_the_window(graph: IntGraph):
    estimator = aged(graph)
    for _ in range(6):
        live(estimator, np.concatenate([discharge(), charge(3650, 3800)]))
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    assert len(estimator.window) == 3


def test_a_gap_of_many_full_cycles_begins_a_new_window(graph: IntGraph):
    estimator = aged(graph)
    for _ in range(80):
        live(estimator, np.concatenate([discharge(), charge(3650, 3800, ticks=60)]))
    live(estimator, cycles(1, seconds=KNOWN_SECONDS))
    assert len(estimator.window) == 1


def remeasure(estimator: Estimator, cpct: int) -> None:
    """The model says something else from now on."""
    estimator.learn_model(cpct)


def test_the_published_soh_moves_no_faster_than_allowed(graph: IntGraph):
    estimator = aged(graph, slew_cpct_h=60)
    start = estimator.published
    remeasure(estimator, start - 500)
    live(estimator, rest(3600))
    assert start - 61 <= estimator.published <= start - 59
    assert estimator.result().sigma_cpct == UNKNOWN, "this model does not know its error"
    free = aged(graph, slew_cpct_h=0)
    remeasure(free, free.published - 500)
    live(free, rest(1))
    assert free.published == free.result().model_cpct


def test_the_first_measured_value_replaces_a_guess_at_once(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH, rated_cycles=500))
    assert estimator.result().source == Source.NONE
    live(estimator, rest(1))
    assert (estimator.result().source, estimator.result().soh_cpct) == (Source.DATASHEET, 10_000)
    live(estimator, cycles(3, seconds=KNOWN_SECONDS))
    result = estimator.result()
    assert result.source == Source.MODEL
    assert 0 <= result.model_cpct - result.soh_cpct <= 1, "and what the data sheet takes of it since"


def test_the_way_to_the_target_is_part_of_the_deviation(graph: IntGraph):
    known = replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 120}})
    estimator = aged(known)
    remeasure(estimator, estimator.published - 500)
    live(estimator, rest(1))
    assert estimator.result().sigma_cpct == 740


@pytest.mark.parametrize(("apart", "other", "agrees"), [(299, 300, True), (-299, 300, True), (301, 300, False)])
@pytest.mark.parametrize("by", [By.COUNTING, By.REST])
def test_a_model_is_less_sure_until_a_measurement_says_the_same(
    graph: IntGraph, by: By, apart: int, other: int, agrees: bool
):
    known = aged(replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 120}}))
    fusion = known.fusion
    assert fusion.variance(By.MODEL) == (2 * 120) ** 2
    said = fusion.evidence[By.MODEL].cpct
    fusion.learn(By.INHERITED, said, 100)
    assert fusion.variance(By.MODEL) == (2 * 120) ** 2, "what a model said before is no second witness"
    fusion.learn(by, said + apart, other)
    assert fusion.variance(By.MODEL) == ((1 if agrees else 2) * 120) ** 2


def test_a_corrupt_model_is_not_asked_any_more(graph: IntGraph):
    estimator = aged(graph, rated_cycles=500)
    estimator.corrupt = True
    before = estimator.result()
    live(estimator, cycles(2, seconds=KNOWN_SECONDS))
    result = estimator.result()
    assert (result.status, result.source) == (Status.MODEL_CORRUPT, Source.NONE)
    assert (result.soh_cpct, result.model_cpct) == (before.soh_cpct, before.model_cpct), "what was known last stays"


def test_remaining_life_counts_down_between_estimates(graph: IntGraph):
    estimator = aged(graph)
    rul = estimator.result().rul_cycles
    live(estimator, np.concatenate([discharge(), charge(3650, 3800), discharge(), charge(3650, 3800)]))
    assert estimator.result().rul_cycles == max(rul - 2, 0)


def test_models_of_other_tasks_are_refused(graph: IntGraph, spec: HealthSpec, windows: HealthWindows):
    del spec, windows
    without = replace(graph, meta={k: v for k, v in graph.meta.items() if k != "task"})
    with pytest.raises(ModelFileError, match="does not say which task"):
        Estimator(without, Config(NOMINAL_MAH))
    outputs = [o for o in graph.meta["outputs"] if o["name"] != "rul"]
    with pytest.raises(ModelFileError, match="needs soh, trajectory and rul"):
        Estimator(replace(graph, meta={**graph.meta, "outputs": outputs}), Config(NOMINAL_MAH))


@pytest.mark.parametrize(
    "field", ["x", {"sigma_cpct": -1}, {"sigma_cpct": 0.5}, {"temperature_ddegc": [1]}, {"temperature_ddegc": [2, 1]}]
)
def test_an_unusable_field_entry_is_refused(graph: IntGraph, field: object):
    with pytest.raises(ModelFileError, match="unusable entry 'field'"):
        describe(replace(graph, meta={**graph.meta, "field": field}))


def test_the_error_to_expect_comes_from_validation_cells(graph: IntGraph, windows: HealthWindows):
    heads = task("health").heads(windows.spec)
    found = field_limits(graph, heads, windows, windows)
    assert found["temperature_ddegc"] == [200, 300]
    predicted = predict_windows(graph, windows.x)["soh"][:, 0]
    assert found["sigma_cpct"] == round(float(np.sqrt(np.mean((predicted - windows.soh * 10_000) ** 2))))
    silent = replace(windows, conditions=(Condition("MADE_UP"),) * 4)
    assert "temperature_ddegc" not in field_limits(graph, heads, silent, windows)


def test_a_saved_state_continues_and_a_strange_one_is_refused(graph: IntGraph):
    estimator = aged(graph)
    state = estimator.state()
    other = Estimator(graph, Config(NOMINAL_MAH))
    other.restore(state)
    assert other.state() == estimator.state()
    live(estimator, cycles(2, seconds=KNOWN_SECONDS))
    live(other, cycles(2, seconds=KNOWN_SECONDS))
    assert other.result().model_cpct == estimator.result().model_cpct
    for broken in (state[:-1], bytes(len(state)), state[:40] + bytes([state[40] ^ 1]) + state[41:]):
        with pytest.raises(DataError):
            Estimator(graph, Config(NOMINAL_MAH)).restore(broken)
    edited = Estimator(graph, Config(2 * NOMINAL_MAH))
    assert not edited.restore(state)
    assert edited.published == pytest.approx(estimator.published / 2, abs=60)
