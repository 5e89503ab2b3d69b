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
from edgebat.ground import Domain, Ground, RowLimits, Seen
from edgebat.runtime.refusal import row_limits
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
