"""The errors of IC2ML's released predictions, of all windows and of the cells that a corpus holds.

    edgebat run health-ic2ml --corpus PATH --set released=FOLDER

FOLDER is a copy of the publication's repository. It keeps, per condition, what its networks predicted for the test windows
and what is true, in Ah and cycles, but not which cell a window is of. Windows slide by one cycle, so a break tells where
another cell begins, and a corpus that holds the cell has the same capacities to the last digit.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Bool, Float64, FloatArray
from edgebat.cells import CellKey
from edgebat.errors import DataError
from edgebat.tasks.health.windows import HealthWindows

SAME_AH = 1e-5
"""Capacities closer than this are the same measurement: the release rounds to float32, cells differ by far more."""


@dataclass(frozen=True)
class Condition:
    """Cells of one condition by the paper's split, as numbers after ``stem``-#."""

    dataset: str
    stem: str
    """How the names of its cells begin."""
    train: tuple[int, ...]
    val: tuple[int, ...] = ()
    test: tuple[int, ...] = ()
    published: dict[str, float] = field(default_factory=dict)
    """Errors of the released predictions, for the table."""

    def keys(self, part: str) -> list[CellKey]:
        """The cells of ``train``, ``val`` or ``test``."""
        return [(self.dataset, f"{self.stem}-#{number}") for number in getattr(self, part)]


@dataclass(frozen=True)
class Released:
    """Predicted and true values of N windows: capacity of the cycles read [N, context] and to come [N, horizon], Ah; RUL
    [N], cycles."""

    read: tuple[Float64, Float64]
    ahead: tuple[Float64, Float64]
    rul: tuple[Float64, Float64]

    def errors(self, nominal_ah: float, rows: Bool | None = None) -> dict[str, float]:
        """As ``errors`` below, of some windows or all; SOH is that of the last cycle read."""
        keep = slice(None) if rows is None else rows
        soh = (self.read[0] - self.read[1])[keep, -1]
        true = self.ahead[1][keep]
        ahead = self.ahead[0][keep] - true
        rul = (self.rul[0] - self.rul[1])[keep]
        return {
            "windows": float(len(soh)),
            "soh_rmse_ah": rms(soh),
            "soh_rmse_pct": 100.0 * rms(soh) / nominal_ah,
            "trajectory_rmse_ah": rms(ahead),
            "trajectory_mape_pct": 100.0 * float(np.mean(np.abs(ahead) / true)),
            "rul_all_rmse": rms(rul),
            "rul_all_mae": float(np.abs(rul).mean()),
            "rul_rmse": rms(rul[self.rul[1][keep] > 0]),
        }


def rms(values: npt.ArrayLike) -> float:
    """The root of the mean square, NaN of nothing."""
    values = np.asarray(values, dtype=np.float64)
    return float(np.sqrt(np.square(values).mean())) if len(values) else float("nan")


