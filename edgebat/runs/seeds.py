"""The same recipe with several seeds, each trained by another worker, who needs finished data, the teacher and nothing else.

What a worker leaves is put into the seed's run folder, records of steps last, and is what the steps would have left there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgebat.distill.teacher import TeacherEntry
from edgebat.files import atomic_write
from edgebat.lock import only_one
from edgebat.runs.folder import RunFolder, Step
from edgebat.runs.lessons import teacher_files
from edgebat.runs.plan import plan
from edgebat.runs.recipe import Data, Recipe
from edgebat.runs.steps import Pipeline
from edgebat.workers import Machines

PREPARED = ("data", "teacher")
"""Steps that are done before workers are called, by one process."""
LAST = "quantize"
"""The step after which errors are known."""
Files = Mapping[str, bytes]
"""Path inside a run folder -> content."""


@dataclass(frozen=True)
class SeedJob:
    """A prepared run whose students are to be trained. folder: where it lies, for a worker on the same disk; files: those of
    its own that any other worker needs beside the common ones."""

    recipe: Recipe
    folder: Path | None = None
    files: Files = field(default_factory=dict)


def train_seed(common: Files, job: SeedJob) -> Files:
    """Train and quantize the students of one seed; the files they leave, unless those lie on the same disk."""
    if job.folder is not None:
        with only_one(job.folder):
            _train(job.recipe, RunFolder(job.folder))
        return {}
    with tempfile.TemporaryDirectory(prefix="edgebat-seed-") as name:
        folder = RunFolder(Path(name))
        for files in (common, job.files):
            for path, content in files.items():
                folder.file(path).write_bytes(content)
        done = _train(job.recipe, folder)
        return {path: folder.file(path).read_bytes() for path in left_by(folder, done)}


def train_seeds(recipes: Sequence[Recipe], runs: Path, machines: Machines) -> None:
    """Train the students of prepared runs, those that are not trained yet. Raises what a step raises."""
    folders = {recipe.name: RunFolder(runs / recipe.name) for recipe in recipes}
    waiting = [recipe for recipe in recipes if _unfinished(recipe, folders[recipe.name])]
    if not waiting:
        return
    with machines.workers(train_seed) as workers:
        common: Files = {}
        jobs = [SeedJob(recipe, folders[recipe.name].path) for recipe in waiting]
        if not workers.same_disk:
            # The seeds share cells and teachers, which are large; what was noted of them is each one's own.
            first = folders[recipes[0].name]
            records = {f"steps/{step}.json" for step in PREPARED}
            common = _read(first, (path for path in left_by(first, PREPARED) if path not in records))
            jobs = [SeedJob(recipe, None, _read(folders[recipe.name], sorted(records))) for recipe in waiting]
        workers.share(common, recipes[0].threads)
        for index, files in workers.run(jobs):
            for path, content in files.items():
                atomic_write(folders[waiting[index].name].file(path), content)


def copy_prepared(source: RunFolder, target: RunFolder) -> None:
    """Spare ``target`` the steps ``PREPARED``: they are the same for every seed, and checked like any finished step."""
    for step in PREPARED:
        if target.record(step) != source.record(step):
            for path in left_by(source, (step,)):
                atomic_write(target.file(path), source.file(path).read_bytes())


def left_by(folder: RunFolder, steps: Iterable[str]) -> list[str]:
    """The files that finished steps have left, the record of each after its outputs."""
    found: list[str] = []
    for step in steps:
        record = folder.record(step)
        found += [*(record.outputs if record else ()), f"steps/{step}.json"]
    return found


def _read(folder: RunFolder, paths: Iterable[str]) -> Files:
    return {path: folder.file(path).read_bytes() for path in paths}


def _steps(recipe: Recipe, folder: RunFolder) -> list[Step]:
    """The steps after the prepared ones. What those were made from, a corpus and files of teachers, need not be here."""
    data = Data(more=recipe.data.more)  # the windows are there; that there are some the steps must know
    names = teacher_files(recipe)
    given = zip(recipe.teacher, names, strict=True)
    teacher = tuple(TeacherEntry(file=str(folder.file(name)), learn_from_val=entry.learn_from_val,
                                 settings=entry.settings if entry.file else {}) for entry, name in given)  # fmt: skip
    steps = plan(Pipeline(recipe.model_copy(update={"data": data, "teacher": teacher}), folder, None))
    last = next(index for index, step in enumerate(steps) if step.name == LAST)
    return [step for step in steps[: last + 1] if step.name.startswith(("student-", LAST))]


def _unfinished(recipe: Recipe, folder: RunFolder) -> bool:
    return not all(folder.finished(step) for step in _steps(recipe, folder))


def _train(recipe: Recipe, folder: RunFolder) -> list[str]:
    """Do the steps that are not done; names of all of them."""
    steps = _steps(recipe, folder)
    for step in steps:
        if not folder.finished(step):
            folder.run(step)
    return [step.name for step in steps]
