"""The command line: one thin function per verb. What a verb does lives in the module it calls.

Heavy modules are imported inside the functions, so that ``edgebat --help`` answers at once. Verbs that take a recipe are
in ``cli.recipe``, those that take a model file in ``cli.model``, ``cli.bench`` and
``cli.quantize``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated

import typer

from edgebat import __version__
from edgebat.cli import bench as cli_bench
from edgebat.cli import data as cli_data
from edgebat.cli import model as cli_model
from edgebat.cli import quantize as cli_quantize
from edgebat.cli import recipe as cli_recipe
from edgebat.cli import replay as cli_replay
from edgebat.cli import search as cli_search
from edgebat.cli import zoo as cli_zoo
from edgebat.cli.app import HELP, JsonOption, app

__all__ = [
    "cli_bench",
    "cli_data",
    "cli_model",
    "cli_quantize",
    "cli_recipe",
    "cli_replay",
    "cli_search",
    "cli_zoo",
    "run_cli",
]


def run_cli(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code, 0 for done and 2 for wrong use. Errors are ``edgebat.__main__``'s.

    Raises KeyboardInterrupt when it was interrupted, and what the verb raises.
    """
    try:
        _only(arguments[0] if arguments else "")(args=list(arguments), prog_name="edgebat")
    except SystemExit as done:
        # Typer and Lightning turn Ctrl-C into an exit of their own.
        if _was_interrupted(done):
            raise KeyboardInterrupt from None
        return done.code if isinstance(done.code, int) else 1
    return 0


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt stands behind an exception."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


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
def doctor(json_: JsonOption = False) -> None:
    """What is installed, what is missing, and the one command that brings it."""
    from edgebat.report.tables import doctor_table, installed_parts, show

    parts = installed_parts()
    show([vars(part) for part in parts] if json_ else doctor_table(parts), json_)
