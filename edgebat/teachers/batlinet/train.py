"""Training BatLiNet on pairs of cells."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.errors import RecipeError
from edgebat.tasks.life.windows import LifeWindows
from edgebat.teachers.batlinet.network import CURRENT, BatLiNet
from edgebat.teachers.batlinet.settings import BatLiNetSettings
from edgebat.teachers.ensemble import alone
from edgebat.training.run import Run, StepResult
from edgebat.training.steps import fit_steps


def fit_teacher(
    kind: type[BatLiNet],
    train: LifeWindows,
    val: LifeWindows | None,
    settings: BatLiNetSettings,
    run: Run,
    support: LifeWindows | None = None,
    start: BatLiNet | None = None,
) -> tuple[BatLiNet, StepResult]:
    """See ``Teacher.fit``; ``val`` is not looked at, censored cells are left out. Raises RecipeError without any cell.

    support: where the reference cells come from, ``train`` itself unless given (cells of other chemistries, say).
    start: weights to begin with; its label scale is kept.
    """
    alone(settings.members, kind.name)
    train = train.select(np.isfinite(train.life))
    support = train if support is None else support.select(np.isfinite(support.life))
    if not len(train) or not len(support):
        raise RecipeError(f"BatLiNet needs cells of known life: {len(train)} to train on, {len(support)} as references")
    if settings.current and not (np.isfinite(train.charge_rate_c).any() and np.isfinite(support.charge_rate_c).any()):
        raise RecipeError(
            "batlinet: current is true, and the charging current of no cell is known; cells.csv states it in "
            "charge_protocol ('5.4C(60%)-3C', '1C CC-CV to 4.2 V', ...). Set current: false to do without"
        )
    torch.manual_seed(settings.fit.seed)
    order = np.argsort(support.life, kind="stable")
    # No group is smaller than ``merge``: a rest of one cell would be that cell's own measurement.
    groups = np.array_split(order, max(1, len(order) // settings.merge))
    chosen = np.random.default_rng(settings.fit.seed).permutation(len(groups))[: settings.references]
    network = kind(dataclasses.asdict(train.spec), settings.channels, **settings.shape(references=len(chosen)))
    # Twice as fast on a CPU as the default layout.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, label = network.tensor(train), torch.log(torch.from_numpy(train.life))
    partner_x, partner_label = network.tensor(support), torch.log(torch.from_numpy(support.life))
    if start is None:
        both = torch.cat((label, partner_label))
        network.label_mean.copy_(both.mean())
        network.label_std.copy_(both.std(correction=0).clamp(min=0.05))
        if settings.capacity:
            network.center.copy_(partner_x[:, -1].mean())
        for branch, values in enumerate((network.change(partner_x), network.gap(partner_x, partner_x.roll(1, 0)))):
            network.input_std[branch] = values.std(dim=(0, 2, 3)).clamp(min=1e-6)[:, None, None]
    else:
        kept = ("reference_x", "reference_label")
        network.load_state_dict({k: v for k, v in start.state_dict().items() if k not in kept}, strict=False)
    label = (label - network.label_mean) / network.label_std
    partner_label = (partner_label - network.label_mean) / network.label_std
    network.reference_x.copy_(torch.stack([partner_x[groups[i]].nanmean(dim=0) for i in chosen]))
    network.reference_label.copy_(torch.stack([partner_label[groups[i]].mean() for i in chosen]))

    def loss(module: nn.Module, data: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        x, label, partner_x, partner_label = data
        assert isinstance(module, BatLiNet)
        if settings.noise:
            noise = torch.randn(x.shape, generator=generator, device=x.device)
            if settings.current:
                noise[:, CURRENT] = 0.0  # stated, not measured
            x = x + settings.noise * module.input_std[0] * noise
        intra = (module.within(x) - label).square().mean()
        if settings.alpha == 0.0:
            return intra
        partners = torch.randint(len(partner_x), (settings.pairs, len(x)), generator=generator, device=x.device)
        inter = torch.stack([module.difference(x, partner_x[p]) + partner_label[p] for p in partners])
        if not settings.each_pair:
            inter = inter.mean(dim=0)
        return (1.0 - settings.alpha) * intra + settings.alpha * (inter - label).square().mean()

    result = fit_steps(network, (x, label, partner_x, partner_label), loss, settings.fit, run)
    return network, result
