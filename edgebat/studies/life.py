"""A life teacher's study: train once per seed, score on held-out cells beside the baselines, keep the checkpoint.

    edgebat run life-batlinet --corpus PATH

Seeds are independent: several processes may each do some (``--set seeds=[2]``). What is done is kept, and an
interrupted training resumes. Test cells are scored once, after training; nothing is chosen by them.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import resource
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from torch import nn

from edgebat.baselines.life import BASELINES, known, score_baseline
from edgebat.cells import pack_cells
from edgebat.data.qv import life_cells
from edgebat.errors import MissingExtra, RecipeError, require
from edgebat.files import atomic_write
from edgebat.runs.recipe import read_document
from edgebat.studies.life_table import Records, Scores, dataset_table, study_table
from edgebat.studies.parts import chosen
from edgebat.studies.transfer import Transfer, transfer_scores, transfer_table
from edgebat.tasks.life.score import score_life
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.teachers.batlinet.network import BatLiNet, BatLiNetEnsemble
from edgebat.teachers.batlinet.settings import BatLiNetSettings
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble
from edgebat.teachers.diffbatt.settings import DiffBattSettings, Sampling
from edgebat.teachers.diffbatt.synthesis import forest_rul_error, synthesis_scores, synthesize
from edgebat.teachers.store import load_teacher, save_teacher
from edgebat.training.run import Run, StepResult
from edgebat.training.tensorfile import round_to_half


@checked(frozen=True, config={"extra": "forbid"})
class LifeStudy:
    """A ``life-*.yaml`` recipe.

    datasets: of the corpus, all unless named. train, test: published splits; with ``test: null`` the teacher is trained to
    be given away, and not scored. hold_out: to choose settings without the test split, the training cells are
    cross-validated in so many folds instead, each every so many-th cell by life; 0: no. folds: only these of them, counted
    from 0. held_cells: instead, the training cells whose names match this pattern ("b2*") are scored, the others learnt
    from. synthesis: guidance weights to make new curves with (DiffBatt). transfer: studies of one chemistry learnt from the
    others (BatLiNet), on windows after ``transfer_task`` of every dataset. Neither of these two is made unless the test
    split is scored.
    """

    name: str
    teacher: Literal["batlinet", "diffbatt"]
    title: str = ""
    task: LifeSpec = field(default_factory=LifeSpec)
    datasets: tuple[str, ...] = ("MATR",)
    train: str = "train"
    test: str | None = "test1"
    hold_out: int = 0
    folds: tuple[int, ...] = ()
    held_cells: str = ""
    seeds: tuple[int, ...] = (1, 2, 3)
    batlinet: BatLiNetSettings = field(default_factory=BatLiNetSettings)
    diffbatt: DiffBattSettings = field(default_factory=DiffBattSettings)
    sampling: Sampling = field(default_factory=Sampling)
    synthesis: tuple[float, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    transfer_task: LifeSpec = field(default_factory=lambda: LifeSpec(cycles=20, eol=0.9))

    @property
    def scores_test(self) -> bool:
        """Whether the test split is scored: neither a part of the training cells nor nothing."""
        return self.test is not None and not self.hold_out and not self.held_cells

    @property
    def scores_nothing(self) -> bool:
        """Whether the teacher is only trained."""
        return self.test is None and not self.hold_out and not self.held_cells

    @property
    def scored(self) -> str:
        """The split or the pattern of the cells that are scored, when they are one set."""
        return self.held_cells or str(self.test)


def check_study(document: dict[str, Any], where: str = "recipe") -> LifeStudy:
    """A checked study from plain data. Raises RecipeError."""
    try:
        study = TypeAdapter(LifeStudy).validate_python(document)
    except ValidationError as error:
        raise RecipeError(f"{where} is not a life study: {error}") from None
    targets = [transfer.target for transfer in study.transfer]
    if len(set(targets)) < len(targets):
        raise RecipeError(f"{where}: one transfer per chemistry; seen {', '.join(targets)}")
    if study.hold_out < 0 or study.hold_out == 1:
        raise RecipeError(f"{where}: hold_out is {study.hold_out}; 0 or at least 2 folds are needed")
    allowed = range(study.hold_out)
    if len(set(study.folds)) < len(study.folds) or not set(study.folds) <= set(allowed):
        raise RecipeError(f"{where}: folds are {study.folds}; each once, of 0 to hold_out - 1 = {study.hold_out - 1}")
    if study.held_cells and study.hold_out:
        raise RecipeError(
            f"{where}: held_cells ({study.held_cells!r}) and hold_out ({study.hold_out}) exclude each other"
        )
    return study


def load_study(recipe: str | Path, overrides: Sequence[str] = ()) -> LifeStudy:
    """A study from a file or the name of a shipped recipe, after ``a.b=c`` overrides. Raises RecipeError."""
    path, document = read_document(recipe, overrides)
    return check_study(document, str(path))


def train_seed(
    study: LifeStudy, train: LifeWindows, folder: Path, seed: int
) -> tuple[BatLiNet | BatLiNetEnsemble | DiffBatt, StepResult]:
    """The study's teacher, trained or resumed."""
    run = Run(folder / f"seed{seed}")
    kind: Any = DiffBatt
    settings: BatLiNetSettings | DiffBattSettings = study.diffbatt
    if study.teacher == "batlinet":
        kind, settings = BatLiNet if study.batlinet.members == 1 else BatLiNetEnsemble, study.batlinet
    settings = dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, seed=seed))
    trained: tuple[BatLiNet | BatLiNetEnsemble | DiffBatt, StepResult] = kind.fit(train, None, settings, run)
    return trained


