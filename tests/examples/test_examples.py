"""The programs and the notebook of ``examples/`` run as they stand, and their files are what the script writes."""

from __future__ import annotations

import csv
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgebat as eb
from edgebat.paths import shipped

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDENTS = ("demo-mlp", "demo-cnn", "demo-lstm")
Command = Callable[..., tuple[int, str, str]]


def truth() -> dict[int, float]:
    with (EXAMPLES / "truth.csv").open(newline="") as stream:
        return {int(row["cycle"]): float(row["soh_percent"]) for row in csv.DictReader(stream)}


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    runpy.run_path(str(EXAMPLES / "make.py"))["main"](tmp_path)
    for name in ("cell.csv", "truth.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()


@pytest.mark.parametrize("name", STUDENTS)
def test_a_ready_student_knows_the_cell_to_a_few_points(name: str) -> None:
    model = eb.load(name)
    assert model.info.synthetic
    assert model.info.path.stat().st_size < 16_000
    found = model.predict(EXAMPLES / "cell.csv", nominal_ah=3.5)
    true = np.array([truth()[cycle] for cycle in found.cycle.tolist()])
    assert len(found) == 8
    assert true.min() < 80 < 95 < true.max()
    assert np.abs(found["soh_percent"] - true).max() < 3.0
    assert np.sqrt(np.mean((found["soh_percent"] - true) ** 2)) < 2.0


def test_the_first_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "first_steps.py"))["main"](tmp_path / "out")
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["cycle", "truth", *STUDENTS]
    assert [int(row.split("\t")[0]) for row in rows] == [49, 50, 189, 190, 309, 310, 409, 410]
    assert "soh.h" in last
    assert (tmp_path / "out" / "c" / "soh" / "soh.c").is_file()


def test_the_notebook() -> None:
    pytest.importorskip("torch")
    cells = json.loads((EXAMPLES / "own_cells.ipynb").read_text(encoding="utf-8"))["cells"]
    space: dict[str, object] = {}
    for cell in cells:
        assert cell.get("outputs", []) == []  # outputs of one machine are not kept
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{cell['id']} of the notebook", "exec"), space)
    assert isinstance(space["found"], object)
    assert "lstm" in space["done"].models  # type: ignore[attr-defined]


def test_what_is_shipped_is_found_by_name_from_any_folder(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("predict", "demo-lstm", "examples/cell.csv", "--nominal-ah", "3.5", "--last")
    assert (code, out.splitlines()[1].split()[0]) == (0, "410")
    (tmp_path / "demo-lstm").write_text("mine")
    assert shipped("demo-lstm") == Path("demo-lstm")  # a file of that name here comes first
