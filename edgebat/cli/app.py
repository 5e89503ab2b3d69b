"""The command line's frame: the application, and the options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebat.cli import complete

app = typer.Typer(
    name="edgebat",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Distil big battery-ageing models into tiny int8 students and put them, bit for bit, into a BMS.\n\n"
    "[bold]Start:[/]  edgebat run demo    [dim]# the whole pipeline on a synthetic fleet, five minutes on two cores[/]",
    epilog="A recipe is a YAML file or the name of a shipped one (demo, health-tongji, forecast-students, ...). "
    "Every step of a run is kept; running again goes on where it stopped.",
)

RECIPE = "Recipe"
MODEL = "Model files"
HELP = "Help"

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="YAML file, or a shipped recipe: demo, health-tongji, forecast-students, ...",
        autocompletion=complete.recipes,
    ),
]
CorpusOption = Annotated[
    Path | None,
    typer.Option("--corpus", metavar="PATH", envvar="EDGEBAT_CORPUS", help="folder of measured cells (cells.csv, ...)"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="change one value of the recipe (all of them: edgebat settings), e.g. teacher.fit.epochs=5; repeatable",
    ),
]
OutOption = Annotated[
    Path, typer.Option("--runs", metavar="FOLDER", help="where run folders are made: FOLDER/<recipe name>")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="print nothing but errors (and, with --json, what came out)")
]
PortOption = Annotated[
    str | None,
    typer.Option(
        "--port",
        metavar="NAME",
        help="instead: a folder for a firmware (edgebat export --port list)",
        autocompletion=complete.ports,
    ),
]
NominalOption = Annotated[int | None, typer.Option("--nominal-mah", metavar="MAH", help="--port: capacity of the cell")]
RoundingOption = Annotated[
    str,
    typer.Option(
        "--rounding",
        metavar="NAME",
        help="of a file that another tool wrote: tflm, xnnpack or onnxruntime, whose integers",
    ),
]
DatasetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="only this data set of the corpus; all when left out; repeatable",
        autocompletion=complete.datasets,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for other programs instead of a table")]


def plain(text: str) -> str:
    """Text in which nothing is Rich's markup."""
    return text.replace("[", r"\[")
