"""How close simulated cells come to measured ones, and whether learning from them pays.

::

    python -m bench.physics_fleet --corpus PATH [--simulated FOLDER] [--jobs 2] [--pays]

Prints, group by group (chemistry, charging rate, temperature): quantiles of the fade per cycle down to 80 % of nominal, the
charge between 3.6 and 3.7 V over SOH, and by how many mV a faster charge is shifted. ``--pays`` trains small health
students on measured cells, without and with simulated ones, and asks measured cells that none has seen. Without
``--simulated`` the fleet ``FLEET`` is made, or completed, in ``physics_fleet/``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.cells import CellHistory
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.distill.train import DistillSettings, fit_student, train_student
from edgebat.physics.fleet import simulate_fleet
from edgebat.physics.settings import FleetSettings
from edgebat.students.base import Student
from edgebat.tasks.base import task
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.training.run import Run

PAIRS = {"TJU_NCA": "SIM_NCA", "TJU_NCM": "SIM_NMC811"}
"""Measured data set -> the simulated one that is most like it."""
LEVELS = (0.95, 0.90, 0.85, 0.80, 0.75)
"""SOH at which the charge in the window is compared."""
NEAR = 0.01
WINDOW_V = (3.6, 3.7)
SHIFT_V = np.arange(3.73, 4.101, 0.01)
"""Where curves of two rates are laid over each other."""
WIDTH_V = 0.05
LARGEST_SHIFT_MV = 100
YOUNG_CYCLES = 30
FADE_QUANTILES = (0.1, 0.5, 0.9)
FLEET = FleetSettings(cells=36, cycles=800, chemistries=("NCA", "NMC811"), temperatures_degc=(25.0, 45.0), stride=20)
"""What is simulated: three cells in each condition."""
HEALTH = task("health")

Group = tuple[str, float | None, float | None]
"""Data set, charging rate, temperature."""


def groups(cells: Iterable[CellHistory]) -> dict[Group, list[CellHistory]]:
    """Cells by condition."""
    found: dict[Group, list[CellHistory]] = defaultdict(list)
    for cell in cells:
        found[cell.condition.dataset, cell.condition.charge_rate_c, cell.condition.temperature_degc].append(cell)
    return dict(sorted(found.items(), key=str))


def aged(cell: CellHistory) -> tuple[Float64, Float64]:
    """Cycle numbers and SOH of the usable rows."""
    good = ~cell.flagged & np.isfinite(cell.capacity_ah)
    return cell.cycle[good].astype(np.float64), cell.capacity_ah[good] / cell.nominal_ah


def fade_per_cycle(cell: CellHistory) -> float:
    """Points of SOH per 100 cycles, from the first rows to 80 % or the last."""
    cycle, soh = aged(cell)
    if soh.size < 5:
        return float("nan")
    worn = np.flatnonzero(soh < 0.8)
    end = max(int(worn[0]) if worn.size else soh.size - 1, 3)
    return float((np.median(soh[:3]) - soh[end]) / (cycle[end] - cycle[0]) * 1e4)


def charge_at(cell: CellHistory, voltage_v: Float64, soh: float) -> Float64:
    """Charge taken up to each voltage, of nominal capacity, mean of the curves near a SOH; NaN where they do not reach."""
    cycle, known = aged(cell)
    if known.size < 2 or not cell.charge_cycle.size:
        return np.full(voltage_v.size, np.nan)
    near = np.abs(np.interp(cell.charge_cycle, cycle, known) - soh) < NEAR
    near &= (cell.charge_cycle >= cycle[0]) & (cell.charge_cycle <= cycle[-1])
    curves = [_interpolated(cell.charge_voltage_v, row, voltage_v) for row in cell.charge_dq_ah[near][::3]]
    if not curves:
        return np.full(voltage_v.size, np.nan)
    return np.asarray(np.mean(curves, axis=0) / cell.nominal_ah, np.float64)


def _interpolated(grid_v: Float64, row: Float64, voltage_v: Float64) -> Float64:
    there = np.isfinite(row)
    if there.sum() < 2:
        return np.full(voltage_v.size, np.nan)
    return np.interp(voltage_v, grid_v[there], row[there], left=np.nan, right=np.nan)


def window_charge(cells: list[CellHistory], soh: float) -> float:
    """Median over cells of the charge between 3.6 and 3.7 V at a SOH, in percent of nominal; NaN when there is none."""
    found = [np.diff(charge_at(cell, np.array(WINDOW_V), soh))[0] * 100.0 for cell in cells]
    found = [value for value in found if np.isfinite(value)]
    return float(np.median(found)) if found else float("nan")


def young_density(cells: list[CellHistory], voltage_v: Float64) -> Float64:
    """Charge per volt around each voltage, of nominal capacity, mean of the cells' first curves; NaN where none reaches."""
    found = [np.full(voltage_v.size, np.nan)]
    for cell in cells:
        for row in cell.charge_dq_ah[cell.charge_cycle <= YOUNG_CYCLES]:
            ends = [_interpolated(cell.charge_voltage_v, row, voltage_v + side * WIDTH_V / 2) for side in (-1.0, 1.0)]
            density = (ends[1] - ends[0]) / WIDTH_V / cell.nominal_ah
            if np.isfinite(density).all():
                found.append(density)
    return np.mean(found[1:], axis=0) if len(found) > 1 else found[0]


