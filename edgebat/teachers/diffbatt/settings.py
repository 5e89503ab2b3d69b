"""How DiffBatt is built and trained, and how curves are drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgebat.errors import RecipeError
from edgebat.training.settings import StepSettings


@dataclass(frozen=True)
class DiffBattSettings:
    """DiffBatt's own settings and how to train it."""

    first: int = 8
    """Channels of the first level."""
    target: str = "noise"
    """What the U-Net predicts: ``noise`` as published, or ``velocity``; see ``DiffBatt``."""
    standardize: bool = False
    """Divide the matrices by their standard deviation; the network then no longer sees how large a difference is, because
    its first normalization (eps 1e-3) takes a large signal's size away and leaves a small one's."""
    drop: float = 0.2
    """Chance of training without the condition."""
    repeats: int = 1
    """Every cell that often in a step, each with noise of its own."""
    blend: int = 0
    """Train on cells between the measured ones, each blended with one at most so many ranks away in life; 0: the
    measured ones themselves."""
    noise: float = 0.0
    """On the matrix, as a fraction of its standard deviation."""
    members: int = 1
    """So many networks from seeds of their own, drawn from together as one ``diffbatt_ensemble``."""
    fit: StepSettings = field(default_factory=lambda: StepSettings(steps=7500, average=0.999))
    """The training itself."""

    def __post_init__(self) -> None:
        if self.blend < 0 or self.repeats < 1:
            raise RecipeError(f"diffbatt: blend >= 0 and repeats >= 1 are needed; seen {self.blend}, {self.repeats}")


@dataclass(frozen=True)
class Sampling:
    """How curves are drawn. 1000 steps and eta 1 are the paper's ancestral sampling, eta 0 is DDIM."""

    draws: int = 10
    """Per cell."""
    steps: int = 100
    """Of the 1000 noise levels, so many."""
    eta: float = 1.0
    """Fresh noise between the levels corrects the network's errors at the noisiest ones, which DDIM carries to the end."""
    guidance: float = 0.0
    """w mixes (1 + w) conditioned - w unconditioned."""
    limit: float | None = 1.1
    """Largest |2 SOH - 1| a draw may aim at; None for the paper's free sampling."""
    seed: int = 1
    """Of the noise."""
    batch: int = 4096
    """Curves at a time."""
