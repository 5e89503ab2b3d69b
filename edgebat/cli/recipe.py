"""The verbs that take a recipe: the whole pipeline, and its parts."""

from __future__ import annotations

import contextlib
import io
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edgebat.cli import complete
from edgebat.cli.app import (
    HELP,
    RECIPE,
    CorpusOption,
    JsonOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    SetOption,
    app,
)
from edgebat.cli.options import expanded
from edgebat.errors import RecipeError, require
from edgebat.files import Json
from edgebat.paths import default_corpus, shipped

if TYPE_CHECKING:
    from edgebat.runs.recipe import Recipe
    from edgebat.workers import Machines


@dataclass(frozen=True)
class Again:
    """Which parts of a recipe are done."""

    force: Annotated[
        list[str] | None, typer.Option("--force", metavar="STEP", help="do this step again, e.g. teacher; repeatable")
    ] = None
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PART", help="of a study: this fold, variant or transfer; repeatable"),
    ] = None


@dataclass(frozen=True)
class Pipeline:
    """What a recipe needs."""

    corpus: CorpusOption = None
    set_: SetOption = None
    runs: OutOption = Path("runs")
    quiet: QuietOption = False


@dataclass(frozen=True)
class Where:
    """Who works besides this process; what comes out is the same."""

    workers: Annotated[
        int, typer.Option("--workers", min=0, help="jobs at a time; 0: with --ray one per core, else one")
    ] = 0
    ray: Annotated[str, typer.Option("--ray", metavar="ADDRESS", help="a Ray cluster; local: start one")] = ""

    def machines(self) -> Machines:
        """The same as a value."""
        from edgebat.workers import Machines

        return Machines(self.workers if self.ray else max(self.workers, 1), self.ray)


def is_recipe(name: str) -> bool:
    """Whether the argument MODEL|RECIPE is a recipe: a YAML file or a name, but never a model's file, there or not."""
    path = Path(name)
    if shipped(path).suffix in (".ebat", ".tflite", ".onnx"):
        return False
    return path.suffix in (".yaml", ".yml") or not path.is_file()


def run_until(
    until: str,
    recipe: str,
    pipeline: Pipeline,
    json_: bool = False,
    again: Again = Again(),
    where: Where = Where(),
) -> None:
    """The pipeline up to the step ``until``, or the study when the recipe is one. json_: prints results as JSON, and where
    it is on standard error. where: its teachers label. Raises what they raise."""
    from edgebat.runs.document import find_recipe, find_study

    # Before anything that takes seconds to import: a recipe that is none is seen at once.
    corpus, overrides, runs = pipeline.corpus, pipeline.set_ or (), pipeline.runs
    study = find_study(recipe, overrides)
    # Now rather than after a training: what the last step needs.
    require("torch", extra="train")
    from edgebat.report.tables import show
    from edgebat.runs.recipe import load_recipe
    from edgebat.runs.run import results_json, run_recipe

    if study is not None and until in ("report", "teacher"):
        if again.force:
            raise RecipeError(
                f"--force repeats steps of a pipeline; {recipe} is a study: delete what is to be done again"
            )
        _run_study(study, pipeline, again.only or (), json_)
        return
    if again.only:
        raise RecipeError(f"--only picks parts of a study; {recipe} is none")
    if until in ("export", "verify", "simulate", "report"):
        require("onnx", extra="onnx")
    if until == "report":
        require("jinja2", extra="report")
    checked = load_recipe(recipe, overrides)
    corpus = asked_corpus(checked, corpus)
    console = Console(stderr=json_, quiet=pipeline.quiet)
    file, force = find_recipe(recipe), again.force or ()
    folder = run_recipe(checked, runs, corpus, until, force, console, file, not json_, where.machines())
    if json_:
        show(results_json(folder, until), as_json=True)


def _run_study(study: Json, pipeline: Pipeline, only: Sequence[str], json_: bool) -> None:
    """A study; what it prints goes to standard error when its results go to other programs, or nowhere."""
    from edgebat.lock import only_one
    from edgebat.report.tables import show
    from edgebat.studies.command import results_json, run_study

    with contextlib.ExitStack() as stack:
        # What is no corpus is refused, and leaves nothing behind.
        if pipeline.corpus is not None and (pipeline.corpus / "cells.csv").is_file():
            stack.enter_context(only_one(pipeline.runs / str(study.get("name"))))
        if pipeline.quiet:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        elif json_:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        folder = run_study(study, pipeline.corpus, pipeline.runs, only)
    if json_:
        show(results_json(folder), as_json=True)


