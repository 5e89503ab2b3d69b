"""What a student gains that is given the charging current of every charge, on measured cells.

::

    python -m bench.charge_rate --corpus PATH [--part choice|known|rates] [--teacher export/zoo/teachers/ic2ml/tongji.safetensors]

``choice``: on training and validation cells alone, held out in turn, what the input is worth; everything is chosen by it.
``known``: int8 error on the held-out cells of ``health-tongji``. ``rates``: each charging rate left out of training in turn,
the error there and what of it the gate and the domain score refuse. Students are those of the recipe, settings too.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.cells import CellKey
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.distill.mix import folds_of
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.models import open_model, run_int8, to_ppm
from edgebat.quantize import QuantizeOptions, quantize_model
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import outside_domain
from edgebat.tasks.base import task
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.teachers.base import Teacher
from edgebat.training.run import Run

HEALTH = task("health")
DATASETS = ("TJU_NCA", "TJU_NCM")
KINDS = ("mlp", "cnn", "lstm")


@dataclass(frozen=True)
class Study:
    """The cells and how students are trained."""

    windows: HealthWindows
    teacher: Teacher | None
    kinds: tuple[str, ...]
    seeds: int
    settings: DistillSettings

    @property
    def parts(self) -> tuple[HealthWindows, HealthWindows, HealthWindows]:
        """Training, validation and test cells of the recipe ``health-tongji``."""
        split = split_windows(self.windows, by="condition", test=0.25, val=0.15, seed=1)
        train, val, test = (self.windows.select(cells=getattr(split, part)) for part in ("train", "val", "test"))
        return train, val, test

    def variants(self) -> Iterator[tuple[str, int, bool]]:
        """Family, seed, whether it reads the rate."""
        yield from ((k, s, r) for k in self.kinds for s in range(self.seeds) for r in (False, True))

    def graph(self, kind: str, seed: int, train: HealthWindows, val: HealthWindows) -> IntGraph:
        """An int8 student with its ground."""
        settings = replace(self.settings, fit=replace(self.settings.fit, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder))
            student, _ = train_student(kind, HEALTH, train, val, self.teacher, settings, run)
        meta = {"task": HEALTH.described(train.spec), "training": {}}
        options = QuantizeOptions(method="minmax")
        graph = quantize_model(student.float_spec(), train.inputs(), options, name=kind, meta=meta)
        ground = measured_ground(graph, HEALTH, train, val, GroundSettings())
        return replace(graph, meta={**graph.meta, "ground": ground})


def reading(windows: HealthWindows, rate: bool) -> HealthWindows:
    """The same windows with the rate, or without."""
    return windows if rate else windows.cut_for(replace(windows.spec, charge_rate=False), "a student")


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
    """Training and validation cells held out in turn, a fold of them; the next fold chooses the weights."""
    train, val, _ = study.parts
    pool = train.join(val)
    fold = folds_of(pool.cells, datasets=False)
    print("| student, seed | reads the rate | RMSE over windows | mean over cells | by rate |\n|---|---|---|---|---|")
    for kind, seed, rate in study.variants():
        found = np.full(len(pool), np.nan)
        for out in range(int(fold.max()) + 1):
            chooses = (out + 1) % (int(fold.max()) + 1)
            parts = [
                pool.select(cells=_cells(pool, part)) for part in (~np.isin(fold, [out, chooses]), fold == chooses)
            ]
            own, next_ = (reading(part, rate) for part in parts)
            graph = study.graph(kind, seed, own, next_)
            rows = (fold == out)[pool.cell]
            found[rows] = errors(graph, reading(pool.select(mask=rows), rate))
        cells = [rmse(found[pool.cell == cell]) for cell in range(len(pool.cells))]
        print(f"| {kind}, {seed} | {'yes' if rate else 'no'} | {rmse(found):.3f} | {np.mean(cells):.3f} | "
              f"{by_rate(found, pool)} |", flush=True)  # fmt: skip


def known(study: Study) -> None:
    """Held-out cells of the recipe."""
    train, val, test = study.parts
    print(
        "| student, seed | reads the rate | RMSE, val | RMSE, test | by rate | outside the domain |\n|---|---|---|---|---|---|"
    )
    for kind, seed, rate in study.variants():
        graph = study.graph(kind, seed, reading(train, rate), reading(val, rate))
        asked = reading(test, rate)
        wrong, own = errors(graph, asked), errors(graph, reading(val, rate))
        outside = outside_domain(graph, quantize_input(graph, to_ppm(asked.inputs())))
        print(f"| {kind}, {seed} | {'yes' if rate else 'no'} | {rmse(own):.3f} | {rmse(wrong):.3f} | "
              f"{by_rate(wrong, test)} | {outside.mean():.1%} |", flush=True)  # fmt: skip


def left_out(study: Study) -> None:
    """Every rate left out of training and validation."""
    train, val, test = study.parts
    print("| left out | student, seed | reads the rate | RMSE there | outside the domain | RMSE of what is inside | RMSE, "
          "other rates | gate refuses |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for rate_c in np.unique(rates_of(study.windows)):
        strange = study.windows.select(mask=rates_of(study.windows) == rate_c)
        own, held, asked = (part.select(mask=rates_of(part) != rate_c) for part in (train, val, test))
        for kind, seed, rate in study.variants():
            graph = study.graph(kind, seed, reading(own, rate), reading(held, rate))
            there = reading(strange, rate)
            wrong = errors(graph, there)
            outside = outside_domain(graph, quantize_input(graph, to_ppm(there.inputs())))
            limits = measured_limits(graph)
            print(f"| {rate_c:g}C | {kind}, {seed} | {'yes' if rate else 'no'} | {rmse(wrong):.2f} | {outside.mean():.0%} | "
                  f"{rmse(wrong[~outside]):.2f} | {rmse(errors(graph, reading(asked, rate))):.2f} | "
                  f"{'none' if limits(rate_c) else 'all'} |", flush=True)  # fmt: skip


def measured_limits(graph: IntGraph):  # type: ignore[no-untyped-def]
    """Whether a rate is one the model knows."""
    from edgebat.graph.origin import graph_ground

    return graph_ground(graph).rows.knows_rate


def _cells(windows: HealthWindows, mask: object) -> list[CellKey]:
    return [cell for cell, kept in zip(windows.cells, np.asarray(mask), strict=True) if kept]


PARTS = {"choice": choice, "known": known, "rates": left_out}


def main() -> None:
    """One part, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; repeatable")
    parser.add_argument("--teacher", type=Path, help="without: measured labels alone")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this student; repeatable")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=60)
    given = parser.parse_args()
    windows = health_windows(read_corpus(given.corpus, DATASETS), HealthSpec(charge_rate=True))
    teacher = open_model(given.teacher).network if given.teacher else None
    settings = DistillSettings()
    settings = replace(settings, fit=replace(settings.fit, epochs=given.epochs, patience=given.epochs))
    study = Study(windows, teacher, tuple(given.kind or KINDS), given.seeds, settings)
    for part in given.part or PARTS:
        print(f"\n**{part}**\n", flush=True)
        PARTS[part](study)


if __name__ == "__main__":
    main()
