"""Splits by cell, never by window: windows of one cell are nearly equal, and a split between them only looks good.

A cell is ``(dataset, cell_id)``; the same cell_id in two datasets is two cells. The order of the cells in a split does
not depend on a random generator but on a hash of seed and key, so that adding a dataset leaves the others as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgebat.cells import CellKey, Condition
from edgebat.data.fleet import Fleet
from edgebat.errors import DataError

PARTS = ("train", "val", "test")
CALIBRATION = "calibration"
"""A fourth part, where one is asked for: cells on which an interval is set, and nothing else."""
MIN_GROUP = 3
"""Cells a condition needs to give one of them to the test set and still have two to learn from."""


@dataclass(frozen=True)
class Split:
    """Which cells are learnt from, tuned on and tested on. Sorted and disjoint; raises DataError otherwise."""

    train: tuple[CellKey, ...]
    val: tuple[CellKey, ...]
    test: tuple[CellKey, ...]
    strategy: str
    calibration: tuple[CellKey, ...] = ()

    def __post_init__(self) -> None:
        for name in PARTS:
            cells = tuple(sorted(getattr(self, name)))
            if not cells:
                raise DataError(f"the {name} part of the split ({self.strategy}) is empty; more cells are needed")
            if len(set(cells)) != len(cells):
                raise DataError(f"the {name} part of the split ({self.strategy}) names a cell twice")
            object.__setattr__(self, name, cells)
        object.__setattr__(self, CALIBRATION, tuple(sorted(self.calibration)))
        check_no_leak(self)

    @property
    def hash(self) -> str:
        """sha256 over the cells of the parts (not over how they were chosen)."""
        more = [self.calibration] if self.calibration else []
        text = json.dumps([self.train, self.val, self.test, *more], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts there are."""
        return (*PARTS, CALIBRATION) if self.calibration else PARTS

    @property
    def cells(self) -> tuple[CellKey, ...]:
        """All cells of the split."""
        return tuple(sorted(self.train + self.val + self.test + self.calibration))


class Splittable(Protocol):
    """What windows tell of their cells."""

    @property
    def cells(self) -> tuple[CellKey, ...]:
        """Their keys."""
        ...  # pragma: no cover - a protocol

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """How each is aged."""
        ...  # pragma: no cover - a protocol

    @property
    def published(self) -> tuple[str, ...]:
        """The published part of each."""
        ...  # pragma: no cover - a protocol


def split_windows(
    windows: Splittable,
    *,
    by: str,
    test: float,
    val: float,
    seed: int,
    hold_out: Iterable[str] = (),
    published: tuple[str, str] = ("train", "test1"),
    known_test: float = 0.0,
    calibration: float = 0.0,
) -> Split:
    """The cells of ``windows`` in three parts, or four. by ``condition``: fractions of every group of like cells; by
    ``dataset``: the data sets ``hold_out`` are tested whole, and the fraction ``known_test`` of each other data set's cells;
    ``published``: the two named parts of the published split. calibration: the fraction of the cells of every group of like
    ones that calibrate an interval; the training part gives them.

    Raises DataError when a part stays empty or a name is not there.
    """
    if calibration:
        whole = split_windows(windows, by=by, test=test, val=val, seed=seed, hold_out=hold_out, published=published,
                              known_test=known_test)  # fmt: skip
        return _with_calibration(
            whole, dict(zip(windows.cells, map(str, windows.conditions), strict=True)), calibration, seed
        )
    if by == "condition":
        return _stratified(list(zip(windows.cells, map(str, windows.conditions), strict=True)), seed, val, test)
    if by == "dataset":
        wanted, there = set(hold_out), {dataset for dataset, _ in windows.cells}
        if not wanted or wanted - there:
            raise DataError(f"split by dataset holds out {sorted(wanted)}; choose from {sorted(there)}")
        held = [key for key in windows.cells if key[0] in wanted]
        known = _some_of_each(sorted(set(windows.cells) - set(held)), known_test, seed)
        train, validation = _carve(sorted(set(windows.cells) - {*held, *known}), val, seed)
        rule = f"data sets {', '.join(sorted(wanted))} left out" + (
            f" and {len(known)} cells of the others" if known else ""
        )
        return Split(train, validation, (*held, *known), f"{rule}, seed {seed}")
    own = dict(zip(windows.cells, windows.published, strict=True))
    learnt, held = (sorted(key for key, part in own.items() if part == name) for name in published)
    if not learnt or not held:
        raise DataError(f"{len(learnt)} cells are published as {published[0]!r} and {len(held)} as {published[1]!r}; there "
                        f"is {sorted(set(own.values()))}")  # fmt: skip
    train, validation = _carve(learnt, val, seed)
    return Split(train, validation, tuple(held), f"published {published[0]} to {published[1]}, seed {seed}")


def _stratified(conditions: Iterable[tuple[CellKey, str]], seed: int, val: float, test: float) -> Split:
    """Every condition with at least 3 cells gives ``test`` of them (at least one) to the test part, then ``val``. Conditions
    with fewer cells are pooled by dataset; a pool that is still too small is only learnt from."""
    if not (0.0 < test < 1.0 and 0.0 < val < 1.0 and test + val < 1.0):
        raise DataError(f"val={val} and test={test} must be above 0 and together below 1")
    groups: dict[str, list[CellKey]] = {}
    for key, condition in conditions:
        groups.setdefault(condition, []).append(key)
    for condition, members in list(groups.items()):
        if len(members) < MIN_GROUP:
            groups.setdefault(f"{members[0][0]}, small conditions", []).extend(groups.pop(condition))
    parts: dict[str, list[CellKey]] = {"train": [], "val": [], "test": []}
    for members in groups.values():
        shuffled = _shuffled(members, seed)
        if len(members) < MIN_GROUP:
            parts["train"] += shuffled
            continue
        tests = max(1, round(test * len(members)))
        vals = max(1, round(val * len(members)))
        vals = min(vals, len(members) - tests - 1)
        parts["test"] += shuffled[:tests]
        parts["val"] += shuffled[tests : tests + vals]
        parts["train"] += shuffled[tests + vals :]
    return Split(
        tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]), f"stratified by condition, seed {seed}"
    )


