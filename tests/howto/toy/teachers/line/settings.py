"""How a line is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LineSettings:
    """How the line is fitted."""

    penalty: float = 1e-6
    """Of ridge regression."""
