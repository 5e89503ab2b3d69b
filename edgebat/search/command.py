"""``edgebat search``: a recipe's steps up to the teacher, the search, its tables, and the recipe of the best student."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgebat.bench.budget import MILLISECONDS, Limits, amount, limits_of, size
from edgebat.distill.gate import Gated
from edgebat.distill.hidden import States
from edgebat.distill.labels import KnownLabels, labels_of
from edgebat.distill.train import taught_parts, train_student
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
from edgebat.training.run import Run
from edgebat.workers import HERE, Machines


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line asks for. flash, ram: bytes, ``8k``; time: ``2ms``; empty: the target's own budget.
    machines: where students are trained and windows labelled."""

    target: str
    flash: str = ""
    ram: str = ""
    time: str = ""
    machines: Machines = HERE


def limits_asked(asked: Asked, board: Target) -> Limits:
    """The budget on the board. Raises TargetError."""
    if not board.bare_metal:
        raise TargetError(f"target {board.name} is a computer; a budget of flash and RAM needs a microcontroller")
    return limits_of(
        board,
        max_flash=size(asked.flash, "--flash"),
        max_ram=size(asked.ram, "--ram"),
        max_ms=amount(asked.time, MILLISECONDS, "--time"),
    )


def silent_on(pipeline: Pipeline, kept: Path) -> tuple[str, ...]:
    """The data sets on which the teacher is not heard (``distill.listen``): decided once for all candidates, by the recipe's
    first student, trained without teacher. kept: file of the answer; a cut-off training goes on beside it."""
    recipe = pipeline.recipe
    if recipe.distill.listen == "everywhere":
        return ()
    if not kept.is_file():
        first, train, val = recipe.students[0], pipeline.windows("train"), pipeline.windows("val")
        judge, _ = train_student(
            first.kind, recipe.of_task, train, val, None, recipe.distill, Run(kept.with_suffix("")),
            student_settings=first.settings,
        )  # fmt: skip
        atomic_write(kept, json.dumps(pipeline.lessons.silent_on(val, judge)) + "\n")
        shutil.rmtree(kept.with_suffix(""))
    return tuple(json.loads(kept.read_text(encoding="utf-8")))


def lessons_of(pipeline: Pipeline, seeds: Sequence[int], kept: Path, machines: Machines = HERE) -> Lessons:
    """What trials learn from, with the teacher's labels of everything that trainings with these seeds draw.

    Validation cells, by which candidates are compared, teach nobody here, whatever ``distill.learn_from_val`` says. kept:
    see ``silent_on``; machines: who labels.
    """
    recipe, train, val = pipeline.recipe, pipeline.windows("train"), pipeline.windows("val")
    if recipe.data.more.wanted:
        raise RecipeError("a search does not learn from data.more; leave it out, and give it to the recipe it finds")
    torch.set_num_threads(recipe.threads)
    teacher = Gated(pipeline.lessons.stored_teacher().teacher, silent_on(pipeline, kept))
    parts = []
    for seed in seeds:
        fit = dataclasses.replace(recipe.distill.fit, seed=seed)
        parts += taught_parts(train, dataclasses.replace(recipe.distill, fit=fit))
    ask = partial(labels_of, cache=pipeline.lessons.labels, fit=recipe.distill.fit, machines=machines)
    labels = ask(teacher, parts)
    if recipe.distill.hidden:
        labels = [own | state for own, state in zip(labels, ask(States(teacher), parts), strict=True)]
    if recipe.distill.trust_spread:
        parts, labels = [*parts, val], [*labels, *ask(teacher.teacher, [val])]
    origin = pipeline.provenance()
    meta = {"task": origin.pop("task"), "training": origin}
    known = KnownLabels(recipe.of_task.name, {p.digest(): own for p, own in zip(parts, labels, strict=True)})
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

    Raises RecipeError (nothing fits), TargetError (or an amount that is none), StepFailed, FolderBusy, MissingExtra.
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

        origin = training_origin(recipe, folder)
        silent = where / "silent" / f"{origin[:32]}.json"
        search = Search(
            recipe,
            plan,
            Prices(board, limits, where / "prices", price_origin(asked.target, board), bool(recipe.interval.coverage)),
            lambda seeds: lessons_of(pipeline, seeds, silent, asked.machines),
            where,
            origin,
            watch,
            before=sum(record.seconds for step in ("data", "teacher") if (record := folder.record(step))),
        )
        with asked.machines.workers(train_candidate) as hands:
            finalists = search.run(hands)
    best = finalists[0]
    results = where / "-".join(filter(None, [board.name, asked.flash, asked.ram, asked.time]))
    column = recipe.of_task.columns[0]
    table = markdown(search.trials, finalists, column, limits, search.cut)
    atomic_write(results / "table.md", table)
    pictures = draw(results, search.trials, finalists, column, limits)
    ended = sum(trial.trained.error is None for trial in search.trials)
    console.print(table, markup=False, soft_wrap=True, highlight=False)
    console.print(
        f"{search.asked} candidates priced, {len(search.trials)} within the budget trained, {ended} of them ended early; "
        + (f"{search.fresh} trainings in this run" if search.fresh else "all of it was done before (more: --trials)"),
        soft_wrap=True,
    )
    if plan.minutes:
        console.print(f"{search.clock.used / 60:.0f} of {plan.minutes:g} minutes, teacher and confirmation included")
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
