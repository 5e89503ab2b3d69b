"""``edgebat zoo``: ready students and trained teachers; list, get, add."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebat.cli import complete
from edgebat.cli.app import MODEL, CorpusOption, JsonOption, NominalOption, PortOption, app

zoo_app = typer.Typer(
    no_args_is_help=True,
    help="""Ready students to use at once, and trained teachers where they are installed. list and get need NumPy alone.

    Example:  edgebat zoo list

    Example:  edgebat zoo get health-lstm-small --port generic
    """,
)
app.add_typer(zoo_app, name="zoo", rich_help_panel=MODEL)


@zoo_app.command("list")
def list_(json_: JsonOption = False) -> None:
    """What there is: task, family, weights, size of the file, error on held-out cells, and what it has learnt from.

    Example:  edgebat zoo list
    """
    from edgebat.zoo.command import list_text

    print(list_text(json_))


@zoo_app.command()
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="as edgebat zoo list has it", autocompletion=complete.zoo)
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="where the files go")] = None,
    port: PortOption = None,
    nominal_mah: NominalOption = None,
) -> None:
    """Copy a model with its card and golden vectors, checked by sha256; or write a student as C for a firmware.

    [bold]Examples[/]

      edgebat zoo get health-lstm-small --out soh

      edgebat zoo get health-lstm-small --port generic --nominal-mah 3500

      edgebat zoo get ic2ml/tongji
    """
    from edgebat.zoo.command import Wanted

    print(Wanted(name, out, port, nominal_mah).get())


@zoo_app.command()
def add(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a finished run")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="its student: lstm, or lstm_alone without the teacher")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the entry, as health-lstm-small")],
    corpus: CorpusOption = None,
    zoo: Annotated[
        Path | None, typer.Option("--zoo", metavar="FOLDER", help="where entries lie, instead of edgebat's own zoo")
    ] = None,
) -> None:
    """Make a student of a finished run an entry: files, golden vectors, and a card with the run's own figures.

    Example:  edgebat zoo add runs/zoo-health-small lstm health-lstm-small --corpus PATH
    """
    from edgebat.zoo.add import add

    print(add(run, model, name, corpus, zoo))
