"""What a file may say in more than one sense: units, dates, decimal marks, channels. Guessed where one fits, else asked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgebat.data.readers import AmbiguousFile, read_cell, read_records
from edgebat.errors import DataError
from tests.data.layouts import NOMINAL_AH, START, Sheet, cycling_test
from tests.data.traps import TRAPS

TEST = cycling_test()
T, V, A = TEST.time_s, TEST.voltage_v, TEST.current_a


def write(path: Path, names: Sequence[str], *columns: object, delimiter: str = ",") -> Path:
    rows = [[f"{v:.7g}" if isinstance(v, float) else str(v) for v in row] for row in zip(*columns, strict=True)]
    return TRAPS["plain"](Sheet(list(names), rows, delimiter=delimiter), path)


def stamps(form: str, seconds: np.ndarray = T, start: dt.datetime = START) -> list[str]:
    return [(start + dt.timedelta(seconds=float(s))).strftime(form) for s in seconds]


# -- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "factors", "question", "answer"),
    [
        (
            ["t [s]", "U [V]", "I [A]"],
            (1, 1e3, 1),
            "the voltage is in V by its name and reaches 4200",
            "voltage_unit=mV",
        ),
        (["t [s]", "U [V]", "I [A]"], (1, 1, 1e3), "moves .* Ah, more than any cell", "current_unit=mA"),
        (["t [s]", "U [V]", "I [A]"], (1 / 60, 1, 1), "a full charge or discharge would last .* s", "time_unit=min"),
        (["t [s]", "U [V]", "I [A]"], (1 / 3600, 1, 1), "a full charge or discharge would last .* s", "time_unit=h"),
        (["t [s]", "U [V]", "I [A]"], (1 / 86400, 1, 1), "a full charge or discharge would last .* s", "time_unit=d"),
        (["t [s]", "U [V]", "I [A]"], (1e3, 1, 1), "a full charge or discharge would last .* h", "time_unit=ms"),
        (["t [s]", "U [mV]", "I [A]"], (1, 1, 1), "the voltage is in mV by its name and reaches 4.2", "voltage_unit=V"),
        (["t [s]", "voltage", "current"], (1, 1, 1), "the unit of the current is not stated", "current_unit=A"),
        (["t [s]", "voltage", "current"], (1, 1, 1e3), None, "current_unit=mA"),
    ],
)
def test_a_unit_that_cannot_be_is_asked(tmp_path, names, factors, question, answer):
    path = write(tmp_path / "log.csv", names, *(np.asarray(c) * f for c, f in zip((T, V, A), factors, strict=True)))
    if question is not None:
        with pytest.raises(AmbiguousFile, match=question) as caught:
            read_records(path)
        key, unit = answer.split("=")
        assert key in str(caught.value)
        assert unit in str(caught.value)
        assert caught.value.questions
    (records,) = read_records(path, answers=dict([answer.split("=")]))
    assert records.time_s == pytest.approx(T, rel=1e-4, abs=0.2)
    assert records.voltage_v == pytest.approx(V, rel=1e-4)
    assert records.current_a == pytest.approx(A, rel=1e-4)


@pytest.mark.parametrize(
    ("names", "factors", "answers", "guess"),
    [
        (["t [min]", "U [mV]", "I [mA]"], (1 / 60, 1e3, 1e3), {}, ""),
        (["time_ms", "voltage_mv", "current_ma"], (1e3, 1e3, 1e3), {}, ""),
        (["elapsedTimeMs", "packVoltageMv", "packCurrentMa"], (1e3, 1e3, 1e3), {}, ""),
        (["Time in h", "Voltage in V", "Current in A"], (1 / 3600, 1, 1), {}, ""),
        (["t [s]", "voltage", "I [A]"], (1, 1e3, 1), {}, "the voltage is in mV, by its size"),
        (["time", "voltage [V]", "current [A]"], (1, 1, 1), {}, "times are in s, by how long"),
        (
            ["time", "voltage [V]", "current [A]"],
            (1 / 60, 1, 1),
            {"nominal_ah": "3.5"},
            "times are in min, by the charge",
        ),
        (
            ["time", "voltage [V]", "current [A]"],
            (1 / 3600, 1, 1),
            {"nominal_ah": "3.5"},
            "times are in h, by the charge",
        ),
        (["t [s]", "voltage", "current"], (1, 1, 1), {"nominal_ah": "3.5"}, "the current is in A, by the charge moved"),
        (
            ["t [s]", "voltage", "current"],
            (1, 1, 1e3),
            {"nominal_ah": "3.5"},
            "the current is in mA, by the charge moved",
        ),
    ],
)
def test_a_unit_that_only_one_sense_fits_is_guessed_and_told(tmp_path, names, factors, answers, guess):
    path = write(tmp_path / "log.csv", names, *(np.asarray(c) * f for c, f in zip((T, V, A), factors, strict=True)))
    (records,) = read_records(path, answers=answers)
    assert records.time_s == pytest.approx(T, rel=1e-4, abs=0.2)
    assert records.voltage_v == pytest.approx(V, rel=1e-4)
    assert records.current_a == pytest.approx(A, rel=1e-4)
    assert guess in "; ".join(records.guesses)


def test_units_by_the_wall_clock(tmp_path):
    names = ["elapsed", "date time", "voltage [V]", "current [A]"]
    path = write(tmp_path / "log.csv", names, T / 60, stamps("%Y-%m-%d %H:%M:%S"), V, A)
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(T, rel=1e-4, abs=0.2)
    assert "times are in min, by the wall clock beside them" in records.guesses
    names[0] = "elapsed [s]"
    write(path, names, T / 60, stamps("%Y-%m-%d %H:%M:%S"), V, A)
    with pytest.raises(AmbiguousFile, match="by the wall clock the times are in min, by their name in s"):
        read_records(path)


def test_units_by_the_files_own_counters(tmp_path):
    names = ["t [s]", "voltage [V]", "current", "charge capacity [Ah]", "discharge capacity [Ah]"]
    path = write(tmp_path / "log.csv", names, T, V, A * 1e3, TEST.charge_ah, TEST.discharge_ah)
    (records,) = read_records(path)
    assert records.current_a == pytest.approx(A, abs=1e-6)
    names[2] = "current [A]"
    write(path, names, T, V, A * 1e3, TEST.charge_ah, TEST.discharge_ah)
    with pytest.raises(
        AmbiguousFile, match=r"the current moves .* Ah where the file's own counter has .*current_unit=mA"
    ):
        read_records(path)


@pytest.mark.parametrize("nominal", [NOMINAL_AH * 1000, NOMINAL_AH / 4, NOMINAL_AH / 1000])
def test_a_nominal_capacity_that_cannot_be_is_asked(tmp_path, nominal):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, V, A)
    with pytest.raises(AmbiguousFile, match=r"times the nominal .* or the right nominal capacity"):
        read_cell(path, nominal_ah=nominal)


@pytest.mark.parametrize(
    ("unit", "values"), [("K", TEST.temperature_degc + 273.15), ("°F", TEST.temperature_degc * 1.8 + 32)]
)
def test_temperatures_in_other_units(tmp_path, unit, values):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]", f"T1 [{unit}]"], T, V, A, values)
    (records,) = read_records(path)
    assert records.temperature_degc == pytest.approx(TEST.temperature_degc, abs=1e-3)


@pytest.mark.parametrize(
    ("names", "factors", "role", "factor"),
    [
        (["t [s]", "U [V]", "I [2 mA]"], (1, 1, 500), "current", 0.002),
        (["t [0.1 s]", "U [V]", "I [A]"], (10, 1, 1), "time", 0.1),
        (["t [1/4 s]", "U [V]", "I [A]"], (4, 1, 1), "time", 0.25),
        (["t / s", "U / 10mV", "I / A"], (1, 100, 1), "voltage", 0.01),
    ],
)
def test_a_unit_with_a_number_is_asked(tmp_path, names, factors, role, factor):
    path = write(tmp_path / "log.csv", names, *(np.asarray(c) * f for c, f in zip((T, V, A), factors, strict=True)))
    name = names[["time", "voltage", "current"].index(role)]
    with pytest.raises(AmbiguousFile, match=r"counts in .*: say its factor to [sVA], such as --set") as caught:
        read_records(path)
    assert f"--set '{role}={name}:" in str(caught.value)
    (records,) = read_records(path, answers={role: f"{name}:{factor}"})
    for found, true in ((records.time_s, T), (records.voltage_v, V), (records.current_a, A)):
        assert found == pytest.approx(true, rel=1e-5, abs=1e-5)


# -- text --------------------------------------------------------------------------------------------------------------


def test_thousands_are_told_from_decimals(tmp_path):
    german = [f"{int(s) // 1000}.{int(s) % 1000:03d},0" if s >= 1000 else f"{s:.1f}".replace(".", ",") for s in T]
    rows = [german, [f"{v:.4f}".replace(".", ",") for v in V], [f"{i:.4f}".replace(".", ",") for i in A]]
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], *rows, delimiter=";"))
    assert records.time_s == pytest.approx(T)
    english = [f'"{s:,.1f}"' for s in T]
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], english, V, A))
    assert records.time_s == pytest.approx(T)
    either = [f"{v + 1:.3f}".replace(".", ",") for v in V]
    path = write(
        tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], [int(s) for s in T], either, [1] * T.size, delimiter=";"
    )
    with pytest.raises(AmbiguousFile, match=r"numbers such as 3,512 may be 3.512 or 3512; say --set decimal"):
        read_records(path)


def test_points_that_group_are_no_decimals(tmp_path):
    # 1.750 mA are 1750 mA beside 3,652 V, and 3.652 V stand beside 1,750 mA as well.
    german = [f"{round(i * 1e3):,}".replace(",", ".") for i in A]
    rows = ([int(s) for s in T], [f"{v:.3f}".replace(".", ",") for v in V], german)
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [mA]"], *rows, delimiter=";")
    with pytest.raises(AmbiguousFile, match=r"some numbers have a decimal comma and some a point; say --set decimal=,"):
        read_records(path)
    (records,) = read_records(path, answers={"decimal": ","})
    assert records.voltage_v == pytest.approx(V, abs=1e-3)
    assert records.current_a == pytest.approx(A, abs=1e-3)


def test_texts_among_numbers_are_noted_and_their_rows_left_out(tmp_path):
    volts = [f"{v:.4f}" for v in V]
    volts[5], volts[6], volts[7] = "OFF", "NaN", ""
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, volts, A))
    assert records.time_s.size == T.size - 3
    assert "column 'U [V]': 1 values are text, first 'OFF'" in records.notes
    assert any("3 rows without a time, a voltage or a current, first row 6" in note for note in records.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\n", "no line names a voltage and a current"),
        ("", "is empty"),
        ("t [s],U [V],I [A]\n", "a header and no rows"),
        ("t [s],U [V],I [A]\n0,3,5,1,0\n20,3,6,1,0\n", "a decimal comma between commas cannot be told apart"),
        ("t [s],U [V],U [V],I [A]\n0,3.5,3.4,1\n", r"2 columns may be the voltage: .*NAME#2"),
        ("t [s],U [V],I [A]\n0,3.5,1\n1,3.5\n2\n3\n4\n5\n6\n", "rows have 1 values and the header 3 names"),
        ("t [s],U [V],power\n0,3.5,1\n", "no column is the current by its name"),
    ],
)
def test_tables_that_cannot_be_are_refused_with_a_remedy(tmp_path, text, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_records(path)


def test_the_second_of_two_columns_of_one_name(tmp_path):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "U [V]", "I [A]"], T, V * 4, V, A)
    assert read_records(path, answers={"voltage": "U [V]#2"})[0].voltage_v == pytest.approx(V)


@pytest.mark.parametrize(
    ("volts", "amps"),
    [
        ([f"{v:.4f} V" for v in V], [f"{i:.4f} A" for i in A]),
        ([f"{v * 1e3:.1f}mV" for v in V], [f"{i * 1e3:.1f}mA" for i in A]),
    ],
)
def test_units_behind_every_value(tmp_path, volts, amps):
    (records,) = read_records(
        write(tmp_path / "log.csv", ["t [s]", "battery voltage", "battery current"], T, volts, amps)
    )
    assert records.voltage_v == pytest.approx(V)
    assert records.current_a == pytest.approx(A)


@pytest.mark.parametrize(
    ("names", "encoding"),
    [(["总时间(s)", "电压(V)", "电流(mA)", "循环号", "工步类型"], "gb18030"),
     (["总时间(s)", "电压(V)", "电流(mA)", "循环号", "工步类型"], "utf-8"),
     (["Temps/s", "Tension/V", "Courant/mA", "Cycle", "Mode"], "latin-1"),
     (["# time_s", "voltage_v", "current_ma", "cyc", "Mode"], "utf-8"),
     (["Zeit in s", "Spannung in V", "Strom in mA", "Zyklus", "Zustand"], "utf-32")],
)  # fmt: skip
def test_names_in_other_languages(tmp_path, names, encoding):
    kinds = {"charge": "恒流充电", "discharge": "恒流放电", "rest": "搁置"} if "电" in names[1] else {}
    path = write(tmp_path / "log.csv", names, T, V, A * 1e3, TEST.cycle, [kinds.get(k, k) for k in TEST.kind])
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    (records,) = read_records(path)
    assert records.voltage_v == pytest.approx(V)
    assert records.current_a == pytest.approx(A, abs=1e-6)
    assert np.array_equal(records.cycle, TEST.cycle)
    assert [kind.split("_")[0] for kind in records.step_kind] == TEST.kind.tolist()


def test_an_encoding_that_is_not_known_is_asked(tmp_path):
    path = write(tmp_path / "log.csv", ["時間(s)", "電圧(V)", "電流(A)"], T, V, A)
    path.write_bytes(path.read_text("utf-8").encode("shift_jis"))
    with pytest.raises(AmbiguousFile, match=r"no UTF-8; if letters look wrong, .*--set encoding=shift_jis"):
        read_records(path)
    (records,) = read_records(path, answers={"encoding": "shift_jis"})
    assert records.voltage_v == pytest.approx(V)


def test_other_marks_of_thousands_and_minus(tmp_path):
    swiss = [f"{s:,.1f}".replace(",", "'") for s in T]
    amps = [f"{i:.4f}".replace("-", "\u2212") for i in A]
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], swiss, V, amps))
    assert records.time_s == pytest.approx(T)
    assert records.current_a == pytest.approx(A)


def test_columns_that_change_places_within_the_file_are_refused(tmp_path):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, V, A)
    path.write_text(
        path.read_text()
        + "t [s],I [A],U [V]\n"
        + "".join(f"{t + 9e4},{i},{v}\n" for t, v, i in zip(T, V, A, strict=True))
    )
    with pytest.raises(DataError, match=r"the order of the columns changes within the file; split it there"):
        read_records(path)


def test_a_log_with_the_newest_row_first(tmp_path):
    dates = stamps("%Y-%m-%d %H:%M:%S")
    path = write(tmp_path / "log.csv", ["timestamp", "U [V]", "I [A]"], dates[::-1], V[::-1], A[::-1])
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(T)
    assert records.voltage_v == pytest.approx(V)
    assert records.start == START
    assert "the newest row is the first: read from the last row on" in records.guesses


def test_names_with_a_break_between_quotes(tmp_path):
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, V, A)
    path.write_text(path.read_text().replace("t [s],U [V],I [A]", '"Time\n[s]","Voltage\n[V]","Current\n[A]"'))
    (records,) = read_records(path)
    assert records.voltage_v == pytest.approx(V)


def test_a_long_preamble_of_biologic(tmp_path):
    path = write(
        tmp_path / "log.mpt", ["mode", "time/s", "Ecell/V", "I/mA"], [1] * T.size, T, V, A * 1e3, delimiter="\t"
    )
    head = ["EC-Lab ASCII FILE", "Nb header lines : 1204", *(f"setting {at}\t1\t2" for at in range(1201))]
    path.write_text("\n".join(head) + "\n" + path.read_text())
    (records,) = read_records(path)
    assert records.current_a == pytest.approx(A, abs=1e-6)


def test_decimal_commas_between_quotes_and_commas(tmp_path):
    columns = [[f'"{value:.4f}"'.replace(".", ",") for value in column] for column in (T, V, A)]
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], *columns))
    assert records.current_a == pytest.approx(A)


@pytest.mark.parametrize("factor", [1.0, 1e3])
def test_counters_without_a_unit(tmp_path, factor):
    names = ["t [s]", "U [V]", "I [A]", "charge capacity", "discharge capacity"]
    path = write(tmp_path / "log.csv", names, T, V, A, TEST.charge_ah * factor, np.zeros(T.size))
    (records,) = read_records(path)
    assert records.charge_ah == pytest.approx(TEST.charge_ah, rel=1e-5)
    assert records.discharge_ah is None
    assert any("a counter of charge has no unit" in note for note in records.notes)


def test_predict_tells_how_it_read_the_file(tmp_path, command):
    test = cycling_test(cycles=12, period_s=30.0)
    names, columns = ["t [s]", "U [V]", "I [A]", "Zyklus"], (test.time_s, test.voltage_v, test.current_a, test.cycle)
    path = write(tmp_path / "log.csv", names, *columns, delimiter=";")
    code, out, err = command("predict", "demo-mlp", path, "--nominal-ah", "3.0")
    assert code == 0, err
    assert "Read as: layout generic; delimiter ';'; column 'U [V]' is the voltage; " in " ".join(out.split())
    path = write(tmp_path / "log.csv", names, test.time_s / 60, *columns[1:])
    code, out, err = command("predict", "demo-mlp", path, "--nominal-ah", "3.0")
    assert (code, out) == (2, "")
    assert "--set time_unit=min" in " ".join(err.split())
    code, out, err = command("predict", "demo-mlp", path, "--nominal-ah", "3.0", "--set", "time_unit=min", "--json")
    assert code == 0, err
    assert len(json.loads(out)["windows"]) == 3


DATES = stamps("%Y-%m-%d %H:%M:%S")
LOGS = {
    "home automation, wide": (
        ["last_changed", "Battery Voltage (V)", "Battery Current (A)", "Battery Power (W)"],
        DATES,
        V,
        A,
        V * A,
    ),
    "a shunt": (["Time", "Volts", "Amps", "AmpHours"], stamps("%d/%m/%Y %H:%M:%S"), V, A, TEST.charge_ah),
    "a microcontroller": (["millis", "voltage", "current_mA"], T * 1e3, V, A * 1e3),
    "units for names": (["ms", "mV", "mA"], T * 1e3, V * 1e3, A * 1e3),
    "capitals": (["TIME_S", "VOLTAGE_V", "CURRENT_A"], T, V, A),
    "camel case": (["timeSeconds", "cellVoltage", "cellCurrentA"], T, V, A),
    "units after a comma": (['"Time, s"', '"Voltage, V"', '"Current, A"'], T, V, A),
    "days": (["Time (days)", "Voltage (V)", "Current (A)"], T / 86400, V, A),
    "names as of a maker, no other column": (["Test_Time(s)", "Current(A)", "Voltage(V)"], T, A, V),
    "a clock that began before the log": (["t [s]", "U [V]", "I [A]"], T + 1e6, V, A),
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_of_many_kinds(tmp_path, name):
    names, *columns = LOGS[name]
    columns = [[repr(v) for v in column.tolist()] if isinstance(column, np.ndarray) else column for column in columns]
    (records,) = read_records(write(tmp_path / "log.csv", names, *columns))
    assert (records.layout, records.sign) == ("generic", "unknown")
    assert records.time_s == pytest.approx(T, abs=1e-3)
    assert records.voltage_v == pytest.approx(V)
    assert records.current_a == pytest.approx(A)


def test_a_share_in_percent_is_no_channel_and_no_counter(tmp_path):
    percent = np.round(50 + 20 * np.sin(T / 9e3)).astype(int).tolist()
    names = ["Time (s)", "Charge capacity (%)", "U [V]", "I [A]", "Battery (%)", "Cycle %"]
    (records,) = read_records(write(tmp_path / "log.csv", names, T, percent, V, A, percent, percent))
    assert records.voltage_v == pytest.approx(V)
    assert records.charge_ah is None
    assert records.cycle is None


def test_single_currents_that_the_voltage_does_not_answer_are_asked(tmp_path):
    rows = np.arange(20, T.size - 1, 211)
    spiked = A.copy()
    spiked[rows] = -32.768  # an int16 at its end
    path = write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, V, spiked)
    with pytest.raises(AmbiguousFile, match=r"single samples have a current of up to 32.77 \(first in row 21\)"):
        read_records(path)
    assert read_records(path, answers={"current_unit": "A"})[0].current_a == pytest.approx(spiked)
    pulsed = V.copy()
    pulsed[rows] -= 0.3  # a pulse it does answer
    assert read_records(write(path, ["t [s]", "U [V]", "I [A]"], T, pulsed, spiked))[0].current_a == pytest.approx(
        spiked
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"ts": 1, "v": 3.5, "i": 1.0}\n{"ts": 2, "v": 3.6, "i": 1.0}\n', "JSON"),
        ('[{"ts": 1, "v": 3.5, "i": 1.0}]\n', "JSON"),
        ("<html><table><tr><td>Time(s)</td><td>Voltage(V)</td><td>Current(A)</td></tr></table></html>", "HTML or XML"),
    ],
)
def test_texts_that_are_no_tables_are_named(tmp_path, text, kind):
    (tmp_path / "log.xls").write_text(text)
    with pytest.raises(DataError, match=f"log.xls is {kind}, which is not read; export it as CSV or as a spreadsheet"):
        read_records(tmp_path / "log.xls")


def test_an_instrument_s_mark_for_no_value_is_no_value(tmp_path):
    volts, amps = V.copy(), A.copy()
    volts[[5, 90]], amps[200] = 9.9e37, -9.9e37
    (records,) = read_records(write(tmp_path / "log.csv", ["t [s]", "U [V]", "I [A]"], T, volts, amps))
    assert records.voltage_v == pytest.approx(np.delete(V, [5, 90, 200]))
    assert records.current_a == pytest.approx(np.delete(A, [5, 90, 200]))
    assert "3 rows without a time, a voltage or a current, first row 6" in records.notes
