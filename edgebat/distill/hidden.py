"""Hidden states as targets: a student's last hidden layer, through a linear layer of its own, to that of its teacher.

The linear layer is trained beside the student and dropped afterwards (FitNets, arXiv:1412.6550); no file holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32, FloatArray
from edgebat.distill.labels import HIDDEN
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.students.base import Student
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.labels import masked_mse

WITH_STATE = ("batlinet", "batlinet_ensemble", "battery_timer", "ic2ml", "universal")
"""Teachers that have a ``hidden``."""
SMALLEST_STD = 1e-6
"""A hidden value that varies less teaches nothing."""


class States(Teacher):
    """A teacher asked for its states, which are labelled and kept like labels, under the name ``hidden``."""

    name = "states"

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.task, self.teacher = teacher.task, teacher
        self.settings = {"of": teacher.name, "settings": teacher.settings}

    def choices(self) -> Json:
        """The teacher's."""
        return self.teacher.choices()

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """See ``Teacher.hidden``. Raises RecipeError when the teacher has none."""
        state = self.teacher.hidden(windows)
        if state is None:
            raise RecipeError(
                f"distill.hidden needs a teacher with a hidden state, and {self.teacher.name} has none; those with one are "
                f"{', '.join(WITH_STATE)}, and ensembles that hold one of these"
            )
        return {HIDDEN: state}


def normalized(states: list[FloatArray]) -> list[Float32]:
    """States [N, D] of several sets of windows, each of the D values with mean 0 and deviation 1 over all of them that are
    known; NaN where one does not vary."""
    every = np.concatenate(states).astype(np.float64)
    known = every[np.isfinite(every).all(axis=1)]
    if not len(known):  # the teacher is silent everywhere
        return [np.asarray(state, dtype=np.float32) for state in states]
    mean, std = known.mean(axis=0), known.std(axis=0)
    scale = np.where(std > SMALLEST_STD, std, np.nan)
    return [np.asarray((state - mean) / scale, dtype=np.float32) for state in states]


class Projection:
    """What compares a student's last hidden state with its teacher's."""

    def __init__(self, student: Student) -> None:
        self.student, self.state = student, torch.zeros(0, 0)

    def keep(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Called with what the student's last layer reads."""
        self.state = inputs[0]

    def error(self, target: Tensor) -> Tensor:
        """Mean squared error [] to normalized states [B, D] of the windows that the student has read last."""
        return masked_mse(self.student.get_submodule("projection")(self.state), target)


@contextmanager
def projection(student: Student, x: Tensor, width: int, seed: int) -> Iterator[Projection]:
    """A projection of ``student``, which reads windows such as ``x`` [N, T, C], to ``width`` values, drawn from ``seed``; it
    is part of the student inside the block alone."""
    found = Projection(student)
    hook = student.last_layer.register_forward_pre_hook(found.keep)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            student(x[:1])
            torch.manual_seed(seed)
            student.projection = nn.Linear(found.state.shape[-1], width)
        yield found
    finally:
        hook.remove()
        if hasattr(student, "projection"):
            del student.projection
