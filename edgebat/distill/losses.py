"""What a student is trained on: measured labels and the teacher's, head by head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edgebat.students.base import Student
from edgebat.tasks.base import Head
from edgebat.training.labels import masked_mae, masked_mse

Labels = Mapping[str, Tensor]
"""Head -> physical labels [B, values], NaN where unknown. A head without labels is learnt through those that start at it."""


@dataclass(frozen=True)
class Terms:
    """How the error of a curve, a head with a grid, is taken; heads of one value know one error only.

    After multi-scale distillation of forecasters (TimeDistill, arXiv:2502.15016): the shape counts, not the values alone.
    """

    differences: float = 0.0
    """Weight of the error of the slopes: differences of neighbouring values times the steps of the whole curve."""
    scales: tuple[int, ...] = ()
    """The error is the mean of those of the means over blocks of so many steps; empty, or 1: of the values themselves."""

    @property
    def plain(self) -> bool:
        """Whether the values themselves are all that counts."""
        return not self.differences and not self.scales


PLAIN = Terms()


def head_losses(
    student: Student, outputs: Tensor, x: Tensor, labels: Labels, terms: Terms = PLAIN
) -> dict[str, Tensor]:
    """Masked mean errors in normalized units, squared or absolute as the head says; knots are compared at all cycles of
    their grid."""
    return {
        head.name: head_error(head, student.expanded(outputs, n), student.normalized(labels[head.name], x, n), terms)
        for n, head in enumerate(student.heads)
        if head.name in labels
    }


def head_error(head: Head, predicted: Tensor, target: Tensor, terms: Terms = PLAIN) -> Tensor:
    """Mean error of one head over what is known of ``target``, both [B, values] and normalized."""
    if terms.plain or not head.grid:
        return (masked_mae if head.absolute_error else masked_mse)(predicted, target)
    return _weighted(head, [(predicted, target, torch.isfinite(target).to(predicted.dtype))], terms)


def trusted_error(
    head: Head, predicted: Tensor, measured: Tensor, taught: Tensor, shares: tuple[float, Tensor], terms: Terms = PLAIN
) -> Tensor:
    """Mean error of one head, value by value to both labels or to the one that is known; all [B, values], normalized.

    shares: the teacher's share where both are known, and how far each of its labels is trusted [B, values], 0 to 1: its
    share shrinks by that, and so does the weight of a value that only it knows.
    """
    share, trust = shares
    both = torch.isfinite(measured).to(predicted.dtype)
    told = torch.where(torch.isfinite(taught), trust, 0.0)
    teacher = told * torch.where(both > 0, share, 1.0)
    return _weighted(head, [(predicted, measured, both * (1.0 - teacher)), (predicted, taught, teacher)], terms)


def distillation_loss(
    student: Student,
    x: Tensor,
    measured: Labels,
    taught: Labels | None,
    weights: Mapping[str, float],
    share: Mapping[str, float],
    terms: Terms = PLAIN,
    trust: Labels | None = None,
) -> dict[str, Tensor]:
    """Weighted sum over the heads of (1 - share) * error to the measurement + share * error to the teacher.

    ``taught`` None (no teacher) takes the measurement alone, at full weight, and so does a head the teacher does not know.
    weights, share: one number per head. trust: of the heads whose teacher's labels are not all trusted alike, see
    ``trusted_error``.
    """
    outputs, taught, trust = student(x), taught or {}, trust or {}
    parts = head_losses(student, outputs, x, measured, terms)
    for name, soft in head_losses(student, outputs, x, taught, terms).items():
        parts[name] = (1 - share[name]) * parts[name] + share[name] * soft if name in parts else share[name] * soft
    for n, head in ((n, head) for n, head in enumerate(student.heads) if head.name in trust and head.name in taught):
        hard, soft = (student.normalized(each[head.name], x, n) for each in (measured, taught))
        shares = (share[head.name], trust[head.name])
        parts[head.name] = trusted_error(head, student.expanded(outputs, n), hard, soft, shares, terms)
    loss = sum((weights[name] * part for name, part in parts.items()), start=outputs.new_zeros(()))
    return {"loss": loss, **parts}


def _weighted(head: Head, pairs: list[tuple[Tensor, Tensor, Tensor]], terms: Terms) -> Tensor:
    """Weighted mean error over all pairs of (predicted, target, weight) [B, values]; weight 0 where not known."""
    # NaN times 0 is NaN, also in a gradient: what is not known is taken out before anything is computed.
    errors = [torch.where(weight > 0, p - torch.where(weight > 0, t, 0.0), 0.0) for p, t, weight in pairs]
    views = [
        list(_views(e, weight, terms if head.grid else PLAIN)) for e, (_, _, weight) in zip(errors, pairs, strict=True)
    ]
    total = errors[0].new_zeros(())
    for seen in zip(*views, strict=True):
        size = sum(((e.abs() if head.absolute_error else e.square()) * weight).sum() for _, e, weight in seen)
        known = sum(weight.sum() for _, _, weight in seen)
        total = total + seen[0][0] * (size / torch.where(known > 0, known, 1.0))
    return total


def _views(error: Tensor, weight: Tensor, terms: Terms) -> Iterator[tuple[float, Tensor, Tensor]]:
    """(factor, error, weight) of what counts of a curve's error: means over blocks, then slopes."""
    scales = terms.scales or (1,)
    for scale in scales:
        yield 1.0 / len(scales), *_blocks(error, weight, scale)
    if terms.differences:
        both = torch.minimum(weight[:, 1:], weight[:, :-1])
        yield terms.differences, error.diff(dim=1) * error.shape[1], both


def _blocks(error: Tensor, weight: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Means of the error and of its weight over blocks of ``scale`` values, of those with a weight; the last block may be
    shorter."""
    if scale == 1:
        return error, weight
    rest = -error.shape[1] % scale
    e, w = (functional.pad(values, (0, rest)).reshape(len(error), -1, scale) for values in (error, weight))
    total, known = w.sum(2), (w > 0).sum(2)
    return (e * w).sum(2) / torch.where(total > 0, total, 1.0), total / known.clamp(min=1)
