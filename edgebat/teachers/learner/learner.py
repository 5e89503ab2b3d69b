"""A teacher that is one of the baselines: it keeps the windows it learns from, and learns when it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from edgebat.arrays import FloatArray
from edgebat.baselines import answers
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.base import task
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.run import Run, StepResult


@dataclass(frozen=True)
class LearnerSettings:
    """Which learner."""

    kind: str = "nearest"
    """A baseline of the task that learns: ``nearest``, ``ridge``, ``plsr``, ``random_forest``, ``cpmlp``, ``gru``, ..."""


class Learner(Teacher):
    """See the module. kind: the baseline; size: bytes of the stored windows."""

    Settings = LearnerSettings
    measured_only = True
    quick_to_fit = True
    stored: Tensor
    """The training windows as ``Windows.to_bytes`` gives them, uint8."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.settings = {"kind": kind, "size": size}
        self.register_buffer("stored", torch.zeros(size, dtype=torch.uint8))

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """What the baseline answers. Raises RecipeError when the task has no such baseline or its package is missing."""
        train = task(self.task).Windows.from_bytes(self.stored.numpy().tobytes(), f"the teacher {self.name}")
        if not train.joinable(windows):
            raise DataError(f"windows were made with {windows.spec}; the teacher {self.name} learnt from {train.spec}")
        kind = str(self.settings["kind"])
        found, notes = answers(self.task, train, None, windows, {kind})
        if kind not in found:
            raise RecipeError("; ".join(notes) or f"{kind!r} is no baseline of the task {self.task}; choose nearest, ridge, "
                              "plsr, random_forest, cpmlp, ... (edgebat/baselines)")  # fmt: skip
        return {head: np.asarray(values, dtype=np.float32) for head, values in found[kind].items()}

    def anew(self, train: Windows) -> Self:
        """The same learner with the windows ``train``."""
        return self._with(train, str(self.settings["kind"]))

    @classmethod
    def _with(cls, train: Windows, kind: str) -> Self:
        content = train.to_bytes()
        teacher = cls(kind, len(content))
        teacher.stored.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return teacher.eval()

    @classmethod
    def fit(cls, train: Windows, val: Windows | None, settings: LearnerSettings, run: Run) -> tuple[Self, StepResult]:
        """The windows kept; see ``Teacher.fit``. A first question checks that the learner is there."""
        teacher = cls._with(train, settings.kind)
        teacher.predict(train.take(range(min(2, len(train)))))
        return teacher, StepResult([], 0.0, 0)


class HealthLearner(Learner):
    """Of the task ``health``."""

    name = "learner_health"
    task = "health"


class ForecastLearner(Learner):
    """Of the task ``forecast``."""

    name = "learner_forecast"
    task = "forecast"


class LifeLearner(Learner):
    """Of the task ``life``."""

    name = "learner_life"
    task = "life"
