"""The multi-layer perceptron: the whole window at once. Flatten, Dense + ReLU ..., Dense head."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgebat.students.base import Student, dense
from edgebat.students.space import Space, Whole, Widths
from edgebat.students.spec import FlattenLayer, Layer


class MlpStudent(Student):
    """``hidden``: width of each hidden layer."""

    kind = "mlp"
    space: ClassVar[Space] = {"hidden": Widths(Whole(4, 64, 4), 1, 3)}

    def __init__(self, *, hidden: Sequence[int] = (48, 32), **common: Any) -> None:
        super().__init__({"hidden": list(hidden)}, **common)
        widths = [self.shape[0] * self.shape[1], *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.head = nn.Linear(widths[-1], self.outputs)

    def body(self, z: Tensor) -> Tensor:
        values = z.flatten(1)
        for layer in self.hidden:
            values = torch.relu(layer(values))
        return self.head(values)  # type: ignore[no-any-return]

    def layers(self) -> list[Layer]:
        hidden = [dense(layer, "relu") for layer in self.hidden if isinstance(layer, nn.Linear)]
        return [FlattenLayer(), *hidden, dense(self.head)]


STUDENT = MlpStudent
