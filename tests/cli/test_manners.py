"""How the command line speaks: in logs, quietly, as JSON, on narrow terminals, and to a shell that completes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgebat.__main__ import main
from edgebat.bench import render
from edgebat.cli.main import app
from edgebat.report.tables import (
    accuracy_table,
    cells_table,
    doctor_table,
    equality_table,
    installed_parts,
    show,
    target_list,
    targets_table,
)
from edgebat.runs.progress import StepProgress
from edgebat.tasks.base import task
from tests.cli.test_run import RECIPE

Command = Callable[..., tuple[int, str, str]]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The arguments of a run whose teacher is trained."""
    place = tmp_path_factory.mktemp("manners")
    (place / "tiny.yaml").write_text(RECIPE)
    arguments = (str(place / "tiny.yaml"), "--runs", str(place / "runs"))
    assert main(["train", *arguments, "--quiet"]) == 0
    return arguments


def test_a_log_tells_where_the_run_is_without_control_characters(ready: tuple[str, ...], command: Command) -> None:
    code, out, err = command("train", *ready, "--set", "teacher.fit.epochs=3")
    assert (code, err) == (0, "")
    assert not CONTROL.search(out)
    lines = out.splitlines()
    assert lines.index("  = cells, windows, split  (kept)") < lines.index("  > teacher ic2ml")
    epochs = [line for line in lines if line.startswith("      epoch ")]
    assert [line.split(",")[0].strip() for line in epochs] == [f"epoch {n} of 3" for n in (1, 2, 3)]
    assert all(re.search(r"validation loss \d+\.\d{4}$", line) for line in epochs)


def test_colours_that_were_asked_for_move_no_cursor_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = StringIO()
    with StepProgress(Console(file=stream)) as progress:
        progress.start("teacher")
        progress.epochs(0)({"epoch": 0.0, "train_loss": 0.5})
        progress.done("teacher", 1.0)
    # Select Graphic Rendition (colours) alone.
    assert set(re.findall(r"\x1b\[[\d;?]*([A-Za-z])", stream.getvalue())) <= {"m"}
    assert "epoch 1, training loss 0.5000" in stream.getvalue()


@pytest.mark.parametrize(("total", "lines"), [(0, 10), (7, 7), (1000, 10)])
def test_a_long_training_does_not_flood_a_log(total: int, lines: int) -> None:
    stream = StringIO()
    with StepProgress(Console(file=stream)) as progress:
        progress.start("teacher")
        advance = progress.epochs(total)
        for epoch in range(total or 1000):
            advance({"epoch": float(epoch), "val_loss": 1.0})
    assert stream.getvalue().count("epoch") == lines


def test_quiet_prints_nothing_but_errors(ready: tuple[str, ...], command: Command) -> None:
    assert command("train", *ready, "--quiet") == (0, "", "")
    assert command("data", *ready, "-q") == (0, "", "")
    code, out, err = command("train", *ready, "--quiet", "--set", "nosuch=1")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "nosuch is not a known key" in err


