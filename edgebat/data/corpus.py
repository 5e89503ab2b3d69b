"""Read a corpus folder: ``cells.csv``, ``capacity.parquet``, and charge curves in ``segments/*.npz``.

Charge curve files are recognised by the arrays they hold, not by a list of names:

* ``voltage`` [V], ``dq_ah`` [N, V], ``cell_id`` [N], ``cycle`` [N]: curves on a grid;
* a voltage [N, T], a current [N, T] (A) and a time (``time_s`` [N, T], or ``charge_time_s`` [N] for equal steps):
  charges over time, from which the constant-current part is turned into a curve.

A file says whose cells it holds in an array ``dataset`` [N] or by its name, which starts with the dataset's
(``LSD_charge50.npz``), or else by its cells, when one dataset alone lists them all. Files with other content, and
charges without a time axis, are left alone. Curves that cannot be are left out and counted in ``Fleet.notes``.

Some sources count charge from the first *sample* above their first voltage, not from that voltage, and so miss up to one
sample's charge in their first step: 0-45 % of it in Tongji's (a sample per 5 mV, a grid of 11 mV). A device misses nothing,
so such a first step is mended, from the two after it; on the raw samples that are at hand this brings the first increment's
RMS error from 25 % to 1.7 %. Which curves are such is never assumed: a file states it (an array ``first_step``, "exact" or
"sampled"), or else its curves show it, as Tongji's do: their first step is short, and scatters from charge to charge several
times as much as the steps after it. All others are taken as stored. ``Fleet.notes`` says what was done to which file.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from edgebat.arrays import Array, Float64
from edgebat.cells import SECONDS_PER_HOUR, CellKey
from edgebat.data.fleet import KEY, ChargeCurves, Fleet
from edgebat.data.plausible import curve_fault, soh_fault, voltage_fault
from edgebat.data.readers.raw import RawCell
from edgebat.errors import DataError

MOST_LOST = 0.5
"""A first step smaller than this part of its expected size was not cut by sampling."""
CC_PART = 0.97
"""A charge is at constant current while its current is above this fraction of its highest median."""
STEP_GRID_V = 0.01
"""Voltage grid for charges given over time; their own samples are further apart."""
FIRST_STEP = "first_step"
"""Array of a file that states whether the first step of its curves is whole: EXACT or SAMPLED."""
EXACT, SAMPLED = "exact", "sampled"
SHORT, SCATTER, FEWEST_CURVES = 0.95, 2.5, 100
"""Curves show that sampling cut their first step when its median is below this part of what the next two steps let expect,
when it scatters so many times as much as later steps do, and when there are so many curves to tell."""
SIMULATED = "simulated.json"
"""A corpus with this file holds simulated cells (``edgebat data simulate``)."""
MAX_STEP_V = 0.1
"""A time step over which the voltage rises more is too coarse to interpolate charge in."""

Arrays = dict[str, Array]


def read_corpus(path: str | Path, datasets: str | Iterable[str] | None = None, mend_start: bool | None = None) -> Fleet:
    """The cells of a corpus folder as a Fleet; ``datasets`` limits it.

    mend_start: whether the first step of curves on a grid is mended; None: where a file states or shows that it has to be.

    Rows without a capacity stay in as NaN. ``segments/`` may be absent or hold curves of some cells only. Curves of
    several grids are put on the union of their grids, which changes no interpolated value.
    Raises DataError when a file is missing or damaged or names an unknown dataset.
    """
    path = Path(path)
    cells = _read_cells(path / "cells.csv")
    wanted = set(cells["dataset"]) if datasets is None else {datasets} if isinstance(datasets, str) else set(datasets)
    unknown = sorted(wanted - set(cells["dataset"]))
    if unknown:
        raise DataError(f"{path / 'cells.csv'} has no dataset {unknown}; it has {sorted(set(cells['dataset']))}")
    # A file belongs to one of all datasets, whether wanted or not: "AB" must not take the curves of "ABC".
    listed = {name: set(group["cell_id"]) for name, group in cells.groupby("dataset")}
    cells = cells[cells["dataset"].isin(wanted)]
    cycles = _read_table(path / "capacity.parquet", pd.read_parquet, "a parquet table", KEY)
    cycles[KEY] = cycles[KEY].astype(str)
    cycles = cycles[cycles["dataset"].isin(wanted)]
    notes: list[str] = []
    curves = [
        found
        for file in sorted((path / "segments").glob("*.npz"))
        if (found := _read_curves(file, listed, wanted, mend_start, notes)) is not None
    ]
    source = f"corpus {path.name}: {', '.join(sorted(wanted))}"
    simulated = (path / SIMULATED).is_file()
    fleet = Fleet(cells, cycles, merge_curves(curves), source=source, synthetic=simulated, notes=tuple(notes))
    _check_plausible(fleet, path)
    return fleet


def _check_plausible(fleet: Fleet, path: Path) -> None:
    """Raise DataError for a cell whose values no cell can have, with the unit suspected."""
    for history in fleet.histories():
        dataset, cell = history.key
        where = f"{path}: cell {cell} of {dataset}"
        if fault := soh_fault(history.capacity_ah[~history.flagged], history.nominal_ah):
            raise DataError(f"{where}: {fault}")
        if len(history.charge_dq_ah) and (fault := curve_fault(_taken(history.charge_dq_ah), history.nominal_ah)):
            raise DataError(f"{where}: {fault}")
    if fleet.charge is not None and (fault := voltage_fault(fleet.charge.voltage_v)):
        raise DataError(f"{path}: the charge curves' {fault}")


def _taken(dq_ah: npt.NDArray[np.floating]) -> Float64:
    """[N] the whole charge of each curve, NaN for an empty one."""
    largest = np.where(np.isfinite(dq_ah), dq_ah, -np.inf).max(axis=1)
    taken: Float64 = np.where(np.isfinite(largest), largest, np.nan).astype(np.float64)
    return taken


def read_raw_parquet(path: str | Path, cell_ids: Iterable[str] | None = None) -> list[RawCell]:
    """Time series of a corpus's ``raw/*.parquet`` (cell_id, cycle, time_s, voltage, current_a; charge positive).

    One RawCell per cell, in the order of the file. Raises DataError when the file or a column is missing, or a wanted
    cell is not in it.
    """
    needed = ["cell_id", "cycle", "time_s", "voltage", "current_a"]
    table = _read_table(Path(path), pd.read_parquet, "a parquet table", needed)
    there = list(dict.fromkeys(table["cell_id"].astype(str)))
    wanted = there if cell_ids is None else list(cell_ids)
    unknown = [cell for cell in wanted if cell not in there]
    if unknown:
        raise DataError(f"{path} has no cell {unknown}; it has {there}")
    groups = dict(list(table.groupby(table["cell_id"].astype(str), sort=False)))
    return [
        RawCell(
            cell_id=cell,
            time_s=groups[cell]["time_s"].to_numpy(),
            voltage_v=groups[cell]["voltage"].to_numpy(),
            current_a=groups[cell]["current_a"].to_numpy(),
            cycle=groups[cell]["cycle"].to_numpy(),
            source=str(Path(path).name),
        )
        for cell in wanted
    ]


def corpus_cells(path: str | Path) -> list[CellKey]:
    """The cells that a corpus folder lists, in its order. Raises DataError when it lists none."""
    cells = _read_cells(Path(path) / "cells.csv")
    return list(zip(cells["dataset"], cells["cell_id"], strict=True))


def _read_cells(path: Path) -> pd.DataFrame:
    # Text stays text: a cell called "007" must not become 7.
    read = partial(pd.read_csv, dtype={"dataset": str, "cell_id": str, "split": str})
    return _read_table(path, read, "a table of cells", KEY)


def _read_table(path: Path, read: Callable[[Path], pd.DataFrame], what: str, columns: Sequence[str]) -> pd.DataFrame:
    """``read(path)``. Raises DataError when it is missing, not ``what``, or lacks one of ``columns``."""
    try:
        table = read(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; a corpus folder has cells.csv and capacity.parquet") from None
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise DataError(f"{path} cannot be read as {what}: {error}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(f"{path} lacks the columns {missing}; it has {list(table.columns)}")
    return table


def read_arrays(file: Path, what: str) -> Arrays:
    """The arrays of a ``.npz`` file by name. Raises DataError, which says that the file cannot be read as ``what``."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file} cannot be read as {what}: {error}") from None


