"""A fleet in memory as a corpus folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from edgebat.data.fleet import Fleet


def write_corpus(fleet: Fleet, folder: Path) -> Path:
    """The cells, capacities and charge curves of ``fleet`` in a new ``folder``."""
    (folder / "segments").mkdir(parents=True)
    fleet.cells.to_csv(folder / "cells.csv", index=False)
    pd.DataFrame(fleet.cycles).to_parquet(folder / "capacity.parquet")
    assert fleet.charge is not None
    np.savez(
        folder / "segments" / "curves.npz",
        dataset=fleet.charge.dataset.astype(str),
        cell_id=fleet.charge.cell_id.astype(str),
        cycle=fleet.charge.cycle,
        voltage=fleet.charge.voltage_v,
        dq_ah=fleet.charge.dq_ah,
    )
    return folder
