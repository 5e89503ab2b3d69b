"""Compare two engines' integers and keep the counts, never hiding a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import GraphError


@dataclass(frozen=True)
class Equality:
    """One pair of engines on one model: how many output integers differ, and by how much at most."""

    model: str
    reference: str
    engine: str
    windows: int
    values: int
    mismatches: int
    largest: int
    must_be_zero: bool

    @property
    def share(self) -> float:
        """Mismatching share of all compared values, 0 to 1."""
        return self.mismatches / self.values if self.values else 0.0

    @property
    def passed(self) -> bool:
        """False only when equality is promised for this pair and some value differs."""
        return self.mismatches == 0 or not self.must_be_zero

    def as_row(self) -> dict[str, Any]:
        """The row of an equality table, JSON-able; "expected" is "0" where equality is promised."""
        return {
            "model": self.model,
            "engine": self.engine,
            "expected": "0" if self.must_be_zero else "measured, not promised",
            "version": "",
            "windows": self.windows,
            "outputs": self.values,
            "mismatches": self.mismatches,
            "max_difference": self.largest,
            "skipped": "",
        }


def compare(model: str, reference: str, expected: Array, engine: str, got: Array, *, must_be_zero: bool) -> Equality:
    """Compare outputs of two engines for the same windows.

    expected, got: integers [N, ...] of the same shape. Raises GraphError when the shapes differ.
    """
    if expected.shape != got.shape:
        raise GraphError(
            f"model {model!r}: {reference} gives outputs of shape {list(expected.shape)}, {engine} {list(got.shape)}"
        )
    difference = np.abs(expected.astype(np.int64) - got.astype(np.int64))
    return Equality(
        model,
        reference,
        engine,
        len(expected),
        int(difference.size),
        int(np.count_nonzero(difference)),
        int(difference.max(initial=0)),
        must_be_zero,
    )
