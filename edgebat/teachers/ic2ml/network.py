"""IC2ML: battery health from intra- and inter-cycle features of a short piece of the charge.

Source: J. Power Sources 666, 239148, and github.com/terencetaothucb/IC2ML-Unified-battery-health-prognostics-via-
intra-and-inter-cycle-enhanced-machine-learning @f4175d8. Ten cycles of ten capacity increments go two ways: as ten
tokens through self-attention (SOH and trajectory) and as a 10 x 10 image through two inception blocks (RUL).

In the published code the RUL head asks one key with one query. A softmax over one number is 1, so query and key weights
and one normalization (132 096 parameters) never receive a gradient, and RUL sees the image alone.
``attention="published"`` keeps that; ``attention="tokens"`` asks the cycle rows of the image instead and hands the
context vector to the RUL head as well. The published SOH head sees one cycle at a time (``soh_from="embedding"``);
``soh_from="attention"`` puts the same head behind the self-attention, where each cycle has seen the other nine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.health.windows import SMALLEST_STD, HealthWindows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ic2ml.settings import Ic2mlSettings

ATTENTION = ("tokens", "published")
SOH_FROM = ("attention", "embedding")
BATCH = 1024
"""Windows predicted at a time."""


class Inception(nn.Module):
    """Four branches of ``outputs / 4`` channels over the (cycle, voltage) image, then batch normalization."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = outputs // 4

        def convolution(channels: int, kernel: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.GELU())

        self.branches = nn.ModuleList(
            [
                convolution(inputs, 1),
                nn.Sequential(convolution(inputs, 1), convolution(width, 3)),
                nn.Sequential(convolution(inputs, 1), convolution(width, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(inputs, 1)),
            ]
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(torch.cat([branch(image) for branch in self.branches], dim=1))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """One head: query [B, d] against keys and values [B, n, d]; scaled by 1 / sqrt(d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, asking: Tensor, rows: Tensor) -> Tensor:
        scores = self.key(rows) @ self.query(asking)[:, :, None] / math.sqrt(asking.shape[1])
        return (scores.softmax(dim=1) * self.value(rows)).sum(dim=1)  # type: ignore[no-any-return]


def sinusoids(positions: int, width: int) -> Tensor:
    """Interleaved sine and cosine position codes, float32 [positions, width]."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class Ic2ml(Teacher[HealthWindows]):
    """The IC2ML network.

    forward: increments as fractions of nominal [B, context, increments] to normalized (SOH of every input cycle
    [B, context], trajectory [B, horizon], RUL [B]). Raises RecipeError for an unknown ``attention`` or ``soh_from``.
    """

    name = "ic2ml"
    part = 4 * BATCH
    task = "health"
    study = "conditions.PUBLISHED"
    Settings = Ic2mlSettings
    input_mean: Tensor
    input_std: Tensor
    soh_mean: Tensor
    soh_std: Tensor
    rul_std: Tensor
    positions: Tensor

    def __init__(
        self,
        *,
        context: int = 10,
        increments: int = 10,
        horizon: int = 50,
        width: int = 256,
        dropout: float = 0.1,
        attention: str = "tokens",
        soh_from: str = "attention",
    ) -> None:
        super().__init__()
        if attention not in ATTENTION:
            raise RecipeError(f"ic2ml: attention is {attention!r}; allowed are {', '.join(ATTENTION)}")
        if soh_from not in SOH_FROM:
            raise RecipeError(f"ic2ml: soh_from is {soh_from!r}; allowed are {', '.join(SOH_FROM)}")
        self.settings = {
            "context": context,
            "increments": increments,
            "horizon": horizon,
            "width": width,
            "dropout": dropout,
            "attention": attention,
            "soh_from": soh_from,
        }
        half = width // 2
        self.attention, self.soh_from = attention, soh_from
        self.embed = nn.Sequential(
            nn.Linear(increments, half), nn.GELU(), nn.LayerNorm(half), nn.Linear(half, width), nn.LayerNorm(width)
        )
        self.soh_head = nn.Sequential(nn.Linear(width, half), nn.GELU(), nn.LayerNorm(half), nn.Linear(half, 1))
        self.self_attention = nn.MultiheadAttention(width, 2, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.norm1 = nn.LayerNorm(width)
        self.summary = nn.Sequential(nn.Linear(context * width, width), nn.GELU(), nn.LayerNorm(width))
        self.trajectory_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, horizon)
        )
        self.image = nn.Sequential(Inception(1, half // 2), nn.MaxPool2d(2, stride=1), Inception(half // 2, half))
        self.image_projection = nn.Linear(half, width)
        self.cross_attention = CrossAttention(width)
        if attention == "published":
            self.norm2 = nn.LayerNorm(width)  # never used: it stands here because the published network carries it
        rul_inputs = width if attention == "published" else 2 * width
        self.rul_head = nn.Sequential(
            nn.Linear(rul_inputs, half), nn.GELU(), nn.Dropout(2 * dropout), nn.Linear(half, 1)
        )
        self.register_buffer("positions", sinusoids(context, width), persistent=False)
        self.register_buffer("input_mean", torch.zeros(increments))
        self.register_buffer("input_std", torch.ones(increments))
        self.register_buffer("soh_mean", torch.zeros(()))
        self.register_buffer("soh_std", torch.ones(()))
        # The paper divides RUL by 100.
        self.register_buffer("rul_std", torch.tensor(100.0))

    def set_normalization(self, x: Float32, soh: Float32) -> None:
        """Mean and std per increment over training windows [N, context, increments], and of their SOH [N].

        Raises DataError when the windows or the SOH do not vary.
        """
        std = x.std(axis=(0, 1), dtype=np.float64)
        if std.max() < SMALLEST_STD or soh.std() < SMALLEST_STD:
            raise DataError(f"ic2ml cannot be normalized: {len(x)} training windows hold constant values "
                            f"(std of increments at most {std.max():.3g}, of SOH {soh.std():.3g}); "
                            "train on cells that age")  # fmt: skip
        self.input_mean.copy_(torch.as_tensor(x.mean(axis=(0, 1), dtype=np.float64)))
        self.input_std.copy_(torch.as_tensor(std.clip(SMALLEST_STD)))
        self.soh_mean.copy_(torch.as_tensor(soh.mean()))
        self.soh_std.copy_(torch.as_tensor(soh.std()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.answers(x)[0]

    def answers(self, x: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """What ``forward`` gives, and the summary of all cycles [B, width] that trajectory and RUL are read from."""
        z = (x - self.input_mean) / self.input_std
        tokens = self.embed(z)
        placed = self.dropout(tokens + self.positions)
        attended, _ = self.self_attention(placed, placed, placed, need_weights=False)
        attended = self.norm1(placed + attended)
        soh = self.soh_head(tokens if self.soh_from == "embedding" else attended).squeeze(2)
        context = self.summary(attended.flatten(1))
        trajectory = self.trajectory_head(context)

        image = self.image(z[:, None])  # [B, width / 2, cycles, voltages]
        if self.attention == "published":
            rows = image.mean(dim=(2, 3))[:, None]
            features = self.cross_attention(context, self.image_projection(rows))
        else:
            rows = image.mean(dim=3).transpose(1, 2)
            features = torch.cat([self.cross_attention(context, self.image_projection(rows)), context], dim=1)
        return (soh, trajectory, self.rul_head(features).squeeze(1)), context

    @torch.no_grad()
    def predict(self, windows: HealthWindows) -> dict[str, FloatArray]:
        """Physical predictions for N windows.

        float32: soh [N] (last cycle) and trajectory [N, horizon] as fractions of the reference, rul [N] in cycles.
        Raises DataError for another shape.
        """
        # No windows are no answers, not an error.
        parts: list[Tensor] = [torch.zeros(0, self.settings["horizon"] + 2, device=self.input_mean.device)]
        for (soh, trajectory, rul), _ in self._batches(windows):
            fractions = torch.cat([soh[:, -1:], trajectory], dim=1) * self.soh_std + self.soh_mean
            parts.append(torch.cat([fractions, (rul * self.rul_std).clamp(min=0)[:, None]], dim=1))
        values = torch.cat(parts).cpu().numpy()
        return {"soh": values[:, 0], "trajectory": values[:, 1:-1], "rul": values[:, -1]}

    @torch.no_grad()
    def hidden(self, windows: HealthWindows) -> FloatArray:
        """The summary of all cycles, [N, width]. Raises DataError like ``predict``."""
        return torch.cat([state.float().cpu() for _, state in self._batches(windows)]).numpy()

    def _batches(self, windows: HealthWindows) -> Iterator[tuple[tuple[Tensor, Tensor, Tensor], Tensor]]:
        """``answers`` in eval mode, batch by batch."""
        x = np.asarray(getattr(windows, "increments", np.zeros(0)), dtype=np.float32)
        shape = (self.settings["context"], self.settings["increments"])
        if x.shape[1:] != shape:
            raise DataError(f"this ic2ml reads windows [N, {shape[0]}, {shape[1]}]; seen shape {x.shape}; give windows of "
                            "the health task it was trained for")  # fmt: skip
        was_training = self.training
        self.eval()
        for start in range(0, len(x), BATCH):
            yield self.answers(torch.as_tensor(x[start : start + BATCH], device=self.input_mean.device))
        self.train(was_training)
