"""``bench.case_files`` and ``bench.rate_gate``: what they count is what the commands and the estimator say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bench import case_files, rate_gate
from bench.file_cases import CASES, asked, healthy, worst
from edgebat.models import load_model

MODEL = "demo-mlp"
FILES = {
    "untouched.csv": "as it is", "again.csv": "as it is", "offset.csv": "voltage 20 mV too high",
    "flipped.csv": "discharging is positive", "fast.csv": "charged at 0.75C",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, case in FILES.items():
        CASES[case](healthy()).write(tmp_path / name)
    (tmp_path / "cases.json").write_text("{}")
    (tmp_path / "make.py").write_text("")
    return tmp_path


def test_each_file_is_counted_once_and_compared(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", str(folder), "--nominal-ah", "3.5", "--like", "untouched.csv"])
    case_files.main()
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in lines if ".csv |" in line}
    assert list(cells) == sorted(FILES)
    log = healthy()
    answer, moved = (asked(CASES[case](log), MODEL, folder) for case in ("as it is", "voltage 20 mV too high"))
    span = f"{len(answer.soh)}, {min(answer.soh):.1f} to {max(answer.soh):.1f} %"
    assert cells["untouched.csv"] == cells["again.csv"] == [f"{span}, 0.0 off", "added"]
    off = np.abs(np.subtract(moved.soh, answer.soh)).max()
    assert cells["offset.csv"][0].endswith(f", {off:.1f} off")
    assert worst(log, moved) > 1.0
    assert (cells["flipped.csv"], cells["fast.csv"]) == (
        ["refused", "refused"],
        ["refused as outside the ground", "added"],
    )
    assert lines[-1].startswith(
        "5 files. predict: 3 answered, 1 refused, 1 refused as outside the ground; data add: 4 added, 1 refused. "
        f"Furthest off: offset.csv {off:.1f}, "
    )


def test_words_of_the_command_line_go_with_their_file(folder: Path) -> None:
    for name in ("offset.csv", "flipped.csv", "fast.csv", "untouched.csv"):
        (folder / name).unlink()
    (row,) = case_files.rows_of(folder, MODEL, 3.5, {"again.csv": "@nom=3500"})
    assert (row.predicted.outcome, row.added.outcome) == ("refused", "refused")
    assert "nominal 3500 Ah" in row.predicted.message
    assert "mAh" in row.added.message


def test_an_error_of_the_command_itself_is_none_of_the_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(case_files, "edgebat", lambda words: 1)
    monkeypatch.setattr(sys, "argv", ["x", str(folder), "--nominal-ah", "3.5"])
    with pytest.raises(SystemExit, match="2"):
        case_files.main()
    assert "predict: 5 ERROR; data add: 5 ERROR" in capsys.readouterr().out


def test_the_gate_refuses_other_rates_than_those_it_states() -> None:
    graph, cell = load_model(MODEL), rate_gate.cell_of("NCA", 200)
    assert cell.soh == pytest.approx(93.3, abs=0.1)
    assert rate_gate.verdict(graph, cell, 0.75).refused == "rate"
    answered = rate_gate.verdict(graph, cell, 0.5)
    assert (answered.refused, abs(answered.off) < 1.5) == ("", True)
    assert rate_gate.row(0.5, [answered, rate_gate.Verdict("rate"), rate_gate.Verdict("gap")]) == (
        f"| 0.5C | 1 | 0 | 1 | {answered.off:+.1f} |"
    )
