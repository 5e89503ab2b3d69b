"""A cell in use, out of measured charge curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgebat.arrays import Float64
from edgebat.cells import CellHistory, Condition
from edgebat.errors import DataError
from edgebat.lives.battery import Battery, Stretch, Surroundings, driving, sunshine
from edgebat.lives.cell import STEPS, CurvesCell

WARM = Surroundings(25.0, 0.0)


def taken_ah(stretch: Stretch, low_v: float, high_v: float) -> float:
    """Charge between two voltages."""
    flowed = np.cumsum(stretch.amps * stretch.dt_s) / 3600
    low, high = np.interp([low_v, high_v], np.maximum.accumulate(stretch.volts), flowed)
    return float(high - low)


def measured_ah(history: CellHistory, index: int, low_v: float, high_v: float) -> float:
    low, high = np.interp([low_v, high_v], history.charge_voltage_v, history.charge_dq_ah[index])
    return float(high - low)


@pytest.mark.parametrize("age", [5, 110])
def test_a_charge_at_the_current_of_its_test_is_the_measured_one(history: CellHistory, cell: CurvesCell, age: int):
    index = int(np.searchsorted(history.charge_cycle, age))
    drawn = Battery(cell, age, 0.0).charge(1.0, 0.5, False, WARM, 24)
    assert taken_ah(drawn, 3.6, 3.7) == pytest.approx(measured_ah(history, index, 3.6, 3.7), rel=0.03)


def test_an_ohmic_drop_shifts_a_faster_charge_to_higher_voltages(cell: CurvesCell):
    slow, fast = (Battery(cell, 5, 0.3).charge(0.9, rate, False, WARM, 24) for rate in (0.25, 1.0))
    shift = np.interp(1.0, np.cumsum(fast.amps) / 3600, fast.volts) - np.interp(
        1.0, np.cumsum(slow.amps) / 3600, slow.volts
    )
    assert shift == pytest.approx(0.75 * 0.1, abs=0.01)


def test_a_full_cell_gives_its_capacity_down_to_the_lowest_voltage(history: CellHistory, cell: CurvesCell):
    battery = Battery(cell, 60, 1.0)
    drained = battery.use(1.0, 0.2, 0.0, np.ones(60), WARM)
    capacity = float(np.interp(60, history.cycle, history.capacity_ah))
    assert -drained.amps.sum() / 3600 == pytest.approx(capacity, rel=0.03)
    assert drained.volts[-1] < 3.2


def test_a_charge_ends_full_at_the_highest_voltage_and_a_small_current(cell: CurvesCell):
    battery = Battery(cell, 5, 0.2)
    charge = battery.charge(1.0, 0.5, False, WARM, 24)
    assert battery.soc > 0.98
    assert charge.volts.max() <= cell.highest_v + 0.006
    assert charge.amps[0] == pytest.approx(0.5 * cell.nominal_ah)
    assert charge.amps[-1] < 0.06 * cell.nominal_ah


def test_constant_power_lowers_the_current_as_the_voltage_rises(cell: CurvesCell):
    charge = Battery(cell, 5, 0.2).charge(0.7, 0.5, True, WARM, 24)
    watts = charge.amps * charge.volts
    assert watts[600:].std() < 0.02 * watts.mean()
    assert charge.amps[-1] < charge.amps[0]


def test_a_cold_cell_drops_more(cell: CurvesCell):
    warm, cold = Battery(cell, 5, 0.5), Battery(cell, 5, 0.5)
    cold.degc = 0.0
    first = [b.use(0.1, 1.0, 0.0, np.ones(10), Surroundings(b.degc, 0.0)).volts[-1] for b in (warm, cold)]
    assert first[0] - first[1] > 0.05


def test_a_rest_relaxes_to_the_open_circuit_voltage(cell: CurvesCell):
    battery = Battery(cell, 5, 0.5)
    battery.charge(0.6, 0.5, False, WARM, 24)
    volts = battery.rest(np.full(60, 60.0), WARM).volts
    assert volts[0] - volts[-1] > 0.01
    assert volts[-1] == pytest.approx(battery.now.rest_v(np.array([battery.charge_ah]))[0], abs=1e-3)


def test_a_new_cell_rests_at_the_voltages_of_others_like_it(history: CellHistory, cell: CurvesCell):
    new = cell.at(cell.first_age)
    charge_ah = np.linspace(0.0, new.capacity_ah, STEPS)
    lower = new.rest_v(charge_ah) - 0.01
    fitted = CurvesCell(history, 0.1, lower).at(cell.first_age)
    assert np.abs(fitted.rest_v(charge_ah) - lower)[40:-40].max() < 0.002


def test_traffic_has_the_mean_that_was_asked_for_and_brakes():
    pattern: Float64 = driving(np.random.default_rng(1), pulses=0.9, regen=0.1, seconds=3600)
    assert pattern.mean() == pytest.approx(1.0)
    assert 0.02 < (pattern < 0).mean() < 0.2


def test_the_sun_rises_and_sets():
    sky = sunshine(np.random.default_rng(1), 10, 0.5, 5)
    assert sky.size == 7200
    assert sky[0] < 0.01 > sky[-1]
    assert 0.3 < sky.max() <= 1


def test_a_home_battery_is_not_drained_before_sunrise(cell: CurvesCell):
    battery = Battery(cell, 5, 0.031)
    net = np.concatenate((np.full(3600, -0.1), np.full(3600, 0.5)))
    stretch = battery.sun(net, 1.0, WARM, 1.0)
    assert stretch.amps.size == 7200
    assert stretch.amps.min() == 0


@pytest.mark.parametrize("lacks", ["charge_rate_c", "temperature_degc"])
def test_a_cell_whose_test_is_not_stated_cannot_live(history: CellHistory, lacks: str):
    condition = replace(history.condition, **{lacks: None})
    with pytest.raises(DataError, match="cannot live"):
        CurvesCell(replace(history, condition=condition), 0.1)


def test_a_cell_of_few_curves_cannot_live(history: CellHistory):
    few = replace(history, charge_cycle=history.charge_cycle[:3], charge_dq_ah=history.charge_dq_ah[:3])
    assert isinstance(few.condition, Condition)
    with pytest.raises(DataError, match="cannot live"):
        CurvesCell(few, 0.1)
