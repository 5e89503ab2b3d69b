"""Charge increments out of samples and curves, and the windows and targets of the health task, on cases known by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgebat.cells import CellHistory, Condition
from edgebat.errors import DataError
from edgebat.models import to_ppm
from edgebat.tasks.health import (
    HealthSpec,
    WindowStatus,
    charge_increments,
    health_windows,
    increments_from_curve,
    input_windows,
)
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import Config, Sample

SPEC = HealthSpec(context=3, horizon=4, max_gap=2)
"""Small enough to count on fingers; 3.6-3.7 V in 10 steps."""


def ramp(current_a=1.0, from_v=3.5, to_v=3.8, seconds=3600, period_s=10.0):
    """A charge whose voltage rises evenly: equal increments."""
    time = np.arange(0.0, seconds + period_s / 2, period_s)
    return time, np.linspace(from_v, to_v, time.size), np.full(time.size, current_a)


# ---------------------------------------------------------------------------------------------- increments


def test_an_even_ramp_gives_equal_increments():
    increments, status = charge_increments(*ramp(), 2.0, SPEC)
    # 1 Ah over 0.3 V: 1/30 Ah per 10 mV, of 2 Ah nominal.
    assert status is WindowStatus.OK
    assert increments == pytest.approx(np.full(10, 1.0 / 30.0 / 2.0))


@pytest.mark.parametrize("period_s", [1.0, 6.0, 30.0])
def test_sampling_does_not_matter(period_s):
    increments, _ = charge_increments(*ramp(period_s=period_s), 2.0, SPEC)
    assert increments == pytest.approx(np.full(10, 1.0 / 60.0))


def test_rests_and_discharge_around_the_charge_do_not_matter():
    time, voltage, current = ramp()
    before_v, after_v = [3.9, 3.65, 3.65, 3.3], [3.8, 3.75, 3.65, 3.5]
    before_i, after_i = [-1.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, -1.0]
    whole = (
        np.concatenate((-40.0 + 10.0 * np.arange(4), time, time[-1] + 10.0 * np.arange(1, 5))),
        np.concatenate((before_v, voltage, after_v)),
        np.concatenate((before_i, current, after_i)),
    )
    assert charge_increments(*whole, 2.0, SPEC)[0] == pytest.approx(charge_increments(*ramp(), 2.0, SPEC)[0])


def test_noise_moves_increments_but_does_not_shift_them():
    time, voltage, current = ramp(period_s=1.0)
    chance = np.random.default_rng(5)
    found = []
    for _ in range(50):
        increments, status = charge_increments(
            time, voltage + chance.normal(0.0, 0.0005, time.size), current, 2.0, SPEC
        )
        assert status is WindowStatus.OK
        found.append(increments * 60.0 - 1.0)
    # 0.5 mV of noise is 5 % of a 10 mV step. First crossings come early, by about the same at every level.
    assert np.sqrt(np.mean(np.square(found))) < 0.07
    assert np.abs(np.mean(found, axis=0)).max() < 0.03


@pytest.mark.parametrize(
    ("samples", "status"),
    [
        (ramp(current_a=-1.0), WindowStatus.NO_CHARGE),
        (ramp(current_a=0.01), WindowStatus.NO_CHARGE),
        (ramp(from_v=3.61), WindowStatus.STARTS_ABOVE),
        (ramp(to_v=3.69), WindowStatus.ENDS_BELOW),
        (ramp(period_s=200.0), WindowStatus.SPARSE),
    ],
)
def test_charges_that_miss_the_window(samples, status):
    assert charge_increments(*samples, 2.0, SPEC) == (None, status)


def test_a_pause_inside_the_window():
    time, voltage, current = ramp()
    pause = np.abs(voltage - 3.65) < 0.005
    assert charge_increments(time, voltage, np.where(pause, 0.0, current), 2.0, SPEC) == (
        None,
        WindowStatus.INTERRUPTED,
    )


def paused(at_v, seconds, from_v, current_a=0.0):
    """A charge up to ``at_v``, a pause (or discharge), and a charge from ``from_v`` on through the window."""
    first, second = ramp(from_v=3.3, to_v=at_v, seconds=1800), ramp(from_v=from_v)
    rest = np.arange(10.0, seconds + 10.0, 10.0)
    time = np.concatenate([first[0], first[0][-1] + rest, first[0][-1] + rest[-1] + 10.0 + second[0]])
    voltage = np.concatenate([first[1], np.full(rest.size, from_v), second[1]])
    return time, voltage, np.concatenate([first[2], np.full(rest.size, current_a), second[2]])


@pytest.mark.parametrize(
    ("samples", "status"),
    [
        (paused(3.65, 600, 3.58), WindowStatus.INTERRUPTED),
        (paused(3.65, 20, 3.58), WindowStatus.INTERRUPTED),
        (paused(3.58, 600, 3.54), WindowStatus.PAUSED),
        (paused(3.58, 20, 3.56), WindowStatus.OK),
        (paused(3.42, 600, 3.4), WindowStatus.OK),
        (paused(3.65, 1200, 3.5, current_a=-1.0), WindowStatus.OK),  # another charge: a twentieth was given between
        (paused(3.65, 300, 3.5, current_a=-1.0), WindowStatus.INTERRUPTED),
    ],
)
def test_a_charge_that_goes_on_after_a_pause(samples, status):
    assert charge_increments(*samples, 2.0, SPEC)[1] is status


@pytest.mark.parametrize(
    ("seconds", "current_a", "taken"),
    [
        (600, 0.0, False),
        (20, 0.0, False),
        (300, -1.0, True),  # what had gone into the window is out again: 71 mAh of 83
        (1200, -1.0, True),
    ],
)
def test_the_device_takes_no_second_charge_through_the_window_before_the_first_is_out(seconds, current_a, taken):
    time, voltage, current = paused(3.65, seconds, 3.5, current_a)
    counter = ChargeCounter([round(v * 1e6) for v in SPEC.levels_v], Config(2000))
    for step, volts, amps in zip(np.diff(time, prepend=0.0), voltage, current, strict=True):
        counter.push(Sample(round(1000 * volts), round(1000 * amps), round(1000 * step)))
    assert counter.row_ready == taken


def test_a_changing_current_inside_the_window():
    time, voltage, current = ramp()
    stepped = np.where(voltage < 3.65, current, 0.8 * current)
    assert charge_increments(time, voltage, stepped, 2.0, SPEC) == (None, WindowStatus.NOT_CONSTANT)
    before = np.where(voltage < 3.59, 2.0 * current, current)
    assert charge_increments(time, voltage, before, 2.0, SPEC)[1] is WindowStatus.OK


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (([0, 1], [3.5], [1, 1]), "vectors of one length"),
        (([0, 2, 1], [3.5, 3.6, 3.7], [1, 1, 1]), "time runs backwards at sample 2"),
        (([0, 1, 2], [3.5, np.nan, 3.7], [1, 1, 1]), "voltage .* not finite at sample 1"),
    ],
)
def test_samples_that_cannot_be_right(samples, message):
    with pytest.raises(DataError, match=message):
        charge_increments(*samples, 2.0, SPEC)


def test_curves_are_interpolated_and_gaps_respected():
    grid = np.float32([3.55, 3.6, 3.7, 3.8])
    curves = [[0, 0.1, 0.3, 0.6], [np.nan, 0, 0.2, np.nan], [np.nan, np.nan, 0, 0.2], [0, 0.1, 0.1, 0.2]]
    increments = increments_from_curve(grid, curves, [2.0, 1.0, 1.0, 1.0], SPEC)
    assert increments[0] == pytest.approx(np.full(10, 0.01), rel=1e-5)
    assert increments[1] == pytest.approx(np.full(10, 0.02), rel=1e-5)
    assert np.isnan(increments[2:]).all(), "the window's start is missing; no charge is taken inside it"
    assert np.isnan(increments_from_curve([3.65, 3.8], [[0, 1]], 1.0, SPEC)).all()


def test_ppm_is_what_the_device_counts():
    assert to_ppm([0.0123456, 0.0000005, 0.0000015, -0.000001]).tolist() == [12346, 0, 2, -1]
    assert to_ppm(np.float32([0.01])).dtype == np.int32
    with pytest.raises(DataError, match="int32 ppm"):
        to_ppm([np.nan])


# ------------------------------------------------------------------------------------------------- windows


def history(capacity_ah, cycle=None, flagged=None, charge_cycle=None, nominal_ah=1.0) -> CellHistory:
    """A cell whose charge curve in cycle n is a straight line of 0.1 + n / 1000 Ah over the window."""
    capacity = np.asarray(capacity_ah, dtype=float)
    number = np.arange(1, capacity.size + 1) if cycle is None else np.asarray(cycle)
    charged = number if charge_cycle is None else np.asarray(charge_cycle)
    return CellHistory(
        key=("A", "1"),
        condition=Condition("A", 25.0, "1C", 1.0),
        nominal_ah=nominal_ah,
        cycle=number,
        capacity_ah=capacity,
        flagged=np.zeros(capacity.size, dtype=bool) if flagged is None else np.asarray(flagged, dtype=bool),
        charge_cycle=charged,
        charge_voltage_v=np.array([3.6, 3.7]),
        charge_dq_ah=np.stack([[0.0, 0.1 + n / 1000.0] for n in charged]),
    )


def test_one_window_by_hand():
    windows = health_windows([history(1.0 - 0.01 * np.arange(8))], SPEC)
    assert windows.x.shape == (6, 3, 10)
    assert windows.x.dtype == windows.soh.dtype == windows.trajectory.dtype == windows.rul.dtype == np.float32
    # Window 0: cycles 1, 2, 3, oldest first.
    assert windows.x[0] == pytest.approx(np.array([[0.0101] * 10, [0.0102] * 10, [0.0103] * 10]))
    assert windows.cycle.tolist() == [3, 4, 5, 6, 7, 8]
    assert windows.soh == pytest.approx(np.array([0.98, 0.97, 0.96, 0.95, 0.94, 0.93]))
    assert windows.trajectory[0] == pytest.approx([0.97, 0.96, 0.95, 0.94])
    assert windows.trajectory[4] == pytest.approx([0.93, np.nan, np.nan, np.nan], nan_ok=True)
    assert np.isnan(windows.rul).all(), "the cell never reached 80 %: censored, not zero and not a number"
    assert (windows.cells, windows.reference_ah.tolist()) == ((("A", "1"),), [1.0])


def test_remaining_life_counts_cycle_numbers():
    # Below 80 % in cycle 10 (confirmed), with numbers missing on the way.
    cycle = [1, 2, 3, 4, 6, 8, 10, 11, 12]
    capacity = [0.82, 0.82, 0.815, 0.815, 0.81, 0.805, 0.799, 0.79, 0.78]
    windows = health_windows([history(capacity, cycle)], SPEC)
    assert dict(zip(windows.cycle.tolist(), windows.rul.tolist(), strict=True)) == {
        3: 7, 4: 6, 6: 4, 8: 2, 10: 0, 11: 0, 12: 0
    }  # fmt: skip
    assert windows.eol_cycle.tolist() == [10]


def test_a_dip_below_the_end_of_life_is_not_the_end():
    capacity = np.full(20, 0.81)
    capacity[5] = 0.795
    assert np.isnan(health_windows([history(capacity)], SPEC).eol_cycle[0])
    capacity[14:] = 0.79
    assert health_windows([history(capacity)], SPEC).eol_cycle[0] == 15
    # A file that stops in the moment it reaches the end has nothing to confirm it, and counts.
    assert health_windows([history([0.82, 0.81, 0.805, 0.799])], SPEC).eol_cycle[0] == 4


@pytest.mark.parametrize(
    ("reference", "expected"), [("nominal", 1.0), ("first", 0.99), ("rated_min", 0.95), ("mean_first_k", 0.97)]
)
def test_soh_reference(reference, expected):
    capacity = [0.98, 0.99, 0.98, 0.94, 0.90]
    spec = HealthSpec(context=3, horizon=4, soh_reference=reference, reference_rows=3, max_jump=0.5)
    windows = health_windows([history(capacity, flagged=[True, False, False, False, False])], spec)
    assert windows.reference_ah[0] == pytest.approx(expected)
    assert windows.soh[-1] == pytest.approx(0.90 / expected)


def test_flagged_jumping_and_missing_rows_are_dropped():
    capacity = np.array([1.0, 0.99, 0.5, 0.98, 0.97, np.nan, 0.96, 0.95, 0.90, 0.89])
    flagged = np.arange(10) == 2
    windows = health_windows([history(capacity, flagged=flagged)], SPEC)
    # 3 is flagged, 6 is missing, 9 jumps by 0.05; neighbours may be 2 apart, so windows run across.
    assert windows.cycle.tolist() == [4, 5, 7, 8, 10]
    assert windows.x[0, :, 0] == pytest.approx([0.0101, 0.0102, 0.0104])
    assert windows.left_out == {"cycles whose capacity is flagged, jumps or is missing": 3}


def test_windows_and_trajectories_do_not_run_across_long_gaps():
    cycle = np.array([1, 2, 3, 5, 6, 10, 11, 12, 13])
    capacity = 1.0 - 0.005 * cycle
    windows = health_windows([history(capacity, cycle)], SPEC)
    assert windows.cycle.tolist() == [3, 5, 6, 12, 13]
    ahead_of_3 = np.array([0.98, 0.975, 0.97, np.nan])  # 4 is interpolated, 7 lies in a gap of 4
    assert windows.trajectory[0] == pytest.approx(ahead_of_3, nan_ok=True)
    assert windows.trajectory[2] == pytest.approx([np.nan, np.nan, np.nan, 0.95], nan_ok=True)


def test_no_label_leaks_into_the_input():
    """Changing every capacity after cycle 5 must not change any input, nor the SOH up to cycle 5."""
    early = health_windows([history(1.0 - 0.01 * np.arange(10))], SPEC)
    late = health_windows([history(1.0 - 0.01 * np.minimum(np.arange(10), 4))], SPEC)
    assert np.array_equal(early.x, late.x)
    assert np.array_equal(early.soh[:3], late.soh[:3])
    assert not np.array_equal(early.trajectory, late.trajectory, equal_nan=True)


def test_stride_and_inputs_without_labels():
    cycle = np.arange(1, 11)
    increments = np.arange(100.0).reshape(10, 10)
    x, last = input_windows(cycle, increments, HealthSpec(context=3, stride=4))
    assert last.tolist() == [2, 6]
    assert np.array_equal(x[1], increments[4:7])
    assert input_windows(cycle[:2], increments[:2], SPEC)[0].shape == (0, 3, 10)
    with pytest.raises(DataError, match="ascending"):
        input_windows(cycle[::-1], increments, SPEC)


def test_select_by_mask_and_by_cell():
    second = history(np.full(6, 0.9))
    object.__setattr__(second, "key", ("B", "1"))
    windows = health_windows([history(np.full(6, 1.0)), second], SPEC)
    assert windows.cell.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    only = windows.select(cells=[("B", "1")])
    assert (only.cells, only.cell.tolist(), only.soh.tolist()) == ((("B", "1"),), [0] * 4, pytest.approx([0.9] * 4))
    assert len(windows.select(mask=windows.soh > 0.95)) == 4
    with pytest.raises(DataError, match="no windows here"):
        windows.select(cells=[("C", "1")])
    with pytest.raises(DataError, match="mask"):
        windows.select(mask=[True])


def test_windows_of_other_cells_are_joined():
    second = history(np.full(6, 0.9))
    object.__setattr__(second, "key", ("B", "1"))
    both = health_windows([history(np.full(6, 1.0)), second], SPEC)
    parts = [both.select(cells=[key]) for key in both.cells]
    joined = parts[0].join(parts[1])
    assert (joined.cells, joined.conditions) == (both.cells, both.conditions)
    for name in ("x", "soh", "trajectory", "rul", "cell", "cycle", "nominal_ah", "reference_ah", "eol_cycle"):
        assert np.array_equal(getattr(joined, name), getattr(both, name), equal_nan=True), name
    with pytest.raises(DataError, match=r"1 cells are in both, such as \[\('B', '1'\)\]"):
        both.join(parts[1])
    with pytest.raises(DataError, match=r"cut by .*horizon=4.* and by .*horizon=3"):
        parts[0].join(health_windows([second], dataclasses.replace(SPEC, horizon=SPEC.horizon - 1)))


def test_reasons_are_counted_and_no_window_at_all_is_an_error():
    none = history(np.full(2, 1.0))
    windows = health_windows([history(np.full(6, 1.0)), none], SPEC)
    assert windows.left_out == {"cells without 3 neighbouring cycles": 1}
    with pytest.raises(DataError, match=r"3.4-3.5 V was found.*do not cover the voltage window': 1"):
        health_windows([history(np.full(6, 1.0))], HealthSpec(window_start_v=3.4, window_end_v=3.5))


def test_spec_survives_json_and_refuses_nonsense():
    spec = HealthSpec(eol=0.7, soh_reference="first")
    assert HealthSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(DataError, match=r"knows no \['end_of_life'\]"):
        HealthSpec.from_dict({"end_of_life": 0.8})
    for wrong in ({"window_start_v": 3.8}, {"eol": 1.2}, {"soh_reference": "best"}, {"context": 0}, {"max_jump": -1.0}):
        with pytest.raises(DataError, match="breaks the rule"):
            HealthSpec(**wrong)
    with pytest.raises(DataError, match="cannot be made of"):
        HealthSpec.from_dict({"context": "ten"})