def _read_curves(
    file: Path, listed: dict[str, set[str]], wanted: set[str], mend_start: bool | None, notes: list[str]
) -> ChargeCurves | None:
    """The curves in ``file`` of listed cells of wanted datasets, or None; ``notes`` takes what is left out."""
    arrays = read_arrays(file, "NumPy arrays")
    if not {"cell_id", "cycle"} <= arrays.keys():
        return None
    cell_id = arrays["cell_id"].astype(str).astype(object)
    dataset = _datasets(file, arrays, cell_id, listed)
    if dataset is None:
        return None
    ours = np.array(
        [d in wanted and c in listed.get(d, ()) for d, c in zip(dataset, cell_id, strict=True)], dtype=np.bool_
    )
    strange = sum(c not in listed.get(d, ()) for d, c in zip(dataset, cell_id, strict=True))
    if strange:
        notes.append(
            f"{file.name}: {strange} of {len(cell_id)} charge curves are of cells that cells.csv does not list"
        )
    if not ours.any():
        return None
    on_grid = _grid_curves(arrays)
    curves = on_grid or _time_curves(arrays)
    if curves is None:
        return None
    voltage, dq = curves
    if not len(dq) == len(cell_id) == len(arrays["cycle"]):
        raise DataError(f"{file}: {len(dq)} curves, {len(cell_id)} cell ids and {len(arrays['cycle'])} cycle numbers")
    if on_grid and dq.shape[1] >= 4:
        why = _why_mend(file, arrays, dq, cell_id) if mend_start is None else "as asked" if mend_start else ""
        if why:
            mended = _mend_first_step(dq)
            notes.append(f"{file.name}: the first voltage step of {mended} of {len(dq)} charge curves is mended, {why}")
    keep = ours & np.isfinite(dq).any(axis=1)
    if keep.sum() < ours.sum():
        notes.append(f"{file.name}: {ours.sum() - keep.sum()} of {ours.sum()} charge curves are unusable")
    return ChargeCurves(
        dataset[keep], cell_id[keep], arrays["cycle"][keep].astype(np.int64), voltage, dq[keep].astype(np.float32)
    )


