"""What a student is worth that reads whichever voltage windows the charges crossed, on measured cells.

::

    python -m bench.any_window --corpus PATH [--teacher FILE] [--kind gru] [--coverage | --floor | --folds | --domain]

First the share of charges that give an input at all, for charges that begin at 10 to 70 % state of charge: through one
window, and through any. Then the error on the held-out cells of ``health-tongji``, by the number of charges seen and by the
voltage at which the newest one arrived, of drawn histories (``edgebat.tasks.health.any_window``). ``--folds``: the same of
its training and validation cells, held out in five folds; by it everything was chosen. ``--floor`` instead: what one charge
tells at all, by a learner without a limit of size (1,500 radial functions, least squares), through one window or through all
that a charge crosses from its beginning on. ``--domain``: what the domain score and the limits of a row refuse, of held-out
cells of the kinds that taught and of kinds that did not, and how wrong a student is there; beside it what else could decide,
each with a limit for 2 % false alarms on the validation cells.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.charge_rate import DATASETS, HEALTH, NOISE_MV, Study, rmse
from edgebat.arrays import Bool, Float32, Float64, Int8, Int64
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.distill.mix import folds_of
from edgebat.distill.more_windows import WithMore
from edgebat.distill.train import DistillSettings, train_student
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground
from edgebat.models import open_model, run_int8, to_ppm
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import Refusal, refusals
from edgebat.students.base import Student
from edgebat.tasks.health.any_counter import ANY_LEAD_PART
from edgebat.tasks.health.any_window import read_from_v
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows
from edgebat.training.run import Run

SETTINGS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [24, 16]},
    "cnn": {"channels": [16, 16], "hidden": 16},
    "lstm": {"units": 24},
    "gru": {"units": 28},
}
"""Students of at most 4,000 weights."""
DRAWS = 8
CHARGED_AT_START = 0.07
"""State of charge at 3.6 V, where the curves begin: of the cells whose whole charges are in the corpus (1C)."""
LAST_V = 4.15
"""The corpus' constant currents reach so far."""
CENTRES = 1500
LEARNT = (("TJU_NCA",), DATASETS)
"""What students of ``--domain`` have learnt from."""
STRANGE = ("TJU_NCM", "LSD", "CALCE")
HIGH = {"window_start_v": 3.8, "window_end_v": 3.9, "last_start_v": 4.0}
"""Charges of LSD are known from 3.8 V on, and those of CALCE begin there in later life."""
WRONG = 3.0
"""Points of SOH that must not pass."""
ARRIVALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LEAD_V = 0.005
"""A charge that begins so far below a window crosses its first level from below."""


def coverage(fleet: Fleet, spec: HealthSpec) -> None:
    """Share of the fleet's charges that cross the first window, and any window after the tenth of nominal that a device
    waits for, by state of charge at their beginning."""
    begins: dict[float, list[tuple[float, float]]] = {arrival: [] for arrival in ARRIVALS}
    for history in fleet.histories():
        capacity = dict(zip(history.cycle.tolist(), history.capacity_ah.tolist(), strict=True))
        for cycle, curve in zip(history.charge_cycle[::10], history.charge_dq_ah[::10].astype(np.float64), strict=True):
            good = np.isfinite(curve)
            if good.sum() < 2 or not capacity.get(int(cycle), np.nan) > 0.0:
                continue
            charge, volts = np.maximum.accumulate(curve[good]), history.charge_voltage_v[good]
            for arrival in ARRIVALS:
                taken = (arrival - CHARGED_AT_START) * capacity[int(cycle)]
                waited = taken + history.nominal_ah / ANY_LEAD_PART
                here, there = np.interp([taken, waited], charge, volts, right=np.inf)
                begins[arrival].append((float(here), float(there)))
    print("| begins at | V (median) | read from, V (median) | one window | any window |\n|---|---|---|---|---|")
    for arrival, volts_v in begins.items():
        here, there = np.array(volts_v).T
        one, many = (here + LEAD_V <= spec.window_start_v).mean(), (there < spec.starts_v[-1]).mean()
        row = f"| {arrival:.0%} | {np.median(here):.2f} | {np.median(there):.2f} | {one:.0%} | {many:.0%} |"
        print(row, flush=True)


