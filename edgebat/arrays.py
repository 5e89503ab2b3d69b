"""Names of the arrays that are handed around: one word per element type, shapes stand in the docstrings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bool = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.signedinteger]
StrArray = npt.NDArray[np.str_]


def open_npy(path: Path) -> Array:
    """The array in a ``.npy`` file, read as it is used: neither its header nor another kind of file can ask for memory.

    Raises OSError, or ValueError for whatever is no such file.
    """
    return np.lib.format.open_memmap(path, mode="r")
