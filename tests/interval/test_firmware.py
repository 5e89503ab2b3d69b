"""The interval in the estimator: firmware and twin weigh every estimate of the model by an error of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import HostFirmware
from edgebat.distill.bounds import IntervalSettings, Shown, calibrated, with_bounds
from edgebat.formats.c.bms_models import BmsModel
from edgebat.graph import IntGraph, load_graph
from edgebat.models import run_int8
from edgebat.runs.interval import bounded
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
from tests.any_window_model import SPEC as ANY
from tests.any_window_model import any_window_graph
from tests.bms.test_any_window import day
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, cycles


def with_width(graph: IntGraph, windows: HealthWindows, more_cpct: int) -> IntGraph:
    """``graph`` with an interval that is so much wider on both sides."""
    settings, head = IntervalSettings(coverage=0.9), bounded(task("health"), windows)
    shown = Shown(windows.x, windows.soh.astype(np.float64), windows.cell)
    found = calibrated(with_bounds(graph, head, shown, settings), head, shown, settings)
    moves = {"soh_low": -more_cpct, "soh_high": more_cpct}
    outputs = [{**e, "offset": e["offset"] + moves.get(e["name"], 0)} for e in found.meta["outputs"]]
    return replace(found, meta={**found.meta, "outputs": outputs})


@pytest.mark.parametrize("more_cpct", [0, 700])
def test_an_estimate_with_a_wider_interval_counts_for_less(
    model_file: Path, windows: HealthWindows, tmp_path: Path, more_cpct: int
):
    graph = with_width(load_graph(model_file), windows, more_cpct)
    graph = replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 300}})  # of the validation cells: not asked here
    config = Config(NOMINAL_MAH, max_gap_ms=120_000)
    host, twin = HostFirmware(graph, config, tmp_path), Twin(graph, config)
    assert host.power_on() == 0
    samples = cycles(4, seconds=KNOWN_SECONDS)
    host.run(samples)
    found = twin.run(samples)
    assert found.model_cpct != 0xFFFF
    # 1.645 deviations lie between the estimate and each bound.
    assert (found.sigma_cpct > 425) == (more_cpct == 700)
    # What firmware saves holds the error of its evidence.
    assert newest_state(host.fram) == twin.saved[-1]


def test_a_charge_that_is_read_from_further_up_counts_for_less(tmp_path: Path):
    """A model of any window: what its rows say of where a charge was read from is in the stated error."""
    graph, rng = any_window_graph(), np.random.default_rng(3)
    x = np.zeros((4000, ANY.context, ANY.columns), np.float32)
    start_v = rng.choice(np.array(ANY.starts_v), len(x))
    x[:, -1] = rng.uniform(0.08, 0.12, (len(x), ANY.columns))
    x[:, -1, ANY.increments] = start_v / 1e3
    x[:, -1, ANY.increments + 1] = 0.0
    x[:, -1, ANY.increments + 2] = 0.5e-3
    estimate = run_int8(graph, x).physical()["soh"]
    wrong = np.where(start_v < 3.9, 0.01, 0.08) * rng.choice([-1.0, 1.0], len(x))
    settings, head = IntervalSettings(coverage=0.9), task("health").heads(ANY)[0]
    shown = Shown(x, estimate + wrong, np.arange(len(x)) % 20)
    graph = calibrated(with_bounds(graph, head, shown, settings), head, shown, settings)
    graph = replace(graph, meta={**graph.meta, "field": {"sigma_cpct": 300}})  # of the validation cells: not asked here
    found = []
    for low_mv, high_mv in ((3560, 3830), (3900, 4180)):
        config = Config(NOMINAL_MAH)
        host, twin = HostFirmware(graph, config, tmp_path / f"{low_mv}"), Twin(graph, config)
        assert host.power_on() == 0
        samples = day(low_mv, high_mv)
        host.run(samples)
        found.append(twin.run(samples))
        assert newest_state(host.fram) == twin.saved[-1]
    below, above = found
    assert below.model_cpct != 0xFFFF
    assert above.model_cpct != 0xFFFF
    assert above.sigma_cpct > 1.5 * below.sigma_cpct


def test_without_an_interval_the_code_stays_what_it_is(model_file: Path):
    model = BmsModel.of(load_graph(model_file))
    assert model.interval_divisor == 0
    assert "SIGMA" not in model.functions("tiny")