@dataclass(frozen=True)
class Seen:
    """What drawn histories show, [N] each."""

    rows: Int64
    charges: Int64
    arrival_v: Float64
    """Where the first window of the newest charge begins."""
    whole: Bool
    """Whether the newest charge is read to its last window."""
    nca: Bool

    @classmethod
    def of(cls, windows: HealthWindows) -> Seen:
        """Of ``windows``."""
        spec = windows.spec
        x = windows.inputs().astype(np.float64)
        there, age = x[..., spec.increments] > 0.0, np.rint(x[..., spec.increments + 1] * 1e6)
        newest = there & (age == 0)
        arrival_v = read_from_v(windows.inputs(), spec)
        chains = dict(zip(spec.starts_v, np.sum(spec.chains, axis=1).tolist(), strict=True))
        ages = np.where(there, age, -1)
        charges = there[:, 0] + (there[:, 1:] & (ages[:, 1:] != ages[:, :-1])).sum(axis=1)
        whole = newest.sum(axis=1) == np.array([chains[v] for v in arrival_v.round(6).tolist()])
        nca = np.array([key[0] == "TJU_NCA" for key in windows.cells])[windows.cell]
        return cls(there.sum(axis=1), charges, arrival_v, whole, nca)


def tables(found: dict[str, Float64], seen: Seen) -> None:
    """``found``: errors [N], NaN where nobody was asked, by name of the student."""
    one = seen.charges == 1
    every = np.ones(len(one), bool)
    masks = {"all histories": every, "several charges": ~one, "one charge": one, "the whole of one": one & seen.whole}
    masks |= {"one window alone": seen.rows == 1, "NCA": seen.nca, "NCA, one charge": seen.nca & one, "NCM": ~seen.nca}
    arrivals = {f"{v:.2f} V": seen.arrival_v == v for v in np.unique(seen.arrival_v)}
    kinds = {", the whole of one charge": one & seen.whole, ", one charge": one, ", several": ~one}
    print(f"| student | {' | '.join(masks)} |\n|" + "---|" * (len(masks) + 1))
    for name, wrong in found.items():
        print(f"| {name} | " + " | ".join(f"{_rmse(wrong[mask]):.2f}" for mask in masks.values()) + " |")
    print(f"\n| the newest charge is read from | {' | '.join(arrivals)} |\n|" + "---|" * (len(arrivals) + 1))
    for name, wrong in found.items():
        for kind, of in kinds.items():
            row = " | ".join(f"{_rmse(wrong[mask & of]):.2f}" for mask in arrivals.values())
            print(f"| {name}{kind} | {row} |", flush=True)


def held_out(study: Study, fold: Int64 | None = None) -> None:
    """Errors of students on cells they do not know: the recipe's test cells, or ``fold`` by ``fold`` those of its others."""
    train, val, test = study.parts
    if fold is not None:
        test = train.join(val)
    for kind in study.kinds:
        found = {f"{kind}{name}": np.full(len(test), np.nan) for name in ("", ", 0.5 mV of noise", ", int8")}
        found[f"{kind}, int8, 0.5 mV of noise"] = found[f"{kind}"].copy()
        for mask in [np.ones(len(test), bool)] if fold is None else [(fold == n)[test.cell] for n in np.unique(fold)]:
            asked = test.select(mask=mask)
            own = train.join(val) if fold is None else test.select(mask=~mask)
            student, graph = trained(study, kind, own, asked.select_every(50))
            noisy = HEALTH.noisy_inputs(asked, NOISE_MV, np.random.default_rng(4))
            answers = [student.predict(x)["soh"] * 100 for x in (asked.inputs(), noisy)]
            answers += [run_int8(graph, x).values["soh"][:, 0] / 100 for x in (asked.inputs(), noisy)]
            for wrong, answer in zip(found.values(), answers, strict=True):
                wrong[mask] = answer - asked.soh * 100
        tables(found, Seen.of(test))


def trained(study: Study, kind: str, own: HealthWindows, val: HealthWindows) -> tuple[Student, IntGraph]:
    """A student that learns from ``own`` windows as they are and as a device with a noisy voltage sees them; ``val`` chooses
    nothing."""
    noisy = WithMore.numbered(own, HEALTH.noisy_windows(own, NOISE_MV, np.random.default_rng(13)))
    settings = SETTINGS.get(kind, {})
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), cache=study.cache)
        student, _ = train_student(kind, HEALTH, noisy, val, study.teacher, study.settings, run, settings)
    meta = {"task": HEALTH.described(own.spec), "training": {}}
    options = QuantizeOptions(method="minmax")
    return student, quantize_model(student.float_spec(), own.evenly(8192).inputs(), options, name=kind, meta=meta)


