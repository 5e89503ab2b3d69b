"""Cells between the measured ones: the matrix and the SOH curve of two cells of similar life, blended.

A few dozen cells are few enough to be remembered one by one, and a new cell then gets the curve of one of them. Blends
fill the space between. Curves are blended after each is stretched to a life of one, so that a blend of one that falls at
500 cycles and one that falls at 600 falls once, in between (mixup, arXiv 1710.09412, along a curve's own axis). Windows of
the ``health`` task have ``blend.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

STRETCHED_POINTS = 256


def stretched(curve: Tensor) -> tuple[Tensor, Tensor]:
    """Curves [N, P] (SOH, 0 after the last measured point) as shapes [N, 256] over a life of one, and log lengths [N]."""
    points = torch.arange(curve.shape[1], device=curve.device)
    last = torch.where(curve > 0.0, points, 0).amax(dim=1)
    position = torch.linspace(0.0, 1.0, STRETCHED_POINTS, device=curve.device) * last[:, None]
    return _between(curve, position, last[:, None]), torch.log(last + 0.5)


def unstretched(shape: Tensor, log_length: Tensor, points: int) -> Tensor:
    """The inverse: curves [N, points], 0 after their length."""
    length = log_length.exp()[:, None]
    at = torch.arange(points, device=shape.device)[None]
    position = at / (length - 0.5).clamp(min=1.0) * (STRETCHED_POINTS - 1)
    end = torch.full_like(length, STRETCHED_POINTS - 1)
    return torch.where(at < length, _between(shape, position.minimum(end), end), 0.0)


def neighbours_in_life(log_length: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """For each of N cells another, at random among those at most ``reach`` ranks longer or shorter lived; int64 [N].

    At either end of the ranking the outermost cell stands for those that are missing; it is then also its own, and so is a
    cell given several times."""
    count = len(log_length)
    order = log_length.argsort(stable=True)
    rank = order.argsort()
    away = torch.randint(1, reach + 1, (count,), generator=generator, device=log_length.device)
    side = 2 * torch.randint(0, 2, (count,), generator=generator, device=log_length.device) - 1
    return order[(rank + side * away).clamp(0, count - 1)]


def blend(values: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """``values`` [N, ...] moved by ``share`` [N] towards the rows ``other`` [N]."""
    return torch.lerp(values, values[other], share.reshape(-1, *[1] * (values.ndim - 1)))


def _between(rows: Tensor, position: Tensor, last: Tensor) -> Tensor:
    """rows [N, P] at fractional ``position`` [N, Q], linear, never right of ``last`` [N, 1]."""
    left = position.floor().long()
    right = (left + 1).minimum(last.long())
    return torch.lerp(rows.gather(1, left), rows.gather(1, right), position - left)
