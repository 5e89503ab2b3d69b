"""One network of the gallery: what it is, how it is made, and what should become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STEPS, COLUMNS = 20, 3


@dataclass(frozen=True)
class Entry:
    """A network: what it is, its file or module, calibration windows, and what it gives in its own framework."""

    name: str
    task: str
    framework: str
    make: Callable[[Path], tuple[Any, Callable[[Any], Any]]]
    """Into a folder: (source for ``edgebat.quantize``, windows -> outputs of the framework)."""
    shape: tuple[int, ...] = (STEPS, COLUMNS)
    refused: str = ""
    """Part of the message where the integer graph has no such layer; "" for networks that are quantized."""

    def windows(self, count: int = 256, seed: int = 0) -> Any:
        """Voltage, current and temperature, or features, float32 [count, *shape]."""
        rng = np.random.default_rng([seed, len(self.name)])
        x = rng.normal(size=(count, *self.shape))
        # Samples of a log follow each other.
        if len(self.shape) > 1:
            axis = 1 + int(np.argmax(self.shape))
            x = np.cumsum(x, axis=axis) / np.sqrt(max(self.shape))
        return x.astype(np.float32)
