"""Does the teacher pay? The recipe's students, taught and not, with several seeds, paired by cell.

Each seed is a run of the recipe up to its int8 students, kept in a folder of its own and never done twice: every student
*taught*; its *twin* on the same windows, as long, without the teacher; and on the *measured* cells alone, without made-up
and blended ones, what a user trains who has no teacher.

The teacher is that of the first run: seeds tell students apart, not teachers. So are the cells. Students of several seeds
may be trained at the same time, by processes or the nodes of a Ray cluster, and are the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from edgebat.arrays import Bool, Float64
from edgebat.errors import RecipeError
from edgebat.files import Json, atomic_write
from edgebat.report.paired import Paired, paired
from edgebat.runs.document import read_document, shipped_recipes
from edgebat.runs.folder import RunFolder
from edgebat.runs.recipe import Recipe, load_recipe
from edgebat.runs.run import run_recipe
from edgebat.runs.seeds import LAST, copy_prepared, train_seeds
from edgebat.tasks.errors import errors_by_cell
from edgebat.tasks.predictions import load_predictions
from edgebat.workers import HERE, Machines

VARIANTS = {"measured": "_measured", "twin": "_alone", "taught": ""}
"""What is compared, and how the names of its models end."""


WHOLE = ("", "left out", "at home")
"""Groups of cells that are no single data set."""


@dataclass(frozen=True)
class Evidence:
    """Errors [cells] of the int8 students, means over the seeds: student -> variant (measured, twin, taught) -> errors."""

    recipe: str
    seeds: int
    column: str
    cells: list[str]
    datasets: list[str]
    teacher: Float64
    students: dict[str, dict[str, Float64]]
    by_seed: dict[str, dict[str, list[list[float]]]]
    """The same of each seed."""
    left_out: tuple[str, ...] = ()
    """Data sets nothing was learnt from, where the split is by data set."""
    task: str = ""
    unit: str = ""
    """Of the errors."""
    weights: dict[str, int] = field(default_factory=dict)
    """Of each student."""

    def cells_of(self, group: str) -> Bool:
        """Which cells [cells] are of ``group``: a data set, "left out", "at home" (cells of other data sets), "" for all."""
        groups = {"left out": self.left_out, "at home": {*self.datasets} - {*self.left_out}, "": self.datasets}
        return np.isin(self.datasets, list(groups.get(group, [group])))

    @property
    def groups(self) -> list[str]:
        """What the table has lines of, for every student."""
        there = sorted({*self.datasets})
        halves = ["left out", "at home"] if self.left_out and {*there} - {*self.left_out} else []
        return ["", *halves, *there] if len(there) > 1 else [""]

    def compared(self, student: str, other: str, group: str = "") -> Paired:
        """Taught over ``other`` (measured, twin, teacher), on the cells of one group."""
        rows = self.cells_of(group)
        errors = {**self.students[student], "teacher": self.teacher}
        return paired(errors["taught"][rows], errors[other][rows])

    def mean(self, errors: Float64, group: str = "") -> float:
        """Cells count alike."""
        return float(errors[self.cells_of(group)].mean())

    def markdown(self) -> str:
        """One table: a line per student and data set, and one over all."""
        lines = [
            f"{self.recipe}: {self.column} of int8 students on {len(self.cells)} cells that neither they nor their teachers "
            f"have seen, mean of {self.seeds} seeds; cells count alike. In brackets: 95 % of bootstrap draws of the cells; "
            "p by sign flips.",
            "",
            f"| student | weights | cells | {' | '.join(VARIANTS)} | teacher | taught / twin | taught / measured |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for student, variants in self.students.items():
            for group in self.groups:
                errors = [*(variants[name] for name in VARIANTS), self.teacher]
                shown = [f"{self.mean(each, group):.3f}" for each in errors]
                ratios = [str(self.compared(student, other, group)) for other in ("twin", "measured")]
                lines.append(f"| {' | '.join([*self._named(student), group or 'all', *shown, *ratios])} |")
        return "\n".join(lines) + "\n"

    def rows(self) -> list[str]:
        """Lines of the table over several recipes: all cells, those left out and those at home."""
        lines = []
        for student, variants in self.students.items():
            for group in (name for name in self.groups if name in WHOLE):
                shown = [
                    f"{self.mean(each, group):.3g}" for each in (*(variants[name] for name in VARIANTS), self.teacher)
                ]
                ratios = [str(self.compared(student, other, group)) for other in ("twin", "measured", "teacher")]
                cells = f"{group or 'all'}, {int(self.cells_of(group).sum())}"
                first = [self.task, *self._named(student), self.recipe, cells, self.unit]
                lines.append(f"| {' | '.join([*first, *shown, *ratios])} |")
        return lines

    def _named(self, student: str) -> list[str]:
        return [student.upper(), f"{self.weights[student]:,}"]

    def to_json(self) -> Json:
        """Everything as plain data."""
        plain = {s: {v: e.tolist() for v, e in each.items()} for s, each in self.students.items()}
        return vars(self) | {"teacher": self.teacher.tolist(), "students": plain}


def evidence(
    recipe: str | Json,
    overrides: Sequence[str],
    seeds: int,
    corpus: Path | None,
    runs: Path,
    console: Console | None = None,
    machines: Machines = HERE,
) -> Evidence:
    """All runs of ``recipe``, and what they say; written to ``<runs>/<recipe>-evidence``. machines: where students are
    trained. Raises what a run raises."""
    console = console or Console()
    first = load_recipe(recipe, overrides)
    folder = runs / f"{first.name}-evidence"
    found: dict[str, dict[str, list[Float64]]] = {kind.kind: {} for kind in first.students}
    prepared: list[Recipe] = []
    for seed in range(1, seeds + 1):
        own = [f"name=seed{seed}", f"distill.fit.seed={seed}", "distill.measured_too=true"]
        checked = load_recipe(recipe, [*overrides, *own])
        if prepared:
            copy_prepared(RunFolder(folder / prepared[0].name), RunFolder(folder / checked.name))
        run_recipe(checked, folder, corpus, "teacher", console=console, tables=False)
        prepared.append(checked)
    if machines.several:
        train_seeds(prepared, folder, machines)
    for checked in prepared:
        done = run_recipe(checked, runs=folder, corpus=corpus, until=LAST, console=console)
        cells, datasets, errors = _errors(checked, done)
        teacher = errors["teacher"]
        for kind, variants in found.items():
            for variant, end in VARIANTS.items():
                variants.setdefault(variant, []).append(errors[f"{kind}{end}_int8"])
    column = first.of_task.columns[0]
    means = {kind: {name: np.mean(each, axis=0) for name, each in own.items()} for kind, own in found.items()}
    single = {kind: {name: [each.tolist() for each in row] for name, row in own.items()} for kind, own in found.items()}
    title = f"{column.title} ({column.unit})"
    weights = {kind: int(RunFolder(done).results(f"student-{kind}")[kind]["parameters"]) for kind in found}
    left_out = first.data.split.hold_out if first.data.split.by == "dataset" else ()
    result = Evidence(
        first.name, seeds, title, cells, datasets, teacher, means, single, left_out, first.of_task.name, column.unit,
        weights,
    )  # fmt: skip
    atomic_write(folder / "evidence.json", json.dumps(result.to_json(), indent=1) + "\n")
    atomic_write(folder / "evidence.md", result.markdown())
    return result


def evidence_of_all(
    recipes: Sequence[str],
    overrides: Sequence[str],
    seeds: int,
    corpus: Path | None,
    runs: Path,
    console: Console | None = None,
    machines: Machines = HERE,
) -> list[Evidence]:
    """``evidence`` of each recipe in turn; of several, the table over all that are done is written anew after each, to
    ``<runs>/evidence.md``. Called again, it goes on where it was cut off. Raises what a run raises, and RecipeError for two
    recipes of one name, whose runs would be one."""
    names = [load_recipe(recipe, overrides).name for recipe in recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RecipeError(f"the recipes {', '.join(recipes)} have the name {', '.join(twice)} twice; give each its own")
    found: list[Evidence] = []
    for recipe in recipes:
        found.append(evidence(recipe, overrides, seeds, corpus, runs, console, machines))
        if len(recipes) > 1:
            atomic_write(runs / "evidence.md", table_of(found))
    return found


def table_of(found: Sequence[Evidence]) -> str:
    """One markdown table over several recipes: task, student, cells, and each variant's mean error."""
    seeds = " and ".join(map(str, sorted({each.seeds for each in found})))
    ratios = [f"taught / {other}" for other in ("twin", "measured", "teacher")]
    heading = ["task", "student", "weights", "recipe", "cells", "unit", *VARIANTS, "teacher", *ratios]
    lines = [
        f"Errors of int8 students on cells that neither they nor their teachers have seen, means of {seeds} seeds; cells "
        "count alike. In brackets: 95 % of bootstrap draws of the cells; p by sign flips.",
        "",
        f"| {' | '.join(heading)} |",
        f"|{'---|' * len(heading)}",
        *(line for each in found for line in each.rows()),
    ]
    return "\n".join(lines) + "\n"


