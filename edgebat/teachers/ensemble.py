"""Several teachers as one: the mean of what they predict, and how far they are apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from torch import nn

from edgebat.arrays import FloatArray
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher, W
from edgebat.teachers.store import build_teacher
from edgebat.training.run import Run, StepResult


class Ensemble(Teacher):
    """Teachers of one task, of any kind. members: name and settings of each, ``{"name": ..., "settings": {...}}``.

    Raises RecipeError without members or for members of different tasks.
    """

    name = "ensemble"
    Settings = type(None)

    def __init__(self, members: Sequence[Json]) -> None:
        super().__init__()
        networks = [build_teacher(str(member["name"]), member["settings"]) for member in members]
        tasks = sorted({network.task for network in networks})
        if len(tasks) != 1:
            shown = ", ".join(f"{network.name} ({network.task})" for network in networks) or "none"
            raise RecipeError(f"an ensemble needs teachers of one task; seen: {shown}")
        self.task = tasks[0]
        self.settings = {"members": [dict(member) for member in members]}
        self.members = nn.ModuleList(networks)

    @classmethod
    def of(cls, networks: Sequence[Teacher]) -> Self:
        """``networks`` themselves as one, in eval mode."""
        ensemble = cls([{"name": network.name, "settings": network.settings} for network in networks])
        ensemble.members = nn.ModuleList(networks)
        return ensemble.eval()

    @property
    def spec(self) -> Any:
        """How windows for it are made, where its members say."""
        return self.members[0].spec

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """Of every head its mean over the members that predict it, and its ``_spread`` over them."""
        return self.combined(windows, [member.predict(windows) for member in self.sources()])

    def sources(self) -> list[Teacher]:
        """The members."""
        return [member for member in self.members if isinstance(member, Teacher)]

    def combined(self, windows: Windows, answers: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        """See ``predict``."""
        return averaged(answers)

    def hidden(self, windows: Windows) -> FloatArray | None:
        """Those of its members, side by side."""
        return joined(member.hidden(windows) for member in self.members)  # type: ignore[operator]

    def notes(self, windows: Windows) -> list[str]:
        """Those of all members."""
        return list(dict.fromkeys(note for member in self.members for note in member.notes(windows)))  # type: ignore[operator]


def joined(states: Iterable[FloatArray | None]) -> FloatArray | None:
    """States [N, D] of several teachers side by side; None when none of them has one."""
    known = [state for state in states if state is not None]
    return np.concatenate(known, axis=1) if known else None


def averaged(predictions: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    """Mean and ``<head>_spread`` (standard deviation) of each head, over those of ``predictions`` that have it."""
    result: dict[str, FloatArray] = {}
    for head in dict.fromkeys(name for each in predictions for name in each if not name.endswith("_spread")):
        values = np.stack([each[head] for each in predictions if head in each])
        result |= {head: values.mean(axis=0), f"{head}_spread": values.std(axis=0)}
    return result


class SeedEnsemble(Teacher[W]):
    """Networks of one class, trained from different seeds. members: how many. network: settings of each."""

    member: ClassVar[Any]
    """Their class."""

    def __init__(self, members: int = 4, network: Json | None = None) -> None:
        super().__init__()
        self.settings = {"members": members, "network": dict(network or {})}
        self.members = nn.ModuleList([self.member(**(network or {})) for _ in range(members)])

    @classmethod
    def of(cls, networks: Sequence[Teacher[W]]) -> Self:
        """``networks`` themselves as one, in eval mode."""
        ensemble = cls(len(networks), networks[0].settings)
        ensemble.members = nn.ModuleList(networks)
        return ensemble.eval()

    @property
    def spec(self) -> Any:
        """How windows for it are made."""
        return self.members[0].spec

    def hidden(self, windows: W) -> FloatArray | None:
        """Those of its members, side by side."""
        return joined(member.hidden(windows) for member in self.members)  # type: ignore[operator]

    def notes(self, windows: W) -> list[str]:
        """Those of any member: they read alike."""
        return list(self.members[0].notes(windows))  # type: ignore[operator]

    @classmethod
    def fit(cls, train: W, val: W | None, settings: Any, run: Run) -> tuple[Self, StepResult]:
        """``settings.members`` networks as one; see ``Teacher.fit``."""
        networks, results = [], []
        for number in range(settings.members):
            fit = dataclasses.replace(settings.fit, seed=1000 * settings.fit.seed + number)
            own = dataclasses.replace(settings, members=1, fit=fit)
            network, result = cls.member.fit(train, val, own, run.inside(f"member{number}"))
            networks.append(network)
            results.append(result)
        losses = [float(np.mean(epoch)) for epoch in zip(*(result.losses for result in results), strict=False)]
        rate = float(np.mean([result.steps_per_second for result in results]))
        seconds, peak = sum(result.seconds for result in results), max(result.peak_bytes for result in results)
        return cls.of(networks), StepResult(losses, seconds, peak, rate)


def alone(members: int, name: str) -> None:
    """Raises RecipeError when a teacher that is one network shall have several ``members``."""
    if members != 1:
        raise RecipeError(f"members is {members}; the teacher {name!r} is one network, {name}_ensemble has several")


TEACHERS = (Ensemble,)
