"""Recipes: one experiment = one YAML file, typed, with unknown keys refused.

A recipe is read, changed by ``--set a.b=c`` overrides, then checked; every later step sees only the checked object.
Defaults come from the settings classes of the packages that use them; ``config.yaml`` in a run folder is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgebat.distill.bounds import IntervalSettings
from edgebat.distill.entry import teacher_entry, unknown_keys, with_defaults
from edgebat.distill.teacher import TeacherEntry
from edgebat.distill.train import DistillSettings
from edgebat.errors import EdgebatError, RecipeError
from edgebat.files import Json
from edgebat.quantization import QuantizeOptions
from edgebat.runs.document import read_document
from edgebat.runs.ground import GroundSettings
from edgebat.students.store import student_kinds
from edgebat.tasks.base import AnyTask, task, task_names
from edgebat.tasks.more import MoreWindows

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Section(BaseModel):
    """Base of the sections that live here: unknown keys are errors, values do not change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthetic(Section):
    """The seeded synthetic fleet."""

    cells: Annotated[int, Field(ge=6)] = 24
    """Cells to simulate."""
    max_cycles: Annotated[int, Field(ge=100)] = 600
    """Cycles after which a cell's test ends at the latest."""
    seed: int = 7
    """Same seed, same cells."""


class Split(Section):
    """Which cells are held out, always whole."""

    by: Literal["condition", "dataset", "published"] = "condition"
    """``condition``: fractions of every group of like cells; ``dataset``: all cells of ``hold_out``, to see how a model
    fares on a bench it does not know; ``published``: the split that the data were published with."""
    test: Fraction = 0.25
    """Fraction of the cells held out for testing, by condition."""
    val: Fraction = 0.15
    """Fraction of the cells (by dataset or published: of the rest) for early stopping."""
    calibration: Fraction = 0.0
    """Fraction of the training cells that teach nobody and calibrate an interval instead (``interval.coverage``)."""
    seed: int = 1
    """Draws the cells."""
    hold_out: tuple[str, ...] = ()
    """Data sets that are tested (by dataset)."""
    known_test: Fraction = 0.0
    """Fraction of the cells of each other data set that are tested as well (by dataset): how a model fares at home."""
    published: tuple[str, str] = ("train", "test1")
    """Names of the published parts to learn from and to test on."""


class MadeUp(Section):
    """Made-up cells that teach beside the measured ones, and are never tested."""

    cells: Annotated[int, Field(ge=0)] = 0
    """So many; 0: none."""
    max_cycles: Annotated[int, Field(ge=100)] = 2000
    """Longest life."""
    seed: int = 11
    """Draws them."""


class Data(Section):
    """Where the cells come from."""

    source: Literal["synthetic", "corpus"] = "synthetic"
    """``corpus`` needs ``--corpus PATH`` or EDGEBAT_CORPUS."""
    synthetic: Synthetic = Synthetic()
    """The seeded synthetic fleet."""
    datasets: tuple[str, ...] = ()
    """Of the corpus; all unless named."""
    quality: tuple[str, ...] = ()
    """Grades of ``cells.csv``; all unless named."""
    split: Split = Split()
    """Which cells are held out."""
    made_up: MadeUp = MadeUp()
    """Cells to learn from besides."""
    more: MoreWindows = MoreWindows()
    """Windows of the training cells to learn from besides."""


class StudentEntry(Section):
    """One student."""

    kind: str
    """A family of ``edgebat/students``."""
    settings: Json = {}
    """Keyword arguments of its class, such as ``units: 24``."""
    epochs: Positive | None = None
    """Instead of ``distill.fit.epochs``."""


class Verify(Section):
    """The comparison of all engines."""

    windows: Positive = 1000
    """Held-out windows that every engine and simulator runs."""


class Report(Section):
    """What the report shows beside its tables."""

    cells: Positive = 12
    """At most so many held-out cells get a picture."""
    licence: str = "Model and code: Apache-2.0."
    """Printed at the end of the card."""


