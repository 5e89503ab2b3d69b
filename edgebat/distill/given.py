"""A trained teacher to distil from, instead of training one: is it of this task, and has it seen the test cells?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebat.cells import CellKey, seen_cells
from edgebat.errors import RecipeError
from edgebat.tasks.health.spec import HealthSpec
from edgebat.teachers.base import Teacher
from edgebat.teachers.store import load_teacher
from edgebat.training.tensorfile import read_header


def given_teacher(path: str | Path, task: HealthSpec, test: Sequence[CellKey]) -> tuple[Teacher, str]:
    """The health teacher stored in ``path``, in eval mode on the CPU, and the cells it has seen (``pack_cells``).

    task: of the recipe. test: cells its students will be scored on. Raises ModelFileError for a file that is no teacher,
    RecipeError when it was trained for another task, does not say which cells it has seen, or has seen test cells.
    """
    header = read_header(path, "edgebat-teacher")
    teacher = load_teacher(path)
    if teacher.task != "health":
        raise RecipeError(
            f"teacher.file {path} holds {teacher.name}, whose task is {teacher.task}; students learn SOH, "
            "trajectory and RUL from pieces of charges: give an IC2ML"
        )
    origin = header.get("provenance") or {}
    own, asked = origin.get("task") or {}, task.to_dict()
    differing = [f"{key} {own.get(key)!r} (recipe: {value!r})" for key, value in asked.items() if own.get(key) != value]
    if differing:
        raise RecipeError(f"teacher.file {path} was trained for another task: {', '.join(differing)}; change task: of the "
                          "recipe, or leave out teacher.file to train a teacher")  # fmt: skip
    if not origin.get("seen"):
        raise RecipeError(f"teacher.file {path} does not say which cells it has seen; train it with edgebat")
    known = [f"{d}/{c}" for (d, c), seen in zip(test, seen_cells(str(origin["seen"]), test), strict=True) if seen]
    if known:
        shown = ", ".join(known[:5]) + (" and others" if len(known) > 5 else "")
        raise RecipeError(
            f"teacher.file {path} was trained on {len(known)} of the {len(test)} test cells ({shown}), so that its "
            "students would be flattered; take the split it was trained with, other cells, or leave out teacher.file"
        )
    return teacher, str(origin["seen"])