def test_json_is_alone_on_standard_output(ready: tuple[str, ...], command: Command) -> None:
    code, out, err = command("data", *ready, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["stage"] == "data"
    assert found["results"]["data"]["synthetic"] is True
    assert "(kept)" in err
    code, out, err = command("train", *ready, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["results"]["teacher"]["parameters"] > 0


@pytest.mark.parametrize("arguments", [("settings", "distill.fit"), ("targets",), ("doctor",), ("info", "demo"),
                                       ("export", "x", "--port", "list")], ids=" ".join)  # fmt: skip
def test_what_is_printed_is_there_as_json(command: Command, arguments: tuple[str, ...]) -> None:
    code, out, _ = command(*arguments, "--json")
    assert code == 0
    assert json.loads(out)


def test_every_verb_that_prints_results_has_json() -> None:
    import typer

    whole: Any = typer.main.get_command(app)
    verbs = {name: getattr(verb, "commands", {name: verb}) for name, verb in whole.commands.items()}
    without = {
        f"{name} {below}"
        for name, commands in verbs.items()
        for below, verb in commands.items()
        if not any("--json" in parameter.opts for parameter in verb.params)
    }
    assert without == {"zoo get", "zoo add", "init init"}  # they print the files they wrote


CARD_ROW = {"label": "Teacher battery_timer", "learned_from": "teacher", "form": "int8", "parameters": 1234567,
            "best": False, "role": "student", "soh_rmse_pct": 1.234, "trajectory_rmse_pct": 2.345,
            "rul_rmse_cycles": 1234.5}  # fmt: skip
TARGET_ROW = {"model": "lstm", "label": "LSTM", "target": "cortex-m0plus", "built_by": "zig", "skipped": "",
              "flash_bytes": 123456, "ram_bytes": 12345, "stack_bytes": 1234, "instructions": 12345678, "cycles": 23456789,
              "ms": 123.45, "confirmed": None, "lacks": ""}  # fmt: skip
EQUAL_ROW = {"model": "lstm", "engine": "C on cortex-m0plus", "windows": 100000, "outputs": 7000000, "mismatches": 0,
             "max_difference": 0, "expected": "0", "skipped": ""}  # fmt: skip
CONDITION = {"condition": "TJU_NCA, 25 degC, CC 0.5C to 4.2 V, CV to 0.05C", "cells": 12, "train": 7, "val": 2, "test": 3,
             "windows": 123456, "eol": 11}  # fmt: skip


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (lambda: accuracy_table([CARD_ROW, {**CARD_ROW, "form": "float"}], task("health")),
         "Teacher battery_timer yes 1,234,567 1.234 1.234 2.345 1,234.5"),
        (lambda: targets_table([TARGET_ROW]), "cortex-m0plus zig 123,456 12,345 1,234 12,345,678 23,456,789 123.45"),
        (lambda: equality_table([EQUAL_ROW]), "C on cortex-m0plus 100,000 7,000,000 0 0"),
        (lambda: cells_table([CONDITION], "cells"), "12 7 2 3 123,456 11"),
        (lambda: target_list(False), "cortex-m0plus 64 512 "),
        (lambda: doctor_table(installed_parts()), "extra cli ok "),
    ],
    ids=["accuracy", "targets", "equality", "cells", "target list", "doctor"],
)  # fmt: skip
def test_narrow_terminals_keep_their_columns(width: int, content: Callable[[], Any], wanted: str) -> None:
    stream = StringIO()
    show(content(), console=Console(file=stream, width=width, force_terminal=True, color_system=None))
    text = stream.getvalue()
    assert "…" not in text
    # The words stand in one row, whatever stands between them.
    pattern = r"\s+(?:\S.*?)??".join(map(re.escape, wanted.split()))
    assert any(re.search(pattern, line) for line in text.splitlines()), text


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_terminal_keeps_the_columns_of_bench(width: int) -> None:
    from edgebat.bench.tables import Table

    row = ("cortex-m0plus", "zig", "123,456,789", "4.30", "123,456,789 ±7%", "1,234.567", "123,456", "12,345", "=")
    names = (
        "target",
        "by",
        "instructions\n(simulator)",
        "per\nMAC",
        "cycles\n(model)",
        "ms\n(model)",
        "flash",
        "RAM",
        "QEMU",
    )
    stream = StringIO()
    render.print_table(Table("One inference", names, (row,), texts=2),
                       Console(file=stream, width=width, force_terminal=True, color_system=None))  # fmt: skip
    assert " ".join(row) in " ".join(stream.getvalue().split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_verbs_and_options(shell: str) -> None:
    words = {"COMP_WORDS": "edgebat sett", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "edgebat sett",
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "edgebat"], text=True, capture_output=True,
                          env={**os.environ, **words, "_EDGEBAT_COMPLETE": f"complete_{shell}"})  # fmt: skip
    assert "settings" in done.stdout
    assert "report" not in done.stdout.split()


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = {
        "COMP_WORDS": f"edgebat {line}",
        "COMP_CWORD": str(len(line.split())),
        "_EDGEBAT_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-m", "edgebat"], text=True, capture_output=True, env={**os.environ, **words}
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_names_of_recipes_models_targets_and_ports_are_completed() -> None:
    assert completed("run dem") == ["demo"]
    assert completed("predict demo-l") == ["demo-lstm"]
    assert completed("zoo get life-m") == ["life-mlp-best"]
    assert completed("search demo -t cortex-m3") == ["cortex-m3", "cortex-m33"]
    assert completed("export x.ebat --port z") == ["zephyr"]
    assert completed("init my.yaml --task l") == ["life"]
    assert completed("data fetch calce") == ["calce-cs2"]
    assert completed("settings distill.fit") == ["distill.fit"]


def test_data_sets_and_cells_of_the_corpus_are_completed(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("dataset,cell_id\nOWN,a7\nOWN,b1\nOTHER,a7\n")
    assert completed(f"init my.yaml --corpus {tmp_path} --dataset O") == ["OTHER", "OWN"]
    assert completed(f"replay m.ebat --corpus {tmp_path} --cell OWN/a") == ["OWN/a7"]
    assert completed(f"replay m.ebat --corpus {tmp_path / 'none'} --cell OWN/a") == []


def test_files_are_completed_beside_names(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("")
    (tmp_path / "my.ebat").write_text("")
    (tmp_path / "mine").mkdir()
    assert completed(f"run {tmp_path}/m") == [f"{tmp_path}/mine/", f"{tmp_path}/my.yaml"]
    assert completed(f"predict {tmp_path}/m") == [f"{tmp_path}/mine/", f"{tmp_path}/my.ebat"]


def test_the_script_for_a_shell_is_shown(command: Command) -> None:
    assert "--show-completion" in command("--help")[1]
    assert "--install-completion" in command("--help")[1]
