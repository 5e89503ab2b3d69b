"""Teachers by name, and their files: one ``.safetensors`` whose header carries name and settings as JSON.

A new teacher is a folder beside this file whose ``__init__`` names its classes in ``TEACHERS``; nothing else lists it.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from edgebat import teachers
from edgebat.errors import ModelFileError
from edgebat.files import Json
from edgebat.teachers.base import Teacher, W
from edgebat.training.tensorfile import StoredNetwork, read_network, save_module

FORMAT = "edgebat-teacher"


def teacher_classes() -> dict[str, type[Teacher]]:
    """Every teacher there is, by name; imports all of them."""
    return {teacher.name: teacher for module in _modules() for teacher in _classes(f"edgebat.teachers.{module}")}


def module_of(name: str) -> str:
    """Dotted name of the folder that should hold the teacher ``name``, found without importing it. Raises ModelFileError."""
    found = [module for module in _modules() if f"{name}_".startswith(f"{module}_")]
    if not found:
        raise ModelFileError(f"there is no teacher {name!r}; this edgebat knows {', '.join(sorted(teacher_classes()))}")
    return f"edgebat.teachers.{max(found, key=len)}"


def teacher_class(name: str) -> type[Teacher]:
    """The teacher ``name``; imports no other teacher's folder. Raises ModelFileError for a name that nobody has."""
    module = module_of(name)
    own = {teacher.name: teacher for teacher in _classes(module)}
    if name not in own:
        raise ModelFileError(f"there is no teacher {name!r} in {module}; it holds {', '.join(sorted(own)) or 'none'}")
    return own[name]


def save_teacher(teacher: Teacher[W], path: str | Path, provenance: Json | None = None) -> None:
    """Write weights, name and settings to ``path`` (``.safetensors``); same teacher, same bytes."""
    header = {"format": FORMAT, "name": teacher.name, "settings": teacher.settings}
    save_module(teacher, path, header | {"provenance": provenance or {}})


def load_teacher(path: str | Path) -> Teacher:
    """Read a teacher written by ``save_teacher``, in eval mode. Raises ModelFileError."""
    return teacher_of(read_network(path, FORMAT))


def teacher_of(stored: StoredNetwork) -> Teacher:
    """The teacher in a file that is read already, in eval mode. Raises ModelFileError."""
    try:
        teacher = build_teacher(str(stored.header.get("name")), stored.header.get("settings", {}))
    except ModelFileError as error:
        raise ModelFileError(f"{stored.path}: {error}") from None
    stored.fill(teacher)
    return teacher.eval()


def build_teacher(name: str, settings: Json) -> Teacher:
    """A fresh teacher. Raises ModelFileError for a name nobody has or settings that do not fit."""
    teacher = teacher_class(name)
    try:
        return teacher(**settings)
    except (TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(f"settings do not fit the teacher {name!r}: {error}") from None


def _modules() -> list[str]:
    """What lies in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(teachers.__path__))


def _classes(module: str) -> tuple[type[Teacher], ...]:
    return getattr(importlib.import_module(module), "TEACHERS", ())
