"""The teacher a recipe asks for: trained, or given as a file; one, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.cells import CellKey, join_seen, seen_cells
from edgebat.distill.mix import BY_CELL, BY_DATASET, MIXES, Member, Mixed, folds_of, mixed
from edgebat.errors import RecipeError
from edgebat.files import Json, sha256_file
from edgebat.models import Model, open_model
from edgebat.paths import TEACHERS_HINT, shipped
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Definition, Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.cross_fitted import CrossFitted
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
    cross_fit: int = 0
    """So many folds of cells: the teacher is trained once more without each, and who has not seen a cell labels it; 0: it
    labels what it has learnt. Of an ensemble: each member that is trained, in folds of data sets if it is mixed by them."""
    settings: Any = None
    """Settings of the system, its class's ``Settings``; of a file how it predicts, where its system knows of a choice."""
    mix: str = "mean"
    """How those of ``of`` become one: ``mean``; ``by_cell_error``, weighed by their errors on training and validation cells
    held out in turn; ``by_dataset_error``, on whole data sets held out in turn, for benches that nobody knows."""
    of: tuple[TeacherEntry, ...] = ()
    """Instead of a name or a file: entries of which each is a teacher, together one ensemble."""

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.of:
            return " + ".join(member.title for member in self.of)
        return self.name or Path(self.file).parent.name or Path(self.file).stem

    @property
    def label(self) -> str:
        """What it is called among others of an ensemble."""
        if self.file:
            return f"{Path(self.file).parent.name}/{Path(self.file).stem}"
        return str(getattr(self.settings, "kind", self.name))

    @property
    def each(self) -> tuple[TeacherEntry, ...]:
        """Those it is of, or itself."""
        return self.of or (self,)

    @property
    def path(self) -> Path:
        """Where ``file`` lies: as given, else, for ``export/...``, among the files edgebat ships with."""
        return shipped(self.file)

    def digest(self) -> str:
        """sha256 of ``file`` or of all files of an ensemble, empty without one. Raises RecipeError when it is missing."""
        if self.of:
            return " ".join(member.digest() for member in self.of)
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

    def obtain(self, entry: TeacherEntry, provenance: Json, file: Path, run: Run, by: str = BY_CELL) -> Obtained:
        """The teacher of one entry, stored in ``file``. provenance: what the file of a trained one says; by: how its
        ensemble is mixed, and what is held out together, therefore, when it is cross-fitted."""
        if entry.of:
            return self._ensemble(entry, provenance, file, run)
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
        whole, fitted = kind.fit(learnt, self.val, entry.settings, run)
        teacher = self._cross_fitted(whole, entry, learnt, run, by) if entry.cross_fit else whole
        save_teacher(teacher, file, provenance)
        return Obtained(load_teacher(file), "", {"fit": fitted.summary()})

    def _cross_fitted(self, whole: Teacher, entry: TeacherEntry, learnt: Windows, run: Run, by: str) -> Teacher:
        """``whole``, which has learnt from ``learnt``, and one like it without each fold of the measured cells of these."""
        made_up = {*self.train.cells} - {*self.measured.cells}
        cells = [cell for cell in learnt.cells if cell not in made_up]
        fold = folds_of(cells, by == BY_DATASET, min(entry.cross_fit, len(cells)))
        held = [[cell for cell, n in zip(cells, fold, strict=True) if n == number] for number in np.unique(fold)]
        others = []
        for number, out in enumerate(held):
            rest = learnt.select(cells=[cell for cell in learnt.cells if cell not in set(out)])
            others.append(teacher_class(entry.name).fit(rest, self.val, entry.settings, run.inside(f"fold{number}"))[0])
        return CrossFitted.of(whole, others, held)

    def members(self, entry: TeacherEntry, provenance: Json, run: Run) -> list[Obtained]:
        """The teachers of an ensemble."""
        runs = [run.inside(f"{n}") for n in range(len(entry.of))]
        return [self.obtain(member, provenance, own.folder / "teacher.safetensors", own, entry.mix)
                for member, own in zip(entry.of, runs, strict=True)]  # fmt: skip

    def mixed(self, entry: TeacherEntry, found: Sequence[Obtained]) -> tuple[Ensemble, Json]:
        """Members as one, after ``entry.mix``, and how that came."""
        mix = Mixed({}, {"mix": entry.mix})
        if entry.mix != MIXES[0]:
            members = [self._member(*each) for each in zip(entry.of, found, strict=True)]
            mix = mixed(self.task, self.measured, self.val, members, entry.mix)
        told = [member.settings if member.file else {} for member in entry.of]
        return Ensemble.of([each.teacher for each in found], mix.heads, told), mix.results

    def _ensemble(self, entry: TeacherEntry, provenance: Json, file: Path, run: Run) -> Obtained:
        """All members as one, in one file."""
        found = self.members(entry, provenance, run)
        teacher, results = self.mixed(entry, found)
        seen = join_seen(*(each.seen for each in found))
        known = join_seen(str(provenance.get("seen", "")), seen)
        save_teacher(teacher, file, provenance | {"seen": known, "ensemble": results})
        return Obtained(load_teacher(file), seen, {"members": [each.results for each in found], **results})

    def _member(self, entry: TeacherEntry, found: Obtained) -> Member:
        """A member to be judged; one trained here has seen the training cells, and those of validation if they taught it.
        One that is cross-fitted answers for all of them as if it had not."""
        if entry.cross_fit:
            return Member(
                entry.label, found.teacher, np.zeros(len(self.measured.cells) + len(self.val.cells), np.bool_)
            )
        cells = [*self.measured.cells, *self.val.cells]
        own = [True] * len(self.measured.cells) + [entry.learn_from_val] * len(self.val.cells)
        seen = seen_cells(found.seen, cells) if entry.file else own
        return Member(entry.label, found.teacher, np.array(seen, dtype=np.bool_), entry.learn_from_val)


def together(found: Sequence[Obtained]) -> Obtained:
    """One teacher out of one or several: their mean, with its spread."""
    if len(found) == 1:
        return found[0]
    seen = join_seen(*(each.seen for each in found))
    return Obtained(Ensemble.of([each.teacher for each in found]), seen, {"members": [each.results for each in found]})
