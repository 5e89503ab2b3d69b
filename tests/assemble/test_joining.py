"""Several files of one cell: their order, what they hold twice, clocks and counters that start anew."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from edgebat.assemble.clocks import continued
from edgebat.assemble.joining import Piece, join_pieces
from edgebat.data.readers.records import Records
from edgebat.errors import DataError
from tests.assemble.records import PERIOD_S, START, days_of, records

FIRST, SECOND = records(range(1, 3), "z.csv"), records(range(3, 5), "a.csv", days=1.0)


def joined(*parts: Records, order: str = "time"):
    samples, findings = join_pieces("cell", [Piece(part.path.name, part) for part in parts], order)
    return samples, " | ".join(f"{found.file} {found.kind} {found.text}" for found in findings)


def test_files_follow_each_other_by_their_clocks_and_not_by_their_names() -> None:
    samples, findings = joined(SECOND, FIRST)
    assert samples.files == ("z.csv", "a.csv")
    assert "in the order of their clocks, not of their names" in findings
    assert np.diff(samples.time_s).min() > 0.0
    assert samples.time_s[FIRST.time_s.size] == 86_400.0
    assert np.array_equal(samples.voltage_v, np.concatenate([FIRST.voltage_v, SECOND.voltage_v]))


def test_without_clocks_the_order_is_asked_for_and_never_assumed() -> None:
    blind = [replace(part, start=None) for part in (FIRST, SECOND)]
    with pytest.raises(DataError, match=r"no wall clock .*order cannot be told.*--order name"):
        joined(*blind)
    samples, findings = joined(*blind, order="name")
    assert samples.files == ("a.csv", "z.csv")
    assert "names, as asked" in findings
    assert list(np.flatnonzero(samples.blind)) == [SECOND.time_s.size]
    numbered = [replace(blind[0]), replace(blind[1], cycle=blind[1].cycle + 2)]
    assert joined(*numbered[::-1])[0].files == ("z.csv", "a.csv")


def test_dates_that_one_file_assumes_and_another_one_disproves_do_not_order_files() -> None:
    usual = replace(FIRST, guesses=("layout arbin", "dates are mdy, as is usual for the layout"))
    proved = replace(SECOND, guesses=("layout arbin", "dates are dmy"))
    with pytest.raises(DataError, match=r"mdy, as .* in z.csv, but dates are dmy in a.csv.*--set date_order=dmy"):
        joined(usual, proved)
    assert joined(usual, replace(proved, guesses=("dates are mdy",)))[0].files == ("z.csv", "a.csv")


def test_a_file_with_the_same_samples_is_dropped_whatever_it_is_called() -> None:
    again = replace(FIRST, path=FIRST.path.with_name("copy.xlsx"), layout="other", time_s=FIRST.time_s + 0.001)
    samples, findings = joined(FIRST, again, SECOND)
    assert len(samples) == FIRST.time_s.size + SECOND.time_s.size
    assert "copy.xlsx dropped holds the same samples as z.csv" in findings


def test_an_export_of_a_running_test_is_held_again_by_the_next_one() -> None:
    part = 400
    early = replace(FIRST, path=FIRST.path.with_name("early.csv"), **{
        name: getattr(FIRST, name)[:part] for name in ("time_s", "voltage_v", "current_a", "cycle")
    })  # fmt: skip
    samples, findings = joined(early, FIRST)
    assert len(samples) == FIRST.time_s.size
    assert f"dropped {part} samples that early.csv holds already" in findings
    assert np.array_equal(samples.current_a, FIRST.current_a)
    assert np.allclose(np.diff(samples.time_s), PERIOD_S)


def test_two_cells_under_one_name_are_refused() -> None:
    other = records(range(1, 3), "other.csv", index=9, days=0.1)
    with pytest.raises(DataError, match=r"hold other samples of that time: two cells under one name .*--cells"):
        joined(FIRST, other)


def test_two_cells_that_ran_side_by_side_for_an_hour_are_refused() -> None:
    def hour(name: str, index: int) -> Records:
        whole = records(range(1, 2), name, index=index)
        columns = ("time_s", "voltage_v", "current_a", "cycle")
        return replace(whole, **{column: getattr(whole, column)[100:280] for column in columns})

    with pytest.raises(DataError, match=r"hold other samples of that time: two cells under one name"):
        joined(hour("a.csv", 1), hour("b.csv", 9))


def test_clocks_of_two_computers_may_disagree_a_little() -> None:
    late = replace(SECOND, start=START + timedelta(days=days_of(FIRST), seconds=-1800))
    samples, findings = joined(FIRST, late)
    assert "a.csv mended its clock starts 1,800 s before z.csv ends" in findings
    assert np.diff(samples.time_s).min() > 0.0


def test_samples_without_a_value_and_written_twice_are_dropped_and_counted() -> None:
    rows = np.repeat(np.arange(FIRST.time_s.size), 2)
    voltage = FIRST.voltage_v[rows].copy()
    voltage[10:12] = np.nan
    twice = replace(FIRST, time_s=FIRST.time_s[rows], voltage_v=voltage, current_a=FIRST.current_a[rows], cycle=None)
    samples, findings = joined(twice)
    assert len(samples) == FIRST.time_s.size - 1
    assert "2 samples without time, voltage or current" in findings
    assert "samples written twice" in findings


@pytest.mark.parametrize(
    ("fall", "expected", "step"),
    [
        (86_400.0, "passes midnight without a date", 60.0),
        (3_600.0, "is set back by an hour", 60.0),
        (7_000.0, "starts anew", 60.0),
    ],
)
def test_a_clock_goes_on(fall: float, expected: str, step: float) -> None:
    time = 60.0 * np.arange(400)
    time[200:] -= fall
    mended, findings = continued(time, "a.csv")
    assert np.diff(mended) == pytest.approx(np.full(399, 60.0))
    assert mended[200] - mended[199] == pytest.approx(step)
    assert expected in findings[0].text


def test_a_clock_that_only_rises_is_left_alone() -> None:
    time = np.array([0.0, 1.0, 5.0, 5.0])
    assert continued(time, "a.csv") == (time, []) or continued(time, "a.csv")[1] == []
