"""How IC2ML is built and trained.

The paper's Adam at a constant 1e-4 for up to 500 epochs takes hours on a CPU. One cycle up to 1e-3 with AdamW over few
epochs of drawn windows (neighbours share nine of ten cycles) reaches the same validation loss in minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgebat.training.settings import FitSettings


@dataclass(frozen=True)
class Ic2mlSettings:
    """IC2ML's own settings and how to train it."""

    attention: str = "tokens"
    """What the RUL head asks: the cycles of the image (``tokens``), or, as ``published``, one number alone."""
    soh_from: str = "attention"
    """Where the SOH head stands: behind the self-attention, or, as published, on each cycle's ``embedding``."""
    width: int = 256
    """Of the embedding; the paper's."""
    dropout: float = 0.1
    """The paper's; twice as much in the RUL head."""
    alpha: float = 1.0
    """Weight of SOH in the loss, the paper's."""
    beta: float = 1.0
    """Weight of the trajectory, the paper's."""
    gamma: float = 0.5
    """Weight of RUL, the paper's."""
    cell_balance: float = 0.5
    """0 draws every window alike, 1 every cell alike, whatever its length."""
    blends: int = 4
    """Blended windows per measured one."""
    same_cell: float = 0.5
    """Fraction of the blends within one cell."""
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=50, batch_size=64, learning_rate=1e-3, samples_per_epoch=4096, noise=0.05, patience=50
        )
    )
    """The training itself."""
