"""Which tools of a target are here: a missing one is a line in a table, not the end of a run."""

from __future__ import annotations

import platform

from edgebat.errors import MissingExtra, ToolError, require
from edgebat.simulate.qemu_run import find_qemu
from edgebat.simulate.targets import Target
from edgebat.simulate.toolchain import find_compiler


def missing_tools(target: Target, compiler: str | None = None, route: str | None = None) -> str:
    """What is missing to build and run ``target``, with the command that brings it; "" when everything is there.

    compiler: "zig", "gcc" or None for any; route: None is the target's first. Nothing is built.
    """
    chosen = route or target.routes[0]
    try:
        if chosen in ("unicorn", "qemu"):
            require("elftools", extra="sim")
        if chosen == "unicorn":
            require("unicorn", extra="sim")
            require("capstone", extra="sim")
        find_compiler(target, compiler)
        # On the machine itself a program needs no emulator.
        if target.qemu is not None and chosen in ("qemu", "host") and target.qemu.user != platform.machine():
            find_qemu(target)
    except (MissingExtra, ToolError) as error:
        return str(error)
    return ""
