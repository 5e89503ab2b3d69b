"""What a model says of the interval around its estimate: how often it was right on cells nobody had seen. NumPy only.

It lies in ``meta["interval"]`` of a graph whose ``meta["outputs"]`` has the two bounds; files without have none.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Bool, FloatArray, IntArray
from edgebat.errors import ModelFileError
from edgebat.files import Json

LOW, HIGH = "low", "high"
BOUNDS = (LOW, HIGH)
LEVEL_STEP = 0.0025
UNITS = {"fraction": ("%", 100.0), "cpct": ("%", 0.01), "cycles": ("cycles", 1.0)}
"""Unit of a head or of an output -> what people read, and how many of that are one."""


@dataclass(frozen=True)
class Covered:
    """How often the interval held on the held-out cells of one group."""

    group: str
    """What they have in common; empty for all."""
    cells: int
    windows: int
    coverage: float
    """Mean over the cells of the share of their windows whose measured value lay inside."""
    worst: float
    """The smallest such share of a cell."""
    width: float
    """Median over the windows, in the unit of the head."""


@dataclass(frozen=True)
class Interval:
    """Of one head of a model."""

    head: str
    unit: str
    """Of the head: ``fraction`` or ``cycles``."""
    nominal: float
    """Share of cells' windows that the interval was made for."""
    cells: int
    """Calibration cells: neither learnt from, nor tuned on, nor tested."""
    shift: int
    """By how much calibration moved both bounds outwards, 0.01 % or cycles."""
    widened: bool
    """There were too few calibration cells for the promise: the interval hangs on the worst of them, and was widened."""
    known_to_teacher: int = 0
    """Calibration cells that the teacher has learnt from."""
    folds: int = 0
    """Of the cells, each asked of a student that had not learnt from it; 0: calibration cells were set aside."""
    held_out: tuple[Covered, ...] = ()
    """Measured on held-out cells: all of them first, then group by group."""

    def facts(self) -> list[tuple[str, str]]:
        """(what, text) for people."""
        made = f"{self.nominal:.0%} of the windows of a cell like the training cells, set on {self.cells} "
        made += f"cells, in {self.folds} folds held out in turn" if self.folds else "calibration cells"
        if self.widened:
            enough = needed_cells(self.nominal)
            made += f"; with so few it hangs on the worst of them and was widened for it ({enough} are enough)"
        if self.known_to_teacher:
            made += f"; the teacher has learnt from {self.known_to_teacher} of them"
        unit, factor = UNITS[self.unit]
        lines = [(f"interval of {self.head}", made)]
        for found in self.held_out:
            name = f"interval held, {found.group}" if found.group else "interval held"
            text = (
                f"{found.coverage:.1%} on {found.cells} held-out cells, {found.worst:.0%} on the worst; median width "
                f"{found.width * factor:.3g} {unit}"
            )
            lines.append((name, text))
        return lines

    def to_json(self) -> Json:
        """JSON-able, the inverse of ``interval_of``."""
        return dataclasses.asdict(self)


def interval_of(meta: Any, name: str) -> Interval | None:
    """The interval in a model's ``meta``; None where it carries none. Raises ModelFileError, naming the model ``name``, for
    one that is damaged: it comes from a file."""
    found = meta.get("interval")
    if found is None:
        return None
    try:
        unit = str(found["unit"])
        if unit not in UNITS:
            raise ValueError(f"its unit is {unit[:20]!r}")
        interval = Interval(
            str(found["head"])[:40], unit, float(found["nominal"]), int(found["cells"]), int(found["shift"]),
            found["widened"] is True, int(found["known_to_teacher"]), int(found.get("folds", 0)),
            tuple(_covered(one) for one in found["held_out"]),
        )  # fmt: skip
        if not 0.0 < interval.nominal < 1.0:
            raise ValueError(f"it covers {interval.nominal}")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"model {name!r} carries an unusable entry 'interval': {error}; export it again") from None
    return interval


def _covered(found: Any) -> Covered:
    numbers = [float(found[key]) for key in ("coverage", "worst", "width")]
    if not np.isfinite(numbers).all():
        raise ValueError("a figure of its coverage is not finite")
    return Covered(str(found["group"])[:80], int(found["cells"]), int(found["windows"]), *numbers)


def covered(low: FloatArray, high: FloatArray, measured: FloatArray, cell: IntArray, group: str = "") -> Covered | None:
    """How often ``measured`` [N] lies in [low, high] [N], by cell [N]; None where nothing was measured."""
    known = np.isfinite(measured) & np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return None
    inside: Bool = (measured >= low) & (measured <= high)
    shares = [float(inside[known & (cell == one)].mean()) for one in np.unique(cell[known])]
    width = float(np.median((high - low)[known]))
    return Covered(group, len(shares), int(known.sum()), float(np.mean(shares)), min(shares), width)


def needed_cells(nominal: float) -> int:
    """Calibration cells from which no single one decides: with fewer the worst of them is more than the share that may lie
    outside."""
    return int(np.ceil(nominal / (1.0 - nominal) - 1e-9))


def calibrated_shift(scores: FloatArray, cell: IntArray, nominal: float) -> tuple[float, bool]:
    """By how much to move both bounds outwards so that the interval holds for ``nominal`` of the windows of a new cell, and
    whether it was widened because the cells are few.

    scores [N]: how far outside its interval each window's measured value lies, negative inside; cell [N]. Windows of one
    cell are alike, so cells are what there are few of: every cell counts the same, and the quantile that is taken is the
    smallest by which each cell is covered on average where it did not take part itself. Where even the largest score of the
    others is not enough for that, and with fewer than ``needed_cells``, the standard error of what the single cells need is
    added.
    """
    names, number, count = np.unique(cell, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    ordered, owner, weight = scores[order], number[order], (1.0 / count[number])[order]
    level = nominal
    while level < 1.0 and _left_out_coverage(ordered, owner, weight, level) < nominal:
        level = min(level + LEVEL_STEP, 1.0)
    shift = _quantile(ordered, weight, level)
    few = len(names) < needed_cells(nominal) or _left_out_coverage(ordered, owner, weight, level) < nominal
    if few:
        needs = [_quantile(ordered[owner == n], weight[owner == n], nominal) for n in range(len(names))]
        alone = abs(needs[0])  # of one cell nobody knows how much cells differ
        shift += float(np.std(needs, ddof=1) / np.sqrt(len(needs))) if len(needs) > 1 else alone
    return shift, few


def _left_out_coverage(ordered: FloatArray, owner: IntArray, weight: FloatArray, level: float) -> float:
    """Mean over the cells of their share below the quantile ``level`` of the others' scores."""
    shares = []
    for one in np.unique(owner):
        others = owner != one
        shares.append(float((ordered[~others] <= _quantile(ordered[others], weight[others], level)).mean()))
    return float(np.mean(shares))


def _quantile(ordered: FloatArray, weight: FloatArray, level: float) -> float:
    """Of ascending values with weights; of none, as large as can be undercut by all."""
    if not len(ordered):
        return -np.inf
    reached = np.cumsum(weight)
    return float(ordered[min(int(np.searchsorted(reached, level * reached[-1] - 1e-9)), len(ordered) - 1)])