Refuses = Callable[[Float32], Bool]


def refusers(graph: IntGraph, train: HealthWindows, val: HealthWindows) -> dict[str, Refuses]:
    """Who could refuse inputs of ``graph``, which has its ground: the device, and one rule after the other, its limit set on
    ``val`` for 2 % of false alarms."""
    spec, settings = train.spec, GroundSettings()
    domain, start = graph_ground(graph).domain, spec.increments
    assert domain is not None
    seen = val.inputs().copy()
    seen[1::2] = HEALTH.noisy_inputs(val, NOISE_MV, np.random.default_rng(6))[1::2]

    def quantized(x: Float32) -> Int8:
        return quantize_input(graph, to_ppm(x))

    def distances(x: Float32) -> Float64:
        """[N, context] of the rows, NaN where there is none: each is asked about as if it were alone."""
        rows = quantized(x).reshape(-1, 1, spec.columns)
        found = domain.scores(rows).astype(np.float64).reshape(len(x), spec.context)
        found[x[..., start] == 0] = np.nan
        return found

    def limited(score: Callable[[Float32], Float64]) -> Refuses:
        limit = np.quantile(score(seen), 1.0 - settings.false_alarms)
        return lambda x: np.asarray(score(x) > limit)

    rows = train.seen_rows(train.inputs())[:, 0]
    noisy = train.seen_rows(HEALTH.noisy_inputs(train, NOISE_MV, np.random.default_rng(7)))[:, 0]
    known = np.concatenate([rows[::2], noisy[1::2]])
    ends = {}
    for begin in np.unique(known[:, start]):
        own = known[known[:, start] == begin, :start]
        ends[begin] = np.quantile(own, [1.0 - settings.quantile, settings.quantile], axis=0)

    def beyond(x: Float32) -> Float64:
        """[N] how many widths of the training rows an increment lies beyond those that begin where its own row does."""
        worst = np.zeros(x.shape[:2])
        for begin, (low, high) in ends.items():
            out = np.maximum(low - x[..., :start], x[..., :start] - high) / (high - low)
            worst = np.where(x[..., start] == begin, out.max(axis=2), worst)
        return np.asarray(worst.max(axis=1), np.float64)

    def device(x: Float32) -> Bool:
        found = refusals(graph, to_ppm(x), quantized(x))
        return np.asarray((found == Refusal.ROW) | (found == Refusal.DOMAIN))

    return {
        "limits of a row and domain": device,
        "domain, mean of the rows": limited(lambda x: np.asarray(domain.scores(quantized(x)), np.float64)),
        "the farthest row": limited(lambda x: np.nanmax(distances(x), axis=1)),
        "the newest row": limited(lambda x: distances(x)[:, -1]),
        "limits of a row by its beginning": limited(beyond),
    }


def strangers(study: Study, kind: str, fleet: Fleet) -> None:
    """The table of ``--domain``: a student of the study's windows is asked about their held-out cells, and about what of
    ``STRANGE`` is not among them."""
    train, val, test = study.parts
    _, graph = trained(study, kind, train, val.select_every(50))
    ground = measured_ground(graph, HEALTH, train, val, GroundSettings())
    graph = replace(graph, meta={**graph.meta, "ground": ground})
    refuse = refusers(graph, train, val)
    learnt_from = sorted({name for name, _ in train.cells})
    asked = {f"held out of {' and '.join(learnt_from)}": test}
    for name in STRANGE:
        if name not in learnt_from:
            spec = train.spec if name in DATASETS else replace(train.spec, **HIGH)
            asked[name] = health_windows(fleet.select(datasets=[name]), replace(spec, draws=2))
    print(f"\n**{kind}, learnt from {len(train.cells)} cells of {' and '.join(learnt_from)}**\n")
    names = " | ".join(f"{name}: flagged, passes, wrong flagged" for name in refuse)
    print(f"| asked about | noise, mV | mean error | {names} |\n|" + "---|" * (3 + len(refuse)))
    for name, windows in asked.items():
        for noise_mv in (0.0, NOISE_MV):
            x = HEALTH.noisy_inputs(windows, noise_mv, np.random.default_rng(8))
            wrong = np.abs(run_int8(graph, x).values["soh"][:, 0] / 100 - windows.soh * 100)
            cells = [_flagged(rule(x), wrong) for rule in refuse.values()]
            about = f"{name} ({len(windows.cells)} cells)"
            print(f"| {about} | {noise_mv:g} | {wrong.mean():.1f} | {' | '.join(cells)} |", flush=True)


