"""What a training says: losses for TensorBoard, and nothing on the terminal that does not apply."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
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
