"""What a study writes: Markdown tables, and one CSV line per cell that was left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgebat.studies.runner import Result


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a line per row."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]]) + "\n"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and, of several values, standard deviation; nothing of none."""
    if not values:
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values):.{digits}f}"


def cells_csv(results: Sequence[Result], about: Sequence[str], metrics: Sequence[str]) -> str:
    """One line per cell left out: what it is, and every metric with each seed; with ``part`` in front when several parts
    score the same cell. about: columns of the records' cells besides ``dataset`` and ``cell`` that no seed changes."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for part, seed, scored in ((r.part.name, seed, scored) for r in results for seed, scored in r.seeds.items()):
        for row in scored.cells:
            key = (
                part,
                row["dataset"],
                row["cell"],
                *("" if row[name] is None else f"{row[name]:g}" for name in about),
            )
            values = {f"{name}_seed{seed}": f"{row[name]:.4f}" for name in metrics if name in row}
            found.setdefault(key, {}).update(values)
    seeds = sorted({seed for result in results for seed in result.seeds})
    columns = [f"{name}_seed{seed}" for name in metrics for seed in seeds]
    first = 0 if len({key[1:3] for key in found}) < len(found) else 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*("part", "dataset", "cell", *about)[first:], *columns])
    for key, values in sorted(found.items(), key=lambda entry: entry[0][first:]):
        writer.writerow([*key[first:], *(values.get(column, "") for column in columns)])
    return text.getvalue()
