"""What a run's report shows of whether a student is to be trusted: what it refuses, and how wrong it is, how far out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground
from edgebat.models import run_cells, to_ppm
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import Refusal, domain_scores
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.coverage import coverage
from edgebat.tasks.windows import Windows

if TYPE_CHECKING:  # the report decides nothing of the step that measures
    from edgebat.report.results import DomainPoints, Trust

DOTS = 400


def trust_of(graph: IntGraph, task: AnyTask, windows: Windows, predictions: Predictions) -> Trust:
    """Of an int8 student on held-out windows, and what it predicts for them."""
    counts = Counter(Refusal(value).text for value in run_cells(graph, windows).refusal.tolist() if value)
    return {
        "held": [dataclasses.asdict(found) for found in coverage(task, windows, predictions)],
        "windows": len(windows),
        "refused": dict(sorted(counts.items())),
        "domain": _points(graph, task, windows, predictions),
    }


def _points(graph: IntGraph, task: AnyTask, windows: Windows, predictions: Predictions) -> DomainPoints | None:
    scores, domain = domain_scores(graph, quantize_input(graph, to_ppm(windows.inputs()))), graph_ground(graph).domain
    if scores is None or domain is None:
        return None
    measured, predicted, what = task.parity(windows, predictions)
    error = np.abs(np.asarray(predicted, np.float64) - measured)
    if error.shape != scores.shape:
        return None
    known = np.flatnonzero(np.isfinite(error))
    known = known[:: max(1, -(-len(known) // DOTS))]
    return {
        "limit": domain.limit,
        "score": [int(v) for v in scores[known]],
        "error": [round(float(v), 4) for v in error[known]],
        "what": what,
    }
