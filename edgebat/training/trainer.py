"""The Lightning trainer that epochs and steps share, and nothing on the terminal that does not apply."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from edgebat.errors import require
from edgebat.training.settings import TrainerSettings


def lightning_trainer(
    settings: TrainerSettings, folder: Path, epochs: int, callbacks: Sequence[Callback], **own: Any
) -> lightning.Trainer:
    """A trainer where ``settings`` want it, with its files in ``folder``. own: further arguments of Lightning's.

    Raises MissingExtra when losses shall be logged and the package ``tensorboard`` is missing.
    """
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        precision=settings.precision,
        callbacks=list(callbacks),
        logger=_tensorboard_logger(folder) if settings.tensorboard else False,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **own,
    )


def _tensorboard_logger(folder: Path) -> Any:
    require("tensorboard", extra="tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
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
