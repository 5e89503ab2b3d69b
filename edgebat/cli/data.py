"""``edgebat data``: the first step of a recipe; below it, cycler files to a corpus, its check, public sets, simulation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgebat.cli import complete
from edgebat.cli.app import RECIPE, DatasetOption, JsonOption, RecipeArgument, app
from edgebat.cli.options import WithDefault, expanded
from edgebat.cli.recipe import Pipeline, run_until

if TYPE_CHECKING:
    from edgebat.assemble.add import Progress

data_app = typer.Typer(
    cls=WithDefault,
    help="""Your own cycler files to a corpus (add, check), public data sets (fetch), simulated cells (simulate).

    [bold]edgebat data RECIPE ...[/] reads the cells of a recipe, cuts the windows and splits by cell.

    Example:  edgebat data add exports/ --out cells --nominal-ah 3.5 --name-pattern "{cell}_*"
    """,
)
app.add_typer(data_app, name="data", rich_help_panel=RECIPE)


@data_app.command("recipe")
@expanded
def of_recipe(recipe: RecipeArgument, pipeline: Pipeline, json_: JsonOption = False) -> None:
    """Read the cells, cut the windows, split by cell; prints what is in them.

    Example:  edgebat data health-tongji --corpus /data/cells
    """
    run_until("data", recipe, pipeline, json_)


@dataclass(frozen=True)
class Naming:
    """Which file is of which cell."""

    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="data set the cells belong to; OWN when left out")
    ] = None
    cells: Annotated[
        Path | None,
        typer.Option("--cells", metavar="TABLE.csv", help="columns file (name or pattern), cell_id, nominal_ah, ..."),
    ] = None
    name_pattern: Annotated[
        str | None,
        typer.Option("--name-pattern", metavar="PATTERN", help="where the cell stands in a file's name: '{cell}_*'"),
    ] = None
    order: Annotated[str | None, typer.Option("--order", help="of a cell's files: time (their clocks) or name")] = None


@dataclass(frozen=True)
class Facts:
    """What is known of the cells."""

    nominal_ah: Annotated[
        float | None, typer.Option("--nominal-ah", metavar="AH", help="nominal capacity of the data sheet")
    ] = None
    chemistry: Annotated[str | None, typer.Option("--chemistry", help="for example NMC/graphite")] = None
    temperature_degc: Annotated[
        float | None, typer.Option("--temperature", metavar="DEGC", help="the cells are aged at; else as measured")
    ] = None
    cycles: Annotated[
        str | None, typer.Option("--cycles", help="numbered by the rule of the device, or by the file's own number")
    ] = None


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    profile: Annotated[
        str | None, typer.Option("--profile", help="layout of the files: a shipped one's name or your YAML file")
    ] = None
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="answer to a question about the layout; repeatable"),
    ] = None
    skip: Annotated[list[str] | None, typer.Option("--skip", metavar="PATTERN", help="leave files out; repeatable")] = (
        None
    )
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="leave out what cannot be read")] = False


@data_app.command("add")
@expanded
def add_files(
    paths: Annotated[list[Path], typer.Argument(metavar="FILES|FOLDER", help="cycler files, or folders of them")],
    out: Annotated[Path, typer.Option("--out", metavar="CORPUS", help="folder of the corpus; made, or added to")],
    naming: Naming,
    facts: Facts,
    reading: Reading,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="read and judge, print, write nothing")] = False,
    json_: JsonOption = False,
) -> None:
    """From cycler files to a corpus that recipes learn from; again with more files, and it goes on.

    [bold]Examples[/]

      edgebat data add exports/ --out cells --nominal-ah 3.5 --name-pattern "{cell}_*" --dry-run

      edgebat data add exports/ --out cells --cells cells.csv    # file,cell_id,nominal_ah,chemistry

      edgebat data add today.xlsx --out cells    # as the last time
    """
    from edgebat.assemble.command import run_add

    given = {f.name: v for group in (naming, facts) for f in fields(group) if (v := getattr(group, f.name)) is not None}
    if reading.profile:
        given["profile"] = reading.profile
    if reading.set_:
        given["answers"] = _answers(reading.set_)
    given |= {"skip": tuple(reading.skip or ()), "skip_unreadable": reading.skip_unreadable}
    with _progress(quiet=json_) as progress:
        lines, code = run_add(paths, out, given, progress, dry_run=dry_run, as_json=json_)
    print(lines)
    if code:
        raise typer.Exit(code)


@data_app.command("check")
def check(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="folder with cells.csv, capacity.parquet, segments/")
    ],
    json_: JsonOption = False,
) -> None:
    """Every fault of a corpus: file, cell, what is seen, what is allowed, what to do. Exit code 2 when there is one.

    Example:  edgebat data check cells
    """
    from edgebat.assemble.command import run_check

    text, code = run_check(corpus, json_)
    print(text)
    if code:
        raise typer.Exit(code)


@data_app.command("fetch")
def fetch_set(
    name: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]",
            help="a public data set; a list of them when left out",
            autocompletion=complete.public_sets,
        ),
    ] = "",
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="where files go; else public/NAME")] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS|FOLDER", help="take the files from here: a mirror, a copy")
    ] = None,
    sha256: Annotated[
        list[str] | None, typer.Option("--sha256", metavar="[FILE=]HEX", help="what a file must have; repeatable")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="licence and source are fine: load")] = False,
    registry: Annotated[
        Path | None, typer.Option("--registry", metavar="FILE", help="YAML of data sets instead of the shipped one")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """A public data set: shows licence, citation, checksums and source; loads it with --yes.

    A file whose checksum nobody publishes is pinned: the sha256 that the first fetch found is the one allowed from then on.

    [bold]Examples[/]

      edgebat data fetch    # which there are

      edgebat data fetch calce-cs2 --yes

      edgebat data fetch tongji --from ~/Downloads/tongji --yes
    """
    from edgebat.assemble.fetch import fetch, fetched_text, given_checksums, pinned, sets_text
    from edgebat.assemble.public_sets import find_set

    if not name:
        print(sets_text(registry, json_))
        return
    chosen = find_set(name, registry)
    folder = to or Path("public") / name
    checksums = given_checksums(sha256 or (), chosen)
    print(chosen.described(origin or "", pinned(folder)), file=sys.stderr if json_ else sys.stdout)
    if not yes:
        print(
            "nothing is loaded yet: say --yes when licence and source are fine",
            file=sys.stderr if json_ else sys.stdout,
        )
        raise typer.Exit(2)
    with _progress(quiet=json_) as progress:
        found = fetch(chosen, folder, origin, progress, checksums)
    print(fetched_text(chosen, folder, found, json_))


@dataclass(frozen=True)
class Conditions:
    """What is simulated; what is left out is as ``physics.settings.FleetSettings`` has it."""

    cells: Annotated[int | None, typer.Option("--cells", metavar="N", help="conditions are given in turn; 60")] = None
    cycles: Annotated[
        int | None, typer.Option("--cycles", metavar="N", help="of a cell, or to 70 % of nominal; 400")
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", metavar="S", help="of the cells' differences; 0")] = None
    chemistry: Annotated[
        str | None, typer.Option("--chemistry", metavar="NAME,...", help="NMC, NMC811, NCA, LCO, LFP; all")
    ] = None
    rates: Annotated[str | None, typer.Option("--rates", metavar="C,...", help="charging; 0.25,0.5,1")] = None
    temperatures: Annotated[str | None, typer.Option("--temperatures", metavar="DEGC,...", help="15,25,35,45")] = None
    stride: Annotated[
        int | None, typer.Option("--stride", metavar="N", help="simulate every N-th cycle; 1 is slow and exact; 10")
    ] = None
    model: Annotated[str | None, typer.Option("--model", help="PyBaMM's SPM, or SPMe, which is slower")] = None


@data_app.command("simulate")
@expanded
def simulate(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="folder of the corpus; made, or gone on with")],
    conditions: Conditions,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="cells at the same time")] = 1,
    json_: JsonOption = False,
) -> None:
    """A corpus of simulated cells (PyBaMM: SEI, plating, loss of active material); again, and it goes on.

    They are no measurements: for rates and temperatures that nobody measured, and for trying things out.

    [bold]Examples[/]

      edgebat data simulate --out simulated --jobs 2

      edgebat data simulate --out cold --cells 12 --chemistry NCA --rates 0.1,0.5 --temperatures 0,10
    """
    from edgebat.physics.command import given_settings, run_simulate
    from edgebat.physics.fleet import installed_version

    installed_version()  # what is missing is named before a bar is drawn
    given = {f.name: v for f in fields(conditions) if (v := getattr(conditions, f.name)) is not None}
    settings = given_settings(given)
    with _progress(quiet=json_) as progress:
        text = run_simulate(out, settings, jobs, progress, json_)
    print(text)


@app.command("init", rich_help_panel=RECIPE)
def init(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="file to write")],
    corpus: Annotated[
        Path, typer.Option("--corpus", metavar="PATH", envvar="EDGEBAT_CORPUS", help="folder of measured cells")
    ],
    task: Annotated[
        str, typer.Option("--task", help="health, forecast or life", autocompletion=complete.tasks)
    ] = "health",
    dataset: DatasetOption = None,
    force: Annotated[bool, typer.Option("--force", help="write over a file that is there")] = False,
) -> None:
    """A recipe for your corpus: task, voltage window, split and students, with comments; edgebat run takes it as it is.

    Example:  edgebat init my.yaml --corpus cells
    """
    from edgebat.assemble.propose import propose_recipe
    from edgebat.errors import RecipeError
    from edgebat.files import atomic_write
    from edgebat.runs.recipe import check_recipe

    if recipe.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"{recipe} does not end in .yaml; a recipe is a YAML file, for example my.yaml")
    if recipe.exists() and not force:
        raise RecipeError(f"{recipe} is there already; choose another name, or write over it with --force")
    text = propose_recipe(corpus, recipe, task, dataset or ())
    import yaml

    check_recipe(yaml.safe_load(text), str(recipe))
    atomic_write(recipe, text)
    print("".join(line.removeprefix("# ") + "\n" for line in text.splitlines() if line.startswith("# ")), end="")


def _answers(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (key, equals, _) in zip(given, pairs, strict=True) if not (key and equals)]
    if wrong:
        raise typer.BadParameter(f"--set {wrong[0]!r} is not of the form key=value, for example current_unit=mA")
    return {key.strip(): value.strip() for key, _, value in pairs}


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal, some lines elsewhere; on standard error, so that what is printed can be piped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, quiet=quiet)
    bar = Bar(TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), console=console,
              transient=True)  # fmt: skip
    state: dict[str, Any] = {"task": None}

    def show(what: str, done: int, total: int) -> None:
        if console.is_terminal:
            if state["task"] is None:
                state["task"] = bar.add_task(what, total=total)
            bar.update(state["task"], description=what[-40:], completed=done, total=total)
        elif total and done % max(total // 10, 1) == 0:
            console.print(f"{done}/{total} {what}", markup=False)

    with bar:
        yield show
