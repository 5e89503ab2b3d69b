"""Training DiffBatt on the curves of whole lives."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from edgebat.errors import RecipeError
from edgebat.tasks.life.windows import LifeWindows
from edgebat.teachers.diffbatt.blend import blend, neighbours_in_life, stretched, unstretched
from edgebat.teachers.diffbatt.network import DiffBatt
from edgebat.teachers.diffbatt.settings import DiffBattSettings
from edgebat.teachers.ensemble import alone
from edgebat.training.run import Run, StepResult
from edgebat.training.steps import fit_steps


def fit_teacher(
    kind: type[DiffBatt], train: LifeWindows, val: LifeWindows | None, settings: DiffBattSettings, run: Run
) -> tuple[DiffBatt, StepResult]:
    """See ``Teacher.fit``; ``val`` is not looked at. Raises RecipeError without any cell."""
    alone(settings.members, kind.name)
    if not len(train):
        raise RecipeError("DiffBatt has no cell to train on; choose another split or dataset")
    torch.manual_seed(settings.fit.seed)
    network = kind(spec=dataclasses.asdict(train.spec), first=settings.first, target=settings.target)
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
