"""Cycles, channels and signs: what is one series, what is several, and which direction charges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.data.readers import AmbiguousFile, read_cell, read_records
from edgebat.errors import DataError
from tests.data.layouts import NOMINAL_AH, cycling_test
from tests.data.test_readers_kinds import TEST, A, T, V, stamps, write


@pytest.mark.parametrize(
    ("cycle", "note"),
    [
        (np.full(T.size, 2 * np.pi), "has numbers that are not whole, such as 6.28"),
        (np.where(np.arange(T.size) % 2, np.nan, 1.0), "has no number in"),
    ],
)
def test_cycle_numbers_that_are_none_are_not_used(tmp_path, cycle, note):
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", "cycle"], T, V, A, cycle))
    assert records.cycle is None
    assert any(note in text for text in records.notes)
    assert records.time_s.size == T.size


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (lambda n, charging: np.where(n > 3, n - 3, n), "the cycle number starts anew 1 times: counted on"),
        (lambda n, charging: np.where(n > 3, n - 4, n - 1), "the cycle number starts anew 1 times: counted on"),
        (lambda n, charging: np.ones(n.size, dtype=int), "the file's cycle number stays the same"),
        (lambda n, charging: n + charging, "the file's cycle number changes within charges"),
    ],
)
def test_cycle_numbers_that_count_something_else(tmp_path, change, remark):
    test = cycling_test(cycles=6, period_s=120.0)
    late = (test.current_a > 0.1) & (test.voltage_v > 3.65)
    after = np.concatenate([np.maximum.accumulate(late[test.cycle == n]) for n in range(1, 7)])
    cycle = change(test.cycle, after)
    path = write(
        tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", "cycle"], test.time_s, test.voltage_v, test.current_a, cycle
    )
    assert np.array_equal(read_records(path)[0].cycle, cycle)  # as the file has it
    cell = read_cell(path)
    charges = [cell.current_a[rows].max() for _, rows in cell.cycles()]
    assert len(charges) == 6
    assert min(charges) > 1.0
    assert any(remark in text for text in cell.remarks)


def test_rows_that_lack_a_cycle_or_a_step_are_left_out_of_all_columns(tmp_path):
    cycle, step = [str(n) for n in TEST.cycle], [str(n) for n in TEST.step]
    cycle[4] = step[7] = ""
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", "cycle", "step"], T, V, A, cycle, step)
    (records,) = read_records(path)
    rows = np.delete(np.arange(T.size), [4, 7])
    assert records.voltage_v == pytest.approx(V[rows])
    assert np.array_equal(records.cycle, TEST.cycle[rows])
    assert np.array_equal(records.step, TEST.step[rows])


def two(path: Path, with_channel: bool, interleaved: bool = True) -> Path:
    order = np.argsort(np.tile(np.arange(T.size), 2), kind="stable") if interleaved else np.arange(2 * T.size)
    columns = [np.tile(T, 2), np.concatenate([V, V - 0.2]), np.tile(A, 2), np.repeat([7, 8], T.size)]
    names = ["t [s]", "U [V]", "I [A]", "channel"]
    count = 4 if with_channel else 3
    return write(path, names[:count], *(column[order] for column in columns[:count]))


@pytest.mark.parametrize("interleaved", [True, False])
def test_channels_are_split(tmp_path, interleaved):
    first, second = read_records(two(tmp_path / "log.csv", True, interleaved))
    assert (first.channel, second.channel) == ("7", "8")
    for records, shift in ((first, 0.0), (second, 0.2)):
        assert records.voltage_v == pytest.approx(V - shift)
        assert records.time_s == pytest.approx(T)
    (chosen,) = read_records(tmp_path / "log.csv", answers={"channel": "8"})
    assert chosen.voltage_v == pytest.approx(V - 0.2)
    with pytest.raises(DataError, match=r"has no channel '9'; it has \['7', '8'\]"):
        read_records(tmp_path / "log.csv", answers={"channel": "9"})
    with pytest.raises(DataError, match=r"2 channels: 7, 8; say which one with --set channel=7"):
        read_cell(tmp_path / "log.csv")


def test_woven_channels_without_a_name_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"every 2 samples in turn have voltages 0.200 V apart.*channel_column=NAME"):
        read_records(two(tmp_path / "log.csv", False))
    path = two(tmp_path / "log.csv", True)
    path.write_text(path.read_text().replace("channel", "Prüfplatz"))
    found = read_records(path, answers={"channel_column": "Prüfplatz"})
    assert [records.channel for records in found] == ["7", "8"]


def test_woven_channels_with_times_of_their_own_are_refused(tmp_path):
    seconds = np.ravel(np.column_stack([T, T + 1.0]))
    volts, amps = np.ravel(np.column_stack([V, V - 0.2])), np.repeat(A, 2)
    with pytest.raises(DataError, match=r"every 2 samples in turn have voltages 0.200 V apart"):
        read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], seconds, volts, amps))


def test_voltages_of_numbered_cells_are_channels(tmp_path):
    names = ["timestamp", "pack voltage [V]", "cell1_voltage", "cell2_voltage", "cell3_voltage", "current [A]"]
    path = write(tmp_path / "bms.csv", names, stamps("%Y-%m-%d %H:%M:%S"), 3 * V, V, V - 0.01, V + 0.01, A)
    found = read_records(path)
    assert [records.channel for records in found] == ["cell 1", "cell 2", "cell 3"]
    assert found[2].voltage_v == pytest.approx(V + 0.01, abs=1e-6)


def test_one_quantity_per_row(tmp_path):
    rows = []
    for stamp, volts, amps in zip(stamps("%Y-%m-%dT%H:%M:%S.000Z"), V, A, strict=True):
        rows += [("sensor.bms_voltage", f"{volts:.4f}", stamp), ("sensor.bms_current", f"{amps:.4f}", stamp)]
    rows.insert(7, ("sensor.bms_voltage", "unavailable", rows[7][2]))
    path = write(tmp_path / "ha.csv", ["entity_id", "state", "last_changed"], *zip(*rows, strict=True))
    (records,) = read_records(path, answers={"nominal_ah": "3.5"})
    assert records.time_s == pytest.approx(T)
    assert records.voltage_v == pytest.approx(V, abs=1e-4)
    assert records.current_a == pytest.approx(A, abs=1e-4)
    assert "a value holds until the next one" in records.guesses
    rows += [("sensor.inverter_voltage", "230", rows[-1][2])]
    write(path, ["entity_id", "state", "last_changed"], *zip(*rows, strict=True))
    with pytest.raises(AmbiguousFile, match=r"2 names may be the voltage: sensor.bms_voltage, sensor.inverter_voltage"):
        read_records(path)
    answers = {"voltage": "sensor.bms_voltage", "nominal_ah": "3.5"}
    assert read_records(path, answers=answers)[0].voltage_v == pytest.approx(V, abs=1e-4)


def test_a_value_ends_where_its_sensor_is_unavailable(tmp_path):
    rows = []
    lost = slice(150, 200)
    for at, stamp in enumerate(stamps("%Y-%m-%dT%H:%M:%S.000Z")):
        rows.append(("sensor.bms_voltage", f"{V[at]:.4f}", stamp))
        if at == lost.start:
            rows.append(("sensor.bms_current", "unavailable", stamp))
        if not lost.start <= at < lost.stop:
            rows.append(("sensor.bms_current", f"{A[at]:.4f}", stamp))
    path = write(tmp_path / "ha.csv", ["entity_id", "state", "last_changed"], *zip(*rows, strict=True))
    (records,) = read_records(path, answers={"current_unit": "A"})
    assert records.time_s == pytest.approx(np.delete(T, lost))
    assert records.current_a == pytest.approx(np.delete(A, lost), abs=1e-4)
    assert "50 rows without a time, a voltage or a current" in "; ".join(records.notes)


def test_a_column_that_rises_and_falls_is_no_channel(tmp_path):
    level = np.round(50 + 20 * np.sin(T / 3e3)).astype(int).tolist()
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "Battery", "U [V]", "I [A]"], T, level, V, A))
    assert records.voltage_v == pytest.approx(V)
    assert "column 'Battery' rises and falls like a level: not taken for channels" in records.notes
    turns = [1 + at // 10 % 12 for at in range(T.size)]  # twelve channels in rotation, ten samples each
    assert len(read_records(write(tmp_path / "log.csv", ["t [s]", "Battery", "U [V]", "I [A]"], T, turns, V, A))) == 12


# -- sign --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "sign"),
    [(A, "positive_is_charge"), (-A, "positive_is_discharge"), (np.abs(A), "by_step"), (-np.abs(A), "by_step")],
)
def test_step_kinds_tell_the_sign(tmp_path, current, sign):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", "state"], T, V, current, TEST.kind)
    (records,) = read_records(path)
    assert records.sign == sign
    assert read_cell(path, nominal_ah=NOMINAL_AH).current_a == pytest.approx(A, abs=1e-6)
    assert {"charge_cc", "charge_cv", "discharge", "rest"} == set(records.step_kind.tolist())


def test_constant_voltage_does_not_count_against_the_sign(tmp_path):
    """A charge that is nearly all at constant voltage, then rests: its voltage falls while charge flowed."""
    seconds = np.arange(0.0, 40000.0, 20.0)
    rng = np.random.default_rng(3)
    charging, falling = seconds < 20000.0, (seconds >= 21000.0) & (seconds < 22000.0)
    volts = np.where(charging, np.minimum(4.0 + seconds / 2000.0, 4.2), 4.15) + rng.normal(0, 5e-4, seconds.size)
    volts = np.where(seconds >= 21000.0, np.maximum(4.1 - (seconds - 21000.0) / 2000.0, 3.6), volts)
    amps = np.where(charging, np.maximum(3.0 * np.exp(-seconds / 8000.0), 0.2), np.where(falling, -0.5, 0.0))
    path = write(tmp_path / "cv.csv", ["t [s]", "U [V]", "I [A]"], seconds, volts, amps)
    assert read_cell(path).current_a == pytest.approx(amps, rel=1e-5)
    write(path, ["t [s]", "U [V]", "I [A]"], seconds, volts, -amps)
    with pytest.raises(DataError, match="The current is flipped"):
        read_cell(path)


@pytest.mark.parametrize("last", [1, 3, 6])
def test_a_sign_that_is_lost_or_turned_in_a_part_is_refused(tmp_path, last):
    test = cycling_test(cycles=12, period_s=120.0)
    part = test.cycle > 12 - last
    for broken in (np.where(part, -1, 1) * test.current_a, np.where(part, np.abs(test.current_a), test.current_a)):
        path = write(
            tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", "cycle"], test.time_s, test.voltage_v, broken, test.cycle
        )
        with pytest.raises(DataError, match=f"agree in one part and contradict in another, first in cycle {13 - last}"):
            read_cell(path)