def _datasets(
    file: Path, arrays: Arrays, cell_id: npt.NDArray[np.object_], listed: dict[str, set[str]]
) -> npt.NDArray[np.object_] | None:
    """[N] whose the rows are: stated in the file, else by the longest name it starts with, else by its cells."""
    if "dataset" in arrays:
        return arrays["dataset"].astype(str).astype(object)
    there = set(cell_id)
    named = [name for name in listed if file.stem.startswith(name)]
    holding = [name for name in listed if there <= listed[name]]
    if named:
        return np.full(len(cell_id), max(named, key=len), dtype=object)
    return np.full(len(cell_id), holding[0], dtype=object) if len(holding) == 1 else None


def _grid_curves(arrays: Arrays) -> tuple[Float64, Float64] | None:
    if "dq_ah" not in arrays or "voltage" not in arrays or arrays["voltage"].ndim != 1:
        return None
    dq = arrays["dq_ah"].astype(np.float64)
    if dq.ndim != 2 or dq.shape[1] < 2:
        return None
    rise = np.diff(dq, axis=1)
    dq[(rise < -1e-4).any(axis=1) | ~(rise > 0.0).any(axis=1)] = np.nan
    # A charge that starts above the grid was stored with zeros up to its start; there it says nothing.
    starts = np.argmax(rise > 0.0, axis=1)
    dq[(np.arange(dq.shape[1])[None, :] <= starts[:, None]) & (starts > 0)[:, None]] = np.nan
    # Grids are stored as float32; a micro-volt is more than they mean, and 3.5999999 V should be 3.6 V.
    voltage: Float64 = arrays["voltage"].astype(np.float64).round(6)
    return voltage, dq


def _why_mend(file: Path, arrays: Arrays, dq: Float64, cell_id: npt.NDArray[np.object_]) -> str:
    """Why the first step of these curves has to be mended; empty when it has not."""
    if FIRST_STEP in arrays:
        stated = str(arrays[FIRST_STEP])
        if stated not in (EXACT, SAMPLED):
            raise DataError(f"{file}: {FIRST_STEP} is {stated!r}; allowed: {EXACT!r}, {SAMPLED!r}")
        return "as the file states" if stated == SAMPLED else ""
    if dq.shape[1] < 6:
        return ""
    order = np.lexsort((arrays["cycle"], cell_id.astype(str)))
    same = cell_id[order][1:] == cell_id[order][:-1]
    scatter, shares = [], []
    for i in range(3):
        first, second, third = (dq[order, i + k + 1] - dq[order, i + k] for k in range(3))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = first / (2.0 * second - third)
        change = np.abs(np.diff(share))[same]
        change = change[np.isfinite(change)]
        if change.size < FEWEST_CURVES:
            return ""
        scatter.append(float(np.median(change)))
        shares.append(float(np.nanmedian(share)))
    times = scatter[0] / max(sum(scatter[1:]) / 2.0, 1e-9)
    if shares[0] >= SHORT or times < SCATTER:
        return ""
    return f"as it scatters {times:.1f} times as much as later steps and holds {shares[0]:.0%} of what they let expect"


