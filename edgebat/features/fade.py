"""Made-up capacity curves: what ageing can look like, to learn continuation from before any real cell is seen.

Each curve is a sum of the shapes that ageing models use (straight, square root, power law, a knee), with noise, slow
wander and capacity regeneration after rests. NumPy only; the same seed gives the same curves.
"""

from __future__ import annotations

import numpy as np

from edgebat.errors import DataError
from edgebat.features.forecast import CapacityHistory, Float64


def fade_curves(cells: int, seed: int = 1) -> list[CapacityHistory]:
    """``cells`` synthetic cells of the dataset ``synthetic``, 150 to 1500 cycles each, capacities as a fraction.

    Raises DataError unless ``cells`` is positive.
    """
    if cells < 1:
        raise DataError(f"fade_curves was asked for {cells} cells; give 1 or more")
    rng = np.random.default_rng(seed)
    return [_cell(index, rng) for index in range(cells)]


def _cell(index: int, rng: np.random.Generator) -> CapacityHistory:
    length = int(np.exp(rng.uniform(np.log(150), np.log(1500))))
    life = np.arange(length) / length
    fade = rng.uniform(0.05, 0.5) * _shape(life, rng)
    capacity = rng.uniform(0.9, 1.1) - fade + _bench(length, rng)
    alive = capacity > 0.2
    end = length if alive.all() else int(np.argmin(alive))
    cycle = np.arange(1, end + 1, dtype=np.int64)
    return CapacityHistory(("synthetic", f"c{index:05d}"), "synthetic", "synthetic", 1.0, cycle, capacity[:end])


def _shape(life: Float64, rng: np.random.Generator) -> Float64:
    """Fade from 0 to 1 over a life of 0 to 1."""
    shares = rng.dirichlet((1.0, 0.5, 0.5, 0.8))
    knee, sharpness = rng.uniform(0.3, 1.1), rng.uniform(5.0, 60.0)
    bend = np.logaddexp(0.0, sharpness * (life - knee))
    # Some cells gain capacity over their first cycles.
    rise = rng.uniform(0.0, 0.06) * (rng.random() < 0.3) * (1.0 - np.exp(-life / rng.uniform(0.01, 0.1)))
    parts = (life, np.sqrt(life), life ** rng.uniform(1.2, 4.0), bend / bend[-1])
    return np.asarray(sum(share * part for share, part in zip(shares, parts, strict=True)) - rise)


def _bench(length: int, rng: np.random.Generator) -> Float64:
    """What the bench adds: noise, slow wander (temperature), regeneration after rests."""
    noise = 10 ** rng.uniform(-4.5, -2.3) * rng.standard_normal(length)
    period = rng.uniform(20, 300)
    wander = (
        (rng.random() < 0.4)
        * 10 ** rng.uniform(-3.5, -2.3)
        * np.sin(2 * np.pi * (np.arange(length) / period + rng.random()))
    )
    regeneration = np.zeros(length)
    if rng.random() < 0.3:
        for start in np.flatnonzero(rng.random(length) < 1.0 / rng.uniform(20, 200)):
            gain, decay = 10 ** rng.uniform(-3.0, -1.6), rng.uniform(2.0, 40.0)
            regeneration[start:] += gain * np.exp(-np.arange(length - start) / decay)
    return np.asarray(noise + wander + regeneration)
