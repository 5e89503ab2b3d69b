"""Times as files have them: dates in every order, epochs, serial days, durations, midnights; asked where two senses fit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from edgebat.data.readers import AmbiguousFile, read_records
from edgebat.data.readers.clock import from_numbers, to_durations, to_wall_clock
from tests.data.layouts import LAYOUTS, START
from tests.data.test_readers_kinds import TEST, A, T, V, stamps, write
from tests.data.traps import TRAPS


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S",
     "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%y %I:%M:%S %p", "%d-%m-%Y %H:%M:%S", "%d %B %Y %H:%M:%S",
     "%b %d %Y %H:%M:%S", "%d.%m.%y %H:%M:%S", "%d/%m/%Y  %H:%M:%S.%f"],
)  # fmt: skip
def test_dates_in_every_form(tmp_path, form):
    path = write(tmp_path / "log.csv", ["timestamp", "U [V]", "I [A]"], stamps(form), V, A)
    (records,) = read_records(path)
    assert records.start == START
    assert records.time_s == pytest.approx(T, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((START - dt.datetime(1970, 1, 1)).total_seconds() + T, "seconds since 1970"),
        (((START - dt.datetime(1970, 1, 1)).total_seconds() + T) * 1e3, "milliseconds since 1970"),
        ((START - dt.datetime(1899, 12, 30)).total_seconds() / 86400 + T / 86400, "days since 1899-12-30"),
    ],
)
def test_times_as_numbers(tmp_path, values, words):
    path = write(tmp_path / "log.csv", ["timestamp", "U [V]", "I [A]"], [repr(v) for v in values.tolist()], V, A)
    (records,) = read_records(path)
    assert abs((records.start - START).total_seconds()) < 1e-3
    assert records.time_s == pytest.approx(T, abs=1e-2)
    assert words in "; ".join(records.guesses)


def test_day_or_month_first_is_asked_when_nothing_tells(tmp_path):
    start = dt.datetime(2024, 4, 3, 1, 0)
    path = write(tmp_path / "log.csv", ["timestamp", "U [V]", "I [A]"], stamps("%d/%m/%Y %H:%M:%S", start=start), V, A)
    with pytest.raises(AmbiguousFile, match=r"03/04 may be day and month or month and day; say --set date_order=dmy"):
        read_records(path)
    assert read_records(path, answers={"date_order": "dmy"})[0].start == start
    assert read_records(path, answers={"date_order": "mdy"})[0].start == dt.datetime(2024, 3, 4, 1, 0)
    # A midnight tells: from 03/04 to 04/04 a day passes or a month.
    write(path, ["timestamp", "U [V]", "I [A]"], stamps("%d/%m/%Y %H:%M:%S", start=start.replace(hour=22)), V, A)
    assert read_records(path)[0].start == start.replace(hour=22)


def test_what_dates_prove_goes_before_what_is_usual_for_a_layout(tmp_path):
    start = dt.datetime(2024, 4, 3, 22, 0)  # the fourth of April follows the third, as no month follows another
    names = ["Data_Point", "Test_Time(s)", "Date_Time", "Cycle_Index", "Step_Index", "Current(A)", "Voltage(V)"]
    columns = (range(T.size), T, stamps("%d/%m/%Y %H:%M:%S", start=start), TEST.cycle, TEST.step, A, V)
    path = write(tmp_path / "log.csv", names, *columns)
    (records,) = read_records(path)
    assert (records.layout, records.start) == ("arbin", start)
    assert read_records(path, answers={"date_order": "mdy"})[0].start == dt.datetime(2024, 3, 4, 22, 0)
    (records,) = read_records(write(path, names, *(column[:30] for column in columns)))
    assert records.start == dt.datetime(2024, 3, 4, 22, 0)
    assert "dates are mdy, as is usual for the layout" in records.guesses


@pytest.mark.parametrize("form", ["%H:%M:%S", "%I:%M:%S %p", "%I:%M:%S%p"])
@pytest.mark.parametrize("with_date", [False, True])
def test_times_of_day_across_midnight(tmp_path, form, with_date):
    date = {"Date": stamps("%m/%d/%Y")} if with_date else {}
    path = write(tmp_path / "log.csv", [*date, "time", "U [V]", "I [A]"], *date.values(), stamps(form), V, A)
    (records,) = read_records(path, answers={"date_order": "mdy"})
    assert records.time_s == pytest.approx(T)
    assert with_date or "times of day that pass midnight 1 times" in records.guesses


@pytest.mark.parametrize(
    ("text", "seconds"), [("12:00:05 AM", 5.0), ("12:30 pm", 45_000.0), ("1:00:00 p.m.", 46_800.0)]
)
def test_noon_and_midnight_of_a_12_h_clock(text, seconds):
    assert to_durations([text]) == pytest.approx([seconds])


def test_a_change_of_daylight_saving_time_is_no_gap_where_offsets_are_given():
    clock = to_wall_clock(["2024-03-31T01:59:50+01:00", "2024-03-31T03:00:00+02:00"])
    assert np.diff(clock.seconds) == [10.0]
    assert str(clock.stamps[1]) == "2024-03-31T03:00:00.000000"


def test_durations():
    texts = ["0:00:01.5", "144:02:18", "  1d 10:10:12.75", "2 days, 0:00:01", "1.02:03:04", "12:30", ""]
    expected = [1.5, 518538.0, 123012.75, 172801.0, 93784.0, 45000.0, np.nan]
    assert to_durations(texts) == pytest.approx(expected, nan_ok=True)
    assert to_durations(["0:00:01", "no time 1"]) is None
    assert from_numbers(np.array([0.0, 1.0])) is None


def test_a_time_whose_digits_are_gone_is_refused(tmp_path):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], [f"{1.7432e9 + s:.4E}" for s in T], V, A)
    with pytest.raises(AmbiguousFile, match="digits were rounded away; export the time with all of them"):
        read_records(path)


def test_times_in_no_known_form_are_shown(tmp_path):
    texts = [f"{int(s) // 86400}:{int(s) // 3600 % 24:02d}:{int(s) // 60 % 60:02d}:{int(s) % 60:02d}" for s in T]
    with pytest.raises(AmbiguousFile, match="the time '0:00:00:00' is in no form that is known; export it as a number"):
        read_records(write(tmp_path / "log.csv", ["time", "U [V]", "I [A]"], texts, V, A))


def test_seconds_of_a_day_are_no_serial_days(tmp_path):
    path = write(tmp_path / "log.csv", ["time", "U [V]", "I [A]"], 30_000.0 + T, V, A)
    (records,) = read_records(path, answers={"nominal_ah": "3.5"})
    assert records.time_s == pytest.approx(T)


@pytest.mark.parametrize("layout", ["biologic", "maccor"])
def test_a_later_part_of_a_test_begins_later_than_the_test(tmp_path, layout):
    at = T.size // 2
    later = replace(TEST, **{name: values[at:] for name, values in vars(TEST).items()})
    sheet = LAYOUTS[layout](later)
    if layout == "maccor":  # without the clock of each sample
        clock = sheet.names.index("DPt Time")
        sheet = replace(sheet, names=sheet.names[:clock] + sheet.names[clock + 1 :],
                        rows=[row[:clock] + row[clock + 1 :] for row in sheet.rows])  # fmt: skip
    (records,) = read_records(TRAPS["plain"](sheet, tmp_path / "part2.txt"))
    assert records.start == START + dt.timedelta(seconds=float(T[at]))
    assert records.time_s == pytest.approx(T[at:] - T[at])


def test_an_elapsed_time_that_starts_anew_gives_way_to_the_wall_clock(tmp_path):
    begins = np.array([T[TEST.cycle == cycle][0] for cycle in TEST.cycle])
    path = write(
        tmp_path / "log.csv", ["time [s]", "date time", "U [V]", "I [A]"], T - begins, stamps("%Y-%m-%d %H:%M:%S"), V, A
    )
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(T)
    write(path, ["time [s]", "U [V]", "I [A]"], T - begins, V, A)
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(T - begins)  # as the file has it
    assert any("the time falls 1 times" in note for note in records.notes)


@pytest.mark.parametrize("start", [dt.datetime(2025, 3, 29, 22, 0), dt.datetime(2010, 11, 12, 22, 0)])
def test_years_of_two_digits_in_front(tmp_path, start):
    path = write(tmp_path / "log.csv", ["timestamp", "U [V]", "I [A]"], stamps("%y-%m-%d %H:%M:%S", start=start), V, A)
    (records,) = read_records(path)
    assert records.start == start
    assert records.time_s == pytest.approx(T)
