"""Training IC2ML on health windows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Array, Float32
from edgebat.tasks.health.windows import HealthWindows
from edgebat.teachers.base import validated
from edgebat.teachers.ic2ml.network import Ic2ml
from edgebat.teachers.ic2ml.settings import Ic2mlSettings
from edgebat.training.blend import draw_blend
from edgebat.training.fit import Batch, fit
from edgebat.training.labels import cell_weights, masked_mse
from edgebat.training.run import FitResult, Run


def context_soh(windows: HealthWindows) -> Float32:
    """SOH of every input cycle, float32 [N, context]; NaN where no window of the cell ends at that cycle.

    Windows of a cell are neighbours in time, but some may be missing: a label is taken only when the increments of the
    cycle it belongs to are the very ones of the window that carries it.
    """
    x, soh = windows.increments, windows.soh
    labels = np.full(x.shape[:2], np.nan, dtype=np.float32)
    context = x.shape[1]
    for back in range(context):
        position = context - 1 - back
        later, earlier = np.arange(back, len(x)), np.arange(len(x) - back)
        same = (windows.cell[later] == windows.cell[earlier]) & (x[later, position] == x[earlier, -1]).all(axis=1)
        labels[later[same], position] = soh[earlier[same]]
    return labels


def fit_teacher(
    kind: type[Ic2ml], train: HealthWindows, val: HealthWindows | None, settings: Ic2mlSettings, run: Run
) -> tuple[Ic2ml, FitResult]:
    """See ``Teacher.fit``. Raises RecipeError or DataError when there is nothing to learn from."""
    val = validated(val, kind.name)
    torch.manual_seed(settings.fit.seed)
    network = kind(
        context=train.x.shape[1],
        increments=train.increments.shape[2],
        horizon=train.trajectory.shape[1],
        width=settings.width,
        dropout=settings.dropout,
        attention=settings.attention,
        soh_from=settings.soh_from,
    )
    network.set_normalization(train.increments, train.soh)

    def loss(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x, soh, trajectory, rul = batch
        soh_out, trajectory_out, rul_out = module(x)
        parts = {
            "soh": masked_mse(soh_out, (soh - network.soh_mean) / network.soh_std),
            "trajectory": masked_mse(trajectory_out, (trajectory - network.soh_mean) / network.soh_std),
            "rul": masked_mse(rul_out, rul / network.rul_std),
        }
        total = settings.alpha * parts["soh"] + settings.beta * parts["trajectory"] + settings.gamma * parts["rul"]
        return {"loss": total, **parts}

    measured, cell = _arrays(train), train.cell
    if settings.blends:
        blend = draw_blend(train.cell, settings.blends, settings.same_cell, settings.fit.seed)
        measured = [np.concatenate([values, blend(values)]) for values in measured]
        cell = np.concatenate([cell, cell[blend.first]])
    weights = cell_weights(cell, settings.cell_balance)
    result = fit(network, loss, _tensors(measured), _tensors(_arrays(val)), settings.fit, run, weights)
    return network, result


def _arrays(windows: HealthWindows) -> list[Array]:
    return [windows.increments, context_soh(windows), windows.trajectory, windows.rul]


def _tensors(arrays: list[Array]) -> Batch:
    return tuple(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays)
