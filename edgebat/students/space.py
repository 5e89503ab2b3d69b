"""What a search may vary of a student family: each class names its own ``space``. Needs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Chooser(Protocol):
    """Who picks values, such as an Optuna trial."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """A whole number from ``low`` to ``high`` in steps of ``step``."""


class Dimension(Protocol):
    """One keyword argument of a student's class that can be varied."""

    def suggest(self, chooser: Chooser, name: str) -> int | list[int]:
        """A value for the argument; ``name`` is unique among all that is chosen."""

    def scaled(self, value: Any, share: float) -> Any:
        """``value`` for a student whose widths are ``share`` of what they were; what is no width stays."""


Space = Mapping[str, Dimension]
"""Keyword argument -> how it varies."""


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high`` in steps of ``step``."""

    low: int
    high: int
    step: int = 1

    def suggest(self, chooser: Chooser, name: str) -> int:
        """The number."""
        return chooser.suggest_int(name, self.low, self.high, step=self.step)

    def scaled(self, value: int, share: float) -> int:
        """Widths vary in steps; what counts one by one is a number of layers or cycles."""
        return value if self.step == 1 else max(int(value * share) // self.step * self.step, self.low)


@dataclass(frozen=True)
class Widths:
    """As many widths as there are layers, ``fewest`` to ``most``."""

    width: Whole
    fewest: int = 1
    most: int = 2

    def suggest(self, chooser: Chooser, name: str) -> list[int]:
        """One width per layer, from the input on."""
        depth = chooser.suggest_int(f"{name}.depth", self.fewest, self.most)
        return [self.width.suggest(chooser, f"{name}.{layer}") for layer in range(depth)]

    def scaled(self, value: Sequence[int], share: float) -> list[int]:
        """Each width, as many as before."""
        return [self.width.scaled(each, share) for each in value]
