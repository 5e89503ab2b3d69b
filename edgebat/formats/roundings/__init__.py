"""How the engines of others round each operator of an int8 file: one class an engine, held equal to it by tests."""

from __future__ import annotations

from edgebat.errors import ModelFileError
from edgebat.formats.roundings.base import Rounding
from edgebat.formats.roundings.onnxruntime import OnnxRuntime
from edgebat.formats.roundings.tflm import TfliteMicro
from edgebat.formats.roundings.xnnpack import Xnnpack

ROUNDINGS: dict[str, Rounding] = {rounding.name: rounding for rounding in (TfliteMicro(), Xnnpack(), OnnxRuntime())}
"""By the name that ``--rounding`` takes."""
AUTO = "auto"
OWN = "was written by edgebat, and its rounding is part of it; leave --rounding out"
"""Of a file for which there is nothing to choose."""
_OTHER_NAMES = {"float": Xnnpack.name, "double": TfliteMicro.name}


def rounding_of(name: str, default: str) -> Rounding:
    """The rounding called ``name``; "auto" is ``default``. Raises ModelFileError for an unknown one."""
    wanted = default if name == AUTO else _OTHER_NAMES.get(name, name)
    if wanted not in ROUNDINGS:
        raise ModelFileError(
            f"rounding {name!r} is unknown; allowed: {', '.join((AUTO, *ROUNDINGS))}, and for two of them "
            "float and double"
        )
    return ROUNDINGS[wanted]


__all__ = ["AUTO", "OWN", "ROUNDINGS", "Rounding", "rounding_of"]
