"""A health and a forecast model on the same simulated board."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.can import dbc_text
from edgebat.bms.cell_replay import differences
from edgebat.bms.estimator import Config
from edgebat.bms.ports import export_port
from edgebat.bms.results import Status
from edgebat.bms.samples import Samples
from edgebat.bms.twin import FRAME_MS, Twin, newest_state
from edgebat.bms.virtual import BoardFirmware, HostFirmware
from edgebat.formats.c.bms_models import SAVED_HEADER, forecast_model, health_model
from edgebat.graph import IntGraph, load_graph
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, cycles
from tests.tiny_forecast import forecast_graph


@pytest.fixture(scope="module")
def graph() -> IntGraph:
    return forecast_graph()


def test_a_product_without_forecasts_carries_none(model_file: Path, tmp_path: Path):
    """Neither code, nor CAN frames, nor a byte of the saved state."""
    charges = load_graph(model_file)
    files = export_port(charges, "freertos", tmp_path)
    assert not [path for path in files if "forecast" in path.name or b"edgebat_forecast" in path.read_bytes()]
    model = health_model(charges)
    assert model.saved_bytes == SAVED_HEADER + 2 * model.points + model.increments * model.context + 4
    assert "Outlook" not in dbc_text(model)
    assert dbc_text(model, forecast=forecast_model(forecast_graph())).startswith(
        dbc_text(model).split("CM_ ")[0].rstrip()
    )


def steady(count: int) -> Samples:
    """So many cycles whose charges the tiny health model knows."""
    return cycles(count, seconds=KNOWN_SECONDS, ticks=60)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_frames_and_saved_bytes_of_both_models_equal_python(kind: str, model_file: Path, tmp_path: Path):
    graph = forecast_graph(kind)
    charges, config = load_graph(model_file), Config(NOMINAL_MAH, max_gap_ms=120_000)
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    host = HostFirmware(charges, config, tmp_path, flags, forecast=graph, frame_ms=FRAME_MS, steps_per_tick=1)
    twin = Twin(charges, config, graph)
    assert host.power_on() == 0
    for count in (1, 20, 40):
        samples = steady(count)
        twin.run(samples)
        assert differences(host, twin, host.run(samples)) == 0
    assert twin.forecaster is not None
    assert twin.forecaster.result().status == Status.OK
    # Another start, from what was saved; then one with the history of a counter that is ahead.
    for places in (twin.saved[-1:], twin.saved[5:6]):
        host.write_fram(0, places[0])
        host.write_fram(1, bytes(len(places[0])))
        assert host.power_on() == 0
        assert host.forecast_fram is not None
        twin.power_on(places[0], newest_state(host.forecast_fram))
        twin.run(steady(2))
        assert differences(host, twin, host.run(steady(2))) == 0


def test_power_cuts_leave_the_old_or_the_new_history(model_file: Path, graph: IntGraph, tmp_path: Path):
    charges, config = load_graph(model_file), Config(NOMINAL_MAH, max_gap_ms=120_000)
    board = BoardFirmware(charges, config, tmp_path, forecast=graph, frame_ms=FRAME_MS, steps_per_tick=1)
    twin = Twin(charges, config, graph)
    assert board.power_on() == 0
    board.run(steady(60))
    twin.run(steady(60))
    one = steady(1)
    total = 1000
    while board.run_until_cut(one, total):
        assert board.forecast_fram is not None
        twin.power_on(newest_state(board.fram), newest_state(board.forecast_fram))
        assert board.power_on() == 0
        total = total * 5 // 4
    twin.run(one)
    rng = np.random.default_rng(5)
    outcomes: Counter[str] = Counter()
    for _ in range(120):
        branch = copy.deepcopy(twin)
        branch.run(one)
        cut = board.run_until_cut(one, int(rng.integers(total // 3, total)))
        places = board.forecast_fram
        assert places is not None
        history = newest_state(places)
        assert history in [*twin.forecast_saved[-1:], *branch.forecast_saved[len(twin.forecast_saved) :]]
        outcomes["cut" if cut else "over"] += 1
        outcomes["new"] += history != twin.forecast_saved[-1]
        if not cut:
            twin = branch
            continue
        assert board.power_on() == 0
        twin.power_on(newest_state(board.fram), history)
    print(f"\npower cuts: {dict(outcomes)}")
    assert outcomes["cut"] > 50
    assert outcomes["new"]
    # And life goes on as it would have.
    twin.frames.clear()
    twin.run(steady(3))
    assert differences(board, twin, board.run(steady(3))) == 0
