"""The made-up cell that the networks of `bench.own_networks` learn."""

from __future__ import annotations

import numpy as np

STEPS = 32
MEAN, STD = (3.7, 0.0, 25.0), (0.3, 1.5, 8.0)
"""Of voltage, current and temperature, what the networks normalize by."""
EPOCHS = 20


def cell(windows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows float32 [N, STEPS, 3] in V, A, degC of a 3 Ah cell, a sample every 30 s, and its SOC [N, 1] in %."""
    rng = np.random.default_rng(seed)
    current = np.repeat(rng.normal(size=(windows, STEPS // 4)) * 1.5, 4, axis=1)
    temperature = rng.uniform(5, 40, (windows, 1)) + np.cumsum(rng.normal(size=(windows, STEPS)) * 0.05, axis=1)
    soc = rng.uniform(0.1, 0.9, (windows, 1)) + np.cumsum(current, axis=1) * 30 / 3600 / 3
    soc = np.clip(soc, 0.0, 1.0)
    resistance = 0.05 * np.exp((25 - temperature) / 40)
    voltage = 3.2 + 0.8 * soc + 0.15 * np.tanh(10 * (soc - 0.1)) + current * resistance
    voltage += rng.normal(size=voltage.shape) * 0.003
    return np.stack([voltage, current, temperature], axis=2).astype(np.float32), 100 * soc[:, -1:].astype(np.float32)
