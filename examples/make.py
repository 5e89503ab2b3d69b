"""Writes the files of this folder: ``python examples/make.py``. The same bytes every time.

``cell.csv`` is what a cycler would log of one NCA cell of edgebat's synthetic fleet, in the Battery Data Format: eleven
cycles at each of four ages, a sample per minute. ``truth.csv`` is the SOH that the simulation gives the cell in these
cycles, which a real log does not know. The cell is of a seed that no shipped model has seen.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from edgebat.data.synthetic import make_fleet, make_raw_cell
from edgebat.files import atomic_write

SEED, CELL, PERIOD_S = 29, 1, 60.0
AGES = (40, 180, 300, 400)
CYCLES = [cycle for age in AGES for cycle in range(age, age + 11)]
HEADER = ("Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def main(folder: Path = Path(__file__).parent) -> None:
    """Write both files to ``folder``."""
    log = make_raw_cell(SEED, CELL, CYCLES, PERIOD_S)
    # The simulation begins each cycle at 0 s; a cycler's clock goes on.
    new = np.concatenate(([0], np.diff(log.cycle) != 0)).astype(bool)
    begins = np.where(new, np.roll(log.time_s, 1) + PERIOD_S, 0.0)
    columns = (log.time_s + np.cumsum(begins), log.voltage_v, log.current_a, log.cycle)
    rows = [(f"{t:.0f}", f"{v:.4f}", f"{a:.3f}", str(n)) for t, v, a, n in zip(*columns, strict=True)]
    atomic_write(folder / "cell.csv", table(HEADER, rows))
    (life,) = (cell for cell in make_fleet(SEED, CELL + 1) if cell.key[1] == log.cell_id)
    # The fleet's capacities are measurements, with noise and glitches; their median over eleven cycles is near the truth.
    soh = [np.median(life.capacity_ah[max(n - 6, 0) : n + 5]) / life.nominal_ah * 100 for n in CYCLES]
    atomic_write(
        folder / "truth.csv",
        table(("cycle", "soh_percent"), [(str(n), f"{s:.2f}") for n, s in zip(CYCLES, soh, strict=True)]),
    )


if __name__ == "__main__":
    main()
