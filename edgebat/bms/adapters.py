"""Public protocols that a result is sent in: C of ``firmware_stubs/adapters``, which a port takes along when asked.

Each folder ``firmware_stubs/adapters/<adapter>/`` with a ``README.md`` is one: pure functions in ``edgebat_<adapter>.c`` and
``.h``, a result and measured values in, bytes or a structure of the protocol out. The first line of its README is its
summary. ``shared/`` holds what all of them need.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebat.errors import TargetError
from edgebat.paths import firmware_dir

PAGE = "README.md"
SHARED = "shared"


def list_adapters() -> dict[str, str]:
    """Name -> one line of summary, sorted by name."""
    pages = sorted(_root().glob(f"*/{PAGE}"))
    return {page.parent.name: page.read_text("utf-8").splitlines()[0].lstrip("# ") for page in pages}


def adapter_code(names: Sequence[str]) -> dict[str, bytes]:
    """The C of adapters by the path that an ``#include`` has: ``edgebat_<name>.c``, ``edgebat/edgebat_<name>.h``; empty
    without names. Raises TargetError for one that there is not."""
    files = [file for name in _checked(names) for file in sorted((_root() / name).glob("*.[ch]"))]
    return {f"edgebat/{file.name}" if file.suffix == ".h" else file.name: file.read_bytes() for file in files}


def adapter_pages(names: Sequence[str]) -> dict[str, bytes]:
    """What a user reads of adapters: ``<name>.md``."""
    return {f"{name}.md": (_root() / name / PAGE).read_bytes() for name in _checked(names) if name != SHARED}


def _checked(names: Sequence[str]) -> list[str]:
    known = list_adapters()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TargetError(f"there is no adapter {unknown[0]!r}; choose of {', '.join(known)}")
    return [SHARED, *sorted(set(names))] if names else []


def _root() -> Path:
    return firmware_dir() / "adapters"
