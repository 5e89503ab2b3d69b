"""What a model must know of itself in the field: the error to expect, and the temperatures it has seen."""

from __future__ import annotations

import numpy as np

from edgebat.files import Json
from edgebat.graph import IntGraph
from edgebat.models import predict_int8
from edgebat.tasks.base import FACTORS, Head
from edgebat.tasks.windows import Windows

MARGIN_DEGC = 5.0
"""A chamber holds its temperature; a cell in it is warmer, and a field is never exactly a chamber."""
UNKNOWN = 0xFFFF


def field_limits(graph: IntGraph, heads: tuple[Head, ...], train: Windows, val: Windows) -> Json:
    """Error and ground of a model, for ``meta["field"]`` of its graph and from there into firmware.

    ``sigma_<unit>``: RMSE of the first head with labels on validation cells, 0.01 % or cycles; ``temperature_ddegc``:
    [lowest, highest] temperature of the training cells, 0.1 degC, widened by five degrees; left out where one of them does
    not state any.
    """
    targets = val.targets()
    head = next(head for head in heads if head.name in targets)
    wrong = predict_int8(graph, val)[head.name].reshape(len(val), -1) - targets[head.name]
    unit, factor = FACTORS[head.unit]
    known = wrong[np.isfinite(wrong)]
    found: Json = {}
    if known.size:
        found[f"sigma_{unit}"] = min(round(float(np.sqrt(np.mean(known**2))) * factor), UNKNOWN - 1)
    stated = [condition.temperature_degc for condition in train.conditions]
    degrees = [temperature for temperature in stated if temperature is not None]
    if degrees and len(degrees) == len(train.conditions):
        limits = (min(degrees) - MARGIN_DEGC, max(degrees) + MARGIN_DEGC)
        found["temperature_ddegc"] = [round(10 * limit) for limit in limits]
    return found
