"""Files that are not text, a user's own profile, and reading with NumPy alone."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgebat.data.readers import AmbiguousFile, Records, read_cell, read_records
from edgebat.data.readers.profiles import FOLDER, load_profile, parse_profile, shipped
from edgebat.errors import DataError
from tests.data.layouts import LAYOUTS, START, Sheet, Test, cycling_test
from tests.data.test_readers_layouts import check
from tests.data.traps import TRAPS, as_workbook

TEST = cycling_test()
ROOT = Path(__file__).parents[2]


# -- spreadsheets ------------------------------------------------------------------------------------------------------


def halves(sheet: Sheet) -> tuple[Sheet, Sheet]:
    at = len(sheet.rows) // 2
    return replace(sheet, rows=sheet.rows[:at]), replace(sheet, rows=sheet.rows[at:])


def test_a_sheet_that_goes_on_in_the_next_is_one_series(tmp_path):
    first, second = halves(LAYOUTS["arbin"](TEST))
    summary = Sheet(["Cycle_Index", "Test_Time(s)", "Current(A)", "Voltage(V)"], [["1", "9", "0", "3.1"]])
    path = as_workbook(first, tmp_path / "cell.xlsx", **{"Channel_1-005_2": second, "Statistics_1-005": summary})
    (records,) = read_records(path)
    check(records)
    assert "sheet 'record and its continuations'" in records.guesses


def test_sheets_that_begin_anew_are_channels(tmp_path):
    sheet = LAYOUTS["arbin"](TEST)
    found = read_records(as_workbook(sheet, tmp_path / "cell.xlsx", second=sheet))
    assert [records.channel for records in found] == ["record", "second"]
    for records in found:
        check(replace(records, channel=""))
    (chosen,) = read_records(tmp_path / "cell.xlsx", answers={"sheet": "second"})
    check(chosen)
    with pytest.raises(DataError, match=r"has no sheet 'third'; it has \['record', 'second'\]"):
        read_records(tmp_path / "cell.xlsx", answers={"sheet": "third"})


def test_sheets_of_samples_that_are_named_like_summaries_are_all_read(tmp_path):
    first, second = halves(LAYOUTS["arbin"](TEST))
    statistics = Sheet(["Cycle_Index", "Test_Time(s)", "Current(A)", "Voltage(V)"], [["1", "9", "0", "3.1"]])
    path = as_workbook(first, tmp_path / "cell.xlsx", "Cycles 1", Statistics=statistics, **{"Cycles 2": second})
    (records,) = read_records(path)
    check(records)


def test_numbers_keep_their_point_beside_texts_with_a_comma(tmp_path):
    import xlsxwriter

    amps = np.round(TEST.current_a / 4.0, 3)  # 0.875 A
    with xlsxwriter.Workbook(tmp_path / "cell.xlsx") as book:
        page = book.add_worksheet()
        page.write_row(0, 0, ["t [s]", "U [V]", "I [A]"])
        for row, values in enumerate(zip(TEST.time_s, TEST.voltage_v, amps, strict=True), 1):
            as_texts = [f"{value:.4f}".replace(".", ",") for value in values]
            page.write_row(row, 0, as_texts if row % 10 == 0 else values)
    (records,) = read_records(tmp_path / "cell.xlsx")
    assert records.time_s == pytest.approx(TEST.time_s)
    assert records.voltage_v == pytest.approx(TEST.voltage_v)
    assert records.current_a == pytest.approx(amps)


def test_a_workbook_with_dates_and_durations_as_such(tmp_path):
    import datetime as dt

    import xlsxwriter

    path = tmp_path / "cell.xlsx"
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        stamp, span = (
            book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            book.add_format({"num_format": "[h]:mm:ss"}),
        )
        page.write_row(0, 0, ["Total Time", "Date", "Current(A)", "Voltage(V)", "DataPoint"])
        for row, (seconds, when) in enumerate(zip(TEST.time_s, TEST.stamps, strict=True), 1):
            page.write_datetime(row, 0, dt.timedelta(seconds=float(seconds)), span)
            page.write_datetime(row, 1, when, stamp)
            page.write_row(row, 2, [TEST.current_a[row - 1], TEST.voltage_v[row - 1], row])
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(TEST.time_s, abs=1e-3)
    assert abs((records.start - START).total_seconds()) < 1e-3


def test_elapsed_times_that_are_shown_as_times_of_day_go_on_after_a_day(tmp_path):
    import xlsxwriter

    seconds = 3.0 * 86400.0 / TEST.time_s[-1] * TEST.time_s  # three days
    with xlsxwriter.Workbook(tmp_path / "cell.xlsx") as book:
        page, of_day = book.add_worksheet(), book.add_format({"num_format": "hh:mm:ss"})
        page.write_row(0, 0, ["Time", "Voltage (V)", "Current (A)"])
        for row, (at, *values) in enumerate(zip(seconds, TEST.voltage_v, TEST.current_a / 10.0, strict=True), 1):
            page.write_number(row, 0, at / 86400.0, of_day)
            page.write_row(row, 1, values)
    (records,) = read_records(tmp_path / "cell.xlsx")
    assert records.time_s == pytest.approx(seconds, abs=1e-2)


def test_a_workbook_without_samples_asks(tmp_path):
    path = as_workbook(Sheet(["a", "b"], [["1", "2"]]), tmp_path / "cell.xlsx")
    with pytest.raises(
        AmbiguousFile, match=r"no sheet of record has columns for voltage and current; say --set sheet=NAME"
    ):
        read_records(path)


# -- Neware's nested reports -------------------------------------------------------------------------------------------


def nested(test: Test, merged: bool) -> Sheet:
    """Rows of cycles, steps and samples; in some versions the first step stands in the cycle's row."""
    cycles = ["Cycle Index", "Chg. Cap.(Ah)", "DChg. Cap.(Ah)"]
    steps = ["", "Step Index", "Step Number", "Step Type", "Step Time"]
    names = ["", "", "DataPoint", "Time", "Total Time", "Current(A)", "Voltage(V)", "Date", "T1(℃)"]
    flat = LAYOUTS["neware"](test)
    rows: list[list[str]] = [steps, names]
    cycle = step = None
    for at, row in enumerate(flat.rows):
        head: list[str] = []
        if row[1] != cycle:
            cycle, step = row[1], None
            head = [cycle, "1.0", "1.0"]
        if row[2] != step:
            step = row[2]
            values = [step, step, row[3], "00:00:20"]
            rows += [[*head, *values]] if merged and head else [*([head] if head else []), ["", *values]]
        amps, volts, degrees = str(test.current_a[at]), str(test.voltage_v[at]), str(test.temperature_degc[at])
        rows.append(["", "", row[0], row[4], row[5], amps, volts, row[11], degrees])
    return Sheet(cycles, rows)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_neware_nested(tmp_path, merged, kind):
    sheet = nested(TEST, merged)
    path = as_workbook(sheet, tmp_path / "n.xlsx") if kind == "xlsx" else TRAPS["plain"](sheet, tmp_path / "n.csv")
    (records,) = read_records(path)
    assert records.layout == "neware"
    assert records.time_s == pytest.approx(TEST.time_s)
    assert records.voltage_v == pytest.approx(TEST.voltage_v)
    assert records.current_a == pytest.approx(TEST.current_a)
    assert np.array_equal(records.cycle, TEST.cycle)
    assert np.array_equal(records.step, TEST.step)
    assert [kind.split("_")[0] for kind in records.step_kind] == TEST.kind.tolist()
    assert records.start == START


