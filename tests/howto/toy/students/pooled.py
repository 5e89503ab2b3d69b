"""A student family in one file: the largest of every two time steps, then one hidden layer."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgebat.students.base import Student, dense
from edgebat.students.space import Space, Whole
from edgebat.students.spec import FlattenLayer, Layer, MaxPool1DLayer


class PooledStudent(Student):
    """``units``: width of the hidden layer."""

    kind = "pooled"
    space: ClassVar[Space] = {"units": Whole(4, 16, 4)}

    def __init__(self, *, units: int = 8, **common: Any) -> None:
        super().__init__({"units": units}, **common)
        self.hidden = nn.Linear(self.shape[0] // 2 * self.shape[1], units)
        self.head = nn.Linear(units, self.outputs)

    def body(self, z: Tensor) -> Tensor:
        pooled = torch.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2)
        return self.head(torch.relu(self.hidden(pooled.flatten(1))))

    def layers(self) -> list[Layer]:
        return [MaxPool1DLayer(2), FlattenLayer(), dense(self.hidden, "relu"), dense(self.head)]


STUDENT = PooledStudent
