"""Which networks as tutorials build them are quantized, and how well: ``python -m bench.gallery [--write]``.

Each network is quantized on random windows, and compared with its own framework in float on the same. --write puts the
table into docs/foreign-models.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import edgebat as eb
from bench.gallery_entry import Entry
from bench.gallery_networks import entries, scratch
from bench.pages import print_or_write
from edgebat.errors import EdgebatError

PAGE = Path(__file__).parents[1] / "docs" / "foreign-models.md"
BEGIN, END = "<!-- gallery: python -m bench.gallery --write -->", "<!-- end of gallery -->"


def row_of(entry: Entry, folder: Path) -> tuple[str, ...]:
    """(network, task, framework, outcome, error of the int8 network in percent of the output's spread, remedy)."""
    source, reference = entry.make(folder)
    x = entry.windows()
    try:
        result = eb.quantize(source, x, name=entry.name.replace("-", "_"))
    except EdgebatError as error:
        return entry.name, entry.task, entry.framework, "refused", "", str(error).partition(": ")[2].partition(": ")[2]
    real = np.concatenate([v.reshape(len(x), -1) for v in result.predict(x).values()], axis=1)
    wanted = np.asarray(reference(x)).reshape(len(x), -1)
    error = float(np.sqrt(np.mean((real - wanted) ** 2)) / wanted.std())
    return entry.name, entry.task, entry.framework, "quantized", f"{error:.1%}", ""


def table() -> str:
    """All rows as Markdown."""
    rows = []
    with scratch() as folder:
        for entry in entries():
            rows.append(row_of(entry, Path(folder)))
            print(" | ".join(rows[-1]), file=sys.stderr)
    done = sum(row[3] == "quantized" for row in rows)
    lines = [
        f"{len(rows)} networks: {done} quantized, {len(rows) - done} refused with a remedy. Error: RMS against the float",
        "network in its own framework, in percent of the spread of its outputs, weights random.",
        "",
        "| network | for | framework | outcome | error | why, and what to do |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Print the table, or write it."""
    print_or_write(table(), PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
