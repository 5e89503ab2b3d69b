"""Where one training lives and who watches it, and what it came to; how it trains stands in its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgebat.workers import HERE, Machines

Progress = Callable[[dict[str, float]], None]
"""Called after each epoch with ``epoch``, counted from 0, and its losses."""


@dataclass(frozen=True)
class Run:
    """What every training is handed beside its data and settings. It never changes the trained bytes.

    The seed is not here: it is a setting, so that settings and data alone decide what comes out.
    """

    folder: Path
    """Takes checkpoints and ``history.csv``."""
    resume: bool = True
    """Continue a checkpoint that lies in ``folder``; else it is deleted and the training starts anew."""
    progress: Progress | None = None
    """Who watches; None for nobody."""
    cache: Path | None = None
    """Folder of teacher labels that several trainings share; None computes them anew."""
    machines: Machines = HERE
    """Where the teacher labels, if there is a folder for what it says."""

    def inside(self, name: str) -> Run:
        """The same run in the sub-folder ``name``."""
        return replace(self, folder=self.folder / name)


@dataclass(frozen=True)
class FitResult:
    """What a training by epochs came to. The last two are of this run alone and of the first process."""

    best_loss: float
    """Validation loss of the weights the network now carries."""
    best_epoch: int
    """When they were reached, from 0."""
    epochs: int
    """How many were run."""
    history: list[dict[str, float]]
    """One row per epoch with the mean losses."""
    windows_per_second: float = 0.0
    """Trained on; wall time, validation included."""
    gpu_peak_bytes: int = 0
    """0 on a CPU."""

    def summary(self) -> dict[str, float]:
        """What a record of the training keeps; the same whenever it is repeated."""
        return {"best_epoch": self.best_epoch, "epochs": self.epochs}


@dataclass(frozen=True)
class StepResult:
    """What a training by steps came to, in this run."""

    losses: list[float]
    """Mean training loss of every epoch."""
    seconds: float
    """Wall time."""
    peak_bytes: int
    """GPU memory, 0 on a CPU."""
    steps_per_second: float = 0.0
    """Optimizer steps; 0 when trained in processes of their own."""

    @property
    def last_loss(self) -> float:
        """Mean loss of the last epoch, NaN when nothing was left to do."""
        return self.losses[-1] if self.losses else float("nan")

    def summary(self) -> dict[str, float]:
        """What a record of the training keeps; empty when nothing was left to do."""
        return {"loss": self.last_loss} if self.losses else {}


TrainResult = FitResult | StepResult
