"""Neware's nested reports: rows of cycles, below each the rows of its steps, below each the rows of its samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebat.data.readers.names import roles_in
from edgebat.data.readers.table import Arrays, Table

EXTRA = ("Cycle Index", "Step Index", "Step Type")


def nested_headers(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first three rows are the headers of cycles, steps and samples, each one column further right."""
    return (
        len(rows) > 3 and [_depth(row) for row in rows[:3]] == [0, 1, 2] and {"voltage", "current"} <= roles_in(rows[2])
    )


def flatten(rows: Sequence[Sequence[str]], guesses: tuple[str, ...] = ()) -> Table:
    """The samples, each with cycle, step and step type of the rows above it."""
    cycles, steps, samples = rows[:3]
    cycle_width = _width(cycles)
    step_names = [name.strip().lower() for name in steps[1:]]
    at_index = next((i for i, name in enumerate(step_names) if name in ("step index", "step id", "step number")), 0)
    at_type = next((i for i, name in enumerate(step_names) if name in ("step type", "step name", "state")), None)
    width = _width(samples)
    columns: list[list[str]] = [[] for _ in range(width - 2 + len(EXTRA))]
    cycle = step = kind = ""
    for row in rows[3:]:
        depth = _depth(row)
        if depth == 0 and row:
            cycle = row[0]
            # Some versions put the first step of a cycle into the cycle's row.
            step_values = list(row[cycle_width:])
        elif depth == 1:
            step_values = list(row[1:])
        else:
            values = [*row[2:width], *[""] * (width - len(row)), cycle, step, kind]
            if depth == 2:
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
            continue
        if any(step_values):
            step = step_values[at_index] if at_index < len(step_values) else step
            kind = step_values[at_type] if at_type is not None and at_type < len(step_values) else kind
    names = (*samples[2:width], *EXTRA)
    arrays = Arrays([np.array(column, dtype=object) for column in columns])
    return Table(names, arrays, layout="neware", guesses=(*guesses, "cycles, steps and samples are nested"))


def _depth(row: Sequence[object]) -> int:
    """Empty cells before the first value."""
    return next((i for i, cell in enumerate(row) if str(cell).strip()), 99)


def _width(row: Sequence[object]) -> int:
    return max((i + 1 for i, cell in enumerate(row) if str(cell).strip()), default=0)
