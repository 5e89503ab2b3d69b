"""One runner for every study: each part is trained with each seed and scored on the cells left out, beside the baselines.

What is done is kept and not done again: ``<part>-seed<N>.safetensors`` is the trained teacher, ``<part>-seed<N>.json`` its
record, ``<part>-baselines.json`` what the baselines reach. An interrupted training resumes. Parts and seeds are
independent, so that several processes may each do some.
"""

from __future__ import annotations

import json
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError
from torch import nn

from edgebat.errors import RecipeError
from edgebat.files import Json, atomic_write
from edgebat.studies.tables import cells_csv
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class
from edgebat.training.run import Run, TrainResult

Section = TypeVar("Section")
Own = TypeVar("Own", bound=Windows)
Kept = TypeVar("Kept")
Scores = dict[str, float]
"""Metric -> value."""
Trained = tuple[Teacher, TrainResult | None]
"""A network and, when it has just been trained, how that went."""


class Kind(NamedTuple):
    """What a study of a teacher is made of: the class of its section ``study``, and what is run."""

    section: type[Any]
    experiments: tuple[type[Experiment[Any]], ...]


@dataclass(frozen=True)
class StudyRecipe(Generic[Section]):
    """A checked recipe with ``study:``. teacher_name, teacher: the system and its ``Settings``, of an ensemble the entry
    itself; of_task, task: the task and its ``Spec``; study: which cells are learnt from and which are scored, with which
    seeds, and what else is compared."""

    name: str
    teacher_name: str
    teacher: Any
    of_task: AnyTask
    task: Any
    study: Section
    kind: Kind


@dataclass(frozen=True)
class Part:
    """A fold, a variant or a transfer, by the name that ``--only`` gives, with its seeds. file: how the names of its files
    begin, ``name`` unless given. beside: it stands beside the others in their tables, done whatever ``--only`` says, without
    baselines and cells of its own. on_request: done only when ``--only`` names it."""

    name: str
    seeds: tuple[int, ...]
    file: str = ""
    beside: bool = False
    on_request: bool = False

    @property
    def stem(self) -> str:
        """How the names of its files begin."""
        return self.file or self.name


@dataclass(frozen=True)
class Split(Generic[Own]):
    """Windows to learn from, to stop on, and to score on; with an empty ``test`` the teacher is trained to be given away."""

    train: Own
    val: Own
    test: Own


