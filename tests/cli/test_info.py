"""``edgebat info`` says of anything a user can hold what it is and what to do with it, with NumPy alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.describe import describe
from edgebat.errors import EdgebatError, ModelFileError
from edgebat.formats.export import export_model
from edgebat.models import load_model
from edgebat.paths import recipes_dir, targets_dir, teachers_dir
from edgebat.tasks.health import HealthWindows
from tests.data.layouts import LAYOUTS, cycling_test

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
TEACHER = teachers_dir() / "ic2ml" / "tongji.safetensors"


@pytest.fixture
def things(tmp_path: Path, model_file: Path, windows: HealthWindows) -> dict[str, Path]:
    """One of every kind of file and folder."""
    graph, made = load_model(model_file), tmp_path / "things"
    export_model(graph, made, ("tflite", "onnx"))
    (made / "run" / "steps").mkdir(parents=True)
    (made / "run" / "config.yaml").write_text("name: tiny\n")
    (made / "run" / "steps" / "data.json").write_text("{}")
    (made / "corpus").mkdir()
    (made / "corpus" / "cells.csv").write_text("dataset,cell_id\nMINE,a\nMINE,b\n")
    (made / "results" / "parts").mkdir(parents=True)
    (made / "results" / "job.json").write_text("{}")
    (made / "cell.csv").write_text("Test Time / s,Voltage / V,Current / A\n0,3.6,1\n")
    (made / "arbin.csv").write_bytes("\ufeffTest_Time(s);Voltage(V);Current(A)\n0;3,6;1\n".encode("utf-16"))
    (made / "history.csv").write_text("cycle,capacity_ah\n1,3.5\n")
    (made / "cell.pkl").write_bytes(b"\x80\x04}.")
    windows.save(made / "train.safetensors")
    np.save(made / "windows.npy", windows.x)
    shutil.copy(recipes_dir() / "health-tongji.yaml", made / "mine.yaml")
    shutil.copy(recipes_dir() / "life-batlinet.yaml", made / "study.yaml")
    shutil.copy(targets_dir() / "cortex-m4f.yaml", made / "board.yaml")
    return {path.relative_to(made).as_posix(): path for path in made.iterdir()} | {
        "tiny.ebat": model_file, "cells": made / "corpus" / "cells.csv",
        "teacher.safetensors": TEACHER, "shipped": Path("demo"),
        "a target": Path("cortex-m4f"), "a teacher": Path("ic2ml/tongji")}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "what", "use"),
    [
        ("tiny.ebat", "int8", "int8 model of the task health", "edgebat predict "),
        ("tiny.tflite", "int8", "int8 model of the task health", "edgebat export "),
        ("tiny.onnx", "int8", "int8 model of the task health", "edgebat bench "),
        ("teacher.safetensors", "teacher", "teacher ic2ml of the task health", "teacher: {file: "),
        ("train.safetensors", "windows", "windows of a run", "edgebat run"),
        ("mine.yaml", "recipe", "recipe of a whole pipeline: State of health", "--corpus CORPUS"),
        ("shipped", "recipe", "recipe of a whole pipeline", "edgebat run demo"),
        ("a target", "target", "target, a board to build for", "--target cortex-m4f"),
        ("a teacher", "teacher", "teacher ic2ml of the task health", "edgebat evaluate "),
        ("study.yaml", "study", "recipe of a study of one teacher", "--corpus CORPUS"),
        ("board.yaml", "target", "target, a board to build for", "edgebat bench MODEL --target "),
        ("run", "run", "run folder, 1 steps finished", "edgebat run RECIPE goes on"),
        ("corpus", "corpus", "corpus of 2 measured cells", "edgebat run RECIPE --corpus "),
        ("cells", "cells", "table of the cells of a corpus", "edgebat info "),
        ("results", "results", "results of a model on many logs, 0 parts", "pandas.read_parquet("),
        ("cell.csv", "cycler", "cycler file, 3 columns", "edgebat predict MODEL "),
        ("arbin.csv", "cycler", "cycler file, 3 columns", "--map current="),
        ("cell.pkl", "cycler", "cycler file (.pkl)", "edgebat predict MODEL "),
        ("history.csv", "history", "capacity history", "of a forecast model"),
        ("windows.npy", "windows", "array [40, 3, 4]", "edgebat predict MODEL "),
    ],
)
def test_every_kind_is_known(things: dict[str, Path], name: str, kind: str, what: str, use: str) -> None:
    found = describe(things[name])
    assert (found.kind, what in found.what, use in found.use) == (kind, True, True), found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_every_layout_is_a_cycler_file_and_its_folder_is_for_a_corpus(layout: str, tmp_path: Path) -> None:
    sheet = LAYOUTS[layout](cycling_test(cycles=1, period_s=600.0))
    lines = [*sheet.preamble, *(sheet.delimiter.join(row) for row in (sheet.names, *sheet.rows))]
    (tmp_path / "notes.md").write_text("Voltage, current and time\nof a cell, as logged\n")
    (tmp_path / "test.csv").write_text("\n".join(lines), encoding="utf-8" if layout == "neware" else "cp1252")
    found = describe(tmp_path / "test.csv")
    assert (found.kind, f"{len(sheet.names)} columns: " in found.what) == ("cycler", True), found
    found = describe(tmp_path)
    assert (found.kind, f"edgebat data add {tmp_path}" in found.use) == ("cycler files", True), found
    with pytest.raises(ModelFileError, match="of no kind"):
        describe(tmp_path / "notes.md")


def test_the_cells_a_model_has_seen_are_counted_for_readers(command: Command) -> None:
    assert "  seen = 28 cells\n" in command("info", "demo-lstm")[1]


def test_the_first_two_lines_say_it_and_json_says_the_same(things: dict[str, Path], command: Command) -> None:
    code, out, _ = command("info", things["teacher.safetensors"])
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"{TEACHER}: teacher ic2ml of the task health"
    assert lines[1].startswith(f"use: edgebat evaluate {TEACHER} --corpus CORPUS; to distil it: teacher: {{file: ")
    found = json.loads(command("info", things["teacher.safetensors"], "--json")[1])
    assert (found["kind"], found["path"]) == ("teacher", str(TEACHER))
    assert found["settings"]["context"] == 10


def test_without_the_extra_every_kind_is_known_too(things: dict[str, Path]) -> None:
    hidden = ("typer", "rich", "yaml", "pydantic", "torch", "safetensors", "pandas")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden})); from edgebat.__main__ import main\n"
        "sys.exit(max(main(['info', path]) for path in sys.argv[1:]))"
    )
    paths = [str(path) for path in things.values()]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\nuse: ") == len(paths)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"hello\n", "of no kind that edgebat knows"),
        ("empty.csv", b"", "of no kind that edgebat knows"),
        ("x.safetensors", b"\xff" * 40, "not a .safetensors file"),
        ("y.safetensors", b"", "not a .safetensors file"),
        ("x.yaml", b"\0\1\2", "is not text"),
        ("x.npy", b"\x93NUMPY broken", "cannot be read as an array"),
        ("x.ebat", b"broken", "x.ebat"),
    ],
)
def test_what_is_none_is_refused_with_what_there_is(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EdgebatError, match=reason):
        describe(tmp_path / name)


def test_a_folder_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(ModelFileError, match=r"neither a run .* it holds: 0.txt, .*5.txt, \.\.\."):
        describe(tmp_path)


@pytest.mark.parametrize("verb", [("predict",), ("export",), ("verify",), ("bench",)])
def test_a_teacher_is_told_from_a_model_for_a_device(command: Command, verb: tuple[str, ...], tmp_path: Path) -> None:
    more = (tmp_path / "x.csv",) if verb == ("predict",) else ()
    code, _, err = command(*verb, TEACHER, *more)
    assert code == 2
    text = " ".join(err.split())
    assert f"{TEACHER} is the teacher ic2ml" in text
    assert f"edgebat evaluate {TEACHER} --corpus CORPUS" in text
    assert "edgebat run RECIPE makes one" in text


def test_a_folder_is_told_from_a_model(command: Command, tmp_path: Path) -> None:
    code, _, err = command("predict", tmp_path, "x.csv")
    assert code == 2
    assert f"{tmp_path} is a folder; give one of its models" in " ".join(err.split())


@pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.pt2", "cut.npy", "zip.npy"])
@pytest.mark.parametrize("content", [b"", b"time,voltage", b"PK\x03\x04 and no more"])
def test_what_only_its_name_calls_a_network_or_an_array_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EdgebatError, match=rf"{name} (is no \.\w+ file|cannot be read as an array)"):
        describe(path)
