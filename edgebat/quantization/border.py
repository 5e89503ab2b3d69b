"""Integers at the border: ppm of nominal capacity in, 0.01 % SOH and cycles out (executed by runtime/border.py)."""

from __future__ import annotations

import numpy as np

from edgebat.files import Json
from edgebat.students.spec import INPUT_STEP, FloatModel
from edgebat.tasks.base import FACTORS

MULTIPLIER_BITS = 15
PPM = 1_000_000


def input_border(model: FloatModel) -> Json:
    """Constants of ``q = ((ppm - offset) * multiplier + half) >> shift`` per channel, from mean and deviation.

    ``relative_to: last``: the window's last value is subtracted from every value first.
    """
    gain = 1.0 / (np.maximum(model.input_std.astype(np.float64), 1e-9) * PPM * INPUT_STEP)
    multiplier, shift = _integers(gain)
    return {
        "unit": "ppm_of_nominal",
        "offset": np.rint(model.input_mean.astype(np.float64) * PPM).astype(int).tolist(),
        "multiplier": multiplier.tolist(),
        "shift": shift,
        **({"relative_to": "last"} if model.relative else {}),
    }


def output_border(model: FloatModel, output_scale: float) -> list[Json]:
    """Constants of ``value = offset + ((y * multiplier + half) >> shift)``, one entry per head."""
    heads = []
    for head in model.heads:
        unit, factor = FACTORS[head.unit]
        # All outputs of one head share mean and deviation (students/spec.py).
        mean, std = (float(a[head.index]) * factor for a in (model.output_mean, model.output_std))
        multiplier, shift = _integers(np.array([std * output_scale]))
        heads.append(
            {
                "name": head.name,
                "index": head.index,
                "size": head.size,
                "unit": unit,
                "multiplier": int(multiplier[0]),
                "shift": shift,
                "offset": int(np.rint(mean)),
                **({"relative": True} if head.relative else {}),
            }
        )
    return heads


def _integers(gain: np.ndarray) -> tuple[np.ndarray, int]:
    """``gain`` as 15-bit multipliers with one common shift >= 1."""
    shift = max(MULTIPLIER_BITS - 1 - int(np.floor(np.log2(gain.max()))), 1)
    return np.rint(gain * 2.0**shift).astype(np.int64), shift
