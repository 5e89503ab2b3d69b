"""What edgebat raises.

::

    EdgebatError
    ├── DataError       a measurement file, a table of cells, a split or a window is unusable
    │   └── OutsideGround  all of it is unlike what the model has learnt from
    ├── RecipeError     an experiment description is wrong
    ├── GraphError      an integer graph breaks its own rules
    ├── ModelFileError  a model file (.ebat, .tflite, .onnx) is damaged or uses something unsupported
    ├── TargetError     a board description is wrong, or a model does not fit the board
    │   └── TooLarge    a model that the board's memory cannot hold
    ├── ToolError       a compiler, emulator or other outside program is missing or failed
    └── MissingExtra    an optional Python package is not installed

Every text says what failed, where, the value seen beside the value allowed, and what to do.
"""

from __future__ import annotations

import errno
import importlib
from types import ModuleType


class EdgebatError(Exception):
    """Base of every error edgebat raises on purpose."""

    exit_code = 2
    """Of the command that ends with it."""


class DataError(EdgebatError):
    """Measurements, tables of cells, splits or windows that cannot be used."""


class OutsideGround(DataError):
    """Measurements that are sound, and in all of which a device would give no estimate: the model has learnt from others."""

    exit_code = 3

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output
        """What a command prints on standard output all the same."""


class RecipeError(EdgebatError):
    """An experiment description that cannot be carried out."""


class GraphError(EdgebatError):
    """An integer graph that breaks its own rules."""


class ModelFileError(EdgebatError):
    """A model file that is damaged or uses something this edgebat cannot read."""


class TargetError(EdgebatError):
    """A board description that is wrong, or a model that does not fit the board."""


class TooLarge(TargetError):
    """A model that the memory of a board, or of the board that a simulator knows, cannot hold."""


class ToolError(EdgebatError):
    """An outside program (compiler, emulator) that is missing or failed."""


class MissingExtra(EdgebatError):
    """An optional Python package that is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f'the Python package {module!r} is not installed; run: pip install "edgebat[{extra}]"')
        self.module = module
        self.extra = extra


_REASONS = {
    errno.ENOENT: "is not there",
    errno.EISDIR: "is a folder; a file is needed here",
    errno.ENOTDIR: "cannot be reached, for a part of its path is a file and not a folder",
    errno.EACCES: "cannot be used: permission denied; change its permissions, or give another path",
    errno.EPERM: "cannot be used: operation not permitted; change its permissions, or give another path",
    errno.EROFS: "cannot be written, the file system is read-only; give another path",
    errno.ENOSPC: "cannot be written, the disk is full; free some space and run the same command again",
    errno.EDQUOT: "cannot be written, your share of the disk is used up; free some space and run the same command again",
    errno.EMFILE: "cannot be opened, too many files are open; raise the limit: ulimit -n 4096",
    errno.EEXIST: "is there already as something else; give another path",
}


def explain_os_error(error: OSError) -> str:
    """What the system refused, with the path it refused it for and what to do."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    what = " -> ".join(names) or "a file"
    if error.errno in _REASONS:
        return f"{what} {_REASONS[error.errno]}"
    return f"{what}: {error.strerror or error}"


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` (may be dotted) now, or raise MissingExtra naming the pip extra that brings it.

    Only the absence of the package itself becomes MissingExtra; one that is there but broken raises what it raises.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(module, extra) from None
