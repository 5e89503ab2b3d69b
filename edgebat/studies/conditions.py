"""IC2ML: the paper's conditions with its own split by cell, beside its released predictions.

    edgebat run health-ic2ml --corpus PATH [--only NAME ...]

Each variant (a window, a horizon, a share of the training cells, one condition alone) is scored on the test cells at hand
of its conditions. The paper's "RMSE %" are ampere-hours times 100: its own MAPE fits no other reading. Errors are given in
Ah, to be set beside those of the released predictions, and in percentage points of nominal capacity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic.dataclasses import dataclass as checked

from edgebat.arrays import Bool, FloatArray
from edgebat.baselines.health import health_baselines
from edgebat.cells import CellKey, pack_cells
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.errors import DataError, RecipeError
from edgebat.files import Json, atomic_write
from edgebat.studies.runner import Kind, Part, Result, Scored, Scores, Split, TeacherExperiment
from edgebat.studies.tables import markdown, spread
from edgebat.tasks.health import HealthWindows, health_windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ic2ml.release import Condition, errors, released_rows, released_table


@dataclass(frozen=True)
class Variant:
    """What is changed against the study."""

    task: Json = field(default_factory=dict)
    """Pieces of the task."""
    conditions: tuple[str, ...] = ()
    """The conditions learnt from and scored, all unless named."""
    share: float = 1.0
    """Of their training cells."""
    learn_from_val: bool = False
    """Their validation cells are learnt from too. They must choose nothing then, so that the study has to keep the last
    weights and to train to the end."""
    seeds: tuple[int, ...] = (1,)
    """One network each."""


@checked(frozen=True, config={"extra": "forbid"})
class ConditionSection:
    """``study:`` of a recipe for IC2ML."""

    conditions: dict[str, Condition]
    """Name -> cells."""
    variants: dict[str, Variant]
    """Name -> what is trained."""
    released: str = ""
    """A copy of the publication's repository, whose predictions are scored before anything is trained."""


COLUMNS = ("soh_rmse_ah", "soh_rmse_pct", "trajectory_rmse_ah", "trajectory_mape_pct", "rul_all_rmse", "rul_all_mae",
           "rul_rmse")  # fmt: skip


