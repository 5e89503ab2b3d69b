"""``edgebat search``: a recipe's steps up to the teacher, the search, its tables, and the recipe of the best student."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgebat.bench.budget import Limits, limits_of
from edgebat.distill.labels import KnownLabels, teacher_labels
from edgebat.distill.train import taught_parts
from edgebat.errors import RecipeError, TargetError
from edgebat.files import atomic_write, sha256_bytes
from edgebat.lock import only_one
from edgebat.runs.closure import digest
from edgebat.runs.folder import RunFolder
from edgebat.runs.origin import target_digest
from edgebat.runs.recipe import Recipe, dump_recipe
from edgebat.runs.run import run_recipe
from edgebat.runs.steps import Pipeline
from edgebat.search.cost import Prices
from edgebat.search.report import draw, markdown
from edgebat.search.study import Finalist, Plan, Search, within
from edgebat.search.trial import Lessons, train_candidate
from edgebat.simulate.targets import Target, load_target
from edgebat.simulate.toolchain import find_compiler
from edgebat.students.store import student_kinds
from edgebat.workers import workers

BYTES = {"": 1, "k": 1024, "m": 1024**2}
MILLISECONDS = {"us": 1e-3, "ms": 1, "s": 1e3}


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line asks for. flash, ram: bytes, ``8k``; time: ``2ms``; empty: the target's own budget.
    jobs: processes; ray: ``local`` or the address of a cluster."""

    target: str
    flash: str = ""
    ram: str = ""
    time: str = ""
    jobs: int = 1
    ray: str = ""


def amount(text: str, units: Mapping[str, float], option: str) -> float | None:
    """``8k`` in bytes or ``2ms`` in milliseconds; None for an empty text. Raises RecipeError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in units or not float(found[1]):
        shown = ", ".join(f"2{unit}" for unit in units)
        raise RecipeError(f"{option} {text!r} is no amount; give one such as {shown}")
    return float(found[1]) * units[found[2]]


def limits_asked(asked: Asked, board: Target) -> Limits:
    """The budget on the board. Raises RecipeError, TargetError."""
    if not board.bare_metal:
        raise TargetError(f"target {board.name} is a computer; a budget of flash and RAM needs a microcontroller")
    flash, ram = amount(asked.flash, BYTES, "--flash"), amount(asked.ram, BYTES, "--ram")
    return limits_of(
        board,
        max_flash=None if flash is None else int(flash),
        max_ram=None if ram is None else int(ram),
        max_ms=amount(asked.time, MILLISECONDS, "--time"),
    )


def lessons_of(pipeline: Pipeline, seeds: Sequence[int]) -> Lessons:
    """What trials learn from, with the teacher's labels of everything that trainings with these seeds draw."""
    recipe, train, val = pipeline.recipe, pipeline.windows("train"), pipeline.windows("val")
    if recipe.data.more.wanted:
        raise RecipeError(
            "a search does not learn from data.more; leave it out, and give it to the recipe that is found"
        )
    teacher, cache = pipeline.stored_teacher().teacher, pipeline.folder.path / "checkpoints" / "labels"
    hidden = recipe.distill.hidden > 0
    labels = {val.digest(): teacher_labels(teacher, val, cache)} if recipe.distill.trust_spread else {}
    for seed in seeds:
        fit = dataclasses.replace(recipe.distill.fit, seed=seed)
        for part in taught_parts(train, dataclasses.replace(recipe.distill, fit=fit)):
            labels[part.digest()] = teacher_labels(teacher, part, cache, hidden)
    origin = pipeline.provenance()
    meta = {"task": origin.pop("task"), "training": origin}
    known = KnownLabels(recipe.of_task.name, labels)
    return Lessons(recipe.of_task.name, train, val, known, recipe.distill, recipe.quantize, meta, recipe.threads)


