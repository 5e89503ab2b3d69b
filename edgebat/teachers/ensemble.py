"""Several teachers as one: the mean of what they predict, or mixed by where each is good, and how far they are apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from torch import nn

from edgebat.arrays import FloatArray
from edgebat.errors import ModelFileError, RecipeError
from edgebat.files import Json
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher, W
from edgebat.teachers.store import build_teacher
from edgebat.training.run import Run, StepResult


@dataclass(frozen=True)
class HeadMix:
    """How one head is mixed: ``offset + slope * (weights @ members)``, with the spread
    ``hypot(factor * deviation of the members, rest)``."""

    weights: tuple[float, ...]
    """One per member; 0 for one that does not predict the head."""
    offset: float = 0.0
    slope: float = 1.0
    factor: float = 1.0
    rest: float = 0.0
    """In the head's unit."""

    @classmethod
    def of(cls, values: Mapping[str, object], members: int) -> HeadMix:
        """Out of the JSON of a file. Raises ModelFileError when it does not fit so many ``members``."""
        try:
            mix = cls(**{**values, "weights": tuple(float(w) for w in values["weights"])})  # type: ignore[attr-defined,arg-type]
            numbers = np.array([*mix.weights, mix.offset, mix.slope, mix.factor, mix.rest], dtype=np.float64)
        except (TypeError, KeyError, ValueError) as error:
            raise ModelFileError(f"an ensemble cannot be mixed by {values}: {error}") from None
        sound = (
            np.isfinite(numbers).all() and min(mix.weights, default=-1.0) >= 0.0 and abs(sum(mix.weights) - 1) < 1e-3
        )
        if len(mix.weights) != members or not sound:
            raise ModelFileError(
                f"an ensemble of {members} needs as many weights, at least 0 and 1 in all; seen {values}"
            )
        return mix

    def to_dict(self) -> Json:
        """For a file."""
        return dataclasses.asdict(self) | {"weights": list(self.weights)}

    def mixed(self, predictions: Sequence[FloatArray | None]) -> tuple[FloatArray, FloatArray]:
        """The head and its spread, both like one member's array; None for a member that does not predict it."""
        parts = [(w, p) for w, p in zip(self.weights, predictions, strict=True) if p is not None and w > 0.0]
        if not parts:
            raise ModelFileError("an ensemble's weights are all of members that do not predict the head")
        values = np.stack([p for _, p in parts])
        weights = np.array([w for w, _ in parts], dtype=values.dtype) / sum(w for w, _ in parts)
        mean = np.tensordot(weights, values, axes=1)
        variance = np.tensordot(weights, np.square(values - mean), axes=1)
        spread = np.sqrt(self.factor**2 * variance + self.rest**2)
        return (self.offset + self.slope * mean).astype(values.dtype), spread.astype(values.dtype)


class Ensemble(Teacher):
    """Teachers of one task, of any kind. members: name and settings of each, ``{"name": ..., "settings": {...}}``, and
    ``configured`` where it was told how to predict. mix: by head, ``HeadMix.to_dict``; heads without one are the mean.

    Raises RecipeError without members or for members of different tasks, ModelFileError for a mix that does not fit.
    """

    name = "ensemble"
    study = "mixing.LEFT_OUT"
    Settings = type(None)

    def __init__(self, members: Sequence[Json], mix: Mapping[str, Json] | None = None) -> None:
        super().__init__()
        networks = [build_teacher(str(member["name"]), member["settings"]) for member in members]
        tasks = sorted({network.task for network in networks})
        if len(tasks) != 1:
            shown = ", ".join(f"{network.name} ({network.task})" for network in networks) or "none"
            raise RecipeError(f"an ensemble needs teachers of one task; seen: {shown}")
        self.task = tasks[0]
        for network, member in zip(networks, members, strict=True):
            network.configure(member.get("configured") or {})
        self.settings = {"members": [dict(member) for member in members]}
        if mix:
            self.settings["mix"] = {head: dict(values) for head, values in mix.items()}
        self.mix = {head: HeadMix.of(values, len(members)) for head, values in (mix or {}).items()}
        self.members = nn.ModuleList(networks)

    @classmethod
    def of(
        cls,
        networks: Sequence[Teacher],
        mix: Mapping[str, HeadMix] | None = None,
        configured: Sequence[Mapping[str, Any]] | None = None,
    ) -> Self:
        """``networks`` themselves as one, in eval mode. configured: what each was told with ``Teacher.configure``."""
        members: list[Json] = [{"name": network.name, "settings": network.settings} for network in networks]
        for member, choice in zip(members, configured or (), strict=False):
            member |= {"configured": dict(choice)} if choice else {}
        ensemble = cls(members, {head: each.to_dict() for head, each in (mix or {}).items()})
        ensemble.members = nn.ModuleList(networks)
        return ensemble.eval()

    @property
    def spec(self) -> Any:
        """How windows for it are made, where its members say."""
        return self.members[0].spec

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """Of every head its mean over the members that predict it, or their mixture, and its ``_spread``: over the members;
        of a mixture scaled so that it is the error on held-out cells."""
        return self.combined(windows, [member.predict(windows) for member in self.sources()])

    def sources(self) -> list[Teacher]:
        """The members."""
        return [member for member in self.members if isinstance(member, Teacher)]

    def combined(self, windows: Windows, answers: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        """See ``predict``."""
        result = averaged(answers)
        for head, mix in self.mix.items():
            if head in result:
                result[head], result[f"{head}_spread"] = mix.mixed([each.get(head) for each in answers])
        return result

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
