"""What a student is trained on: measured labels and the teacher's, head by head."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from edgebat.students.base import Student
from edgebat.training.labels import masked_mae, masked_mse

Labels = Mapping[str, Tensor]
"""Head -> physical labels [B, values], NaN where unknown. A head without labels is learnt through those that start at it."""


def head_losses(student: Student, outputs: Tensor, x: Tensor, labels: Labels) -> dict[str, Tensor]:
    """Masked mean errors in normalized units, squared or absolute as the head says; knots are compared at all cycles of
    their grid."""
    return {
        head.name: (masked_mae if head.absolute_error else masked_mse)(
            student.expanded(outputs, n), student.normalized(labels[head.name], x, n)
        )
        for n, head in enumerate(student.heads)
        if head.name in labels
    }


def distillation_loss(
    student: Student,
    x: Tensor,
    measured: Labels,
    taught: Labels | None,
    weights: Mapping[str, float],
    share: Mapping[str, float],
) -> dict[str, Tensor]:
    """Weighted sum over the heads of (1 - share) * error to the measurement + share * error to the teacher.

    ``taught`` None (no teacher) takes the measurement alone, at full weight, and so does a head the teacher does not know.
    weights, share: one number per head.
    """
    outputs = student(x)
    parts = head_losses(student, outputs, x, measured)
    for name, soft in head_losses(student, outputs, x, taught or {}).items():
        parts[name] = (1 - share[name]) * parts[name] + share[name] * soft if name in parts else share[name] * soft
    loss = sum((weights[name] * part for name, part in parts.items()), start=outputs.new_zeros(()))
    return {"loss": loss, **parts}
