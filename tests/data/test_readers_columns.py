"""Columns that hold half of a quantity, or one whose unit, name or sign stands elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.data.readers import AmbiguousFile, read_records
from edgebat.data.synthetic import make_raw_cell
from tests.data.test_readers_kinds import TEST, A, T, V, stamps, write

IN, OUT = np.maximum(A, 0.0), np.maximum(-A, 0.0)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["Time (s)", "Voltage (V)", "Charge Current (A)", "Discharge Current (A)"], (T, V, IN, OUT)),
        (["Time (s)", "Voltage (V)", "Charge Current (A)", "Discharge Current (A)"], (T, V, IN, -OUT)),
        (["Zeit [s]", "Entladestrom [mA]", "Ladestrom [A]", "Spannung [V]"], (T, OUT * 1e3, IN, V)),
        (["时间(s)", "电压(V)", "充电电流(mA)", "放电电流(mA)"], (T, V, IN * 1e3, OUT * 1e3)),
        (["Time(s)", "Voltage(V)", "Chg. Cur.(A)", "DChg. Cur.(A)"], (T, V, IN, OUT)),
        (["Time (s)", "Voltage (V)", "Charge Current (A)", "Discharge Current (A)"],
         (T, V, [f"{i}" if i else "" for i in IN], [f"{i}" if i else "" for i in OUT])),
        (["Time (s)", "Voltage (V)", "Max Charge Current (A)", "Charge Current Limit (A)", "Current (A)"],
         (T, V, T * 0 + 9, T * 0 + 9, A)),
        (["Zeit [s]", "Spannung [V]", "Ladestrom [A]"], (T, V, A)),
    ],
)  # fmt: skip
def test_a_current_in_two_columns_is_one(tmp_path, names, columns):
    (records,) = read_records(write(tmp_path / "log.csv", names, *columns))
    assert records.current_a == pytest.approx(A, abs=1e-6)
    assert records.time_s.size == T.size


def test_how_it_is_joined_is_told(tmp_path):
    path = write(
        tmp_path / "log.csv", ["Time (s)", "U (V)", "Charge Current (A)", "Discharge Current (A)"], T, V, IN, OUT
    )
    (records,) = read_records(path)
    assert "the current is 'Charge Current (A)' minus 'Discharge Current (A)'" in records.guesses
    assert records.sign == "positive_is_charge"


@pytest.mark.parametrize(
    ("names", "columns", "question"),
    [
        (
            ["Charge Current (A)", "Discharge Current (A)"],
            (IN, OUT + 0.4),
            r"both flow in \d+ rows, first row .*current=NAME",
        ),
        (["Charge Current (A)", "Discharge Current (A)"], (A, OUT), "'Charge Current .A.' has both signs"),
        (["Charge Current (A)"], (IN,), "is the charge current by its name and has one sign; .*discharge_current=NAME"),
        (
            ["Entladestrom [A]"],
            (OUT,),
            "is the discharge current by its name and has one sign; .*--set charge_current=NAME",
        ),
        (["Charge Current", "Discharge Current (A)"], (IN, OUT), "the unit of 'Charge Current' is not stated"),
    ],
)
def test_half_a_current_is_asked(tmp_path, names, columns, question):
    path = write(tmp_path / "log.csv", ["Time (s)", "Voltage (V)", *names], T, V, *columns)
    with pytest.raises(AmbiguousFile, match=question):
        read_records(path)


def test_names_over_two_rows_above_the_units(tmp_path):
    devices = "timestamp,Battery Monitor [512],Battery Monitor [512],Battery Monitor [512]"
    names = ["Europe/Berlin (+01:00)", "Voltage", "Current", "State of charge"]
    path = write(tmp_path / "log.csv", names, stamps("%Y-%m-%d %H:%M:%S"), V, A, T * 0)
    path.write_text(devices + "\n" + path.read_text().replace("charge\n", "charge\n,V,A,%\n", 1))
    (records,) = read_records(path)
    assert records.time_s == pytest.approx(T)
    assert records.voltage_v == pytest.approx(V)


BEGINS = np.array([T[TEST.step == step][0] for step in TEST.step])
OF_STEP = T - BEGINS


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Step Time (s)", OF_STEP),
        ("Schrittzeit [min]", OF_STEP / 60.0),
        ("StepTime", [f"{int(s) // 3600:02d}:{int(s) // 60 % 60:02d}:{int(s) % 60:02d}" for s in OF_STEP]),
    ],
)
@pytest.mark.parametrize("with_step", [True, False])
def test_a_time_of_steps_is_continued(tmp_path, name, values, with_step):
    steps = {"Step": TEST.step} if with_step else {}
    path = write(tmp_path / "log.csv", [name, "U [V]", "I [A]", *steps], values, V, A, *steps.values())
    (records,) = read_records(path)
    within = np.diff(TEST.step) == 0
    assert np.diff(records.time_s)[within] == pytest.approx(np.diff(T)[within], abs=0.1)
    assert np.diff(records.time_s)[~within] == pytest.approx(0.0, abs=0.1)
    assert any("each begins where the one before ended" in guess for guess in records.guesses)


@pytest.mark.parametrize("values", [T % 500.0, T])
def test_a_time_that_starts_anew_elsewhere_than_steps_is_asked(tmp_path, values):
    path = write(tmp_path / "log.csv", ["Step Time (s)", "Step", "U [V]", "I [A]"], values, TEST.step, V, A)
    with pytest.raises(AmbiguousFile, match=r"starts anew elsewhere than steps do.* --set time=NAME"):
        read_records(path)


def comma(values: np.ndarray, unit: str) -> list[str]:
    return [f'"{value:.4f} {unit}"'.replace(".", ",") for value in values]


@pytest.mark.parametrize(
    ("volts", "amps"),
    [
        (comma(V, "V"), comma(A, "A")),
        ([f"{v:.4f} V" for v in V], [f"{a:.4f} A" if abs(a) >= 1 else f"{a * 1e3:.1f} mA" for a in A]),
        ([f'"{v * 1e3:,.1f} mV"' for v in V], [f'"{a * 1e3:,.1f} mA"' for a in A]),
        ([f"{v:.4f}\u00a0V" for v in V], [f"{a:.4f}\u202fA" for a in A]),
        ([f"+{v:.4f}V" for v in V], [f"{a:+.4f}A" for a in A]),
    ],
)
def test_values_with_units_of_every_kind(tmp_path, volts, amps):
    times = comma(T, "s") if volts[0].startswith('"2,') and "mV" not in volts[0] else [f"{s}s" for s in T]
    (records,) = read_records(write(tmp_path / "log.csv", ["Time", "Voltage", "Current"], times, volts, amps))
    assert records.voltage_v == pytest.approx(V, abs=1e-4)
    assert records.current_a == pytest.approx(A, abs=1e-4)


def test_a_unit_in_the_values_that_the_name_contradicts_is_asked(tmp_path):
    names, volts = ["Time (s)", "Voltage (V)", "Current (A)"], [f"{v * 1e3:.1f} mV" for v in V]
    with pytest.raises(AmbiguousFile, match=r"'Voltage .V.' has values in mV; say --set voltage_unit="):
        read_records(write(tmp_path / "log.csv", names, T, volts, A))
    assert read_records(tmp_path / "log.csv", answers={"voltage_unit": "mV"})[0].voltage_v == pytest.approx(V, abs=1e-4)


@pytest.mark.parametrize("step", [0.5, 1.0])
def test_a_current_that_was_rounded_is_asked(tmp_path, step):
    raw = make_raw_cell(seed=7, index=1, cycles=range(351, 353), period_s=20.0)
    time = 20.0 * np.arange(raw.time_s.size)
    path = write(
        tmp_path / "log.csv", ["Time (s)", "U (V)", "I (A)"], time, raw.voltage_v, np.round(raw.current_a / step) * step
    )
    with pytest.raises(AmbiguousFile, match=f"the current has steps of {step:g} where .* export it with more digits"):
        read_records(path)


def test_the_cell_s_voltage_of_three_electrodes(tmp_path):
    names = ["time/s", "Ewe/V", "Ece/V", "Ewe-Ece/V", "I/mA"]
    (records,) = read_records(write(tmp_path / "log.mpt", names, T, V + 0.1, T * 0 + 0.1, V, A * 1e3))
    assert records.voltage_v == pytest.approx(V)


LANGUAGES = {
    "italian": ["Tempo (s)", "Tensione (V)", "Corrente (A)", "Ciclo"],
    "japanese": ["経過時間(s)", "電圧(V)", "電流(A)", "サイクル"],
    "korean": ["시간(s)", "전압(V)", "전류(A)", "사이클"],
    "russian": ['"Время, с"', '"Напряжение, В"', '"Ток, А"', "Цикл"],
    "polish": ["Czas [s]", "Napięcie [V]", "Prąd [A]", "Cykl"],
    "dutch": ["Tijd (s)", "Spanning (V)", "Stroom (A)", "Cyclus"],
    "swedish": ["Tid (s)", "Spänning (V)", "Ström (A)", "Cykel"],
    "czech": ["Čas [s]", "Napětí [V]", "Proud [A]", "Cyklus"],
    "turkish": ["Zaman (s)", "Gerilim (V)", "Akım (A)", "Çevrim"],
    "portuguese": ["Tempo (s)", "Tensão (V)", "Corrente (A)", "Ciclo"],
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_in_more_languages(tmp_path, language):
    (records,) = read_records(write(tmp_path / "log.csv", LANGUAGES[language], T, V, A, TEST.cycle))
    assert records.current_a == pytest.approx(A)
    assert np.array_equal(records.cycle, TEST.cycle)


@pytest.mark.parametrize(
    "kinds",
    [("充电", "放电", "静置"), ("Charge", "Décharge", "Repos"), ("Carga", "Descarga", "Reposo"),
     ("Carica", "Scarica", "Riposo"),
     ("Заряд", "Разряд", "Покой")],
)  # fmt: skip
def test_step_kinds_in_more_languages_give_the_sign(tmp_path, kinds):
    named = dict(zip(("charge", "discharge", "rest"), kinds, strict=True))
    names = ["Time (s)", "U (V)", "I (A)", "Status"]
    (records,) = read_records(write(tmp_path / "log.csv", names, T, V, np.abs(A), [named[k] for k in TEST.kind]))
    assert records.current_a == pytest.approx(A)


@pytest.mark.parametrize("name", ["Serial", "Barcode", "Cell Name"])
def test_cells_in_one_column_of_names_are_channels(tmp_path, name):
    whose = ["A7"] * T.size + ["B9"] * T.size
    path = write(
        tmp_path / "log.csv", [name, "Time (s)", "U (V)", "I (A)"], whose, np.append(T, T + T[-1] + 60.0),
        np.append(V, V - 0.01), np.append(A, A),
    )  # fmt: skip
    assert [records.channel for records in read_records(path)] == ["A7", "B9"]
