"""Training any network the same way: AdamW on a one-cycle schedule, early stopping, best weights, resume.

Everything random in epoch k follows from (seed, k) alone, so a resumed run equals an uninterrupted one byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from edgebat.errors import RecipeError
from edgebat.training.history import HISTORY, write_history
from edgebat.training.run import FitResult, Progress, Run
from edgebat.training.settings import FitSettings
from edgebat.training.throughput import Throughput
from edgebat.training.trainer import train_or_resume

Batch = tuple[Tensor, ...]
LossFunction = Callable[[nn.Module, Batch], dict[str, Tensor]]


class EpochBatches(Sampler[list[int]]):
    """Batches of indices; epoch k draws them from (seed, k). ``weights``: chance of each sample, None for all alike."""

    def __init__(self, samples: int, settings: FitSettings, weights: Tensor | None) -> None:
        self.samples, self.weights = samples, weights
        self.drawn = settings.samples_per_epoch or samples
        self.batch_size, self.seed = min(settings.batch_size, self.drawn), settings.seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.drawn // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.weights is not None:
            order = torch.multinomial(self.weights, self.drawn, replacement=True, generator=generator)
        else:
            # More draws than samples means going round again, so that every sample is seen equally often.
            rounds = -(-self.drawn // self.samples)
            order = torch.cat([torch.randperm(self.samples, generator=generator) for _ in range(rounds)])
        rank, processes = _process()
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size][rank::processes].tolist()


def _process() -> tuple[int, int]:
    """This process's number and how many train together."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class BatchDataset(TensorDataset):
    """Gives whole batches: indexing with a list is one gather instead of one Python call per sample."""

    def __getitem__(self, index: Any) -> Batch:
        return tuple(tensor[index] for tensor in self.tensors)


class WindowData(lightning.LightningDataModule):
    """Training and validation tensors as Lightning wants them."""

    def __init__(self, train: Batch, val: Batch, settings: FitSettings, weights: Tensor | None) -> None:
        super().__init__()
        self.train, self.val = train, val
        self.batches = EpochBatches(len(train[0]), settings, weights)

    def state_dict(self) -> dict[str, Any]:
        return {"next_epoch": self.batches.epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A resumed Lightning draws the first batch before it tells the sampler which epoch it is.
        self.batches.set_epoch(state_dict["next_epoch"])

    def train_dataloader(self) -> DataLoader[Batch]:
        # A generator of its own: otherwise starting to iterate takes a number from the one that noise is drawn from.
        generator = torch.Generator()
        return DataLoader(BatchDataset(*self.train), sampler=self.batches, batch_size=None, generator=generator)

    def val_dataloader(self) -> DataLoader[Batch]:
        size = len(self.val[0])
        chunks = [list(range(start, min(start + 1024, size))) for start in range(0, size, 1024)]
        return DataLoader(BatchDataset(*self.val), sampler=chunks, batch_size=None, generator=torch.Generator())


class Fitting(lightning.LightningModule):
    """A network, its loss function and the schedule. The loss dictionary's "loss" is minimized, the rest is logged."""

    def __init__(self, network: nn.Module, loss: LossFunction, settings: FitSettings, steps: int) -> None:
        super().__init__()
        self.network, self.loss, self.fit_settings, self.steps = network, loss, settings, steps
        self.epoch_losses: list[Tensor] = []

    def on_train_epoch_start(self) -> None:
        self.epoch_losses.clear()
        # Processes see different parts of a batch and must not disturb them alike.
        torch.manual_seed(self.fit_settings.seed * 1_000_003 + self.current_epoch + 7_919 * _process()[0])

    def training_step(self, batch: Batch, index: int) -> Tensor:
        x, *targets = batch
        if self.fit_settings.noise:
            x = x + self.fit_settings.noise * self.network.get_buffer("input_std") * torch.randn_like(x)
        losses = self.loss(self.network, (x, *targets))
        # Lightning's own averages cost more than a step of a small student.
        self.epoch_losses.append(losses["loss"].detach())
        return losses["loss"]

    def epoch_loss(self) -> Tensor:
        """The mean loss of the epoch so far, over all processes."""
        mean: Tensor = self.trainer.strategy.reduce(torch.stack(self.epoch_losses).mean(), reduce_op="mean")
        return mean

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", self.epoch_loss(), sync_dist=_process()[1] > 1)

    def validation_step(self, batch: Batch, index: int) -> None:
        losses = self.loss(self.network, batch)
        self.log_dict(
            {f"val_{name}": value for name, value in losses.items()},
            batch_size=len(batch[0]),
            sync_dist=_process()[1] > 1,
        )

    def configure_optimizers(self) -> Any:
        s = self.fit_settings
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, s.learning_rate, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class History(Callback):
    """Mean losses of every epoch; part of the checkpoint, written to ``history.csv``, handed to ``progress``."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.path, self.progress = path, progress
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        metrics = {**trainer.callback_metrics, "train_loss": pl_module.epoch_loss()}
        values = {name: float(value) for name, value in sorted(metrics.items())}
        self.rows.append({"epoch": float(trainer.current_epoch), **values})
        if trainer.is_global_zero:
            write_history(self.path, self.rows)
        if self.progress and trainer.is_global_zero:
            self.progress(self.rows[-1])


def fit(
    network: nn.Module,
    loss: LossFunction,
    train: Batch,
    val: Batch,
    settings: FitSettings,
    run: Run,
    weights: Tensor | None = None,
) -> FitResult:
    """Train ``network`` in place and leave it with the weights ``settings.keep`` names, in eval mode, on the CPU.

    train, val: tensors with N rows each, the inputs first; ``loss(network, batch)`` gives a dictionary with "loss".
    weights: float [N], chance of drawing each training window. The run's folder takes ``last.ckpt``, ``best.ckpt`` and
    ``history.csv``. Raises RecipeError when there is nothing to train or to validate on.
    """
    if not len(train[0]) or not len(val[0]):
        raise RecipeError(f"training needs windows on both sides: {len(train[0])} to train, {len(val[0])} to validate; "
                          "give more cells or change the split")  # fmt: skip
    folder = run.folder
    data = WindowData(train, val, settings, weights)
    history, speed = History(folder / HISTORY, run.progress), Throughput()
    best = ModelCheckpoint(folder, "best", monitor="val_loss", enable_version_counter=False)
    # One of its own: ``save_last`` writes only together with a better one, and a resumed run would start further back.
    newest = ModelCheckpoint(folder, "last", enable_version_counter=False)
    callbacks = [history, speed, best, newest, EarlyStopping("val_loss", patience=settings.patience)]
    fitting = Fitting(network, loss, settings, steps=len(data.batches) * settings.epochs)
    train_or_resume(fitting, data, settings, run, max_epochs=settings.epochs, callbacks=callbacks, deterministic=True)
    state = torch.load(folder / f"{settings.keep}.ckpt", map_location="cpu", weights_only=True)
    network.cpu().eval()
    fitting.load_state_dict(state["state_dict"])
    losses = [row["val_loss"] for row in history.rows]
    epoch = int(torch.tensor(losses).argmin()) if settings.keep == "best" else len(losses) - 1
    rate = speed.per_second(data.batches.batch_size)
    return FitResult(losses[epoch], epoch, len(losses), history.rows, rate, speed.peak_bytes)