def comparable(measured: bool) -> list[str]:
    """The shipped recipes with students whose cells are ``measured`` ones, or simulated ones."""
    wanted = "corpus" if measured else "synthetic"
    documents = {name: read_document(name)[1] for name in shipped_recipes()}
    own = [name for name, document in documents.items() if "study" not in document]
    return [name for name in own if load_recipe(name).data.source == wanted]


def _errors(recipe: Recipe, folder: Path) -> tuple[list[str], list[str], dict[str, Float64]]:
    """Names of the held-out cells, their data sets, and every model's error on each of them.

    Raises RecipeError where a cell has none, for then cells cannot be paired.
    """
    task = recipe.of_task
    windows, errors = task.Windows.load(folder / "data" / "test.safetensors"), {}
    for path in sorted((folder / "predictions").glob("*.safetensors")):
        errors[path.stem] = errors_by_cell(task, windows, load_predictions(path))
        lacking = [cell for cell, e in zip(windows.cells, errors[path.stem], strict=True) if np.isnan(e)]
        if lacking:
            raise RecipeError(f"{path.stem} has no {task.columns[0].title} on cell {'/'.join(lacking[0])}, so that cells "
                              "cannot be paired")  # fmt: skip
    return ["/".join(cell) for cell in windows.cells], [dataset for dataset, _ in windows.cells], errors
