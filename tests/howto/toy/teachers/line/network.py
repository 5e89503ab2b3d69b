"""A line to each head: what it is and what it predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgebat.arrays import FloatArray
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.line.settings import LineSettings


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
        x = with_one(windows)
        return {head: x @ self.get_buffer(head).numpy() for head in self.settings["outputs"]}


class ToyLine(Line):
    """The same for the toy task."""

    name = "line_toy"
    task = "toy"


def with_one(windows: Windows) -> FloatArray:
    """What a student reads and a constant, float64 [N, T * C + 1]."""
    x = windows.inputs().reshape(len(windows), -1).astype(np.float64)
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
