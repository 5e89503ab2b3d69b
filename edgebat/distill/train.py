"""Training a student, with a teacher or, for the honest comparison, without; everything else stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import FloatArray
from edgebat.distill.gate import Gated
from edgebat.distill.hidden import States, normalized, projection
from edgebat.distill.labels import HIDDEN, labels_of
from edgebat.distill.losses import Terms, distillation_loss
from edgebat.distill.more_windows import WithMore, true_windows, with_label
from edgebat.distill.trust import trust, validation_errors
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
class Finish:
    """A last part of a student's training, without made-up windows: what these taught is kept, and measured cells have the
    last word. The teacher is heard on all data sets then, as what holds the student back from its training cells."""

    epochs: int = 0
    """So many, after all others; 0: none."""
    learning_rate: float = 3e-4
    """AdamW's largest."""
    share: float = 0.3
    """The teacher's share of every head."""

    def __post_init__(self) -> None:
        if self.epochs < 0 or not self.learning_rate > 0.0 or not 0.0 <= self.share <= 1.0:
            raise RecipeError(
                f"distill.finish is {self}; epochs are 0 or more, the rate is above 0 and the share between 0 and 1"
            )


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
    trust_spread: float | None = None
    """A teacher's share of a label shrinks with its spread (that of an ensemble's members): to half where the spread is so
    many times the teacher's error on the validation cells. A value nobody measured hears the teacher alone. None: no label
    counts less for its spread."""
    differences: float = 0.0
    """Weight of the error of a curve's slopes, beside that of its values: differences along the grid times its steps."""
    scales: tuple[int, ...] = ()
    """A curve's error is the mean of those of its means over blocks of so many steps, ``[1, 4, 16]``; of its values alone
    when empty."""
    hidden: float = 0.0
    """Weight of the error of the student's last hidden layer, by a linear layer that no file keeps, to its teacher's."""
    finish: Finish = field(default_factory=Finish)
    """The last part of the training."""
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
        if self.made_up_share is not None and not 0.0 <= self.made_up_share < 1.0:
            raise RecipeError(
                f"distill.made_up_share is {self.made_up_share}; it must lie between 0 and 1, and not at 1"
            )
        for name, weight in (("differences", self.differences), ("hidden", self.hidden)):
            if not 0.0 <= weight < np.inf:
                raise RecipeError(f"distill.{name} is {weight}; it is a weight, 0 or larger")
        if self.trust_spread is not None and not 0.0 < self.trust_spread < np.inf:
            raise RecipeError(f"distill.trust_spread is {self.trust_spread}; it must be larger than 0, or null")
        if any(scale < 1 for scale in self.scales):
            raise RecipeError(f"distill.scales is {list(self.scales)}; each is a number of steps, 1 or larger")
        if self.learn_from_val and self.fit.validation_decides:
            raise RecipeError(
                f"distill.learn_from_val needs keep: last and a patience of all {self.fit.epochs} epochs, or the cells "
                f"learnt from would choose the weights; seen keep: {self.fit.keep}, patience: {self.fit.patience}"
            )

    @property
    def terms(self) -> Terms:
        """How the error of a curve is taken."""
        return Terms(self.differences, tuple(self.scales))

    def finishing(self, heads: tuple[Head, ...]) -> DistillSettings:
        """Those of the last part of the training of a student with these heads."""
        fit = replace(
            self.fit, epochs=self.finish.epochs, patience=self.finish.epochs, learning_rate=self.finish.learning_rate
        )
        share = {head.name: self.finish.share for head in heads}
        return replace(self, share=share, made_up_share=0.0, learn_from_val=False, fit=fit, finish=Finish())

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
    train: Windows | WithMore,
    val: Windows,
    teacher: Teacher | None,
    settings: DistillSettings,
    run: Run,
    student_settings: Mapping[str, Any] | None = None,
) -> tuple[Student, FitResult]:
    """A trained student of the family ``kind`` in eval mode on the CPU. Same inputs, same bytes.

    train: what is normalized by and blended, and perhaps more windows, which only teach. teacher None trains on measured
    labels alone, on the same (blended) windows. Raises RecipeError or DataError when there is nothing to learn from.
    """
    torch.manual_seed(settings.fit.seed)
    own = WithMore.of(train).windows
    x = own.inputs()
    heads = task.heads(own.spec, settings.knots or None)
    student = build_student(
        kind, shape=x.shape[1:], heads=heads, relative=task.relative_input, **(student_settings or {})
    )
    student.set_normalization(own.seen_rows(x), own.targets(), own.smallest_std())
    fitted = fit_student(student, train, val, teacher, settings, run)
    if settings.finish.epochs:
        last = settings.finishing(student.heads)
        own_run = replace(run.inside("finish"), progress=None)
        fitted = fit_student(student.train(), train, val, frank(teacher), last, own_run)
    return student, fitted


