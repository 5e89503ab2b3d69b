"""How BatLiNet is built and trained."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from edgebat.training.settings import StepSettings


@dataclass(frozen=True)
class BatLiNetShape:
    """What a stored BatLiNet has to know of its making, beside its windows."""

    width: int = 32
    """Channels of the encoders, the paper's."""
    alpha: float = 0.5
    """Weight of the inter-cell branch, the paper's."""
    absolute: bool = False
    """Q(V) itself where the source has it, else differences to the base cycle only."""
    references: int = 64
    """At most so many cells' tensors and lives are stored for prediction."""
    cleaning: bool = True
    """The paper's cleaning of glitches."""
    pool: int = 1
    """Mean over so many neighbouring cycles first."""
    capacity: bool = False
    """A last channel with the capacity of each cycle."""
    compress: float = 0.0
    """Differences d to the base cycle become asinh(d / compress), about the logarithm of what is larger than ``compress``
    (a fraction of nominal); the log of life falls with the log of the differences, and long lives lie where these are
    smallest. 0: as they are."""
    current: bool = False
    """A channel with the charging current over state of charge, the paper's third; only the inter branch can use it, since
    a protocol does not change with the cycles."""


@dataclass(frozen=True)
class BatLiNetSettings(BatLiNetShape):
    """How to train one."""

    pairs: int = 2
    """Random references per cell and step."""
    each_pair: bool = False
    """The pairs' errors count one by one, not, as published, the error of their mean."""
    merge: int = 1
    """Cells neighbouring in life averaged into one stored reference; above 1, no cell's own measurement leaves with the
    model file."""
    noise: float = 0.0
    """On the input, as a fraction of its standard deviation."""
    members: int = 1
    """So many networks from seeds of their own, averaged as one ``batlinet_ensemble``."""
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=1000, weight_decay=0.01))
    """The training itself."""

    @property
    def channels(self) -> int:
        """Q(V), and what else is wanted."""
        return 1 + self.capacity + self.current

    def shape(self, references: int) -> dict[str, Any]:
        """The fields of ``BatLiNetShape``, with so many references."""
        return {f.name: getattr(self, f.name) for f in fields(BatLiNetShape)} | {"references": references}
