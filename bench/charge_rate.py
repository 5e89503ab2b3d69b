"""What a student gains that is given the charging current of every charge, on measured cells.

::

    python -m bench.charge_rate --corpus PATH [--part choice|noise|known|rates] [--teacher FILE]

``choice``: on training and validation cells alone, held out in turn, what rate and temperature are worth as inputs;
everything is chosen by it. ``noise``: on the same cells, what noise in training is worth in front of a noisy device.
``known``: int8 error on the held-out cells of ``health-tongji``. ``rates``: each charging rate left out of training in turn,
the error there and what of it the gate and the domain score refuse. Students are those of the recipe, settings too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Float32, Float64
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.distill.mix import folds_of
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground
from edgebat.models import open_model, run_int8, to_ppm
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import outside_domain
from edgebat.students.base import Student
from edgebat.tasks.base import task
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.teachers.base import Teacher
from edgebat.training.run import Run

HEALTH = task("health")
DATASETS = ("TJU_NCA", "TJU_NCM")
KINDS = ("mlp", "cnn", "lstm")
NOISES, NOISE_MV = (0.05, 0.3), 0.5
"""In training, in deviations of an increment; and a device's, at each crossing."""


@dataclass(frozen=True)
class Study:
    """The cells and how students are trained."""

    windows: HealthWindows
    teacher: Teacher | None
    kinds: tuple[str, ...]
    seeds: int
    settings: DistillSettings
    cache: Path
    """Of the teacher's labels."""

    @property
    def parts(self) -> tuple[HealthWindows, HealthWindows, HealthWindows]:
        """Training, validation and test cells of the recipe ``health-tongji``."""
        split = split_windows(self.windows, by="condition", test=0.25, val=0.15, seed=1)
        train, val, test = (self.windows.select(cells=getattr(split, part)) for part in ("train", "val", "test"))
        return train, val, test

    @property
    def pool(self) -> HealthWindows:
        """Training and validation cells, of whose windows every third."""
        train, val, _ = self.parts
        return train.join(val).select_every(3)

    def variants(self) -> Iterator[tuple[str, int, bool]]:
        """Family, seed, whether it reads the rate."""
        yield from ((k, s, r) for k in self.kinds for s in range(self.seeds) for r in (False, True))

    def student(self, kind: str, seed: int, train: HealthWindows, val: HealthWindows) -> Student:
        """A float student."""
        settings = replace(self.settings, fit=replace(self.settings.fit, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            return train_student(kind, HEALTH, train, val, self.teacher, settings, Run(Path(folder), cache=self.cache))[
                0
            ]

    def graph(self, kind: str, seed: int, train: HealthWindows, val: HealthWindows) -> IntGraph:
        """An int8 student with its ground."""
        student = self.student(kind, seed, train, val)
        meta = {"task": HEALTH.described(train.spec), "training": {}}
        options = QuantizeOptions(method="minmax")
        graph = quantize_model(student.float_spec(), train.inputs(), options, name=kind, meta=meta)
        ground = measured_ground(graph, HEALTH, train, val, GroundSettings())
        return replace(graph, meta={**graph.meta, "ground": ground})


class Warm(HealthWindows):
    """Windows whose last column is the temperature of the cell's chamber, degC / 1000."""

    def smallest_std(self) -> Float32:
        """One degree."""
        return np.append(super().smallest_std(), np.float32(1e-3)).astype(np.float32)


def warm(windows: HealthWindows) -> HealthWindows:
    """The same windows with the temperature behind the other columns."""
    degrees = np.array([c.temperature_degc or 0.0 for c in windows.conditions], dtype=np.float32)[windows.cell] / 1000
    column = np.broadcast_to(degrees[:, None, None], (*windows.x.shape[:2], 1))
    return Warm(**(vars(windows) | {"x": np.concatenate([windows.x, column], axis=2)}))


def reading(windows: HealthWindows, rate: bool) -> HealthWindows:
    """The same windows with the rate, or without."""
    return windows if rate else windows.cut_for(replace(windows.spec, charge_rate=False), "a student")


READ: dict[str, Callable[[HealthWindows], HealthWindows]] = {
    "neither": lambda windows: reading(windows, False),
    "rate": lambda windows: windows,
    "temperature": lambda windows: warm(reading(windows, False)),
    "both": warm,
}


def rates_of(windows: HealthWindows) -> Float64:
    """[N] rate of the cells' protocols, C."""
    return np.array([c.charge_rate_c or np.nan for c in windows.conditions])[windows.cell]


def errors(graph: IntGraph, windows: HealthWindows) -> Float64:
    """[N] of the device, in points of SOH."""
    return np.asarray(run_int8(graph, windows.inputs()).values["soh"][:, 0] / 100 - windows.soh * 100, np.float64)


def rmse(wrong: Float64) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(wrong**2))) if wrong.size else float("nan")


def by_rate(wrong: Float64, windows: HealthWindows) -> str:
    """Error of every rate."""
    rates = rates_of(windows)
    return ", ".join(f"{rate:g}C {rmse(wrong[rates == rate]):.2f}" for rate in np.unique(rates))


