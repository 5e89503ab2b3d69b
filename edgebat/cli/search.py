"""``edgebat search``: the best student of a recipe's task for a budget."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console

from edgebat.cli import complete
from edgebat.cli.app import RECIPE, JsonOption, RecipeArgument, app
from edgebat.cli.options import expanded
from edgebat.cli.recipe import Pipeline, asked_corpus
from edgebat.errors import require


@dataclass(frozen=True)
class Budget:
    """The board, and what a student may take of it."""

    target: Annotated[
        str,
        typer.Option("--target", "-t", help="a microcontroller, see: edgebat targets", autocompletion=complete.targets),
    ]
    flash: Annotated[str, typer.Option("--flash", help="8k, or bytes; the board's budget when left out")] = ""
    ram: Annotated[str, typer.Option("--ram", help="1k, or bytes, stack included")] = ""
    time: Annotated[str, typer.Option("--time", help="of one inference: 2ms, 500us; needs a cycle model")] = ""


@dataclass(frozen=True)
class Effort:
    """How much is tried, and by whom."""

    trials: Annotated[int, typer.Option("--trials", min=1, help="students that are trained")] = 40
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="end in about so many, all in all; 0: all trials")
    ] = 0.0
    epochs: Annotated[
        int, typer.Option("--epochs", min=0, help="of a trial; finalists get the recipe's; 0: a third of these")
    ] = 0
    seed: Annotated[int, typer.Option("--seed", help="of what is tried; the same seed, the same result")] = 1
    finalists: Annotated[int, typer.Option("--finalists", min=1, help="best ones that are trained again")] = 3
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="trainings of each; the median counts")] = 3
    jobs: Annotated[
        int, typer.Option("--jobs", "--workers", "-j", min=0, help="trainings at a time; 0: one per core")
    ] = 0
    ray: Annotated[str, typer.Option("--ray", metavar="ADDRESS", help="train on a Ray cluster; local: start one")] = ""


@app.command(rich_help_panel=RECIPE)
@expanded
def search(
    budget: Budget, effort: Effort, pipeline: Pipeline, recipe: RecipeArgument, json_: JsonOption = False
) -> None:
    """The best student for a budget of flash, RAM and time: family, widths, depth, and what the recipe's task lets vary.

    What a student takes is known exactly before it is trained; those over the budget never are. Errors are of validation
    cells. Writes a table, pictures and a recipe with the best one into runs/<recipe>/search; started again, it goes on.

    [bold]Examples[/]

      edgebat search demo --target cortex-m0plus --flash 8k --ram 1k --time 2ms

      edgebat search health-tongji --corpus /data/cells -t cortex-m4f --flash 16k --minutes 25
    """
    from edgebat.runs.document import find_study

    find_study(recipe, pipeline.set_ or ())
    # Now rather than after a training: what every part of it needs.
    for module, extra in (("torch", "train"), ("optuna", "search"), ("unicorn", "sim")):
        require(module, extra)
    from edgebat.report.tables import show
    from edgebat.runs.document import find_recipe
    from edgebat.runs.recipe import load_recipe
    from edgebat.search.command import Asked, run_search
    from edgebat.search.study import Plan
    from edgebat.workers import Machines

    # A cluster's own cores count, not those of this machine.
    jobs = effort.jobs or (0 if effort.ray else os.cpu_count() or 1)
    asked = Asked(budget.target, budget.flash, budget.ram, budget.time, Machines(jobs, effort.ray))
    checked = load_recipe(recipe, pipeline.set_ or ())
    epochs = effort.epochs or math.ceil(checked.distill.fit.epochs / 3)
    plan = Plan(effort.trials, effort.minutes, epochs, effort.seed, effort.finalists, effort.seeds)
    corpus = asked_corpus(checked, pipeline.corpus)
    console = Console(stderr=json_, quiet=pipeline.quiet)
    best = run_search(checked, find_recipe(recipe), asked, plan, pipeline.runs, corpus, console)
    if json_:
        show(asdict(best), as_json=True)
