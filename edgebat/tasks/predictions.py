"""Predictions on disk: one ``.safetensors``, the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError
from edgebat.files import atomic_write


def save_predictions(predictions: Mapping[str, FloatArray], path: str | Path) -> None:
    """Write named arrays with one row per window, as float32."""
    from safetensors.numpy import save

    atomic_write(Path(path), save({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in predictions.items()}))


def load_predictions(path: str | Path) -> dict[str, Float32]:
    """Read what ``save_predictions`` wrote. Raises DataError when the file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, Float32] = load(Path(path).read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} holds no predictions ({error}); run the recipe again") from None
    return arrays
