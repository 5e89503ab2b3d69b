"""The zoo: what it lists, what it copies, and what it refuses to hand over. NumPy is enough for all of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.paths import students_dir, teachers_dir
from edgebat.zoo import entries, find, get, student_file, students, teachers

Command = Callable[..., tuple[int, str, str]]
NAME = "health-lstm-small"


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the students, to be damaged, in an installation without teachers; its parent is the working folder."""
    shutil.copytree(students_dir(), tmp_path / "students")
    monkeypatch.setattr(entries, "students_dir", lambda: tmp_path / "students")
    monkeypatch.setattr(entries, "teachers_dir", lambda: tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "students"


def test_a_student_is_found_by_its_name() -> None:
    assert student_file(NAME) == students_dir() / NAME / f"{NAME}.ebat"
    with pytest.raises(EdgebatError, match=f"no ready student 'health-rnn'; there are .*{NAME}"):
        student_file("health-rnn")


def test_students_and_teachers_are_listed(command: Command) -> None:
    code, out, _ = command("zoo", "list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert {NAME, "ic2ml/tongji", "universal/six"} <= lines.keys()
    entry = find(NAME)
    for text in ("health", "lstm", f"{entry.weights:,}", f"{entry.bytes:,}", f"{entry.error:g} pp SOH RMSE", "TJU_NCA"):
        assert text in lines[NAME]
    rows = {row["name"]: row for row in json.loads(command("zoo", "list", "--json")[1])}
    assert list(rows) == [entry.name for entry in (*students(), *teachers())]
    assert rows[NAME]["bytes"] == student_file(NAME).stat().st_size
    assert rows["ic2ml/tongji"]["task"] == "health"
    assert rows["ic2ml/tongji"]["weights"] > 1_400_000


def test_a_model_is_copied_with_all_that_belongs_to_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = command("zoo", "get", NAME)
    assert code == 0
    assert sorted(out.splitlines()) == sorted(str(Path(NAME) / path.name) for path in (students_dir() / NAME).iterdir())
    for path in map(Path, out.splitlines()):
        assert path.read_bytes() == (students_dir() / NAME / path.name).read_bytes()
    assert command("zoo", "get", "ic2ml/tongji", "--out", "mine")[0] == 0
    assert {path.name for path in Path("mine").iterdir()} == {"tongji.safetensors", "card.md"}
    assert Path("mine/tongji.safetensors").read_bytes() == (teachers_dir() / "ic2ml/tongji.safetensors").read_bytes()


def test_a_student_as_c_is_what_export_writes(command: Command, tmp_path: Path) -> None:
    arguments = ("--port", "generic", "--nominal-mah", "2000", "--out")
    assert command("zoo", "get", NAME, *arguments, tmp_path / "got")[0] == 0
    assert command("export", student_file(NAME), *arguments, tmp_path / "exported")[0] == 0
    written = {path.relative_to(tmp_path / "got"): path for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert Path("soh_edgebat.c") in written
    for name, path in written.items():
        assert path.read_bytes() == (tmp_path / "exported" / name).read_bytes()


@pytest.mark.parametrize("file", [f"{NAME}.ebat", f"{NAME}.tflite", f"{NAME}.onnx", "golden.json", "card.md"])
def test_a_changed_or_lost_file_is_not_handed_over(zoo: Path, file: str) -> None:
    path = zoo / NAME / file
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelFileError, match=f"{file} has the sha256"):
        get(NAME)
    path.unlink()
    with pytest.raises(ModelFileError, match=f"{file} cannot be read: No such file"):
        get(NAME)
    assert not (zoo.parent / NAME).exists()


def test_an_entry_that_cannot_be_read_is_named(zoo: Path) -> None:
    (zoo / NAME / "entry.json").write_text('{"name": 1}')
    with pytest.raises(ModelFileError, match=r"entry\.json is no entry of the zoo"):
        students()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("health-lstm-smal", f"'health-lstm-smal'; did you mean {NAME}"),
        ("nothing", f"there are .*{NAME}"),
        ("ic2ml/tongji", "in a checkout of edgebat, pip install ./export/zoo/teachers"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(zoo: Path, name: str, reason: str) -> None:
    with pytest.raises(EdgebatError, match=reason):
        get(name)


def test_without_teachers_the_list_says_how_to_get_them(zoo: Path, command: Command) -> None:
    _, out, _ = command("zoo", "list")
    assert "ic2ml" not in out
    assert out.splitlines()[-1].endswith("pip install ./export/zoo/teachers")
