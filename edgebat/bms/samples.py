"""Samples of current, voltage and temperature as the firmware reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE = np.dtype(
    [
        ("current_ma", "<i4"),
        ("dt_ms", "<u4"),
        ("cell_mv", "<i2"),
        ("temperature_ddegc", "<i2"),
        ("valid", "u1"),
        ("pad", "V3"),
    ]
)
"""``edgebat_sample_t``."""
VALID_ALL = 7

Samples = npt.NDArray[np.void]


def samples_array(
    cell_mv: npt.ArrayLike,
    current_ma: npt.ArrayLike,
    dt_ms: npt.ArrayLike,
    temperature_ddegc: npt.ArrayLike = 250,
    valid: npt.ArrayLike = VALID_ALL,
) -> Samples:
    """Samples as the firmware reads them; arrays [N] or scalars, integers."""
    mv = np.asarray(cell_mv)
    samples = np.zeros(mv.shape, dtype=SAMPLE)
    for name, values in (
        ("cell_mv", mv),
        ("current_ma", current_ma),
        ("dt_ms", dt_ms),
        ("temperature_ddegc", temperature_ddegc),
        ("valid", valid),
    ):
        samples[name] = values
    return samples
