"""Every key of a recipe with its type, its default and what it does, read from the settings classes themselves.

What a key does stands under the field in the source, as a string literal; ``edgebat settings`` and docs/settings.md show
it.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter

from edgebat.distill.teacher import TeacherEntry
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.runs.recipe import Recipe
from edgebat.studies.command import study_kind
from edgebat.tasks.base import task, task_names
from edgebat.teachers.store import teacher_classes

COMMAND = "python -m edgebat settings --markdown > docs/settings.md"


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a section, as a person reads it."""

    name: str
    kind: str
    default: str
    """As YAML; "" when the key must be given."""
    text: str
    """What it does, on one line."""


@dataclasses.dataclass(frozen=True)
class SectionKeys:
    """A section: the dotted name ``--set`` takes, what it is for, its keys. Entries of a list are ``students.0``."""

    name: str
    owner: type
    text: str
    keys: tuple[Key, ...]

    def to_json(self) -> Json:
        """The same for programs; keys by name."""
        keys = {key.name: {"type": key.kind, "default": key.default, "text": key.text} for key in self.keys}
        return {"section": self.name, "text": self.text, "keys": keys}


def recipe_sections() -> list[SectionKeys]:
    """All sections of a recipe, the recipe itself (name "") first, each with its present defaults."""
    recipe = Recipe(name="name", task={"name": task_names()[0]}, teacher=(TeacherEntry(),))
    sections = list(_sections("", recipe))
    for name in task_names():
        sections += _sections(f"task ({name})", task(name).spec())
    for name, teacher in sorted(teacher_classes().items()):
        if dataclasses.is_dataclass(teacher.Settings):
            sections += _sections(f"teacher ({name})", teacher.Settings())
    studied = {name: teacher.study for name, teacher in sorted(teacher_classes().items()) if teacher.study}
    for name, study in studied.items():
        owner = study_kind(study).section
        needed: dict[str, Any] = {field.name: {} for field in dataclasses.fields(owner) if _is_needed(field)}
        sections += _sections(f"study ({name})", TypeAdapter(owner).validate_python(needed))
    return sections


def find_sections(name: str = "") -> list[SectionKeys]:
    """The section ``name`` (``distill.fit``) and those inside it; "" for all. Raises RecipeError with the nearest name."""
    sections = recipe_sections()
    found = [s for s in sections if not name or s.name == name or s.name.startswith(f"{name}.")]
    if found:
        return found
    owner, _, last = name.rpartition(".")
    for section in sections:  # a single key
        keys = tuple(key for key in section.keys if key.name == last)
        if section.name == owner and keys:
            return [dataclasses.replace(section, keys=keys)]
    own = [section.name for section in sections if section.name]
    inside = [f"{section.name}.{key.name}".lstrip(".") for section in sections for key in section.keys]
    # What lies as deep first: a key inside a section can resemble its misspelt name just as much.
    alike = [each for each in (*own, *inside) if each.count(".") == name.count(".")]
    near = difflib.get_close_matches(name, alike, n=1) or difflib.get_close_matches(name, [*own, *inside], n=1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    at_the_top = ", ".join(dict.fromkeys(each.split(".")[0].split(" ")[0] for each in own))
    raise RecipeError(
        f"a recipe has no section or key {name!r}{hint} Sections: {at_the_top}; all of them: edgebat settings"
    )


def field_docstrings(owner: type) -> dict[str, str]:
    """Field -> the string literal under it in the source of the class or of the one it inherits the field from."""
    texts: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if dataclasses.is_dataclass(base) or (issubclass(base, BaseModel) and base is not BaseModel):
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(definition, ast.ClassDef)
            for field, after in zip(definition.body, definition.body[1:], strict=False):
                match field, after:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        texts[name] = " ".join(text.split())
    return texts


def as_markdown() -> str:
    """docs/settings.md. What a class of settings has is told once; elsewhere stand the defaults that differ."""
    lines = ["# Settings of a recipe", "", f"<!-- Written by: {COMMAND} -->", ""]
    lines += ["Every key that a recipe may set, also with `--set section.key=value`. The same on the command line:"]
    lines += ["`edgebat settings`, `edgebat settings distill.fit`. A key that is not here is refused."]
    lines += [
        "`teacher (diffbatt).fit` is the section `teacher.fit` of a recipe with that teacher; so are `task`, `study`."
    ]
    first_of: dict[type, SectionKeys] = {}
    for section in recipe_sections():
        lines += ["", f"## {section.name or 'At the top'}", "", section.text]
        first = first_of.setdefault(section.owner, section)
        keys = [key for key in section.keys if first is section or key not in first.keys]
        if first is not section:
            anchor = re.sub(r"[^\w -]", "", first.name).replace(" ", "-")
            differ = "; other defaults:" if keys else ", with the same defaults."
            lines += ["", f"Keys as in [{first.name}](#{anchor}){differ}"]
        if not keys:
            continue
        lines += ["", "| key | type | default | |", "| --- | --- | --- | --- |"]
        for key in keys:
            cells = (f"`{key.name}`", key.kind, f"`{key.default}`" if key.default else "must be given", key.text)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _is_section(value: Any) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def _sections(name: str, section: Any, text: str = "") -> Iterator[SectionKeys]:
    """The section with its present values, then those inside it; ``text``: what its key does."""
    owner = type(section)
    hints, texts = get_type_hints(owner, include_extras=True), field_docstrings(owner)
    values = {field: getattr(section, field) for field in _field_names(owner)}
    inner = {field: value[0] if _is_list_of_sections(value) else value for field, value in values.items()}
    keys = (
        Key(field, _kind(hints[field]), _default(owner, field, value), texts.get(field, ""))
        for field, value in values.items()
        if not _is_section(inner[field])
    )
    about = " ".join((owner.__doc__ or "").split())
    text = "" if about.startswith(text.rstrip(".")) else text
    yield SectionKeys(name, owner, f"{text} {about}".strip(), tuple(keys))
    for field, value in inner.items():
        if _is_section(value):
            index = ".0" if value is not values[field] else ""
            yield from _sections(f"{name}.{field}{index}".lstrip("."), value, texts.get(field, ""))


def _field_names(owner: type) -> list[str]:
    if issubclass(owner, BaseModel):
        return list(owner.model_fields)
    assert dataclasses.is_dataclass(owner)
    return [field.name for field in dataclasses.fields(owner)]


def _is_list_of_sections(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and _is_section(value[0])


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(owner: type, field: str, value: Any) -> str:
    """The default as YAML (of which JSON is part)."""
    if issubclass(owner, BaseModel):
        needed = owner.model_fields[field].is_required()
    else:
        assert dataclasses.is_dataclass(owner)
        needed = any(_is_needed(one) for one in dataclasses.fields(owner) if one.name == field)
    if needed:
        return ""
    return json.dumps(value, ensure_ascii=False, default=list)


def _kind(hint: Any) -> str:
    """A type in a reader's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [limit for info in arguments[1:] for limit in getattr(info, "metadata", ())]
        return ", ".join([_kind(arguments[0]), *filter(None, map(_limit, limits))])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if choice is types.NoneType else _kind(choice) for choice in arguments)
    if origin in (tuple, list):
        return f"list of {_kind(arguments[0])}"
    names = {str: "text", bool: "true or false", int: "whole number", float: "number", dict: "mapping", Any: "any"}
    return names.get(origin or hint, getattr(hint, "__name__", str(hint)))


def _limit(limit: Any) -> str:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if hasattr(limit, name):
            return f"{sign} {getattr(limit, name):g}"
    return f"like `{limit.pattern}`" if hasattr(limit, "pattern") else ""
