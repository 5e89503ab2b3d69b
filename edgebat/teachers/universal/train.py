"""Training the universal forecaster, and the protocol it is judged by: whole datasets or chemistries left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from edgebat.arrays import Float32
from edgebat.cells import CapacityHistory, CellKey
from edgebat.data.corpus import read_arrays, read_corpus
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.forecast.descriptors import DESCRIPTORS, charge_descriptors, match_cycles, window_descriptors
from edgebat.tasks.forecast.windows import ForecastWindows, capacity_histories
from edgebat.teachers.base import validated
from edgebat.teachers.battery_timer.train import Network, built, train_forecaster, widened
from edgebat.teachers.universal.network import ContrastHead
from edgebat.teachers.universal.settings import UniversalSettings
from edgebat.training.fit import Batch
from edgebat.training.run import FitResult, Run


def fit_teacher(
    kind: type[Network], train: ForecastWindows, val: ForecastWindows | None, settings: UniversalSettings, run: Run
) -> tuple[Network, FitResult]:
    """See ``Teacher.fit``; for the second task, descriptors come from ``settings.corpus``."""
    network = built(kind, train, settings.timer)
    described = corpus_descriptors(settings, train)
    return train_universal(network, widened(train, network), described, validated(val, kind.name), settings, run)


def train_universal(
    network: Network,
    train: ForecastWindows,
    descriptors: Float32,
    val: ForecastWindows,
    settings: UniversalSettings,
    run: Run,
) -> tuple[Network, FitResult]:
    """``network`` trained in place and returned in eval mode on the CPU; the contrastive head is gone again.

    train: ``stretches``; descriptors float32 [N, 10] of them, from
    ``window_descriptors``. Raises DataError when their numbers differ, and what
    ``train_forecaster`` raises.
    """
    if descriptors.shape != (len(train), len(DESCRIPTORS)):
        raise DataError(f"descriptors have shape {descriptors.shape}; {(len(train), len(DESCRIPTORS))} is needed")
    if settings.contrast is None:
        return train_forecaster(network, train, val, settings.timer, run)
    torch.manual_seed(settings.timer.fit.seed)
    head = ContrastHead(network.timer.config.hidden_size, len(DESCRIPTORS), settings.contrast)
    network.add_module("contrast_head", head)

    def objective(module: Network, batch: Batch, state: Tensor) -> Tensor:
        _, described, cell = batch
        loss: Tensor = head(state, described, cell)
        return loss

    extra = (torch.from_numpy(descriptors), torch.from_numpy(train.cell.astype(np.int64)))
    try:
        return train_forecaster(network, train, val, settings.timer, run, extra, objective)
    finally:
        del network.contrast_head


def corpus_descriptors(settings: UniversalSettings, windows: ForecastWindows) -> Float32:
    """Descriptors float32 [N, 10] of windows of a corpus; NaN without the second task.

    Raises RecipeError when the second task is wanted and ``settings`` name no corpus.
    """
    if settings.contrast is None:
        return np.full((len(windows), len(DESCRIPTORS)), np.nan, dtype=np.float32)
    if not settings.corpus:
        raise RecipeError("universal: the second task compares charges, and nothing says where they stand; set corpus to "
                          "a corpus folder, or contrast: null to do without")  # fmt: skip
    fleet, own = read_corpus(settings.corpus, sorted({d for d, _ in windows.cells})), set(windows.cells)
    histories = [h for h in capacity_histories(fleet, windows.spec.label_kinds) if h.key in own]
    return window_descriptors(windows, read_descriptors(settings.corpus, histories))


def left_out_folds(
    histories: Sequence[CapacityHistory], by: str = "dataset"
) -> Iterator[tuple[str, list[int], list[int]]]:
    """(name, indices of cells to train on, indices left out), one fold per dataset or per chemistry.

    by: ``dataset``, or ``chemistry``, where LFP, NCA, NMC and so on are told apart by ``chemistry_family``. Raises
    DataError for another word, or when everything is of one kind.
    """
    if by not in ("dataset", "chemistry"):
        raise DataError(f"folds by {by!r}; allowed are dataset, chemistry")
    names = [h.key[0] if by == "dataset" else chemistry_family(h.chemistry) for h in histories]
    if len(set(names)) < 2:
        raise DataError(f"all cells are of the {by} {names[:1]}; leaving it out leaves nothing to train on")
    for name in sorted(set(names)):
        yield name, [i for i, n in enumerate(names) if n != name], [i for i, n in enumerate(names) if n == name]


def chemistry_family(chemistry: str) -> str:
    """Family of a chemistry's text: LFP, NCA, NMC, LCO, Na-ion, Zn-ion or ``other``; of a mixture, the first named."""
    text = chemistry.upper().replace("NCM", "NMC")
    families = {"LFP": "LFP", "NCA": "NCA", "NMC": "NMC", "LCO": "LCO", "NA-ION": "Na-ion", "SODIUM": "Na-ion",
                "ZN-ION": "Zn-ion", "ZINC": "Zn-ion"}  # fmt: skip
    if text.startswith(("UNKNOWN", "NOT STATED")):
        return "other"
    places = {name: text.find(key) for key, name in families.items() if key in text}
    return min(places, key=lambda name: places[name]) if places else "other"


