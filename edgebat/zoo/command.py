"""What ``edgebat zoo list`` and ``edgebat zoo get`` do, the same with and without the command line's extra. NumPy only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edgebat.files import Json
from edgebat.paths import TEACHERS_HINT
from edgebat.zoo.entries import Entry, students, teachers
from edgebat.zoo.get import get, get_port

HEAD = ("name", "task", "family", "weights", "file, B", "error on held-out cells", "learnt from")


@dataclass(frozen=True)
class Wanted:
    """What ``edgebat zoo get`` is asked for."""

    name: str
    out: Path | None = None
    port: str | None = None
    nominal_mah: int | None = None

    def get(self) -> str:
        """Write it; the paths that were written, one per line. Raises EdgebatError."""
        if self.port is None:
            paths = get(self.name, self.out)
        else:
            paths = get_port(self.name, self.port, self.out, self.nominal_mah)
        return "\n".join(map(str, paths))


def list_text(as_json: bool = False) -> str:
    """The table of the zoo, or the same as JSON."""
    ready, trained = students(), teachers()
    if as_json:
        rows: list[Json] = [entry.to_row() for entry in (*ready, *trained)]
        return json.dumps(rows, indent=1)
    lines = _table([_cells(entry) for entry in (*ready, *trained)])
    if not trained:
        lines.append(TEACHERS_HINT)
    return "\n".join(lines)


def _cells(entry: Entry) -> tuple[str, ...]:
    error = "" if entry.error is None else f"{entry.error:g} {entry.error_of}"
    return (entry.name, entry.task, entry.family, f"{entry.weights:,}", f"{entry.bytes:,}", error, entry.data)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns of text; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if name in ("weights", "file, B") else text.ljust(width)
            for name, text, width in zip(HEAD, row, widths, strict=True)
        ).rstrip()
        for row in (HEAD, *rows)
    ]
