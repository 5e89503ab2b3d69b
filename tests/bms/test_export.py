"""`edgebat export MODEL --to c`: the exported folders, compiled as they are, run, and compared with Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgebat.bms import ports
from edgebat.bms.estimator import Estimator, Sample, Status
from edgebat.bms.forecaster import Forecaster
from edgebat.graph import IntGraph, load_graph, save_graph
from edgebat.tasks.health.charge_types import Config
from tests.c_host import c_compiler, call
from tests.tiny_forecast import forecast_graph

Command = Callable[..., tuple[int, str, str]]

OF_ZEPHYR = {"edgebat_zephyr.c", "edgebat_settings.c", "edgebat_port_config.c"}
"""Files of the port that need Zephyr itself."""

HEALTH = """#include <stddef.h>
#include <stdio.h>
#include "soh_bms.h"

int main(void)
{
    static soh_work_t work;
    static edgebat_t battery;
    static edgebat_config_t config;
    const edgebat_sample_t sample = {1000, 1000U, 3700, 250, EDGEBAT_VALID_ALL};
    edgebat_result_t result;

    if ((edgebat_config_default(&config, 2000U) != EDGEBAT_OK) ||
        (edgebat_init(&battery, &soh_model, &config, &work, NULL, 0U) != EDGEBAT_OK) ||
        (edgebat_push(&battery, &sample) != EDGEBAT_OK) || (edgebat_result(&battery, &result) != EDGEBAT_OK)) {
        return 1;
    }
    printf("%u %u %u\\n", (unsigned)result.soh_cpct, (unsigned)result.status, (unsigned)result.warmup);
    return 0;
}
"""

FORECAST = """#include <stddef.h>
#include <stdio.h>
#include "trend_bms.h"

