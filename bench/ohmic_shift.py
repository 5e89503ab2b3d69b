"""Whether windows that are moved by ohmic drop, with the rate that belongs to them, teach a rate nobody measured.

::

    python -m bench.ohmic_shift --corpus PATH

A charge at less current runs lower by the drop: seen through a window that begins higher it is, but for the drop, the charge
that a lower rate would have taken through the window. Each rate of the Tongji cells is left out in turn, windows so moved
are added to the others with their rate, for several drops per C, and a learner without a limit of size is asked about the
rate left out and about held-out cells at the others. Curves begin at 3.6 V: a window there can only move up.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.any_window import learnt
from bench.charge_rate import DATASETS, rates_of, rmse
from edgebat.arrays import Float32, Float64
from edgebat.cells import CellKey
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.data.splits import split_windows
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows

FIRST_V = 3.6
MOVES_V = (-0.04, -0.02, 0.02, 0.04, 0.06)
"""Where other windows begin."""
DROPS_V = (0.08, 0.12, 0.16, 0.2)
"""Drop at 1C: the cells' resistance is in no file."""
RATES_C = (0.1, 1.3)
"""Of moved windows that are used."""


def windows_at(fleet: Fleet, start_v: float) -> HealthWindows:
    """Every second window that begins there."""
    spec = HealthSpec(window_start_v=round(start_v, 4), window_end_v=round(start_v + 0.1, 4), charge_rate=True)
    return health_windows(fleet, spec).select_every(2)


def rows(x: Float32) -> Float64:
    """[N, increments and rate] mean increments of a window, and its last rate."""
    return np.concatenate([x[..., :-1].mean(axis=1), x[:, -1, -1:]], axis=1, dtype=np.float64)


def moved(
    fleet: Fleet, start_v: float, drop_v: float, known: set[CellKey], without_c: float
) -> tuple[list[Float64], list[Float64]]:
    """Rows and SOH in % of the moved windows of the ``known`` cells."""
    found: tuple[list[Float64], list[Float64]] = ([], [])
    for move_v in (move for move in MOVES_V if start_v + move >= FIRST_V):
        windows = windows_at(fleet, start_v + move_v)
        windows = windows.select(cells=[cell for cell in windows.cells if cell in known])
        windows = windows.select(mask=rates_of(windows) != without_c)
        rate = rates_of(windows) - move_v / drop_v
        used = (rate > RATES_C[0]) & (rate < RATES_C[1])
        x = rows(windows.x)
        x[:, -1] = rate / 1000.0
        found[0].append(x[used])
        found[1].append(windows.soh[used] * 100.0)
    return found


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    fleet = read_corpus(parser.parse_args().corpus, DATASETS)
    names = ["none", *(f"{drop_v:g} V at 1C" for drop_v in DROPS_V)]
    print(f"| window begins, V | left out | {' | '.join(names)} |\n|" + "---|" * (2 + len(names)))
    for start_v in (3.6, 3.8):
        windows = windows_at(fleet, start_v)
        split = split_windows(windows, by="condition", test=0.25, val=0.15, seed=1)
        known = {*split.train, *split.val}
        for rate_c in np.unique(rates_of(windows)):
            own = windows.select(cells=known)
            own = own.select(mask=rates_of(own) != rate_c)
            strange, others = windows.select(mask=rates_of(windows) == rate_c), windows.select(cells=split.test)
            others = others.select(mask=rates_of(others) != rate_c)
            figures = []
            for drop_v in (None, *DROPS_V):
                more = moved(fleet, start_v, drop_v, known, rate_c) if drop_v else ([], [])
                answer = learnt(
                    np.concatenate([rows(own.x), *more[0]]),
                    np.concatenate([own.soh * 100.0, *more[1]], dtype=np.float64),
                )
                there, home = (rmse(answer(rows(w.x)) - w.soh * 100.0) for w in (strange, others))
                figures.append(f"{there:.1f} ({home:.1f})")
            print(f"| {start_v:g} | {rate_c:g}C | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
