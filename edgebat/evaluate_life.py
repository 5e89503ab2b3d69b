"""Score a ``life`` teacher file on any corpus folder, beside the baselines; see ``edgebat.evaluate.evaluate_file``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.baselines.life import BASELINES, known, score_baseline
from edgebat.cells import seen_cells
from edgebat.data.qv import life_cells
from edgebat.errors import DataError, MissingExtra, ModelFileError
from edgebat.evaluate import NO_TRAINING_CELLS, NOTHING_UNSEEN
from edgebat.tasks.life.score import score_life
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.teachers.store import load_teacher
from edgebat.training.tensorfile import read_header


def evaluate_life(
    path: Path, corpus: str | Path, datasets: Sequence[str] | None, train_corpus: str | Path
) -> dict[str, Any]:
    """``evaluate_file`` for BatLiNet and DiffBatt. Cells whose life is not known are predicted and not scored.

    ``datasets`` in the result has the scores per data set, of unseen cells where there are any.
    """
    header = read_header(path, "edgebat-teacher")
    packed = str((header.get("provenance") or {}).get("seen", ""))
    teacher: Any = load_teacher(path)
    windows = life_windows(life_cells(corpus, datasets), teacher.spec)
    scored = score_life(teacher, windows)
    seen = seen_cells(packed, windows.cells)
    cells = [{"seen": mark, **row} for mark, row in zip(seen, scored["cells"], strict=True)]
    fresh = ~np.array(seen)
    test = windows.select(fresh) if fresh.any() else windows
    tested = score_life(teacher, test) if fresh.any() and not fresh.all() else scored
    train, notes = _training_cells(packed, train_corpus, teacher.spec)
    baselines: dict[str, dict[str, float]] = {}
    if train is not None:
        baselines, missing = _baselines(train, test)
        notes += missing
    notes += _strange_chemistries((header.get("provenance") or {}).get("chemistries") or (), test)
    if baselines and not fresh.any():
        notes.append(NOTHING_UNSEEN)
    unknown = int(np.isnan(windows.charge_rate_c).all(axis=1).sum())
    if unknown and getattr(teacher, "current", False):
        notes.append(
            f"the charging current of {unknown} of {len(windows)} cells is not known (charge_protocol in cells.csv); "
            "they count as charged like each reference"
        )
    return {
        "kind": f"teacher {teacher.name}",
        "task": dataclasses.asdict(teacher.spec),
        "cells": cells,
        "all": scored["scores"],
        "datasets": tested["datasets"],
        "unseen": tested["scores"] if fresh.any() else None,
        "baselines": baselines,
        "notes": notes,
        "left_out": windows.left_out,
    }


def _training_cells(packed: str, corpus: str | Path, spec: LifeSpec) -> tuple[LifeWindows | None, list[str]]:
    """The cells of ``corpus`` that the model has seen, None when their lives are not to be had there; and a note."""
    if not packed:
        raise ModelFileError("the model does not say which cells it has seen; train it with edgebat")
    try:
        found = life_cells(corpus)
        train = life_windows(
            [cell for cell, seen in zip(found, seen_cells(packed, [c.key for c in found]), strict=True) if seen], spec
        )
        known(train)
    except DataError:
        return None, [NO_TRAINING_CELLS.format(corpus=corpus)]
    return train, [f"baselines learnt from {len(train)} cells the model has seen, out of {corpus}"]


def _baselines(train: LifeWindows, test: LifeWindows) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Scores of every baseline at hand, and a note for each that is not."""
    scores, notes = {}, []
    for name in BASELINES:
        try:
            scores[name] = score_baseline(name, train, test)["scores"]
        except MissingExtra as error:
            notes.append(f"{name} left out: {error}")
    return scores, notes


def _strange_chemistries(learnt: Sequence[str], test: LifeWindows) -> list[str]:
    """A note when cells are of none of the ``learnt`` chemistries: the model's answer looks like any other there."""
    strange = Counter(name for name in test.chemistries if name not in learnt)
    if not learnt or not strange:
        return []
    each = ", ".join(f"{name} {count}" for name, count in sorted(strange.items()))
    return [
        f"the model learnt from {', '.join(learnt)}; {strange.total()} of {len(test)} cells are of other chemistries "
        f"({each}): nothing it has seen vouches for its answers there"
    ]
