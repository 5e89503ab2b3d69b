"""Ready forecast students in C beside the integer graph, on windows of cells."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the baselines beside the lines are torch networks")

from bench.forecast_in_c import differing
from edgebat.models import load_model
from edgebat.tasks.base import task_of


def test_every_output_of_every_window_is_compared() -> None:
    graph = load_model("forecast-mlp-medium")
    forecast, spec = task_of(graph.meta["task"], graph.name)
    windows = forecast.synthetic(spec, cells=2, max_cycles=400, seed=1).windows
    assert differing(graph, windows) == f"0 of {9 * len(windows):,}"