def run_seed(study: LifeStudy, train: LifeWindows, test: LifeWindows | None, folder: Path, seed: int) -> dict[str, Any]:
    """Train (unless done), store the checkpoint in float16, score it unless ``test`` is None; the record is written to
    ``seed<N>.json``."""
    record = folder / f"seed{seed}.json"
    if record.exists():
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if test is None or "scores" in done:
            return done
    network, fitted = train_seed(study, train, folder, seed)
    round_to_half(network)
    file = folder / f"{study.teacher}-seed{seed}.safetensors"
    provenance = {**study_provenance(study, train), "seed": seed}
    save_teacher(network, file, provenance)
    # Score what is stored, so that the figures are the file's.
    stored: Any = load_teacher(file)
    sampling = dataclasses.replace(study.sampling, seed=seed)
    result: dict[str, Any] = {
        "seed": seed,
        "seconds": round(fitted.seconds, 1),
        "loss": fitted.last_loss,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "steps_per_second": round(fitted.steps_per_second, 2),
        "gpu_peak_mb": fitted.peak_bytes // 2**20,
    }
    if test is not None:
        if hasattr(stored, "sampling"):
            stored.sampling = sampling
        result |= score_life(stored, test)
        if isinstance(stored, DiffBatt) and study.synthesis and study.scores_test:
            result["synthesis"] = synthesis_rows(stored, train, test, study.synthesis, sampling)
    atomic_write(record, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def synthesis_rows(
    teacher: DiffBatt, train: LifeWindows, test: LifeWindows, weights: Sequence[float], sampling: Sampling
) -> list[dict[str, float]]:
    """FID, precision, recall and the forest's RUL error per guidance weight; ``guidance`` -1 is the real data."""
    rows = [{"guidance": -1.0, "forest_rmse": forest_rul_error(train, test, sampling.seed)}]
    for weight in weights:
        made = synthesize(teacher, train, dataclasses.replace(sampling, guidance=weight))
        forest = forest_rul_error(made, test, sampling.seed)
        rows.append({"guidance": weight, "forest_rmse": forest, **synthesis_scores(train, made)})
    return rows


def join_seeds(
    study: LifeStudy, train: LifeWindows, test: LifeWindows | None, folder: Path, seeds: Sequence[int]
) -> Scores:
    """The seeds' networks as one teacher, stored as ``<teacher>.safetensors``; its scores, also in ``<teacher>.json``, if
    there are cells to score on."""
    networks: list[Any] = [load_teacher(folder / f"{study.teacher}-seed{seed}.safetensors") for seed in seeds]
    members: list[Any] = [
        m for network in networks for m in (network.members if isinstance(network, BatLiNetEnsemble) else [network])
    ]
    together = BatLiNetEnsemble if study.teacher == "batlinet" else DiffBattEnsemble
    ensemble = together(len(members), members[0].settings)
    ensemble.members = nn.ModuleList(members)
    round_to_half(ensemble)
    file = folder / f"{study.teacher}.safetensors"
    save_teacher(ensemble, file, {**study_provenance(study, train), "seeds": list(seeds)})
    if test is None:
        return {}
    stored: Any = load_teacher(file)
    if hasattr(stored, "sampling"):
        stored.sampling = study.sampling
    result = score_life(stored, test)
    atomic_write(folder / f"{study.teacher}.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    scores: dict[str, float] = result["scores"]
    # The best of all members' draws is not to be set beside the best of one member's.
    return {name: value for name, value in scores.items() if not name.endswith("_best")}


def study_provenance(study: LifeStudy, train: LifeWindows) -> dict[str, Any]:
    """What a checkpoint says about its training. BatLiNet learns nothing from a cell whose life is not known."""
    learnt = train if study.teacher == "diffbatt" else known(train)
    return {
        "study": study.name,
        "cells": len(learnt),
        "chemistries": sorted(set(learnt.chemistries)),
        "seen": pack_cells(train.cells),
        "datasets": sorted({d for d, _ in train.cells}),
        "split": study.train,
        "life_task": dataclasses.asdict(study.task),
    }


def run_study(study: LifeStudy, corpus: Path, folder: Path, only: Sequence[str] = ()) -> None:
    """The whole study, or ``only`` the transfers to some chemistries; records, checkpoints and ``table.md`` go to
    ``folder``. Raises RecipeError for a name that is no transfer of the study, MissingExtra when it makes synthetic cells
    without scikit-learn."""
    if study.synthesis and study.scores_test and not only:
        require("sklearn.ensemble", extra="baselines")  # for the forest on synthetic cells: now, not after the training
    transfers = chosen(only, {transfer.target: transfer for transfer in study.transfer})
    if not only:
        train_and_score(study, corpus, folder)
    if transfers and (only or study.scores_test):
        text = run_transfers(study, transfers, corpus, folder)
        print(text)
        if not only:
            atomic_write(folder / "transfer.md", text)


def study_split(study: LifeStudy, windows: LifeWindows, fold: int = 0) -> tuple[LifeWindows, LifeWindows | None]:
    """Cells to train on and to score on; with ``hold_out``, all but one fold of the training split and that fold; with
    ``held_cells``, the training cells whose names do not match and those that do; with ``test: null`` none to score."""
    train = windows.select(split=study.train)
    if study.scores_test:
        return train, windows.select(split=study.test)
    if study.scores_nothing:
        return train, None
    if study.held_cells:
        held = np.array([fnmatch.fnmatchcase(name, study.held_cells) for _, name in train.cells], dtype=np.bool_)
    else:
        held = np.argsort(np.argsort(train.life, kind="stable")) % study.hold_out == fold
    return train.select(~held), train.select(held)


def train_and_score(study: LifeStudy, corpus: Path, folder: Path) -> None:
    """Every seed trained and scored, beside the baselines: on the test cells, or on each fold of the training cells.
    Raises RecipeError without cells."""
    windows = life_windows(life_cells(corpus, study.datasets or None), study.task)
    if not study.hold_out:
        title, splits = study.scored, [(study_split(study, windows), folder)]
    else:
        cells = len(windows.select(split=study.train))
        if study.hold_out > cells:
            raise RecipeError(f"hold_out is {study.hold_out}; split {study.train!r} has {cells} cells")
        folds = study.folds or tuple(range(study.hold_out))
        splits = [(study_split(study, windows, n), folder / f"fold{n}") for n in folds]
        title = f"{len(folds)} folds of {study.train}"
    found = [score_split(study, *split, place) for split, place in splits]
    if study.scores_nothing:
        print("trained; test is null, so that nothing is scored")
        return
    tables = (study_table(title, study.teacher, found), dataset_table(study.teacher, found))
    text = "\n".join(table for table in tables if table)
    atomic_write(folder / "table.md", text)
    print(text)


def score_split(study: LifeStudy, train: LifeWindows, test: LifeWindows | None, folder: Path) -> Records:
    """The record of every baseline and of every seed, the first seed's with the scores of all ``together``; without
    ``test`` no baseline and no scores. Raises RecipeError without cells."""
    if not len(train):
        raise RecipeError(f"no cell is left to train on; cells.csv has none of split {study.train!r}, or all are held")
    if test is not None and not len(test):
        reason = (
            f"held_cells {study.held_cells!r} fits none of the {len(train)} cells of split {study.train!r}"
            if study.held_cells
            else f"no cell is of split {study.test!r}; with test: null nothing is scored"
        )
        raise RecipeError(f"there is nothing to score: {reason}")
    results = []
    for seed in study.seeds:
        results.append(run_seed(study, train, test, folder, seed))
        print(f"{folder.name}, seed {seed}: {results[-1].get('scores', 'trained')}", flush=True)
    if len(results) > 1:
        results[0]["together"] = join_seeds(study, train, test, folder, [result["seed"] for result in results])
    baselines: dict[str, dict[str, Any]] = {}
    if test is None:
        return baselines, results
    for name in BASELINES:
        try:
            baselines[name] = score_baseline(name, train, test)
        except MissingExtra as error:
            print(f"{name} left out: {error}", flush=True)
    return baselines, results


def run_transfers(study: LifeStudy, transfers: Sequence[Transfer], corpus: Path, folder: Path) -> str:
    """Each transfer with each seed, as a table; a record per transfer and seed goes to ``folder``."""
    everything = life_windows(life_cells(corpus), study.transfer_task)
    # Twenty cycles are too few to pool, and a protocol there shows which data set a cell is of, not how it ages.
    alone = dataclasses.replace(study.batlinet, pool=1, members=1, current=False)
    found: dict[str, list[list[dict[str, float]]]] = {}
    for transfer in transfers:
        for seed in study.seeds:
            record = folder / f"transfer-{transfer.target}-seed{seed}.json"
            if record.exists():
                rows = json.loads(record.read_text(encoding="utf-8"))
            else:
                place = folder / f"transfer-{transfer.target}-seed{seed}"
                rows = transfer_scores(everything, transfer, alone, place, seed)
                atomic_write(record, json.dumps(rows, indent=1) + "\n")
            print(f"{transfer.target} seed {seed}: {rows}", flush=True)
            found.setdefault(transfer.target, []).append(rows)
    return transfer_table(found)
