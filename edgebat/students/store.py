"""Students by name, and their files: one ``.safetensors`` whose header carries the settings as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebat.errors import RecipeError
from edgebat.students.base import Student
from edgebat.students.cnn import CnnStudent
from edgebat.students.lstm import LstmStudent
from edgebat.students.mlp import MlpStudent
from edgebat.training.tensorfile import load_module_state, read_header, save_module

STUDENTS: dict[str, type[Student]] = {cls.kind: cls for cls in (MlpStudent, CnnStudent, LstmStudent)}


def build_student(kind: str, **settings: Any) -> Student:
    """A fresh student "mlp", "cnn" or "lstm" with its class's keyword arguments. Raises RecipeError."""
    if kind not in STUDENTS:
        raise RecipeError(f"there is no student {kind!r}; the students are {', '.join(sorted(STUDENTS))}")
    try:
        return STUDENTS[kind](**settings)
    except TypeError as error:
        raise RecipeError(f"the {kind} student does not take these settings: {error}") from None


def save_student(student: Student, path: str | Path, provenance: dict[str, Any] | None = None) -> None:
    """Write weights, normalization and settings to ``path`` (``.safetensors``); same student, same bytes."""
    header = {"format": "edgebat-student", "kind": student.kind, "settings": student.settings}
    save_module(student, path, header | {"provenance": provenance or {}})


def load_student(path: str | Path) -> Student:
    """Read a student written by ``save_student``. Raises ModelFileError."""
    header = read_header(path, "edgebat-student")
    student = build_student(str(header.get("kind")), **header.get("settings", {}))
    load_module_state(student, path)
    return student.eval()
