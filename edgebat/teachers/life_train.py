"""Training the ``life`` teachers: BatLiNet on pairs of cells, DiffBatt on curves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.errors import RecipeError
from edgebat.tasks.life.windows import LifeWindows
from edgebat.teachers.batlinet.network import CURRENT, BatLiNet, BatLiNetEnsemble
from edgebat.teachers.diffbatt.blend import blend, neighbours_in_life, stretched, unstretched
from edgebat.teachers.diffbatt.network import DiffBatt
from edgebat.training.run import Run
from edgebat.training.steps import StepResult, StepSettings, fit_steps


@dataclass(frozen=True)
class BatLiNetSettings:
    """alpha, width: the paper's. pairs: random references per cell and step. each_pair: their errors count one by one,
    not, as published, the error of their mean. references: at most so many are stored for
    prediction. merge: cells neighbouring in life averaged into one stored reference; above 1, no cell's own measurement
    leaves with the model file. noise: on the input, as a fraction of its standard deviation. pool, capacity, compress,
    current: see BatLiNet. members: so many networks from seeds of their own, averaged."""

    width: int = 32
    alpha: float = 0.5
    absolute: bool = False
    cleaning: bool = True
    pairs: int = 2
    each_pair: bool = False
    references: int = 64
    merge: int = 1
    noise: float = 0.0
    pool: int = 1
    capacity: bool = False
    compress: float = 0.0
    current: bool = False
    members: int = 1
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=1000, weight_decay=0.01))


@dataclass(frozen=True)
class DiffBattSettings:
    """drop: chance of training without the condition. repeats: every cell that often in a step, each with noise of its
    own. blend: train on cells between the measured ones, each blended with one at most so many ranks away in life; 0:
    the measured ones themselves. noise: on the matrix, as a fraction of its standard deviation. target: see DiffBatt.
    standardize: divide the matrices by their standard deviation; the network then no longer sees how large a difference
    is, because its first normalization (eps 1e-3) takes a large signal's size away and leaves a small one's."""

    first: int = 8
    target: str = "noise"
    standardize: bool = False
    drop: float = 0.2
    repeats: int = 1
    blend: int = 0
    noise: float = 0.0
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=7500, average=0.999))

    def __post_init__(self) -> None:
        if self.blend < 0 or self.repeats < 1:
            raise RecipeError(f"diffbatt: blend >= 0 and repeats >= 1 are needed; seen {self.blend}, {self.repeats}")


def spec_settings(windows: LifeWindows) -> dict[str, Any]:
    """The windows' definition as JSON-able keyword arguments."""
    return dataclasses.asdict(windows.spec)


def train_batlinet(
    train: LifeWindows,
    settings: BatLiNetSettings,
    run: Run,
    support: LifeWindows | None = None,
    start: BatLiNet | None = None,
) -> tuple[BatLiNet, StepResult]:
    """A trained BatLiNet in eval mode on the CPU. Censored cells are left out. Raises RecipeError without any cell.

    support: where the reference cells come from, ``train`` itself unless given (cells of other chemistries, say).
    start: weights to begin with; its label scale is kept.
    """
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
    network = BatLiNet(
        spec=spec_settings(train),
        channels=1 + settings.capacity + settings.current,
        width=settings.width,
        alpha=settings.alpha,
        absolute=settings.absolute,
        references=len(chosen),
        cleaning=settings.cleaning,
        pool=settings.pool,
        capacity=settings.capacity,
        compress=settings.compress,
        current=settings.current,
    )
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


def train_batlinets(
    train: LifeWindows, settings: BatLiNetSettings, run: Run
) -> tuple[BatLiNet | BatLiNetEnsemble, StepResult]:
    """``settings.members`` networks as one teacher; with one member the network itself. Errors as ``train_batlinet``."""
    if settings.members == 1:
        return train_batlinet(train, settings, run)
    networks, results = [], []
    for member in range(settings.members):
        fit = dataclasses.replace(settings.fit, seed=1000 * settings.fit.seed + member)
        network, result = train_batlinet(train, dataclasses.replace(settings, fit=fit), run.inside(f"member{member}"))
        networks.append(network)
        results.append(result)
    ensemble = BatLiNetEnsemble(settings.members, networks[0].settings)
    ensemble.members = nn.ModuleList(networks)
    losses = [float(np.mean(epoch)) for epoch in zip(*(result.losses for result in results), strict=False)]
    rate = float(np.mean([result.steps_per_second for result in results]))
    seconds, peak = sum(result.seconds for result in results), max(result.peak_bytes for result in results)
    return ensemble.eval(), StepResult(losses, seconds, peak, rate)


def train_diffbatt(train: LifeWindows, settings: DiffBattSettings, run: Run) -> tuple[DiffBatt, StepResult]:
    """A trained DiffBatt in eval mode on the CPU. Raises RecipeError without any cell."""
    if not len(train):
        raise RecipeError("DiffBatt has no cell to train on; choose another split or dataset")
    torch.manual_seed(settings.fit.seed)
    network = DiffBatt(spec=spec_settings(train), first=settings.first, target=settings.target)
    q, curve = network.tensor(train), torch.from_numpy(2.0 * train.curve - 1.0)
    spread = q.std()
    if settings.standardize:
        network.input_std.copy_(spread)

    data: tuple[Tensor, ...] = (q, curve)
    if settings.blend:
        data += stretched(torch.from_numpy(train.curve))

    def loss(module: nn.Module, data: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        assert isinstance(module, DiffBatt)
        q, curve, *lives = (tensor.repeat(settings.repeats, *[1] * (tensor.ndim - 1)) for tensor in data)
        if settings.blend:
            shape, log_length = lives
            # Repeats of a cell lie side by side in the ranking.
            other = neighbours_in_life(log_length, settings.blend * settings.repeats, generator)
            share = torch.rand(len(q), generator=generator, device=q.device)
            q = blend(q, other, share)
            mixed = unstretched(blend(shape, other, share), blend(log_length, other, share), curve.shape[1])
            curve = 2.0 * mixed - 1.0
        if settings.noise:
            q = q + settings.noise * spread * torch.randn(q.shape, generator=generator, device=q.device)
        return module.noise_loss(curve, q, settings.drop, generator)

    result = fit_steps(network, data, loss, settings.fit, run)
    return network, result


def round_to_half(network: nn.Module) -> None:
    """Store weights and references in float16; single numbers such as the label scale keep float32. In place."""
    for parameter in network.parameters():
        parameter.data = parameter.data.half()
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point() and buffer.numel() > 64:
                setattr(module, name, buffer.half())