def test_every_nested_sheet_is_a_channel(tmp_path):
    other = replace(TEST, voltage_v=np.round(TEST.voltage_v - 0.1, 4))
    found = read_records(as_workbook(nested(TEST, False), tmp_path / "n.xlsx", second=nested(other, False)))
    assert [records.channel for records in found] == ["record", "second"]
    assert found[1].voltage_v == pytest.approx(other.voltage_v)


# -- binary files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", ["bdf", "bdf_machine"])
def test_parquet(tmp_path, writer):
    import pandas as pd

    sheet = LAYOUTS[writer](TEST)
    columns = zip(sheet.names, zip(*sheet.rows, strict=True), strict=True)
    frame = pd.DataFrame({name: values if "ype" in name else np.array(values, float) for name, values in columns})
    frame.to_parquet(tmp_path / "cell.bdf.parquet")
    (records,) = read_records(tmp_path / "cell.bdf.parquet")
    check(records, layout=writer)


def test_nasa_mat(tmp_path):
    from scipy.io import savemat

    operations, expected = [], []
    for step in np.unique(TEST.step):
        rows = TEST.step == step
        kind = TEST.kind[rows][0]
        if kind == "rest":
            continue
        start, seconds = TEST.stamps[int(np.argmax(rows))], TEST.time_s[rows]
        data = {"Voltage_measured": TEST.voltage_v[rows], "Current_measured": TEST.current_a[rows],
                "Temperature_measured": TEST.temperature_degc[rows], "Time": seconds - seconds[0]}  # fmt: skip
        when = [start.year, start.month, start.day, start.hour, start.minute, start.second]
        operations.append({"type": kind, "ambient_temperature": 24, "time": np.array(when, float), "data": data})
        expected.append(np.flatnonzero(rows))
        operations.append(
            {"type": "impedance", "ambient_temperature": 24, "time": np.array(when, float), "data": {"Re": 1.0}}
        )
    savemat(tmp_path / "B0005.mat", {"B0005": {"cycle": np.array(operations, dtype=object)}})
    (records,) = read_records(tmp_path / "B0005.mat")
    rows = np.concatenate(expected)
    assert records.layout == "nasa"
    assert records.time_s == pytest.approx(TEST.time_s[rows] - TEST.time_s[rows[0]])
    assert records.voltage_v == pytest.approx(TEST.voltage_v[rows])
    assert records.current_a == pytest.approx(TEST.current_a[rows])
    assert records.sign == "positive_is_charge"
    assert records.start == TEST.stamps[rows[0]]