def read_descriptors(corpus: str | Path, histories: Sequence[CapacityHistory]) -> dict[CellKey, tuple[Any, Any]]:
    """The descriptors a corpus folder allows: cells of ``features/charge_features.parquet`` and CALCE's charges.

    Tables keyed by row are matched to cycles by their capacities. Cells without any source are simply absent, and so
    is everything when the folder has none of these files.
    """
    cells = {h.key: h for h in histories}
    table: dict[CellKey, tuple[Any, Any]] = {}
    statistics = Path(corpus) / "features" / "charge_features.parquet"
    if statistics.is_file():
        frame = pd.read_parquet(statistics)
        for (dataset, cell_id), rows in frame.groupby(["dataset", "cell_id"], observed=True, sort=True):
            history = cells.get((str(dataset), str(cell_id)))
            if history is not None:
                _add_statistics(table, history, rows)
    for file in sorted((Path(corpus) / "segments").glob("CALCE*.npz")):
        _add_charges(table, cells, read_arrays(file, "charges"))
    return table


def _add_statistics(table: dict[CellKey, tuple[Any, Any]], history: CapacityHistory, rows: pd.DataFrame) -> None:
    """PINN4SOH's statistics of the last part of a charge; currents there are in A."""
    cycle = match_cycles(rows["capacity_ah"].to_numpy(np.float64), history.capacity * history.nominal_ah, history.cycle)
    values = np.full((len(rows), len(DESCRIPTORS)), np.nan)
    cc, cv = rows["CC_charge_time"].to_numpy(np.float64), rows["CV_charge_time"].to_numpy(np.float64)
    values[:, :3] = np.log1p(np.column_stack([cc + cv, cc, cv]))
    values[:, 3:5] = rows[["voltage_mean", "voltage_std"]]
    values[:, 5:7] = rows[["current_mean", "current_std"]].to_numpy(np.float64) / history.nominal_ah
    values[:, 7] = rows["voltage_skewness"]
    table[history.key] = cycle[cycle >= 0], values[cycle >= 0]


def _add_charges(
    table: dict[CellKey, tuple[Any, Any]], cells: dict[CellKey, CapacityHistory], arrays: dict[str, Any]
) -> None:
    """Charges at equal time steps [N, T] with ``charge_time_s`` [N]."""
    if not {"cell_id", "cycle", "charge_voltage", "charge_current", "charge_time_s"} <= arrays.keys():
        return
    names = arrays["cell_id"].astype(str)
    for name in np.unique(names):
        history = cells.get(("CALCE", str(name)))
        if history is None:
            continue
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(arrays["cycle"][rows], kind="stable")]
        values = []
        for row in rows:
            seconds = float(arrays["charge_time_s"][row])
            time = np.linspace(0.0, seconds, arrays["charge_voltage"].shape[1])
            current = arrays["charge_current"][row].astype(np.float64) / history.nominal_ah
            good = seconds > 0.0 and np.isfinite(current).all()
            values.append(
                charge_descriptors(time, arrays["charge_voltage"][row], current) if good else np.full(10, np.nan)
            )
        table[history.key] = arrays["cycle"][rows].astype(np.int64), np.stack(values)
