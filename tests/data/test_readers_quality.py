"""Charges whose samples are all numbers and yet tell no charge increments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgebat.data.readers import RawCell
from edgebat.data.readers.quality import two_cells, window_fault
from edgebat.data.synthetic import make_raw_cell
from tests.data.layouts import cycling_test

TEST = cycling_test(cycles=1, period_s=20.0)
WINDOW = (3.6, 3.7, 0.01)
MIDDLE = int(np.argmax((TEST.current_a > 0) & (TEST.voltage_v > 3.65)))
INSIDE = (TEST.current_a > 0) & (TEST.voltage_v > 3.62) & (TEST.voltage_v < 3.66)


def fault(time_s=TEST.time_s, voltage_v=TEST.voltage_v, keep=slice(None)):
    return window_fault(time_s[keep], voltage_v[keep], TEST.current_a[keep], *WINDOW)


def test_a_charge_as_it_should_be():
    assert fault() == ""


@pytest.mark.parametrize(
    ("step_mv", "expected"), [(1, ""), (5, ""), (10, "the voltage has steps of 10 mV"), (50, "of 50 mV")]
)
def test_a_coarse_voltage(step_mv, expected):
    assert fault(voltage_v=np.round(TEST.voltage_v * 1000 / step_mv) * step_mv / 1000).endswith(expected)


@pytest.mark.parametrize("pause_s", [120, 600, 3600])
def test_a_clock_that_jumps_while_the_voltage_does_not(pause_s):
    time = TEST.time_s + np.where(np.arange(TEST.time_s.size) >= MIDDLE, pause_s, 0.0)
    assert fault(time_s=time) == "the clock jumps inside the window"


def test_a_clock_that_shows_minutes_alone():
    assert fault(time_s=np.floor(TEST.time_s / 60.0) * 60.0) == "most samples have the time of the one before"


def test_a_voltage_that_stands_still_and_jumps():
    assert fault(voltage_v=np.where(INSIDE, 3.62, TEST.voltage_v)) == "the voltage jumps inside the window"


def test_a_spike():
    volts = TEST.voltage_v.copy()
    volts[MIDDLE] = 3.69
    assert fault(voltage_v=volts) == "the voltage jumps inside the window"


def test_samples_that_are_not_there_are_no_fault_where_the_charge_went_on():
    assert fault(keep=~INSIDE) == ""


def test_few_samples_are_no_coarse_voltage():
    assert fault(keep=slice(0, None, 8)) == ""


def test_nothing_is_told_of_a_charge_that_misses_the_window():
    assert fault(keep=TEST.voltage_v > 3.8) == ""


def test_a_second_cell_in_the_file_is_seen_by_its_discharges():
    young, aged, next_ = (
        make_raw_cell(seed=7, index=1, cycles=c, period_s=20.0) for c in (range(1, 6), range(401, 406), range(6, 11))
    )
    seam = two_cells(_after(aged, young), 3.5)
    assert seam is not None
    assert seam.cycle == 406
    assert str(seam).startswith("capacity rises by")
    assert two_cells(_after(young, next_), 3.5) is None


def _after(first: RawCell, second: RawCell) -> RawCell:
    """Both in one log, cycles counted on."""
    time = np.concatenate([first.time_s, second.time_s])
    return replace(
        first, time_s=time, voltage_v=np.concatenate([first.voltage_v, second.voltage_v]),
        current_a=np.concatenate([first.current_a, second.current_a]),
        cycle=np.concatenate([first.cycle, second.cycle - second.cycle[0] + first.cycle[-1] + 1]),
    )  # fmt: skip
