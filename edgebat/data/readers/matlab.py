"""MATLAB files by scipy: NASA's battery sets (a struct of cycles), and tables as vectors or as one struct of vectors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.data.readers.names import roles_in
from edgebat.data.readers.profiles import Profile
from edgebat.data.readers.table import Arrays, Table
from edgebat.errors import DataError, require

SUFFIXES = (".mat",)
NASA = {
    "time": "Time",
    "voltage": "Voltage_measured",
    "current": "Current_measured",
    "temperature": "Temperature_measured",
}


def tables(path: Path, profile: Profile) -> list[Table]:
    """One table per battery of the file. Raises DataError."""
    io = require("scipy.io", "data")
    try:
        content = io.loadmat(path, simplify_cells=True)
    except NotImplementedError:
        raise DataError(f"{path.name} is of MATLAB 7.3 (HDF5); save it with save(..., '-v7')") from None
    except Exception as error:
        # A damaged file can raise nearly anything; the reader promises one error type.
        raise DataError(f"{path.name} cannot be read as a MATLAB file: {type(error).__name__}: {error}") from None
    content = {name: value for name, value in content.items() if not name.startswith("__")}
    batteries = [name for name, value in content.items() if isinstance(value, dict) and _is_nasa(value)]
    if batteries:
        return [_nasa(path, content[name], name if len(batteries) > 1 else "") for name in batteries]
    steps = content.get("data", {}).get("step") if isinstance(content.get("data"), dict) else None
    if steps is not None:
        return [_steps(path, np.atleast_1d(steps))]
    groups = {path.stem: content, **{name: value for name, value in content.items() if isinstance(value, dict)}}
    found = {
        name: vectors
        for name, group in groups.items()
        for vectors in [_vectors(group)]
        if {"voltage", "current"} <= roles_in(list(vectors))
    }
    if not found:
        raise DataError(
            f"{path.name} holds {', '.join(content) or 'nothing'}; needed are vectors for time, voltage and current, "
            "alone or in a struct, or NASA's struct of cycles"
        )
    return [
        Table(tuple(vectors), Arrays(list(vectors.values())), channel=name if len(found) > 1 else "")
        for name, vectors in found.items()
    ]


def _is_nasa(value: Mapping[str, Any]) -> bool:
    cycles = np.atleast_1d(value.get("cycle", np.zeros(0)))
    return bool(cycles.size) and isinstance(cycles.ravel()[0], dict)


def _vectors(group: Mapping[str, Any]) -> dict[str, Array]:
    """The vectors of the commonest length."""
    arrays = {name: np.atleast_1d(np.squeeze(value)) for name, value in group.items() if isinstance(value, np.ndarray)}
    arrays = {name: array for name, array in arrays.items() if array.ndim == 1 and array.size > 1}
    sizes = [array.size for array in arrays.values()]
    size = max(set(sizes), key=sizes.count, default=0)
    return {name: array for name, array in arrays.items() if array.size == size}


def _nasa(path: Path, battery: Mapping[str, Any], channel: str) -> Table:
    parts = list(_operations(path, battery["cycle"]))
    if not parts:
        raise DataError(f"{path.name} has no charge and no discharge with samples")
    names = ("datetime", *NASA, "step number", "step type")
    columns = [np.concatenate([part[i] for part in parts]) for i in range(len(names))]
    keep = [i for i, name in enumerate(names) if name != "time"]
    return Table(
        tuple(names[i] for i in keep), Arrays([columns[i] for i in keep]), channel=channel, layout="nasa",
        notes=("impedance measurements are passed over",),
    )  # fmt: skip


def _steps(path: Path, steps: Any) -> Table:
    """NASA's randomized sets: one struct per step; discharging is positive there."""
    columns: dict[str, list[Array]] = {"time_s": [], "voltage_v": [], "current_a": [], "temperature_c": []}
    numbers, kinds = list[Array](), list[Array]()
    try:
        for number, step in enumerate(steps, 1):
            for name, parts in columns.items():
                parts.append(np.atleast_1d(np.asarray(step[name.split("_")[0]], dtype=np.float64)))
            size = columns["time_s"][-1].size
            numbers.append(np.full(size, number))
            kinds.append(np.full(size, str(step["type"])))
        values = [np.concatenate(parts) for parts in (*columns.values(), numbers, kinds)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{path.name}: {type(error).__name__} {error}; its steps need {', '.join(columns)}, type"
        ) from None
    return Table((*columns, "step number", "step type"), Arrays(values), layout="nasa")


def _operations(path: Path, cycles: Any) -> Iterator[tuple[Array, ...]]:
    for number, cycle in enumerate(np.atleast_1d(cycles), 1):
        try:
            kind, data = str(cycle["type"]), cycle["data"]
            if kind not in ("charge", "discharge"):
                continue
            values = [np.atleast_1d(np.asarray(data[field], dtype=np.float64)) for field in NASA.values()]
            year, month, day, hour, minute, second = (float(part) for part in np.ravel(cycle["time"]))
            start = dt.datetime(int(year), int(month), int(day), int(hour), int(minute)) + dt.timedelta(seconds=second)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{path.name}, operation {number}: {type(error).__name__} {error}") from None
        size = min(array.size for array in values)
        stamps = np.datetime64(start, "us") + np.round(values[0][:size] * 1e6).astype("timedelta64[us]")
        yield stamps, *(array[:size] for array in values), np.full(size, number), np.full(size, kind)
