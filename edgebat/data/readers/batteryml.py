"""BatteryML and BatteryLife files: a pickled dictionary per cell, read without running anything in it.

A pickle may name any function of any module and have it called. This reader knows containers, numbers, text and NumPy
arrays; a file that names anything else is refused by name.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Table
from edgebat.errors import DataError

SUFFIXES = (".pkl",)
NEEDED = ("time_in_s", "voltage_in_V", "current_in_A")
OPTIONAL = ("temperature_in_C", "charge_capacity_in_Ah", "discharge_capacity_in_Ah")
MAX_FILE_BYTES = 2 << 30


def tables(path: Path, profile: Profile) -> list[Table]:
    """The cell of a BatteryML pickle, its cycles in file order; cycles without samples are skipped.

    Raises DataError when the file names anything but plain data, lacks a field, or is damaged.
    """
    content = load_plain_pickle(path)
    if not isinstance(content, dict) or not isinstance(content.get("cycle_data"), list):
        raise DataError(f"{path.name} holds no BatteryML cell: a dictionary with a list 'cycle_data' is needed")
    parts: list[list[Float64]] = []
    for index, cycle in enumerate(content["cycle_data"]):
        number = cycle.get("cycle_number", index + 1) if isinstance(cycle, dict) else index + 1
        try:
            needed = [np.asarray(cycle[field], dtype=np.float64) for field in NEEDED]
            if len({array.shape for array in needed}) > 1:
                raise ValueError(f"the columns differ in length: {[array.size for array in needed]}")
            parts.append([*needed, *(_optional(cycle.get(field), needed[0].size) for field in OPTIONAL),
                          np.full(needed[0].size, float(number))])  # fmt: skip
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path.name}, cycle {number}: {type(error).__name__} {error}; needed are lists of numbers under "
                f"{list(NEEDED)}"
            ) from None
    if not any(part[0].size for part in parts):
        raise DataError(f"{path.name} has no cycle with samples")
    nominal = content.get("nominal_capacity_in_Ah")
    facts = {"nominal_ah": str(nominal)} if isinstance(nominal, (int, float)) else {}
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return [Table((*NEEDED, *OPTIONAL, "cycle_number"), Arrays(columns), layout="batteryml", facts=facts)]


def _optional(values: Any, size: int) -> Float64:
    """A field that may be absent, None or of another length: then without values."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    return array if array.shape == (size,) else np.full(size, np.nan)


def load_plain_pickle(path: str | Path) -> Any:
    """Unpickle plain data: containers, numbers, text, NumPy arrays. Raises DataError for anything else."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path.name} has {size} bytes; at most {MAX_FILE_BYTES} are read")
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None
    except Exception as error:
        # A damaged pickle can raise nearly anything; the reader promises one error type.
        raise DataError(f"{path.name} cannot be read as a pickle: {type(error).__name__}: {error}") from None


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # NumPy 2 moved its core; protocols 0 to 2 name the builtins as Python 2 did.
        known_as = {"__builtin__": "builtins"}.get(module, module.replace("numpy._core.", "numpy.core."))
        try:
            return _ALLOWED[known_as, name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module}.{name}, which is not plain data (containers, numbers, text, NumPy "
                "arrays); it was not opened. A file from a trusted source can be saved again as plain lists"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"the pickle refers to outside data ({pid!r}); only self-contained files are read")


def _empty_array(_cls: type, _shape: object, _dtype: object) -> np.ndarray:
    """Stands in for NumPy's ``_reconstruct``: the array gets its shape and data with its state, which NumPy checks."""
    return np.ndarray((0,), dtype=np.int8)


def _array(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Stands in for NumPy's ``_frombuffer`` (pickle protocol 5)."""
    return np.frombuffer(buffer, dtype=_plain_dtype(dtype)).reshape(shape, order="F" if order == "F" else "C")


def _number(dtype: np.dtype, content: bytes) -> Any:
    """Stands in for NumPy's ``scalar``."""
    return np.frombuffer(content, dtype=_plain_dtype(dtype), count=1)[0]


def _plain_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "biufcSU":
        raise DataError(f"the pickle holds a NumPy value of type {dtype}; numbers and text are read")
    return dtype


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """Stands in for ``_codecs.encode``, which older protocols use for bytes."""
    if encoding != "latin1":
        raise DataError(f"the pickle wants to encode text as {encoding!r}; latin1 is what pickled bytes use")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument; a text cannot be called
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.numeric", "_frombuffer"): _array,
    ("_codecs", "encode"): _latin1,
}
