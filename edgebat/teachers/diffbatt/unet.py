"""DiffBatt's network (arXiv 2410.23893): a 1-D U-Net that predicts the noise in an SOH curve, given a capacity matrix.

478,369 parameters, as published. Three habits of the original are kept because its figures rest on them: the skip of
the attention adds the normalized input, down-sampling pads on the right only, and the condition enters the up path as
a factor.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 8
EPSILON = 1e-3
"""Of the group normalization; TensorFlow's default."""


def frequencies(count: int, divisor: int) -> Tensor:
    """10000 ** (-i / divisor) for i < count, float32."""
    return torch.exp(-math.log(10000.0) * torch.arange(count, dtype=torch.float32) / divisor)


def position_code(length: int, channels: int) -> Tensor:
    """Sine and cosine in turn, float32 [channels, length]."""
    angle = torch.arange(length, dtype=torch.float32) * frequencies(channels // 2, channels // 2)[:, None]
    return torch.stack((angle.sin(), angle.cos()), dim=1).reshape(channels, length)


class Attention(nn.Module):
    """Single-head self-attention over [N, channels, length]; the skip is the normalized input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=EPSILON)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, length] -> the same shape."""
        h = self.norm(x).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(self.query(h), self.key(h), self.value(h))
        result: Tensor = (h + self.out(mixed)).transpose(1, 2)
        return result


class ResidualBlock(nn.Module):
    """GN, GELU, conv, (x condition), + time, GN, GELU, conv, + skip."""

    def __init__(self, inputs: int, width: int, embedding: int, conditioned: bool) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs, eps=EPSILON)
        self.conv1 = nn.Conv1d(inputs, width, 3, padding=1)
        self.time = nn.Linear(embedding, width)
        self.condition = nn.Linear(embedding, width) if conditioned else None
        self.norm2 = nn.GroupNorm(GROUPS, width, eps=EPSILON)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)
        self.skip = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """x [N, inputs, length]; time and condition [N, embedding], already through GELU."""
        h = self.conv1(functional.gelu(self.norm1(x)))
        if self.condition is not None:
            h = h * self.condition(condition)[:, :, None]
        h = h + self.time(time)[:, :, None]
        result: Tensor = self.conv2(functional.gelu(self.norm2(h))) + self.skip(x)
        return result


class Level(nn.Module):
    """A residual block and, at wide levels, attention."""

    def __init__(self, inputs: int, width: int, embedding: int, attention: bool, conditioned: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, width, embedding, conditioned)
        self.attention = Attention(width) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """See ResidualBlock."""
        result: Tensor = self.attention(self.block(x, time, condition))
        return result


class UNet(nn.Module):
    """Noise [N, points] in curves x [N, points] at steps t [N], given matrices q [N, cycles, columns].

    ``mask`` float [N] multiplies the condition; 0 is the null condition. points must be a multiple of 8.
    """

    position: Tensor
    time_frequencies: Tensor

    def __init__(self, columns: int = 100, points: int = 256, first: int = 8) -> None:
        super().__init__()
        widths = [first * factor for factor in (1, 2, 4, 8)]
        embedding = first * 4
        self.register_buffer("position", position_code(points, first), persistent=False)
        self.register_buffer("time_frequencies", frequencies(embedding // 2, embedding // 2 - 1), persistent=False)
        self.stem = nn.Conv1d(1, first, 7, padding=3)
        self.time = nn.Sequential(nn.Linear(embedding, embedding), nn.GELU(), nn.Linear(embedding, embedding))
        self.rows = nn.Linear(columns, embedding)
        self.rows_attention = Attention(embedding)
        self.condition = nn.Linear(embedding, embedding)
        width = 2 * first
        skips = [width]
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for level, target in enumerate(widths):
            for _ in range(2):
                self.down.append(Level(width, target, embedding, attention=level >= 2, conditioned=False))
                width = target
                skips.append(width)
            if level < 3:
                self.shrink.append(nn.Conv1d(width, width, 3, stride=2))
                skips.append(width)
        self.middle = nn.ModuleList(
            [Level(width, width, embedding, True, False), Level(width, width, embedding, False, False)]
        )
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, target in reversed(list(enumerate(widths))):
            for _ in range(3):
                self.up.append(Level(width + skips.pop(), target, embedding, attention=level >= 2, conditioned=True))
                width = target
            if level > 0:
                self.grow.append(nn.Conv1d(width, width, 3, padding=1))
        self.out_norm = nn.GroupNorm(GROUPS, width, eps=EPSILON)
        self.out = nn.Conv1d(width, 1, 7, padding=3)
        self._initialize()

    def _initialize(self) -> None:
        """Glorot uniform; almost zero where a block should begin as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        small: list[nn.Linear | nn.Conv1d] = [m.conv2 for m in self.modules() if isinstance(m, ResidualBlock)]
        small += [m.out for m in self.modules() if isinstance(m, Attention | UNet)]
        for layer in small:
            nn.init.xavier_uniform_(layer.weight, gain=1e-5)

    def embed_time(self, t: Tensor) -> Tensor:
        """[N] steps -> [N, embedding]."""
        angle = t.to(self.time_frequencies.dtype)[:, None] * self.time_frequencies
        result: Tensor = self.time(torch.cat((angle.sin(), angle.cos()), dim=1))
        return result

    def embed_condition(self, q: Tensor) -> Tensor:
        """[N, cycles, columns] -> [N, embedding]; rows are tokens without position."""
        tokens = self.rows_attention(self.rows(q).transpose(1, 2))
        result: Tensor = self.condition(tokens.mean(dim=2))
        return result

    def forward(self, x: Tensor, t: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """Noise [N, points]; ``condition`` [N, embedding] comes from ``embed_condition``."""
        time = functional.gelu(self.embed_time(t))
        condition = functional.gelu(condition * mask[:, None])
        h = self.stem(x[:, None])
        h = torch.cat((h, self.position.expand(len(x), -1, -1)), dim=1)
        skips = [h]
        for index, level in enumerate(self.down):
            h = level(h, time, condition)
            skips.append(h)
            if index % 2 == 1 and index < 6:
                # TensorFlow's SAME padding of an even length at stride 2: nothing left, one right.
                h = self.shrink[index // 2](functional.pad(h, (0, 1)))
                skips.append(h)
        for level in self.middle:
            h = level(h, time, condition)
        for index, level in enumerate(self.up):
            h = level(torch.cat((h, skips.pop()), dim=1), time, condition)
            if index % 3 == 2 and index < 9:
                h = self.grow[index // 3](h.repeat_interleave(2, dim=2))
        noise: Tensor = self.out(functional.gelu(self.out_norm(h))).squeeze(1)
        return noise
