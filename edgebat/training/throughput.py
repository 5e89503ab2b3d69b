"""How fast a training ran and how much GPU memory it took: what one needs to choose a machine. Not part of any model."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Counts training steps and their wall time, validation and checkpoints included.

    steps: run here, not those of a checkpoint that was resumed. seconds: their wall time. peak_bytes: largest GPU memory
    of this process, 0 on a CPU.
    """

    def __init__(self) -> None:
        self.steps, self.seconds, self.peak_bytes = 0, 0.0, 0
        self.started = 0.0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock starts, after loading and moving to the device."""
        self.started = time.monotonic()
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One more step."""
        self.steps += 1

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The clock stops, when the device has done its work."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
            self.peak_bytes = int(torch.cuda.max_memory_allocated(pl_module.device))
        self.seconds = time.monotonic() - self.started

    def per_second(self, each: int) -> float:
        """Steps of ``each`` samples per second of wall time, in samples; 0 when nothing was left to do."""
        return self.steps * each / self.seconds if self.steps and self.seconds > 0.0 else 0.0