def asked_corpus(recipe: Recipe, corpus: Path | None) -> Path | None:
    """``corpus``, or None where it is only what EDGEBAT_CORPUS says and the recipe simulates its cells."""
    # A variable that is set once and for all asks for nothing in particular; an option does.
    if recipe.data.source == "synthetic" and corpus is not None and corpus == default_corpus():
        print(f"EDGEBAT_CORPUS is not used: recipe {recipe.name} simulates its cells", file=sys.stderr)
        return None
    return corpus


@app.command(rich_help_panel=RECIPE)
@expanded
def run(
    recipe: RecipeArgument,
    pipeline: Pipeline,
    again: Again,
    where: Where,
    json_: JsonOption = False,
) -> None:
    """The whole pipeline: data, teacher, students, int8, TFLite, ONNX, C, equality, simulators, card, report.

    [bold]Examples[/]

      edgebat run demo

      edgebat run health-tongji --corpus /data/cells

      edgebat run life-batlinet --corpus /data/cells    # a study of one teacher: no device at the end

      edgebat run forecast-universal --corpus /data/cells --only MATR

      edgebat run my.yaml --set teacher.fit.epochs=5 --set data.split.seed=2

      edgebat run life-students --corpus /data/cells --workers 4    # the teacher labels in four processes
    """
    run_until("report", recipe, pipeline, json_, again, where)


@app.command(rich_help_panel=RECIPE)
@expanded
def evidence(
    pipeline: Pipeline,
    where: Where,
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE...", help="YAML files, or shipped recipes with students", autocompletion=complete.recipes
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="every shipped recipe with students")] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="trainings of every student and variant")] = 5,
    json_: JsonOption = False,
) -> None:
    """Does the teacher pay? Students taught, untaught and on measured cells alone, several seeds, paired by cell.

    Of several recipes also one table of task, student and variant, RUNS/evidence.md; called again, it goes on.

    Examples:

      edgebat evidence forecast-students --corpus /data/cells --seeds 5 --workers 2

      edgebat evidence --all --corpus /data/cells
    """
    from edgebat.runs.document import find_study

    if bool(recipes) == all_:
        raise RecipeError("give one or more recipes, or --all for every shipped one with students")
    for recipe in recipes or ():
        find_study(recipe, pipeline.set_ or ())
    require("torch", extra="train")
    from edgebat.report.tables import show
    from edgebat.runs.evidence import comparable, evidence_of_all, table_of

    console = Console(stderr=json_, quiet=pipeline.quiet)
    names = recipes or comparable(pipeline.corpus is not None)
    found = evidence_of_all(
        names, pipeline.set_ or (), seeds, pipeline.corpus, pipeline.runs, console, where.machines()
    )
    if json_:
        each = [one.to_json() for one in found]
        show(each if len(found) > 1 else each[0], as_json=True)
    elif not pipeline.quiet:
        print(table_of(found) if len(found) > 1 else found[0].markdown(), end="")


def verb_until(verb: str, until: str, text: str) -> None:
    """The verb that goes as far as the step ``until``; ``text`` is its help."""

    @expanded
    def go(recipe: RecipeArgument, pipeline: Pipeline, json_: JsonOption = False) -> None:
        run_until(until, recipe, pipeline, json_)

    app.command(verb, help=text, rich_help_panel=RECIPE)(go)


verb_until(
    "train",
    "teacher",
    "Train the teacher (and everything before it that is missing).\n\n"
    "Example:  edgebat train demo --set teacher.fit.epochs=50",
)
verb_until(
    "distill",
    "students",
    "Train the students, each with the teacher and without it, and the baselines beside them.\n\n"
    "Example:  edgebat distill demo --set distill.fit.epochs=20",
)
verb_until(
    "report",
    "report",
    "Write card.json and report.html of a run (and do what is missing before them).\n\nExample:  edgebat report demo",
)


@app.command(rich_help_panel=HELP)
def settings(
    section: Annotated[
        str,
        typer.Argument(
            metavar="[SECTION]",
            help="a section or a key, e.g. distill.fit; all when left out",
            autocompletion=complete.sections,
        ),
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="print docs/settings.md")] = False,
    json_: JsonOption = False,
) -> None:
    """Every key of a recipe: type, default and what it does.

    Example:  edgebat settings distill.fit
    """
    from edgebat.runs.settings import as_markdown, find_sections

    if markdown:
        print(as_markdown(), end="")
        return
    sections = find_sections(section)
    if json_:
        from edgebat.report.tables import show

        show([found.to_json() for found in sections], as_json=True)
        return
    for found in sections:
        heading = found.name or "at the top"
        print(f"{heading}: {found.text}")
        for key in found.keys:
            print(f"  {key.name}: {key.default or 'must be given'}    ({key.kind.replace('`', '')})")
            print(textwrap.fill(key.text, 110, initial_indent="      ", subsequent_indent="      "))
        print()
