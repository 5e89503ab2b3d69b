"""The current of a charge: an input of models that read it, a gate of all that state their rates; C = Python = predict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.results import Status
from edgebat.bms.samples import Samples
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import HostFirmware
from edgebat.errors import OutsideGround
from edgebat.graph import IntGraph, load_graph
from edgebat.ground import Domain, Ground, RowLimits, Seen
from edgebat.models import run_int8
from edgebat.predict import asked, inputs_of_file, predict_file, spec_of
from edgebat.runtime.refusal import Refusal
from edgebat.tasks.base import FileOptions, task
from edgebat.tasks.health import HealthSpec, HealthWindows
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from edgebat.tasks.windows import RATE_UNIT
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, charge, cycles
from tests.cli.test_predict import BDF, write_cycler_file
from tests.conftest import tiny_model

HEALTH = task("health")
HALF_C = NOMINAL_MAH // 2


def rated(windows: HealthWindows) -> HealthWindows:
    """The windows of charges at 0.5C and, every second one, at 8C."""
    rates = np.where(np.arange(len(windows)) % 2, 8.0, 0.5) * RATE_UNIT
    column = np.broadcast_to(rates[:, None, None], (*windows.x.shape[:2], 1))
    x = np.concatenate([windows.x, column], axis=2, dtype=np.float32)
    return replace(windows, spec=replace(windows.spec, charge_rate=True), x=x)


def knowing(graph: IntGraph, *rates_mc: tuple[int, int]) -> IntGraph:
    """``graph`` with these rates as the ones it has learnt from."""
    columns = graph.input_tensor.shape[-1]
    increments = 4
    behind = columns - increments
    low, high = (1,) * increments + (0,) * behind, (10**6,) * increments + (2**31 - 1,) * behind
    domain = Domain(((128,) * increments,), 2**31 - 1, 0.02)
    ground = Ground(Seen(cells=1), Seen(), (3.6, 3.7), RowLimits(low, high, rates_mc), domain)
    return replace(graph, meta={**graph.meta, "ground": ground.to_json()})


@pytest.fixture(params=["increments alone", "and the rate"])
def graph(request: pytest.FixtureRequest, tmp_path: Path, windows: HealthWindows) -> IntGraph:
    """A model that reads the rate, and one that does not."""
    seen = rated(windows) if request.param == "and the rate" else windows
    return load_graph(tiny_model(seen, tmp_path / "tiny.ebat"))


def both(graph: IntGraph, samples: Samples, folder: Path) -> Twin:
    """What firmware and twin do, which is the same to the last byte."""
    config = Config(NOMINAL_MAH, max_gap_ms=120_000)
    host, twin = HostFirmware(graph, config, folder), Twin(graph, config)
    assert host.power_on() == 0
    host.run(samples)
    twin.run(samples)
    assert newest_state(host.fram) == (twin.saved[-1] if twin.saved else None)
    return twin


def test_the_device_measures_the_mean_current_of_the_window(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    samples = cycles(1, seconds=KNOWN_SECONDS)
    wandering = np.flatnonzero(samples["current_ma"] > 0)
    samples["current_ma"][wandering[::2]] += 20
    for sample in samples:
        estimator.push(as_sample(sample))
    assert estimator.counter.row_rate_mc == pytest.approx(1000 * (HALF_C + 10) / NOMINAL_MAH, abs=1)


@pytest.mark.parametrize(("known", "end"), [((450, 550), ChargeEnd.OK), ((900, 1100), ChargeEnd.RATE)])
def test_a_charge_at_a_rate_that_was_not_learnt_from_gives_no_input(
    graph: IntGraph, tmp_path: Path, known: tuple[int, int], end: ChargeEnd
):
    twin = both(knowing(graph, known), cycles(4, seconds=KNOWN_SECONDS), tmp_path / "host")
    result = twin.estimator.result()
    assert result.charge == end
    assert (result.status == Status.OK) == (end == ChargeEnd.OK)
    assert (result.model_cpct == UNKNOWN) == (end != ChargeEnd.OK)


def test_a_model_that_reads_the_rate_answers_by_it(windows: HealthWindows, tmp_path: Path):
    graph = load_graph(tiny_model(rated(windows), tmp_path / "tiny.ebat"))
    twin = both(knowing(graph, (450, 550), (7200, 8800)), cycles(3, seconds=KNOWN_SECONDS), tmp_path / "host")
    row = np.append(np.array(twin.estimator.counter.row) / 1e6, twin.estimator.counter.row_rate_mc / 1e6)
    x = np.broadcast_to(row, (1, 3, 5)).copy()
    assert twin.estimator.result().model_cpct == run_int8(graph, x).values["soh"][0, 0]
    x[..., -1] = 8.0 * RATE_UNIT
    assert twin.estimator.result().model_cpct != run_int8(graph, x).values["soh"][0, 0]


def test_a_saved_window_goes_on_with_its_rates(windows: HealthWindows, tmp_path: Path):
    graph = load_graph(tiny_model(rated(windows), tmp_path / "tiny.ebat"))
    samples = cycles(3, seconds=KNOWN_SECONDS)
    whole, half = Estimator(graph, Config(NOMINAL_MAH)), Estimator(graph, Config(NOMINAL_MAH))
    for number, sample in enumerate(samples):
        whole.push(as_sample(sample))
        whole.settle()
        half.push(as_sample(sample))
        half.settle()
        if number == 2 * len(samples) // 3:
            state = half.state()
            half = Estimator(graph, Config(NOMINAL_MAH))
            assert half.restore(state)
    assert len(half.window[0]) == 5
    assert half.result().model_cpct == whole.result().model_cpct != UNKNOWN


def test_ready_windows_at_an_unknown_rate_are_refused_and_unmeasured_ones_are_not(
    windows: HealthWindows, tmp_path: Path
):
    seen = rated(windows)
    graph = knowing(load_graph(tiny_model(seen, tmp_path / "tiny.ebat")), (450, 550), (7200, 8800))
    x = np.repeat(seen.x[:1], 3, axis=0)
    x[1, 0, -1] = 0.75 * RATE_UNIT
    x[2, :, -1] = 0.0
    assert run_int8(graph, x).refusal.tolist() == [Refusal.NONE, Refusal.RATE, Refusal.NONE]


def test_predict_reads_the_rate_from_the_currents_of_a_file(windows: HealthWindows, tmp_path: Path):
    graph = knowing(load_graph(tiny_model(rated(windows), tmp_path / "tiny.ebat")), (450, 550))
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
    how = FileOptions(nominal_ah=NOMINAL_MAH / 1000)
    found = inputs_of_file(HEALTH, spec_of(graph), graph.input_tensor.shape, tmp_path / "cell.csv", asked(graph, how))
    np.testing.assert_allclose(found.x[..., -1], 0.5 * RATE_UNIT, atol=2e-6)
    fast = knowing(graph, (900, 1100))
    with pytest.raises(OutsideGround, match="another rate"):
        predict_file(fast, tmp_path / "cell.csv", how)


def test_a_definition_says_that_the_rate_is_read_and_nothing_where_it_is_not(spec: HealthSpec):
    assert "charge_rate" not in spec.to_dict()
    read = replace(spec, charge_rate=True)
    assert HealthSpec.from_dict(read.to_dict()) == read
    assert (read.columns, spec.columns) == (5, 4)


def test_the_rate_of_a_blend_lies_between_and_is_unknown_where_one_is(windows: HealthWindows):
    from edgebat.tasks.windows import Blend

    seen = rated(windows)
    seen.x[2, :, -1] = 0.0
    blend = Blend(np.array([0, 0]), np.array([1, 2]), np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(seen.blended(blend).x[:, 0, -1], [4.25 * RATE_UNIT, 0.0])


def test_a_charge_as_short_as_a_few_samples_has_a_rate(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH, max_gap_ms=120_000))
    for sample in charge(3590, 3710, ticks=9, seconds=900):
        estimator.push(as_sample(sample))
    assert estimator.counter.ended == ChargeEnd.OK
    assert estimator.counter.row_rate_mc == 500
