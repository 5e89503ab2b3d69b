"""The rounding rules: what a user of any engine may rely on, checked against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from edgebat.graph import arithmetic
from tests import scalar_reference as scalar


def test_shift_rounds_to_nearest_with_ties_upwards() -> None:
    acc = np.arange(-1000, 1001, dtype=np.int32)[:, None]
    got = arithmetic.requantize_shift(acc, np.array([3]), np.array([4]), np.array([512]))
    expected = [int(np.floor(Fraction(3 * max(-512, min(512, int(a))), 16) + Fraction(1, 2))) for a in acc[:, 0]]
    assert got[:, 0].tolist() == expected


def test_float_requantization_rounds_half_to_even() -> None:
    acc = np.array([[-3, -1, 1, 3, 5]], np.int32).T
    assert arithmetic.requantize_float(acc, np.array([0.5], np.float32))[:, 0].tolist() == [-2, 0, 0, 2, 2]


@pytest.mark.parametrize("exponent", [-12, -1, 0, 3])
def test_double_rounding_equals_exact_fractions(exponent: int) -> None:
    rng = np.random.default_rng(5)
    acc = rng.integers(-(2**20), 2**20, 3000).astype(np.int32)
    multiplier = int(rng.integers(2**30, 2**31))
    got = arithmetic.requantize_double(acc, multiplier, exponent)
    assert got.tolist() == [scalar.double_rounding(int(a), multiplier, exponent) for a in acc]


def test_quantize_multiplier_keeps_31_bits() -> None:
    for real in (2.0**-15, 0.75, 1.0, 3.1e-4, 12.7):
        q31, exponent = arithmetic.quantize_multiplier(real)
        assert 2**30 <= q31 < 2**31
        assert abs(q31 * 2.0 ** (exponent - 31) / real - 1.0) <= 2.0**-31
    assert arithmetic.quantize_multiplier(0.0) == (0, 0)
    with pytest.raises(ValueError, match="finite"):
        arithmetic.quantize_multiplier(float("nan"))


def test_activation_tables_follow_the_real_functions() -> None:
    x = np.arange(-32768, 32768)
    real = x / 4096.0
    # One table step of linear interpolation and the rounding to Q0.15 allow a few units, not more.
    assert np.abs(arithmetic.sigmoid_q(x) / 32768.0 - 1.0 / (1.0 + np.exp(-real))).max() < 1.3e-4
    assert np.abs(arithmetic.tanh_q(x) / 32768.0 - np.tanh(real)).max() < 2.5e-4


@pytest.mark.parametrize("left", [-3, 0, 1, 3])
def test_activations_equal_the_scalar_specification(left: int) -> None:
    x = np.unique(np.concatenate([np.arange(-32768, 32768, 37), [-32768, -1, 0, 1, 32767]]))
    assert arithmetic.sigmoid_q(x).tolist() == [scalar.sigmoid(int(v)) for v in x]
    assert arithmetic.tanh_q(x, left).tolist() == [scalar.tanh(int(v), left) for v in x]
