"""A run folder is of one recipe, and one process works in it at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebat.errors import RecipeError
from edgebat.lock import FolderBusy, only_one
from edgebat.paths import recipes_dir
from edgebat.runs.owner import NOTE, claim
from edgebat.runs.recipe import load_recipe

Command = Callable[..., tuple[int, str, str]]
HOLDER = """
import pathlib, signal, sys, time
from edgebat.lock import only_one
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
with only_one(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that works in ``folder`` until it is ended."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


SHORTEST = "name: mine\ntask: {name: health}\nteacher: {name: ic2ml}\n"


def recipe(folder: Path, text: str = SHORTEST, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_second_process_is_refused_and_its_text_names_the_first(tmp_path: Path) -> None:
    with another_process(tmp_path) as first, pytest.raises(FolderBusy) as caught, only_one(tmp_path):
        pass
    assert f"in use by process {first.pid}, " in str(caught.value)
    assert "wait until it is done and run the same command again, or give another folder: --runs" in str(caught.value)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_ended_blocks_nobody(tmp_path: Path, end: signal.Signals) -> None:
    with another_process(tmp_path) as first:
        first.send_signal(end)
        first.wait()
        with only_one(tmp_path):
            assert (tmp_path / ".lock").exists()


def test_an_interrupted_run_frees_its_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), only_one(tmp_path):
        raise KeyboardInterrupt
    with only_one(tmp_path):
        pass


def test_further_processes_of_one_training_share_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with another_process(tmp_path), only_one(tmp_path):
        pass


def test_the_command_refuses_a_busy_folder(tmp_path: Path, command: Command) -> None:
    with another_process(tmp_path / "runs" / "mine"):
        code, _, err = command("data", recipe(tmp_path), "--runs", tmp_path / "runs")
    assert code == 2
    assert "is in use by process" in " ".join(err.split())
    assert not (tmp_path / "runs" / "mine" / "config.yaml").exists()


def test_a_study_in_a_busy_folder_is_refused_as_well(tmp_path: Path, command: Command) -> None:
    (tmp_path / "cells.csv").touch()  # what is no corpus is refused before any folder is looked at
    with another_process(tmp_path / "runs" / "life-batlinet"):
        code, _, err = command("run", "life-batlinet", "--runs", tmp_path / "runs", "--corpus", tmp_path)
    assert code == 2
    assert "life-batlinet is in use by process" in " ".join(err.split())


def test_another_file_with_the_same_name_is_refused_with_a_way_out(tmp_path: Path, command: Command) -> None:
    runs = tmp_path / "runs"
    mine, other = recipe(tmp_path), recipe(tmp_path, f"{SHORTEST}title: other\n", "other/theirs.yaml")
    claim(runs / "mine", mine)
    code, _, err = command("data", other, "--runs", runs)
    text = " ".join(err.split())
    assert code == 2
    assert str(mine.resolve()) in text
    assert str(other.resolve()) in text
    for way_out in ("choose another name:", "another --runs", "delete"):
        assert way_out in text
    assert not (runs / "mine" / "config.yaml").exists()


def test_an_edited_recipe_keeps_its_folder(tmp_path: Path) -> None:
    claim(tmp_path / "run", recipe(tmp_path))
    claim(tmp_path / "run", recipe(tmp_path, SHORTEST.replace("health", "health, context: 5")))
    with pytest.raises(RecipeError, match="another recipe of the same name"):
        claim(tmp_path / "run", recipe(tmp_path, SHORTEST, "other.yaml"))


def test_an_unchanged_recipe_may_move(tmp_path: Path) -> None:
    claim(tmp_path / "run", recipe(tmp_path))
    moved = recipe(tmp_path, name="moved/mine.yaml")
    claim(tmp_path / "run", moved)
    assert json.loads((tmp_path / "run" / NOTE).read_text())["file"] == str(moved.resolve())


def test_a_shipped_recipe_is_known_by_its_name(tmp_path: Path) -> None:
    claim(tmp_path, recipes_dir() / "demo.yaml")
    assert json.loads((tmp_path / NOTE).read_text())["file"] == "shipped:demo"
    # As another version shipped it.
    (tmp_path / NOTE).write_text(json.dumps({"file": "shipped:demo", "sha256": "0" * 64}))
    claim(tmp_path, recipes_dir() / "demo.yaml")


def test_a_copy_of_the_demo_never_replaces_the_demos_run(tmp_path: Path) -> None:
    claim(tmp_path / "run", recipes_dir() / "demo.yaml")
    text = (recipes_dir() / "demo.yaml").read_text()
    claim(tmp_path / "run", recipe(tmp_path, text))  # the same run: nothing would be done again
    edited = recipe(tmp_path, text + "threads: 2\n")
    with pytest.raises(
        RecipeError, match=r"holds the run of another recipe of the same name, shipped:demo, .*mine\.yaml"
    ):
        claim(tmp_path / "run", edited)
    claim(tmp_path / "run", recipes_dir() / "demo.yaml")


@pytest.mark.parametrize("verb", ["data", "run"])
def test_a_corpus_that_the_recipe_would_not_use_is_refused(
    tmp_path: Path, command: Command, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEBAT_CORPUS", raising=False)
    code, _, err = command(verb, "demo", "--runs", tmp_path / "runs", "--corpus", tmp_path)
    assert code == 2
    assert f"the corpus {tmp_path} would not be used: learn from it with --set data.source=corpus" in " ".join(
        err.split()
    )
    assert not (tmp_path / "runs" / "demo").exists()


def test_a_corpus_of_the_environment_does_not_keep_the_demo_from_running(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBAT_CORPUS", str(tmp_path))
    smaller = ("--set", "data.synthetic.cells=12", "--set", "data.synthetic.max_cycles=120")
    code, _, err = command("data", "demo", "--runs", tmp_path / "runs", *smaller)
    assert code == 0
    assert "EDGEBAT_CORPUS is not used: recipe demo simulates its cells" in err


def test_a_folder_without_a_note_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text('{"file": "cut o')
    claim(tmp_path, recipe(tmp_path))
    assert json.loads((tmp_path / NOTE).read_text())["file"] == str((tmp_path / "mine.yaml").resolve())


def test_a_key_that_nothing_reads_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"verify\.simulator_windows is not a known key"):
        load_recipe(recipe(tmp_path, f"{SHORTEST}verify: {{simulator_windows: 5}}\n"))
