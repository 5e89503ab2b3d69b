"""Training a Battery-Timer: from scratch, in full, or by LoRA, with a loss that minds degradation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.errors import RecipeError, require
from edgebat.tasks.forecast.windows import ForecastWindows
from edgebat.teachers.base import validated
from edgebat.teachers.battery_timer.draws import balance_weights, draw_windows, stretch_tensor
from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.battery_timer.settings import DegradationLoss, LoraSettings, TimerSettings
from edgebat.teachers.store import load_teacher
from edgebat.training.fit import Batch, fit
from edgebat.training.run import FitResult, Run

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven projections of each layer, as in the published adapter."""

Network = TypeVar("Network", bound=BatteryTimer)


def degradation_loss(
    quantiles: tuple[float, ...], out: Tensor, y: Tensor, scale: Tensor, settings: DegradationLoss
) -> Tensor:
    """Mean loss of forecasts ``out`` [B, horizon, Q] against ``y`` [B, horizon], NaN where unknown; scale [B, 1]."""
    known = torch.isfinite(y)
    count = known.sum().clamp(min=1)
    error = torch.where(known, (torch.where(known, y, 0.0) - out[:, :, quantiles.index(0.5)]) / scale, 0.0)
    rest = torch.where(known[:, :, None], (torch.nan_to_num(y)[:, :, None] - out) / scale[:, :, None], 0.0)
    level = torch.tensor(quantiles, device=out.device, dtype=out.dtype)
    loss = 2.0 * torch.maximum(level * rest, (level - 1.0) * rest).sum() / (count * len(quantiles))
    if settings.rise:
        rises = out[:, :, quantiles.index(0.5)].diff(dim=1) / scale
        loss = loss + settings.rise * (rises - settings.tolerance).relu().square().mean()
    if settings.knee:
        # Rate over eight cycles: between neighbours there is more noise than fade.
        rate = (y[:, :-8] - y[:, 8:]).relu()
        rate = torch.nn.functional.pad(torch.nan_to_num(rate), (8, 0))
        weight = rate / rate.mean(1, keepdim=True).clamp(min=1e-6)
        loss = loss + settings.knee * (weight * error.abs()).sum() / count
    return loss


def add_lora(network: nn.Module, settings: LoraSettings, seed: int) -> None:
    """Freeze ``network`` and put trainable low-rank adapters beside its projections, through PEFT.

    Raises MissingExtra without PEFT.
    """
    peft = require("peft", extra="lora")
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=list(LORA_TARGETS)
    )
    torch.manual_seed(seed)
    peft.inject_adapter_in_model(config, network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name or (settings.head and "head" in name))


def merge_lora(network: nn.Module) -> None:
    """Add the adapters to the weights they stand beside and take them out again, in place."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            layer: Any = child
            if hasattr(layer, "lora_A"):
                layer.merge()
                setattr(parent, name, layer.get_base_layer())
    network.requires_grad_(True)


def fit_teacher(
    kind: type[Network], train: ForecastWindows, val: ForecastWindows | None, settings: TimerSettings, run: Run
) -> tuple[Network, FitResult]:
    """See ``Teacher.fit``. train: windows, or better ``stretches``, which draws can squeeze."""
    network = built(kind, train, settings)
    return train_forecaster(network, widened(train, network), validated(val, kind.name), settings, run)


def built(kind: type[Network], train: ForecastWindows, settings: TimerSettings) -> Network:
    """The network that ``settings`` start with, fresh or from a file. Raises RecipeError when the file holds another."""
    if not settings.start:
        torch.manual_seed(settings.fit.seed)
        return kind(**({"context": train.spec.context} | settings.network))
    found = load_teacher(settings.start)
    if not isinstance(found, kind):
        raise RecipeError(f"start: {settings.start} holds the teacher {found.name!r}; {kind.name!r} is needed")
    return found


def widened(windows: ForecastWindows, network: BatteryTimer) -> ForecastWindows:
    """Windows of the network's own size with nothing known around them, as wide as ``stretches``; others as they are."""
    context, horizon = network.context, network.horizon
    if (windows.x.shape[1], windows.y.shape[1]) != (context, horizon):
        return windows
    nothing = np.full((len(windows), max(context, horizon)), np.nan, dtype=np.float32)
    x = np.concatenate([nothing[:, :context], windows.x], axis=1)
    return replace(windows, x=x, y=np.concatenate([windows.y, nothing[:, :horizon]], axis=1))


def train_forecaster(
    network: Network,
    train: ForecastWindows,
    val: ForecastWindows,
    settings: TimerSettings,
    run: Run,
    extra: tuple[Tensor, ...] = (),
    objective: Callable[[Network, Batch, Tensor], Tensor] | None = None,
) -> tuple[Network, FitResult]:
    """``network`` trained in place and returned in eval mode on the CPU, adapters merged. Same inputs, same bytes.

    train: ``stretches``; val: windows as they will be forecast. extra: tensors with one row per training
    window, and ``objective(network, (x, *extra), state)`` a second loss on them, given the windows' hidden states.
    Raises RecipeError when there is nothing to train on, or when the windows do not fit the network.
    """
    if train.x.shape[1] != 2 * network.context or train.y.shape[1] != 2 * network.horizon:
        raise RecipeError(f"training windows have {train.x.shape[1]} + {train.y.shape[1]} cycles; this network needs "
                          f"{2 * network.context} + {2 * network.horizon}, from stretches")  # fmt: skip
    torch.manual_seed(settings.fit.seed)
    # Lightning keeps the mode it finds; a loaded network is in eval mode, where nothing is augmented.
    network.train()
    if settings.lora is not None:
        add_lora(network, settings.lora, settings.fit.seed)

    def loss(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        if module.training:
            x, y = draw_windows(batch[0], network.context, network.horizon, settings.augmentation)
        else:
            x, y = batch[0][:, : network.context], batch[0][:, network.context :]
        out, scale, state = network.forecast(x)
        weights = settings.loss if module.training else DegradationLoss()
        total = degradation_loss(network.quantiles, out, y, scale, weights)
        if objective is not None and module.training:
            total = total + objective(network, (x, *batch[1:]), state)
        return {"loss": total}

    rows = stretch_tensor(train)
    held = torch.cat([torch.from_numpy(val.x), torch.from_numpy(val.y)], dim=1)
    weights = balance_weights(train, settings.balance)
    result = fit(network, loss, (rows, *extra), (held,), settings.fit, run, weights)
    if settings.lora is not None:
        merge_lora(network)
    return network, result