def _mend_first_step(dq: Float64) -> int:
    """Put back, in place, what the first step of each curve lacks against the line through the two steps after it.

    Returns how many curves that changed.
    """
    first, second, third = (dq[:, i + 1] - dq[:, i] for i in range(3))
    expected = 2.0 * second - third
    with np.errstate(invalid="ignore"):
        short = first < expected
        dq[:, 0] = np.where(short, dq[:, 1] - expected, dq[:, 0])
        # That much is not lost between two samples: the charge began inside the step.
        dq[first < MOST_LOST * expected, 0] = np.nan
    dq -= np.where(np.isfinite(dq[:, :1]), dq[:, :1], 0.0)
    return int(short.sum())


def _time_curves(arrays: Arrays) -> tuple[Float64, Float64] | None:
    """Charges over time to dq(V), row by row; a row whose charge cannot be used is all NaN."""
    voltage = arrays.get("charge_voltage", arrays.get("voltage"))
    current = arrays.get("charge_current", arrays.get("current"))
    time = arrays.get("time_s")
    if voltage is None or current is None or voltage.ndim != 2 or voltage.shape != current.shape:
        return None
    if time is None and "charge_time_s" in arrays:
        time = arrays["charge_time_s"][:, None] * np.linspace(0.0, 1.0, voltage.shape[1])[None, :]
    if time is None or time.shape != voltage.shape:
        return None
    lowest, highest = np.nanmin(voltage), np.nanmax(voltage)
    steps = np.arange(np.ceil(lowest / STEP_GRID_V), np.floor(highest / STEP_GRID_V) + 1)
    grid: Float64 = np.round(STEP_GRID_V * steps, 6)
    if grid.size < 2:
        return None
    rows = [
        _cc_curve(t, v, i, grid)
        for t, v, i in zip(time.astype(float), voltage.astype(float), current.astype(float), strict=True)
    ]
    return grid, np.stack(rows)


def _cc_curve(time: Float64, voltage: Float64, current: Float64, grid: Float64) -> Float64:
    """dq [V] of one charge: its first run at constant current, voltages made non-decreasing by the running maximum."""
    nothing = np.full(grid.size, np.nan)
    flowing = current[current > 0.05 * np.nanmax(np.abs(current), initial=0.0)]
    if flowing.size < 3:
        return nothing
    constant = np.abs(current / np.median(flowing[: max(3, flowing.size // 2)]) - 1.0) <= 1.0 - CC_PART
    start = int(np.argmax(constant))
    stop = start + int(np.argmin(np.append(constant[start:], False)))
    if stop - start < 3 or not np.isfinite(voltage[start:stop]).all():
        return nothing
    t, i = time[start:stop], current[start:stop]
    v = np.maximum.accumulate(voltage[start:stop])
    # What comes before the last step too coarse to interpolate in (the jump as a charge begins) is not used.
    coarse = np.flatnonzero(np.diff(v) > MAX_STEP_V)
    begin = int(coarse[-1]) + 1 if coarse.size else 0
    t, v, i = t[begin:], v[begin:], i[begin:]
    charge = np.concatenate(([0.0], np.cumsum(np.diff(t) * (i[1:] + i[:-1]) / 2.0))) / SECONDS_PER_HOUR
    rising = np.concatenate(([True], np.diff(v) > 0.0))
    if int(rising.sum()) < 3:
        return nothing
    dq = np.interp(grid, v[rising], charge[rising], left=np.nan, right=np.nan)
    covered = np.flatnonzero(np.isfinite(dq))
    return dq - dq[covered[0]] if covered.size >= 2 else nothing


def merge_curves(curves: list[ChargeCurves]) -> ChargeCurves | None:
    """Curves of several files on the union of their grids.

    Linear interpolation onto a finer grid that contains the old one draws the same line, so no increment changes.
    """
    if not curves:
        return None
    grid = np.unique(np.concatenate([part.voltage_v for part in curves]))
    return ChargeCurves(
        np.concatenate([part.dataset for part in curves]),
        np.concatenate([part.cell_id for part in curves]),
        np.concatenate([part.cycle for part in curves]),
        grid,
        np.concatenate([_regrid(part, grid) for part in curves]).astype(np.float32),
    )


def _regrid(part: ChargeCurves, grid: Float64) -> Float64:
    if np.array_equal(part.voltage_v, grid):
        return np.asarray(part.dq_ah, dtype=np.float64)
    right = np.clip(np.searchsorted(part.voltage_v, grid, side="left"), 1, part.voltage_v.size - 1)
    low, high = part.voltage_v[right - 1], part.voltage_v[right]
    share = (grid - low) / (high - low)
    dq = np.asarray(part.dq_ah, dtype=np.float64)
    left = np.where(share == 1.0, 0.0, dq[:, right - 1] * (1.0 - share))
    on_grid = left + np.where(share == 0.0, 0.0, dq[:, right] * share)
    on_grid[:, (grid < part.voltage_v[0]) | (grid > part.voltage_v[-1])] = np.nan
    return on_grid
