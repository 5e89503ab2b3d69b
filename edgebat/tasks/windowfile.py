"""Windows and predictions on disk: one ``.safetensors`` each, the same bytes for the same content."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from edgebat.cells import Condition
from edgebat.errors import DataError
from edgebat.files import atomic_write
from edgebat.tasks.health import HealthSpec, HealthWindows

_ARRAYS = ("x", "soh", "trajectory", "rul", "cell", "cycle", "nominal_ah", "reference_ah", "eol_cycle")
_KEY = "windows"


def save_windows(windows: HealthWindows, path: str | Path) -> None:
    """Write all windows with their spec, cells and conditions."""
    words = {
        "spec": windows.spec.to_dict(),
        "cells": windows.cells,
        "conditions": [dataclasses.astuple(condition) for condition in windows.conditions],
        "left_out": windows.left_out,
    }
    arrays = {name: np.ascontiguousarray(getattr(windows, name)) for name in _ARRAYS}
    atomic_write(Path(path), save(arrays, metadata={_KEY: json.dumps(words, sort_keys=True)}))


def load_windows(path: str | Path) -> HealthWindows:
    """Read what ``save_windows`` wrote. Raises DataError when the file is missing or damaged."""
    try:
        content = Path(path).read_bytes()
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        words = json.loads(header["__metadata__"][_KEY])
        return HealthWindows(
            spec=HealthSpec.from_dict(words["spec"]),
            cells=tuple((d, c) for d, c in words["cells"]),
            conditions=tuple(Condition(*values) for values in words["conditions"]),
            left_out=words["left_out"],
            **{name: arrays[name] for name in _ARRAYS},
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} holds no windows ({type(error).__name__}: {error}); run the step 'data' again"
        ) from None


def save_predictions(predictions: Mapping[str, npt.NDArray[np.floating]], path: str | Path) -> None:
    """Write named arrays with one row per window, as float32."""
    atomic_write(Path(path), save({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in predictions.items()}))


def load_predictions(path: str | Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read what ``save_predictions`` wrote. Raises DataError when the file is missing or damaged."""
    try:
        arrays: dict[str, npt.NDArray[np.float32]] = load(Path(path).read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} holds no predictions ({error}); run the recipe again") from None
    return arrays


def content_of(windows: HealthWindows) -> dict[str, int]:
    """Counts for tables: cells, windows, windows before EOL with an observed end of life."""
    before = np.isfinite(windows.rul) & (windows.rul > 0)
    return {"cells": len(windows.cells), "windows": len(windows), "rul": int(before.sum())}


assert {f.name for f in dataclasses.fields(HealthWindows)} == {*_ARRAYS, "spec", "cells", "conditions", "left_out"}
