"""Run the steps of a recipe, show where it is, and print what came out."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from edgebat.errors import RecipeError
from edgebat.files import Json, atomic_write
from edgebat.lock import only_one
from edgebat.report.results import Card, DataResult
from edgebat.report.tables import accuracy_table, cells_table, equality_table, show, targets_table
from edgebat.runs.folder import RunFolder, versions
from edgebat.runs.owner import claim
from edgebat.runs.plan import plan
from edgebat.runs.progress import StepProgress
from edgebat.runs.recipe import Recipe, dump_recipe
from edgebat.runs.steps import Pipeline
from edgebat.tasks.base import task
from edgebat.workers import HERE, Machines

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
    tables: bool = True,
    machines: Machines = HERE,
) -> Path:
    """Run the steps up to the stage ``until``, print where it is and what came out; returns the run folder.

    Finished steps are skipped; ``force`` names steps to do again. file: where the recipe was read from; a folder of
    another file's is refused (None: not checked). tables: False prints where it is alone. machines: where teachers label.
    Raises StepFailed, RecipeError, DataError, FolderBusy.
    """
    console = console or Console()
    # Lightning announces devices and tips that do not concern a user of edgebat.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    folder = RunFolder(runs / recipe.name)
    progress = StepProgress(console)
    pipeline = Pipeline(recipe, folder, corpus, progress, machines)
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
                    progress.kept(step.title)
                    continue
                progress.start(step.title)
                progress.done(step.title, folder.run(step).seconds)
    if tables:
        _print_results(folder, until, console)
    return folder.path


def results_json(folder: Path, until: str) -> Json:
    """What a run up to the stage ``until`` came to, for other programs: the card at the end, else results by step."""
    if until == "report":
        return dict(json.loads((folder / "card.json").read_text(encoding="utf-8")))
    stage = ("baselines", "student-*") if until == "students" else (until,)
    records = sorted(path for name in stage for path in (folder / "steps").glob(f"{name}.json"))
    found = {path.stem: json.loads(path.read_text(encoding="utf-8"))["results"] for path in records}
    return {"folder": str(folder), "stage": until, "results": found}


def _print_results(folder: RunFolder, until: str, console: Console) -> None:
    """The tables of the stage that was asked for; all of them at the end."""
    data: DataResult = folder.results("data")
    for note in data["corpus_notes"] if until in ("data", "report") else ():
        console.print(note, style="dim", markup=False, soft_wrap=True)
    kind = "[yellow]synthetic data[/]" if data["synthetic"] else "measured cells"
    if until == "data":
        title = f"{data['source']} ({'synthetic' if data['synthetic'] else 'measured'})"
        show(cells_table(data["conditions"], title), console=console)
        return
    if until == "export":
        for why in folder.results("export")["without_bms"].values():
            console.print(why, markup=False, soft_wrap=True)
    if until == "verify":
        show(equality_table(folder.results("verify")["rows"]), console=console)
    if until == "simulate":
        show(targets_table(folder.results("simulate")["rows"]), console=console)
    if until != "report":
        return
    card: Card = json.loads(folder.file("card.json").read_text(encoding="utf-8"))
    title = f"Accuracy on {card['data']['cells']['test']} held-out cells, {kind}"
    console.print()
    show(accuracy_table(card["accuracy"], task(card["task"]["name"]), title), console=console)
    console.print("Did the teacher help?", *card["taught_or_not"], sep="\n  ", markup=False, highlight=False)
    # The card may be moved, so it does not name the folder; who reads this knows where it lies.
    taken = card["which_to_take"].replace("RUN_FOLDER", shlex.quote(str(folder.path)))
    console.print("Which to take?", taken, sep="\n  ", markup=False, highlight=False)
    console.print()
    show(equality_table(card["equality"]), console=console)
    console.print()
    show(targets_table(card["targets"]), console=console)
    console.print()
    for what, name in (("models", "models"), ("card", "card.json"), ("report", "report.html")):
        console.print(f"{what:<7} [bold]{folder.path / name}[/]", soft_wrap=True)
    model = folder.path / "models" / f"{card['best_student'].removesuffix('_int8')}.ebat"
    words = f"next    edgebat info {shlex.quote(str(model))} says what it knows, and which commands take it"
    console.print(words, markup=False, highlight=False, soft_wrap=True)
