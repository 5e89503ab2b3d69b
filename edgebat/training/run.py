"""Where one training lives and who watches it; how it trains stands in its settings, the seed included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What every training is handed beside its data and settings. It never changes the trained bytes.

    The seed is not here: it is a setting, so that settings and data alone decide what comes out.
    """

    folder: Path
    """Takes checkpoints and ``history.csv``."""
    resume: bool = True
    """Continue a checkpoint that lies in ``folder``; else it is deleted and the training starts anew."""
    progress: Callable[[dict[str, float]], None] | None = None
    """Called after each epoch with its losses."""
    cache: Path | None = None
    """Folder of teacher labels that several trainings share; None computes them anew."""

    def inside(self, name: str) -> Run:
        """The same run in the sub-folder ``name``."""
        return replace(self, folder=self.folder / name)
