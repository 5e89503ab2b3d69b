"""One cycling test as every cycler would export it: a writer per layout.

The column names are those of the makers' exports as public readers and documents give them; the samples are made here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from edgebat.data.synthetic import make_raw_cell

START = dt.datetime(2024, 3, 13, 22, 30, 5)
NOMINAL_AH = 3.5


@dataclass(frozen=True)
class Test:
    """Samples of the test: seconds, V, A (charging positive), degC, Ah since the cycle began; arrays [S]."""

    __test__ = False
    time_s: np.ndarray
    voltage_v: np.ndarray
    current_a: np.ndarray
    cycle: np.ndarray
    step: np.ndarray
    kind: np.ndarray
    temperature_degc: np.ndarray
    charge_ah: np.ndarray
    discharge_ah: np.ndarray

    @property
    def stamps(self) -> list[dt.datetime]:
        return [START + dt.timedelta(seconds=float(seconds)) for seconds in self.time_s]


def cycling_test(cycles: int = 2, period_s: float = 60.0) -> Test:
    """Cycles of a 3.5 Ah cell at 0.5C and 1C; times in whole seconds, values as instruments round them."""
    cell = make_raw_cell(cycles=range(1, cycles + 1), period_s=period_s)
    time, offset = cell.time_s.copy(), 0.0
    for _, rows in cell.cycles():
        time[rows] = cell.time_s[rows] + offset
        offset = time[rows][-1] + period_s
    voltage, current = np.round(cell.voltage_v, 4), np.round(cell.current_a, 4)
    kind = np.where(current > 0.01, "charge", np.where(current < -0.01, "discharge", "rest"))
    step = np.concatenate(([1], 1 + np.cumsum(kind[1:] != kind[:-1])))
    moved = np.diff(time, prepend=time[0]) * current / 3600.0
    counters = []
    for sign in (1, -1):
        counter = np.zeros(time.size)
        for _, rows in cell.cycles():
            counter[rows] = np.cumsum(np.maximum(sign * moved[rows], 0.0))
        counters.append(np.round(counter, 6))
    temperature = np.round(25.0 + 2.0 * np.sin(time / 5000.0), 2)
    return Test(np.round(time), voltage, current, cell.cycle, step, kind, temperature, *counters)


@dataclass(frozen=True)
class Sheet:
    """A text file in the making: lines above the names, names, rows of texts with decimal points."""

    names: list[str]
    rows: list[list[str]]
    preamble: list[str] = field(default_factory=list)
    delimiter: str = ","


def _sheet(columns: dict[str, object], preamble: list[str] | None = None, delimiter: str = ",") -> Sheet:
    rows = [list(row) for row in zip(*(map(_text, column) for column in columns.values()), strict=True)]
    return Sheet(list(columns), rows, preamble or [], delimiter)


def _text(value: object) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _clock(seconds: np.ndarray) -> list[str]:
    return [f"{int(s) // 3600:02d}:{int(s) // 60 % 60:02d}:{int(s) % 60:02d}" for s in seconds]


def _dates(test: Test, form: str) -> list[str]:
    return [stamp.strftime(form) for stamp in test.stamps]


def _count(test: Test) -> range:
    return range(1, test.time_s.size + 1)


def arbin(test: Test) -> Sheet:
    return _sheet(
        {
            "Data Point": _count(test),
            "Date Time": _dates(test, "\t%m/%d/%Y %H:%M:%S.%f"),
            "Test Time (s)": test.time_s,
            "Step Time (s)": test.time_s,
            "Cycle Index": test.cycle,
            "Step Index": test.step,
            "Current (A)": test.current_a,
            "Voltage (V)": test.voltage_v,
            "Charge Capacity (Ah)": test.charge_ah,
            "Discharge Capacity (Ah)": test.discharge_ah,
            "Aux_Temperature_1 (C)": test.temperature_degc,
        }
    )


def arbin_old(test: Test) -> Sheet:
    return _sheet(
        {
            "Data_Point": _count(test),
            "Test_Time(s)": test.time_s,
            "Date_Time": _dates(test, "%m/%d/%Y %H:%M:%S"),
            "Step_Time(s)": test.time_s,
            "Step_Index": test.step,
            "Cycle_Index": test.cycle,
            "Current(A)": test.current_a,
            "Voltage(V)": test.voltage_v,
            "Charge_Capacity(Ah)": test.charge_ah,
            "Discharge_Capacity(Ah)": test.discharge_ah,
            "Aux_Temperature(C)_1": test.temperature_degc,
        }
    )


def neware(test: Test) -> Sheet:
    kinds = {"charge": "CC Chg", "discharge": "CC DChg", "rest": "Rest"}
    begins = np.array([test.time_s[test.step == step][0] for step in test.step])
    return _sheet(
        {
            "DataPoint": _count(test),
            "Cycle Index": test.cycle,
            "Step Index": test.step,
            "Step Type": [kinds[kind] for kind in test.kind],
            "Time": _clock(test.time_s - begins),
            "Total Time": _clock(test.time_s),
            "Current(mA)": test.current_a * 1e3,
            "Voltage(V)": test.voltage_v,
            "Capacity(mAh)": np.maximum(test.charge_ah, test.discharge_ah) * 1e3,
            "Chg. Cap.(mAh)": test.charge_ah * 1e3,
            "DChg. Cap.(mAh)": test.discharge_ah * 1e3,
            "Date": _dates(test, "%Y-%m-%d %H:%M:%S"),
            "T1(℃)": test.temperature_degc,
        }
    )


def maccor(test: Test) -> Sheet:
    days = [
        f"  {int(s) // 86400}d {clock}.00" for s, clock in zip(test.time_s, _clock(test.time_s % 86400), strict=True)
    ]
    return _sheet(
        {
            "Rec#": _count(test),
            "Cyc#": test.cycle,
            "Step": test.step,
            "TestTime": days,
            "StepTime": days,
            "Amp-hr": np.maximum(test.charge_ah, test.discharge_ah),
            "Watt-hr": np.zeros(test.time_s.size),
            "Amps": np.abs(test.current_a),
            "Volts": test.voltage_v,
            "State": [kind[0].upper() for kind in test.kind],
            "ES": [1] * test.time_s.size,
            "DPt Time": [f"{s:%m/%d/%Y} {s.hour % 12 or 12}:{s:%M:%S %p}" for s in test.stamps],
            "Temp 1": test.temperature_degc,
        },
        ["Today's Date:\t14 March 2024\tDate of Test:\t13 March 2024, 10:30:05 PM", "Filename:\tX\tTester Channel:\t1"],
        "\t",
    )


def biologic(test: Test) -> Sheet:
    zero = [0] * test.time_s.size
    return _sheet(
        {
            "mode": [1] * test.time_s.size,
            "ox/red": zero,
            "error": zero,
            "Ns": test.step,
            "time/s": [f"{s:.15E}" for s in test.time_s],
            "control/V/mA": zero,
            "Ecell/V": test.voltage_v,
            "I/mA": test.current_a * 1e3,
            "Q discharge/mA.h": test.discharge_ah * 1e3,
            "Q charge/mA.h": test.charge_ah * 1e3,
            "Q charge/discharge/mA.h": zero,
            "cycle number": test.cycle,
            "Temperature/°C": test.temperature_degc,
        },
        ["EC-Lab ASCII FILE", "Nb header lines : 6", "", f"Acquisition started on : {START:%m/%d/%Y %H:%M:%S.000}"],
        "\t",
    )


def novonix(test: Test) -> Sheet:
    hours = [f"{s / 3600:.9f}" for s in test.time_s]
    return _sheet(
        {
            "Date and Time": _dates(test, "%Y-%m-%d %H:%M:%S"),
            "Cycle Number": test.cycle,
            "Step Type": [7] * test.time_s.size,
            "Run Time (h)": hours,
            "Step Time (h)": hours,
            "Current (A)": test.current_a,
            "Potential (V)": test.voltage_v,
            "Capacity (Ah)": test.charge_ah,
            "Temperature (°C)": test.temperature_degc,
            "Circuit Temperature (°C)": test.temperature_degc,
            "Step Number": test.step,
        },
        ["[Summary]", "Novonix UHPC data file", "Channel: 01", "Capacity (Ah): 3.5", "[Data]"],
    )


def landt(test: Test) -> Sheet:
    return _sheet(
        {
            "channel_index": _count(test),
            "cycle_index": test.cycle,
            "step_index": test.step,
            "date_time_iso_string": _dates(test, "%m/%d/%Y %H:%M:%S"),
            "test_time_s": test.time_s,
            "step_time_s": test.time_s,
            "current_A": test.current_a,
            "voltage_V": test.voltage_v,
            "discharge_capacity_Ah": test.discharge_ah,
            "charge_capacity_Ah": test.charge_ah,
            "temperature_1_C": test.temperature_degc,
            "step_name": test.kind,
        },
        ["cell model:", "cell id: "],
    )


def basytec(test: Test) -> Sheet:
    hours = [f"{s / 3600:.9f}" for s in test.time_s]
    return _sheet(
        {
            "~Time[h]": hours,
            "DataSet": _count(test),
            "t-Step[h]": hours,
            "Line": test.step,
            "Command": [{"rest": "Pause"}.get(kind, kind.title()) for kind in test.kind],
            "U[V]": test.voltage_v,
            "I[A]": test.current_a,
            "Ah[Ah]": test.charge_ah - test.discharge_ah,
            "Ah-Cyc-Charge": test.charge_ah,
            "Ah-Cyc-Discharge": test.discharge_ah,
            "T1[°C]": test.temperature_degc,
            "Cyc-Count": test.cycle,
            "State": [1] * test.time_s.size,
        },
        ["~Resultfile from Basytec Battery Test System", "~Start of Test: 13.03.2024 22:30:05", "~"],
        "\t",
    )


def pec(test: Test) -> Sheet:
    ones = [1] * test.time_s.size
    real = _dates(test, "%m/%d/%Y %H:%M:%S")
    return _sheet(
        {
            "Test": ones,
            "Cell": ones,
            "Rack": ["SBT"] * len(ones),
            "Step": test.step,
            "Cycle": test.cycle,
            "Total Time (Seconds)": test.time_s,
            "Step Time (Seconds)": test.time_s,
            "Real Time": real,
            "Position Start Time": [real[0]] * len(ones),
            "Voltage (mV)": test.voltage_v * 1e3,
            "Current (mA)": test.current_a * 1e3,
            "Charge Capacity (mAh)": test.charge_ah * 1e3,
            "Discharge Capacity (mAh)": test.discharge_ah * 1e3,
            "Charge Capacity (mWh)": ones,
            "Open Circuit Voltage 1 (V)": ones,
            "Ambient temperature (°C)": test.temperature_degc,
        },
        ["Test:,187", "TestRegime Name:,cycling", "Number Of Cells:,1"],
    )


def digatron(test: Test) -> Sheet:
    status = {"charge": "CHA", "discharge": "DCH", "rest": "PAU"}
    return _sheet(
        {
            "Step": test.step,
            "Status": [status[kind] for kind in test.kind],
            "Program Duration#s": test.time_s,
            "Step Duration#s": test.time_s,
            "Timestamp": _dates(test, "%Y-%m-%d %H:%M:%S"),
            "Voltage#V": test.voltage_v,
            "Current#A": test.current_a,
            "AhCha#Ah": test.charge_ah,
            "AhDch#Ah": test.discharge_ah,
            "AhAccu#Ah": test.charge_ah - test.discharge_ah,
            "T1#°C": test.temperature_degc,
            "Cycle": test.cycle,
        }
    )


def bdf(test: Test) -> Sheet:
    return _sheet(
        {
            "Test Time / s": test.time_s,
            "Voltage / V": test.voltage_v,
            "Current / A": test.current_a,
            "Unix Time / s": (START - dt.datetime(1970, 1, 1)).total_seconds() + test.time_s,
            "Cycle Count / 1": test.cycle,
            "Step Index / 1": test.step,
            "Step Type / 1": test.kind,
            "Ambient Temperature / degC": test.temperature_degc,
            "Charging Capacity / Ah": test.charge_ah,
            "Discharging Capacity / Ah": test.discharge_ah,
        }
    )


def bdf_machine(test: Test) -> Sheet:
    names = [
        "test_time_second", "voltage_volt", "current_ampere", "unix_time_second", "cycle_count", "step_index", "step_type",
        "ambient_temperature_celsius", "charging_capacity_ah", "discharging_capacity_ah",
    ]  # fmt: skip
    return replace(bdf(test), names=names)


def german_logger(test: Test) -> Sheet:
    """A home-made log: date and time of day in two columns, discharging positive, a row of units below the names."""
    sheet = _sheet(
        {
            "Datum": _dates(test, "%d.%m.%Y"),
            "Uhrzeit": _dates(test, "%H:%M:%S"),
            "Zellspannung": test.voltage_v * 1e3,
            "Strom": -test.current_a,
            "Temperatur": test.temperature_degc,
            "Zyklus": test.cycle,
        }
    )
    return replace(sheet, rows=[["", "", "mV", "A", "°C", ""], *sheet.rows])


LAYOUTS: dict[str, Callable[[Test], Sheet]] = {
    writer.__name__: writer
    for writer in (arbin, arbin_old, neware, maccor, biologic, novonix, landt, basytec, pec, digatron, bdf, bdf_machine,
                   german_logger)
}  # fmt: skip
