"""Tables that a command of the bench writes into a page of docs/."""

from __future__ import annotations

import sys
from pathlib import Path


def print_or_write(text: str, page: Path, begin: str, end: str) -> None:
    """Print ``text``; with ``--write`` put it between the marks ``begin`` and ``end`` of the page instead."""
    if "--write" not in sys.argv:
        print(text)
        return
    content = page.read_text(encoding="utf-8")
    before, after = content.partition(begin)[0], content.partition(end)[2]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
