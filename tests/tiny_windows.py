"""A dozen cells that fade along straight lines, for tests that train: small, seeded, and simple enough to be learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgebat.cells import Condition
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthSpec, HealthWindows

if TYPE_CHECKING:
    from edgebat.students.base import Student

CONTEXT, INCREMENTS, HORIZON = 10, 10, 50


def tiny_windows(cells: int = 4, cycles: int = 24, seed: int = 0, eol: float = 0.8) -> HealthWindows:
    """``cells`` cells with one window per cycle from the tenth on; the last cell never reaches EOL.

    An increment is proportional to SOH, with its own slope per voltage step and a little noise.
    """
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(0.5, 1.5, INCREMENTS)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "soh", "trajectory", "rul", "cell", "cycle")}
    ends = []
    for cell in range(cells):
        fade = 0.0005 if cell == cells - 1 else rng.uniform(0.006, 0.010)
        soh = 0.95 - fade * np.arange(cycles + HORIZON)
        increments = 0.01 + 0.05 * slopes * (soh[:cycles, None] - 0.8) + rng.normal(0, 1e-4, (cycles, INCREMENTS))
        end = float(np.argmax(soh < eol)) if (soh < eol).any() else np.nan
        ends.append(end)
        last = np.arange(CONTEXT - 1, cycles)
        rows = last[:, None] + np.arange(1 - CONTEXT, 1)
        ahead = last[:, None] + np.arange(1, HORIZON + 1)
        parts["x"].append(increments[rows])
        parts["soh"].append(soh[last])
        # Nobody has measured beyond ten cycles after the last window.
        parts["trajectory"].append(np.where(ahead < cycles + 10, soh[np.minimum(ahead, len(soh) - 1)], np.nan))
        parts["rul"].append(np.maximum(end - last, 0))
        parts["cell"].append(np.full(last.size, cell))
        parts["cycle"].append(last + 1)
    joined = {name: np.concatenate(columns) for name, columns in parts.items()}
    return HealthWindows(
        spec=HealthSpec(context=CONTEXT, increments=INCREMENTS, horizon=HORIZON, eol=eol),
        x=joined["x"].astype(np.float32),
        soh=joined["soh"].astype(np.float32),
        trajectory=joined["trajectory"].astype(np.float32),
        rul=joined["rul"].astype(np.float32),
        cell=joined["cell"].astype(np.int32),
        cycle=joined["cycle"].astype(np.int32),
        cells=tuple(("TINY", f"cell{i}") for i in range(cells)),
        conditions=(Condition("TINY"),) * cells,
        nominal_ah=np.ones(cells),
        reference_ah=np.ones(cells),
        eol_cycle=np.array(ends),
    )


def health_student(kind: str, **settings: Any) -> Student:
    """A fresh student of these windows: 10 cycles of 10 increments in; SOH, five knots to 50 cycles ahead and RUL out."""
    from edgebat.students.store import build_student

    heads = task("health").heads(HealthSpec(context=CONTEXT, increments=INCREMENTS, horizon=HORIZON))
    return build_student(kind, shape=(CONTEXT, INCREMENTS), heads=heads, **settings)
