"""How BatLiNet is built and trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgebat.training.settings import StepSettings


@dataclass(frozen=True)
class BatLiNetSettings:
    """BatLiNet's own settings and how to train it."""

    width: int = 32
    """Channels of the encoders, the paper's."""
    alpha: float = 0.5
    """Weight of the inter-cell branch, the paper's."""
    absolute: bool = False
    """Q(V) itself where the source has it, else differences to the base cycle only."""
    cleaning: bool = True
    """The paper's cleaning of glitches."""
    pairs: int = 2
    """Random references per cell and step."""
    each_pair: bool = False
    """The pairs' errors count one by one, not, as published, the error of their mean."""
    references: int = 64
    """At most so many are stored for prediction."""
    merge: int = 1
    """Cells neighbouring in life averaged into one stored reference; above 1, no cell's own measurement leaves with the
    model file."""
    noise: float = 0.0
    """On the input, as a fraction of its standard deviation."""
    pool: int = 1
    """Mean over so many neighbouring cycles first."""
    capacity: bool = False
    """A last channel with the capacity of each cycle."""
    compress: float = 0.0
    """Differences d become asinh(d / compress), compress as a fraction of nominal; 0: as they are."""
    current: bool = False
    """A channel with the charging current over state of charge, the paper's third."""
    members: int = 1
    """So many networks from seeds of their own, averaged as one ``batlinet_ensemble``."""
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=1000, weight_decay=0.01))
    """The training itself."""
