"""Made-up capacity curves: what ageing can look like, to learn continuation from before any real cell is seen.

Each curve is a sum of the shapes that ageing models use (straight, square root, power law, exponential, a knee), seen
through a bench: noise of many kinds, slow wander, steps, and capacity regeneration after rests. Benches differ by more
than a hundredfold in noise, and a forecaster has to know when not to trust the last cycles. NumPy only; the same seed
gives the same curves.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from edgebat.arrays import Float64
from edgebat.cells import CapacityHistory, Condition
from edgebat.errors import DataError


def fade_curves(cells: int, seed: int = 1) -> list[CapacityHistory]:
    """``cells`` synthetic cells of the dataset ``synthetic``, 60 to 1800 cycles each, capacities as a fraction.

    Raises DataError unless ``cells`` is positive.
    """
    if cells < 1:
        raise DataError(f"fade_curves was asked for {cells} cells; give 1 or more")
    rng = np.random.default_rng(seed)
    return [_cell(index, rng) for index in range(cells)]


def _cell(index: int, rng: np.random.Generator) -> CapacityHistory:
    length = int(np.exp(rng.uniform(np.log(100), np.log(1800))))
    life = np.arange(length) / length
    fade = rng.uniform(0.03, 0.5) * _shape(life, rng)
    capacity = rng.uniform(0.85, 1.1) - fade + _bench(length, rng)
    alive = capacity > 0.2
    end = max(60, length if alive.all() else int(np.argmin(alive)))
    cycle = np.arange(1, end + 1, dtype=np.int64)
    return CapacityHistory(
        ("synthetic", f"c{index:05d}"), "synthetic", Condition("synthetic"), 1.0, cycle, capacity[:end]
    )


def _shape(life: Float64, rng: np.random.Generator) -> Float64:
    """Fade from 0 to 1 over a life of 0 to 1."""
    shares = rng.dirichlet((1.0, 0.5, 0.5, 0.8, 0.5))
    knee, sharpness = rng.uniform(0.2, 1.1), rng.uniform(5.0, 60.0)
    bend = np.logaddexp(0.0, sharpness * (life - knee))
    # Some cells gain capacity over their first cycles.
    rise = rng.uniform(0.0, 0.06) * (rng.random() < 0.3) * (1.0 - np.exp(-life / rng.uniform(0.01, 0.1)))
    rate = rng.uniform(1.0, 8.0)
    slowing = (1.0 - np.exp(-rate * life)) / (1.0 - np.exp(-rate))
    parts = (life, np.sqrt(life), life ** rng.uniform(1.2, 4.0), bend / bend[-1], slowing)
    return np.asarray(sum(share * part for share, part in zip(shares, parts, strict=True)) - rise)


def _bench(length: int, rng: np.random.Generator) -> Float64:
    """What the bench adds, as a fraction of nominal [length]; any of it may be absent."""
    out = 10 ** rng.uniform(-4.5, -2.0) * _white(length, rng)
    if rng.random() < 0.4:  # noise with a memory: temperature of the room, state of the contacts
        out += 10 ** rng.uniform(-4.0, -2.1) * _slow_noise(length, 1.0 - 10 ** rng.uniform(-2.3, -0.3), rng)
    if rng.random() < 0.4:  # seasons and schedules
        phase = np.arange(length) / rng.uniform(20, 300) + rng.random()
        out += 10 ** rng.uniform(-3.5, -2.3) * np.sin(2 * np.pi * phase)
    if rng.random() < 0.15:  # a test taken up again elsewhere, a new calibration
        for start in np.flatnonzero(rng.random(length) < 1.0 / rng.uniform(50, 500)):
            out[start:] += 10 ** rng.uniform(-3.3, -2.0) * rng.choice([-1, 1])
    if rng.random() < 0.4:  # capacity that comes back in a rest and goes again
        for start in np.flatnonzero(rng.random(length) < 1.0 / rng.uniform(10, 200)):
            gain, decay = 10 ** rng.uniform(-3.0, -1.4), rng.uniform(2.0, 40.0)
            out[start:] += gain * np.exp(-np.arange(length - start) / decay)
    return out


def _white(length: int, rng: np.random.Generator) -> Float64:
    """Noise of variance about 1; two benches of five have outliers (Student's t, three degrees of freedom)."""
    if rng.random() < 0.6:
        return np.asarray(rng.standard_normal(length))
    return np.asarray(rng.standard_t(3, length) / np.sqrt(3.0))


def _slow_noise(length: int, memory: float, rng: np.random.Generator) -> Float64:
    """First-order autoregressive noise: starts near 0, its variance grows to 1."""
    steps = np.sqrt(1.0 - memory**2) * rng.standard_normal(length)
    return np.array(list(accumulate(steps, lambda before, step: memory * before + step)))