def rate_shift_mv(slow: list[CellHistory], fast: list[CellHistory]) -> float:
    """By how much new cells' charges lie higher when charged faster: where their charge per volt is most alike."""
    wide = np.arange(SHIFT_V[0] - LARGEST_SHIFT_MV / 1000.0, SHIFT_V[-1] + 0.0005, 0.001)
    below, above = young_density(slow, wide), young_density(fast, SHIFT_V)
    if not (np.isfinite(below).all() and np.isfinite(above).all()):
        return float("nan")
    moved = (np.interp(SHIFT_V - shift / 1000.0, wide, below) for shift in range(LARGEST_SHIFT_MV + 1))
    return float(np.argmin([float(((row - above) ** 2).sum()) for row in moved]))


def ageing_table(found: dict[Group, list[CellHistory]]) -> Iterator[str]:
    """Markdown: fade and window charge of every group."""
    quantiles = " / ".join(f"{q:.0%}" for q in FADE_QUANTILES)
    yield (
        f"| cells | C | degC | number | new, % | fade, points in 100 cycles ({quantiles}) | "
        + " | ".join(f"3.6-3.7 V at {soh:.0%}" for soh in LEVELS)
        + " |"
    )
    yield "|---" * (6 + len(LEVELS)) + "|"
    for (dataset, rate, temperature), cells in found.items():
        fades = np.array([fade_per_cycle(cell) for cell in cells])
        new = [float(np.median(aged(cell)[1][:3])) * 100.0 for cell in cells if aged(cell)[1].size]
        quantile = " / ".join(f"{value:.1f}" for value in np.nanquantile(fades, FADE_QUANTILES))
        charges = " | ".join(_or_dash(window_charge(cells, soh), "{:.1f}") for soh in LEVELS)
        yield f"| {dataset} | {rate} | {temperature} | {len(cells)} | {np.median(new):.1f} | {quantile} | {charges} |"


def _or_dash(value: float, text: str) -> str:
    return text.format(value) if np.isfinite(value) else "-"


def shift_table(found: dict[Group, list[CellHistory]]) -> Iterator[str]:
    """Markdown: how the charge of new cells moves with the rate, at 25 degC."""
    yield "| cells | 0.25C to 0.5C, mV | 0.5C to 1C, mV |"
    yield "|---|---|---|"
    for dataset in sorted({name for name, _, _ in found}):
        at = {rate: found.get((dataset, rate, 25.0), []) for rate in (0.25, 0.5, 1.0)}
        shifts = [rate_shift_mv(at[slow], at[fast]) for slow, fast in ((0.25, 0.5), (0.5, 1.0))]
        if np.isfinite(shifts).any():
            yield f"| {dataset} | " + " | ".join(_or_dash(shift, "{:.0f}") for shift in shifts) + " |"


@dataclass(frozen=True)
class Question:
    """What a student learns from and is asked about, of measured cells."""

    text: str
    train: HealthWindows
    val: HealthWindows
    test: HealthWindows


