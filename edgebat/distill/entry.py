"""``teacher:`` of a recipe out of plain data, and how any section of a recipe is checked and filled with its defaults."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from edgebat.distill.mix import MIXES
from edgebat.distill.teacher import TeacherEntry
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.teachers.store import teacher_class


def teacher_entry(given: Any) -> TeacherEntry:
    """One entry of ``teacher:`` out of plain data, its settings checked and complete. Raises RecipeError."""
    if isinstance(given, TeacherEntry):
        return given
    if not isinstance(given, dict):
        raise RecipeError(f"teacher is {given!r}; give name: or file:, or a list of such sections")
    if given.get("of"):
        return _ensemble_entry(given)
    if given.get("mix", MIXES[0]) != MIXES[0]:
        raise RecipeError(f"teacher.mix is {given['mix']!r} for one teacher; give those to mix as a list, teacher.of")
    own = {key: given[key] for key in ("name", "file", "learn_from_val", "cross_fit") if key in given}
    given = {key: value for key, value in given.items() if key not in ("mix", "of")}
    rest = {**given.get("settings", {}), **{k: v for k, v in given.items() if k not in (*own, "settings")}}
    if bool(own.get("name")) == bool(own.get("file")):
        raise RecipeError(
            f"teacher has name {own.get('name', '')!r} and file {own.get('file', '')!r}; give one of them"
        )
    if own.get("file"):
        for key in ("learn_from_val", "cross_fit"):
            if own.get(key):
                raise RecipeError(f"teacher.file is given, so that nothing is trained; {key} would not be used")
        return TeacherEntry(file=str(own["file"]), settings=rest)
    kind = teacher_class(str(own["name"]))
    lines = list(unknown_keys(rest, kind.Settings, "teacher."))
    if lines:
        raise RecipeError("; ".join(lines))
    settings = TypeAdapter(kind.Settings).validate_python(with_defaults(rest, kind.Settings))
    folds = _folds(own)
    entry = TeacherEntry(own["name"], "", bool(own.get("learn_from_val")), folds, settings)
    fit: Any = getattr(settings, "fit", None)
    if entry.learn_from_val and getattr(fit, "validation_decides", False):
        raise RecipeError(
            f"teacher.learn_from_val needs keep: last and a patience of all {fit.epochs} epochs, or the cells "
            f"learnt from would choose the weights; seen keep: {fit.keep}, patience: {fit.patience}"
        )
    return entry


def _ensemble_entry(given: Json) -> TeacherEntry:
    """An entry with ``of``. Raises RecipeError."""
    members, mix = given["of"], str(given.get("mix", MIXES[0]))
    allowed = [field.name for field in dataclasses.fields(TeacherEntry)]
    if unknown := sorted(set(given) - set(allowed)):
        raise RecipeError(f"teacher.{', '.join(unknown)} is no key of an ensemble; allowed here: mix, of")
    if given.get("file") or given.get("settings") or given.get("name", "ensemble") != "ensemble":
        raise RecipeError("teacher.of lists teachers, each with a name or a file; beside it there is none")
    if mix not in MIXES:
        raise RecipeError(f"teacher.mix is {mix!r}; choose {', '.join(MIXES)}")
    if not isinstance(members, list | tuple):
        raise RecipeError(f"teacher.of is {members!r}; give a list of teachers")
    folds = _folds(given)
    entries = tuple(teacher_entry(member) for member in members)
    if folds:
        entries = tuple(each if each.file or each.cross_fit else replace(each, cross_fit=folds) for each in entries)
    if any(entry.of for entry in entries):
        raise RecipeError("a teacher of teacher.of is an ensemble itself; give all in one list")
    return TeacherEntry("ensemble", "", any(entry.learn_from_val for entry in entries), folds, None, mix, entries)


def _folds(given: Json) -> int:
    """``cross_fit``. Raises RecipeError unless it is 0 or at least 2."""
    folds = given.get("cross_fit", 0)
    if not isinstance(folds, int) or isinstance(folds, bool) or folds < 0 or folds == 1:
        raise RecipeError(f"teacher.cross_fit is {folds!r}; give a number of folds, 2 or larger, or 0 for none")
    return folds


def unknown_keys(document: Any, section: Any, prefix: str) -> Iterator[str]:
    """One line per key that the sections do not know. Plain dataclasses would let pydantic ignore them silently."""
    if isinstance(document, list):
        entry = getattr(section, "__args__", (None,))[0]
        for index, value in enumerate(document):
            yield from unknown_keys(value, entry, f"{prefix}{index}.")
        return
    if section is TeacherEntry:  # checked with the settings of its system
        return
    fields = _fields(section)
    if fields is None or not isinstance(document, dict):
        return
    for key, value in document.items():
        if key in fields:
            yield from unknown_keys(value, fields[key], f"{prefix}{key}.")
        else:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            yield f"{prefix}{key} is not a known key{hint} allowed here: {', '.join(fields)}"


def with_defaults(document: Any, section: Any) -> Any:
    """``document`` filled with the defaults of dataclass sections: their nested defaults differ from one to another."""
    fields = _fields(section)
    if fields is None or not isinstance(document, dict):
        return document
    filled: Json = (
        dataclasses.asdict(section()) if isinstance(section, type) and dataclasses.is_dataclass(section) else {}
    )
    for key, value in document.items():
        known = isinstance(value, dict) and isinstance(filled.get(key), dict)
        filled[key] = _merged(filled[key], value) if known else with_defaults(value, fields.get(key))
    return filled


def _merged(base: Json, changes: Json) -> Json:
    both = {k: _merged(base[k], v) if isinstance(v, dict) and isinstance(base.get(k), dict) else v
            for k, v in changes.items()}  # fmt: skip
    return base | both


def _fields(section: Any) -> dict[str, Any] | None:
    """Names and types of a section's keys (pydantic model or dataclass); None for anything else."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        return {name: info.annotation for name, info in section.model_fields.items()}
    if dataclasses.is_dataclass(section):
        hints = get_type_hints(section)
        return {f.name: hints[f.name] for f in dataclasses.fields(section)}
    return None
