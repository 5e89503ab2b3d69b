"""Tools that a step would use and that are not installed: what it leaves out today is made up for when they appear."""

from __future__ import annotations

from collections.abc import Iterable

from edgebat.errors import MissingExtra
from edgebat.simulate.available import missing_tools
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import KINDS
from edgebat.verify.engines import ENGINES


def missing_engines() -> set[str]:
    """Names of the engines the equality table lacks."""
    return {engine.name for engine in ENGINES if engine.missing()}


def missing_on(targets: Iterable[str], compilers: Iterable[str | None] = KINDS) -> set[str]:
    """What the size table lacks: by target, compilers and routes that cannot be used. Compiler None: any will do.

    Raises TargetError for an unknown target.
    """
    compilers, missing = tuple(compilers), set()
    for name in targets:
        try:
            board = load_target(name)
        except MissingExtra as error:
            missing.add(f"Python module {error.module}")
            continue
        for route in board.routes:
            missing |= {
                f"{kind or 'C compiler'}, {route}: {name}" for kind in compilers if missing_tools(board, kind, route)
            }
    return missing