@pytest.mark.parametrize("inside", [False, True])
def test_mat_of_vectors(tmp_path, inside):
    from scipy.io import savemat

    vectors = {
        "time_s": TEST.time_s,
        "voltage_v": TEST.voltage_v,
        "current_a": TEST.current_a,
        "cycle": TEST.cycle,
        "note": "x",
    }
    savemat(tmp_path / "cell.mat", {"cell": vectors} if inside else vectors)
    (records,) = read_records(tmp_path / "cell.mat")
    assert records.voltage_v == pytest.approx(TEST.voltage_v)
    assert np.array_equal(records.cycle, TEST.cycle)
    savemat(tmp_path / "cell.mat", {"A1": vectors, "A2": {**vectors, "voltage_v": TEST.voltage_v - 0.1}})
    first, second = read_records(tmp_path / "cell.mat")
    assert (first.channel, second.channel) == ("A1", "A2")
    assert second.voltage_v == pytest.approx(TEST.voltage_v - 0.1)
    savemat(tmp_path / "cell.mat", {"impedance": np.zeros(4)})
    with pytest.raises(DataError, match="holds impedance; needed are vectors for time, voltage and current"):
        read_records(tmp_path / "cell.mat")


def test_batteryml(tmp_path):
    cycles = [
        {"cycle_number": int(n), "time_in_s": TEST.time_s[TEST.cycle == n].tolist(), "temperature_in_C": None,
         "voltage_in_V": TEST.voltage_v[TEST.cycle == n].tolist(), "current_in_A": TEST.current_a[TEST.cycle == n].tolist()}
        for n in (1, 2)
    ]  # fmt: skip
    path = tmp_path / "cell.pkl"
    path.write_bytes(pickle.dumps({"cell_id": "A", "nominal_capacity_in_Ah": 3.5, "cycle_data": cycles}))
    (records,) = read_records(path)
    assert (records.layout, records.nominal_ah, records.sign) == ("batteryml", 3.5, "positive_is_charge")
    assert records.voltage_v == pytest.approx(TEST.voltage_v)
    assert records.temperature_degc is None