class Recipe(Section):
    """The whole experiment. Sections without a class above are the settings of the package they name."""

    name: Name
    """Also the name of the run folder."""
    title: str = ""
    """What a person reads; the name when empty."""
    threads: Positive = 1
    """Cores that a training uses."""
    task: Json
    """``name`` of a task (health, forecast, life) and its definition."""
    data: Data = Data()
    """What is learnt from and tested on."""
    teacher: tuple[TeacherEntry, ...]
    """A system's ``name`` with its settings, the ``file`` of a trained one, or a list of these: their mean."""
    students: tuple[StudentEntry, ...] = tuple(StudentEntry(kind=kind) for kind in ("mlp", "cnn", "lstm"))
    """Who learns: one or more, each kind once."""
    distill: DistillSettings = DistillSettings()
    """How students are trained."""
    quantize: QuantizeOptions = QuantizeOptions()
    """How students become integers."""
    ground: GroundSettings = GroundSettings()
    """How a model's ground is measured: what it may be asked about."""
    interval: IntervalSettings = IntervalSettings()
    """How sure a student says it is: the interval around its estimate."""
    baselines: tuple[str, ...] = ()
    """Learners beside the students; the task's quick ones unless named."""
    targets: tuple[str, ...] = ("cortex-m0plus", "cortex-m4f", "cortex-m33", "rv32imc", "host")
    """Boards whose size and speed are measured: names of shipped ones (``edgebat targets``) or YAML files."""
    verify: Verify = Verify()
    """How engines are compared."""
    report: Report = Report()
    """What the report shows."""

    @field_validator("task", mode="before")
    @classmethod
    def _whole_task(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "name" not in given:
            raise ValueError(f"task needs a name; the tasks are {', '.join(task_names())}")
        found = task(str(given["name"]))
        return found.described(found.spec(given))

    @field_validator("teacher", mode="before")
    @classmethod
    def _teachers(cls, given: Any) -> Any:
        entries = given if isinstance(given, list | tuple) else [given]
        if not entries:
            raise ValueError("teacher is an empty list; give a name, a file, or a list of these")
        return [teacher_entry(entry) for entry in entries]

    @model_validator(mode="after")
    def _one_student_per_kind(self) -> Recipe:
        kinds = [student.kind for student in self.students]
        if not kinds or len(set(kinds)) != len(kinds):
            raise ValueError(f"students are {kinds}; give one or more, each kind once")
        unknown = sorted(set(kinds) - set(student_kinds()))
        if unknown:
            raise ValueError(f"there is no student {', '.join(unknown)}; the students are {', '.join(student_kinds())}")
        return self

    @model_validator(mode="after")
    def _cells_to_calibrate(self) -> Recipe:
        interval, calibration = self.interval, self.data.split.calibration
        if bool(interval.coverage) != bool(calibration or interval.folds):
            raise ValueError(
                f"interval.coverage is {interval.coverage}, data.split.calibration {calibration} and interval.folds "
                f"{interval.folds}: an interval takes calibration cells or folds; set both, or none"
            )
        if calibration and interval.folds:
            raise ValueError(
                f"interval.folds is {interval.folds}, so every cell calibrates, and data.split.calibration {calibration} "
                "sets cells aside for it; leave one of them out"
            )
        return self

    @property
    def of_task(self) -> AnyTask:
        """The task itself."""
        return task(self.task["name"])

    @property
    def spec(self) -> Any:
        """The task's definition."""
        return self.of_task.spec(self.task)


def load_recipe(recipe: str | Path | Json, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe: a file, the name of a shipped one, or plain data.

    overrides: ``"section.key=value"`` with a YAML value; list entries by index (``students.0.epochs=5``).
    Raises RecipeError naming the file, the key, what is allowed and, for a misspelt key, the nearest name.
    """
    path, document = read_document(recipe, overrides)
    if "study" in document:
        raise RecipeError(
            f"{path} is a study of one teacher, not a pipeline to a device: it has no students to "
            f"distil, quantize or export; use edgebat run {recipe} or edgebat train {recipe}"
        )
    return check_recipe(document, str(path))


def check_recipe(document: Json, where: str = "recipe") -> Recipe:
    """A checked Recipe from plain data; raises RecipeError with one line per mistake."""
    lines = list(unknown_keys(document, Recipe, ""))
    if not lines:
        try:
            return Recipe.model_validate(with_defaults(document, Recipe))
        except ValidationError as error:
            lines = [_explain(e) for e in error.errors()]
        except EdgebatError as error:
            lines = [str(error)]
    raise RecipeError(f"{where} cannot be used:\n  " + "\n  ".join(lines))


def dump_recipe(recipe: Recipe) -> str:
    """The complete recipe, defaults included, as YAML."""
    return str(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120))


def _explain(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "recipe"
    if error["type"] == "missing":
        return f"{key} is missing"
    return f"{key} is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"
