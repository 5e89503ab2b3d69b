"""How a Battery-Timer is built and trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgebat.training.settings import FitSettings


@dataclass(frozen=True)
class DegradationLoss:
    """Terms of the loss beside the pinball over the quantiles; everything is in units of the window's scale."""

    rise: float = 0.0
    """Weight of squared cycle-to-cycle rises of the median beyond ``tolerance``."""
    tolerance: float = 0.05
    """A rise that costs nothing: regeneration is real, but small."""
    knee: float = 0.0
    """Weight of absolute errors, each weighted by how fast the cell truly fades."""


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters; the numbers are the published adapter's."""

    rank: int = 8
    """Of each adapter."""
    alpha: int = 16
    """Adapters count alpha / rank times."""
    dropout: float = 0.05
    """On an adapter's input."""
    head: bool = True
    """Train the heads in full beside the adapters, which the published adapter does not; a backbone that has never
    forecast needs it."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to a stretch of a curve each time it is drawn."""

    stretch: float = 2.0
    """The cycle axis is stretched by up to this factor, either way; 1: not at all."""
    noise: float = 3e-3
    """Largest standard deviation added to the context, fraction of nominal."""
    cut: float = 0.5
    """Chance of a context cut short at a random cycle."""
    check_ups: float = 0.2
    """Chance that only every 2nd to 12th cycle of the context was measured."""
    amplitude: float = 1.1
    """Fade is made larger or smaller by up to this factor."""


@dataclass(frozen=True)
class TimerSettings:
    """How a forecaster is built and trained."""

    network: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the network; its ``context`` is the windows' unless given."""
    start: str = ""
    """Teacher file whose network is trained on; empty: a fresh one after ``network``."""
    lora: LoraSettings | None = None
    """Train adapters; None trains everything."""
    loss: DegradationLoss = field(default_factory=DegradationLoss)
    """Terms beside the pinball loss."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Of the training windows."""
    balance: float = 0.5
    """A data set of n cells is drawn in proportion to n ** balance, its cells alike."""
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=10, batch_size=128, learning_rate=1e-3, samples_per_epoch=12800, patience=10
        )
    )
    """The training itself."""
