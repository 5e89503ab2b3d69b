"""Made-up early life: cells whose discharge curves sink towards low voltages in proportion to how fast they fade.

Enough to show and test the task ``life`` where no corpus is at hand; it says nothing about real cells.
"""

from __future__ import annotations

import numpy as np

from edgebat.cells import LifeCell

NOMINAL_AH = 1.1
COLUMNS, CURVES = 100, 120


def make_life_cells(cells: int, max_cycles: int = 2000, seed: int = 1) -> list[LifeCell]:
    """``cells`` seeded cells of the dataset ``SYNTHETIC`` with lives from 300 to ``max_cycles`` cycles, every fourth one of
    the split ``test1``, the others of ``train``."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(cells):
        life = int(np.exp(rng.uniform(np.log(300), np.log(max(max_cycles, 400)))))
        cycle = np.arange(1, life + 30)
        bend = rng.uniform(1.0, 3.0)
        fade = 0.2 * (cycle / life) ** bend
        capacity = NOMINAL_AH * (1.0 - fade) * (1.0 + rng.normal(0.0, 5e-4, cycle.size))
        early = np.arange(1, CURVES + 1)
        shape = np.sin(np.linspace(0.0, np.pi, COLUMNS)) ** rng.uniform(1.0, 1.5)
        drop = -12.0 * (early[:, None] / life) ** 1.1 * shape * 0.02
        noise = rng.normal(0.0, 2e-5, drop.shape)
        made.append(
            LifeCell(
                key=("SYNTHETIC", f"l{number:03d}"),
                chemistry="synthetic",
                split="test1" if number % 4 == 3 else "train",
                nominal_ah=NOMINAL_AH,
                cycle=cycle,
                capacity_ah=capacity,
                flagged=np.zeros(cycle.size, dtype=np.bool_),
                curve_cycle=early,
                curves_ah=(np.linspace(0.0, NOMINAL_AH, COLUMNS) + drop + noise).astype(np.float32),
                differences=False,
            )
        )
    return made
