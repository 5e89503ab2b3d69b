"""The 1-D convolution over cycles: increments are channels, cycles are time. Conv + ReLU ..., pool, Dense, head."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from edgebat.errors import RecipeError
from edgebat.students.base import Student, dense, to_numpy
from edgebat.students.space import Space, Whole, Widths
from edgebat.students.spec import Conv1DLayer, FlattenLayer, Layer, MaxPool1DLayer


class CnnStudent(Student):
    """``channels``: output channels of each convolution (no padding); ``kernel``: cycles each one sees;
    ``pool``: cycles joined by a maximum after the last convolution (1 = none); ``hidden``: width before the head.

    Raises RecipeError when the convolutions and the pool leave no time step.
    """

    kind = "cnn"
    space: ClassVar[Space] = {
        "channels": Widths(Whole(4, 32, 4), 1, 2),
        "kernel": Whole(2, 4),
        "pool": Whole(1, 3),
        "hidden": Whole(4, 32, 4),
    }

    def __init__(
        self,
        *,
        channels: Sequence[int] = (24, 24),
        kernel: int = 3,
        pool: int = 1,
        hidden: int = 24,
        **common: Any,
    ) -> None:
        super().__init__({"channels": list(channels), "kernel": kernel, "pool": pool, "hidden": hidden}, **common)
        steps = (self.shape[0] - len(channels) * (kernel - 1)) // pool
        if steps < 1:
            raise RecipeError(f"the cnn student has no time step left: {len(channels)} convolutions of kernel {kernel} "
                              f"and a pool of {pool} on {self.shape[0]} steps; use fewer, smaller ones")  # fmt: skip
        widths = [self.shape[1], *channels]
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, kernel) for a, b in itertools.pairwise(widths))
        self.pool = pool
        self.hidden = nn.Linear(steps * widths[-1], hidden)
        self.head = nn.Linear(hidden, self.outputs)

    def body(self, z: Tensor) -> Tensor:
        values = z.transpose(1, 2)
        for convolution in self.convolutions:
            values = torch.relu(convolution(values))
        values = nn.functional.max_pool1d(values, self.pool)
        # Back to [B, T, C] before flattening: the integer graph is channels last.
        values = torch.relu(self.hidden(values.transpose(1, 2).flatten(1)))
        return self.head(values)  # type: ignore[no-any-return]

    def layers(self) -> list[Layer]:
        convolutions: list[Layer] = [
            Conv1DLayer(to_numpy(layer.weight.transpose(1, 2)), to_numpy(layer.bias), 0, "relu")
            for layer in self.convolutions
            if isinstance(layer, nn.Conv1d) and layer.bias is not None
        ]
        pool: list[Layer] = [MaxPool1DLayer(self.pool)] if self.pool > 1 else []
        return [*convolutions, *pool, FlattenLayer(), dense(self.hidden, "relu"), dense(self.head)]


STUDENT = CnnStudent
