"""A run folder knows which steps are finished, and redoes exactly what a change touches."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgebat.errors import DataError
from edgebat.files import atomic_write
from edgebat.runs.folder import Outcome, RunFolder, Step, StepFailed, versions


class Counting:
    """An action that writes a file, says what it was told, and counts its calls."""

    def __init__(self, folder: RunFolder, name: str, text: str = "made") -> None:
        self.folder, self.name, self.text, self.calls = folder, name, text, 0

    def __call__(self) -> Outcome:
        self.calls += 1
        self.folder.file(f"out/{self.name}").write_text(self.text)
        return Outcome([f"out/{self.name}"], {"text": self.text})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_a_finished_step_is_finished(folder: RunFolder) -> None:
    step = Step("a", "a", "first", Counting(folder, "a"), config={"epochs": 3})
    assert not folder.finished(step)
    record = folder.run(step)
    assert record.outputs.keys() == {"out/a"}
    assert folder.finished(step)
    assert folder.results("a") == {"text": "made"}


@pytest.mark.parametrize("change", ["config", "output", "record", "deleted"])
def test_what_makes_it_unfinished(folder: RunFolder, change: str) -> None:
    folder.run(Step("a", "a", "first", Counting(folder, "a"), config={"epochs": 3}))
    if change == "output":
        (folder.path / "out/a").write_text("tampered")
    elif change == "deleted":
        (folder.path / "out/a").unlink()
    elif change == "record":
        (folder.path / "steps/a.json").write_text('{"fingerprint": "cut off')
    epochs = 4 if change == "config" else 3
    assert not folder.finished(Step("a", "a", "first", Counting(folder, "a"), config={"epochs": epochs}))


def test_a_step_is_redone_when_what_it_needs_comes_out_differently(folder: RunFolder) -> None:
    second = Step("b", "b", "second", Counting(folder, "b"), needs=("a",))
    folder.run(Step("a", "a", "first", Counting(folder, "a", "one")))
    folder.run(second)
    # The same result from another configuration does not touch what comes after.
    folder.run(Step("a", "a", "first", Counting(folder, "a", "one"), config={"threads": 2}))
    assert folder.finished(second)
    folder.run(Step("a", "a", "first", Counting(folder, "a", "two")))
    assert not folder.finished(second)


def test_a_change_of_the_source_code_counts(folder: RunFolder) -> None:
    one = Step("a", "a", "first", Counting(folder, "a"), entry=("edgebat.files",))
    other = replace(one, entry=("edgebat.files", "edgebat.paths"))
    assert folder.fingerprint(one) != folder.fingerprint(other)
    assert one.code != replace(one, entry=("edgebat.paths",)).code
    # What an action of edgebat reaches counts without being named.
    assert replace(one, action=versions, entry=()).code != replace(one, action=atomic_write, entry=()).code


def test_a_step_is_redone_when_a_tool_it_missed_has_appeared(folder: RunFolder, tmp_path: Path) -> None:
    tool = tmp_path / "arm-none-eabi-gcc"
    step = Step("a", "a", "first", Counting(folder, "a"), missing=lambda: set() if tool.exists() else {tool.name})
    assert folder.run(step).missing == ["arm-none-eabi-gcc"]
    assert folder.finished(step)
    tool.touch()
    assert not folder.finished(step)
    assert folder.run(step).missing == []
    # What was measured with it stays when it goes.
    tool.unlink()
    assert folder.finished(step)


def test_the_running_step_has_checkpoints_and_reads_what_it_needs(folder: RunFolder) -> None:
    seen = {}

    def look() -> Outcome:
        seen["scratch"], seen["before"] = folder.scratch("b"), folder.results_before()
        return Outcome()

    folder.run(Step("a", "a", "first", Counting(folder, "a")))
    second = Step("b", "b", "second", look, needs=("a",))
    folder.run(second)
    assert seen["scratch"] == folder.path / "checkpoints" / f"b-{folder.fingerprint(second)[:12]}"
    assert seen["before"] == {"a": {"text": "made"}}
    with pytest.raises(RuntimeError, match="belong to a step"):
        folder.scratch("b")
    with pytest.raises(RuntimeError, match="no step runs"):
        folder.results_before()


def test_a_failing_step_says_which_and_how_to_go_on(folder: RunFolder) -> None:
    def broken() -> Outcome:
        raise DataError("cell 7 has no voltage")

    with pytest.raises(StepFailed) as caught:
        folder.run(Step("data", "data", "cells and windows", broken))
    assert "step 'data' (cells and windows) failed: cell 7 has no voltage" in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert folder.record("data") is None


def test_asking_for_a_step_that_was_not_run(folder: RunFolder) -> None:
    with pytest.raises(StepFailed, match="no result of step 'teacher'"):
        folder.results("teacher")


def test_time_is_kept_beside_the_results_and_not_in_the_fingerprint(folder: RunFolder) -> None:
    step = Step("a", "a", "first", Counting(folder, "a"))
    before = folder.run(step).fingerprint
    record = json.loads((folder.path / "steps/a.json").read_text())
    assert record["seconds"] >= 0
    assert folder.run(step).fingerprint == before
