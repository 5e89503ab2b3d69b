"""Recipes: one experiment = one YAML file, typed, with unknown keys refused.

A recipe is read, changed by ``--set a.b=c`` overrides, then checked; every later step sees only the checked object.
Defaults live here and nowhere else, so ``config.yaml`` in a run folder is complete.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgebat.errors import RecipeError
from edgebat.paths import recipes_dir

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(Section):
    """What the models read and say; the fields of ``edgebat.features.HealthSpec``."""

    window_start_v: float = 3.6
    window_end_v: float = 3.7
    increments: Positive = 10
    context: Positive = 10
    horizon: Positive = 50
    soh_reference: Literal["nominal", "first", "rated_min", "mean_first_k"] = "nominal"
    eol: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8

    @model_validator(mode="after")
    def _window_upwards(self) -> Task:
        if self.window_end_v <= self.window_start_v:
            raise ValueError(f"window_end_v {self.window_end_v} must lie above window_start_v {self.window_start_v}")
        return self


class Synthetic(Section):
    """The seeded synthetic fleet: how many cells, from which seed."""

    cells: Annotated[int, Field(ge=6)] = 24
    seed: int = 7


class Split(Section):
    """Fractions of the cells held out for testing and for early stopping; drawn per condition group, by cell."""

    test: Fraction = 0.25
    val: Fraction = 0.15
    seed: int = 1


class Data(Section):
    """Where the cells come from. ``source: corpus`` needs ``--corpus PATH`` or EDGEBAT_CORPUS."""

    source: Literal["synthetic", "corpus"] = "synthetic"
    synthetic: Synthetic = Synthetic()
    datasets: tuple[str, ...] = ()
    split: Split = Split()
    train_stride: Positive = 1
    test_stride: Positive = 1


class Recipe(Section):
    """The whole experiment."""

    name: Name
    title: str = ""
    seed: int = 1
    task: Task = Task()
    data: Data = Data()


class _UniqueKeyLoader(yaml.SafeLoader):
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
    names = ", ".join(sorted(p.stem for p in recipes_dir().glob("*.yaml")))
    raise RecipeError(f"there is no recipe {str(recipe)!r}; give a YAML file or one of the shipped recipes: {names}")


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe.

    overrides: ``"section.key=value"`` with a YAML value; list entries by index (``students.0.epochs=5``).
    Raises RecipeError naming the file, the key, what is allowed and, for a misspelt key, the nearest name.
    """
    path = find_recipe(recipe)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from None
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise RecipeError(f"{path} holds {type(document).__name__}; a recipe is a mapping with name:, data:, ...")
    for override in overrides:
        _override(document, override)
    return check_recipe(document, str(path))


def check_recipe(document: dict[str, Any], where: str = "recipe") -> Recipe:
    """A checked Recipe from plain data; raises RecipeError with one line per mistake."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        raise RecipeError(f"{where} cannot be used:\n  " + "\n  ".join(lines)) from None


def dump_recipe(recipe: Recipe) -> str:
    """The complete recipe, defaults included, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not of the form section.key=value, for example teacher.epochs=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not valid YAML: {error}") from None
    place: Any = document
    *parents, last = key.split(".")
    for part in parents:
        place = _child(place, part, override)
    if isinstance(place, list):
        place[_index(place, last, override)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise RecipeError(f"--set {override!r}: {'.'.join(parents)} is {place!r}, which has no entry {last!r}")


def _child(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, part, override)]
    if not isinstance(place, dict):
        raise RecipeError(f"--set {override!r}: {part!r} lies inside {place!r}, which is not a section")
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _index(place: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise RecipeError(f"--set {override!r}: {part!r} is not an index into a list of {len(place)} entries")
    return int(part)


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "extra_forbidden":
        allowed = _allowed_keys(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{place} is not a known key{hint} Allowed here: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    return f"{place} is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _allowed_keys(location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the section at ``location`` of the Recipe model."""
    model: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else annotation
    return list(model.model_fields)
