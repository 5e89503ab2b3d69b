"""A small model that reads charges through any window: made-up weights, answers that depend on every input."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgebat.graph import IntGraph, save_graph
from edgebat.graph.origin import graph_ground
from edgebat.ground import Domain, Ground, RowLimits, Seen
from edgebat.quantization import quantize_model
from edgebat.runtime import quantize_input
from edgebat.students.base import HeadSlice
from edgebat.students.spec import DenseLayer, FlattenLayer, FloatModel
from edgebat.tasks.health import HealthSpec

SPEC = HealthSpec(increments=4, context=3, horizon=10, windows="any", charge_rate=True, max_age=20)
"""Windows of 0.1 V from 3.60, 3.65, ... 4.05 V on; a charge passes through every second one."""


def any_window_graph(spec: HealthSpec = SPEC, *, seed: int = 1, rates_mc: tuple[tuple[int, int], ...] = ()) -> IntGraph:
    """SOH is about 90 %, a few points more or less by increments, windows, ages and rates."""
    rng = np.random.default_rng(seed)
    shape = (400, spec.context)
    starts = rng.choice(np.array(spec.starts_v), shape)
    ages = np.sort(rng.integers(0, spec.max_age + 1, shape))[:, ::-1].copy()
    ages[:, -1] = 0
    columns = [rng.uniform(0.02, 0.15, (*shape, spec.increments)), starts[..., None] / 1e3, ages[..., None] / 1e6]
    columns += [rng.uniform(0.3, 0.7, (*shape, 1)) / 1e3] if spec.charge_rate else []
    x = np.concatenate(columns, axis=2).astype(np.float32)
    there = np.arange(spec.context) >= rng.integers(0, spec.context, (400, 1))
    mean, std = x[there].mean(axis=0), x[there].std(axis=0)
    x[~there] = 0.0
    size = spec.context * spec.columns
    weight = rng.normal(0.0, 1.0 / np.sqrt(size), (4, size)).astype(np.float32)
    weight[1], weight[2], weight[3] = weight[0], weight[0] * 0.9, 0.0
    model = FloatModel(
        kind="mlp",
        input_shape=(spec.context, spec.columns),
        layers=(FlattenLayer(), DenseLayer(weight, np.zeros(4, np.float32))),
        input_mean=mean,
        input_std=std,
        output_mean=np.array([0.9, 0.9, 0.9, 100.0], np.float32),
        output_std=np.array([0.05, 0.05, 0.05, 10.0], np.float32),
        heads=(
            HeadSlice("soh", 0, 1, "fraction"),
            HeadSlice("trajectory", 1, 2, "fraction"),
            HeadSlice("rul", 3, 1, "cycles"),
        ),
    )
    behind = spec.columns - spec.increments
    rows = RowLimits(
        (1_000,) * spec.increments + (0,) * behind, (400_000,) * spec.increments + (2**31 - 1,) * behind, rates_mc
    )
    ground = Ground(Seen(cells=1), Seen(), (spec.window_start_v, 4.15), rows)
    graph = quantize_model(model, x, name="any", meta={"task": spec.to_dict(), "training": {"recipe": "made-up"}})
    return replace(graph, meta={**graph.meta, "ground": ground.to_json()})


def with_domain(graph: IntGraph, limit: int, increment_ppm: int = 28_000) -> IntGraph:
    """``graph`` with one prototype for each beginning of a window, whose increments are all alike, and this limit."""
    spec = HealthSpec.from_dict(graph.meta["task"])
    rows = np.zeros((len(spec.starts_v) + 1, 1, spec.context, spec.columns), dtype=np.int64)
    rows[1:, :, :, : spec.increments] = increment_ppm
    rows[1:, :, :, spec.increments] = np.rint(np.array(spec.starts_v)[:, None, None] * 1000)
    known = [quantize_input(graph, row)[0, 0, : spec.increments + 1].astype(int) + 128 for row in rows]
    domain = Domain(tuple(tuple(row.tolist()) for row in known[1:]), limit, 0.02, int(known[0][-1]))
    ground = replace(graph_ground(graph), domain=domain)
    return replace(graph, meta={**graph.meta, "ground": ground.to_json()})


def main() -> None:
    """``python -m tests.any_window_model FILE``: such a model with rows as large as by default."""
    save_graph(any_window_graph(HealthSpec(windows="any", charge_rate=True)), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
