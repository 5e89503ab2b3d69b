"""How a network is trained, as values: what every training needs, and what epochs or steps add to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebat.errors import RecipeError


@dataclass(frozen=True)
class TrainerSettings:
    """What does not depend on how a training counts its time: the seed, the rate, and where it runs."""

    learning_rate: float = 1e-3
    """AdamW's largest."""
    seed: int = 1
    """Of everything random; same seed, settings and data, same bytes."""
    precision: Any = "32-true"
    """Lightning's: ``32-true``, ``bf16-mixed``, ``16-mixed``."""
    accelerator: str = "auto"
    """Lightning's: ``auto``, ``cpu``, ``gpu``."""
    devices: int = 1
    """Processes per node; a batch is divided among all, so that ``batch_size`` keeps its meaning."""
    nodes: int = 1
    """Machines that train together, each started with the same command."""
    strategy: str = "auto"
    """Lightning's: ``auto`` for one process, ``ddp`` for several."""
    tensorboard: bool = False
    """Also log losses for TensorBoard, into ``tensorboard`` in the run's folder (extra ``tensorboard``)."""


@dataclass(frozen=True)
class FitSettings(TrainerSettings):
    """Training by epochs, watched on validation windows. The rate climbs to ``learning_rate`` and falls to nearly zero
    over all epochs."""

    epochs: int = 40
    """At most so many."""
    batch_size: int = 128
    """Windows a step, over all processes."""
    weight_decay: float = 1e-2
    """AdamW's."""
    patience: int = 12
    """Epochs without a better validation loss before stopping; one much below ``epochs`` may stop while the rate is
    still high."""
    keep: str = "best"
    """The weights of the ``best`` epoch on validation, or of the ``last``; with one or two validation cells the best is
    often an early one, found while the rate was high, and differs from seed to seed."""
    samples_per_epoch: int = 0
    """Windows drawn per epoch; 0: all of them, once."""
    noise: float = 0.0
    """Standard deviation added to the inputs, as a fraction of each input's own."""

    @property
    def validation_decides(self) -> bool:
        """Whether validation cells choose the weights or stop the training; if not, they may teach as well."""
        return self.keep != "last" or self.patience < self.epochs

    def __post_init__(self) -> None:
        if self.keep not in ("best", "last"):
            raise RecipeError(f"keep is {self.keep!r}; choose best or last")


@dataclass(frozen=True)
class StepSettings(TrainerSettings):
    """Training for a fixed number of steps, without validation."""

    steps: int = 1000
    """A multiple of ``steps_per_epoch``."""
    weight_decay: float = 0.0
    """AdamW's; 0 is Adam."""
    schedule: str = "constant"
    """Of the rate: ``constant``, or ``cosine`` down to zero at the last step."""
    average: float = 0.0
    """Decay of the running mean of the weights that is kept in the end; 0: the last weights."""
    steps_per_epoch: int = 100
    """A checkpoint is written this often."""

    def __post_init__(self) -> None:
        if self.schedule not in ("constant", "cosine"):
            raise RecipeError(f"schedule is {self.schedule!r}; choose constant or cosine")
        if self.steps < 1 or self.steps_per_epoch < 1 or self.steps % self.steps_per_epoch:
            raise RecipeError(f"steps ({self.steps}) must be a multiple of steps_per_epoch ({self.steps_per_epoch})")
        if not 0.0 <= self.average < 1.0:
            raise RecipeError(f"average is {self.average}; 0 <= average < 1 is needed")
