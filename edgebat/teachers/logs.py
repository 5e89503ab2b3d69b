"""Losses for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebat.errors import require


def tensorboard_logger(folder: Path, wanted: bool) -> Any:
    """Lightning's logger into ``folder/tensorboard``; False, as Lightning has it, when none is wanted. Raises
    MissingExtra without the package ``tensorboard``."""
    if not wanted:
        return False
    require("tensorboard", extra="tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")
