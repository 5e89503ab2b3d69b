"""Small networks that forecast: what they learn of lines, and that a seed decides."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from edgebat.baselines.forecast import PAST, PatchMlp, Recurrent, network

HORIZON = 16


def lines(count: int, seed: int):
    """Changes before the origin [N, 96] and after it [N, 16] of cells that fade evenly, each at a rate of its own."""
    rate = np.random.default_rng(seed).uniform(0.5, 1.5, (count, 1)) / PAST
    return (-rate * np.arange(1 - PAST, 1)).astype(np.float32), (-rate * np.arange(1, HORIZON + 1)).astype(np.float32)


@pytest.mark.parametrize("make", [PatchMlp, Recurrent])
def test_a_network_learns_to_go_on_as_before(make) -> None:
    x, y = lines(200, seed=1)
    answer = network(make, x, y, seed=1, steps=150)
    x, y = lines(20, seed=2)
    assert np.abs(answer(x) - y).mean() < 0.3 * np.abs(y).mean()


def test_the_seed_draws_its_weights() -> None:
    x, y = lines(20, seed=1)
    first, again, other = (network(Recurrent, x, y, seed, steps=2)(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
