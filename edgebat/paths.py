"""Where edgebat's own files lie: recipes, targets and C sources, in a source checkout or in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def share(*parts: str) -> Path:
    """Path of a shipped file or folder, ``parts`` starting with ``"export"`` or ``"firmware_stubs"``.

    A wheel carries both folders in ``edgebat/_share``; a checkout has them beside the package. The path is returned
    whether or not the last part exists, so that the caller can name what is missing.
    """
    installed = _PACKAGE / "_share"
    return (installed if installed.is_dir() else _PACKAGE.parent).joinpath(*parts)


def recipes_dir() -> Path:
    """The folder of shipped recipes, ``*.yaml``."""
    return share("export", "recipes")


def targets_dir() -> Path:
    """The folder of target descriptions, one board per ``*.yaml``."""
    return share("export", "targets")


def zoo_dir() -> Path:
    """The folder of trained checkpoints, ``teachers/<name>/*.safetensors`` with a card each."""
    return share("export", "zoo")


def firmware_dir() -> Path:
    """The folder of hand-written C99: ``include/``, ``src/``, ``ports/``."""
    return share("firmware_stubs")


def default_corpus() -> Path | None:
    """The corpus folder named by the environment variable EDGEBAT_CORPUS, or None when it is unset or empty."""
    value = os.environ.get("EDGEBAT_CORPUS", "")
    return Path(value) if value else None
