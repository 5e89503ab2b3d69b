"""What a model must know of itself in the field: the error to expect, and the temperatures it has seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.evaluate import predict_health
from edgebat.graph import IntGraph
from edgebat.tasks.health import HealthWindows

MARGIN_DEGC = 5.0
"""A chamber holds its temperature; a cell in it is warmer, and a field is never exactly a chamber."""


def field_limits(graph: IntGraph, train: HealthWindows, val: HealthWindows) -> dict[str, Any]:
    """``sigma_cpct``: RMSE of SOH on validation cells in 0.01 %; ``temperature_ddegc``: [lowest, highest] temperature of
    the training cells, 0.1 degC, widened by five degrees; left out where the conditions do not say any.

    Travels as ``meta["field"]`` of the graph, and from there into firmware.
    """
    wrong = predict_health(graph, val.x)["soh"] - val.soh
    found: dict[str, Any] = {"sigma_cpct": min(round(float(np.sqrt(np.mean(wrong**2))) * 10_000), 0xFFFE)}
    stated = [condition.temperature_degc for condition in train.conditions]
    degrees = [temperature for temperature in stated if temperature is not None]
    if degrees and len(degrees) == len(train.conditions):
        limits = (min(degrees) - MARGIN_DEGC, max(degrees) + MARGIN_DEGC)
        found["temperature_ddegc"] = [round(10 * limit) for limit in limits]
    return found
