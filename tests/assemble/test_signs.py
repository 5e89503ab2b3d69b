"""Which direction of the current is charging: judged step by step, so that constant voltage does not count against it."""

from dataclasses import replace

import numpy as np
import pytest

from edgebat.assemble.signs import charging_positive, votes
from edgebat.errors import DataError
from tests.assemble.records import records

CELL = records(range(1, 4))


def long_hold() -> np.ndarray:
    """Samples in which the cell is held at constant voltage most of the time, with the noise of a real one."""
    rng = np.random.default_rng(1)
    charge = np.linspace(3.0, 4.2, 60)
    hold = 4.2 + rng.normal(0.0, 0.0005, 3000)
    hold[0] = 4.21  # the regulator overshoots: the highest voltage is where the hold begins
    discharge = np.linspace(4.0, 3.0, 50)
    voltage = np.concatenate([charge, hold, discharge])
    current = np.concatenate([np.full(60, 1.0), np.full(3000, 0.4), np.full(50, -1.0)])
    return np.stack([voltage, current])


def test_a_sign_that_is_not_stated_is_found() -> None:
    for sign in (1.0, -1.0):
        current, how = charging_positive(replace(CELL, current_a=sign * CELL.current_a), "a.csv")
        assert np.array_equal(current, CELL.current_a)
        assert ("is charging" in how) == (sign > 0.0)


def test_a_long_hold_at_constant_voltage_does_not_count_against_the_sign() -> None:
    voltage, current = long_hold()
    # Most charge flows after the highest voltage; a rule that counts every sample would call the file flipped.
    assert current[: np.argmax(voltage)].sum() < 0.1 * current[np.argmax(voltage) : -50].sum()
    assert votes(voltage, current).agreement > 0.8
    assert votes(voltage, -current).agreement < -0.8


def test_a_stated_sign_that_the_voltage_contradicts_is_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"states positive_is_discharge.*--set sign=positive_is_charge"):
        charging_positive(replace(CELL, sign="positive_is_discharge"), "a.csv")


def test_a_current_without_its_sign_takes_it_from_the_kind_of_step_or_is_refused() -> None:
    bare = replace(CELL, current_a=np.abs(CELL.current_a))
    with pytest.raises(DataError, match="agree in one part and contradict in another"):
        charging_positive(bare, "a.csv")
    kind = np.where(CELL.current_a > 0.1, "charge_cc", np.where(CELL.current_a < -0.1, "discharge", "rest"))
    current, how = charging_positive(replace(bare, step_kind=kind), "a.csv")
    assert np.abs(current - CELL.current_a)[kind != "rest"].max() == 0.0
    assert "kind of step" in how


def test_a_flip_in_the_middle_is_refused() -> None:
    current = CELL.current_a.copy()
    current[CELL.cycle > 1] *= -1.0
    with pytest.raises(DataError, match="agree in one part and contradict in another"):
        charging_positive(replace(CELL, current_a=current), "a.csv")


def test_without_a_step_that_says_anything_the_sign_must_be_stated() -> None:
    flat = replace(CELL, voltage_v=np.full(CELL.voltage_v.size, 3.7))
    with pytest.raises(DataError, match=r"cannot be judged; state it: --set sign="):
        charging_positive(flat, "a.csv")
    assert "no step contradicts" in charging_positive(replace(flat, sign="positive_is_charge"), "a.csv")[1]
