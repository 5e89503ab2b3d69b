"""Whether the error that a model states holds, and what is refused where it does not: students on measured cells.

::

    python -m bench.trust_table --corpus PATH [--folds 4] [--fold N] [--student lstm] [--epochs 60]

Each line trains one small student without a teacher on some cells, which reads the rate of each charge, calibrates a 90 %
interval on all of them in ``--folds`` held out in turn, or with ``--folds 0`` on a quarter that is set aside, and asks it
about held-out cells like the training cells, and about a group that was left out: a data set, a rate, a temperature, the
oldest third, a state of health. Prints docs/trust.md's table. Windows are seen through 0.5 mV of noise, as a device sees
them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.domain_score import HEALTH, with_noise
from edgebat.arrays import Bool
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.data.splits import CALIBRATION, PARTS, split_windows, spread_folds
from edgebat.distill.bounds import IntervalSettings
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground, graph_interval
from edgebat.interval import covered
from edgebat.models import run_int8
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.runs.field import field_limits
from edgebat.runs.ground import GroundSettings, with_ground
from edgebat.runs.interval import Fold, IntervalCells, with_interval
from edgebat.runtime.refusal import Refusal, condition_refusals
from edgebat.tasks.base import Head
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.training.run import Run

EVERY = 3
"""One window of so many is enough: neighbours are nearly equal."""
BAD = 0.03
"""An error of SOH that must be flagged, or covered."""
GROUND = GroundSettings()
SET_ASIDE = 0.25
"""Of the training cells, to calibrate an interval without folds."""


@dataclass(frozen=True)
class LeftOut:
    """What is learnt from, from which voltage on, and what is left out."""

    name: str
    start_v: float
    datasets: tuple[str, ...]
    without: str = ""
    """A data set that is left out."""
    rate_c: float | None = None
    degc: float | None = None
    oldest: bool = False
    """The third of the windows with the smallest SOH."""
    below: float | None = None
    """The windows with a smaller SOH."""

    def windows_of(self, windows: HealthWindows) -> Bool:
        """[N] windows of the group."""
        if self.without:
            return np.asarray(windows.dataset == self.without)
        if self.below is not None:
            return np.asarray(windows.soh < self.below)
        if self.oldest:
            return np.asarray(windows.soh < np.quantile(windows.soh, 1 / 3))
        values = [c.charge_rate_c if self.degc is None else c.temperature_degc for c in windows.conditions]
        wanted = self.rate_c if self.degc is None else self.degc
        return np.array([value == wanted for value in values], np.bool_)[windows.cell]


ALL = ("TJU_NCA", "TJU_NCM", "LSD", "CALCE")
TONGJI = ("TJU_NCA", "TJU_NCM")
FOLDS = (
    *(LeftOut(f"{name} left out", 3.8, ALL, without=name) for name in ("TJU_NCM", "TJU_NCA", "LSD", "CALCE")),
    *(LeftOut(f"{rate:g}C left out", 3.6, TONGJI, rate_c=rate) for rate in (0.25, 1.0)),
    LeftOut("45 degC left out", 3.6, TONGJI, degc=45.0),
    LeftOut("oldest third left out", 3.6, TONGJI, oldest=True),
    LeftOut("SOH below 85 % left out", 3.6, TONGJI[:1], below=0.85),
)


@dataclass(frozen=True)
class Training:
    """How students are trained, and how many more for the interval."""

    kind: str
    epochs: int
    folds: int
    """0: a quarter of the training cells is set aside for it."""
    noise: float
    """``distill.fit.noise``."""

    def student(self, train: HealthWindows, val: HealthWindows) -> tuple[IntGraph, tuple[Head, ...]]:
        """One, int8, without a teacher."""
        settings = DistillSettings(blends=1)
        fit = replace(settings.fit, epochs=self.epochs, patience=self.epochs, samples_per_epoch=16384, noise=self.noise)
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder))
            student, _ = train_student(self.kind, HEALTH, train, val, None, replace(settings, fit=fit), run)
        meta = {"task": HEALTH.described(train.spec), "training": {}}
        options = QuantizeOptions(method="minmax")
        graph = quantize_model(student.float_spec(), train.inputs(), options, name=self.kind, meta=meta)
        return graph, student.heads


@dataclass(frozen=True)
class Answers:
    """What a device says of N windows."""

    wrong: np.ndarray
    """[N] absolute errors of SOH."""
    flagged: Bool
    measured_alone: Bool
    """[N] flagged by what a device measures, without the chemistry that is stated of a cell."""
    low: np.ndarray
    high: np.ndarray
    measured: np.ndarray
    cell: np.ndarray

    @property
    def inside(self) -> Bool:
        """[N]"""
        return np.asarray((self.measured >= self.low) & (self.measured <= self.high))


def trained(known: HealthWindows, how: Training) -> tuple[IntGraph, HealthWindows]:
    """An int8 student with ground and interval, and the held-out windows."""
    share = 0.0 if how.folds else SET_ASIDE
    split = split_windows(known, by="condition", test=0.25, val=0.15, seed=1, calibration=share)
    parts = {part: known.select(cells=getattr(split, part)) for part in split.parts}
    train, val, test = (parts[part] for part in PARTS)
    graph, heads = how.student(train, val)
    graph = with_ground(graph, field_limits(graph, heads, train, val), HEALTH, (train, val), GROUND)
    fold_of = spread_folds(train, how.folds, 1) if how.folds else {}
    folds = []
    for number in range(how.folds):
        out = frozenset(key for key, fold in fold_of.items() if fold == number)
        folds.append(Fold(how.student(train.select(cells=set(train.cells) - out), val)[0], out))
    cells = IntervalCells(train, parts.get(CALIBRATION), test, tuple(folds))
    return with_interval(graph, HEALTH, cells, IntervalSettings(coverage=0.9, folds=how.folds), GROUND), test


def asked(graph: IntGraph, windows: HealthWindows, seed: int) -> Answers:
    """Answers for windows as a device sees them, which knows the rate and the temperature of a charge and, where it is
    stated, its cell's chemistry."""
    found = run_int8(graph, with_noise(windows, seed))
    value = {name: found.values[name][:, 0] / 10_000 for name in ("soh", "soh_low", "soh_high")}
    gate = condition_refusals(graph, windows.conditions)[windows.cell]
    measured = found.outside | np.isin(gate, (Refusal.RATE, Refusal.TEMPERATURE))
    wrong = np.abs(value["soh"] - windows.soh)
    flagged = measured | (gate == Refusal.CHEMISTRY)
    return Answers(wrong, flagged, measured, value["soh_low"], value["soh_high"], windows.soh, windows.cell)


