"""Run the steps of a recipe, show where it is, and print what came out."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgebat.errors import RecipeError
from edgebat.files import atomic_write
from edgebat.report.results import Card, DataResult
from edgebat.report.tables import accuracy_table, cells_table, equality_table, targets_table
from edgebat.runs.folder import RunFolder, versions
from edgebat.runs.owner import claim, only_one
from edgebat.runs.plan import plan
from edgebat.runs.recipe import Recipe, dump_recipe
from edgebat.runs.steps import Pipeline
from edgebat.tasks.base import task

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet


def run_recipe(
    recipe: Recipe,
    runs: Path = Path("runs"),
    corpus: Path | Fleet | None = None,
    until: str = "report",
    force: Sequence[str] = (),
    console: Console | None = None,
    file: Path | None = None,
) -> Path:
    """Run the steps up to the stage ``until`` and print where it is; returns the run folder.

    Finished steps are skipped; ``force`` names steps to do again. file: where the recipe was read from; a folder of
    another file's is refused (None: not checked). Raises StepFailed, RecipeError, DataError, FolderBusy.
    """
    console = console or Console()
    # Lightning announces devices and tips that do not concern a user of edgebat.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    folder = RunFolder(runs / recipe.name)
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
        console=console,
        transient=True,
    )
    pipeline = Pipeline(recipe, folder, corpus, progress)
    steps = plan(pipeline)
    unknown = sorted(set(force) - {step.name for step in steps})
    if unknown:
        raise RecipeError(f"--force {', '.join(unknown)}: the steps are {', '.join(step.name for step in steps)}")
    console.print(f"[bold]{recipe.title or recipe.name}[/]  [dim]{folder.path}[/]")
    with only_one(folder.path):
        if file is not None:
            claim(folder.path, file)
        atomic_write(folder.file("config.yaml"), dump_recipe(recipe))
        folder.write_json("versions.json", versions())
        with progress:
            for step in steps[: 1 + max(i for i, s in enumerate(steps) if s.stage == until)]:
                if step.name not in force and folder.finished(step):
                    console.print(f"  [dim]= {step.title}  (kept)[/]")
                    continue
                pipeline.bar = progress.add_task(step.title, total=None, detail="")
                record = folder.run(step)
                progress.remove_task(pipeline.bar)
                console.print(f"  [green]✓[/] {step.title}  [dim]{record.seconds:.1f} s[/]")
    _print_results(folder, until, console)
    return folder.path


def _print_results(folder: RunFolder, until: str, console: Console) -> None:
    """The tables of the stage that was asked for; all of them at the end."""
    data: DataResult = folder.results("data")
    kind = "[yellow]synthetic data[/]" if data["synthetic"] else "measured cells"
    if until == "data":
        console.print(
            cells_table(data["conditions"], f"{data['source']} ({'synthetic' if data['synthetic'] else 'measured'})")
        )
        return
    if until == "export":
        for why in folder.results("export")["without_bms"].values():
            console.print(why, markup=False, soft_wrap=True)
    if until == "verify":
        console.print(equality_table(folder.results("verify")["rows"]))
    if until == "simulate":
        console.print(targets_table(folder.results("simulate")["rows"]))
    if until != "report":
        return
    card: Card = json.loads(folder.file("card.json").read_text(encoding="utf-8"))
    title = f"Accuracy on {card['data']['cells']['test']} held-out cells, {kind}"
    console.print()
    console.print(accuracy_table(card["accuracy"], task(card["task"]["name"]), title))
    console.print("Did the teacher help?", *card["taught_or_not"], sep="\n  ")
    console.print()
    console.print(equality_table(card["equality"]))
    console.print()
    console.print(targets_table(card["targets"]))
    console.print()
    for what, name in (("models", "models"), ("card", "card.json"), ("report", "report.html")):
        console.print(f"{what:<7} [bold]{folder.path / name}[/]", soft_wrap=True)
