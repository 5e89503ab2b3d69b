"""Members of an ensemble asked about cells that they have not learnt from, so that they can be mixed by their errors.

The cells are the measured training and validation cells of a recipe, never its test cells. They are held out in turn, in
folds of cells or of whole data sets. A member that is fitted in seconds is fitted anew without each fold. Any other is asked
about the cells that it has not seen. All are judged on the same cells; one that has seen most of them cannot be judged,
and keeps the share it has in the mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float32, FloatArray, Int64
from edgebat.cells import CellKey
from edgebat.distill.weights import LEAST_CELLS, HeldOut, learn_mix
from edgebat.files import Json
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ensemble import HeadMix

BY_CELL, BY_DATASET = "by_cell_error", "by_dataset_error"
MIXES = ("mean", BY_CELL, BY_DATASET)
"""How several teachers become one: their mean, or weighed by the errors on cells, or whole data sets, held out in turn."""
FOLDS = 5
MOST_WINDOWS = 20
"""Of a held-out cell so many windows, spread evenly, are asked about."""


@dataclass(frozen=True)
class Member:
    """One teacher of an ensemble."""

    title: str
    teacher: Teacher
    seen: Bool
    """Per cell of the held-out windows whether it has learnt from it, or was tuned on it."""
    learns_val: bool = False
    """Whether validation cells teach it too."""


@dataclass(frozen=True)
class Mixed:
    """How members are mixed by head, and the record of how that came."""

    heads: dict[str, HeadMix]
    results: Json


def mixed(task: AnyTask, train: Windows, val: Windows, members: Sequence[Member], by: str) -> Mixed:
    """How ``members`` are best mixed. train, val: the measured windows that are held out in turn, in the order of
    ``Member.seen`` their cells. by: one of ``MIXES`` but the mean."""
    pool = _some(train.join(val) if len(val) else train)
    fold = folds_of(pool.cells, by == BY_DATASET)
    judged, common = judged_members(members)
    results: Json = {"mix": by, "not_judged": [m.title for n, m in enumerate(members) if n not in judged]}
    if len(judged) < 2:
        return Mixed({}, results | {"cells": int(common.sum())})
    pool = pool.select(common[pool.cell])
    kept = fold[common]
    found = [_asked(members[n], train, val, pool, fold_cells(pool, kept)) for n in judged]
    own, heads, errors = {head.name: head for head in task.heads(pool.spec)}, {}, {}
    for name, measured in pool.targets().items():
        able = [n for n, each in enumerate(found) if name in each]
        if len(able) < 2 or name not in own:
            continue
        predicted = np.stack([_rows(found[n][name]) for n in able]).astype(np.float64)
        known = np.where(np.isfinite(predicted).all(axis=0), measured.astype(np.float64), np.nan)
        if (floor := own[name].known_above) is not None:
            known = np.where((predicted > floor).all(axis=0), known, np.nan)
        held = HeldOut(
            predicted, known, pool.cell.astype(np.int64), pool.dataset, kept[pool.cell], own[name].absolute_error
        )
        learnt = learn_mix(held)
        heads[name] = _whole(learnt.mix, [judged[n] for n in able], members, name, pool)
        titles = [members[judged[n]].title for n in able]
        errors[name] = {"mixed": learnt.cost, "mean": learnt.mean, **dict(zip(titles, learnt.members, strict=True))}
    weights = {name: dict(zip((m.title for m in members), mix.weights, strict=True)) for name, mix in heads.items()}
    return Mixed(heads, results | {"cells": len(pool.cells), "weights": weights, "held_out_errors": errors})


def judged_members(members: Sequence[Member]) -> tuple[list[int], Bool]:
    """The members that can be judged on cells that none of them has seen, and which cells [cells] these are: members join in
    the order of how few cells they have seen, as long as half of all cells are left, and ``LEAST_CELLS``."""
    seen = [np.zeros_like(m.seen) if m.teacher.quick_to_fit else m.seen for m in members]
    judged, common = [], np.ones_like(members[0].seen)
    for n in sorted(range(len(members)), key=lambda n: int(seen[n].sum())):
        if (common & ~seen[n]).sum() >= max(LEAST_CELLS, len(common) / 2):
            judged.append(n)
            common &= ~seen[n]
    return sorted(judged), common


def folds_of(cells: Sequence[CellKey], datasets: bool, folds: int = FOLDS) -> Int64:
    """Per cell what is held out together, at most ``folds``: cells of every data set, or whole data sets."""
    names = sorted({dataset for dataset, _ in cells})
    if datasets and len(names) > 1:
        return np.array([names.index(dataset) % folds for dataset, _ in cells], dtype=np.int64)
    order = sorted(range(len(cells)), key=lambda n: (cells[n][0], hashlib.sha256("/".join(cells[n]).encode()).digest()))
    fold = np.zeros(len(cells), dtype=np.int64)
    fold[order] = np.arange(len(cells)) % folds
    return fold


def fold_cells(pool: Windows, fold: Int64) -> dict[int, set[CellKey]]:
    """Number of a fold -> its cells."""
    return {int(n): {cell for cell, own in zip(pool.cells, fold, strict=True) if own == n} for n in np.unique(fold)}


def _asked(
    member: Member, train: Windows, val: Windows, pool: Windows, folds: Mapping[int, set[CellKey]]
) -> dict[str, FloatArray]:
    """What the member predicts of ``pool`` without having learnt from it."""
    if not member.teacher.quick_to_fit:
        return member.teacher.predict(pool)
    whole = train.join(val) if member.learns_val and len(val) else train
    found: dict[str, FloatArray] = {}
    for out in folds.values():
        rest = whole.select(cells=[cell for cell in whole.cells if cell not in out])
        teacher = member.teacher.anew(rest)
        rows = np.isin(pool.cell, [index for index, cell in enumerate(pool.cells) if cell in out])
        for head, values in teacher.predict(pool.select(rows)).items():
            found.setdefault(head, np.full((len(pool), *values.shape[1:]), np.nan, dtype=np.float32))[rows] = values
    return found


def _whole(mix: HeadMix, judged: Sequence[int], members: Sequence[Member], head: str, pool: Windows) -> HeadMix:
    """The mixture of the judged members that predict the head beside those that cannot be judged, which keep the share of a
    mean; corrected only where all are judged."""
    others = [n for n, m in enumerate(members) if n not in judged and head in m.teacher.predict(pool.take([0]))]
    weights = np.zeros(len(members))
    weights[list(judged)] = np.array(mix.weights) * len(judged) / (len(judged) + len(others))
    weights[others] = 1.0 / (len(judged) + len(others))
    share = tuple(weights.tolist())
    return HeadMix(share) if others else HeadMix(share, mix.offset, mix.slope, mix.factor, mix.rest)


def _some(windows: Windows) -> Windows:
    """At most ``MOST_WINDOWS`` of each cell."""
    rows = [np.flatnonzero(windows.cell == n) for n in range(len(windows.cells))]
    few = [own[np.linspace(0, len(own) - 1, min(MOST_WINDOWS, len(own))).astype(int)] for own in rows]
    return windows.take(np.sort(np.concatenate(few)))


def _rows(values: FloatArray) -> Float32:
    return np.asarray(values, dtype=np.float32).reshape(len(values), -1)
