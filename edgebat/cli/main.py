"""The command line: one thin function per verb. What a verb does lives in the module it calls.

Heavy modules are imported inside the functions, so that ``edgebat --help`` answers at once. Verbs that take a recipe are
in ``cli.recipe``, those that take a model file in ``cli.model`` and ``cli.bench``.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from edgebat import __version__
from edgebat.cli import bench as cli_bench
from edgebat.cli import data as cli_data
from edgebat.cli import model as cli_model
from edgebat.cli import recipe as cli_recipe
from edgebat.cli import search as cli_search
from edgebat.cli import zoo as cli_zoo
from edgebat.cli.app import HELP, JsonOption, app, plain
from edgebat.errors import EdgebatError

__all__ = ["cli_bench", "cli_data", "cli_model", "cli_recipe", "cli_search", "cli_zoo", "run_cli"]


def run_cli(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code: 0 done, 1 internal error or interrupted, 2 wrong use or input."""
    # --debug is accepted everywhere, not only in front of the verb, because one adds it to a command that just failed.
    debug = "--debug" in arguments
    errors = Console(stderr=True, highlight=False)
    try:
        given = [a for a in arguments if a != "--debug"]
        _only(given[0] if given else "")(args=given, prog_name="edgebat")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
    except BrokenPipeError:
        raise
    except Exception as error:
        from edgebat.extras import missing_for

        if debug:
            traceback.print_exc()
        if isinstance(expected := missing_for(arguments, error) or error, EdgebatError):
            errors.print(f"[bold red]error:[/] {plain(str(expected))}", soft_wrap=True)
            return 2
        if not debug:
            errors.print(
                f"[bold red]internal error:[/] {type(error).__name__}: {plain(str(error))}\n"
                "This is a fault in edgebat, not in your input. Run the command again with --debug for the trace.",
                soft_wrap=True,
            )
        return 1
    return 0


def _only(verb: str) -> typer.Typer:
    """The application with this verb alone, or whole: making the options of all the others takes longer than many a verb."""
    one = copy.copy(app)
    one.registered_commands = [
        c for c in app.registered_commands if c.callback and (c.name or c.callback.__name__) == verb
    ]
    one.registered_groups = [group for group in app.registered_groups if group.name == verb]
    return one if one.registered_commands or one.registered_groups else app


def _version(show: bool) -> None:
    if show:
        print(f"edgebat {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print it")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="show the full trace of an error (anywhere in a command)")
    ] = False,
) -> None:
    """Options before the verb."""


@app.command(rich_help_panel=HELP)
def targets(json_: JsonOption = False) -> None:
    """The microcontrollers edgebat can build for and simulate (export/targets/*.yaml)."""
    from edgebat.report.tables import show, target_list

    show(target_list(json_), json_)


@app.command(rich_help_panel=HELP)
def doctor() -> None:
    """What is installed, what is missing, and the one command that brings it."""
    from edgebat.report.tables import doctor_table, show

    show(doctor_table(), False)
