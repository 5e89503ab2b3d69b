"""Where edgebat's own files lie: recipes, targets and C sources, in a source checkout or in an installed wheel."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_TEACHERS = ("export", "zoo", "teachers")
TEACHERS_HINT = (
    "Trained teachers are a package of their own: in a checkout of edgebat, pip install ./export/zoo/teachers"
)
"""For whoever asks for a teacher that is not there."""


def share(*parts: str) -> Path:
    """Path of a shipped file or folder, ``parts`` starting with ``"export"``, ``"examples"`` or ``"firmware_stubs"``.

    A wheel carries these folders in ``edgebat/_share``, but for the teachers, which are a package of their own; a checkout
    has them beside the package. The path is returned whether or not the last part exists, so that the caller can name what
    is missing.
    """
    installed = _PACKAGE / "_share"
    if not installed.is_dir():
        return _PACKAGE.parent.joinpath(*parts)
    if parts[: len(_TEACHERS)] == _TEACHERS and (package := importlib.util.find_spec("edgebat_teachers")):
        return Path(next(iter(package.submodule_search_locations or ()))).joinpath(*parts[len(_TEACHERS) :])
    return installed.joinpath(*parts)


def shipped(path: str | Path) -> Path:
    """``path`` itself; for what is not there where edgebat has it: an ``export/...`` or ``examples/...`` by its name, and a
    ready student, as ``health-lstm-small``, its ``.ebat``."""
    path = Path(path)
    if path.exists():
        return path
    if path.parts[:1] in (("export",), ("examples",)):
        return share(*path.parts)
    student = students_dir() / path / f"{path.name}.ebat"
    return student if len(path.parts) == 1 and student.is_file() else path


def recipes_dir() -> Path:
    """The folder of shipped recipes, ``*.yaml``."""
    return share("export", "recipes")


def targets_dir() -> Path:
    """The folder of target descriptions, one board per ``*.yaml``."""
    return share("export", "targets")


def lives_dir() -> Path:
    """The folder of shipped lives, ``*.yaml``."""
    return share("export", "lives")


def students_dir() -> Path:
    """The folder of ready students, one folder each."""
    return share("export", "zoo", "students")


def teachers_dir() -> Path:
    """The folder of trained teachers, ``<system>/*.safetensors`` with a card each; a package of its own brings it beside a
    wheel. The path is returned whether or not it exists."""
    return share(*_TEACHERS)


def firmware_dir() -> Path:
    """The folder of hand-written C99: ``include/``, ``src/``, ``ports/``."""
    return share("firmware_stubs")


def default_corpus() -> Path | None:
    """The corpus folder named by the environment variable EDGEBAT_CORPUS, or None when it is unset or empty."""
    value = os.environ.get("EDGEBAT_CORPUS", "")
    return Path(value) if value else None
