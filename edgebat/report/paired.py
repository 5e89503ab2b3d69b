"""Two models on the same cells: how much smaller one's error is, and whether that could be chance. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64
from edgebat.errors import DataError
from edgebat.tasks.base import AnyTask, Predictions
from edgebat.tasks.errors import errors_by_cell
from edgebat.tasks.windows import Windows

DRAWS = 5000


@dataclass(frozen=True)
class Paired:
    """Mean error of ``a`` over that of ``b``; cells count alike."""

    ratio: float
    low: float
    """2.5 % of the ratios lie below, when the cells are drawn anew with replacement (bootstrap)."""
    high: float
    """2.5 % of the same lie above."""
    p: float
    """Chance of a difference as large when either model could have been the other on every cell (sign flips, two-sided)."""
    cells: int
    better: int
    """Cells on which ``a`` is better."""

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance: p and the interval agree."""
        return self.p < 0.05 and not self.low <= 1 <= self.high

    def __str__(self) -> str:
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}], p {self.p:.2g}, better on {self.better} of {self.cells}"


def paired(a: Float64, b: Float64, seed: int = 1) -> Paired:
    """Errors a, b [C] of two models on the same C cells. Raises DataError without cells."""
    if not len(a) or a.shape != b.shape:
        raise DataError(f"two models are compared on the same cells: seen {a.shape} and {b.shape}")
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(a), size=(DRAWS, len(a)))
    low, high = np.percentile(a[rows].sum(axis=1) / b[rows].sum(axis=1), [2.5, 97.5])
    difference = a - b
    flipped = np.abs(rng.choice([-1.0, 1.0], (DRAWS, len(a))) @ difference)
    # The observed signs are one of the draws, so that p is never 0.
    p = (1 + int((flipped >= abs(difference.sum()) - 1e-12).sum())) / (1 + DRAWS)
    return Paired(float(a.sum() / b.sum()), float(low), float(high), p, len(a), int((a < b).sum()))


def taught_or_not(
    task: AnyTask, windows: Windows, predictions: Mapping[str, Predictions], silent: Mapping[str, Sequence[str]]
) -> list[str]:
    """Whether the teacher helped each int8 student, one sentence each, from one training of student and twin.

    silent: by kind of student, the data sets on which the teacher was not heard (``edgebat.distill.gate``).
    """
    sentences = []
    for kind, unheard in silent.items():
        taught, alone = (errors_by_cell(task, windows, predictions[f"{kind}{end}_int8"]) for end in ("", "_alone"))
        known = np.isfinite(taught) & np.isfinite(alone)
        if not known.any():
            sentences.append(f"{kind.upper()}: not known, no held-out cell has a {task.columns[0].title}.")
            continue
        found = paired(taught[known], alone[known])
        verdict = (
            "not shown" if not found.shown else "yes" if found.ratio < 1 else "no, the student without it is better"
        )
        sentences.append(
            f"{kind.upper()}: {verdict}. With it the mean error of a cell is {found.ratio:.2f} of that without it "
            f"({found.low:.2f} to {found.high:.2f}), and smaller on {found.better} of {found.cells} cells."
            + (f" Not heard on {', '.join(unheard)}, where its student alone does better." if unheard else "")
        )
    return sentences
