"""The teacher a recipe asks for: trained, or given as a file; one, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebat.cells import CellKey, join_seen, seen_cells
from edgebat.errors import RecipeError
from edgebat.files import Json, sha256_file
from edgebat.models import Model, open_model
from edgebat.paths import TEACHERS_HINT, shipped
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Definition, Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ensemble import Ensemble
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class
from edgebat.training.run import Run


@dataclass(frozen=True)
class TeacherEntry:
    """One teacher of a recipe."""

    name: str = ""
    """A system of ``edgebat/teachers``; its settings stand beside the name."""
    file: str = ""
    """Instead: a trained teacher, such as those in ``export/zoo/teachers``. Nothing is trained then."""
    learn_from_val: bool = False
    """The validation cells, which choose nothing when the last weights are kept, teach as well."""
    settings: Any = None
    """Settings of the system, its class's ``Settings``; of a file how it predicts, where its system knows of a choice."""

    @property
    def path(self) -> Path:
        """Where ``file`` lies: as given, else, for ``export/...``, among the files edgebat ships with."""
        return shipped(self.file)

    def digest(self) -> str:
        """sha256 of ``file``, empty when there is none. Raises RecipeError when it does not exist."""
        if not self.file:
            return ""
        if not self.path.is_file():
            raise RecipeError(f"teacher.file {self.file} does not exist; give a trained teacher's .safetensors, such as one "
                              f"of export/zoo/teachers, or leave it out to train one. {TEACHERS_HINT}")  # fmt: skip
        return sha256_file(self.path)


@dataclass(frozen=True)
class Obtained:
    """A teacher ready to label, the cells it has seen besides the recipe's own (``pack_cells``), and how it came."""

    teacher: Teacher
    seen: str
    results: Json


def given_teacher(path: Path, task: AnyTask, spec: Definition, test: Sequence[CellKey]) -> Model:
    """The teacher in ``path``, checked: of this task, cut alike, and a stranger to the test cells.

    Raises ModelFileError for a file that is no teacher, RecipeError when it was trained for another task, does not say
    which cells it has seen, or has seen test cells.
    """
    model = open_model(path)
    if not isinstance(model.network, Teacher):
        raise RecipeError(f"teacher.file {path} holds a {model.kind}, not a teacher")
    if model.task.name != task.name:
        raise RecipeError(
            f"teacher.file {path} holds {model.kind}, whose task is {model.task.name}; this recipe's is {task.name}"
        )
    own, asked = model.spec.to_dict(), spec.to_dict()
    differing = [
        f"{key} {own.get(key)!r} (recipe: {asked[key]!r})" for key in task.binding if own.get(key) != asked[key]
    ]
    if differing:
        raise RecipeError(f"teacher.file {path} was trained for another task: {', '.join(differing)}; change task: of the "
                          "recipe, or leave out teacher.file to train a teacher")  # fmt: skip
    if not model.seen and not model.provenance.get("made_up"):
        raise RecipeError(f"teacher.file {path} does not say which cells it has seen; train it with edgebat")
    known = [f"{d}/{c}" for (d, c), seen in zip(test, seen_cells(model.seen, test), strict=True) if seen]
    if known:
        shown = ", ".join(known[:5]) + (" and others" if len(known) > 5 else "")
        raise RecipeError(
            f"teacher.file {path} was trained on {len(known)} of the {len(test)} test cells ({shown}), so that its "
            "students would be flattered; take the split it was trained with, other cells, or leave out teacher.file"
        )
    return model


@dataclass(frozen=True)
class TeacherData:
    """What teachers are trained on and checked against. measured: the training windows that are not made up."""

    task: AnyTask
    train: Windows
    measured: Windows
    val: Windows
    test: Windows

    def obtain(self, entry: TeacherEntry, provenance: Json, file: Path, run: Run) -> Obtained:
        """The teacher of one entry, stored in ``file``. provenance: what the file of a trained one says."""
        if entry.file:
            model = given_teacher(entry.path, self.task, self.train.spec, self.test.cells)
            model.network.configure(entry.settings or {})
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(entry.path.read_bytes())
            return Obtained(model.network, model.seen, {"given": entry.path.name})
        kind = teacher_class(entry.name)
        if kind.task != self.task.name:
            raise RecipeError(f"teacher {entry.name!r} is of the task {kind.task}; this recipe's is {self.task.name}")
        train = self.measured if kind.measured_only else self.train
        learnt = train.join(self.val) if entry.learn_from_val else train
        teacher, fitted = kind.fit(learnt, self.val, entry.settings, run)
        save_teacher(teacher, file, provenance)
        return Obtained(load_teacher(file), "", {"fit": fitted.summary()})


def together(found: Sequence[Obtained]) -> Obtained:
    """One teacher out of one or several: their mean, with its spread."""
    if len(found) == 1:
        return found[0]
    seen = join_seen(*(each.seen for each in found))
    return Obtained(Ensemble.of([each.teacher for each in found]), seen, {"members": [each.results for each in found]})
