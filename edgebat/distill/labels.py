"""The teacher's labels, computed once per (teacher, windows) and kept on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from edgebat.arrays import FloatArray
from edgebat.distill.gate import HIDDEN, Gated, heard
from edgebat.errors import DataError, RecipeError
from edgebat.files import atomic_write
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher

WITH_STATE = ("batlinet", "batlinet_ensemble", "battery_timer", "ic2ml", "universal")
"""Teachers that have a ``hidden``."""


class KnownLabels(Teacher):
    """A teacher that only repeats labels it was given, by the digest of the windows: a training elsewhere needs no more."""

    name: ClassVar[str] = "known labels"

    def __init__(self, task: str, labels: dict[str, dict[str, FloatArray]]) -> None:
        super().__init__()
        self.task, self.labels, self.settings = task, labels, {}

    def hidden(self, windows: Windows) -> FloatArray | None:
        """The states among the labels, where they are."""
        return self.predict(windows).get(HIDDEN)

    def predict(self, windows: Windows) -> dict[str, FloatArray]:
        """The labels. Raises DataError for windows that were not labelled."""
        found = self.labels.get(windows.digest())
        if found is None:
            raise DataError(
                f"{len(windows)} windows have no labels; {len(self.labels)} other sets of windows have some"
            )
        return found


def teacher_fingerprint(teacher: Teacher) -> str:
    """sha256 of the teacher's name, settings and, when it is a torch module, weights."""
    digest = hashlib.sha256(json.dumps([teacher.name, teacher.settings], sort_keys=True).encode())
    if isinstance(teacher, nn.Module):
        for name, tensor in teacher.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def teacher_labels(
    teacher: Teacher, windows: Windows, cache: str | Path | None = None, hidden: bool = False
) -> dict[str, FloatArray]:
    """``teacher.predict(windows)``, from the folder ``cache`` when the same teacher has labelled the same windows before;
    hidden: with its states [N, D] under the name ``hidden``.

    A damaged cache file is computed anew, never trusted. Raises RecipeError for the states of a teacher that has none.
    """
    if isinstance(teacher, Gated):  # several students hear the same teacher differently
        return heard(windows, teacher_labels(teacher.teacher, windows, cache, hidden), teacher.silent)
    if cache is None:
        return _asked(teacher, windows, hidden)
    digest = hashlib.sha256(teacher_fingerprint(teacher).encode())
    digest.update(f"{windows.digest()}{HIDDEN if hidden else ''}".encode())
    path = Path(cache) / f"{digest.hexdigest()[:32]}.safetensors"
    if path.exists():
        try:
            stored: dict[str, FloatArray] = load(path.read_bytes())
            if all(len(values) == len(windows) for values in stored.values()):
                return stored
        except SafetensorError:
            pass
    labels = {head: np.ascontiguousarray(values) for head, values in _asked(teacher, windows, hidden).items()}
    atomic_write(path, save(labels))
    return labels


def _asked(teacher: Teacher, windows: Windows, hidden: bool) -> dict[str, FloatArray]:
    labels = teacher.predict(windows)
    if not hidden:
        return labels
    state = teacher.hidden(windows)
    if state is None:
        raise RecipeError(
            f"distill.hidden needs a teacher with a hidden state, and {teacher.name} has none; those with one are "
            f"{', '.join(WITH_STATE)}, and ensembles that hold one of these"
        )
    return labels | {HIDDEN: state}
