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
from edgebat.runs.interval import bounded
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
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


def test_without_an_interval_the_code_stays_what_it_is(model_file: Path):
    model = BmsModel.of(load_graph(model_file))
    assert model.interval_divisor == 0
    assert "SIGMA" not in model.functions("tiny")
