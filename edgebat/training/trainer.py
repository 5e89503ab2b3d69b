"""The Lightning trainer that epochs and steps share, and nothing on the terminal that does not apply."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning

from edgebat.errors import require
from edgebat.training.run import Run
from edgebat.training.settings import TrainerSettings


def train_or_resume(
    module: lightning.LightningModule, data: Any, settings: TrainerSettings, run: Run, **own: Any
) -> lightning.Trainer:
    """``module`` trained on ``data``, where ``settings`` want it, from ``last.ckpt`` in the run's folder unless it shall not
    resume; and the trainer. own: what else its trainer is made with.

    Raises MissingExtra when losses shall be logged and the package ``tensorboard`` is missing.
    """
    last = run.folder / "last.ckpt"
    if not run.resume:
        for stale in (last, run.folder / "best.ckpt"):
            stale.unlink(missing_ok=True)
    with _quiet_lightning():
        trainer = lightning.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=settings.precision,
            logger=_tensorboard_logger(run.folder) if settings.tensorboard else False,
            use_distributed_sampler=False,
            gradient_clip_val=1.0,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=run.folder,
            **own,
        )
        # Checkpoints are written by the first process; Lightning waits for it before the others go on.
        trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
    return trainer


def _tensorboard_logger(folder: Path) -> Any:
    require("tensorboard", extra="tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide advice that does not apply: windows lie in memory, so workers would only cost time."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        # Lightning itself still asks torch's pytrees in the old way.
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        try:
            yield
        finally:
            logger.setLevel(level)
