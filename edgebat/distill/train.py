"""Training a student, with a teacher or, for the honest comparison, without; everything else stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import FloatArray
from edgebat.distill.labels import Labels, labels_of
from edgebat.distill.losses import distillation_loss
from edgebat.errors import RecipeError
from edgebat.students.base import Student
from edgebat.students.store import build_student
from edgebat.tasks.base import AnyTask, Head
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.blend import draw_blend
from edgebat.training.fit import Batch, fit
from edgebat.training.labels import cell_weights, with_share
from edgebat.training.run import FitResult, Run
from edgebat.training.settings import FitSettings

DEFAULT_SHARE = 0.5
LISTEN = ("everywhere", "where_better")


@dataclass(frozen=True)
class DistillSettings:
    """How to train a student."""

    knots: int = 0
    """Outputs of heads with values ahead; 0: the task's own number."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weight of a head in the loss, where it is not the task's own."""
    share: dict[str, float] = field(default_factory=dict)
    """How much of a head's error is taken to the teacher rather than to the measurement; 0.5 unless named."""
    blends: int = 4
    """Blended windows per measured one."""
    same_cell: float = 0.5
    """Fraction of the blends within one cell."""
    cell_balance: float = 0.5
    """0 draws every window alike, 1 every cell alike, whatever its length."""
    made_up_share: float | None = None
    """So much of what is drawn are made-up windows, where there are some; None draws all cells alike, and the made-up ones
    are mostly many."""
    listen: str = "everywhere"
    """``where_better``: on a data set whose validation cells the teacher gets worse than the student without a teacher,
    measured labels alone teach. ``everywhere``: it is heard on all windows."""
    learn_from_val: bool = False
    """The validation cells, which choose nothing when the last weights are kept, teach students and baselines as well. The
    error a model states then comes from a student of its kind that has not learnt from them."""
    measured_too: bool = False
    """Train each student once more on the measured cells alone, without teacher, blends and made-up cells: what a user has
    who has none of these (``edgebat evidence``)."""
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=60, learning_rate=1e-2, samples_per_epoch=32768, batch_size=256, noise=0.05, patience=60
        )
    )
    """The training itself."""

    def __post_init__(self) -> None:
        if self.listen not in LISTEN:
            raise RecipeError(f"distill.listen is {self.listen!r}; choose {' or '.join(LISTEN)}")
        if self.made_up_share is not None and not 0.0 < self.made_up_share < 1.0:
            raise RecipeError(f"distill.made_up_share is {self.made_up_share}; it must lie between 0 and 1")
        if self.learn_from_val and self.fit.validation_decides:
            raise RecipeError(
                f"distill.learn_from_val needs keep: last and a patience of all {self.fit.epochs} epochs, or the cells "
                f"learnt from would choose the weights; seen keep: {self.fit.keep}, patience: {self.fit.patience}"
            )

    def learnt(self, train: Windows, val: Windows) -> Windows:
        """What students and baselines learn from."""
        return train.join(val) if self.learn_from_val else train

    def of_heads(self, heads: tuple[Head, ...]) -> tuple[dict[str, float], dict[str, float]]:
        """Weight and share of every head. Raises RecipeError for a name that is none."""
        names = [head.name for head in heads]
        unknown = sorted({*self.weights, *self.share} - set(names))
        if unknown:
            raise RecipeError(f"distill names the heads {unknown}; this task's are {names}")
        weights = {head.name: self.weights.get(head.name, head.weight) for head in heads}
        return weights, {name: self.share.get(name, DEFAULT_SHARE) for name in names}


def train_student(
    kind: str,
    task: AnyTask,
    train: Windows,
    val: Windows,
    teacher: Teacher | None,
    settings: DistillSettings,
    run: Run,
    student_settings: Mapping[str, Any] | None = None,
) -> tuple[Student, FitResult]:
    """A trained student of the family ``kind`` in eval mode on the CPU. Same inputs, same bytes.

    teacher None trains on measured labels alone, on the same (blended) windows. Raises RecipeError or DataError when
    there is nothing to learn from.
    """
    torch.manual_seed(settings.fit.seed)
    x = train.inputs()
    heads = task.heads(train.spec, settings.knots or None)
    student = build_student(
        kind, shape=x.shape[1:], heads=heads, relative=task.relative_input, **(student_settings or {})
    )
    student.set_normalization(x, train.targets())
    return student, fit_student(student, train, val, teacher, settings, run)


def fit_student(
    student: Student,
    train: Windows,
    val: Windows,
    teacher: Teacher | None,
    settings: DistillSettings,
    run: Run,
) -> FitResult:
    """Train ``student`` from the weights it has (fresh, or to continue under quantization); arguments as above."""
    parts = taught_parts(train, settings)
    weights, share = settings.of_heads(student.heads)
    measured = list(train.targets())
    said: list[Labels] = [{} for _ in parts]
    if teacher is not None:
        said = labels_of(teacher, parts, run.cache, settings.fit, run.machines)
    found = [_tensors(part, student, labels) for part, labels in zip(parts, said, strict=True)]
    taught = [name.removeprefix(TAUGHT) for name in found[0] if name.startswith(TAUGHT)]

    def loss(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x, *labels = batch
        hard = dict(zip(measured, labels, strict=False))
        soft = dict(zip(taught, labels[len(measured) :], strict=False)) if module.training else None
        return distillation_loss(student, x, hard, soft, weights, share)

    tensors = tuple(torch.cat([part[name] for part in found]) for name in found[0])
    drawn = cell_weights(np.concatenate([part.cell for part in parts]), settings.cell_balance)
    if settings.made_up_share is not None:
        drawn = with_share(drawn, np.concatenate([part.made_up for part in parts]), settings.made_up_share)
    held = tuple(_tensors(val, student, {}).values())
    return fit(student, loss, tensors, held, settings.fit, run, drawn)


def taught_parts(train: Windows, settings: DistillSettings) -> list[Windows]:
    """What a student learns from: the training windows and, if the settings ask for some, blends of them."""
    if not settings.blends:
        return [train]
    blend = draw_blend(train.cell, settings.blends, settings.same_cell, settings.fit.seed)
    return [train, train.blended(blend)]


@torch.no_grad()
def validation_loss(student: Student, val: Windows, settings: DistillSettings) -> float:
    """The loss that training watches, for the weights ``student`` has now."""
    tensors = _tensors(val, student, {})
    measured = {name: tensors[name] for name in val.targets()}
    return float(distillation_loss(student, tensors[""], measured, None, *settings.of_heads(student.heads))["loss"])


def _tensors(windows: Windows, student: Student, labels: Labels) -> dict[str, Tensor]:
    """Inputs (name ""), measured labels by head, then the teacher's, their names marked, of the heads both know."""
    arrays: dict[str, FloatArray] = {"": windows.inputs(), **windows.targets()}
    for head in (head for head in student.heads if head.name in labels):
        label = labels[head.name].reshape(len(windows), -1)
        known = label > (-np.inf if head.known_above is None else head.known_above)
        arrays[f"{TAUGHT}{head.name}"] = np.where(known, label, np.nan)
    return {name: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for name, a in arrays.items()}


TAUGHT = "taught "
