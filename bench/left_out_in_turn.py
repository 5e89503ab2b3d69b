"""One table over several evidence folders whose data sets left out differ: each of them, and all their cells together.

::

    edgebat evidence forecast-students --corpus PATH --set name=forecast-out-a --set 'data.split.hold_out=[...]'
    python -m bench.left_out_in_turn runs/forecast-out-a-evidence runs/forecast-out-b-evidence

Cells that a folder's students may know of (*at home*) are left away; no cell may be left out twice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.errors import DataError
from edgebat.files import Json
from edgebat.report.paired import paired
from edgebat.runs.evidence import VARIANTS

ERRORS = (*VARIANTS, "teacher")


def table(evidence: Sequence[Json], student: str) -> str:
    """Mean errors of ``student`` on the cells left out, and taught over each of the others, paired by cell.

    evidence: contents of ``evidence.json``. Raises DataError for a cell that is left out twice, or a student one lacks.
    """
    lines, together, seen = [], {name: np.zeros(0) for name in ERRORS}, list[str]()
    for each in evidence:
        if student not in each["students"]:
            raise DataError(f"{each['recipe']} has no student {student!r}; seen {', '.join(each['students'])}")
        rows = np.isin(each["datasets"], each["left_out"])
        seen += [cell for cell, out in zip(each["cells"], rows, strict=True) if out]
        own = {**each["students"][student], "teacher": each["teacher"]}
        errors = {name: np.array(own[name])[rows] for name in ERRORS}
        together = {name: np.concatenate([together[name], errors[name]]) for name in ERRORS}
        lines.append(_row(", ".join(each["left_out"]), errors))
    if twice := sorted({cell for cell in seen if seen.count(cell) > 1}):
        raise DataError(f"{len(twice)} cells are left out twice, such as {twice[0]}; give folders of other data sets")
    heading = ["left out", "cells", *ERRORS, *(f"taught / {name}" for name in ERRORS if name != "taught")]
    rule = f"|{'---|' * len(heading)}"
    return "\n".join([f"| {' | '.join(heading)} |", rule, *lines, _row("each of them once", together)]) + "\n"


def _row(title: str, errors: dict[str, np.ndarray]) -> str:
    ratios = [str(paired(errors["taught"], errors[name])) for name in ERRORS if name != "taught"]
    shown = [f"{errors[name].mean():.3f}" for name in ERRORS]
    return f"| {' | '.join([title, str(len(errors['taught'])), *shown, *ratios])} |"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="where `edgebat evidence` left its evidence.json")
    parser.add_argument("--student", default="mlp")
    given = parser.parse_args()
    found = [json.loads((folder / "evidence.json").read_text(encoding="utf-8")) for folder in given.folders]
    print(table(found, given.student), end="")


if __name__ == "__main__":
    main()
