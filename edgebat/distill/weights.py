"""The weights of several teachers out of what each errs on cells that it has not learnt from.

Of each head the weights (at least 0, sum 1) are those whose mixture errs least there, pulled towards equal ones (stacking:
Breiman, Machine Learning 24, 49, 1996). By how much they are pulled, and whether a straight line corrects the mixture, is
decided on held-out cells that it was not fitted to. Since weights sum to one, products of the members' errors are enough.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Float64, Int64, StrArray
from edgebat.teachers.ensemble import HeadMix

PULLS = (0.0, 0.0003, 0.003, 0.03, 0.3, 3.0, np.inf)
"""Strengths of the pull towards equal weights that are tried, at ``UNITS`` cells or data sets; fewer pull more."""
UNITS = 20
LEAST_CELLS, LEAST_UNITS = 5, 3
"""With fewer held-out cells, or data sets where these are held out whole, nothing is learnt: the mean stays."""
SURE = 2.0
"""A correction must gain so many standard errors, over cells or data sets that it was not fitted to."""
MOST_VALUES = 12
"""Of a head's values so many, spread evenly, are looked at."""
SWEEPS, ROUNDS = 1000, 12


@dataclass(frozen=True)
class HeldOut:
    """One head on windows that no member has learnt from."""

    predicted: Float64
    """[members, N, values]"""
    measured: Float64
    """[N, values]; NaN where not measured."""
    cell: Int64
    """[N] number of the cell."""
    dataset: StrArray
    """[N]"""
    fold: Int64
    """[N] what is held out together."""
    absolute: bool = False
    """Errors count as they are, not squared."""

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(np.unique(self.cell))

    @property
    def unit(self) -> Int64:
        """[N] number of an independent witness: of the cell, or of the data set where these are held out whole."""
        names, dataset = np.unique(self.dataset, return_inverse=True)
        whole = all(len(np.unique(self.fold[dataset == n])) == 1 for n in range(len(names)))
        return dataset.astype(np.int64) if whole else self.cell

    @property
    def units(self) -> int:
        """How many witnesses there are."""
        return len(np.unique(self.unit))

    def thinned(self) -> HeldOut:
        """Only rows that somebody measured, and ``MOST_VALUES`` values of each."""
        columns = np.linspace(0, self.measured.shape[1] - 1, min(MOST_VALUES, self.measured.shape[1])).astype(int)
        measured = self.measured[:, np.unique(columns)]
        rows = np.isfinite(measured).any(axis=1)
        return dataclasses.replace(
            self,
            predicted=self.predicted[:, rows][:, :, np.unique(columns)],
            measured=measured[rows],
            cell=self.cell[rows],
            dataset=self.dataset[rows],
            fold=self.fold[rows],
        )

    def errors(self) -> Float64:
        """Measured less predicted, [members, N, values]; 0 where not measured."""
        wrong: Float64 = np.where(np.isfinite(self.measured), self.measured - self.predicted, 0.0)
        return wrong

    def costs(self) -> Float64:
        """What an error counts, [N, values]: data sets alike, in each its cells; over the median member's error there, or a
        data set on which everybody errs would decide alone."""
        known = np.isfinite(self.measured)
        weight = np.zeros(known.shape)
        for cell in np.unique(self.cell):
            own = (self.cell == cell)[:, None] & known
            weight[own] = 1.0 / own.sum()
        wrong = self.loss(self.errors())
        for name in np.unique(self.dataset):
            rows = self.dataset == name
            own = weight[rows] / weight[rows].sum()
            usual = float(np.median([(own * each[rows]).sum() for each in wrong]))
            weight[rows] = own / max(usual, 1e-12)
        return weight / len(np.unique(self.dataset))

    def loss(self, wrong: Float64) -> Float64:
        """Errors as they count."""
        return np.abs(wrong) if self.absolute else np.square(wrong)


@dataclass(frozen=True)
class Learnt:
    """A head's mixture, and what is lost on held-out cells (``HeldOut.costs``): by it, cross-fitted, by the mean, by each
    member."""

    mix: HeadMix
    cost: float
    mean: float
    members: tuple[float, ...]


