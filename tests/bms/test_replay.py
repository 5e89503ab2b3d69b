"""A cell's life in front of the simulated board, and the figures of an integration."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.drive import drawn_life
from edgebat.bms.measure import cost_table, measure_bms
from edgebat.bms.replay import unseen_cells
from edgebat.data.readers.raw import RawCell
from edgebat.data.synthetic import make_fleet
from edgebat.errors import DataError, ToolError
from edgebat.graph import load_graph, save_graph
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import find_compiler
from edgebat.tasks.health import HealthSpec, health_windows, increments_from_curve
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import Config
from tests.any_window_model import any_window_graph, with_domain
from tests.bms_samples import feed, raw_life
from tests.conftest import tiny_model
from tests.tiny_forecast import forecast_graph

Command = Callable[..., tuple[int, str, str]]


def test_drawn_charges_give_the_increments_of_the_curve(spec: HealthSpec):
    history = next(iter(make_fleet(seed=99, cells=1, max_cycles=60).histories()))
    levels = [round(v * 1e6) for v in spec.levels_v]
    curves = dict(zip(history.charge_cycle.tolist(), history.charge_dq_ah, strict=True))
    found = 0
    counter = ChargeCounter(levels, Config(round(history.nominal_ah * 1000), max_gap_ms=120_000))
    for cycle in drawn_life(history, spec, most_cycles=8):
        rows = feed(counter, cycle.samples)
        if cycle.number not in curves:
            assert not rows
            continue
        expected = increments_from_curve(history.charge_voltage_v, curves[cycle.number][None], history.nominal_ah, spec)
        if np.isfinite(expected).all():
            assert len(rows) == 1
            np.testing.assert_allclose(np.array(rows[0]) / 1e6, expected[0], rtol=0.03)
            found += 1
    assert found >= 4


def test_a_model_of_any_window_is_replayed_through_whole_charges(command: Command, tmp_path: Path):
    """A tenth of nominal flows before its first window, so that a charge has to go on beyond the lowest."""
    save_graph(any_window_graph(), tmp_path / "any.ebat")
    out = tmp_path / "replayed"
    code, _, errors = command(
        "replay", tmp_path / "any.ebat", "--cells", "1", "--cycles", "8", "-t", "host", "--out", out
    )
    assert code == 0, errors
    (cell,) = json.loads((out / "replay.json").read_text())["cells"]
    assert cell["mismatches"] == 0
    assert cell["estimates"] >= 6
    # It reads what a charge gives: no figure of another reading stands beside the device's.
    assert "corpus_rmse_shared" not in cell


def test_recorded_samples_keep_their_time_or_are_drawn_at_a_rate():
    cell = RawCell(
        "one",
        time_s=np.array([0.0, 10.0, 25.0, 0.0, 5.0]),
        voltage_v=np.array([3.6, 3.61, 3.62, 3.7, 3.71]),
        current_a=np.array([1.0, 1.0, 2.0, -1.0, -1.0]),
        cycle=np.array([1, 1, 1, 2, 2]),
    )
    first, second = raw_life(cell)
    assert first.samples["dt_ms"].tolist() == [0, 10_000, 15_000]
    assert first.samples["current_ma"].tolist() == [1000, 1000, 2000]
    assert second.samples["dt_ms"].tolist() == [0, 5000]
    drawn = next(iter(raw_life(cell, tick_ms=1000)))
    assert len(drawn.samples) == 26
    assert drawn.samples["cell_mv"][5] == 3605


def test_a_replay_writes_figure_tables_frames_and_database(command: Command, spec: HealthSpec, tmp_path: Path):
    windows = health_windows(make_fleet(seed=98, cells=6, max_cycles=60), spec)
    model_file = tiny_model(windows, tmp_path / "tiny.ebat")
    out = tmp_path / "replayed"
    code, text, errors = command(
        "replay", model_file, "--cells", "1", "--cycles", "30", "--cut-every", "6", "--out", out
    )
    assert code == 0, errors
    assert "figure:" in text
    summary = json.loads((out / "replay.json").read_text())
    (cell,) = summary["cells"]
    assert cell["mismatches"] == 0
    assert cell["cuts"] > 0
    assert cell["device_rmse"] == cell["numpy_rmse"]
    assert (out / "replay.svg").read_text().startswith("<svg")
    rows = list(csv.DictReader((out / "replay.csv").read_text().splitlines()))
    assert len(rows) + cell["cuts"] == 30
    (log,) = out.glob("*.log")
    lines = log.read_text().splitlines()
    assert len(lines) == cell["frames"]
    cantools = pytest.importorskip("cantools")
    database = cantools.database.load_file(out / "tiny.dbc")
    identifier, data = lines[-4].split(" ")[2].split("#")
    signals = database.decode_message(int(identifier, 16), bytes.fromhex(data))
    assert {"SOH", "SOH_Sigma", "RUL", "Status", "Source", "Alive"} == set(signals)


def test_a_quiet_replay_writes_and_says_nothing(command: Command, spec: HealthSpec, tmp_path: Path):
    windows = health_windows(make_fleet(seed=98, cells=6, max_cycles=60), spec)
    model_file = tiny_model(windows, tmp_path / "tiny.ebat")
    quiet = ("replay", model_file, "--target", "host", "--cells", "1", "--cycles", "12", "-q", "--out")
    assert command(*quiet, tmp_path / "out") == (0, "", "")
    assert (tmp_path / "out/replay.svg").is_file()
    # In a folder of its own: a process loads the firmware of a folder once, and its battery would live on.
    code, text, errors = command(*quiet, tmp_path / "other", "--json")
    assert (code, errors) == (0, "")
    assert json.loads(text)["cells"][0]["mismatches"] == 0


def test_a_replay_needs_cells_the_model_has_not_seen(command: Command, model_file: Path, tmp_path: Path):
    code, _, errors = command("replay", model_file, "--cell", "nobody", "--out", tmp_path / "x")
    assert code == 2
    assert "no charge curves of nobody" in errors
    code, _, errors = command("replay", model_file, "--target", "moon", "--out", tmp_path / "x")
    assert code == 2
    assert "allowed: board, host" in errors
    graph = load_graph(model_file)
    fleet = make_fleet(seed=99, cells=2, max_cycles=30)
    chosen = unseen_cells(graph, fleet, ["/".join(fleet.keys[1])], 5)
    assert [h.key for h in chosen] == [fleet.keys[1]]
    with pytest.raises(DataError):
        unseen_cells(graph, fleet, ["nobody"], 5)


@pytest.mark.parametrize(("compiler", "flash", "push"), [("gcc", 9_800, 500), ("zig", 10_950, 550)])
def test_every_call_stays_within_its_stack_and_the_estimator_in_its_flash(
    model_file: Path, compiler: str, flash: int, push: int
):
    """Of gcc 12.2 and clang 22 at -O2. Clang unrolls, and keeps 64-bit numbers in more registers."""
    try:
        find_compiler(load_target("cortex-m4f"), compiler)
    except ToolError as error:
        pytest.skip(str(error))
    cost = measure_bms(load_graph(model_file), "cortex-m4f", compiler)
    calls = {call.function: call for call in cost.calls}
    assert {"edgebat_push", "edgebat_step", "edgebat_result", "edgebat_state_get", "edgebat_selftest"} <= calls.keys()
    assert max(call.stack for call in cost.calls) <= 256
    assert calls["edgebat_push"].median < push
    assert calls["edgebat_push"].most < 5000
    assert cost.flash_estimator < flash
    assert cost.ram_battery <= 328
    assert "tiny" in cost_table([cost])


def test_the_cost_of_a_model_of_any_window_is_that_of_asking_it():
    """Also where a charge through the lowest window is no more than flows before the first one is read."""
    graph = any_window_graph()
    ground = {**graph.meta["ground"], "rows": {**graph.meta["ground"]["rows"]}}
    ground["rows"]["low_ppm"] = (10_000,) * 4 + (0,) * 3
    ground["rows"]["high_ppm"] = (46_000,) * 4 + (2**31 - 1,) * 3
    graph = replace(graph, meta={**graph.meta, "ground": ground})
    scored = with_domain(graph, 2**31 - 1)
    step, with_score = (
        next(call for call in measure_bms(each).calls if call.function == "edgebat_step") for each in (graph, scored)
    )
    assert step.most > 1000
    assert with_score.calls == step.calls
    assert with_score.most >= step.most


def test_a_replay_with_a_forecaster_shows_what_is_to_come(command: Command, spec: HealthSpec, tmp_path: Path):
    windows = health_windows(make_fleet(seed=98, cells=6, max_cycles=60), spec)
    model_file, forecast_file = tiny_model(windows, tmp_path / "tiny.ebat"), tmp_path / "trend.ebat"
    save_graph(forecast_graph(), forecast_file)
    out = tmp_path / "replayed"
    arguments = ("--forecast", forecast_file, "--cells", "1", "--cycles", "90", "--cut-every", "12", "--out", out)
    code, text, errors = command("replay", model_file, *arguments)
    assert code == 0, errors
    assert "persistence" in text
    summary = json.loads((out / "replay.json").read_text())
    (cell,) = summary["cells"]
    assert (summary["forecast"], cell["mismatches"]) == ("trend", 0)
    assert cell["cuts"] > 0
    assert cell["forecasts"] > 5
    assert np.isfinite([cell["forecast_mae"], cell["persistence_mae"]]).all()
    assert all(len(outlook["points"]) == 8 for outlook in cell["outlooks"])
    rows = list(csv.DictReader((out / "replay.csv").read_text().splitlines()))
    assert {row["outlook_status"] for row in rows[:40]} == {"WARMUP"}
    assert {row["Outlook_in_96"] for row in rows[:40]} == {""}
    assert rows[-1]["outlook_status"] == "OK"
    assert "forecasts, 96 cycles" in (out / "replay.svg").read_text()
    cantools = pytest.importorskip("cantools")
    database = cantools.database.load_file(out / "tiny.dbc")
    (log,) = out.glob("*.log")
    frames = [line.split(" ")[2].split("#") for line in log.read_text().splitlines()]
    decoded = [database.decode_message(int(i, 16), bytes.fromhex(data)) for i, data in frames[-9:]]
    names = set().union(*decoded)
    assert {"SOH", "Cycles_to_EOL", "Outlook_in_12", "Outlook_in_96", "Outlook_Status", "SOH_Newest"} <= names
    (last,) = (found["Cycles_to_EOL"] for found in decoded if "Cycles_to_EOL" in found)
    assert (rows[-1]["cycles_to_eol"] or "unknown") == str(last)
    assert {row["cycles_to_eol"] for row in rows[:40]} == {""}
    assert "NaN" not in (out / "replay.json").read_text()


def test_each_model_has_its_place_on_the_board(command: Command, model_file: Path, tmp_path: Path):
    save_graph(forecast_graph(), tmp_path / "trend.ebat")
    code, _, errors = command("replay", model_file, "--forecast", model_file, "--out", tmp_path / "x")
    assert code == 2
    assert "reads charges; the forecaster needs" in errors
    code, _, errors = command("replay", tmp_path / "trend.ebat", "--out", tmp_path / "x")
    assert code == 2
