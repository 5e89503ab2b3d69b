"""What the three students share: normalization, heads, prediction and the way into plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32
from edgebat.errors import DataError
from edgebat.students.knots import expansion
from edgebat.students.spec import INPUT_MAX, INPUT_MIN, DenseLayer, FloatModel, Head, Layer
from edgebat.tasks.health.windows import SMALLEST_STD


class Student(nn.Module):
    """Base of ``MlpStudent``, ``CnnStudent`` and ``LstmStudent``.

    Takes capacity increments as fractions of nominal, [B, context, increments]; gives normalized outputs
    [B, 1 + knots + 1]: SOH, trajectory knots, RUL. ``settings`` are the constructor's keyword arguments, kept
    for saving.
    """

    kind = ""
    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor
    expansion: Tensor

    def __init__(self, *, context: int, increments: int, horizon: int, knots: int, **settings: Any) -> None:
        super().__init__()
        self.context, self.increments, self.horizon, self.knots = context, increments, horizon, knots
        self.outputs = knots + 2
        self.settings: dict[str, Any] = dict(
            context=context, increments=increments, horizon=horizon, knots=knots, **settings
        )
        for name, size, value in [
            ("input_mean", increments, 0.0),
            ("input_std", increments, 1.0),
            ("output_mean", self.outputs, 0.0),
            ("output_std", self.outputs, 1.0),
        ]:
            self.register_buffer(name, torch.full((size,), value))
        # Rows of the expansion sum to one, so it holds for normalized SOH as well: SOH and knots share mean and std.
        self.register_buffer("expansion", torch.from_numpy(expansion(horizon, knots)), persistent=False)

    def set_normalization(self, x: Float32, soh: Float32, rul: Float32) -> None:
        """Take mean and std from training windows: x [N, context, increments], soh [N], rul [N] (NaN = censored).

        Raises DataError when the windows or the SOH do not vary.
        """
        mean, std = x.mean(axis=(0, 1), dtype=np.float64), x.std(axis=(0, 1), dtype=np.float64)
        known = rul[np.isfinite(rul)]
        if std.max() < SMALLEST_STD or soh.std() < SMALLEST_STD:
            raise DataError(f"the student cannot be normalized: {len(x)} training windows hold constant values "
                            f"(std of increments at most {std.max():.3g}, of SOH {soh.std():.3g}); "
                            "train on cells that age")  # fmt: skip
        # Without one cell seen to its end there is nothing to learn for the RUL head; its loss is masked everywhere.
        rul_mean, rul_std = (known.mean(), max(float(known.std()), 1.0)) if known.size else (0.0, 1.0)
        heads = self.knots + 1
        self.input_mean.copy_(torch.as_tensor(mean))
        self.input_std.copy_(torch.as_tensor(std.clip(SMALLEST_STD)))
        self.output_mean.copy_(torch.as_tensor([soh.mean()] * heads + [rul_mean]))
        self.output_std.copy_(torch.as_tensor([soh.std()] * heads + [rul_std]))

    def forward(self, x: Tensor) -> Tensor:
        z = ((x - self.input_mean) / self.input_std).clamp(INPUT_MIN, INPUT_MAX)
        return self.body(z)

    def body(self, z: Tensor) -> Tensor:
        """Normalized inputs [B, context, increments] to normalized outputs."""
        raise NotImplementedError

    def layers(self) -> list[Layer]:
        """The trained layers in executing order as NumPy."""
        raise NotImplementedError

    def trajectory(self, outputs: Tensor) -> Tensor:
        """Normalized outputs [B, O] to the normalized trajectory [B, horizon]."""
        return outputs[:, : self.knots + 1] @ self.expansion.T

    def float_spec(self) -> FloatModel:
        """The student as plain NumPy (float32 copies)."""
        last = self.knots + 1
        return FloatModel(
            kind=self.kind,
            input_shape=(self.context, self.increments),
            layers=tuple(self.layers()),
            input_mean=to_numpy(self.input_mean),
            input_std=to_numpy(self.input_std),
            output_mean=to_numpy(self.output_mean),
            output_std=to_numpy(self.output_std),
            heads=(
                Head("soh", 0, 1, "fraction"),
                Head("trajectory", 1, self.knots, "fraction"),
                Head("rul", last, 1, "cycles"),
            ),
        )

    @torch.no_grad()
    def predict(self, x: Float32, batch_size: int = 4096) -> dict[str, Float32]:
        """Physical predictions for windows [N, context, increments]: soh [N], trajectory [N, horizon], rul [N]."""
        device = self.input_mean.device
        parts = [self(torch.as_tensor(x[i : i + batch_size], device=device)) for i in range(0, len(x), batch_size)]
        outputs = torch.cat(parts) * self.output_std + self.output_mean
        return physical(to_numpy(outputs), self.horizon, self.knots)


def physical(outputs: Float32, horizon: int, knots: int) -> dict[str, Float32]:
    """Physical outputs [N, 1 + knots + 1] as named predictions; RUL is never negative."""
    trajectory = outputs[:, : knots + 1] @ expansion(horizon, knots).T
    return {"soh": outputs[:, 0], "trajectory": trajectory, "rul": np.maximum(outputs[:, -1], 0)}


def to_numpy(tensor: Tensor) -> Float32:
    """A float32 copy on the CPU."""
    return tensor.detach().cpu().numpy().astype(np.float32)


def dense(layer: nn.Linear, activation: str = "none") -> DenseLayer:
    """A torch layer as a NumPy one."""
    return DenseLayer(to_numpy(layer.weight), to_numpy(layer.bias), activation)