def learn_mix(held: HeldOut) -> Learnt:
    """How the members are best mixed by what they err on ``held``; their mean for too few cells or folds."""
    held = held.thinned()
    wrong, cost = held.errors(), held.costs()
    count, folds = len(wrong), np.unique(held.fold)
    plain = np.full(count, 1.0 / count)
    alone = tuple(float((cost * held.loss(each)).sum()) for each in wrong)
    mean = float((cost * held.loss(np.tensordot(plain, wrong, axes=1))).sum())
    if held.cells < LEAST_CELLS or min(held.units, len(folds)) < LEAST_UNITS:
        return Learnt(HeadMix(tuple(plain)), mean, mean, alone)
    best, left, pull = np.inf, np.zeros(wrong.shape[1:]), np.inf
    for strength in PULLS:
        rest = np.zeros_like(left)
        for fold in folds:
            out = held.fold == fold
            weights = simplex(wrong[:, ~out], cost[~out], held.absolute, strength * UNITS / held.units)
            rest[out] = np.tensordot(weights, wrong[:, out], axes=1)
        value = float((cost * held.loss(rest)).sum())
        if value < best or (value == best and strength > pull):
            best, left, pull = value, rest, strength
    weights = simplex(wrong, cost, held.absolute, pull * UNITS / held.units)
    known = np.isfinite(held.measured)
    mixed = np.where(known, held.measured, 0.0) - left
    offset, slope, left = _corrected(held, mixed, left, cost)
    best = float((cost * held.loss(left)).sum())
    deviation = np.tensordot(weights, np.square(wrong - np.tensordot(weights, wrong, axes=1)), axes=1)
    factor, floor = _spread(deviation[known], np.square(left)[known], cost[known])
    return Learnt(HeadMix(tuple(weights.tolist()), offset, slope, factor, floor), best, mean, alone)


def simplex(wrong: Float64, cost: Float64, absolute: bool, pull: float) -> Float64:
    """Weights [members], at least 0 and 1 in all, of the mixture with the smallest error, pulled towards equal ones.

    wrong: [members, N, values]; cost: [N, values]; pull: in units of the median member's squared error; infinity for equal
    weights, 0 for the best member alone.
    """
    count = len(wrong)
    weights = np.full(count, 1.0 / count)
    if np.isinf(pull):
        return weights
    if pull == 0.0:
        each = np.abs(wrong) if absolute else np.square(wrong)
        best: Float64 = np.zeros(count)
        best[int(np.argmin([(cost * own).sum() for own in each]))] = 1.0
        return best
    flat, cost = wrong.reshape(count, -1), cost.ravel()
    own = cost
    for _ in range(ROUNDS if absolute else 1):
        if absolute:  # iteratively reweighted least squares
            rest = np.abs(weights @ flat)
            own = cost / np.maximum(rest, 1e-3 * rest.mean() + 1e-12)
        gram = (flat * own) @ flat.T
        gram += (pull * float(np.median(np.diag(gram))) + 1e-12) * np.eye(count)
        weights = _least(gram / np.median(np.diag(gram)))
    return weights


def _least(gram: Float64) -> Float64:
    """Where ``a' gram a`` is least over the simplex: where ``z' gram z / 2 - sum(z)`` is over all z at least 0, found
    coordinate by coordinate, over their sum."""
    z = 1.0 / np.diag(gram)
    for _ in range(SWEEPS):
        before = z.copy()
        for j in range(len(z)):
            z[j] = max(0.0, z[j] + (1.0 - float(gram[j] @ z)) / gram[j, j])
        if np.abs(z - before).max() <= 1e-9 * z.max():
            break
    weights: Float64 = z / z.sum()
    return weights


def _corrected(held: HeldOut, mixed: Float64, left: Float64, cost: Float64) -> tuple[float, float, Float64]:
    """(offset, slope, errors that are left) of a straight line that corrects the mixture, if it does so on the folds that it
    was not fitted to."""
    known = np.isfinite(held.measured)
    rest = np.zeros_like(left)
    for fold in np.unique(held.fold):
        out = held.fold == fold
        seen = known & ~out[:, None]
        offset, slope = _line(mixed[seen], held.measured[seen], cost[seen])
        rest[out] = np.where(known, np.where(known, held.measured, 0.0) - offset - slope * mixed, 0.0)[out]
    gain = (cost * (held.loss(left) - held.loss(rest))).sum(axis=1)
    each = np.array([gain[held.unit == unit].sum() for unit in np.unique(held.unit)])
    if each.mean() <= SURE * each.std() / max(len(each) - 1, 1) ** 0.5:
        return 0.0, 1.0, left
    return *_line(mixed[known], held.measured[known], cost[known]), rest


def _line(x: Float64, y: Float64, cost: Float64) -> tuple[float, float]:
    """Offset and slope of the weighted least-squares line from x to y."""
    cost = cost / cost.sum()
    centre, level = float(cost @ x), float(cost @ y)
    slope = float(cost @ ((x - centre) * (y - level))) / (float(cost @ np.square(x - centre)) + 1e-12)
    return level - slope * centre, slope


def _spread(variance: Float64, square: Float64, cost: Float64) -> tuple[float, float]:
    """Factor and rest for which ``factor**2 * variance + rest**2`` is on average the squared error, and follows it."""
    cost = cost / cost.sum()
    middle, wanted = float(cost @ variance), float(cost @ square)
    rise = float(cost @ ((variance - middle) * (square - wanted))) / (
        float(cost @ np.square(variance - middle)) + 1e-24
    )
    rise = min(max(rise, 0.0), wanted / (middle + 1e-24))
    return float(np.sqrt(rise)), float(np.sqrt(max(wanted - rise * middle, 0.0)))
