"""What notices that a window is of a kind no training cell was: the domain score beside its rivals, on measured cells.

::

    python -m bench.domain_score --corpus PATH [--epochs 15]

Each fold trains one small MLP on some data sets, sets every threshold on the validation cells for 2 % false alarms, and asks
about held-out cells of the same data sets and about the data sets left out; ``rate`` folds leave out a charging rate. Every
method is asked twice: about windows as they were measured, and with 0.5 mV of noise at the crossings.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Float32, Float64
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.models import run_int8, to_ppm
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.runtime import input_clipped, quantize_input
from edgebat.runtime.refusal import Refusal, domain_scores, refusals
from edgebat.tasks.base import task
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.training.run import Run

HEALTH = task("health")
FALSE_ALARMS = 0.02
NOISE_MV = 0.5
BAD = 0.03
"""An error of SOH that must not pass."""


@dataclass(frozen=True)
class Fold:
    """What is learnt from, between which voltages, and a rate that is left out."""

    start_v: float
    learnt: tuple[str, ...]
    without_rate_c: float | None = None

    def __str__(self) -> str:
        left = f" without {self.without_rate_c:g}C" if self.without_rate_c else ""
        return f"{' + '.join(self.learnt)}{left}, {self.start_v:g} to {self.start_v + 0.1:g} V"


FOLDS = (
    Fold(3.6, ("TJU_NCA",)),
    Fold(3.8, ("TJU_NCA", "TJU_NCM")),
    Fold(3.8, ("LSD",)),
    Fold(3.8, ("TJU_NCA", "TJU_NCM", "LSD")),
    Fold(3.6, ("TJU_NCA", "TJU_NCM"), 0.25),
    Fold(3.6, ("TJU_NCA", "TJU_NCM"), 0.5),
    Fold(3.6, ("TJU_NCA", "TJU_NCM"), 1.0),
)

Scorer = Callable[[Float32], Float64]


@dataclass(frozen=True)
class Trained:
    """An int8 student with its ground, and what it was made from."""

    graph: IntGraph
    train: HealthWindows
    val: HealthWindows
    test: HealthWindows


def trained(known: HealthWindows, epochs: int) -> Trained:
    """An MLP without a teacher."""
    split = split_windows(known, by="condition", test=0.25, val=0.15, seed=1)
    train, val, test = (known.select(cells=getattr(split, part)) for part in ("train", "val", "test"))
    settings = DistillSettings(blends=1)
    settings = replace(settings, fit=replace(settings.fit, epochs=epochs, patience=epochs, samples_per_epoch=16384))
    with tempfile.TemporaryDirectory() as folder:
        student, _ = train_student("mlp", HEALTH, train, val, None, settings, Run(Path(folder)))
    meta = {"task": HEALTH.described(known.spec), "training": {}}
    graph = quantize_model(student.float_spec(), train.x, QuantizeOptions(method="minmax"), name="mlp", meta=meta)
    ground = measured_ground(graph, HEALTH, train, val, GroundSettings(false_alarms=FALSE_ALARMS))
    return Trained(replace(graph, meta={**graph.meta, "ground": ground}), train, val, test)


def scorers(model: Trained) -> dict[str, Scorer]:
    """The methods: larger is stranger."""
    graph = model.graph

    def mean_row(x: Float32) -> Float64:
        return np.asarray(quantize_input(graph, to_ppm(x)).astype(np.float64).mean(axis=1))

    rows = mean_row(with_noise(model.train, seed=8, every=2))
    centre, inverse = rows.mean(axis=0), np.linalg.inv(np.cov(rows.T) + 0.1 * np.eye(rows.shape[1]))
    axes = np.linalg.svd(rows - centre, full_matrices=False)[2][:3]

    def mahalanobis(x: Float32) -> Float64:
        away = mean_row(x) - centre
        return np.asarray(np.einsum("ni,ij,nj->n", away, inverse, away))

    def reconstruction(x: Float32) -> Float64:
        away = mean_row(x) - centre
        return np.asarray(((away - away @ axes.T @ axes) ** 2).sum(axis=1))

    def prototypes(x: Float32) -> Float64:
        found = domain_scores(graph, quantize_input(graph, to_ppm(x)))
        assert found is not None
        return found.astype(np.float64)

    return {"prototypes": prototypes, "Mahalanobis": mahalanobis, "reconstruction, 3 axes": reconstruction}


def with_noise(windows: HealthWindows, seed: int, every: int = 1) -> Float32:
    """Inputs, every so many-th with noise at the crossings."""
    x = windows.x.copy()
    x[::every] = HEALTH.noisy_inputs(windows, NOISE_MV, np.random.default_rng(seed))[::every]
    return x


def auroc(known: Float64, strange: Float64) -> float:
    """Chance that a strange window scores above a known one."""
    below = np.searchsorted(np.sort(known), strange, side="left") + np.searchsorted(
        np.sort(known), strange, side="right"
    )
    return float(below.mean() / (2 * len(known)))


def decisions(model: Trained) -> dict[str, tuple[Scorer | None, Scorer]]:
    """Method -> (score, whether refused)."""
    graph, held = model.graph, with_noise(model.val, seed=9, every=2)
    found: dict[str, tuple[Scorer | None, Scorer]] = {}
    for name, score in scorers(model).items():
        limit = float(np.quantile(score(held), 1 - FALSE_ALARMS))
        found[name] = (score, _above(score, limit))
    found["int8 range (before)"] = (None, lambda x: np.asarray(input_clipped(graph, to_ppm(x)), np.float64))

    def device(x: Float32) -> Float64:
        ppm = to_ppm(x)
        return np.asarray(refusals(graph, ppm, quantize_input(graph, ppm)) != Refusal.NONE, np.float64)

    found["limits and prototypes"] = (None, device)
    return found


def _above(score: Scorer, limit: float) -> Scorer:
    return lambda x: np.asarray(score(x) > limit, np.float64)


def errors(model: Trained, windows: HealthWindows, x: Float32) -> Float64:
    """Absolute SOH errors [N] of the device."""
    soh = run_int8(model.graph, x).values["soh"][:, 0] / 10_000
    return np.asarray(np.abs(soh - windows.soh), np.float64)


def table(model: Trained, strange: dict[str, HealthWindows]) -> list[str]:
    """Rows of a fold."""
    lines = []
    ways = decisions(model)
    for noise in (False, True):
        known = with_noise(model.test, 11) if noise else model.test.x
        own = errors(model, model.test, known)
        for kind, windows in strange.items():
            x = with_noise(windows, 12) if noise else windows.x
            wrong = errors(model, windows, x)
            for name, (score, refuse) in ways.items():
                alarms, flagged = refuse(known), refuse(x)
                passed = wrong[flagged == 0]
                bad = wrong > BAD
                lines.append(
                    f"| {kind} ({len(windows.cells)} cells) | {NOISE_MV if noise else 0:g} | {name} "
                    f"| {auroc(score(known), score(x)):.3f} |" if score else
                    f"| {kind} ({len(windows.cells)} cells) | {NOISE_MV if noise else 0:g} | {name} | - |"
                )  # fmt: skip
                lines[-1] += (
                    f" {alarms.mean():.1%} | {flagged.mean():.1%} | {_percent(passed)} | {wrong.mean() * 100:.2f} "
                    f"| {flagged[bad].mean() if bad.any() else np.nan:.1%} | {own[alarms == 0].mean() * 100:.2f} |"
                )
    return lines


def _percent(passed: Float64) -> str:
    return f"{passed.mean() * 100:.2f} / {np.quantile(passed, 0.95) * 100:.2f}" if len(passed) else "none passes"


HEAD = (
    "| left out | noise, mV | method | AUROC | false alarms | flagged | what passes: mean / 95 % error, points | all: mean "
    "| error above 3 points: flagged | known cells that pass: mean |\n|---|---|---|---|---|---|---|---|---|---|"
)


def fold_table(corpus: Path, fold: Fold, epochs: int) -> str:
    """One fold as Markdown."""
    spec = HealthSpec(window_start_v=fold.start_v, window_end_v=fold.start_v + 0.1)
    windows = health_windows(read_corpus(corpus), spec)
    mine = np.isin(windows.dataset, fold.learnt)
    if fold.without_rate_c is None:
        strange = {name: windows.select(datasets=[name]) for name in sorted(set(windows.dataset[~mine]))}
    else:
        rates = np.array([c.charge_rate_c or 0.0 for c in windows.conditions])[windows.cell]
        left = mine & (rates == fold.without_rate_c)
        strange, mine = {f"{fold.without_rate_c:g}C": windows.select(mask=left)}, mine & ~left
    model = trained(windows.select(mask=mine), epochs)
    return f"\n**{fold}** ({len(model.train.cells)} cells)\n\n{HEAD}\n" + "\n".join(table(model, strange))


def main() -> None:
    """All folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--fold", type=int, action="append", help="only this one; repeatable")
    given = parser.parse_args()
    for number in given.fold or range(len(FOLDS)):
        print(fold_table(given.corpus, FOLDS[number], given.epochs), flush=True)


if __name__ == "__main__":
    main()
