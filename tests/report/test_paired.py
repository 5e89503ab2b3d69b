"""Two models on the same cells: a ratio, how sure it is, and whether it could be chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test

from edgebat.errors import DataError
from edgebat.report.paired import paired

RNG = np.random.default_rng(4)
ERRORS = RNG.uniform(0.5, 2.0, 40)


def test_cells_count_alike():
    found = paired(np.array([1.0, 1.0, 1.0, 3.0]), np.array([2.0, 2.0, 2.0, 2.0]))
    assert found.ratio == pytest.approx(6 / 8)
    assert (found.cells, found.better) == (4, 3)


def test_one_cell_proves_nothing():
    assert paired(np.array([1.0]), np.array([2.0])).p == 1.0


def test_a_model_beside_itself_is_no_better():
    found = paired(ERRORS, ERRORS)
    assert (found.ratio, found.low, found.high, found.p, found.better) == (1.0, 1.0, 1.0, 1.0, 0)


def test_a_tenth_on_every_cell_is_no_chance():
    found = paired(0.9 * ERRORS, ERRORS)
    assert (found.ratio, found.low, found.high) == pytest.approx((0.9, 0.9, 0.9))
    assert found.p < 0.001


def test_p_is_that_of_scipys_sign_flips():
    noisy = ERRORS * RNG.normal(0.95, 0.2, 40)
    wanted = permutation_test(
        (noisy, ERRORS), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=20000,
        rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    assert paired(noisy, ERRORS).p == pytest.approx(wanted, abs=0.02)


def test_the_interval_holds_the_truth_nearly_always():
    held = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        b = rng.lognormal(0, 0.5, 60)
        a = 0.9 * b * rng.lognormal(-0.02, 0.2, 60)
        found = paired(a, b, seed=trial)
        held += found.low <= 0.9 <= found.high
    assert 88 <= held <= 100


def test_other_cells_cannot_be_paired():
    with pytest.raises(DataError, match="on the same cells"):
        paired(ERRORS, ERRORS[:3])
