"""Training the ``life`` teachers: BatLiNet on pairs of cells, DiffBatt on curves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.features.life import LifeWindows
from edgebat.teachers.batlinet import BatLiNet
from edgebat.teachers.diffbatt import DiffBatt
from edgebat.teachers.fixed_fit import StepResult, StepSettings, fit_steps


@dataclass(frozen=True)
class BatLiNetSettings:
    """alpha, width: the paper's. pairs: random references per cell and step. references: stored for prediction.
    noise: on the input, as a fraction of its standard deviation."""

    width: int = 32
    alpha: float = 0.5
    absolute: bool = False
    cleaning: bool = True
    pairs: int = 2
    references: int = 64
    noise: float = 0.0
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=1000, weight_decay=0.01))


@dataclass(frozen=True)
class DiffBattSettings:
    """drop: chance of training without the condition. repeats: every cell that often in a step, each with noise of its
    own. noise: on the matrix, as a fraction of its standard deviation.."""

    first: int = 8
    drop: float = 0.2
    repeats: int = 4
    noise: float = 0.0
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=5000, average=0.999))


def spec_settings(windows: LifeWindows) -> dict[str, Any]:
    """The windows' definition as JSON-able keyword arguments."""
    return dataclasses.asdict(windows.spec)


def train_batlinet(
    train: LifeWindows, settings: BatLiNetSettings, folder: str | Path, resume: bool = False
) -> tuple[BatLiNet, StepResult]:
    """A trained BatLiNet in eval mode on the CPU. Censored cells are left out. Raises RecipeError without any cell."""
    train = train.select(np.isfinite(train.life))
    torch.manual_seed(settings.fit.seed)
    chosen = np.random.default_rng(settings.fit.seed).permutation(len(train))[: settings.references]
    network = BatLiNet(
        spec=spec_settings(train),
        width=settings.width,
        alpha=settings.alpha,
        absolute=settings.absolute,
        references=len(chosen),
        cleaning=settings.cleaning,
    )
    x, label = network.tensor(train), torch.log(torch.from_numpy(train.life))
    network.label_mean.copy_(label.mean())
    network.label_std.copy_(label.std())
    label = (label - label.mean()) / label.std()
    base = train.spec.base_cycle - 1
    network.input_std[0] = (x - x[:, :, base : base + 1]).std()
    network.input_std[1] = (x - x.roll(1, 0)).std()
    network.reference_x.copy_(x[chosen])
    network.reference_label.copy_(label[chosen])

    def loss(module: nn.Module, data: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        x, label = data
        if settings.noise:
            noise = torch.randn(x.shape, generator=generator, device=x.device)
            x = x + settings.noise * network.input_std[0] * noise
        assert isinstance(module, BatLiNet)
        intra = (module.within(x) - label).square().mean()
        partners = torch.randint(len(x), (settings.pairs, len(x)), generator=generator, device=x.device)
        inter = torch.stack([module.difference(x, x[p]) + label[p] for p in partners]).mean(dim=0)
        return (1.0 - settings.alpha) * intra + settings.alpha * (inter - label).square().mean()

    result = fit_steps(network, (x, label), loss, settings.fit, folder, resume)
    return network, result


def train_diffbatt(
    train: LifeWindows, settings: DiffBattSettings, folder: str | Path, resume: bool = False
) -> tuple[DiffBatt, StepResult]:
    """A trained DiffBatt in eval mode on the CPU. Raises RecipeError without any cell."""
    torch.manual_seed(settings.fit.seed)
    network = DiffBatt(spec=spec_settings(train), first=settings.first)
    q, curve = network.tensor(train), torch.from_numpy(2.0 * train.curve - 1.0)
    network.input_std.copy_(q.std())

    def loss(module: nn.Module, data: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        assert isinstance(module, DiffBatt)
        q, curve = (tensor.repeat(settings.repeats, *[1] * (tensor.ndim - 1)) for tensor in data)
        if settings.noise:
            q = q + settings.noise * module.input_std * torch.randn(q.shape, generator=generator, device=q.device)
        return module.noise_loss(curve, q, settings.drop, generator)

    result = fit_steps(network, (q, curve), loss, settings.fit, folder, resume)
    return network, result
