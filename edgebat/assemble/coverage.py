"""Which voltage windows the charges of a corpus cover, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.data.fleet import Fleet
from edgebat.tasks.health.increments import increments_from_curve
from edgebat.tasks.health.spec import HealthSpec

WIDTH_V = 0.1
STEP_V = 0.05


@dataclass(frozen=True)
class Window:
    """A window and how it fares: ``covered``, the part of charges, of the cell that covers it least and of all; ``taken``,
    the mean charge in it relative to nominal capacity."""

    start_v: float
    end_v: float
    least_covered: float
    covered: float
    taken: float


def windows_of(fleet: Fleet) -> list[Window]:
    """All windows of 0.1 V, every 0.05 V, that any charge covers. Empty without charge curves."""
    if fleet.charge is None:
        return []
    grid = fleet.charge.voltage_v
    starts = np.arange(np.ceil(grid[0] / STEP_V - 1e-6), np.floor((grid[-1] - WIDTH_V) / STEP_V + 1e-6) + 1) * STEP_V
    histories = [h for h in fleet.histories() if h.charge_cycle.size and h.nominal_ah > 0.0]
    found = []
    for start in starts.round(6).tolist():
        spec = HealthSpec(window_start_v=start, window_end_v=round(start + WIDTH_V, 6))
        parts, taken = [], []
        for history in histories:
            rows = increments_from_curve(history.charge_voltage_v, history.charge_dq_ah, history.nominal_ah, spec)
            whole = np.isfinite(rows).all(axis=1)
            parts.append(whole)
            taken.append(rows[whole].sum(axis=1))
        charge = np.concatenate(taken)
        if charge.size:
            least = min(float(part.mean()) for part in parts)
            covered = float(np.concatenate(parts).mean())
            found.append(Window(start, spec.window_end_v, least, covered, float(charge.mean())))
    return found