def fit_student(
    student: Student,
    train: Windows | WithMore,
    val: Windows,
    teacher: Teacher | None,
    settings: DistillSettings,
    run: Run,
) -> FitResult:
    """Train ``student`` from the weights it has (fresh, or to continue under quantization); arguments as above."""
    lessons = WithMore.of(train)
    parts = taught_parts(lessons.windows, settings)
    shown = list(parts)
    if lessons.more is not None:
        more = lessons.more if teacher is not None else with_label(lessons.more)
        parts, shown = [*parts, more], [*shown, true_windows(more, lessons.windows)]
    found = [_measured(part) for part in parts]
    if teacher is not None:
        labels = _teachings(student.heads, shown, val, teacher, settings, run)
        found = [arrays | own for arrays, own in zip(found, labels, strict=True)]
    names = list(found[0])
    joined = {name: torch.cat([_tensor(arrays[name]) for arrays in found]) for name in names}
    weights, share = settings.of_heads(student.heads)

    def loss(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        labels = dict(zip(names, batch, strict=False))  # validation windows have measured ones alone
        hard, soft, degrees = (_marked(labels, mark) for mark in (MEASURED, TAUGHT, TRUSTED))
        parts = distillation_loss(student, labels[""], hard, soft, weights, share, settings.terms, degrees)
        if HIDDEN in labels:
            parts[HIDDEN] = aim.error(labels[HIDDEN])
            parts["loss"] = parts["loss"] + settings.hidden * parts[HIDDEN]
        return parts

    drawn = cell_weights(np.concatenate([part.cell for part in parts]), settings.cell_balance)
    if settings.made_up_share is not None:
        drawn = with_share(drawn, np.concatenate([part.made_up for part in parts]), settings.made_up_share)
    held = tuple(_tensor(array) for array in _measured(val).values())
    if HIDDEN not in joined:
        return fit(student, loss, tuple(joined.values()), held, settings.fit, run, drawn)
    with projection(student, joined[""], joined[HIDDEN].shape[1], settings.fit.seed) as aim:
        return fit(student, loss, tuple(joined.values()), held, settings.fit, run, drawn)


def frank(teacher: Teacher | None) -> Teacher | None:
    """The teacher, heard where a gate silences it too."""
    return teacher.teacher if isinstance(teacher, Gated) else teacher


def taught_parts(train: Windows, settings: DistillSettings) -> list[Windows]:
    """What a student learns from: the training windows and, if the settings ask for some, blends of them."""
    if not settings.blends:
        return [train]
    blend = draw_blend(train.cell, settings.blends, settings.same_cell, settings.fit.seed)
    return [train, train.blended(blend)]


@torch.no_grad()
def validation_loss(student: Student, val: Windows, settings: DistillSettings) -> float:
    """The loss that training watches, for the weights ``student`` has now."""
    labels = {name: _tensor(array) for name, array in _measured(val).items()}
    measured, terms = _marked(labels, MEASURED), settings.terms
    weights, share = settings.of_heads(student.heads)
    return float(distillation_loss(student, labels[""], measured, None, weights, share, terms)["loss"])


MEASURED, TAUGHT, TRUSTED = "measured ", "taught ", "trusted "
"""Marks before the heads' names."""


def _measured(windows: Windows) -> dict[str, FloatArray]:
    """Inputs (name "") and measured labels."""
    return {"": windows.inputs()} | {f"{MEASURED}{head}": values for head, values in windows.targets().items()}


def _teachings(
    heads: tuple[Head, ...],
    shown: list[Windows],
    val: Windows,
    teacher: Teacher,
    settings: DistillSettings,
    run: Run,
) -> list[dict[str, FloatArray]]:
    """What the teacher says of each set of windows ``shown`` to it: labels, how far they are trusted, its states."""
    ask = partial(labels_of, cache=run.cache, fit=settings.fit, machines=run.machines)
    asked = ask(teacher, shown)
    found = [_taught(heads, labels) for labels in asked]
    if settings.trust_spread:
        # Where a gate silences the teacher, measured labels stand in its place and would hide how much it errs.
        errors = validation_errors(val, ask(frank(teacher) or teacher, [val])[0])
        for arrays, labels in zip(found, asked, strict=True):
            degrees = trust(labels, errors, settings.trust_spread)
            arrays |= {f"{TRUSTED}{head}": values for head, values in degrees.items()}
    if settings.hidden:
        states = normalized([labels[HIDDEN] for labels in ask(States(teacher), shown)])
        found = [arrays | {HIDDEN: state} for arrays, state in zip(found, states, strict=True)]
    return found


def _taught(heads: tuple[Head, ...], labels: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The teacher's labels of the heads both know, NaN where they are none."""
    arrays = {}
    for head in (head for head in heads if head.name in labels):
        label = labels[head.name].reshape(len(labels[head.name]), -1)
        known = label > (-np.inf if head.known_above is None else head.known_above)
        arrays[f"{TAUGHT}{head.name}"] = np.where(known, label, np.nan)
    return arrays


def _marked(labels: Mapping[str, Tensor], mark: str) -> dict[str, Tensor]:
    return {name.removeprefix(mark): values for name, values in labels.items() if name.startswith(mark)}


def _tensor(array: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
