"""The files of teachers that shipped recipes name are found wherever edgebat is run: in a checkout and from a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgebat import paths
from edgebat.distill.teacher import TeacherEntry
from edgebat.errors import EdgebatError, RecipeError
from edgebat.models import open_model
from edgebat.paths import teachers_dir
from edgebat.runs.recipe import load_recipe

SHIPPED = "export/zoo/teachers/universal/six.safetensors"


@pytest.mark.parametrize("recipe", ["forecast-students", "life-students"])
def test_a_shipped_recipe_finds_its_teachers_in_any_folder(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for entry in load_recipe(recipe).teacher:
        assert entry.path.is_relative_to(teachers_dir())
        assert len(entry.digest()) == 64


def test_a_file_of_ones_own_goes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = TeacherEntry(file=SHIPPED).digest()
    own = tmp_path / SHIPPED
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    assert TeacherEntry(file=SHIPPED).path.resolve() == own
    assert TeacherEntry(file=SHIPPED).digest() != shipped


def test_a_shipped_teacher_is_opened_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_model(SHIPPED).path == teachers_dir() / "universal" / "six.safetensors"


def test_without_the_package_of_teachers_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgebat" / "_share").mkdir(parents=True)
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "edgebat")
    monkeypatch.chdir(tmp_path)
    for ask in (TeacherEntry(file=SHIPPED).digest, lambda: open_model(SHIPPED)):
        with pytest.raises(EdgebatError, match=r"in a checkout of edgebat, pip install \./export/zoo/teachers"):
            ask()


@pytest.mark.parametrize("name", ["nowhere.safetensors", "export/zoo/teachers/none.safetensors"])
def test_a_file_that_is_nowhere_is_named(name: str) -> None:
    with pytest.raises(RecipeError, match=f"teacher.file {name} does not exist"):
        TeacherEntry(file=name).digest()
