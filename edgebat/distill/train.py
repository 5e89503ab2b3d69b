"""Training a student, with a teacher or, for the honest comparison, without; everything else stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.distill.labels import teacher_labels
from edgebat.distill.losses import HeadWeights, Targets, distillation_loss
from edgebat.students.base import Student
from edgebat.students.store import build_student
from edgebat.tasks.health.windows import HealthWindows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ic2ml.train import cell_weights
from edgebat.training.blend import blended_windows, draw_blend
from edgebat.training.fit import Batch, FitResult, FitSettings, fit


@dataclass(frozen=True)
class DistillSettings:
    """How to train a student."""

    knots: int = 5
    """Points of the trajectory that the student gives; between them it is linear."""
    weights: HeadWeights = field(default_factory=HeadWeights)
    """Of the heads in the loss; the defaults are the teacher's own."""
    share: HeadWeights = field(default_factory=lambda: HeadWeights(soh=0.5, trajectory=0.5, rul=0.5))
    """How much of each head's error is taken to the teacher rather than to the measurement: 0 to 1."""
    blends: int = 4
    """Blended windows per measured one."""
    same_cell: float = 0.5
    """Fraction of the blends within one cell."""
    cell_balance: float = 0.5
    """0 draws every window alike, 1 every cell alike, whatever its length."""
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=60, learning_rate=1e-2, samples_per_epoch=32768, batch_size=256, noise=0.05, patience=60
        )
    )
    """How the student's network is trained."""


def train_student(
    kind: str,
    train: HealthWindows,
    val: HealthWindows,
    teacher: Teacher | None,
    settings: DistillSettings,
    folder: str | Path,
    student_settings: dict[str, Any] | None = None,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> tuple[Student, FitResult]:
    """A trained student ("mlp", "cnn" or "lstm") in eval mode on the CPU. Same inputs, same bytes.

    teacher None trains on measured labels alone, on the same (blended) windows. cache: folder of teacher labels.
    folder takes checkpoints and history.csv. Raises RecipeError or DataError when there is nothing to learn from.
    """
    torch.manual_seed(settings.fit.seed)
    student = build_student(
        kind,
        context=train.x.shape[1],
        increments=train.x.shape[2],
        horizon=train.trajectory.shape[1],
        knots=settings.knots,
        **(student_settings or {}),
    )
    student.set_normalization(train.x, train.soh, train.rul)
    return student, fit_student(student, train, val, teacher, settings, folder, cache, resume, progress)


def fit_student(
    student: Student,
    train: HealthWindows,
    val: HealthWindows,
    teacher: Teacher | None,
    settings: DistillSettings,
    folder: str | Path,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[dict[str, float]], None] | None = None,
) -> FitResult:
    """Train ``student`` from the weights it has (fresh, or to continue under quantization); arguments as above."""
    parts = [train]
    if settings.blends:
        blend = draw_blend(train.cell, settings.blends, settings.same_cell, settings.fit.seed)
        parts.append(blended_windows(train, blend))

    def loss(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x, *labels = batch
        measured, taught = Targets(*labels[:3]), Targets(*labels[3:]) if labels[3:] and module.training else None
        return distillation_loss(student, x, measured, taught, settings.weights, settings.share)

    columns = [_tensors(part, teacher, cache) for part in parts]
    tensors = tuple(torch.cat(column) for column in zip(*columns, strict=True))
    weights = cell_weights(np.concatenate([part.cell for part in parts]), settings.cell_balance)
    return fit(student, loss, tensors, _tensors(val, None, None), settings.fit, folder, weights, resume, progress)


@torch.no_grad()
def validation_loss(student: Student, val: HealthWindows, settings: DistillSettings) -> float:
    """The loss that training watches, for the weights ``student`` has now."""
    x, *measured = _tensors(val, None, None)
    return float(distillation_loss(student, x, Targets(*measured), None, settings.weights, settings.share)["loss"])


def _tensors(windows: HealthWindows, teacher: Teacher | None, cache: str | Path | None) -> Batch:
    arrays: list[Any] = [windows.x, windows.soh, windows.trajectory, windows.rul]
    if teacher is not None:
        taught = teacher_labels(teacher, windows.x, cache)
        arrays += [taught["soh"], taught["trajectory"], taught["rul"]]
    return tuple(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays)