HEAD = (
    "| left out | cells: learnt, calibration, held out | error, points | coverage, worst cell | median width | false alarms "
    "| left-out cells | their error | flagged | by what is measured | wrong by > 3: flagged or covered |\n"
    + 11 * "|---"
    + "|"
)


def row(fleet: Fleet, left_out: LeftOut, how: Training) -> str:
    """One fold as a row of Markdown."""
    spec = HealthSpec(window_start_v=left_out.start_v, window_end_v=left_out.start_v + 0.1, charge_rate=True)
    windows = health_windows(fleet.select(left_out.datasets), spec).select_every(EVERY)
    left = left_out.windows_of(windows)
    # Cells of which a part is left out are held out whole, or the rest of their life would be known.
    known, strange = windows.select(mask=~left), windows.select(mask=left)
    graph, test = trained(known, how)
    if left_out.oldest or left_out.below is not None:
        strange = strange.select(mask=np.array([c in test.cells for c in strange.cells])[strange.cell])
    own, other = asked(graph, test, 21), asked(graph, strange, 22)
    interval, ground = graph_interval(graph), graph_ground(graph)
    assert interval is not None
    taken = ~own.flagged
    held = covered(own.low[taken], own.high[taken], own.measured[taken], own.cell[taken])
    assert held is not None
    safe = [answers.flagged | answers.inside for answers in (own, other)]
    bad = [answers.wrong > BAD for answers in (own, other)]
    caught = np.concatenate([s[b] for s, b in zip(safe, bad, strict=True)])
    widened = ", widened" if interval.widened else ""
    return (
        f"| {left_out.name} | {ground.train.cells}, {interval.cells}{widened}, {held.cells} "
        f"| {own.wrong[taken].mean() * 100:.2f} "
        f"| {held.coverage:.1%}, {held.worst:.0%} | {held.width * 100:.1f} | {own.flagged.mean():.1%} "
        f"| {len(strange.cells)} | {other.wrong.mean() * 100:.1f} | {other.flagged.mean():.1%} "
        f"| {other.measured_alone.mean():.1%} "
        f"| {caught.mean() if len(caught) else np.nan:.1%} of {len(caught)} |"
    )


def main() -> None:
    """All folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--student", default="lstm")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--folds", type=int, default=4, help="of the interval; 0: a quarter of the training cells")
    parser.add_argument("--noise", type=float, default=0.3, help="in training, of each input's deviation")
    parser.add_argument("--fold", type=int, action="append", help="only this one; repeatable")
    given = parser.parse_args()
    fleet = read_corpus(given.corpus)
    torch.set_num_threads(1)
    print(HEAD)
    for number in given.fold or range(len(FOLDS)):
        how = Training(given.student, given.epochs, given.folds, given.noise)
        print(row(fleet, FOLDS[number], how), flush=True)


if __name__ == "__main__":
    main()