int main(void)
{
    static trend_work_t work;
    static edgebat_forecast_t forecast;
    static edgebat_result_t health;
    edgebat_forecast_result_t outlook;
    unsigned i;

    if (edgebat_forecast_init(&forecast, &trend_model, 1U, &work, NULL, 0U) != EDGEBAT_OK) {
        return 1;
    }
    for (i = 1U; i <= 60U; i++) {
        health.cycle = i;
        health.model_cpct = (uint16_t)(10000U - i);
        if (edgebat_forecast_push(&forecast, &health) != EDGEBAT_OK) {
            return 2;
        }
    }
    while (edgebat_forecast_step(&forecast) == EDGEBAT_BUSY) {
    }
    if (edgebat_forecast_result(&forecast, &outlook) != EDGEBAT_OK) {
        return 3;
    }
    for (i = 0U; i < outlook.points; i++) {
        printf("%u ", (unsigned)outlook.points_cpct[i]);
    }
    printf("%u\\n", (unsigned)outlook.eol_cycles);
    return 0;
}
"""


@pytest.fixture
def forecast(tmp_path: Path) -> IntGraph:
    graph = forecast_graph()
    save_graph(graph, tmp_path / "forecast.ebat")
    return graph


def answer(program: str, *folders: Path) -> str:
    """What ``program`` prints with the exported folders; a file that two of them hold is compiled once."""
    folders = tuple(inner for folder in folders for inner in (folder, folder / "bms"))
    sources = {path.name: path for folder in folders for path in folder.glob("*.c")}
    return built(program, list(folders), list(sources.values()))


def built(program: str, include: list[Path], sources: list[Path]) -> str:
    main = include[0].parent / "main.c"
    main.write_text(program)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", *(f"-I{folder}" for folder in include)]
    call([c_compiler(), *flags, main, *sources, "-o", main.with_suffix("")])
    return subprocess.run([main.with_suffix("")], capture_output=True, text=True, check=True).stdout


def expected_outlook(graph: IntGraph, health: IntGraph) -> str:
    """What the program of a forecast prints, from the forecaster in Python."""
    forecaster = Forecaster(graph, 1)
    before = Estimator(health, Config(2000)).result()
    for cycle in range(1, 61):
        forecaster.push(replace(before, cycle=cycle, model_cpct=10_000 - cycle, age_cycles=0, status=Status.OK))
    forecaster.settle()
    outlook = forecaster.result()
    assert outlook.points == 8
    return " ".join(str(value) for value in (*outlook.points_cpct, outlook.eol_cycles)) + "\n"


def test_a_health_model_comes_with_the_estimator(command: Command, model_file: Path, tmp_path: Path) -> None:
    code, out, err = command("export", model_file, "--to", "c", "--name", "soh", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert {Path(line) for line in out.split()} == {*(tmp_path / "c").rglob("*.*"), tmp_path / "soh.golden.json"}
    assert not list((tmp_path / "c").rglob("*forecast*"))
    estimator = Estimator(load_graph(model_file), Config(2000))
    estimator.push(Sample(cell_mv=3700, current_ma=1000, dt_ms=1000))
    result = estimator.result()
    expected = f"{result.soh_cpct} {int(result.status)} {result.warmup}\n"
    assert answer(HEALTH, tmp_path / "c/soh") == expected


def test_a_forecast_model_comes_with_the_forecaster(
    command: Command, model_file: Path, forecast: IntGraph, tmp_path: Path
) -> None:
    code, out, err = command("export", tmp_path / "forecast.ebat", "--to", "c", "--name", "trend", "--out", tmp_path)
    assert (code, err) == (0, "")
    names = {Path(line).name for line in out.split()}
    assert {"trend_bms.c", "edgebat_forecast.h", "edgebat_forecast_can.c"} <= names
    assert "edgebat_estimate.c" not in names
    expected = expected_outlook(forecast, load_graph(model_file))
    assert answer(FORECAST, tmp_path / "c/trend") == expected
    # Both models in one firmware.
    command("export", model_file, "--to", "c", "--name", "soh", "--out", tmp_path)
    assert answer(FORECAST, tmp_path / "c/trend", tmp_path / "c/soh") == expected


def test_a_model_that_can_serve_neither_says_why(command: Command, model_file: Path, tmp_path: Path) -> None:
    graph = load_graph(model_file)
    bare = replace(graph, meta={key: value for key, value in graph.meta.items() if key != "task"})
    save_graph(bare, tmp_path / "bare.ebat")
    code, out, err = command("export", tmp_path / "bare.ebat", "--to", "c", "--name", "soh", "--out", tmp_path)
    assert code == 0
    assert "soh.c" in out
    assert "no c/soh/bms: model" in err
    assert "does not say which task it was trained for" in err
    assert not (tmp_path / "c/soh/bms").exists()


def test_a_port_takes_a_forecast_model_along(
    command: Command, model_file: Path, forecast: IntGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "integration_files", lambda *_, **_options: {})  # measures the model
    out = tmp_path / "out"
    to = ("--forecast", tmp_path / "forecast.ebat", "--name", "soh", "--out", out)
    code, _, _ = command("export", model_file, "--port", "zephyr", *to)
    assert code == 0
    assert "BO_ 1764 EDGEBAT_Outlook" in (out / "integration/soh.dbc").read_text()
    alone = ports.port_files(load_graph(model_file), ports.load_port("zephyr"), "soh")
    for path, content in alone.items():
        assert path == "CMakeLists.txt" or (out / path).read_bytes() == content
    assert all(path.name in (out / "CMakeLists.txt").read_text() for path in out.glob("src/*forecast*.c"))
    program = FORECAST.replace("trend_", "soh_trend_")
    sources = [*out.glob("src/soh*.c"), *(path for path in out.glob("src/edgebat_*.c") if path.name not in OF_ZEPHYR)]
    assert built(program, [out / "include", out / "src"], sources) == expected_outlook(forecast, load_graph(model_file))


def test_a_port_of_one_file_and_a_wrong_model_are_refused(
    command: Command, model_file: Path, forecast: IntGraph, tmp_path: Path
) -> None:
    out, trend = tmp_path / "out", tmp_path / "forecast.ebat"
    for arguments, reason in (
        (("--port", "generic", "--forecast", trend), "its C is one file, which holds one model"),
        (
            ("--port", "zephyr", "--forecast", model_file),
            "reads charges; the forecaster needs one that reads a history",
        ),
        (("--forecast", trend), "--forecast belongs to a firmware"),
    ):
        code, _, err = command("export", model_file, "--out", out, *arguments)
        assert code == 2
        assert reason in " ".join(err.split())
        assert not out.exists()
