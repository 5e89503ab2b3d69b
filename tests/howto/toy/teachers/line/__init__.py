"""A teacher in one file: a line through everything a student reads, fitted head by head, for two tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from edgebat.arrays import FloatArray
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.run import Run, StepResult


@dataclass(frozen=True)
class LineSettings:
    """How the line is fitted."""

    penalty: float = 1e-6
    """Of ridge regression."""


class Line(Teacher[Any]):
    """A line to each head. inputs: what a window holds; outputs: values of each head."""

    name = "line"
    task = "health"
    Settings = LineSettings

    def __init__(self, inputs: int, outputs: dict[str, int]) -> None:
        super().__init__()
        self.settings = {"inputs": inputs, "outputs": dict(outputs)}
        for head, size in outputs.items():
            self.register_buffer(head, torch.zeros(inputs + 1, size, dtype=torch.float64))

    def predict(self, windows: Any) -> dict[str, FloatArray]:
        x = _with_one(windows)
        return {head: x @ self.get_buffer(head).numpy() for head in self.settings["outputs"]}

    @classmethod
    def fit(cls, train: Windows, val: Windows | None, settings: LineSettings, run: Run) -> tuple[Self, StepResult]:
        x, targets = _with_one(train), train.targets()
        teacher = cls(x.shape[1] - 1, {head: values.shape[1] for head, values in targets.items()})
        for head, values in targets.items():
            for column, target in enumerate(values.astype(np.float64).T):
                known = np.isfinite(target)
                square = x[known].T @ x[known] + settings.penalty * np.eye(x.shape[1])
                weights = np.linalg.solve(square, x[known].T @ target[known])
                teacher.get_buffer(head)[:, column] = torch.from_numpy(weights)
        return teacher.eval(), StepResult([], 0.0, 0)


class ToyLine(Line):
    """The same for the toy task."""

    name = "line_toy"
    task = "toy"


def _with_one(windows: Windows) -> FloatArray:
    x = windows.inputs().reshape(len(windows), -1).astype(np.float64)
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


TEACHERS = (Line, ToyLine)