def errors(windows: HealthWindows, predictions: Mapping[str, FloatArray]) -> dict[str, float]:
    """RMSE of SOH and trajectory in Ah and in percentage points of nominal, MAPE of the trajectory in percent, RMSE and
    MAE of RUL in cycles: ``rul`` before EOL only, ``rul_all`` with the windows at and past it as the paper counts."""
    scale = windows.reference_ah[windows.cell]
    soh = np.asarray(predictions["soh"], dtype=np.float64) - windows.soh
    ahead = np.asarray(predictions["trajectory"], dtype=np.float64) - windows.trajectory
    known = np.isfinite(ahead)
    known_rul = np.isfinite(windows.rul)
    rul = np.asarray(predictions["rul"], dtype=np.float64)[known_rul] - windows.rul[known_rul]
    found = {
        "windows": float(len(windows)),
        "cells": float(len(windows.cells)),
        "soh_rmse_ah": rms(soh * scale),
        "soh_rmse_pct": 100.0 * rms(soh),
        "trajectory_rmse_ah": rms((ahead * scale[:, None])[known]),
        "trajectory_rmse_pct": 100.0 * rms(ahead[known]),
        "trajectory_mape_pct": 100.0 * _mean(np.abs(ahead[known]) / windows.trajectory[known]),
        "rul_rmse": rms(rul[windows.rul[known_rul] > 0]),
        "rul_all_rmse": rms(rul),
        "rul_all_mae": _mean(np.abs(rul)),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _mean(values: FloatArray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def read_released(folder: str | Path, condition: Condition) -> Released | None:
    """A condition's predictions, None where nothing was released. Raises DataError for files that are not such."""
    inside = f"{condition.dataset.removeprefix('TJU_')}/{condition.stem}/*"
    found = sorted(Path(folder).glob(f"**/{inside}/pred_his.npy"))
    if not found:
        return None
    if len(found) > 1:
        raise DataError(f"{folder}: {len(found)} folders {inside} hold predictions; one is expected")
    read, ahead, rul = (_pair(found[0].parent, name) for name in ("his", "fut", "rul"))
    released = Released(read, ahead, (rul[0].reshape(-1), rul[1].reshape(-1)))
    shapes = [pair[1].shape for pair in (released.read, released.ahead, released.rul)]
    (count, context), horizon = shapes[0] if len(shapes[0]) == 2 else (0, 0), shapes[1][1:]
    if count < 1 or context < 2 or len(horizon) != 1 or horizon[0] < 1 or {shape[0] for shape in shapes} != {count}:
        raise DataError(f"{found[0].parent}: cycles read, ahead and RUL have shapes {shapes}; [N, context], [N, horizon] "
                        "and [N] are expected, with the same number of windows")  # fmt: skip
    return released


def _pair(folder: Path, name: str) -> tuple[Float64, Float64]:
    """What was predicted and what is true, of one shape."""
    predicted, true = (_array(folder / f"{kind}_{name}.npy") for kind in ("pred", "true"))
    if predicted.shape != true.shape:
        raise DataError(
            f"{folder}: pred_{name}.npy has shape {predicted.shape}, true_{name}.npy {true.shape}; they must agree"
        )
    return predicted, true


def _array(path: Path) -> Float64:
    try:
        with path.open("rb") as file:
            values = np.lib.format.read_array(file, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise DataError(f"{path} is not an array of numbers: {error}") from None
    if not np.isfinite(values).all():
        raise DataError(f"{path} has {np.count_nonzero(~np.isfinite(values))} values that are no finite numbers")
    return values


def windows_of(released: Released, capacities: Mapping[CellKey, Float64]) -> dict[CellKey, Bool]:
    """Cell -> its windows [N], for those cells whose measured capacities (Ah) hold all that a run of windows read. A run
    that fits several cells, or none, is nobody's."""
    true = released.read[1]
    # Within a cell a window is the one before, moved by a cycle.
    breaks = np.abs(true[:-1, 1:] - true[1:, :-1]).max(axis=1) > SAME_AH
    ends = [0, *(np.flatnonzero(breaks) + 1), len(true)]
    found: dict[CellKey, Bool] = {}
    for begin, end in itertools.pairwise(ends):
        run = np.concatenate([true[begin], true[begin + 1 : end, -1]])
        fitting = [key for key, values in capacities.items() if _holds(values, run)]
        if len(fitting) == 1:
            found.setdefault(fitting[0], np.zeros(len(true), dtype=np.bool_))[begin:end] = True
    return found


def _holds(values: Float64, wanted: Float64) -> bool:
    """Whether every wanted number is among the values."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return False
    right = np.searchsorted(known, wanted).clip(0, len(known) - 1)
    left = (right - 1).clip(0)
    return bool((np.minimum(np.abs(known[right] - wanted), np.abs(known[left] - wanted)) < SAME_AH).all())


def released_rows(
    folder: str | Path,
    conditions: Mapping[str, Condition],
    capacities: Mapping[CellKey, Float64],
    nominal_ah: Mapping[CellKey, float],
) -> list[tuple[str, str, dict[str, float]]]:
    """(condition, whose windows, errors): per condition all of its windows, each test cell at hand, these together, and
    the rest. capacities: cell -> measured capacities, Ah. Raises DataError when the folder holds no predictions, or none of
    a condition with a test cell at hand."""
    rows: list[tuple[str, str, dict[str, float]]] = []
    seen = False
    for name, condition in conditions.items():
        released = read_released(folder, condition)
        seen = seen or released is not None
        own = {key: capacities[key] for key in condition.keys("test") if key in capacities}
        if released is None or not own:
            continue
        nominal = nominal_ah[next(iter(own))]
        rows.append((name, "all test cells", released.errors(nominal)))
        found = windows_of(released, own)
        rows += [(name, key[1], released.errors(nominal, found[key])) for key in own if key in found]
        if found:
            together: Bool = np.any(list(found.values()), axis=0)
            rows.append((name, f"the {len(found)} at hand", released.errors(nominal, together)))
            if not together.all():
                rows.append((name, "the others", released.errors(nominal, ~together)))
    if not seen:
        raise DataError(f"{folder} holds no released predictions of these conditions (**/NCA/CY.../*/pred_his.npy); give a "
                        "copy of the publication's repository")  # fmt: skip
    if not rows:
        raise DataError(f"{folder}: no test cell of the conditions it holds predictions of is in the corpus")
    return rows


def released_table(rows: Sequence[tuple[str, str, Mapping[str, float]]]) -> str:
    """Markdown of ``released_rows``."""
    columns = [name for name in rows[0][2] if name != "windows"]
    lines = ["| condition | released predictions of | windows | " + " | ".join(columns) + " |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for condition, whose, errors in rows:
        cells = (f"{errors[c]:.{4 if c.endswith('_ah') else 2}f}" for c in columns)
        lines.append(f"| {condition} | {whose} | {errors['windows']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\nSOH is that of the last cycle a window reads.\n"