class Variants(TeacherExperiment[ConditionSection, HealthWindows]):
    """Every variant on the cells the corpus has."""

    about_cell, cell_metrics = ("windows",), ("soh_rmse_pct", "trajectory_rmse_pct", "rul_rmse")

    def parts(self) -> list[Part]:
        return [Part(name, variant.seeds) for name, variant in self.recipe.study.variants.items()]

    def begin(self, only: Sequence[str]) -> None:
        """Refuse what cannot be asked for; then score the released predictions, of all test cells and of those at hand."""
        for name in only:
            if reason := self.leaks(name):
                raise RecipeError(reason)
        study = self.recipe.study
        if study.released:
            histories = list(self.fleet().histories())
            capacities = {cell.key: cell.capacity_ah for cell in histories}
            nominal = {cell.key: cell.nominal_ah for cell in histories}
            text = released_table(released_rows(study.released, study.conditions, capacities, nominal))
            atomic_write(self.folder / "released.md", text)
            print(text, flush=True)

    def leaks(self, name: str) -> str:
        """Why a variant would learn from the cells that choose its weights; nothing when it does not."""
        fit, variant = self.recipe.teacher.fit, self.recipe.study.variants.get(name)
        if variant is None or not (variant.learn_from_val and fit.validation_decides):
            return ""
        return (f"variant {name!r} learns from its validation cells, which would also stop the training (keep: "
                f"{fit.keep}, patience: {fit.patience} of {fit.epochs} epochs); teacher.fit.keep=last and "
                f"teacher.fit.patience={fit.epochs} would allow it")  # fmt: skip

    def fleet(self) -> Fleet:
        """The cells of every dataset that has a condition."""
        return read_corpus(self.corpus, {condition.dataset for condition in self.recipe.study.conditions.values()})

    def split(self, part: Part, seed: int) -> Split[HealthWindows] | None:
        if reason := self.leaks(part.name):
            print(f"left out: {reason}", flush=True)
            return None
        study, variant = self.recipe.study, self.recipe.study.variants[part.name]
        windows = health_windows(self.fleet(), dataclasses.replace(self.recipe.task, **variant.task))
        there = set(windows.cells)
        learnt = variant.conditions or tuple(study.conditions)

        def cells(part: str) -> list[CellKey]:
            return sorted(key for name in learnt for key in study.conditions[name].keys(part) if key in there)

        train, val = cells("train"), cells("val")
        if variant.share < 1.0:
            count = max(1, round(variant.share * len(train)))
            train = [train[i] for i in np.random.default_rng(seed).permutation(len(train))[:count]]
        if not train or not val:
            raise DataError(f"conditions {', '.join(learnt)}: {len(train)} training and {len(val)} validation cells have "
                            f"windows; at least 1 each is needed; left out: {windows.left_out}")  # fmt: skip
        return Split(
            windows.select(cells=sorted({*train, *val}) if variant.learn_from_val else train),
            windows.select(cells=val),
            windows.select(cells=cells("test")),
        )

    def score(self, teacher: Teacher, split: Split[HealthWindows], seed: int) -> Scored:
        return scored(self.recipe.study.conditions, split.test, teacher.predict(split.test))

    def baselines(self, part: Part, split: Split[HealthWindows]) -> tuple[dict[str, Scored], list[str]]:
        # Ridge would choose its penalty on cells it has learnt from.
        left_out = ("ridge",) if self.recipe.study.variants[part.name].learn_from_val else ()
        found, missing = health_baselines(split.train, split.val, split.test, left_out)
        conditions = self.recipe.study.conditions
        return {name: scored(conditions, split.test, predictions) for name, predictions in found.items()}, missing

    def provenance(self, part: Part, split: Split[HealthWindows]) -> Json:
        seen = pack_cells([*split.train.cells, *split.val.cells])
        return {"variant": part.name, "task": self.recipe.of_task.described(split.train.spec), "seen": seen}

    def table(self, results: list[Result]) -> str:
        """Markdown, one block of rows per condition: published, each variant (mean +- deviation over seeds), baselines: all
        for the variant that knows the condition alone (or the fewest), the nearest window for each of the others."""
        study, rows = self.recipe.study, []
        for condition, entry in study.conditions.items():

            def add(by: str, *found: Scored, condition: str = condition) -> None:
                for group, label in ((condition, by), (whole(condition), whole(by.split(", ")[0]))):
                    scores = [one.scores[group] for one in found if group in one.scores]
                    if scores:
                        figures = (
                            spread([s[c] for s in scores if c in s], 4 if c.endswith("_ah") else 2) for c in COLUMNS
                        )
                        rows.append([condition, label, f"{scores[0]['windows']:.0f}", *figures])

            own = [result for result in results if any(condition in scored.scores for scored in result.seeds.values())]
            if not own:
                continue
            if entry.published:
                rows.append([condition, "released predictions", f"{entry.published.get('windows', 0):.0f}",
                             *(f"{entry.published[c]:g}" if c in entry.published else "" for c in COLUMNS)])  # fmt: skip
            for result in own:
                add(f"{result.part.name}, {len(result.seeds)} seeds", *result.seeds.values())
            every = len(study.conditions)
            first = min(own, key=lambda result: len(study.variants[result.part.name].conditions) or every)
            for result in own:
                for baseline in result.baselines if result is first else ("nearest",):
                    add(f"{baseline} ({result.part.name})", result.baselines[baseline])
        return markdown(["condition", "by", "windows", *COLUMNS], rows)


PUBLISHED = Kind(ConditionSection, (Variants,))


def whole(condition: str) -> str:
    """The group of a condition's windows that the release counts: whose whole horizon was measured."""
    return f"{condition}, windows as released"


def scored(
    conditions: Mapping[str, Condition], windows: HealthWindows, predictions: Mapping[str, FloatArray]
) -> Scored:
    """``errors`` of each condition's test cells at hand, of all windows and of the ``whole`` ones, and of each cell."""

    def of(rows: Bool) -> Scores:
        return errors(windows.select(rows), {head: values[rows] for head, values in predictions.items()})

    measured = np.isfinite(windows.trajectory[:, -1])
    groups: dict[str, Scores] = {}
    for name, condition in conditions.items():
        own = set(condition.keys("test"))
        rows = np.array([key in own for key in windows.cells], dtype=np.bool_)[windows.cell]
        groups |= {group: of(mask) for group, mask in ((name, rows), (whole(name), rows & measured)) if mask.any()}
    cells = [{"dataset": dataset, "cell": cell, **of(windows.cell == index)}
             for index, (dataset, cell) in enumerate(windows.cells)]  # fmt: skip
    return Scored(groups, cells)