def _with_calibration(split: Split, condition: dict[CellKey, str], fraction: float, seed: int) -> Split:
    """``split`` with calibration cells out of its training part: that fraction of it, spread over the conditions as the
    training cells are; small conditions are pooled by dataset. Raises DataError when too few are left to learn from."""
    count = max(1, round(fraction * len(split.train)))
    if len(split.train) - count < 2:
        raise DataError(
            f"{count} of {len(split.train)} training cells are to calibrate an interval; at least 2 must go on teaching"
        )
    groups: dict[str, list[CellKey]] = {}
    shuffled = _shuffled(split.train, seed + 1)  # not in the order in which validation cells were taken
    for key in shuffled:
        groups.setdefault(condition[key], []).append(key)
    for name in [name for name, members in groups.items() if len(members) < MIN_GROUP]:
        groups.setdefault(f"{groups[name][0][0]}, small conditions", []).extend(groups.pop(name))
    share = {key: (rank - 0.5) / len(cells) for cells in groups.values() for rank, key in enumerate(cells, 1)}
    chosen = set(sorted(shuffled, key=lambda key: share[key])[:count])
    train = tuple(key for key in split.train if key not in chosen)
    strategy = f"{split.strategy}; {count} calibration cells out of the training part"
    return Split(train, split.val, split.test, strategy, tuple(chosen))


def spread_folds(windows: Splittable, folds: int, seed: int) -> dict[CellKey, int]:
    """The fold of every cell, 0 to ``folds`` - 1; folds are of like size, and the cells of one condition lie in as many of
    them as can be. Raises DataError when there are fewer cells than folds."""
    condition = dict(zip(windows.cells, map(str, windows.conditions), strict=True))
    if len(condition) < folds:
        raise DataError(f"{len(condition)} cells cannot be held out in {folds} folds; take fewer folds")
    alike = sorted(_shuffled(condition, seed), key=lambda key: condition[key])
    return {key: rank % folds for rank, key in enumerate(alike)}


def check_no_leak(split: Split, window_cells: Iterable[CellKey] | None = None, fleet: Fleet | None = None) -> None:
    """Raise DataError when a cell, or a cell's measurements under another name, is in two parts.

    ``window_cells``: the cells windows were made of; each must be in the split. ``fleet``: compare the capacity curves
    too, for the same cell published twice.
    """
    part_of: dict[CellKey, str] = {}
    for name in split.parts:
        for key in getattr(split, name):
            if part_of.setdefault(key, name) != name:
                raise DataError(
                    f"leak: cell {key} is in {part_of[key]} and in {name}; a cell may be in one part of a split only"
                )
    if window_cells is not None:
        strangers = sorted(set(window_cells) - set(part_of))
        if strangers:
            raise DataError(f"leak: {len(strangers)} cells have windows but no part in the split, first {strangers[0]}")
    if fleet is not None:
        seen: dict[bytes, CellKey] = {}
        for history in fleet.histories():
            curve = history.capacity_ah[np.isfinite(history.capacity_ah)]
            if history.key not in part_of or curve.size < MIN_GROUP:
                continue
            twin = seen.setdefault(curve.tobytes(), history.key)
            if part_of[twin] != part_of[history.key]:
                raise DataError(
                    f"leak: cells {twin} ({part_of[twin]}) and {history.key} ({part_of[history.key]}) have the same "
                    "capacity curve: one cell under two names. Keep one of them"
                )


def _shuffled(cells: Iterable[CellKey], seed: int) -> list[CellKey]:
    return sorted(cells, key=lambda key: hashlib.sha256(json.dumps([seed, *key]).encode()).digest())


def _some_of_each(cells: Sequence[CellKey], fraction: float, seed: int) -> list[CellKey]:
    """``fraction`` (at least one, where it is above 0) of the cells of every data set that has ``MIN_GROUP`` or more."""
    if not fraction:
        return []
    found: list[CellKey] = []
    for dataset in sorted({name for name, _ in cells}):
        members = _shuffled([key for key in cells if key[0] == dataset], seed)
        if len(members) >= MIN_GROUP:
            found += members[: min(max(1, round(fraction * len(members))), len(members) - 2)]
    return found


def _carve(cells: list[CellKey], fraction: float, seed: int) -> tuple[tuple[CellKey, ...], tuple[CellKey, ...]]:
    """``cells`` in two: the larger part and ``fraction`` (at least one cell) of it."""
    if not 0.0 < fraction < 1.0:
        raise DataError(f"the validation fraction is {fraction}; it must be between 0 and 1")
    if len(cells) < 2:
        raise DataError(f"{len(cells)} cells are left to learn from; at least 2 are needed for train and validation")
    count = min(max(1, round(fraction * len(cells))), len(cells) - 1)
    shuffled = _shuffled(cells, seed)
    return tuple(shuffled[count:]), tuple(shuffled[:count])
