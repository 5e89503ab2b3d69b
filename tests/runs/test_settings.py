"""Every key of a recipe says what it does, in the class that has it; the command line and docs/settings.md show that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.errors import RecipeError
from edgebat.runs.recipe import load_recipe
from edgebat.runs.settings import COMMAND, as_markdown, field_docstrings, find_sections, recipe_sections
from edgebat.teachers.store import teacher_classes
from edgebat.training.settings import StepSettings

Command = Callable[..., tuple[int, str, str]]
SETTINGS_MD = Path(__file__).parents[2] / "docs" / "settings.md"
SECTIONS = recipe_sections()
TAUGHT = [(kind.task, name) for name, kind in teacher_classes().items() if dataclasses.is_dataclass(kind.Settings)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name or "recipe")
def test_every_field_of_every_settings_class_says_what_it_does(section) -> None:  # type: ignore[no-untyped-def]
    texts = field_docstrings(section.owner)
    assert [field for field in _fields(section.owner) if not texts.get(field)] == []


def _fields(owner: type) -> list[str]:
    return list(getattr(owner, "model_fields", None) or [field.name for field in dataclasses.fields(owner)])


def test_settings_of_step_training_do_so_too() -> None:
    assert {field.name for field in dataclasses.fields(StepSettings)} == field_docstrings(StepSettings).keys()


def test_the_page_is_current() -> None:
    assert SETTINGS_MD.read_text(encoding="utf-8") == as_markdown(), f"run: {COMMAND}"


@pytest.mark.parametrize(("task", "teacher"), TAUGHT)
def test_every_key_shown_is_one_that_set_takes(tmp_path: Path, task: str, teacher: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"name: mine\ntask: {{name: {task}}}\nteacher: {{name: {teacher}}}\nstudents: [{{kind: mlp}}, {{kind: lstm}}]"
    )
    shown = []
    for section in SECTIONS:
        # The section of one task or teacher is shown as "task (life)"; a recipe has one of each.
        place = section.name.replace(f"task ({task})", "task").replace(f"teacher ({teacher})", "teacher")
        if "(" not in place and place != "teacher.0":
            shown += [(f"{place}.{key.name}".lstrip("."), key.default) for key in section.keys]
    assert ("data.split.test", "0.25") in shown
    if teacher == "ic2ml":
        assert ("teacher.fit.epochs", str(load_recipe(path).teacher[0].settings.fit.epochs)) in shown
    # Setting every key to the default that is shown changes nothing.
    overrides = [f"{name}={default}" for name, default in shown if default]
    assert len(overrides) > 60
    assert load_recipe(path, overrides) == load_recipe(path)


def test_an_inherited_field_keeps_its_text_and_the_section_its_own_default() -> None:
    (fit,) = find_sections("distill.fit")
    keys = {key.name: key for key in fit.keys}
    assert keys["epochs"].default == "60"
    assert "At most so many" in keys["epochs"].text
    (student,) = find_sections("students.0")
    assert {key.name: key.kind for key in student.keys}["epochs"] == "whole number, ≥ 1 or nothing"


def test_one_section_on_the_command_line(command: Command) -> None:
    code, out, _ = command("settings", "data.split")
    assert code == 0
    assert "data.split: Which cells are held out, always whole." in out
    assert "test: 0.25    (number, ≥ 0, < 1)\n      Fraction of the cells held out for testing, by condition." in out
    assert "synthetic" not in out


def test_one_key_and_a_misspelt_one() -> None:
    (section,) = find_sections("distill.fit.epochs")
    assert [key.name for key in section.keys] == ["epochs"]
    with pytest.raises(
        RecipeError, match=r"no section or key 'distill\.fit\.epoch'; did you mean distill\.fit\.epochs"
    ):
        find_sections("distill.fit.epoch")
