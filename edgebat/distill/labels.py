"""The teacher's labels, computed once per (teacher, windows) and kept on disk; in parts, each kept as soon as it is there,
by whoever works. Parts are the same whoever does, and a part is what it is within the whole, so that the labels are too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from edgebat.arrays import FloatArray
from edgebat.errors import DataError
from edgebat.files import atomic_write
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.training.settings import TrainerSettings
from edgebat.workers import HERE, Machines, Workers

Labels = dict[str, FloatArray]
"""Head -> predictions with a row per window."""
HIDDEN = "hidden"
"""Name of a teacher's states among them, see ``Teacher.hidden``."""


class KnownLabels(Teacher):
    """A teacher that only repeats labels it was given, by the digest of the windows: a training elsewhere needs no more."""

    name: ClassVar[str] = "known labels"

    def __init__(self, task: str, labels: dict[str, Labels]) -> None:
        super().__init__()
        self.task, self.labels, self.settings = task, labels, {}

    def hidden(self, windows: Windows) -> FloatArray | None:
        """The states among the labels, where they are."""
        return self.predict(windows).get(HIDDEN)

    def predict(self, windows: Windows) -> Labels:
        """The labels. Raises DataError for windows that were not labelled."""
        found = self.labels.get(windows.digest())
        if found is None:
            raise DataError(
                f"{len(windows)} windows have no labels; {len(self.labels)} other sets of windows have some"
            )
        return found


@dataclass(frozen=True)
class Labelling:
    """Whom the workers ask about what. threads: cores of each; half: in bfloat16, on a GPU."""

    teacher: Teacher
    windows: Windows
    threads: int
    half: bool = False


Labellers = Workers[Labelling, range, Labels]
"""Who labels: ``label_rows``."""


def label_rows(common: Labelling, rows: range) -> Labels:
    """The labels of these rows of the windows, by the CPU, or by a GPU in bfloat16."""
    torch.set_num_threads(common.threads)
    teacher = common.teacher.to("cuda" if common.half else "cpu")
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=common.half):
        found = teacher.predict_rows(common.windows, rows)
    teacher.to("cpu")
    return {head: np.ascontiguousarray(values) for head, values in found.items()}


def in_half(fit: TrainerSettings) -> bool:
    """Whether labels are computed in bfloat16: the training asks for it, and there is a GPU that it may use."""
    return fit.precision == "bf16-mixed" and fit.accelerator != "cpu" and torch.cuda.is_available()


def teacher_fingerprint(teacher: Teacher) -> str:
    """sha256 of the teacher's name, settings, how it was configured and, when it is a torch module, weights."""
    content = [teacher.name, teacher.settings, *filter(None, [teacher.choices()])]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    if isinstance(teacher, nn.Module):
        for name, tensor in teacher.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def teacher_labels(
    teacher: Teacher,
    windows: Windows,
    cache: str | Path | None = None,
    half: bool = False,
    workers: Labellers | None = None,
) -> Labels:
    """``teacher.predict(windows)``, from the folder ``cache`` when the same teacher has labelled the same windows before.

    half: in bfloat16 on a GPU. workers: who labels, this process unless given. A cut-off labelling goes on after its last
    part; a damaged cache file is computed anew, never trusted.
    """
    if cache is None:
        return teacher.predict(windows)
    if asked := teacher.sources():  # several ensembles may ask the same teacher, several students hear it differently
        answers = [teacher_labels(each, windows, cache, half, workers) for each in asked]
        return teacher.combined(windows, answers)
    path = _file(teacher, windows, Path(cache), half)
    kept = _kept(path, len(windows))
    if kept is not None:
        return kept
    labels = _in_parts(Labelling(teacher, windows, torch.get_num_threads(), half), path.with_suffix(""), workers)
    atomic_write(path, save(labels))
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    return labels


def labels_of(
    teacher: Teacher, sets: Sequence[Windows], cache: Path | None, fit: TrainerSettings, machines: Machines = HERE
) -> list[Labels]:
    """The labels of several sets of windows, as ``teacher_labels`` gives them to a training with the settings ``fit``.

    Workers are called for what is not in the folder ``cache`` yet.
    """
    half = in_half(fit)
    if cache is None or not machines.several or all(_labelled(teacher, windows, cache, half) for windows in sets):
        return [teacher_labels(teacher, windows, cache, half) for windows in sets]
    with machines.workers(label_rows) as workers:
        return [teacher_labels(teacher, windows, cache, half, workers) for windows in sets]


def _labelled(teacher: Teacher, windows: Windows, cache: Path, half: bool) -> bool:
    asked = teacher.sources()
    if asked:
        return all(_labelled(each, windows, cache, half) for each in asked)
    return _kept(_file(teacher, windows, cache, half), len(windows)) is not None


def _file(teacher: Teacher, windows: Windows, cache: Path, half: bool) -> Path:
    """Where the labels of one teacher are kept."""
    digest = hashlib.sha256(teacher_fingerprint(teacher).encode())
    digest.update(windows.digest().encode() + (b"half" if half else b""))
    return cache / f"{digest.hexdigest()[:32]}.safetensors"


def _in_parts(common: Labelling, folder: Path, workers: Labellers | None) -> Labels:
    """Labels of all windows; ``folder`` keeps the parts that are done."""
    count, size = len(common.windows), common.teacher.part or len(common.windows)
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    if len(parts) <= 1:
        return label_rows(common, range(count))
    files = [folder / f"{part.start}-{part.stop}.safetensors" for part in parts]
    found = {index: kept for index, part in enumerate(parts) if (kept := _kept(files[index], len(part))) is not None}
    missing = [index for index in range(len(parts)) if index not in found]
    if missing:
        # A few processes are not worth starting for the last part.
        hands: Labellers = workers if workers is not None and len(missing) > 1 else Workers(label_rows)
        hands.share(common, common.threads)
        for number, labels in hands.run([parts[index] for index in missing]):
            found[missing[number]] = labels
            atomic_write(files[missing[number]], save(labels))
    ordered: Sequence[Labels] = [found[index] for index in range(len(parts))]
    return {head: np.concatenate([part[head] for part in ordered]) for head in ordered[0]}


def _kept(path: Path, rows: int) -> Labels | None:
    """The labels in a file; None when there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        stored: Labels = load(path.read_bytes())
    except SafetensorError:
        return None
    return stored if all(len(values) == rows for values in stored.values()) else None
