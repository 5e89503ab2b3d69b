"""Tools that a step would use and that are not installed: what it leaves out today is made up for when they appear."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from edgebat.errors import MissingExtra
from edgebat.simulate.available import missing_tools
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import KINDS
from edgebat.verify.proof import CORES

JUDGES = ("onnxruntime", "ai_edge_litert", "tflite_micro")
"""Python modules of other engines that the equality table has rows for."""


def missing_engines() -> set[str]:
    """What the equality table lacks: judges, and the compiler or simulator of the cores it runs on."""
    modules = {f"Python module {name}" for name in JUDGES if importlib.util.find_spec(name) is None}
    return modules | missing_on(("host", *CORES), (None,))


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
