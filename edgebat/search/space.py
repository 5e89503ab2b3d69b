"""What a search varies, and one choice of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from optuna.trial import BaseTrial

from edgebat.distill.train import DistillSettings
from edgebat.quantization import QuantizeOptions
from edgebat.quantization.observers import METHODS
from edgebat.runs.recipe import Recipe, StudentEntry, check_recipe
from edgebat.students.store import student_class, student_kinds
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Windows


@dataclass(frozen=True)
class Candidate:
    """One student before it is trained."""

    kind: str
    """Its family."""
    settings: dict[str, Any]
    """Keyword arguments of the family's class."""
    definition: dict[str, int] = field(default_factory=dict)
    """Keys of the task's definition where they are not the recipe's: what the student sees."""
    knots: int = 0
    """As ``distill.knots``."""
    method: str = "mse"
    """As ``quantize.method``."""

    def __str__(self) -> str:
        settings = [f"{key} {'-'.join(map(str, value)) if isinstance(value, list) else value}"
                    for key, value in (self.settings | self.definition).items()]  # fmt: skip
        return " ".join([self.kind, *settings, *([f"knots {self.knots}"] if self.knots else []), self.method])

    @property
    def content(self) -> str:
        """The same text for the same candidate."""
        return json.dumps(asdict(self), sort_keys=True)

    def seen(self, windows: Windows) -> Windows:
        """``windows`` as the candidate's student reads them. Raises DataError for a definition that cannot be."""
        if not self.definition:
            return windows
        return replace(windows, spec=windows.Spec.from_dict({**windows.spec.to_dict(), **self.definition}))

    def distill(self, settings: DistillSettings, seed: int, epochs: int) -> DistillSettings:
        """How it is trained from ``seed``, for so many epochs."""
        return replace(settings, knots=self.knots, fit=replace(settings.fit, seed=seed, epochs=epochs))

    def quantize(self, options: QuantizeOptions) -> QuantizeOptions:
        """How it becomes integers."""
        return replace(options, method=self.method)

    def recipe(self, recipe: Recipe, name: str) -> Recipe:
        """``recipe`` with this student alone, under the ``name``."""
        document = recipe.model_dump(mode="json")
        document |= {"name": name, "title": f"{recipe.title or recipe.name}: the student of a search"}
        document["students"] = [StudentEntry(kind=self.kind, settings=self.settings).model_dump(mode="json")]
        document["task"] |= self.definition
        document["distill"]["knots"] = self.knots
        document["quantize"]["method"] = self.method
        return check_recipe(document)


def suggest(trial: BaseTrial, task: AnyTask, recipe: Recipe, kinds: Sequence[str] = ()) -> Candidate:
    """A candidate of Optuna's choice. kinds: the families that take part, all unless given."""
    kind = trial.suggest_categorical("kind", list(kinds or student_kinds()))
    space = student_class(kind).space
    settings = {name: dimension.suggest(trial, f"{kind}.{name}") for name, dimension in space.items()}
    definition = {name: trial.suggest_categorical(name, values) for name, values in task.searched.items()}
    knots = trial.suggest_categorical("knots", task.searched_knots) if task.searched_knots else recipe.distill.knots
    return Candidate(kind, settings, definition, knots, trial.suggest_categorical("method", METHODS))


def hand_picked(recipe: Recipe) -> list[Candidate]:
    """The recipe's own students."""
    return [
        Candidate(entry.kind, dict(entry.settings), {}, recipe.distill.knots, recipe.quantize.method)
        for entry in recipe.students
    ]


def smaller(candidate: Candidate) -> Iterator[Candidate]:
    """The same student with ever smaller widths, down to a tenth."""
    family, last = student_class(candidate.kind), candidate
    defaults = inspect.signature(family.__init__).parameters
    own = {name: candidate.settings.get(name, defaults[name].default) for name in family.space}
    for percent in range(95, 5, -5):
        settings = {name: family.space[name].scaled(value, percent / 100) for name, value in own.items()}
        found = replace(candidate, settings={**candidate.settings, **settings})
        if found != last:
            yield found
        last = found
