"""Files that hold more than one series in order: rows out of order, samples pasted twice, another test, whole minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.data.readers import AmbiguousFile, Records, read_records
from edgebat.data.synthetic import make_raw_cell
from edgebat.errors import DataError
from tests.data.layouts import START
from tests.data.test_readers_kinds import stamps, write

PERIOD_S = 20.0
NAMES = ["Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1"]


def cell(cycles: range, index: int = 1) -> list[np.ndarray]:
    """Time, voltage, current and cycle of a measured (noisy) cell; 4 cycles are some 2,300 rows."""
    raw = make_raw_cell(seed=7, index=index, cycles=cycles, period_s=PERIOD_S, noise_v=0.0003)
    time = PERIOD_S * np.arange(raw.time_s.size)
    return [time, np.round(raw.voltage_v, 4), np.round(raw.current_a, 4), raw.cycle - raw.cycle[0] + 1]


T, V, A, C = FIRST = cell(range(351, 355))
OTHER = cell(range(451, 455))
LIKE = cell(range(351, 355), index=2)


def read(folder: Path, columns: list[np.ndarray], names: list[str] = NAMES, **answers: str) -> Records:
    (records,) = read_records(write(folder / "log.csv", names, *columns), answers=answers)
    return records


def after(
    first: list[np.ndarray], second: list[np.ndarray], time: bool = False, cycle: bool = False
) -> list[np.ndarray]:
    """Both in one file; the second one's clock or cycle number goes on."""
    second = [second[0] + (first[0][-1] + 60.0) * time, *second[1:3], second[3] + first[3][-1] * cycle]
    return [np.concatenate(pair) for pair in zip(first, second, strict=True)]


@pytest.mark.parametrize("again", [slice(None), slice(900, None), slice(None, 700)])
@pytest.mark.parametrize("with_cycle", [True, False])
def test_samples_pasted_again_are_used_once(tmp_path, again, with_cycle):
    columns = after(FIRST, [column[again] for column in FIRST])[: 4 if with_cycle else 3]
    records = read(tmp_path, columns, NAMES[: len(columns)])
    assert records.time_s == pytest.approx(T)
    assert np.array_equal(records.voltage_v, V)
    assert any("samples are in the file twice, first row 2282" in note for note in records.notes)


def test_an_export_of_a_running_test_before_the_whole_one(tmp_path):
    records = read(tmp_path, after([column[:1000] for column in FIRST], FIRST))
    assert np.array_equal(records.voltage_v, V)


@pytest.mark.parametrize("cycle", [True, False])
def test_samples_that_come_again_under_a_later_clock_are_asked(tmp_path, cycle):
    with pytest.raises(AmbiguousFile, match=r"are those from \d+ on once more, under a later clock: pasted twice"):
        read(tmp_path, after(FIRST, FIRST, time=True, cycle=cycle))
    kept = read(tmp_path, after(FIRST, FIRST, time=True, cycle=cycle), restarts="continue")
    assert kept.time_s.size == 2 * T.size


@pytest.mark.parametrize("second", [OTHER, LIKE, cell(range(51, 55))])
@pytest.mark.parametrize("with_cycle", [True, False])
def test_another_test_after_the_first_is_asked(tmp_path, second, with_cycle):
    columns = after(FIRST, second)[: 4 if with_cycle else 3]
    with pytest.raises(
        AmbiguousFile, match=r"the clock falls back after sample \d+, with whole cycles before.*channel_column"
    ):
        read(tmp_path, columns, NAMES[: len(columns)])
    assert read(tmp_path, columns, NAMES[: len(columns)], restarts="continue").time_s.size == columns[0].size


def test_a_cycle_number_that_starts_anew_with_another_capacity_is_asked(tmp_path):
    with pytest.raises(AmbiguousFile, match=r"the cycle number starts anew after sample \d+, .* 0.89 times the charge"):
        read(tmp_path, after(FIRST, OTHER, time=True))
    goes_on = read(tmp_path, after(FIRST, cell(range(355, 359)), time=True))
    assert goes_on.cycle is not None
    assert (np.diff(goes_on.cycle) < 0).sum() == 1


def test_a_pause_of_days_and_another_capacity_is_asked(tmp_path):
    time = np.concatenate([T, OTHER[0] + 40 * 86400.0])
    columns = [stamps("%Y-%m-%d %H:%M:%S", time), *after(FIRST, OTHER)[1:3]]
    with pytest.raises(AmbiguousFile, match=r"a pause of days comes after sample"):
        read(tmp_path, columns, ["timestamp", "U [V]", "I [A]"])


def test_a_date_that_falls_back_is_asked(tmp_path):
    before = stamps("%Y-%m-%d %H:%M:%S", LIKE[0], START.replace(month=2))
    columns = [[*stamps("%Y-%m-%d %H:%M:%S", T), *before[:-1], before[-1]], *after(FIRST, LIKE)[1:3]]
    columns[0][T.size] = "2024-03-13 22:40:07"  # between samples of the first, so that no order is the right one
    with pytest.raises(AmbiguousFile, match="the date falls back after sample"):
        read(tmp_path, columns, ["timestamp", "U [V]", "I [A]"])


@pytest.mark.parametrize("kind", ["few", "shuffled", "as text", "halves"])
def test_rows_out_of_order_are_sorted_by_their_time(tmp_path, kind):
    rows = np.arange(T.size)
    chance = np.random.default_rng(3)
    if kind == "few":
        rows[400:420] = chance.permutation(rows[400:420])
    elif kind == "shuffled":
        rows = chance.permutation(rows)
    elif kind == "as text":
        rows = np.array(sorted(rows.tolist(), key=lambda row: str(int(T[row]))))
    else:
        rows = np.roll(rows, 1000)
    records = read(tmp_path, [column[rows] for column in FIRST])
    assert records.time_s == pytest.approx(T)
    assert np.array_equal(records.voltage_v, V)
    assert any("not in the order of their time: sorted by it" in guess for guess in records.guesses)


def test_whole_minutes_are_spread_where_each_has_as_many_rows(tmp_path):
    begins = START.replace(second=0)
    names = ["timestamp", "U [V]", "I [A]"]
    records = read(tmp_path, [stamps("%Y-%m-%d %H:%M", T + 20.0, begins), V, A], names)
    assert records.time_s == pytest.approx(T)
    assert any("known to 60 s with 3 rows each: spread evenly" in guess for guess in records.guesses)
    with pytest.raises(DataError, match=r"times are known to 60 s alone, .*; export the time with seconds"):
        read(tmp_path, [stamps("%Y-%m-%d %H:%M", T * 1.25, begins), V, A], names)
    with pytest.raises(DataError, match=r"times are known to 128 s alone"):
        read(tmp_path, [np.floor(T / 128.0) * 128.0, V, A], ["Time (s)", *names[1:]])
