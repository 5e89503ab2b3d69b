"""A cycler file in, SOH out, C for it: NumPy alone. ``python examples/first_steps.py [FOLDER]``

The cell and the students that read it here are simulated: that the numbers fit says that the tools work, nothing about real
cells. Students of real cells: ``edgebat zoo list``.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import edgebat as eb

HERE = Path(__file__).parent
NOMINAL_AH = 3.5
STUDENTS = ("demo-mlp", "demo-cnn", "demo-lstm")


def main(out: Path = Path("first_steps")) -> None:
    """Print the SOH by three students beside the truth, and write C of the last one to ``out``."""
    with (HERE / "truth.csv").open(newline="") as stream:
        truth = {int(row["cycle"]): float(row["soh_percent"]) for row in csv.DictReader(stream)}
    found = {name: eb.load(name).predict(HERE / "cell.csv", nominal_ah=NOMINAL_AH) for name in STUDENTS}
    print("cycle", "truth", *STUDENTS, sep="\t")
    for row, cycle in enumerate(found[STUDENTS[0]].cycle.tolist()):
        estimates = (f"{each['soh_percent'][row]:.2f}" for each in found.values())
        print(cycle, f"{truth[cycle]:.2f}", *estimates, sep="\t")
    files = eb.load(STUDENTS[-1]).export(out, to=["c"], name="soh")
    print(f"{len(files)} files of C in {out / 'c' / 'soh'}: add them to a firmware, the manual is soh.h")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