def run_search(
    recipe: Recipe,
    file: Path,
    asked: Asked,
    plan: Plan,
    runs: Path = Path("runs"),
    corpus: Path | None = None,
    console: Console | None = None,
) -> Finalist:
    """Search, print, write ``runs/<recipe>/search/<target and budget>/``; returns the best student within the budget.
    file: where the recipe was read from.

    Raises RecipeError (nothing fits, an amount that is none), TargetError, StepFailed, FolderBusy, MissingExtra.
    """
    console = console or Console()
    board = load_target(asked.target)
    limits = limits_asked(asked, board)
    run_recipe(recipe, runs=runs, corpus=corpus, until="teacher", console=console, file=file)
    folder = RunFolder(runs / recipe.name)
    pipeline = Pipeline(recipe, folder, corpus)
    where = folder.path / "search"
    with only_one(folder.path), Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        bar, shown = progress.add_task("search", total=plan.trials), 0

        def watch(text: str, done: int, of: int) -> None:
            nonlocal shown
            progress.update(bar, description=text[:70], completed=done, total=of)
            if done != shown and not console.is_terminal:  # a log has no bar
                console.print(f"  {done} of {of}: {text}", markup=False, highlight=False, soft_wrap=True)
            shown = done

        search = Search(
            recipe,
            plan,
            Prices(board, limits, where / "prices", price_origin(asked.target, board)),
            lambda seeds: lessons_of(pipeline, seeds),
            where,
            training_origin(recipe, folder),
            watch,
        )
        with workers(train_candidate, asked.jobs, asked.ray) as hands:
            finalists = search.run(hands)
    best = finalists[0]
    results = where / "-".join(filter(None, [board.name, asked.flash, asked.ram, asked.time]))
    column = recipe.of_task.columns[0]
    table = markdown(search.trials, finalists, column, limits)
    atomic_write(results / "table.md", table)
    pictures = draw(results, search.trials, finalists, column)
    ended = sum(trial.trained.error is None for trial in search.trials)
    console.print(table, markup=False, soft_wrap=True, highlight=False)
    console.print(
        f"{search.asked} candidates priced, {len(search.trials)} within the budget trained, {ended} of them ended early; "
        + (f"{search.fresh} trainings in this run" if search.fresh else "all of it was done before (more: --trials)"),
        soft_wrap=True,
    )
    if not within(best, limits):
        raise RecipeError(f"no trained student is within the budget ({limits}); see {results / 'table.md'}")
    written = results / "best.yaml"
    name = f"{recipe.name}-{results.name}".replace(".", "_").lower()
    atomic_write(written, dump_recipe(best.candidate.recipe(recipe, name)))
    for path in (results / "table.md", *pictures):
        console.print(f"written [bold]{path}[/]", soft_wrap=True)
    more = f" --corpus {shlex.quote(str(corpus))}" if recipe.data.source == "corpus" else ""
    console.print(f"run it  [bold]edgebat run {shlex.quote(str(written))}{more}[/]", soft_wrap=True)
    return best


def price_origin(target: str, board: Target) -> str:
    """Digest of what decides a price besides the architecture."""
    code = digest(("edgebat.search.cost:Prices", *(f"edgebat.students.{kind}" for kind in student_kinds())))
    return sha256_bytes(json.dumps([target_digest(target), find_compiler(board).version, code]).encode())


def training_origin(recipe: Recipe, folder: RunFolder) -> str:
    """Digest of what decides a trained student besides candidate and seed."""
    entries = (
        "edgebat.search.trial:train_candidate",
        f"edgebat.tasks.{recipe.of_task.name}.task",
        *(f"edgebat.students.{kind}" for kind in student_kinds()),
    )
    records = [folder.record(step) for step in ("data", "teacher")]
    outputs = [record and record.outputs for record in records]
    settings = [dataclasses.asdict(recipe.distill), dataclasses.asdict(recipe.quantize), recipe.threads]
    return sha256_bytes(json.dumps([digest(entries), outputs, settings], sort_keys=True, default=str).encode())
