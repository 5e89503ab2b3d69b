"""How far to trust each label of a teacher: less where its members disagree more than it errs on cells nobody has seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebat.arrays import Float64, FloatArray
from edgebat.errors import RecipeError
from edgebat.tasks.windows import Windows

SMALLEST = 1e-12
"""A teacher without an error still has a scale."""
LARGEST = 1e100
"""Spreads of so many scales are all alike; their squares would be infinite."""


def validation_errors(val: Windows, labels: Mapping[str, FloatArray]) -> dict[str, float]:
    """Root mean square error of ``labels`` on validation windows, head by head, where something was measured."""
    errors = {}
    for head, measured in val.targets().items():
        if head in labels:
            wrong = np.asarray(labels[head], dtype=np.float64).reshape(len(val), -1) - measured.reshape(len(val), -1)
            known = wrong[np.isfinite(wrong)]
            if known.size:
                errors[head] = float(np.sqrt(np.square(known).mean()))
    return errors


def trust(labels: Mapping[str, FloatArray], errors: Mapping[str, float], factor: float) -> dict[str, Float64]:
    """Head -> [N, values] in 0 to 1, ``1 / (1 + (spread / scale)^2)`` with scale = ``factor`` * validation error: one half
    where the spread is the scale. Heads without a spread or an error are not there; a spread that is NaN is not trusted.

    Raises RecipeError when there is none at all.
    """
    found = {}
    for head, error in errors.items():
        if f"{head}_spread" in labels:
            spread = np.asarray(labels[f"{head}_spread"], dtype=np.float64)
            ratio = spread.reshape(len(spread), -1) / max(factor * error, SMALLEST)
            found[head] = np.where(np.isfinite(ratio), 1.0 / (1.0 + np.square(np.minimum(ratio, LARGEST))), 0.0)
    if not found:
        raise RecipeError(
            f"distill.trust_spread needs a teacher that knows its spread, such as several of them (teacher: [..., ...]); "
            f"this one gives {', '.join(labels)}"
        )
    return found
