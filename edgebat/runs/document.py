"""A recipe as it is written: found, read and overridden, not checked yet. Needs PyYAML alone and so answers at once."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.paths import recipes_dir


class _UniqueKeyLoader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader that refuses a key written twice; YAML itself silently keeps the last one."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise RecipeError(f"key {key!r} is written twice (again in line {line}); keep one of them")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def find_recipe(recipe: str | Path) -> Path:
    """Path of a recipe given as a file or as the name of a shipped one (``demo``).

    Raises RecipeError, naming the shipped recipes, when there is no such file.
    """
    path = Path(recipe)
    if path.is_file():
        return path
    shipped = recipes_dir() / f"{path.name.removesuffix('.yaml')}.yaml"
    # A shipped recipe is found by bare name, and by its path in the repository when edgebat was installed from a wheel.
    if shipped.is_file() and path.parent in (Path(), Path("export/recipes")):
        return shipped
    if path.is_dir():
        raise RecipeError(f"{path} is a folder; a recipe is a YAML file, or the name of a shipped one: {_names()}")
    near = difflib.get_close_matches(path.name.removesuffix(".yaml"), shipped_recipes(), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise RecipeError(
        f"there is no recipe {str(recipe)!r}; give a YAML file or one of the shipped recipes: {_names()}.{hint}"
    )


def shipped_recipes() -> list[str]:
    """Names of the recipes edgebat comes with."""
    return sorted(path.stem for path in recipes_dir().glob("*.yaml"))


def _names() -> str:
    return ", ".join(shipped_recipes())


def read_document(recipe: str | Path | Json, overrides: Sequence[str] = ()) -> tuple[Path, Json]:
    """A recipe's file and what it says after the overrides, not checked yet; a recipe of plain data has no file, and gets
    its name for one. Errors as in ``load_recipe``."""
    if isinstance(recipe, dict):
        path, document = Path(f"recipe {recipe.get('name', '')}"), copy.deepcopy(recipe)
    else:
        path = find_recipe(recipe)
        document = _parsed(path)
    if not isinstance(document, dict):
        raise RecipeError(f"{path} holds {type(document).__name__}; a recipe is a mapping with name:, data:, ...")
    for override in overrides:
        _override(document, override)
    return path, document


def _parsed(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except (UnicodeDecodeError, yaml.reader.ReaderError):
        raise RecipeError(
            f"{path} is not text; a recipe is a YAML file. What the file is, and what to do with it: edgebat info {path}"
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from None
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def find_study(recipe: str | Path, overrides: Sequence[str] = ()) -> Json | None:
    """What the recipe says, not checked yet, when it studies one teacher (it has ``study:``) instead of being a whole
    pipeline; None for a recipe of a pipeline. Raises RecipeError."""
    _, document = read_document(recipe, overrides)
    return document if "study" in document else None


def _override(document: Json, override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not of the form section.key=value, for example teacher.fit.epochs=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not valid YAML: {error}") from None
    section: Any = document
    *parents, last = key.split(".")
    for part in parents:
        section = _child(section, part, override)
    if isinstance(section, list):
        section[_index(section, last, override)] = value
    elif isinstance(section, dict):
        section[last] = value
    else:
        raise RecipeError(f"--set {override!r}: {'.'.join(parents)} is {section!r}, which has no entry {last!r}")


def _child(section: Any, part: str, override: str) -> Any:
    if isinstance(section, list):
        return section[_index(section, part, override)]
    if not isinstance(section, dict):
        raise RecipeError(f"--set {override!r}: {part!r} lies inside {section!r}, which is not a section")
    if section.get(part) is None:
        section[part] = {}
    return section[part]


def _index(section: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(section):
        raise RecipeError(f"--set {override!r}: {part!r} is not an index into a list of {len(section)} entries")
    return int(part)
