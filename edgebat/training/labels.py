"""Labels that are partly unknown, and windows of cells of unequal lives. Torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgebat.arrays import Bool, IntArray


def cell_weights(cell: IntArray, balance: float) -> Tensor:
    """Chance of drawing each window: (windows of its cell) ** -balance, float64 [N]."""
    _, index, counts = np.unique(cell, return_inverse=True, return_counts=True)
    return torch.from_numpy(counts[index].astype(np.float64) ** -balance)


def with_share(weights: Tensor, chosen: Bool, share: float) -> Tensor:
    """``weights`` [N] so changed that the ``chosen`` windows [N] are drawn with the chance ``share`` in all; unchanged when
    all or none are chosen."""
    mask = torch.from_numpy(chosen)
    if mask.all() or not mask.any():
        return weights
    return torch.where(mask, weights * share / weights[mask].sum(), weights * (1 - share) / weights[~mask].sum())


def masked_mae(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the entries where the target is not NaN; zero when there are none."""
    known = torch.isfinite(target)
    error = torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)
    return error.abs().sum() / known.sum().clamp(min=1)


def masked_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the entries where the target is not NaN; zero when there are none."""
    known = torch.isfinite(target)
    error = torch.where(known, predicted - torch.where(known, target, 0.0), 0.0)
    return error.square().sum() / known.sum().clamp(min=1)
