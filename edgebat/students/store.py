"""Students by name, and their files: one ``.safetensors`` whose header carries the settings as JSON."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.students.base import Student
from edgebat.training.tensorfile import StoredNetwork, read_network, save_module


def student_kinds() -> tuple[str, ...]:
    """The families there are: the modules of this folder with a ``STUDENT``, by name."""
    package = importlib.import_module("edgebat.students")
    names = sorted(entry.name for entry in pkgutil.iter_modules(package.__path__))
    return tuple(name for name in names if hasattr(importlib.import_module(f"edgebat.students.{name}"), "STUDENT"))


def student_class(kind: str) -> type[Student]:
    """The class of a family. Raises RecipeError."""
    if kind not in student_kinds():
        raise RecipeError(f"there is no student {kind!r}; the students are {', '.join(student_kinds())}")
    family: type[Student] = importlib.import_module(f"edgebat.students.{kind}").STUDENT
    return family


def build_student(kind: str, **settings: Any) -> Student:
    """A fresh student of a family with its class's keyword arguments (``shape``, ``heads``, ...). Raises RecipeError."""
    family = student_class(kind)
    try:
        return family(**settings)
    except TypeError as error:
        raise RecipeError(f"the {kind} student does not take these settings: {error}") from None


def save_student(student: Student, path: str | Path, provenance: Json | None = None) -> None:
    """Write weights, normalization and settings to ``path`` (``.safetensors``); same student, same bytes."""
    header = {"format": "edgebat-student", "kind": student.kind, "settings": student.settings}
    save_module(student, path, header | {"provenance": provenance or {}})


def load_student(path: str | Path) -> Student:
    """Read a student written by ``save_student``. Raises ModelFileError."""
    return student_of(read_network(path, "edgebat-student"))


def student_of(stored: StoredNetwork) -> Student:
    """The student in a file that is read already, in eval mode. Raises ModelFileError."""
    student = build_student(str(stored.header.get("kind")), **stored.header.get("settings", {}))
    stored.fill(student)
    return student.eval()