def questions(windows: HealthWindows) -> Iterator[Question]:
    """Enough cells, few cells, a rate left out, a temperature left out."""
    split = split_windows(windows, by="condition", test=0.25, val=0.15, seed=1)
    train, val, test = (windows.select(cells=getattr(split, part)) for part in ("train", "val", "test"))
    val = val.select_every(4)
    yield Question("cells left out", train, val, test)
    few = train.cells[:: max(len(train.cells) // 6, 1)][:6]
    yield Question("cells left out, 6 to learn from", train.select(cells=few), val, test)
    conditions = dict(zip(windows.cells, windows.conditions, strict=True))
    for text, other in (
        ("1C left out", lambda cell: conditions[cell].charge_rate_c == 1.0),
        ("45 degC left out", lambda cell: conditions[cell].temperature_degc == 45.0),
    ):
        kept = [[cell for cell in part.cells if not other(cell)] for part in (train, val)]
        asked = [cell for cell in windows.cells if other(cell)]
        yield Question(text, train.select(cells=kept[0]), val.select(cells=kept[1]), windows.select(cells=asked))


def mean_error(student: Student, windows: HealthWindows) -> float:
    """Mean absolute SOH error over cells, in points."""
    soh = student.predict(windows.x)["soh"].reshape(-1)
    away = np.abs(soh - windows.soh) * 100.0
    return float(np.mean([away[windows.cell == cell].mean() for cell in range(len(windows.cells))]))


def pays_table(asked: Iterable[Question], simulated: HealthWindows, epochs: int, seeds: int) -> Iterator[str]:
    """Markdown: SOH errors, in points, of an MLP without a teacher, by what it learnt from."""
    yield "| cells asked | learnt from | measured alone | simulated beside | simulated first | simulated alone |"
    yield "|---|---|---|---|---|---|"
    for question in asked:
        errors = [_errors(question, simulated, epochs, seed) for seed in range(seeds)]
        row = " | ".join(f"{np.mean(e):.2f}" for e in zip(*errors, strict=True))
        yield f"| {question.text}: {len(question.test.cells)} | {len(question.train.cells)} | {row} |"


def _errors(question: Question, simulated: HealthWindows, epochs: int, seed: int) -> tuple[float, float, float, float]:
    settings = DistillSettings(blends=1)
    fit = replace(settings.fit, epochs=epochs, patience=epochs, samples_per_epoch=4096, seed=seed)
    settings = replace(settings, fit=fit)
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            Run(Path(folder) / name) for name in ("alone", "beside", "simulated", "first")
        ]  # each would go on with another's
        train, val = question.train, question.val
        alone, _ = train_student("mlp", HEALTH, train, val, None, settings, runs[0])
        beside, _ = train_student("mlp", HEALTH, train.join(simulated), val, None, settings, runs[1])
        first, _ = train_student("mlp", HEALTH, simulated, val, None, settings, runs[2])
        only = mean_error(first, question.test)
        fit_student(first, train, val, None, settings, runs[3])
    errors = [mean_error(student, question.test) for student in (alone, beside, first)]
    return errors[0], errors[1], errors[2], only


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.physics_fleet", description=__doc__)
    parser.add_argument("--corpus", required=True, type=Path)
    parser.add_argument("--simulated", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--pays", action="store_true")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--questions", type=int, nargs="*", default=[0, 1, 2, 3])
    given = parser.parse_args()
    folder = given.simulated or Path("physics_fleet")
    if given.simulated is None:
        simulate_fleet(folder, FLEET, given.jobs, lambda what, done, total: None)
    measured, simulated = read_corpus(given.corpus, list(PAIRS)), read_corpus(folder)
    found = groups([*measured, *simulated])
    print("\n".join([*ageing_table(found), "", *shift_table(found)]), flush=True)
    if given.pays:
        like = [name for name in PAIRS if name.startswith("TJU")]
        known = health_windows(measured.select(datasets=like))
        ours = {PAIRS[name] for name in like} & {key[0] for key in simulated.keys}
        print()
        asked = [question for at, question in enumerate(questions(known)) if at in given.questions]
        for line in pays_table(asked, health_windows(simulated.select(datasets=ours)), given.epochs, given.seeds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