@pytest.mark.parametrize(
    "name", ["cell.xlsx", "cell.nda", "cell.ndax", "cell.parquet", "cell.mat", "cell.pkl", "cell.csv", "cell.zip"]
)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04broken",
        b"\xd0\xcf\x11\xe0broken",
        b"PAR1broken",
        b"NEWARE",
        b"\x00\x01\x02" * 99,
        b"MATLAB 5.0",
    ],
)
def test_damaged_files_are_one_kind_of_error(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_records(path)


# -- profiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_are_yaml_that_numpy_only_installations_read(path):
    content = yaml.safe_load(path.read_text("utf-8"))
    profile = parse_profile(path.read_text("utf-8"), path)
    assert profile.about == content["about"]
    assert {role: list(names) for role, names in profile.columns.items()} == content["columns"]
    assert dict(profile.step_kinds) == {str(key): kind for key, kind in content.get("step_kinds", {}).items()}


PROFILE = """
about: our own bench
signature: [["zeit", "kanal a", "kanal b"]]
columns:
  time: [zeit]
  voltage: [kanal a]
  current: [kanal b]
units: {time: min, voltage: mV, current: mA}   # as the bench writes them
sign: positive_is_discharge
header_row: 3
"""


def test_a_users_own_profile(tmp_path):
    (tmp_path / "bench.yaml").write_text(PROFILE)
    rows = [[f"{t / 60:.6f}", f"{v * 1e3:.4f}", f"{-i * 1e3:.4f}"] for t, v, i in
            zip(TEST.time_s, TEST.voltage_v, TEST.current_a, strict=True)]  # fmt: skip
    path = TRAPS["plain"](Sheet(["Zeit", "Kanal A", "Kanal B"], rows, ["Bench 7", "Operator"]), tmp_path / "log.csv")
    with pytest.raises(AmbiguousFile):
        read_records(path)
    (records,) = read_records(path, profile=tmp_path / "bench.yaml")
    assert (records.layout, records.sign) == ("bench", "positive_is_discharge")
    assert records.time_s == pytest.approx(TEST.time_s, abs=1e-3)
    assert records.current_a == pytest.approx(-TEST.current_a, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red\n", "key 'colour' with 'red'; known keys: "),
        ("columns:\n  power: [P]\n", r"\['power'\]; columns are"),
        ("step_kinds:\n  a: sleeping\n", r"\['sleeping'\]; columns are .* step kinds"),
        ("sign: up\n", "sign: 'up'; allowed: positive_is_charge"),
        ("header_row: third\n", "header_row: 'third' is no number"),
        ("header_row: -3\n", "header_row: -3; it must not be below 0"),
        ("nominal_ah: -2\n", "nominal_ah: -2; it must not be below 0"),
        ("delimiter: tabs\n", "delimiter: 'tabs'; allowed: one character, or tab, space, comma, semicolon"),
        ("- a\n- b\n", "holds no profile"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_mistakes_in_a_profile_are_named(tmp_path, text, message):
    (tmp_path / "bench.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_profile(tmp_path / "bench.yaml")


def test_unknown_profiles_are_refused():
    with pytest.raises(DataError, match=r"there is no layout 'nosuch'; known: arbin, basytec.*\.yaml file of your own"):
        read_records(Path("x.csv"), profile="nosuch")


# -- NumPy alone -------------------------------------------------------------------------------------------------------


def without_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else find(name, *a))


def same(one: Records, other: Records) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "step_kind")
        for name in ("time_s", "voltage_v", "current_a", "cycle", "step", "step_kind", "temperature_degc", "charge_ah")
        if getattr(one, name) is not None or getattr(other, name) is not None
    )


@pytest.mark.parametrize("trap", ["plain", "decimal comma", "names again", "half a last line", "blank lines", "quotes"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_csv_module_reads_the_same_as_pyarrow(tmp_path, monkeypatch, layout, trap):
    path = TRAPS[trap](LAYOUTS[layout](TEST), tmp_path / "export.csv")
    (fast,) = read_records(path)
    without_arrow(monkeypatch)
    (plain,) = read_records(path)
    assert same(plain, fast)
    assert (plain.guesses, plain.start) == (fast.guesses, fast.start)
    assert len(plain.notes) == len(fast.notes)


def test_text_is_read_with_numpy_alone(tmp_path):
    path = TRAPS["semicolons"](LAYOUTS["maccor"](TEST), tmp_path / "export.txt")
    blocked = ("pandas", "pyarrow", "yaml", "scipy", "python_calamine", "fastnda", "polars", "typer", "pydantic")
    code = (
        f"import sys, json; [sys.modules.__setitem__(name, None) for name in {blocked!r}]\n"
        f"from edgebat.data.readers import read_cell\ncell = read_cell({str(path)!r}, nominal_ah=3.5)\n"
        "print(json.dumps([cell.voltage_v.size, float(cell.current_a.min()), float(cell.current_a.max())]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    expected = [TEST.time_s.size, float(TEST.current_a.min()), float(TEST.current_a.max())]
    assert json.loads(done.stdout) == pytest.approx(expected)
    assert read_cell(path, nominal_ah=3.5).voltage_v.size == TEST.time_s.size


def test_a_file_that_needs_more_names_the_extra(tmp_path, monkeypatch):
    from edgebat.errors import MissingExtra

    path = as_workbook(LAYOUTS["arbin"](TEST), tmp_path / "cell.xlsx")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtra, match=r'pip install "edgebat\[data\]"'):
        read_records(path)


def test_every_layout_is_documented():
    text = (ROOT / "docs" / "data-layouts.md").read_text("utf-8")
    assert all(f"| `{name}` |" in text for name in shipped())


@pytest.mark.parametrize("name", ["cell.ndax", "cell.nda"])
def test_reading_a_binary_file_leaves_zlib_to_everybody_else(tmp_path: Path, name: str) -> None:
    pytest.importorskip("fastnda")
    code = (
        "import sys, zlib; own = zlib.decompress, zlib.decompressobj\n"
        "from pathlib import Path\n"
        "from edgebat.data.readers.records import read_records\n"
        "from edgebat.errors import DataError\n"
        "Path(sys.argv[1]).write_bytes(b'PK no archive')\n"
        "try: read_records(Path(sys.argv[1]))\n"
        "except DataError: pass\n"
        "assert (zlib.decompress, zlib.decompressobj) == own, 'replaced'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
