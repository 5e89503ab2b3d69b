"""What a student is trained on: measured labels and the teacher's, head by head."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from edgebat.students.base import Student
from edgebat.teachers.ic2ml.train import masked_mse


@dataclass(frozen=True)
class HeadWeights:
    """One number per head."""

    soh: float = 1.0
    """SOH now."""
    trajectory: float = 1.0
    """Capacities of the next cycles."""
    rul: float = 0.5
    """Cycles to the end of life."""


@dataclass(frozen=True)
class Targets:
    """Labels in physical units, NaN where unknown: soh [B], trajectory [B, horizon], rul [B]."""

    soh: Tensor
    trajectory: Tensor
    rul: Tensor


def head_losses(student: Student, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Masked mean squared errors in normalized units; the knots are compared at all cycles of the horizon."""
    mean, std = student.output_mean, student.output_std
    return {
        "soh": masked_mse(outputs[:, 0], (targets.soh - mean[0]) / std[0]),
        "trajectory": masked_mse(student.trajectory(outputs), (targets.trajectory - mean[0]) / std[0]),
        "rul": masked_mse(outputs[:, -1], (targets.rul - mean[-1]) / std[-1]),
    }


def distillation_loss(
    student: Student, x: Tensor, measured: Targets, taught: Targets | None, weights: HeadWeights, share: HeadWeights
) -> dict[str, Tensor]:
    """Weighted sum over the heads of (1 - share) * error to the measurement + share * error to the teacher.

    ``taught`` None (no teacher) takes the measurement alone, at full weight.
    """
    outputs = student(x)
    hard = head_losses(student, outputs, measured)
    if taught is None:
        parts = hard
    else:
        soft = head_losses(student, outputs, taught)
        parts = {head: (1 - getattr(share, head)) * hard[head] + getattr(share, head) * soft[head] for head in hard}
    loss = sum((getattr(weights, head) * part for head, part in parts.items()), start=outputs.new_zeros(()))
    return {"loss": loss, **parts}
