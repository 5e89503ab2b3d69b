"""All cells of a fleet: simulated by several at a time, kept one by one, and written as a corpus.

A finished cell lies in ``CORPUS/simulated/`` under a name that changes with everything it depends on: a call that was
interrupted goes on, and one with more cells does what is new. The corpus is written when all are there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from edgebat import __version__
from edgebat.assemble.capacity import CycleTable
from edgebat.assemble.cell import EARLY_CYCLES, BuiltCell
from edgebat.assemble.tables import write_cells
from edgebat.data.corpus import SIMULATED, read_arrays
from edgebat.errors import DataError, MissingExtra
from edgebat.files import atomic_write
from edgebat.lock import only_one
from edgebat.physics.cell import simulate_cell
from edgebat.physics.chemistries import CHEMISTRIES
from edgebat.physics.ladder import Ladder
from edgebat.physics.settings import CellPlan, FleetSettings, plan_cells
from edgebat.workers import workers

Progress = Callable[[str, int, int], None]
"""What is done, how many of them are, of how many."""
KEPT = "simulated"
"""Folder of the corpus with what is finished."""


@dataclass(frozen=True)
class Simulated:
    """A fleet that was written."""

    plans: list[CellPlan]
    cycles: int
    """Of all cells together, those between simulated ones included."""
    new: int
    """Cells that this call simulated; the others were there."""


def simulate_fleet(corpus: Path, settings: FleetSettings, jobs: int, progress: Progress) -> Simulated:
    """Write the fleet into the folder ``corpus``, ``jobs`` cells at a time; the same settings give the same files.

    Raises DataError for a folder with another corpus, FolderBusy, MissingExtra without PyBaMM, ToolError for a cell that
    cannot be solved.
    """
    if (corpus / "cells.csv").exists() and not (corpus / SIMULATED).exists():
        raise DataError(
            f"{corpus} holds a corpus that was not simulated, and would be written over; give another folder: --out FOLDER"
        )
    pybamm_version = installed_version()
    plans = plan_cells(settings)
    with only_one(corpus, "--out FOLDER"):
        files = [corpus / KEPT / f"{plan.cell_id}-{plan.digest(pybamm_version)}.npz" for plan in plans]
        missing = [(plan, file) for plan, file in zip(plans, files, strict=True) if not file.is_file()]
        with workers(_simulate_and_keep, jobs) as hands:
            hands.share(None)
            for done, (index, _) in enumerate(hands.run(missing), 1):
                progress(missing[index][0].cell_id, done, len(missing))
        cycles = _write(corpus, settings, plans, files, pybamm_version)
    return Simulated(plans, cycles, len(missing))


def installed_version() -> str:
    """PyBaMM's version, without importing it. Raises MissingExtra."""
    try:
        return version("pybamm")
    except PackageNotFoundError:
        raise MissingExtra("pybamm", "physics") from None


def _simulate_and_keep(_: None, job: tuple[CellPlan, Path]) -> None:
    plan, file = job
    atomic_write(file, simulate_cell(plan).packed())


def _write(corpus: Path, settings: FleetSettings, plans: list[CellPlan], files: list[Path], pybamm_version: str) -> int:
    """The corpus of these cells and no others; returns the number of its cycles."""
    for name in ("cells.csv", "capacity.parquet"):
        (corpus / name).unlink(missing_ok=True)
    for name in ("segments", "qv"):
        shutil.rmtree(corpus / name, ignore_errors=True)
    about = {
        "edgebat": __version__,
        "pybamm": pybamm_version,
        "settings": asdict(settings),
        "cells": [asdict(p) for p in plans],
    }
    atomic_write(corpus / SIMULATED, json.dumps(about, indent=1) + "\n")
    built = [built_cell(plan, _kept(file)) for plan, file in zip(plans, files, strict=True)]
    write_cells(corpus, built)
    return sum(cell.table.cycle.size for cell in built)


def _kept(file: Path) -> Ladder:
    return Ladder(**read_arrays(file, "a simulated cell"))


def built_cell(plan: CellPlan, ladder: Ladder) -> BuiltCell:
    """The cell as ``edgebat data add`` would have built it; cycles that were not simulated are ``interpolated``."""
    life, chemistry = ladder.every_cycle(), CHEMISTRIES[plan.chemistry]
    number = life.cycle.size
    early = life.cycle <= EARLY_CYCLES
    kinds = np.where(np.isin(life.cycle, ladder.cycle), "measured", "interpolated")
    empty = partial(np.full, number, np.nan)
    table = CycleTable(
        cycle=life.cycle, start=np.zeros(number, np.int64), stop=np.zeros(number, np.int64), charge_ah=life.charge_ah,
        charge_s=life.charge_s, discharge_ah=life.capacity_ah, discharge_s=empty(), highest_v=empty(), lowest_v=empty(),
        reach_v=empty(), sample_ah=empty(), gap=np.zeros(number, np.bool_),
        temperature_degc=np.full(number, plan.temperature_degc), discharge=np.zeros((number, 2), np.int64),
    )  # fmt: skip
    facts: dict[str, object] = {
        "chemistry": chemistry.text,
        "form_factor": f"simulated: {plan.model} of {chemistry.parameters}",
        "nominal_capacity_ah": chemistry.nominal_ah,
        "temperature_c": plan.temperature_degc,
        "charge_protocol": plan.protocol,
        "discharge_protocol": f"CC {plan.discharge_rate_c:g}C to {chemistry.lowest_v:g} V",
    }
    return BuiltCell(
        plan.key, chemistry.nominal_ah, facts, table, kinds, life.cycle, life.voltage_v,
        life.charge_dq_ah.round(6).astype(np.float32), life.cycle[early], life.discharge_v,
        life.discharge_q_ah[early].round(6).astype(np.float32), {}, [],
    )  # fmt: skip
