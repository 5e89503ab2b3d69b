"""What a student is worth that reads whichever voltage windows the charges crossed, on measured cells.

::

    python -m bench.any_window --corpus PATH [--teacher FILE] [--kind mlp] [--coverage | --floor]

First the share of charges that give an input at all, for charges that begin at 10 to 70 % state of charge: through one
window, and through any. Then the int8 error on the held-out cells of ``health-tongji``, over the windows' starts and the
number of charges seen. ``--floor`` instead: what one charge tells at all, by a learner without a limit of size (1,500 radial
functions, least squares), through one window or through all that a charge crosses from its beginning on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.charge_rate import DATASETS, KINDS, Study, errors, rmse
from edgebat.arrays import Float64
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.distill.train import DistillSettings
from edgebat.models import open_model
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows

CHARGED_AT_START = 0.07
"""State of charge at 3.6 V, where the curves begin: of the cells whose whole charges are in the corpus (1C)."""
LAST_V = 4.15
"""The corpus' constant currents reach so far."""
CENTRES = 1500
ARRIVALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LEAD_V = 0.005
"""A charge that begins so far below a window crosses its first level from below."""


def coverage(fleet: Fleet, spec: HealthSpec) -> None:
    """Share of the fleet's charges that cross the first window, and any window, by state of charge at their beginning."""
    begins: dict[float, list[Float64]] = {arrival: [] for arrival in ARRIVALS}
    for history in fleet.histories():
        capacity = dict(zip(history.cycle.tolist(), history.capacity_ah.tolist(), strict=True))
        for cycle, curve in zip(history.charge_cycle[::10], history.charge_dq_ah[::10].astype(np.float64), strict=True):
            good = np.isfinite(curve)
            if good.sum() < 2 or not capacity.get(int(cycle), np.nan) > 0.0:
                continue
            charge, volts = np.maximum.accumulate(curve[good]), history.charge_voltage_v[good]
            for arrival in ARRIVALS:
                taken = (arrival - CHARGED_AT_START) * capacity[int(cycle)]
                begins[arrival].append(np.interp(taken, charge, volts, right=np.inf))
    print("| arrival | begins at, V (median) | one window | any window |\n|---|---|---|---|")
    for arrival, volts_v in begins.items():
        first = np.array(volts_v) + LEAD_V
        one, many = (first <= spec.window_start_v).mean(), (first <= spec.starts_v[-1]).mean()
        print(f"| {arrival:.0%} | {np.median(first):.2f} | {one:.0%} | {many:.0%} |", flush=True)


def error_table(study: Study, spec: HealthSpec) -> None:
    """Int8 errors of held-out cells by how much was seen."""
    train, val, test = study.parts
    count = _rows(test, spec).sum(axis=1)
    starts = np.where(_rows(test, spec), test.x[..., spec.increments] * 1000, np.nan)
    charges = _charges(test, spec)
    print(
        "| student | all | one row | one charge, any number of windows | several charges | by start, one row |\n|"
        + "---|" * 6
    )
    for kind in study.kinds:
        wrong = errors(study.graph(kind, 0, train, val), test)
        one = count == 1
        by_start = ", ".join(
            f"{v:g} V {rmse(wrong[one & (np.nanmax(starts, axis=1).round(3) == v)]):.2f}" for v in spec.starts_v
        )
        print(f"| {kind} | {rmse(wrong):.2f} | {rmse(wrong[one]):.2f} | {rmse(wrong[charges == 1]):.2f} | "
              f"{rmse(wrong[charges > 1]):.2f} | {by_start} |", flush=True)  # fmt: skip


def floor(study: Study, spec: HealthSpec, fleet: Fleet) -> None:
    """What single charges tell of SOH: errors of held-out cells, by where a charge begins and how far it is read."""
    print("| read from, V | to | held-out cells | NCA | NCM | training cells |\n|" + "---|" * 6)
    for start_v, end_v in [(v, v + 0.1) for v in spec.starts_v[::2]] + [(v, LAST_V) for v in spec.starts_v[:-1:2]]:
        one = replace(spec.beginning_at(start_v), context=1, window_end_v=round(end_v, 6), increments=10)
        own = replace(study, windows=health_windows(fleet, one))
        train, val, test = own.parts
        known = train.join(val).select_every(2)
        answer = learnt(known.x[:, 0].astype(np.float64), known.soh * 100.0)
        wrong, at_home = (answer(w.x[:, 0].astype(np.float64)) - w.soh * 100.0 for w in (test, known))
        nca = np.array([key[0] == "TJU_NCA" for key in test.cells])[test.cell]
        figures = [rmse(part) for part in (wrong, wrong[nca], wrong[~nca], at_home)]
        print(f"| {start_v:.2f} | {end_v:.2f} | " + " | ".join(f"{value:.2f}" for value in figures) + " |", flush=True)


def learnt(x: Float64, y: Float64) -> Callable[[Float64], Float64]:
    """Radial functions of at most ``CENTRES`` of the rows, by least squares with a ridge."""
    mean, size = x.mean(axis=0), x.std(axis=0) + 1e-9
    centres = ((x - mean) / size)[np.random.default_rng(0).choice(len(x), min(CENTRES, len(x)), replace=False)]

    def seen(rows: Float64) -> Float64:
        z = (rows - mean) / size
        far = (z**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2.0 * z @ centres.T
        return np.asarray(np.exp(-far / (2.0 * x.shape[1])))

    a = seen(x)
    ridge = 1e-5 * len(x) * np.eye(len(centres))
    weights = np.linalg.solve(a.T @ a + ridge, a.T @ (y - y.mean()))
    return lambda rows: np.asarray(seen(rows) @ weights + y.mean())


def _rows(windows: HealthWindows, spec: HealthSpec) -> Float64:
    return windows.x[..., spec.increments] > 0


def _charges(windows: HealthWindows, spec: HealthSpec) -> Float64:
    """[N] different charges."""
    ages = np.where(_rows(windows, spec), np.rint(windows.x[..., spec.increments + 1] * 1e6), -1)
    ages.sort(axis=1)
    return np.asarray((np.diff(ages, axis=1) > 0).sum(axis=1) + (ages[:, 0] >= 0), np.float64)


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="without: measured labels alone")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this student; repeatable")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--samples", type=int, default=32768)
    parser.add_argument("--coverage", action="store_true", help="that table alone")
    parser.add_argument("--floor", action="store_true", help="what single charges tell at all, that table alone")
    given = parser.parse_args()
    spec = HealthSpec(windows="any", charge_rate=True)
    fleet = read_corpus(given.corpus, DATASETS)
    if not given.floor:
        coverage(fleet, spec)
    if given.coverage:
        return
    teacher = open_model(given.teacher).network if given.teacher else None
    settings = DistillSettings(blends=0)
    fit = replace(settings.fit, epochs=given.epochs, patience=given.epochs, samples_per_epoch=given.samples)
    windows = health_windows(fleet, replace(spec, draws=1) if given.floor else spec)
    with tempfile.TemporaryDirectory() as cache:
        study = Study(windows, teacher, tuple(given.kind or KINDS), 1, replace(settings, fit=fit), Path(cache))
        if given.floor:
            floor(study, spec, fleet)
        else:
            error_table(study, spec)


if __name__ == "__main__":
    main()
