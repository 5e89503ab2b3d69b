"""Samples of cells to a fleet: capacity by cycle and charge curves, one cell after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from edgebat.arrays import Float64
from edgebat.cells import SECONDS_PER_HOUR
from edgebat.data.corpus import STEP_GRID_V, cc_curve
from edgebat.data.fleet import ChargeCurves, Fleet
from edgebat.data.readers.raw import RawCell
from edgebat.errors import DataError

GRID_V = np.round(np.arange(2.0, 4.6 + STEP_GRID_V / 2, STEP_GRID_V), 6)


def fleet_of_cells(cells: Sequence[RawCell], dataset: str, nominal_ah: float | None = None) -> Fleet:
    """A fleet of cells that were read, called ``dataset`` together. nominal_ah: for cells that do not state theirs.

    The capacity of a cycle is the charge it discharges; its charge curve is its first run at constant current. Raises
    DataError for two cells of one name.
    """
    rows = [
        {"dataset": dataset, "cell_id": c.cell_id, "nominal_capacity_ah": c.nominal_ah or nominal_ah} for c in cells
    ]
    if len({row["cell_id"] for row in rows}) != len(rows):
        raise DataError(f"two files give a cell of the same name: {sorted(str(row['cell_id']) for row in rows)}")
    cycles, curves, keys = [], [], []
    for cell in cells:
        for number, samples in cell.cycles():
            time, current = cell.time_s[samples], cell.current_a[samples]
            capacity = _discharged_ah(time, current)
            cycles.append((dataset, cell.cell_id, number, capacity if capacity > 0.0 else np.nan))
            charging = np.flatnonzero(current > 0.0)
            if charging.size:
                part = slice(charging[0], charging[-1] + 1)
                curves.append(cc_curve(time[part], cell.voltage_v[samples][part], current[part], GRID_V))
                keys.append((dataset, cell.cell_id, number))
    table = pd.DataFrame(cycles, columns=["dataset", "cell_id", "cycle", "discharge_capacity_ah"])
    charge = None
    if keys:
        names = np.array(keys, dtype=object)
        dq = np.array(curves, dtype=np.float32)
        charge = ChargeCurves(names[:, 0], names[:, 1], names[:, 2].astype(np.int64), GRID_V, dq)
    return Fleet(pd.DataFrame(rows), table, charge, source=f"{len(cells)} cells called {dataset}")


def _discharged_ah(time_s: Float64, current_a: Float64) -> float:
    """Ah taken out, by the trapezoidal rule."""
    out = np.maximum(-current_a, 0.0)
    return float(np.sum(np.diff(time_s) * (out[1:] + out[:-1]) / 2.0)) / SECONDS_PER_HOUR
