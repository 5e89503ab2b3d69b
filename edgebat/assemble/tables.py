"""Built cells into the files of a corpus: ``cells.csv``, ``capacity.parquet``, ``segments/``, ``qv/``; others stay."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from edgebat.arrays import Array
from edgebat.assemble.cell import EARLY_CYCLES, QV_POINTS, BuiltCell
from edgebat.data.corpus import EXACT, FIRST_STEP, read_arrays
from edgebat.data.fleet import KEY
from edgebat.files import atomic_write

CELL_COLUMNS = [
    *KEY, "chemistry", "form_factor", "nominal_capacity_ah", "temperature_c", "charge_protocol", "discharge_protocol",
    "published_cycle_life", "split", "split_source", "n_rows", "n_outlier_rows", "first_cycle", "last_cycle",
    "initial_capacity_ah", "final_rel_capacity", "cycle_life_80_nominal", "cycle_life_80_initial", "quality",
]  # fmt: skip
CLEAN = 0.8
"""A cell with this part of its cycles measured is graded A, else B."""


def write_cells(corpus: Path, built: Sequence[BuiltCell]) -> None:
    """Write the cells into the corpus, in place of what it holds of them. Raises DataError for tables it cannot read."""
    if not built:
        return
    frames = [capacity_table(cell) for cell in built]
    rows = pd.DataFrame([cell_row(cell, frame) for cell, frame in zip(built, frames, strict=True)])
    keys = pd.MultiIndex.from_tuples([cell.key for cell in built])
    cells = _with_others(corpus / "cells.csv", rows.reindex(columns=CELL_COLUMNS), keys)
    capacity = _with_others(corpus / "capacity.parquet", pd.concat(frames), keys)
    for cell in built:
        _save(segment_file(corpus, cell.key), curve_arrays(cell))
    for dataset in sorted({cell.key[0] for cell in built}):
        _write_qv(corpus, dataset, cells[cells["dataset"] == dataset]["cell_id"].tolist())
    stream = io.BytesIO()
    capacity.sort_values([*KEY, "cycle"]).to_parquet(stream, index=False)
    atomic_write(corpus / "capacity.parquet", stream.getvalue())
    atomic_write(corpus / "cells.csv", cells.sort_values(KEY).to_csv(index=False))


def _with_others(path: Path, new: pd.DataFrame, keys: pd.MultiIndex) -> pd.DataFrame:
    if not path.is_file():
        return new
    old = (
        pd.read_csv(path, dtype=dict.fromkeys((*KEY, "split"), str)) if path.suffix == ".csv" else pd.read_parquet(path)
    )
    others = old[~pd.MultiIndex.from_frame(old[KEY].astype(str)).isin(keys)]
    return pd.concat([others, new]) if len(others) else new


def capacity_table(cell: BuiltCell) -> pd.DataFrame:
    """One row per cycle, with the columns of ``capacity.parquet``."""
    table, measured = cell.table, cell.measured
    first = table.discharge_ah[measured][:5]
    initial = float(np.median(first)) if first.size else float("nan")
    return pd.DataFrame(
        {
            "dataset": cell.key[0],
            "cell_id": cell.key[1],
            "cycle": table.cycle,
            "discharge_capacity_ah": table.discharge_ah.round(6),
            "rel_capacity": (table.discharge_ah / initial).round(6),
            "charge_capacity_ah": table.charge_ah.round(6),
            "charge_time_s": table.charge_s.round(1),
            "temp_mean_c": table.temperature_degc.round(2),
            "internal_resistance_ohm": np.nan,
            "label_kind": cell.kinds,
            "outlier": ~measured,
        }
    )


def cell_row(cell: BuiltCell, frame: pd.DataFrame) -> dict[str, object]:
    """The row of ``cells.csv``."""
    good = frame[~frame["outlier"]]
    capacity = good["discharge_capacity_ah"].to_numpy()
    relative = good["rel_capacity"].to_numpy()
    row: dict[str, object] = {
        "dataset": cell.key[0], "cell_id": cell.key[1], "n_rows": len(frame), "n_outlier_rows": len(frame) - len(good),
        "first_cycle": int(frame["cycle"].iloc[0]), "last_cycle": int(frame["cycle"].iloc[-1]),
        "initial_capacity_ah": float(np.median(capacity[:5])) if capacity.size else np.nan,
        "final_rel_capacity": float(relative[-1]) if relative.size else np.nan,
        "cycle_life_80_nominal": _life(good, capacity / cell.nominal_ah), "cycle_life_80_initial": _life(good, relative),
        "quality": "A" if len(good) >= CLEAN * len(frame) and not _warned(cell) else "B",
        "split_source": "stated by the user" if cell.facts.get("split") else "",
    }  # fmt: skip
    return row | cell.facts


def _warned(cell: BuiltCell) -> bool:
    return any(found.kind == "warning" for found in cell.findings)


def _life(good: pd.DataFrame, relative: Array) -> float:
    for row in np.flatnonzero(relative < 0.8):
        if np.median(relative[row : row + 5]) < 0.8:
            return float(good["cycle"].iloc[row])
    return float("nan")


def segment_file(corpus: Path, key: tuple[str, str]) -> Path:
    """Where a cell's curves lie."""
    return corpus / "segments" / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', '_'.join(key))}.npz"


def curve_arrays(cell: BuiltCell) -> dict[str, Array]:
    """The arrays of a cell's file in ``segments/``."""
    number = cell.charge_cycle.size
    return {
        "voltage": cell.voltage_v,
        "dq_ah": cell.charge_dq_ah,
        "dataset": np.full(number, cell.key[0]),
        "cell_id": np.full(number, cell.key[1]),
        "cycle": cell.charge_cycle,
        FIRST_STEP: np.array(EXACT),
        "discharge_voltage": cell.qv_v,
        "discharge_q_ah": cell.qv_ah,
        "discharge_cycle": cell.qv_cycle,
    }


def _write_qv(corpus: Path, dataset: str, cell_ids: Sequence[str]) -> None:
    """``qv/DATASET.npz`` out of the cells' own discharge curves, on one grid of voltages and cycles."""
    found = {}
    for cell_id in cell_ids:
        file = segment_file(corpus, (dataset, cell_id))
        arrays = read_arrays(file, "curves of a cell") if file.is_file() else {}
        if arrays.get("discharge_cycle", np.zeros(0)).size:
            found[cell_id] = arrays
    if not found:
        return
    high = float(np.median([a["discharge_voltage"][0] for a in found.values()]))
    low = float(np.median([a["discharge_voltage"][-1] for a in found.values()]))
    grid = np.linspace(high, low, QV_POINTS)
    last = min(EARLY_CYCLES, max(int(a["discharge_cycle"].max()) for a in found.values()))
    q = np.full((len(found), last, QV_POINTS), np.nan, dtype=np.float32)
    for row, arrays in enumerate(found.values()):
        for cycle, curve in zip(arrays["discharge_cycle"], arrays["discharge_q_ah"], strict=True):
            q[row, int(cycle) - 1] = np.interp(-grid, -arrays["discharge_voltage"], curve)
    _save(
        corpus / "qv" / f"{dataset}.npz",
        {
            "q_ah": q, "cell_id": np.array(list(found)), "cycles": np.arange(1, last + 1), "voltage": grid,
            "outlier": np.asarray(~np.isfinite(q).all(axis=2)),
        },
    )  # fmt: skip


def _save(path: Path, arrays: dict[str, Array]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    atomic_write(path, stream.getvalue())
