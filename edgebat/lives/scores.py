"""What a life is worth: days with an estimate, and whether the published bound holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.bms.results import Status
from edgebat.lives.front import LifeRecord


@dataclass(frozen=True)
class LifeScores:
    """Of one life, or of several together; shares are 0 to 1, NaN where there is nothing to divide."""

    lives: int
    days: int
    first_ok_day: float
    """Days until the first status OK, the median of several lives; infinite when it never came."""
    latest_ok_day: float
    """The same of the slowest life."""
    ok_after: float
    """Of the days after it, those that ended with OK."""
    bounded_days: int
    """Days with a published SOH and a known deviation."""
    coverage: float
    """Of these, on which the truth lay within the published 90 % bound."""
    healthier: float
    """Of these, on which the SOH published was above the truth by more than the bound."""
    error: float
    """Mean absolute error of the published SOH, points."""
    jumps: int
    charges: int
    used: float
    """Of the charges, those that gave the model an input."""
    compared: int
    mismatches: int


def score(record: LifeRecord) -> LifeScores:
    """Of one life."""
    ok = np.array([status == Status.OK.name for status in record.status], dtype=np.bool_)
    true, published, bound = (np.array(each) for each in (record.true, record.published, record.bound))
    first = int(np.argmax(ok)) if ok.any() else -1
    known, error = np.isfinite(bound), published - true
    charges = sum(record.charges.values())
    first_ok = float(record.day[first] + 1) if first >= 0 else float("inf")
    return LifeScores(
        lives=1,
        days=len(record.day),
        first_ok_day=first_ok,
        latest_ok_day=first_ok,
        ok_after=share(ok[first + 1 :]) if first >= 0 else float("nan"),
        bounded_days=int(known.sum()),
        coverage=share(np.abs(error[known]) <= bound[known]),
        healthier=share(error[known] > bound[known]),
        error=float(np.nanmean(np.abs(error))) if np.isfinite(error).any() else float("nan"),
        jumps=len(record.jumps),
        charges=charges,
        used=record.charges.get("OK", 0) / charges if charges else float("nan"),
        compared=record.compared,
        mismatches=record.mismatches,
    )


def together(scores: Sequence[LifeScores]) -> LifeScores:
    """Of several lives, every day and every charge counting once."""
    first = np.array([s.first_ok_day for s in scores])
    after = [max(s.days - s.first_ok_day, 0) for s in scores]
    bounded = [s.bounded_days for s in scores]
    return LifeScores(
        lives=len(scores),
        days=sum(s.days for s in scores),
        first_ok_day=float(np.sort(first)[first.size // 2]),
        latest_ok_day=float(first.max()),
        ok_after=_weighed([s.ok_after for s in scores], after),
        bounded_days=sum(bounded),
        coverage=_weighed([s.coverage for s in scores], bounded),
        healthier=_weighed([s.healthier for s in scores], bounded),
        error=_weighed([s.error for s in scores], bounded),
        jumps=sum(s.jumps for s in scores),
        charges=sum(s.charges for s in scores),
        used=_weighed([s.used for s in scores], [s.charges for s in scores]),
        compared=sum(s.compared for s in scores),
        mismatches=sum(s.mismatches for s in scores),
    )


def share(of: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """Of what is true."""
    return float(of.mean()) if of.size else float("nan")


def _weighed(values: Sequence[float], weights: Sequence[float]) -> float:
    pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight and np.isfinite(value)]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else float("nan")
