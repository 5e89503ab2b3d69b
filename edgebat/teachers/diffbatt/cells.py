"""Whole lives that a DiffBatt draws out of nothing but noise, as a fleet of made-up cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgebat.arrays import Float32
from edgebat.data.fleet import Fleet
from edgebat.tasks.life.windows import LifeSpec

DATASET = "synthetic-diffbatt"
LOWEST = 0.6
"""Below it a drawn curve has ended: DiffBatt learns curves that fall to 0 there."""


def fleet_of(curves: Float32, spec: LifeSpec, source: str) -> Fleet:
    """Cells out of SOH curves [N, points] at ``spec.curve_cycles``: a capacity for every cycle up to a curve's end, on
    straight lines between the points, of a nominal capacity of 1 Ah. Curves of fewer than two points are left out."""
    at = spec.curve_cycles
    names, cycles, capacities = [], [], []
    for n, curve in enumerate(curves):
        alive = int(np.argmin(curve > LOWEST)) if (curve <= LOWEST).any() else len(curve)
        if alive < 2:
            continue
        cycle = np.arange(at[0], at[alive - 1] + 1)
        names += [f"d{n:05d}"] * len(cycle)
        cycles.append(cycle)
        capacities.append(np.interp(cycle, at[:alive], curve[:alive]))
    rows = {"dataset": DATASET, "cell_id": names, "cycle": np.concatenate(cycles or [np.zeros(0, np.int64)]),
            "discharge_capacity_ah": np.concatenate(capacities or [np.zeros(0)])}  # fmt: skip
    cells = {"dataset": DATASET, "cell_id": sorted({*names}), "nominal_capacity_ah": 1.0}
    return Fleet(pd.DataFrame(cells), pd.DataFrame(rows), source=source, synthetic=True)
