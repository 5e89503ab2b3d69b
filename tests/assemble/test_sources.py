"""The files of a corpus: found, each content once, kept as they were read."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgebat.assemble.command import counted_together
from edgebat.assemble.settings import AddSettings
from edgebat.assemble.sources import SourceStore, find_sources, load_records, save_records
from edgebat.data.readers.records import AmbiguousFile
from edgebat.errors import DataError
from tests.assemble.records import records


def test_files_of_one_name_in_several_folders_are_all_taken(tmp_path: Path) -> None:
    for folder in ("alpha", "beta"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part1.csv").write_text(folder)
    sources, duplicates = find_sources([tmp_path / "alpha", tmp_path / "beta"])
    assert [source.name for source in sources] == ["part1.csv", "beta/part1.csv"]
    assert duplicates == []
    below, _ = find_sources([tmp_path])
    assert [source.name for source in below] == ["alpha/part1.csv", "beta/part1.csv"]


def test_what_is_no_measurement_and_what_is_twice_is_left_out(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "notes.md", ".hidden.csv", "~$a.xlsx", "old_c.csv"):
        (tmp_path / name).write_text("same" if name in ("a.csv", "b.csv") else name)
    sources, duplicates = find_sources([tmp_path], skip=["old_*"])
    assert [source.name for source in sources] == ["a.csv"]
    assert [(found.name, found.same_as) for found in duplicates] == [("b.csv", "a.csv")]
    with pytest.raises(DataError, match="no file to read"):
        find_sources([tmp_path], skip=["*"])
    with pytest.raises(DataError, match="does not exist"):
        find_sources([tmp_path / "nothing"])


def test_what_was_read_is_kept_as_it_was(tmp_path: Path) -> None:
    record = records(range(1, 3), temperature_degc=None, guesses=("a guess",), notes=("a note",), nominal_ah=3.5)
    save_records(tmp_path / "kept.npz", [record])
    again = load_records(tmp_path / "kept.npz", "a.csv")[0]
    for field in fields(record):
        before, after = getattr(record, field.name), getattr(again, field.name)
        assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after, field.name
    (tmp_path / "kept.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        load_records(tmp_path / "kept.npz", "a.csv")


def test_the_nominal_capacity_tells_a_unit_that_would_be_asked(tmp_path: Path) -> None:
    record = records(range(1, 3))
    columns = np.column_stack([record.time_s, record.voltage_v, record.current_a])
    path = tmp_path / "log.csv"
    np.savetxt(path, columns, "%.6g", ",", header="time_s,voltage,current", comments="")
    (source,), _ = find_sources([path])
    with pytest.raises(AmbiguousFile, match="the unit of the current is not stated"):
        SourceStore(tmp_path / "out", AddSettings()).read(source)
    (found,) = SourceStore(tmp_path / "out", AddSettings(nominal_ah=3.5)).read(source)
    assert found.current_a == pytest.approx(record.current_a, abs=1e-4)
    assert "the current is in A, by the charge moved" in found.guesses
    # The next call may state another one: what was read under this one is not taken for it.
    with pytest.raises(AmbiguousFile, match="the unit of the current is not stated"):
        SourceStore(tmp_path / "out", AddSettings(nominal_ah=3500.0)).read(source)


def test_guesses_that_differ_in_how_often_are_one_line() -> None:
    guesses = {
        "the time starts anew 12 times: the clock is used": ["a.csv"],
        "layout generic": ["a.csv", "b.csv"],
        "the time starts anew 3 times: the clock is used": ["b.csv"],
    }
    assert counted_together(guesses) == {
        "the time starts anew 3 to 12 times: the clock is used": ["a.csv", "b.csv"],
        "layout generic": ["a.csv", "b.csv"],
    }
