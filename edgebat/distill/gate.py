"""When to listen: a teacher that errs more than its pupil on cells neither has seen teaches nothing there.

Both are asked about the validation cells, the student after a training of its own on measured labels. On data sets where
the teacher errs more, its labels give way to the measured ones; elsewhere, made-up and unknown data sets included, it is
heard. A teacher that has seen the validation cells cannot be judged by them and is heard everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.errors import errors_by_cell
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher


def not_heard_on(task: AnyTask, val: Windows, teacher: Predictions, student: Predictions) -> tuple[str, ...]:
    """The data sets of ``val`` on which the teacher's first figure, mean over cells, is worse than the student's."""
    worse = errors_by_cell(task, val, teacher), errors_by_cell(task, val, student)
    datasets = np.array([name for name, _ in val.cells])
    found = []
    for dataset in np.unique(datasets).tolist():
        wrong = [each[(datasets == dataset) & np.isfinite(each)] for each in worse]
        if all(map(len, wrong)) and wrong[0].mean() > wrong[1].mean():
            found.append(dataset)
    return tuple(found)


def heard(windows: Windows, labels: Mapping[str, FloatArray], silent: tuple[str, ...]) -> dict[str, FloatArray]:
    """The teacher's ``labels`` of ``windows``, measured ones in their place on the data sets ``silent`` (NaN where nobody
    measured)."""
    mute, result = np.isin(windows.dataset, silent), dict(labels)
    for head, measured in windows.targets().items():
        if mute.any() and head in result:
            label = result[head].reshape(len(windows), -1)
            result[head] = np.where(mute[:, None], measured.reshape(len(windows), -1), label)
    return result


class Gated(Teacher):
    """``teacher``, silent on some data sets."""

    name = "gated"

    def __init__(self, teacher: Teacher, silent: tuple[str, ...]) -> None:
        super().__init__()
        self.task, self.teacher, self.silent = teacher.task, teacher, silent
        self.settings = {"silent": list(silent)}

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """See ``heard``."""
        return self.combined(windows, [self.teacher.predict(windows)])

    def sources(self) -> list[Teacher]:
        """The teacher, whom several students hear differently."""
        return [self.teacher]

    def combined(self, windows: Windows, answers: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        """See ``heard``."""
        return heard(windows, answers[0], self.silent)

    def hidden(self, windows: Windows) -> FloatArray | None:
        """The teacher's, NaN where it is silent."""
        state, mute = self.teacher.hidden(windows), np.isin(windows.dataset, self.silent)
        return None if state is None else np.where(mute[:, None], np.float32(np.nan), state)
