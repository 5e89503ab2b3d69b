"""``edgebat replay MODEL --life ...``"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., tuple[int, str, str]]
ASKED = ("replay", "demo-mlp", "--cell", "NCA-042", "--days", "3", "--twin-days", "1", "--target", "host")


def test_lives_are_led_reported_and_not_led_again(command: Command, tmp_path: Path):
    out = tmp_path / "lives"
    code, text, errors = command(*ASKED, "--life", "ebike", "--life", "taxi", "--lives", "2", "--out", out)
    assert code == 0, errors
    assert "covered" in text
    assert "4 of 4" in errors
    report = json.loads((out / "lives.json").read_text())
    assert set(report["kinds"]) == {"ebike", "taxi"}
    assert [life["kind"] for life in report["lives"]] == ["ebike", "taxi", "ebike", "taxi"]
    assert report["kinds"]["taxi"]["mismatches"] == 0
    assert (out / "lives.svg").read_text().startswith("<svg")
    assert len(list(csv.DictReader((out / "lives.csv").read_text().splitlines()))) == 12

    kept = {path: path.stat().st_mtime_ns for path in (out / "lives").iterdir()}
    assert len(kept) == 4
    (out / "lives" / "taxi-1.json").write_text("half a fi")  # as after a power cut of the computer
    code, again, _ = command(*ASKED, "--life", "ebike", "--life", "taxi", "--lives", "2", "--out", out)
    assert (code, again) == (0, text)
    redone = [path.name for path, at in kept.items() if path.stat().st_mtime_ns != at]
    assert redone == ["taxi-1.json"]


def test_a_life_of_ones_own(command: Command, tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("summary: mine\nday: [{kind: charge, at_h: 8, rate_c: 0.5}]\n")
    code, text, errors = command(*ASKED, "--life", mine, "--json", "--out", tmp_path / "out")
    assert code == 0, errors
    assert json.loads(text)["lives"][0]["kind"] == "mine"


def test_an_unknown_life_is_refused_before_anything_is_built(command: Command, tmp_path: Path):
    code, _, errors = command(*ASKED, "--life", "airliner", "--out", tmp_path / "out")
    assert code == 2
    assert "airliner" in errors
    assert not (tmp_path / "out").exists()


def test_what_a_life_says_itself_is_no_option(command: Command, tmp_path: Path):
    code, _, errors = command(*ASKED, "--life", "ebike", "--cycles", "3", "--out", tmp_path / "out")
    assert code == 2
    assert "--days" in errors
