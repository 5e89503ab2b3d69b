"""Training for a fixed number of steps on tensors that lie in memory: no validation, last weights or their average.

For data of a few dozen cells, where holding cells back to stop early costs more than it saves. Everything random in
step k follows from (seed, k, rank) alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from edgebat.errors import RecipeError
from edgebat.training.history import HISTORY, append_epoch
from edgebat.training.run import Run, StepResult
from edgebat.training.settings import StepSettings
from edgebat.training.throughput import Throughput
from edgebat.training.trainer import train_or_resume

StepLoss = Callable[[nn.Module, tuple[Tensor, ...], torch.Generator], Tensor]
"""(network, data, generator) -> scalar loss; ``generator``, on the data's device, is the only source of chance."""


class StepFitting(lightning.LightningModule):
    """Network, data and loss as Lightning wants them; ``averaged`` carries the running mean of the weights."""

    def __init__(
        self,
        network: nn.Module,
        data: tuple[Tensor, ...],
        loss: StepLoss,
        settings: StepSettings,
        run: Run,
    ) -> None:
        super().__init__()
        self.run = run
        self.network, self.loss, self.step_settings = network, loss, settings
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self.epoch_losses: list[float] = []
        self.running: list[Tensor] = []
        self.data_names = [f"data_{i}" for i in range(len(data))]
        for name, tensor in zip(self.data_names, data, strict=True):
            self.register_buffer(name, tensor, persistent=False)

    def training_step(self, batch: Any, index: int) -> Tensor:
        """One optimizer step on whatever the loss draws from the data."""
        generator = torch.Generator(device=self.device)
        seed = self.step_settings.seed * 1_000_003 + self.global_step
        generator.manual_seed(seed * 4_099 + self.global_rank)
        value = self.loss(self.network, tuple(self.get_buffer(name) for name in self.data_names), generator)
        self.running.append(value.detach())
        return value

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the average towards the network."""
        decay = self.step_settings.average
        if decay:
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.averaged.parameters()), [p.detach() for p in self.network.parameters()], 1.0 - decay
                )

    def on_train_epoch_end(self) -> None:
        """The mean loss of the epoch, over all processes."""
        mean = self.trainer.strategy.reduce(torch.stack(self.running).mean(), reduce_op="mean")
        self.epoch_losses.append(float(mean))
        self.running.clear()
        self.log("train_loss", self.epoch_losses[-1], sync_dist=True)
        if self.trainer.is_global_zero:
            row = {"epoch": float(self.current_epoch), "train_loss": self.epoch_losses[-1]}
            append_epoch(self.run.folder / HISTORY, row)
            if self.run.progress:
                self.run.progress(row)

    def configure_optimizers(self) -> Any:
        """AdamW (Adam without decay); constant or cosine."""
        s = self.step_settings
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)
        if s.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, s.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit_steps(
    network: nn.Module, data: tuple[Tensor, ...], loss: StepLoss, settings: StepSettings, run: Run
) -> StepResult:
    """Train ``network`` in place; it ends in eval mode on the CPU with its last weights, or their average.

    The run's folder takes ``last.ckpt`` and ``history.csv`` after every epoch. Raises RecipeError when there is no data.
    """
    if not data or not len(data[0]):
        raise RecipeError("there is nothing to train on; give cells with a known life or curve")
    fitting = StepFitting(network, data, loss, settings, run)
    # The data lies in the module; the loader only counts the steps of an epoch.
    loader: Any = DataLoader(TensorDataset(torch.zeros(settings.steps_per_epoch)), batch_size=None)
    newest = ModelCheckpoint(run.folder, "last", every_n_epochs=1, enable_version_counter=False)
    callbacks = [speed := Throughput(), newest]
    each, started = settings.steps_per_epoch, time.monotonic()
    trainer = train_or_resume(
        fitting, loader, settings, run, max_epochs=settings.steps // each, callbacks=callbacks, log_every_n_steps=each
    )
    trained = fitting.averaged if settings.average else fitting.network
    network.load_state_dict({name: value.cpu() for name, value in trained.state_dict().items()})
    network.cpu().eval()
    losses = fitting.epoch_losses
    if not losses and "train_loss" in trainer.callback_metrics:
        # Trained in processes of their own, which hand back the last value only.
        losses = [float(trainer.callback_metrics["train_loss"])]
    return StepResult(losses, time.monotonic() - started, speed.peak_bytes, speed.per_second(1))
