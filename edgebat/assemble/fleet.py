"""Cycler files to a fleet in memory: as ``edgebat data add`` builds a corpus, with nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from edgebat.assemble.add import add
from edgebat.assemble.cell import BuiltCell
from edgebat.assemble.settings import AddSettings
from edgebat.assemble.tables import capacity_table, cell_row
from edgebat.data.corpus import merge_curves
from edgebat.data.fleet import ChargeCurves, Fleet
from edgebat.errors import DataError


def read_fleet(paths: Sequence[Path], settings: AddSettings) -> Fleet:
    """The cells in the files and folders ``paths``. Raises DataError, also when one of the cells cannot be built."""
    done = add(paths, Path("a corpus that is not written"), settings, dry_run=True)
    if done.failed:
        raise DataError("; ".join(done.failed.values()))
    notes = [*(f"{guess} ({', '.join(names)})" for guess, names in done.guesses.items())]
    notes += [f"{name}: {why}" for name, why in {**done.left_out, **done.duplicates}.items()]
    return fleet_of(done.built, f"{len(done.built)} cells of {settings.dataset}, from {len(done.sources)} files", notes)


def fleet_of(built: Sequence[BuiltCell], source: str, notes: Sequence[str] = ()) -> Fleet:
    """Built cells as a fleet, with what was noticed of each. Raises DataError when there is none."""
    frames = [capacity_table(cell) for cell in built]
    rows = pd.DataFrame([cell_row(cell, frame) for cell, frame in zip(built, frames, strict=True)])
    if not frames:
        raise DataError("there is no cell in these files")
    found = [f"{'/'.join(cell.key)}: {finding.text}" for cell in built for finding in cell.findings]
    return Fleet(rows, pd.concat(frames), merge_curves([_curves(cell) for cell in built]), source, False,
                 (*notes, *found))  # fmt: skip


def _curves(cell: BuiltCell) -> ChargeCurves:
    dataset, cell_id = (np.full(cell.charge_cycle.size, name, dtype=object) for name in cell.key)
    return ChargeCurves(dataset, cell_id, cell.charge_cycle, cell.voltage_v, cell.charge_dq_ah)
