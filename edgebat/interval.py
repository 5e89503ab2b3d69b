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
    held_out: tuple[Covered, ...] = ()
    """Measured on held-out cells: all of them first, then group by group."""

    def facts(self) -> list[tuple[str, str]]:
        """(what, text) for people."""
        made = f"{self.nominal:.0%} of the windows of a cell like the training cells, set on {self.cells} calibration cells"
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
            found["widened"] is True, int(found["known_to_teacher"]), tuple(_covered(one) for one in found["held_out"]),
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
    """Calibration cells from which the promise holds for a window of a new cell, whatever the cells are like."""
    return int(np.ceil(nominal / (1.0 - nominal) - 1e-9))


def calibrated_shift(scores: FloatArray, cell: IntArray, nominal: float) -> tuple[float, bool]:
    """By how much to move both bounds outwards so that the interval holds for a window of a new cell with probability
    ``nominal``, and whether there were too few cells for that.

    scores [N]: how far outside its interval each window's measured value lies, negative inside; cell [N]. Every cell counts
    alike, and one more, which is not here, as infinite: hierarchical conformal prediction (Lee, Barber and Willett,
    arXiv:2306.06342). With fewer than ``needed_cells`` that is infinite: then what the worst cell needs is taken, further
    out by its distance from the second worst.
    """
    names, number, count = np.unique(cell, return_inverse=True, return_counts=True)
    if len(names) < needed_cells(nominal):
        needs = np.sort([float(np.quantile(scores[number == n], nominal)) for n in range(len(names))])
        second = needs[-2] if len(needs) > 1 else min(0.0, needs[-1])
        return float(2 * needs[-1] - second), True
    weight = 1.0 / ((len(names) + 1) * count[number])
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weight[order])
    first = int(np.searchsorted(reached, nominal - 1e-9))
    return float(scores[order[min(first, len(order) - 1)]]), False
