"""The universal forecaster (arXiv 2601.00862): Battery-Timer's network, trained by LoRA with a contrastive second task.

No code is public and the paper leaves layers, rank and weights open; what stands here follows its description. Windows
whose charges look physically alike are drawn together, others pushed apart; the descriptors that decide it are needed
in training only, at inference the network sees capacities and nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.universal.settings import ContrastSettings, UniversalSettings


class UniversalForecaster(BatteryTimer):
    """A BatteryTimer under its own name; see there for inputs and outputs."""

    name = "universal"
    study = "forecast.LEFT_OUT_UNIVERSAL"
    Settings = UniversalSettings


class ContrastHead(nn.Module):
    """Projection of hidden states onto the unit sphere, used in training only. ``step`` counts the losses computed."""

    step: Tensor

    def __init__(self, hidden: int, descriptors: int, settings: ContrastSettings) -> None:
        super().__init__()
        self.settings = settings
        self.projection = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, settings.width))
        self.physics = nn.Sequential(nn.Linear(2 * descriptors, hidden), nn.GELU(), nn.Linear(hidden, settings.width))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, state: Tensor, descriptors: Tensor, cell: Tensor) -> Tensor:
        """Weighted loss of a batch: state [B, hidden], descriptors [B, 10] with NaN, cell [B]."""
        self.step += 1
        share = min(1.0, int(self.step) / max(1, self.settings.warm_up))
        described = torch.isfinite(descriptors).any(1)
        if not described.any():
            return state.sum() * 0.0
        z = functional.normalize(self.projection(state[described]), dim=1)
        descriptors, cell = descriptors[described], cell[described]
        if self.settings.cross_modal:
            known = torch.isfinite(descriptors)
            physical = self.physics(torch.cat([torch.nan_to_num(descriptors), known.to(z.dtype)], dim=1))
            other = cell[:, None] != cell[None, :]
            itself = torch.arange(len(z), device=z.device)
            loss = info_nce(z, functional.normalize(physical, dim=1), itself, other, self.settings.temperature)
        else:
            positive, negative = choose_pairs(descriptors, cell, self.settings)
            loss = info_nce(z, z, positive, negative, self.settings.temperature)
        return self.settings.weight * share * loss


def descriptor_distance(descriptors: Tensor) -> Tensor:
    """Root mean squared difference over the columns both rows have, [B, B]; infinite where they share none."""
    known = torch.isfinite(descriptors).to(descriptors.dtype)
    values = torch.nan_to_num(descriptors)
    squares = values.square()
    total = squares @ known.T + known @ squares.T - 2.0 * values @ values.T
    shared = known @ known.T
    return torch.where(shared > 0, (total.clamp(min=0.0) / shared.clamp(min=1.0)).sqrt(), torch.inf)


def choose_pairs(descriptors: Tensor, cell: Tensor, settings: ContrastSettings) -> tuple[Tensor, Tensor]:
    """For each window of a batch its positive [B] (-1: none) and which others are negatives [B, B].

    Positive: one of the ``neighbours`` nearest windows of another cell, by draw from torch's generator. Negatives: all
    of other cells beyond the median distance, and ``hard_negatives`` drawn between the 20th and 40th percentile.
    Windows of the same cell are neither, or the network would learn to tell cells apart.
    """
    distance = descriptor_distance(descriptors)
    comparable = (cell[:, None] != cell[None, :]) & torch.isfinite(distance)
    distance = torch.where(comparable, distance, torch.inf)
    # The rank of each window among those that can be compared, as a fraction.
    rank = distance.argsort(dim=1).argsort(dim=1)
    count = comparable.sum(1, keepdim=True)
    fraction = rank / count.clamp(min=1)
    chosen = (torch.rand(len(cell), device=cell.device) * count[:, 0].clamp(max=settings.neighbours)).long()
    positive = (rank == chosen[:, None]).int().argmax(1)
    positive = torch.where(count[:, 0] > settings.neighbours, positive, -1)
    hard = comparable & (fraction >= 0.2) & (fraction < 0.4)
    order = torch.where(hard, torch.rand(distance.shape, device=cell.device), 2.0).argsort(dim=1).argsort(dim=1)
    return positive, comparable & ((fraction > 0.5) | (hard & (order < settings.hard_negatives)))


def info_nce(anchors: Tensor, others: Tensor, positive: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """Mean of -log(e^p / (e^p + sum e^n)) over the anchors that have a positive; e of cosine / temperature.

    anchors [B, d] and others [M, d] of length 1; positive [B] index into others or -1; negative bool [B, M]. Zero when
    there is no positive.
    """
    used = positive >= 0
    if not used.any():
        return anchors.sum() * 0.0
    similarity = anchors[used] @ others.T / temperature
    to_positive = similarity.gather(1, positive[used][:, None])
    to_negative = torch.where(negative[used], similarity, -torch.inf)
    return (torch.cat([to_positive, to_negative], dim=1).logsumexp(1) - to_positive[:, 0]).mean()
