"""Continue training a student under quantization and give back its integer graph."""

from __future__ import annotations

from dataclasses import replace

from edgebat.distill.more_windows import WithMore
from edgebat.distill.train import DistillSettings, fit_student, frank, validation_loss
from edgebat.graph.model import IntGraph
from edgebat.quantization.qat import QatStudent
from edgebat.students.base import Student
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.run import Run

# Weights already fit; they only have to settle on the grid, so a tenth of the rate and no added noise.
RATE_FACTOR = 0.1


def train_quantized(
    student: Student,
    graph: IntGraph,
    train: Windows | WithMore,
    val: Windows,
    teacher: Teacher | None,
    settings: DistillSettings,
    epochs: int,
    run: Run,
) -> IntGraph:
    """The integer graph of ``student`` after ``epochs`` epochs of quantization-aware training.

    student: trained float student; graph: its post-training graph, whose scales are kept. Loss, teacher and windows are
    those of the float training, of its last part where it has one; validation windows choose the epoch, and the
    post-training graph is returned unchanged when no epoch is better on them. Same inputs, same bytes.
    """
    if epochs < 1:
        return graph
    qat = QatStudent(student, graph)
    rate = settings.fit.learning_rate * RATE_FACTOR
    if settings.finish.epochs:
        settings, teacher = settings.finishing(student.heads), frank(teacher)
    fit = replace(
        settings.fit,
        epochs=epochs,
        learning_rate=rate,
        patience=epochs,
    )
    before = validation_loss(qat, val, settings)
    after = fit_student(qat, train, val, teacher, replace(settings, fit=fit), run).best_loss
    return qat.eval().graph() if after < before else graph
