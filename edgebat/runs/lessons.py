"""What the students of a recipe learn from, and from whom, out of what the earlier steps left in a run's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgebat.arrays import FloatArray
from edgebat.cells import CellKey, cell_key, seen_cells
from edgebat.data.splits import spread_folds
from edgebat.runs.closure import digest
from edgebat.runs.folder import RunFolder
from edgebat.tasks.windows import Windows

if TYPE_CHECKING:  # torch stays out until a step needs it, and the recipe's other sections decide nothing
    from edgebat.distill.more_windows import WithMore
    from edgebat.distill.teacher import Obtained
    from edgebat.distill.train import DistillSettings
    from edgebat.runs.recipe import Recipe
    from edgebat.students.base import Student
    from edgebat.teachers.base import Teacher

MORE = "data/more.safetensors"
LABELLING = ("edgebat.teachers.store:load_teacher", "edgebat.distill.labels:label_rows")


def part_of(recipe: Recipe, folder: RunFolder, part: str) -> Windows:
    """Windows of one part of the split, as the step ``data`` left them."""
    return recipe.of_task.Windows.load(folder.file(f"data/{part}.safetensors"))


def measured_part(recipe: Recipe, folder: RunFolder) -> Windows:
    """The training windows that are not made up."""
    return part_of(recipe, folder, "train").select(cells=map(cell_key, folder.results("data")["split"]["train"]))


def teacher_files(recipe: Recipe) -> list[str]:
    """Where the teachers lie in the run folder."""
    count = len(recipe.teacher)
    return [f"models/teacher{f'-{n}' if count > 1 else ''}.safetensors" for n in range(1, count + 1)]


@dataclass(frozen=True)
class Lessons:
    """Of one run."""

    recipe: Recipe
    folder: RunFolder

    def windows(self, part: str) -> Windows:
        """See ``part_of``."""
        return part_of(self.recipe, self.folder, part)

    @property
    def labels(self) -> Path:
        """Where labels of teachers are kept, apart for each state of the code that teachers reach."""
        return self.folder.path / "checkpoints" / "labels" / digest(LABELLING)[:16]

    def guide(self, name: str, silent: tuple[str, ...]) -> Teacher | None:
        """Whom the student ``name`` learns from, ``silent`` on some data sets; None for those without a teacher."""
        from edgebat.distill.gate import Gated

        taught = any(name == entry.kind for entry in self.recipe.students)
        return Gated(self.stored_teacher().teacher, silent) if taught else None

    def of_student(self, name: str, unknown: frozenset[CellKey] = frozenset()) -> tuple[WithMore, DistillSettings]:
        """What the student ``name`` learns from, and how; not from the cells ``unknown``."""
        from edgebat.distill.more_windows import WithMore

        windows, settings = self._learnt(name)
        if unknown:
            windows = windows.select(cells=set(windows.cells) - unknown)
        if not self.recipe.data.more.wanted or name.endswith("_measured"):
            return WithMore(windows), settings
        more = self.recipe.of_task.Windows.load(self.folder.file(MORE))
        return WithMore.numbered(windows, more.select(cells=set(more.cells) - unknown), True), settings

    def folds(self) -> list[frozenset[CellKey]]:
        """The measured cells that students learn from, in the folds of the recipe's interval."""
        learnt = self.recipe.distill.learnt(measured_part(self.recipe, self.folder), self.windows("val"))
        count = self.recipe.interval.folds
        own = spread_folds(learnt, count, self.recipe.data.split.seed) if count else {}
        return [frozenset(key for key, fold in own.items() if fold == number) for number in range(count)]

    def _learnt(self, name: str) -> tuple[Windows, DistillSettings]:
        settings, train, val = self.recipe.distill, self.windows("train"), self.windows("val")
        if name.endswith("_judge"):  # the error stated must not be measured on cells that were learnt from
            return train, settings
        if name.endswith("_measured"):
            return settings.learnt(measured_part(self.recipe, self.folder), val), replace(
                settings, blends=0, made_up_share=None
            )
        return settings.learnt(train, val), settings

    def silent_on(self, val: Windows, student: Student) -> tuple[str, ...]:
        """The data sets on which the teacher is not heard, by a student that has not learnt from it nor from ``val``."""
        from edgebat.distill.gate import not_heard_on
        from edgebat.distill.labels import teacher_labels

        seen = seen_cells(self.folder.results("teacher")["seen"], val.cells)
        learnt = any(entry.learn_from_val for entry in self.recipe.teacher)
        if self.recipe.distill.listen == "everywhere" or learnt or any(seen):
            return ()
        labels = teacher_labels(self.stored_teacher().teacher, val, self.labels)
        return not_heard_on(self.recipe.of_task, val, labels, student.predict(val.inputs()))

    def spread(self, windows: Windows, head: str) -> FloatArray:
        """[N] of the teachers' answers for ``windows``. Raises RecipeError when the teacher knows none."""
        from edgebat.distill.labels import teacher_labels
        from edgebat.runs.interval import spread_of

        return spread_of(teacher_labels(self.stored_teacher().teacher, windows, self.labels), head)

    def stored_teacher(self) -> Obtained:
        """The teacher that the step ``teacher`` left."""
        from edgebat.distill.teacher import Obtained, together
        from edgebat.teachers.store import load_teacher

        found = []
        for entry, name in zip(self.recipe.teacher, teacher_files(self.recipe), strict=True):
            teacher = load_teacher(self.folder.file(name))
            if entry.file:
                teacher.configure(entry.settings)
            found.append(Obtained(teacher, "", {}))
        return together(found)
