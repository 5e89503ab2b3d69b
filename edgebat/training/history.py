"""Losses of a training, epoch by epoch: ``history.csv`` in its folder. NumPy is not needed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from edgebat.files import atomic_write

HISTORY = "history.csv"
Row = dict[str, float]


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """One line per epoch, the columns of the first row. Raises OSError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """The rows of a ``history.csv``; none when it is not there or damaged: a training does not depend on it."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def append_epoch(path: Path, row: Row) -> None:
    """Add an epoch; what was written of it and of later ones before the training was interrupted is replaced."""
    before = [
        kept for kept in read_history(path) if kept.get("epoch", 0.0) < row["epoch"] and kept.keys() == row.keys()
    ]
    write_history(path, [*before, row])


def histories(folder: Path) -> dict[str, Path]:
    """Every history below ``folder``, by the names of the folders between, joined by dashes ("" for its own)."""
    return {"-".join(path.relative_to(folder).parent.parts): path for path in sorted(folder.rglob(HISTORY))}
