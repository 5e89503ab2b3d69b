"""CPMLP, a small network that stands beside the teachers (after BatteryLife), and how small networks are trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class CyclePatchMlp(nn.Module):
    """CPMLP of BatteryLife: each cycle is a patch embedded alone, then cycles are mixed. [N, cycles, columns] ->
    [N, outputs]."""

    def __init__(self, cycles: int, columns: int, width: int = 16, outputs: int = 1) -> None:
        super().__init__()
        self.embed = nn.Linear(columns, width)
        self.within = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.between = nn.Sequential(nn.Linear(cycles * width, 4 * width), nn.GELU(), nn.Linear(4 * width, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        h = self.embed(x)
        h = h + self.within(h)
        value: torch.Tensor = self.between(h.flatten(1))
        return value


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """``make()`` with weights drawn from ``seed``; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def fit_batches(
    network: nn.Module, loss: Callable[[Tensor], Tensor], count: int, seed: int, steps: int, batch: int = 128
) -> None:
    """``network`` trained in place on batches of ``count`` rows, drawn from ``seed``: AdamW, rate falling along a cosine.

    loss: from the indices of a batch, int64 [batch], to a scalar.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        value = loss(torch.randint(count, (batch,), generator=generator))
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        schedule.step()
