"""The scale search: its int32 requantization equals the float32 one for every accumulator, by brute force."""

import numpy as np
import pytest

from edgebat.quantization.requant_search import INT32_LIMIT, choose_head_scale, choose_power_scale, choose_scale


def differs_somewhere(choice, zero: int, reach: int) -> bool:
    span = min(2 * choice.clamp, reach)
    acc = np.arange(-span, span + 1, dtype=np.int64)
    ours = (np.clip(acc, -choice.clamp, choice.clamp) * choice.multiplier + (1 << (choice.shift - 1))) >> choice.shift
    theirs = np.rint(acc.astype(np.float32) * choice.real)
    return bool((np.clip(ours + zero, -128, 127) != np.clip(theirs + zero, -128, 127)).any())


@pytest.mark.parametrize("reach", [60_000, 600_000])
def test_every_accumulator_agrees_with_float32_round_half_even(reach: int) -> None:
    rng = np.random.default_rng(reach)
    solved = 0
    for trial in range(60):
        s_in, s_out = 10.0 ** rng.uniform(-3, -1, 2)
        zero = -128 if trial % 2 else int(rng.integers(-128, 128))
        natural = 10.0 ** rng.uniform(-4, -1) * s_out / s_in
        choice = choose_scale(natural, s_in, s_out, -128 - zero, 127 - zero, reach)
        solved += choice.exact
        assert abs(choice.weight_scale / natural - 1.0) < 0.13
        assert choice.clamp * choice.multiplier + (1 << (choice.shift - 1)) <= INT32_LIMIT
        if choice.exact:
            assert not differs_somewhere(choice, zero, reach)
    assert solved == 60


def test_a_channel_that_cannot_be_solved_says_so() -> None:
    # Without any bound on the accumulator so small a multiplier leaves k fewer bits than the steps need.
    choices = [choose_scale(1.0447e-4 * f, 1.0, 1.0, 0, 255) for f in (1.0, 1.07, 1.2)]
    for choice in choices:
        assert choice.exact != differs_somewhere(choice, -128, 2**31)


@pytest.mark.parametrize(
    ("natural", "s_in", "s_out", "lowest", "reach"),
    [
        (0.0001488277394536017, 0.003966290503740311, 0.002548521850258112, 0, 996_040),
        (4.607432758223963e-05, 0.01951795071363449, 0.007991982623934746, 0, 1_951_390),
        (6.718555613769261e-05, 0.15925316512584686, 0.04835529252886772, -8, 1_647_170),
    ],
)
def test_where_no_near_scale_is_proven_one_up_to_twice_as_large_is(
    natural: float, s_in: float, s_out: float, lowest: int, reach: int
) -> None:
    choice = choose_scale(natural, s_in, s_out, lowest, lowest + 255, reach)
    assert choice.exact
    assert not differs_somewhere(choice, -128 - lowest, reach)
    assert 0.88 <= choice.weight_scale / natural <= 2.0


@pytest.mark.parametrize("natural", [300.0, 1e4, 1e6])
def test_one_step_of_the_accumulator_may_be_more_than_the_output_shows(natural: float) -> None:
    """Behind a unit that was dead in calibration any weight may stand."""
    choice = choose_scale(natural, 1.0, 1.0, -128, 127, 60_000)
    assert choice.clamp == 1
    assert choice.exact
    assert not differs_somewhere(choice, 0, 60_000)


@pytest.mark.parametrize("bits", [8, 10, 15])
def test_power_scales_are_exact_in_float32_and_never_clip_the_largest_weight(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for _ in range(200):
        natural, ratio = 10.0 ** rng.uniform(-5, 0), 2.0 ** int(rng.integers(-6, 12))
        scale, k, n = choose_power_scale(natural, ratio, bits)
        assert 1 << (bits - 1) <= k < 1 << bits
        assert float(scale) * ratio == k * 2.0**-n
        assert natural <= float(scale) < natural * (1 + 2.0 ** (1 - bits))


def test_head_scales_leave_no_room_for_another_rounding() -> None:
    rng = np.random.default_rng(9)
    for _ in range(300):
        natural, ratio = 10.0 ** rng.uniform(-5, 0), float(np.float32(10.0 ** rng.uniform(-3, 3)))
        scale, k, n = choose_head_scale(natural, ratio, 6)
        assert natural * (1 - 1e-7) <= float(scale) <= natural * 1.16
        assert k < 1.2 * 2**6
        assert k & (k - 1) != 0
        # the error of the multiplier, on the largest output, in units of the last bit before rounding
        if n <= 7:  # beyond, float32 itself may be too coarse, and the writer says so
            assert abs(float(scale) * ratio - k * 2.0**-n) / (k * 2.0**-n) * 2.0 ** (15 + n) <= 0.25
