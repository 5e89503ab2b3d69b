"""CPMLP, a small network that stands beside the teachers (after BatteryLife)."""

from __future__ import annotations

import torch
from torch import nn


class CyclePatchMlp(nn.Module):
    """CPMLP of BatteryLife: each cycle is a patch embedded alone, then cycles are mixed. [N, cycles, columns] -> [N], or
    [N, outputs] when there are several."""

    def __init__(self, cycles: int, columns: int, width: int = 16, outputs: int = 1) -> None:
        super().__init__()
        self.embed = nn.Linear(columns, width)
        self.within = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.between = nn.Sequential(nn.Linear(cycles * width, 4 * width), nn.GELU(), nn.Linear(4 * width, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        h = self.embed(x)
        h = h + self.within(h)
        value: torch.Tensor = self.between(h.flatten(1)).squeeze(1)
        return value
