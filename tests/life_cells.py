"""Made-up cells whose discharge curves shift in proportion to how fast they fade."""

from __future__ import annotations

import numpy as np

from edgebat.cells import LifeCell
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows

NOMINAL_AH = 1.1
SMALL = LifeSpec(cycles=20, columns=20, base_cycle=5, smooth_cycles=1, curve_points=32, curve_step=80)


def made_up_cell(number: int, life: int, differences: bool = False, columns: int = 40, cycles: int = 120) -> LifeCell:
    """A cell that fades linearly to 80 % of nominal at ``life``; its Q(V) sinks towards low voltage."""
    cycle = np.arange(1, life + 30)
    capacity = NOMINAL_AH * (1.0 - 0.2 * cycle / life)
    shape = np.sin(np.linspace(0.0, np.pi, columns))
    early = np.arange(1, cycles + 1)
    drop = -20.0 * early[:, None] / life * shape * 0.02
    curves = drop if differences else np.linspace(0.0, NOMINAL_AH, columns) + drop
    return LifeCell(
        key=("MADE", f"c{number:02d}"),
        chemistry="LFP/graphite" if number % 2 else "NMC/graphite",
        split="train" if number % 3 else "test1",
        nominal_ah=NOMINAL_AH,
        cycle=cycle,
        capacity_ah=capacity,
        flagged=np.zeros(cycle.size, dtype=np.bool_),
        curve_cycle=early,
        curves_ah=curves.astype(np.float32),
        differences=differences,
    )


def made_up_windows(count: int = 12, spec: LifeSpec = SMALL) -> LifeWindows:
    """Lives from 400 cycles upwards."""
    return life_windows([made_up_cell(i, 400 + 90 * i) for i in range(count)], spec)