@dataclass(frozen=True)
class Scored:
    """What is reached on the cells left out. scores: dataset, condition or ``all`` -> metric -> value; cells: a row per cell
    with ``dataset``, ``cell`` and figures; synthesis: how good made-up cells are, a row per guidance weight."""

    scores: dict[str, Scores]
    cells: list[Json] = field(default_factory=list)
    synthesis: list[Scores] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """One seed of a part. seconds: of the training; fitted: what it reports (loss, speed, GPU memory), empty when a
    checkpoint lay there; scored: None when there is nothing to score."""

    seed: int
    seconds: float
    fitted: dict[str, float]
    scored: Scored | None
    peak_memory_mb: int = field(default_factory=lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


@dataclass(frozen=True)
class Result:
    """A part, what its seeds and the baselines reach on its cells, and the seeds' networks as one teacher."""

    part: Part
    seeds: dict[int, Scored]
    baselines: Mapping[str, Scored]
    together: Scored | None = None


@dataclass
class Experiment(ABC, Generic[Section]):
    """Parts that are measured once per seed, and the tables of what was found."""

    recipe: StudyRecipe[Section]
    corpus: Path
    folder: Path

    def begin(self, only: Sequence[str]) -> None:
        """Whatever comes before the first training. Raises RecipeError, MissingExtra."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """All of them, in the order of the table."""

    @abstractmethod
    def measure(self, part: Part, seed: int) -> Record | None:
        """Train and score; None, after a line that says why, when it is passed over. Raises RecipeError, DataError."""

    def compare(self, part: Part) -> Mapping[str, Scored]:
        """Baseline -> what it reaches on the part's cells."""
        return {}

    def together(self, part: Part) -> Scored | None:
        """What the networks of all seeds reach as one teacher, if they are joined."""
        return None

    @abstractmethod
    def tables(self, results: list[Result]) -> dict[str, str]:
        """File name -> table, of the parts that were scored."""


class TeacherExperiment(Experiment[Section], Generic[Section, Own]):
    """Each part trains a teacher, which is stored, and scored as it is stored, beside baselines."""

    about_cell: tuple[str, ...] = ()
    """Columns of cells.csv that no seed changes."""
    cell_metrics: tuple[str, ...] = ()
    """Columns of cells.csv with each seed."""

    @abstractmethod
    def split(self, part: Part, seed: int) -> Split[Own] | None:
        """What to learn from and what to score; None as in ``measure``."""

    def train(self, part: Part, split: Split[Own], seed: int, run: Run) -> Trained:
        """The teacher trained on the split, or the training resumed."""
        kind = teacher_class(self.recipe.teacher_name)
        return kind.fit(split.train, split.val, seeded(self.recipe.teacher, seed), run)

    @abstractmethod
    def score(self, teacher: Teacher, split: Split[Own], seed: int) -> Scored:
        """What the teacher reaches on ``split.test``."""

    @abstractmethod
    def baselines(self, part: Part, split: Split[Own]) -> tuple[dict[str, Scored], list[str]]:
        """What each baseline reaches on ``split.test``, and a line for each whose package is missing."""

    @abstractmethod
    def provenance(self, part: Part, split: Split[Own]) -> Json:
        """What the checkpoint carries of where it comes from."""

    @abstractmethod
    def table(self, results: list[Result]) -> str:
        """Markdown of the parts that were scored."""

    def round(self, network: nn.Module) -> None:
        """Make the weights as they are stored, in place: two bytes are enough for each."""
        network.half()

    def measure(self, part: Part, seed: int) -> Record | None:
        """Train, unless a checkpoint is there already, and score what is stored."""
        split = self.split(part, seed)
        if split is None:
            return None
        stem, start, fitted = f"{part.stem}-seed{seed}", time.perf_counter(), {}
        file = self.folder / f"{stem}.safetensors"
        if not file.exists():
            network, result = self.train(part, split, seed, Run(self.folder / stem))
            single = vars(result).items() if result else ()
            fitted = {name: value for name, value in single if isinstance(value, int | float)}
            self.round(network)
            save_teacher(network, file, {"study": self.recipe.name, "seed": seed, **self.provenance(part, split)})
        seconds = round(time.perf_counter() - start, 1)
        return Record(seed, seconds, fitted, self.score(load_teacher(file), split, seed) if len(split.test) else None)

    def compare(self, part: Part) -> Mapping[str, Scored]:
        """From ``<part>-baselines.json`` when it is there. Baselines do not depend on the seed; where the cells do, those of
        the first one are learnt from. When a package is missing, that is said, and nothing is kept."""
        file = self.folder / f"{part.stem}-baselines.json"
        kept = read_kept(file, dict[str, Scored])
        split = self.split(part, part.seeds[0]) if kept is None else None
        if split is not None:
            kept, missing = self.baselines(part, split)
            if missing:
                print("\n".join(missing), flush=True)
            else:
                write_kept(file, {name: asdict(scored) for name, scored in kept.items()})
        return kept or {}

    def tables(self, results: list[Result]) -> dict[str, str]:
        own = [result for result in results if not result.part.beside]
        if not own:
            return {}
        return {"table.md": self.table(results), "cells.csv": cells_csv(own, self.about_cell, self.cell_metrics)}


def seeded(settings: Any, seed: int) -> Any:
    """A dataclass of settings with every ``seed`` in it replaced."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    changed = {name: seeded(value, seed) for name, value in values.items() if is_dataclass(value)}
    return replace(settings, **changed, **({"seed": seed} if "seed" in values else {}))


def chosen(only: Sequence[str], parts: Sequence[Part]) -> list[Part]:
    """The parts named in ``only`` and those beside them, in the study's order; all when nothing is named. Raises
    RecipeError."""
    names = [part.name for part in parts]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise RecipeError(f"--only {', '.join(unknown)}: the study has no such part; allowed are {', '.join(names)}")
    return [part for part in parts if part.name in only or part.beside or (not only and not part.on_request)]


def run_experiments(experiments: Sequence[Experiment[Any]], only: Sequence[str] = ()) -> None:
    """A study, or the parts of it named in ``only``: every part with every seed, then the tables, which are printed, and
    written when the study is whole. Raises RecipeError, DataError, MissingExtra."""
    for experiment in experiments:
        experiment.begin(only)
    parts = [experiment.parts() for experiment in experiments]
    picked = chosen(only, [part for own in parts for part in own])
    for experiment, own in zip(experiments, parts, strict=True):
        results = [result for part in own if part in picked and (result := run_part(experiment, part))]
        for name, text in (experiment.tables(results) if results else {}).items():
            if name.endswith(".md"):
                print(text)
            if not only:
                atomic_write(experiment.folder / name, text)


def run_part(experiment: Experiment[Any], part: Part) -> Result | None:
    """One part with each of its seeds, from what is kept where it is; None when there was nothing to score."""
    found = {}
    for seed in part.seeds:
        file = experiment.folder / f"{part.stem}-seed{seed}.json"
        record = read_kept(file, Record)
        if record is None:
            record = experiment.measure(part, seed)
            if record is None:
                return None
            write_kept(file, asdict(record))
        scored = record.scored
        print(f"{part.name} seed {seed}: {scored.scores if scored else 'trained, nothing is scored'}", flush=True)
        if scored:
            found[seed] = scored
    together = experiment.together(part) if len(part.seeds) > 1 else None
    return Result(part, found, {} if part.beside else experiment.compare(part), together) if found else None


def read_kept(file: Path, kind: type[Kept]) -> Kept | None:
    """What ``write_kept`` wrote, None when there is no such file. Raises RecipeError when it is something else."""
    if not file.exists():
        return None
    try:
        return TypeAdapter(kind).validate_json(file.read_bytes())
    except ValidationError as error:
        raise RecipeError(f"{file} is no record of a study ({error}); delete it to have it made anew") from None


def write_kept(file: Path, values: Mapping[str, Any]) -> None:
    """Keep what was found, as JSON."""
    atomic_write(file, json.dumps(values, indent=1) + "\n")
