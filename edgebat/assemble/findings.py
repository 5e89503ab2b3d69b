"""What was noticed while a cell was built: what was mended, dropped, flagged or judged, and why."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("read", "judged", "mended", "dropped", "flagged", "warning")


@dataclass(frozen=True)
class Finding:
    """One sentence about a file or a cell. ``kind`` is one of ``KINDS``."""

    kind: str
    text: str
    file: str = ""
    """Name of the file; empty when it is of the whole cell."""


def plural(count: int, what: str) -> str:
    """``3 samples``, ``1 sample``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
