"""One trial: a candidate trained, quantized and scored on the validation cells. It needs what is handed in and nothing else,
so that it runs anywhere, and twice with the same result.
"""

from __future__ import annotations

import csv
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebat.distill.labels import KnownLabels
from edgebat.distill.qat_train import train_quantized
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.models import predict_int8
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.search.space import Candidate
from edgebat.tasks.base import task
from edgebat.tasks.windows import Windows
from edgebat.training.run import Run


@dataclass(frozen=True)
class Lessons:
    """What every trial learns from and how. labels: the teacher's, of all the windows that any seed draws."""

    task: str
    train: Windows
    val: Windows
    labels: KnownLabels
    distill: DistillSettings
    quantize: QuantizeOptions
    meta: dict[str, Any]
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """A candidate, the seed and the epochs it is trained with. limits: the validation loss above which epoch k ends it;
    folder: takes checkpoints, from which a cut-off training goes on; None for a temporary one."""

    candidate: Candidate
    seed: int
    epochs: int
    limits: tuple[float, ...] = ()
    folder: Path | None = None


@dataclass(frozen=True)
class Trained:
    """What a trial came to. losses: validation loss of each epoch; error: of the int8 student on the validation cells by the
    task's first column, None when the training was ended early."""

    losses: tuple[float, ...]
    error: float | None
    seconds: float

    def judged(self, limits: Sequence[float]) -> Trained | None:
        """What the same training gives under other limits; None when it would have gone on."""
        end = ended_at(self.losses, limits)
        if end is not None:
            return Trained(self.losses[: end + 1], None, self.seconds)
        return self if self.error is not None else None


class _EndedEarlyError(Exception):
    """Ends a training that is not worth going on with."""


def ended_at(losses: Sequence[float], limits: Sequence[float]) -> int | None:
    """The epoch whose best loss so far is above its limit; None when there is none."""
    best = math.inf
    for epoch, (loss, limit) in enumerate(zip(losses, limits, strict=False)):
        best = min(best, loss)
        if best > limit:
            return epoch
    return None


def train_candidate(lessons: Lessons, job: Job) -> tuple[Trained, IntGraph | None]:
    """Train, quantize, score. Same lessons, candidate and seed: same losses, same graph. Raises RecipeError, DataError."""
    if job.folder is not None:
        return _trained(lessons, job, job.folder)
    with tempfile.TemporaryDirectory(prefix="edgebat-trial-") as folder:
        return _trained(lessons, job, Path(folder))


def _trained(lessons: Lessons, job: Job, folder: Path) -> tuple[Trained, IntGraph | None]:
    import torch

    torch.set_num_threads(lessons.threads)
    started, candidate, of_task = time.perf_counter(), job.candidate, task(lessons.task)
    train, val = candidate.seen(lessons.train), candidate.seen(lessons.val)
    settings = candidate.distill(lessons.distill, job.seed, job.epochs)
    options = candidate.quantize(lessons.quantize)

    def watch(losses: dict[str, float]) -> None:
        if ended_at(_losses(folder / "float"), job.limits) is not None:
            raise _EndedEarlyError

    try:
        student, _ = train_student(
            candidate.kind, of_task, train, val, lessons.labels, settings, Run(folder / "float", progress=watch),
            student_settings=candidate.settings,
        )  # fmt: skip
    except _EndedEarlyError:
        trained = Trained(_losses(folder / "float"), None, time.perf_counter() - started)
        shutil.rmtree(folder, ignore_errors=True)
        return trained, None
    meta = {**lessons.meta, "task": of_task.described(train.spec)}
    graph = quantize_model(student.float_spec(), train.inputs(), options, name=candidate.kind, meta=meta)
    if options.qat_epochs:
        run = Run(folder / "int8")
        graph = train_quantized(student, graph, train, val, lessons.labels, settings, options.qat_epochs, run)
    error = of_task.score(val, predict_int8(graph, val))[of_task.columns[0].key]
    trained = Trained(
        _losses(folder / "float"), error if error is not None else math.inf, time.perf_counter() - started
    )
    shutil.rmtree(folder, ignore_errors=True)
    return trained, graph


def _losses(folder: Path) -> tuple[float, ...]:
    """Validation losses of the epochs trained so far, those before an interruption too."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return tuple(float(row["val_loss"]) for row in csv.DictReader(file))
