"""What all students share: normalization, heads, prediction and the path into plain NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.students.space import Space
from edgebat.students.spec import INPUT_MAX, INPUT_MIN, DenseLayer, FloatModel, HeadSlice, Layer
from edgebat.tasks.base import Head, head_of, physical, slices_of

SMALLEST_STD = {"fraction": 1e-6, "cycles": 1.0}
"""One ppm of nominal capacity, what a BMS can tell apart; one cycle. What varies less is not blown up."""


class Student(nn.Module):
    """Base of all students.

    Takes [B, T, C] fractions of nominal capacity; gives normalized outputs [B, O], the heads side by side.
    ``settings`` are the constructor's keyword arguments, kept for saving; own: those of the family. relative: what is read
    are the changes since the window's last value, and heads that are relative answer with such changes.
    """

    kind = ""
    space: ClassVar[Space] = {}
    """Keyword arguments that ``edgebat search`` varies; a family without takes part as it is by default."""
    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(
        self,
        own: Mapping[str, Any],
        *,
        shape: Sequence[int],
        heads: Sequence[Head | Mapping[str, Any]],
        relative: bool = False,
    ) -> None:
        super().__init__()
        self.shape = (int(shape[0]), int(shape[1]))
        self.heads = tuple(head if isinstance(head, Head) else head_of(head) for head in heads)
        self.relative = relative
        self.slices = slices_of(self.heads)
        self.outputs = sum(head.size for head in self.heads)
        self.settings: Json = {
            "shape": list(self.shape),
            "heads": [asdict(head) for head in self.heads],
            "relative": relative,
            **own,
        }
        for name, size, value in [
            ("input_mean", self.shape[1], 0.0),
            ("input_std", self.shape[1], 1.0),
            ("output_mean", self.outputs, 0.0),
            ("output_std", self.outputs, 1.0),
        ]:
            self.register_buffer(name, torch.full((size,), value))
        for head in self.heads:
            # Rows sum to one, so it holds for normalized values as well: what is interpolated shares mean and std.
            self.register_buffer(f"expansion_{head.name}", torch.from_numpy(head.expansion()), persistent=False)

    def set_normalization(
        self, x: Float32, targets: Mapping[str, Float32], smallest_std: Float32 | float = SMALLEST_STD["fraction"]
    ) -> None:
        """Take mean and std from training windows: x [N, T, C], targets head -> [N, values] (NaN = not known).
        smallest_std: of the inputs, one or [C].

        Raises DataError when the inputs or a head in fractions do not vary.
        """
        last = x[:, -1:, -1:]
        seen = x - last if self.relative else x
        mean, std = seen.mean(axis=(0, 1), dtype=np.float64), seen.std(axis=(0, 1), dtype=np.float64)
        if std.max() < SMALLEST_STD["fraction"]:
            raise DataError(f"the student cannot be normalized: {len(x)} training windows hold constant values "
                            f"(std of inputs at most {std.max():.3g}); train on cells that age")  # fmt: skip
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_std.copy_(torch.as_tensor(np.maximum(std, smallest_std)))
        for head, where in zip(self.heads, self.slices, strict=True):
            target = targets[head.scale or head.name]
            target = target - last[:, 0] if head.relative else target
            known = target[np.isfinite(target)]
            smallest = SMALLEST_STD[head.unit]
            if known.size and head.unit == "fraction" and known.std() < smallest:
                raise DataError(f"the student cannot be normalized: {len(x)} training windows hold a constant "
                                f"{head.name} (std {known.std():.3g}); train on cells that age")  # fmt: skip
            # Without one label there is nothing to learn for the head; its loss is masked everywhere.
            center, spread = (known.mean(), max(float(known.std()), smallest)) if known.size else (0.0, 1.0)
            self.output_mean[where] = float(center)
            self.output_std[where] = float(spread)

    def forward(self, x: Tensor) -> Tensor:
        seen = x - x[:, -1:, -1:] if self.relative else x
        z = ((seen - self.input_mean) / self.input_std).clamp(INPUT_MIN, INPUT_MAX)
        return self.body(z)

    def body(self, z: Tensor) -> Tensor:
        """Normalized inputs [B, T, C] to normalized outputs."""
        raise NotImplementedError

    def layers(self) -> list[Layer]:
        """The trained layers in executing order as NumPy."""
        raise NotImplementedError

    @property
    def last_layer(self) -> nn.Module:
        """What reads the last hidden state."""
        return self.get_submodule("head")

    def expanded(self, outputs: Tensor, head: int) -> Tensor:
        """Normalized outputs [B, O] to the normalized values [B, values] of head number ``head``."""
        return outputs[:, self._knots(head)] @ self.get_buffer(f"expansion_{self.heads[head].name}").T

    def normalized(self, label: Tensor, x: Tensor, head: int) -> Tensor:
        """Physical labels [B, values] for inputs x [B, T, C], as head number ``head`` has them."""
        first = self.slices[head].start
        change = label - x[:, -1, -1:] if self.heads[head].relative else label
        return (change - self.output_mean[first]) / self.output_std[first]

    def _knots(self, head: int) -> slice | list[int]:
        """Columns of the outputs that lie under a head's values: its own, and that of the head it starts from."""
        own, start = self.slices[head], self.heads[head].start
        if not start:
            return own
        before = self.slices[[h.name for h in self.heads].index(start)].start
        return slice(before, own.stop) if before == own.start - 1 else [before, *range(own.start, own.stop)]

    def float_spec(self) -> FloatModel:
        """The student as plain NumPy (float32 copies)."""
        return FloatModel(
            kind=self.kind,
            input_shape=self.shape,
            layers=tuple(self.layers()),
            input_mean=to_numpy(self.input_mean),
            input_std=to_numpy(self.input_std),
            output_mean=to_numpy(self.output_mean),
            output_std=to_numpy(self.output_std),
            heads=tuple(
                HeadSlice(head.name, where.start, head.size, head.unit, head.relative)
                for head, where in zip(self.heads, self.slices, strict=True)
            ),
            relative=self.relative,
        )

    @torch.no_grad()
    def predict(self, x: Float32, batch_size: int = 4096) -> dict[str, FloatArray]:
        """Physical predictions for windows x [N, T, C] by head: [N] for a head of one value, else [N, values]."""
        device = self.input_mean.device
        parts = [self(torch.as_tensor(x[i : i + batch_size], device=device)) for i in range(0, len(x), batch_size)]
        outputs = torch.cat(parts) if parts else torch.zeros(0, self.outputs, device=device)
        values = to_numpy(outputs * self.output_std + self.output_mean)
        return physical(values, self.heads, x[:, -1, -1])


def to_numpy(tensor: Tensor) -> Float32:
    """A float32 copy on the CPU."""
    return tensor.detach().cpu().numpy().astype(np.float32)


def dense(layer: nn.Linear, activation: str = "none") -> DenseLayer:
    """A torch layer as a NumPy one."""
    return DenseLayer(to_numpy(layer.weight), to_numpy(layer.bias), activation)
