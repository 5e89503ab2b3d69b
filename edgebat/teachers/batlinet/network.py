"""BatLiNet (Nature Machine Intelligence, 10.1038/s42256-024-00972-x): cycle life from early cycles.

One encoder reads how a cell changed since its base cycle (intra), the other how it differs from reference cells whose
life is known (inter); one linear head reads both. Specified for six charge and discharge channels on a capacity grid;
it takes whatever channels a corpus has, discharge Q(V) alone included.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import FloatArray
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.life.windows import LifeSpec, LifeWindows
from edgebat.teachers.base import Teacher
from edgebat.teachers.batlinet.settings import BatLiNetSettings, BatLiNetShape
from edgebat.teachers.ensemble import SeedEnsemble

CURRENT = 1
"""The channel of the charging current, where there is one: Q(V), current, ..., capacity."""


class Encoder(nn.Module):
    """[N, channels, cycles, columns] -> [N, width]: two convolutions with pooling, then one over the whole rest."""

    def __init__(self, channels: int, cycles: int, columns: int, width: int) -> None:
        super().__init__()
        rest = ((((cycles - 2) // 3) - 2) // 3, (((columns - 2) // 3) - 2) // 3)
        if min(rest) < 1:
            raise DataError(f"BatLiNet needs at least 17 cycles and 17 columns; seen {cycles} x {columns}")
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3),
            nn.ReLU(),
            nn.AvgPool2d(3),
            nn.Conv2d(width, width, 3),
            nn.ReLU(),
            nn.AvgPool2d(3),
            nn.Conv2d(width, width, rest),
            nn.ReLU(),
            nn.Flatten(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features: Tensor = self.layers(x)
        return features


class BatLiNet(Teacher[LifeWindows]):
    """Cycle life of cells, float [N], from early-life tensors [N, channels, cycles, columns].

    spec: the ``LifeSpec`` the windows were made with, checked at prediction. shape: fields of ``BatLiNetShape``.
    """

    name = "batlinet"
    part = 256
    task = "life"
    study = "life.TRANSFERS"
    Settings = BatLiNetSettings
    label_mean: Tensor
    label_std: Tensor
    input_std: Tensor
    center: Tensor
    reference_x: Tensor
    reference_label: Tensor

    def __init__(self, spec: dict[str, Any] | None = None, channels: int = 1, **shape: Any) -> None:
        super().__init__()
        made = BatLiNetShape(**shape)
        self.spec = LifeSpec(**(spec or {}))
        self.settings = {"spec": dict(spec or {}), "channels": channels, **asdict(made)}
        self.alpha, self.absolute, self.cleaning = made.alpha, made.absolute, made.cleaning
        self.pool, self.capacity, self.compress, self.current = made.pool, made.capacity, made.compress, made.current
        least = 1 + self.capacity + self.current
        if self.compress < 0.0 or (self.compress and self.absolute):
            raise RecipeError(f"batlinet: compress is {self.compress}; it is 0 or larger, and for differences only")
        if channels < least:
            raise RecipeError(f"batlinet: {channels} channels; Q(V), current and capacity are {least}")
        if self.pool < 1 or self.spec.cycles % self.pool:
            raise DataError(
                f"BatLiNet pools {self.pool} cycles; it must divide the {self.spec.cycles} cycles of the windows"
            )
        size = (channels, self.spec.cycles // self.pool, self.spec.columns)
        self.intra, self.inter = Encoder(*size, made.width), Encoder(*size, made.width)
        self.head = nn.Linear(made.width, 1, bias=False)
        self.register_buffer("label_mean", torch.zeros(()))
        self.register_buffer("label_std", torch.ones(()))
        self.register_buffer("input_std", torch.ones(2, channels, 1, 1))
        # What the intra branch subtracts from the capacity channel; the other channels lose their base cycle instead.
        self.register_buffer("center", torch.zeros(()))
        self.register_buffer("reference_x", torch.zeros(made.references, *size))
        self.register_buffer("reference_label", torch.zeros(made.references))

    def within(self, x: Tensor) -> Tensor:
        """Standardized log life [N] from the change since the base cycle, for x [N, channels, cycles, columns]."""
        change = self.change(x)
        life: Tensor = self.head(self.intra(self.cleaned(change) / self.input_std[0])).squeeze(1)
        return life

    def change(self, x: Tensor) -> Tensor:
        """What the intra branch sees of x [N, channels, cycles, columns], before scaling."""
        base = (self.spec.base_cycle - 1) // self.pool
        change = self.gap(x, x[:, :, base : base + 1])
        if self.capacity:
            change[:, -1:] = x[:, -1:] - self.center
        return change

    def gap(self, x: Tensor, other: Tensor) -> Tensor:
        """``x - other``; 0 in the current's channel where one of the two charging currents is not known (NaN)."""
        gap = x - other
        if self.current:
            gap[:, CURRENT] = torch.where(gap[:, CURRENT].isnan(), 0.0, gap[:, CURRENT])
        return gap

    def difference(self, x: Tensor, reference: Tensor) -> Tensor:
        """Difference [N] of standardized log life between cells ``x`` and cells ``reference``, same shapes."""
        gap = self.cleaned(self.gap(x, reference))
        life: Tensor = self.head(self.inter(gap / self.input_std[1])).squeeze(1)
        return life

    def between(self, x: Tensor, reference: Tensor, label: Tensor) -> Tensor:
        """Standardized log life [N, R] of x [N, ...] judged against ``reference`` [R, ...] of known ``label`` [R]."""
        columns = [self.difference(x, r.expand_as(x)) + value for r, value in zip(reference, label, strict=True)]
        return torch.stack(columns, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Standardized log life [N]: both branches mixed, the median over all stored references."""
        inter = self.between(x, self.reference_x, self.reference_label).median(dim=1).values
        return (1.0 - self.alpha) * self.within(x) + self.alpha * inter

    def cleaned(self, difference: Tensor) -> Tensor:
        """The paper's cleaning of what was measured, without editing its input. A stated current has no glitches."""
        if not self.cleaning:
            return difference
        measured = [channel for channel in range(difference.shape[1]) if not (self.current and channel == CURRENT)]
        cleaned = difference.clone()
        cleaned[:, measured] = clean(difference[:, measured])
        return cleaned

    def tensor(self, windows: LifeWindows) -> Tensor:
        """Network input [N, channels, cycles / pool, columns]. Raises DataError for windows made otherwise."""
        windows = windows.cut_for(self.spec, "this BatLiNet")
        x = windows.x
        if self.absolute:
            if not np.isfinite(windows.base).all():
                raise DataError("this BatLiNet compares absolute Q(V); some cells have differences only")
            x = x + windows.base[:, None, :]
        channels = [x]
        if self.current:
            channels.append(np.broadcast_to(windows.charge_rate_c[:, None, :], x.shape))
        if self.capacity:
            channels.append(np.broadcast_to(windows.capacity[:, :, None], x.shape))
        pooled = nn.functional.avg_pool2d(torch.from_numpy(np.stack(channels, axis=1)), (self.pool, 1))
        if self.compress:
            pooled[:, 0] = torch.asinh(pooled[:, 0] / self.compress)
        return pooled

    @torch.no_grad()
    def predict(self, windows: LifeWindows) -> dict[str, FloatArray]:
        """``life``: cycle life [N] in cycles, float32."""
        device = self.label_mean.device
        parts = [self(chunk.to(device)).float() for chunk in torch.split(self.tensor(windows), 64)]
        life = torch.exp(torch.cat(parts) * self.label_std + self.label_mean)
        return {"life": life.cpu().numpy()}

    @torch.no_grad()
    def hidden(self, windows: LifeWindows) -> FloatArray:
        """What the intra branch makes of a cell, before the head."""
        device = self.label_mean.device
        changes = (self.change(chunk.to(device)) for chunk in torch.split(self.tensor(windows), 64))
        return torch.cat([self.intra(self.cleaned(each) / self.input_std[0]).float().cpu() for each in changes]).numpy()

    def notes(self, windows: LifeWindows) -> list[str]:
        """Whether the charging current it reads is known."""
        unknown = int(np.isnan(windows.charge_rate_c).all(axis=1).sum())
        if not self.current or not unknown:
            return []
        return [
            f"the charging current of {unknown} of {len(windows)} cells is not known (charge_protocol in cells.csv); "
            "they count as charged like each reference"
        ]


class BatLiNetEnsemble(SeedEnsemble[LifeWindows]):
    """Several BatLiNets; the geometric mean of their lives."""

    name = "batlinet_ensemble"
    part = BatLiNet.part
    task = "life"
    Settings = BatLiNetSettings
    member = BatLiNet

    def predict(self, windows: LifeWindows) -> dict[str, FloatArray]:
        """``life`` and ``life_spread``, the members' standard deviation: cycles, float32 [N]."""
        lives = np.stack([member.predict(windows)["life"] for member in self.members])  # type: ignore[operator]
        return {"life": np.exp(np.log(lives).mean(axis=0)), "life_spread": lives.std(axis=0)}


def clean(difference: Tensor) -> Tensor:
    """Glitches of [N, channels, cycles, columns] set to zero; a new tensor.

    Outer twentieths of the columns: values farther than 3 standard deviations (of the distance to the row's median)
    from the median. Whole cycles: rows whose peak or mean is farther than 5 standard deviations from the median over
    cycles.
    """
    edge = max(1, difference.shape[-1] // 20)
    distance = (difference - difference.median(dim=-1, keepdim=True).values).abs()
    outlier = distance > 3.0 * distance.std(dim=-1, keepdim=True) + 1e-12
    outlier[..., edge:-edge] = False
    peak, mean = difference.abs().amax(dim=-1), difference.mean(dim=-1)
    wild = torch.zeros_like(peak, dtype=torch.bool)
    for value in (peak, mean):
        away = (value - value.median(dim=-1, keepdim=True).values).abs()
        wild |= away > 5.0 * away.std(dim=-1, keepdim=True) + 1e-12
    return difference.masked_fill(outlier | wild.unsqueeze(-1), 0.0)
