"""Forecast students made by hand: an MLP that carries the mean slope of its window on, and an LSTM of random weights."""

from __future__ import annotations

import numpy as np

from edgebat.graph import IntGraph
from edgebat.quantization import quantize_model
from edgebat.students.spec import DenseLayer, FlattenLayer, FloatModel, HeadSlice, LastStepLayer, Layer, LstmLayer

ROWS, COLUMNS, POINTS, HORIZON = 24, 4, 8, 96
CYCLES = ROWS * COLUMNS
UNITS = 6
TASK = {
    "name": "forecast",
    "context": 192,
    "horizon": HORIZON,
    "seen_cycles": CYCLES,
    "group": COLUMNS,
    "min_history": 48,
    "max_gap": 24,
    "eol": 0.8,
}
RUL_CYCLES = 300.0


def forecast_graph(kind: str = "mlp", seed: int = 6) -> IntGraph:
    """Level, eight points over 96 cycles, cycles to end of life; reads changes from the last of 96 values of SOH."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-2e-4, 1e-5, 300)
    ahead = np.arange(1 - CYCLES, 1)
    x = (slopes[:, None] * ahead + rng.normal(0, 1e-3, (300, CYCLES))).astype(np.float32)
    x = (x - x[:, -1:]).reshape(-1, ROWS, COLUMNS)
    mean, std = x.mean(axis=(0, 1)), x.std(axis=(0, 1))
    # Least squares: slope = sum(ahead * x) / sum(ahead^2), in normalized inputs.
    slope = ahead / np.sum(ahead**2.0)
    weight, bias = slope * np.tile(std, ROWS), float(slope @ np.tile(mean, ROWS))
    steps = HORIZON / POINTS * np.arange(1, POINTS + 1)
    scale = 0.01
    rows = [np.zeros(CYCLES), *(weight * step / scale for step in steps), weight / 1e-4]
    offsets = [0.0, *(bias * step / scale for step in steps), bias / 1e-4]
    layers: tuple[Layer, ...]
    if kind == "mlp":
        layers = (FlattenLayer(), DenseLayer(np.array(rows, np.float32), np.array(offsets, np.float32)))
    else:
        sizes = ((4 * UNITS, COLUMNS), (4 * UNITS, UNITS), (4 * UNITS,), (len(rows), UNITS), (len(rows),))
        parts = [rng.normal(0, 0.3, size).astype(np.float32) for size in sizes]
        layers = (LstmLayer(*parts[:3]), LastStepLayer(), DenseLayer(*parts[3:]))
    model = FloatModel(
        kind=kind,
        input_shape=(ROWS, COLUMNS),
        layers=layers,
        input_mean=mean,
        input_std=std,
        output_mean=np.array([0.0] * (1 + POINTS) + [RUL_CYCLES], np.float32),
        output_std=np.array([scale] * (1 + POINTS) + [100.0], np.float32),
        heads=(
            HeadSlice("level", 0, 1, "fraction", relative=True),
            HeadSlice("trajectory", 1, POINTS, "fraction", relative=True),
            HeadSlice("rul", 1 + POINTS, 1, "cycles"),
        ),
        relative=True,
    )
    return quantize_model(
        model, x, name="trend", meta={"task": TASK, "training": {"split_hash": "00c0ffee" + 56 * "0"}}
    )
