"""Outputs of a float student in physical units."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.students.spec import FloatModel


def physical_outputs(model: FloatModel, y: FloatArray) -> FloatArray:
    """Normalized outputs [N, O] to physical ones (fractions, cycles); of a relative head to changes."""
    return np.asarray(y * model.output_std.astype(y.dtype) + model.output_mean.astype(y.dtype))
