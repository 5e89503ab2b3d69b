"""Cells between the measured ones: stretched curves, neighbours in life, and what blends keep."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgebat.teachers.diffbatt.blend import blend, neighbours_in_life, stretched, unstretched  # noqa: E402

POINTS = 200


def fading_to_eighty(lengths):
    """SOH curves that fall linearly to 0.8 at their last measured point."""
    at = torch.arange(POINTS)[None]
    last = torch.tensor(lengths)[:, None] - 1
    return torch.where(at <= last, 1.0 - 0.2 * at / last, 0.0)


def test_stretching_and_back_gives_the_curve():
    curve = fading_to_eighty([40, 77, 131, POINTS])
    shape, log_length = stretched(curve)
    torch.testing.assert_close(unstretched(shape, log_length, POINTS), curve, atol=2e-3, rtol=0.0)
    torch.testing.assert_close(shape[:, [0, -1]], torch.tensor([[1.0, 0.8]]).expand(4, 2))


def test_a_blend_of_two_lives_is_one_life_between_them():
    curve = fading_to_eighty([50, 72])
    shape, log_length = stretched(curve)
    other, share = torch.tensor([1, 0]), torch.tensor([0.5, 0.0])
    mixed = unstretched(blend(shape, other, share), blend(log_length, other, share), POINTS)
    alive = (mixed > 0).sum(dim=1)
    assert alive.tolist() == [round(np.sqrt(50 * 72)), 72]
    # It falls to 0.8 once, where it ends, as both did; a mean of the two would be cut in half at 50.
    assert mixed[0, alive[0] - 1] == pytest.approx(0.8, abs=3e-3)


def test_neighbours_stay_within_reach_and_come_from_both_sides():
    log_length = torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0])
    rank = log_length.argsort().argsort()
    found = set()
    for seed in range(50):
        other = neighbours_in_life(log_length, 2, torch.Generator().manual_seed(seed))
        away = rank[other] - rank
        assert away.abs().max() <= 2
        found |= set(away[rank == 2].tolist())
    assert found == {-2, -1, 1, 2}
