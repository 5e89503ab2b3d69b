"""Windows of users: arrays, tables and generators as float arrays [N, *shape]."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float64, open_npy
from edgebat.errors import DataError, require
from edgebat.networks.layers import FloatNetwork

MOST_WINDOWS = 1 << 16
MOST_VALUE = 1e12
"""What a battery measures is smaller in any unit."""
SUFFIXES = (".npz", ".npy", ".parquet", ".csv")
X_NAMES, Y_NAMES = ("x", "windows", "inputs", "X"), ("y", "labels", "targets", "Y")


def load_windows(source: Any) -> Array:
    """Windows out of a file, an array, a DataFrame, or an iterable of batches [n, ...]; tuples hold them first.

    A table (``.csv``, ``.parquet``) is an array [rows, columns]. Raises DataError.
    """
    return _checked(
        _from_file(Path(source), X_NAMES) if isinstance(source, str | Path) else _from_memory(source), source
    )


def load_labels(source: Any) -> Array:
    """Labels [N, ...] out of a file (of ``.npz`` the array ``y``) or an array. Raises DataError."""
    return _checked(
        _from_file(Path(source), Y_NAMES) if isinstance(source, str | Path) else _from_memory(source), source
    )


def _checked(array: Array, source: Any) -> Array:
    what = source if isinstance(source, str | Path) else "the calibration"
    if array.dtype.kind not in "biuf" or not array.ndim or not len(array):
        raise DataError(
            f"{what}: an array {array.dtype} {list(array.shape)}; windows are numbers [N, T, C] or [N, F], N >= 1"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{what} holds NaN or infinity; drop those windows")
    if (largest := float(np.abs(array.astype(np.float64)).max(initial=0.0))) >= MOST_VALUE:
        raise DataError(f"{what} holds values up to {largest:.3g}; allowed: below {MOST_VALUE:.0e}. Drop those windows")
    return array.astype(np.float64)


def _from_file(path: Path, names: Sequence[str]) -> Array:
    if path.is_dir():
        raise DataError(f"{path} is a folder; windows come from a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"there is no file {path}; windows come from a file that ends in {', '.join(SUFFIXES)}")
    try:
        match path.suffix:
            case ".npy":
                return np.array(open_npy(path))
            case ".npz":
                with np.load(path, allow_pickle=False) as found:
                    known = [name for name in names if name in found.files]
                    if not known and len(found.files) != 1:
                        raise DataError(
                            f"{path} holds the arrays {', '.join(found.files)}; name one of them {names[0]!r}"
                        )
                    return np.asarray(found[known[0] if known else found.files[0]])
            case ".parquet":
                table = require("pyarrow.parquet", extra="data").read_table(path)
                return np.column_stack([table.column(name).to_numpy() for name in table.column_names])
            case ".csv":
                return _csv(path)
    except (OSError, ValueError, TypeError, EOFError, LookupError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as windows: {error}") from None
    raise DataError(
        f"{path}: windows come from a file that ends in {', '.join(SUFFIXES)}, not {path.suffix or 'nothing'!r}"
    )


def _csv(path: Path) -> Array:
    with path.open(encoding="utf-8-sig") as stream:
        first = stream.readline()
    try:
        [float(text) for text in first.split(",")]
    except ValueError:
        return np.loadtxt(path, delimiter=",", ndmin=2, skiprows=1, encoding="utf-8-sig")
    return np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")


def _from_memory(source: Any) -> Array:
    if isinstance(source, np.ndarray):
        return source
    if hasattr(source, "to_numpy"):
        return np.asarray(source.to_numpy())
    if hasattr(source, "detach"):
        return np.asarray(source.detach().cpu().numpy())
    if not isinstance(source, Iterable) or isinstance(source, str | bytes | dict):
        kind = type(source).__qualname__
        raise DataError(f"calibration windows are a file, an array, a DataFrame or an iterable of batches, not {kind}")
    parts, count = [], 0
    for batch in source:
        part = _from_memory(batch[0] if isinstance(batch, tuple | list) else batch)
        parts.append(part)
        count += len(part)
        if count >= MOST_WINDOWS:
            break
    if not parts:
        raise DataError("the generator gives no calibration windows")
    if len({part.shape[1:] for part in parts}) != 1:
        raise DataError(
            f"the generator gives batches of the shapes {sorted({part.shape[1:] for part in parts})}; give one"
        )
    return np.concatenate(parts)


def as_windows(x: Array, network: FloatNetwork) -> tuple[Float64, str]:
    """Windows [N, *file_shape] of ``network`` out of ``x``, and how a table was read, for users.

    ``x`` holds windows, windows in one row each, or, as a table of the network's columns, consecutive samples of a log, of
    which windows are cut, at most 4096 of them. Raises DataError.
    """
    shape, columns = network.file_shape, network.shape[-1]
    size = int(np.prod(shape))
    steps = size // columns
    if x.shape[1:] == shape:
        return x.astype(np.float64), ""
    if x.shape == shape:
        return x[None].astype(np.float64), ""
    if x.shape[1:] == (size,):
        return x.reshape(len(x), *shape).astype(np.float64), f"one window {list(shape)} per row"
    if x.ndim == 2 and x.shape[1] == columns and len(x) >= steps > 1:
        views = np.lib.stride_tricks.sliding_window_view(x, steps, axis=0)  # [N, C, T]
        chosen = views[:: -(-len(views) // 4096)]
        ordered = chosen if network.transposed else chosen.swapaxes(1, 2)
        return ordered.reshape(len(chosen), *shape).astype(np.float64), f"consecutive samples, windows of {steps} rows"
    raise DataError(
        f"calibration windows have the shape {list(x.shape)}; the network reads [N, {', '.join(map(str, shape))}], or a "
        f"table with {size} columns (a window per row) or {columns} (consecutive samples)"
    )