def choice(study: Study) -> None:
    """Training and validation cells held out in turn, a fold of them; the next fold chooses the weights. Float students."""
    pool = study.pool
    fold = folds_of(pool.cells, datasets=False)
    print("| student, seed | reads | RMSE over windows | mean over cells | by rate |\n|---|---|---|---|---|")
    for kind, seed in ((kind, seed) for kind in study.kinds for seed in range(study.seeds)):
        for name, read in READ.items():
            found = np.full(len(pool), np.nan)
            for out in range(int(fold.max()) + 1):
                chooses = (out + 1) % (int(fold.max()) + 1)
                masks = [mask[pool.cell] for mask in (~np.isin(fold, [out, chooses]), fold == chooses, fold == out)]
                own, held, asked = (read(pool.select(mask=mask)) for mask in masks)
                student = study.student(kind, seed, own, held)
                found[masks[2]] = (student.predict(asked.inputs())["soh"] - asked.soh) * 100
            cells = [rmse(found[pool.cell == cell]) for cell in range(len(pool.cells))]
            row = f"| {kind}, {seed} | {name} | {rmse(found):.3f} | {np.mean(cells):.3f} | {by_rate(found, pool)} |"
            print(row, flush=True)


def noise(study: Study) -> None:
    """As ``choice``, with the weights of the last epoch; every student is asked about noisy windows too."""
    pool = study.pool
    fold = folds_of(pool.cells, datasets=False)
    print(
        "| student | noise in training | reads the rate | RMSE, mean over cells | with noise |\n|---|---|---|---|---|"
    )
    for kind, level, rate in ((k, level, r) for k in study.kinds for level in NOISES for r in (False, True)):
        fit = replace(study.settings.fit, noise=level, keep="last")
        taught = replace(study, settings=replace(study.settings, fit=fit))
        clean, noisy = np.full(len(pool), np.nan), np.full(len(pool), np.nan)
        for out in range(int(fold.max()) + 1):
            watches = (out + 1) % (int(fold.max()) + 1)
            masks = [mask[pool.cell] for mask in (fold != out, fold == watches, fold == out)]
            own, held, asked = (reading(pool.select(mask=mask), rate) for mask in masks)
            student = taught.student(kind, 0, own, held)
            seen = HEALTH.noisy_inputs(asked, NOISE_MV, np.random.default_rng(4))
            for wrong, x in ((clean, asked.inputs()), (noisy, seen)):
                wrong[masks[2]] = (student.predict(x)["soh"] - asked.soh) * 100
        cells = [[rmse(wrong[pool.cell == cell]) for cell in range(len(pool.cells))] for wrong in (clean, noisy)]
        row = f"| {kind} | {level} | {'yes' if rate else 'no'} | {rmse(clean):.2f}, {np.mean(cells[0]):.2f} |"
        print(row + f" {rmse(noisy):.2f}, {np.mean(cells[1]):.2f} |", flush=True)


def known(study: Study) -> None:
    """Held-out cells of the recipe."""
    train, val, test = study.parts
    print("| student, seed | reads the rate | RMSE, val | RMSE, test | by rate | outside the domain |\n|" + "---|" * 6)
    for kind, seed, rate in study.variants():
        graph = study.graph(kind, seed, reading(train, rate), reading(val, rate))
        asked = reading(test, rate)
        wrong, own = errors(graph, asked), errors(graph, reading(val, rate))
        outside = outside_domain(graph, quantize_input(graph, to_ppm(asked.inputs()))).mean()
        row = f"| {kind}, {seed} | {'yes' if rate else 'no'} | {rmse(own):.3f} | {rmse(wrong):.3f} |"
        print(row + f" {by_rate(wrong, test)} | {outside:.1%} |", flush=True)


def left_out(study: Study) -> None:
    """Every rate left out of training and validation."""
    train, val, test = study.parts
    print(
        "| left out | student, seed | reads the rate | RMSE there | outside the domain | RMSE inside it | RMSE, other rates "
        "| gate refuses |\n|" + "---|" * 8
    )
    for rate_c in np.unique(rates_of(study.windows)):
        strange = study.windows.select(mask=rates_of(study.windows) == rate_c)
        own, held, asked = (part.select(mask=rates_of(part) != rate_c) for part in (train, val, test))
        for kind, seed, rate in study.variants():
            graph = study.graph(kind, seed, reading(own, rate), reading(held, rate))
            there = reading(strange, rate)
            wrong = errors(graph, there)
            outside = outside_domain(graph, quantize_input(graph, to_ppm(there.inputs())))
            refused = "none" if graph_ground(graph).rows.knows_rate(float(rate_c)) else "all"
            row = f"| {rate_c:g}C | {kind}, {seed} | {'yes' if rate else 'no'} | {rmse(wrong):.2f} | {outside.mean():.0%} |"
            others = rmse(errors(graph, reading(asked, rate)))
            print(row + f" {rmse(wrong[~outside]):.2f} | {others:.2f} | {refused} |", flush=True)


PARTS = {"choice": choice, "noise": noise, "known": known, "rates": left_out}


def main() -> None:
    """One part, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; repeatable")
    parser.add_argument("--teacher", type=Path, help="without: measured labels alone")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this student; repeatable")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--samples", type=int, default=32768, help="windows drawn in an epoch")
    given = parser.parse_args()
    windows = health_windows(read_corpus(given.corpus, DATASETS), HealthSpec(charge_rate=True))
    teacher = open_model(given.teacher).network if given.teacher else None
    settings = DistillSettings()
    fit = replace(settings.fit, epochs=given.epochs, patience=given.epochs, samples_per_epoch=given.samples)
    with tempfile.TemporaryDirectory() as cache:
        study = Study(
            windows, teacher, tuple(given.kind or KINDS), given.seeds, replace(settings, fit=fit), Path(cache)
        )
        for part in given.part or PARTS:
            print(f"\n**{part}**\n", flush=True)
            PARTS[part](study)


if __name__ == "__main__":
    main()
