"""The command line: exit codes, errors on one line, help with examples, and what is left of it without its extra."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgebat import __version__
from edgebat.evaluate import CellScores, Evaluation
from edgebat.report.tables import evaluation_table, number, show
from edgebat.tasks.health import HealthWindows

Command = Callable[..., tuple[int, str, str]]
VERBS = ("run", "data", "train", "distill", "quantize", "export", "verify", "bench", "report", "predict", "evaluate", "info",
         "replay", "zoo", "settings", "targets", "doctor", "init", "search", "evidence")  # fmt: skip


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"edgebat {__version__}\n", "")


def test_help_lists_every_verb(command: Command) -> None:
    code, out, _ = command("--help")
    assert code == 0
    for verb in VERBS:
        assert verb in out


def test_ports_and_adapters_are_listed_without_a_model(command: Command) -> None:
    for option, name in (("--port", "zephyr"), ("--adapter", "dronecan")):
        code, out, _ = command("export", option, "list")
        assert (code, f"\n{name} " in out) == (0, True)
    code, _, err = command("export", "--to", "c")
    assert (code, "needs a model file or a recipe" in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("targets", "doctor")])
def test_the_help_of_a_verb_teaches_by_example(command: Command, verb: str) -> None:
    code, out, _ = command(verb, "--help")
    assert code == 0
    assert f"edgebat {verb} " in out


def test_a_verb_with_verbs_below_it_lists_them(command: Command) -> None:
    for ask in ("--help", "-h"):
        code, out, _ = command("bench", ask)
        assert code == 0
        assert {"model", "peers", "check", "accept"} <= {
            line.strip("│ ").partition(" ")[0] for line in out.splitlines()
        }
    assert "--layers" in command("bench", "model", "--help")[1]


def test_wrong_use_is_exit_code_2(command: Command) -> None:
    assert command("run")[0] == 2
    assert command("no-such-verb")[0] == 2


def test_an_error_is_one_message_on_standard_error(command: Command) -> None:
    code, out, err = command("run", "no-such-recipe")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: there is no recipe 'no-such-recipe'; give a YAML file or one of the shipped recipes: demo"
    )
    assert "Traceback" not in err


def test_debug_shows_the_trace_wherever_it_stands(command: Command) -> None:
    assert "Traceback" in command("run", "no-such-recipe", "--debug")[2]
    assert "Traceback" in command("--debug", "run", "no-such-recipe")[2]


def test_a_fault_of_edgebat_is_told_from_a_mistake_of_the_user(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("one half [of it]")

    monkeypatch.setattr("edgebat.describe.describe", broken)
    code, _, err = command("info", "x.ebat")
    assert code == 1
    assert "internal error: ZeroDivisionError: one half [of it]" in err
    assert "--debug" in err


def test_measured_cells_are_asked_for(command: Command, tmp_path: Path) -> None:
    code, _, err = command("data", "health-tongji", "--runs", tmp_path)
    assert code == 2
    assert "--corpus PATH or set EDGEBAT_CORPUS" in err
    code, _, err = command("data", "health-tongji", "--runs", tmp_path, "--corpus", tmp_path)
    assert code == 2
    assert "cells.csv, capacity.parquet is missing" in err


def test_targets_as_table_and_as_json(command: Command) -> None:
    assert "cortex-m0plus" in command("targets")[1]
    names = {row["name"] for row in json.loads(command("targets", "--json")[1])}
    assert {"cortex-m0plus", "cortex-m4f", "cortex-m33", "rv32imc", "raspberry-pi", "host"} <= names


def test_doctor_names_the_command_for_what_is_missing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    version = metadata.version

    def without_unicorn(package: str) -> str:
        if package == "unicorn":
            raise metadata.PackageNotFoundError
        return version(package)

    monkeypatch.setattr("edgebat.report.tables.metadata.version", without_unicorn)
    monkeypatch.setenv("COLUMNS", "200")
    assert 'pip install "edgebat[sim]"' in command("doctor")[1]


def test_info_says_task_layers_and_origin(command: Command, model_file: Path) -> None:
    code, out, _ = command("info", model_file)
    assert code == 0
    assert "dense              -> int16 [4]" in out
    assert "context = 3" in out
    assert "recipe = made-up" in out


def test_without_the_extra_two_verbs_are_left(model_file: Path, windows: HealthWindows, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", windows.x[:2])
    hidden = "import sys; sys.modules['typer'] = None; from edgebat.__main__ import main; sys.exit(main(sys.argv[1:]))"

    def edgebat(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", hidden, *map(str, arguments)], capture_output=True, text=True)

    assert edgebat("info", model_file).returncode == 0
    done = edgebat("predict", model_file, tmp_path / "windows.npy", "--json")
    assert len(json.loads(done.stdout)["windows"]) == 2
    refused = edgebat("run", "demo")
    assert refused.returncode == 2
    assert refused.stderr == 'edgebat run: this verb needs more than NumPy; run: pip install "edgebat[cli]"\n'
    missing = edgebat("info", tmp_path / "no.ebat")
    assert missing.returncode == 2
    assert "there is no model file" in missing.stderr


def test_without_the_extra_a_newcomer_is_helped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgebat.__main__ import small_cli

    assert small_cli([]) == 2
    assert "VERB" in capsys.readouterr().out
    assert small_cli(["predict", "demo-lstm", str(tmp_path)]) == 2
    assert f'{tmp_path} is a folder; give one file, or for a folder of logs: pip install "edgebat[cli,data]"' in (
        capsys.readouterr().err
    )


def test_a_misspelt_ready_student_gets_a_suggestion(command: Command, tmp_path: Path) -> None:
    assert "Did you mean demo-lstm?" in command("predict", "demo-lsmt", tmp_path / "x.csv")[2]
    assert "ready ones: edgebat zoo list" in command("predict", "something-else", tmp_path / "x.csv")[2]


def test_values_set_in_the_examples_exist() -> None:
    import re

    from edgebat.runs.recipe import load_recipe

    source = (Path(__file__).parents[2] / "edgebat" / "cli" / "recipe.py").read_text()
    settings = re.findall(r"--set ([\w.]+=\w+)", source)
    assert len(settings) >= 4
    assert load_recipe("demo", settings).name == "demo"


def test_counts_are_exact_and_errors_beyond_measure_are_short() -> None:
    assert number(1_383_828, 0) == "1,383,828"
    assert number(999_999.94, 1) == "999,999.9"
    assert number(8.46e19, 1) == "8e+19"
    assert number(float("nan"), 1) == "–"


@pytest.mark.parametrize("terminal", [True, False])
def test_no_number_is_cut_off_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str], terminal: bool) -> None:
    scores = {"cells": 42, "rmse": 83.1, "mae": 60.4, "mape": 8.7, "rul_rmse": 80.7, "soh_rmse": 1.65}
    cell = CellScores("MATR", "b1c0", False, {"life": 1852.0, "predicted": 2101.0})
    note = 'run: pip install "edgebat[baselines]"'
    result = Evaluation(
        model="matr.safetensors",
        corpus="corpus",
        kind="teacher diffbatt",
        task_kind="life",
        task={},
        cells=[cell],
        datasets={},
        all=scores,
        unseen=scores,
        baselines={},
        notes=[note],
        left_out={},
    )
    show(evaluation_table(result), console=Console(width=40, force_terminal=terminal, color_system=None))
    lines = capsys.readouterr().out.splitlines()
    assert "SOH RMSE" in " ".join(lines)
    assert note in lines[-1]
    said = [line.split()[-6:] for line in lines if line.startswith("all")]
    assert said == 2 * [["42", "83.1", "60.4", "8.7", "80.7", "1.65"]]