def _flagged(flagged: Bool, wrong: Float64) -> str:
    """Share that is flagged, mean error of what passes, share that is flagged of what is wrong by more than ``WRONG``."""
    passes, bad = wrong[~flagged], wrong > WRONG
    error = f"{passes.mean():.1f}" if passes.size else "-"
    return f"{flagged.mean():.1%}, {error}, {f'{flagged[bad].mean():.1%}' if bad.any() else '-'}"


def _rmse(wrong: Float64) -> float:
    return rmse(wrong[np.isfinite(wrong)])


def floor(study: Study, spec: HealthSpec, fleet: Fleet) -> None:
    """What single charges tell of SOH: errors of held-out cells, by where a charge begins and how far it is read; and of a
    learner that has learnt from half of the charges, and is asked, through a device's noise."""
    print("| read from, V | to | held-out cells | NCA | NCM | training cells | through noise |\n|" + "---|" * 7)
    for start_v, end_v in [(v, v + 0.1) for v in spec.starts_v[::2]] + [(v, LAST_V) for v in spec.starts_v[:-1:2]]:
        one = replace(spec.beginning_at(start_v), context=1, window_end_v=round(end_v, 6), increments=10)
        own = replace(study, windows=health_windows(fleet, one))
        train, val, test = own.parts
        known = train.join(val).select_every(2)
        asked, seen, soh = (np.asarray(a, np.float64) for a in (test.x[:, 0], known.x[:, 0], known.soh * 100.0))
        answer = learnt(seen, soh)
        wrong, at_home = answer(asked) - test.soh * 100.0, answer(seen) - soh
        rng = np.random.default_rng(4)
        seen[::2] = HEALTH.noisy_inputs(known, NOISE_MV, rng)[::2, 0]
        asked = np.asarray(HEALTH.noisy_inputs(test, NOISE_MV, rng)[:, 0], np.float64)
        noisy = learnt(seen, soh)(asked) - test.soh * 100.0
        nca = np.array([key[0] == "TJU_NCA" for key in test.cells])[test.cell]
        figures = [rmse(part) for part in (wrong, wrong[nca], wrong[~nca], at_home, noisy)]
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


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="without: measured labels alone")
    parser.add_argument("--kind", choices=SETTINGS, action="append", help="only this student; repeatable")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--samples", type=int, default=32768)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage", action="store_true", help="that table alone")
    parser.add_argument("--floor", action="store_true", help="what single charges tell at all, that table alone")
    parser.add_argument("--domain", action="store_true", help="what is refused, of known and of foreign cells")
    parser.add_argument("--folds", action="store_true", help="errors on training and validation cells, in folds")
    given = parser.parse_args()
    spec = HealthSpec(windows="any", charge_rate=True, draws=DRAWS)
    fleet = read_corpus(given.corpus, DATASETS)
    if not (given.floor or given.domain):
        coverage(fleet, spec)
    if given.coverage:
        return
    teacher = open_model(given.teacher).network if given.teacher else None
    settings = DistillSettings(blends=0, weights={"soh": 4.0})
    fit = replace(settings.fit, epochs=given.epochs, patience=given.epochs, samples_per_epoch=given.samples, noise=0.0,
                  keep="last", seed=given.seed, batch_size=128)  # fmt: skip
    windows = health_windows(fleet, replace(spec, draws=1) if given.floor else spec)
    with tempfile.TemporaryDirectory() as cache:
        if given.domain:
            every = read_corpus(given.corpus, (*DATASETS, *STRANGE[1:]))
            for kind in given.kind or SETTINGS:
                for learnt_from in LEARNT:
                    own = windows.select(datasets=learnt_from)
                    strangers(Study(own, teacher, (kind,), 1, replace(settings, fit=fit), Path(cache)), kind, every)
            return
        study = Study(windows, teacher, tuple(given.kind or SETTINGS), 1, replace(settings, fit=fit), Path(cache))
        if given.floor:
            floor(study, spec, fleet)
        else:
            train, val, _ = study.parts
            held_out(study, folds_of(train.join(val).cells, datasets=False) if given.folds else None)


if __name__ == "__main__":
    main()
