"""What edgebat raises.

::

    EdgebatError
    ├── DataError       a measurement file, a table of cells, a split or a window is unusable
    ├── RecipeError     an experiment description is wrong
    ├── GraphError      an integer graph breaks its own rules
    ├── ModelFileError  a model file (.ebat, .tflite, .onnx) is damaged or uses something unsupported
    ├── TargetError     a board description is wrong, or a model does not fit the board
    ├── ToolError       a compiler, emulator or other outside program is missing or failed
    └── MissingExtra    an optional Python package is not installed

Every text says what failed, where, the value seen beside the value allowed, and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class EdgebatError(Exception):
    """Base of every error edgebat raises on purpose."""


class DataError(EdgebatError):
    """Measurements, tables of cells, splits or windows that cannot be used."""


class RecipeError(EdgebatError):
    """An experiment description that cannot be carried out."""


class GraphError(EdgebatError):
    """An integer graph that breaks its own rules."""


class ModelFileError(EdgebatError):
    """A model file that is damaged or uses something this edgebat cannot read."""


class TargetError(EdgebatError):
    """A board description that is wrong, or a model that does not fit the board."""


class ToolError(EdgebatError):
    """An outside program (compiler, emulator) that is missing or failed."""


class MissingExtra(EdgebatError):
    """An optional Python package that is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f'the Python package {module!r} is not installed; run: pip install "edgebat[{extra}]"')
        self.module = module
        self.extra = extra


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
