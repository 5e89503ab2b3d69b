"""The domain score in front of the estimator: firmware and twin refuse the same windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config
from edgebat.bms.results import Status
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import HostFirmware
from edgebat.graph import IntGraph, load_graph
from edgebat.graph.origin import graph_ground
from edgebat.ground import Domain, Ground, RowLimits, Seen
from edgebat.models import run_int8
from edgebat.predict import predict_windows
from edgebat.runtime.refusal import Refusal, row_limits
from edgebat.tasks.health import HealthWindows
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, cycles


def limited(graph: IntGraph, limit: int) -> IntGraph:
    """``graph`` with one prototype in the middle of its input, and this limit."""
    rows = row_limits(graph)
    domain = Domain(((128,) * graph.input_tensor.shape[-1],), limit, 0.02)
    ground = Ground(Seen(cells=1), Seen(), (3.6, 3.7), RowLimits(rows.low_ppm, rows.high_ppm), domain)
    return replace(graph, meta={**graph.meta, "ground": ground.to_json()})


@pytest.mark.parametrize(("limit", "status"), [(2**31 - 1, Status.OK), (0, Status.OUT_OF_DOMAIN)])
def test_a_window_outside_the_domain_gives_no_estimate(model_file: Path, tmp_path: Path, limit: int, status: Status):
    graph = limited(load_graph(model_file), limit)
    config = Config(NOMINAL_MAH, max_gap_ms=120_000)
    host, twin = HostFirmware(graph, config, tmp_path), Twin(graph, config)
    assert host.power_on() == 0
    samples = np.concatenate([cycles(3, seconds=KNOWN_SECONDS), cycles(1, seconds=KNOWN_SECONDS * 101 // 100)])
    host.run(samples)
    found = twin.run(samples)
    assert found.status == status
    assert (found.model_cpct == 0xFFFF) == (status != Status.OK)
    # What firmware saves holds all it decides by.
    assert newest_state(host.fram) == twin.saved[-1]


@pytest.mark.parametrize("scored", [False, True])
def test_an_estimate_below_every_trained_soh_is_none(model_file: Path, tmp_path: Path, scored: bool):
    """The limit is one of the estimates that come: those below it are refused, it itself is not."""
    graph = limited(load_graph(model_file), 2**31 - 1)
    config = Config(NOMINAL_MAH, max_gap_ms=120_000)
    samples = cycles(3, seconds=KNOWN_SECONDS)
    estimate = Twin(graph, config).run(samples).model_cpct
    for more_cpct, status in ((0, Status.OK), (1, Status.OUT_OF_DOMAIN)):
        ground = graph_ground(graph)
        train = Seen(cells=1, soh=((estimate + more_cpct) / 10_000, 1.0))
        aged = replace(ground, train=train, domain=ground.domain if scored else None)
        stated = replace(graph, meta={**graph.meta, "ground": aged.to_json()})
        host, twin = HostFirmware(stated, config, tmp_path / f"{more_cpct}"), Twin(stated, config)
        assert host.power_on() == 0
        host.run(samples)
        found = twin.run(samples)
        assert found.status == status
        assert (found.model_cpct == 0xFFFF) == (status != Status.OK)
        assert newest_state(host.fram) == twin.saved[-1]


def test_predict_refuses_an_estimate_below_every_trained_soh(model_file: Path, windows: HealthWindows):
    graph = limited(load_graph(model_file), 2**31 - 1)
    soh = run_int8(graph, windows.x).values["soh"][:, 0]
    least = int(np.median(soh))
    train = Seen(cells=1, soh=(least / 10_000, 1.0))
    stated = replace(graph, meta={**graph.meta, "ground": replace(graph_ground(graph), train=train).to_json()})
    found = run_int8(stated, windows.x)
    assert np.array_equal(found.refusal, np.where(soh < least, Refusal.AGE, Refusal.NONE))
    assert 0.2 < (soh < least).mean() < 0.8
    prediction = predict_windows(stated, windows.x)
    assert "a cell that has aged further" in prediction.reasons[int(np.argmin(soh))]
