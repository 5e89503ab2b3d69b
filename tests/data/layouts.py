"""One cycling test as every cycler would export it: a writer per layout, and traps that any text file can hold.

The column names are those of the makers' exports as public readers and documents give them; the samples are made here.
"""

from __future__ import annotations

import datetime as dt
import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

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


def _columns(test: Test, *columns: object) -> list[list[str]]:
    return [list(row) for row in zip(*(map(_text, column) for column in columns), strict=True)]


def _text(value: object) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _clock(seconds: np.ndarray) -> list[str]:
    return [f"{int(s) // 3600:02d}:{int(s) // 60 % 60:02d}:{int(s) % 60:02d}" for s in seconds]


def arbin(test: Test) -> Sheet:
    stamps = [f"\t{stamp:%m/%d/%Y %H:%M:%S.%f}" for stamp in test.stamps]
    names = ["Data Point", "Date Time", "Test Time (s)", "Step Time (s)", "Cycle Index", "Step Index", "Current (A)",
             "Voltage (V)", "Charge Capacity (Ah)", "Discharge Capacity (Ah)", "Aux_Temperature_1 (C)"]  # fmt: skip
    return Sheet(names, _columns(
        test, range(1, test.time_s.size + 1), stamps, test.time_s, test.time_s, test.cycle, test.step, test.current_a,
        test.voltage_v, test.charge_ah, test.discharge_ah, test.temperature_degc))  # fmt: skip


def arbin_old(test: Test) -> Sheet:
    names = ["Data_Point", "Test_Time(s)", "Date_Time", "Step_Time(s)", "Step_Index", "Cycle_Index", "Current(A)", "Voltage(V)",
             "Charge_Capacity(Ah)", "Discharge_Capacity(Ah)", "Aux_Temperature(C)_1"]  # fmt: skip
    return Sheet(names, _columns(
        test, range(1, test.time_s.size + 1), test.time_s, [f"{s:%m/%d/%Y %H:%M:%S}" for s in test.stamps], test.time_s,
        test.step, test.cycle, test.current_a, test.voltage_v, test.charge_ah, test.discharge_ah, test.temperature_degc))  # fmt: skip


NEWARE_KINDS = {"charge": "CC Chg", "discharge": "CC DChg", "rest": "Rest"}


def neware(test: Test) -> Sheet:
    names = ["DataPoint", "Cycle Index", "Step Index", "Step Type", "Time", "Total Time", "Current(mA)", "Voltage(V)",
             "Capacity(mAh)", "Chg. Cap.(mAh)", "DChg. Cap.(mAh)", "Date", "T1(℃)"]  # fmt: skip
    begins = np.array([test.time_s[test.step == step][0] for step in test.step])
    return Sheet(names, _columns(
        test, range(1, test.time_s.size + 1), test.cycle, test.step, [NEWARE_KINDS[k] for k in test.kind],
        _clock(test.time_s - begins), _clock(test.time_s), test.current_a * 1e3, test.voltage_v,
        np.maximum(test.charge_ah, test.discharge_ah) * 1e3, test.charge_ah * 1e3, test.discharge_ah * 1e3,
        [f"{s:%Y-%m-%d %H:%M:%S}" for s in test.stamps], test.temperature_degc))  # fmt: skip


def maccor(test: Test) -> Sheet:
    names = [
        "Rec#",
        "Cyc#",
        "Step",
        "TestTime",
        "StepTime",
        "Amp-hr",
        "Watt-hr",
        "Amps",
        "Volts",
        "State",
        "ES",
        "DPt Time",
        "Temp 1",
    ]
    clock = [
        f"  {int(s) // 86400}d {int(s) // 3600 % 24:02d}:{int(s) // 60 % 60:02d}:{int(s) % 60:02d}.00"
        for s in test.time_s
    ]
    return Sheet(names, _columns(
        test, range(1, test.time_s.size + 1), test.cycle, test.step, clock, clock,
        np.maximum(test.charge_ah, test.discharge_ah), np.zeros(test.time_s.size), np.abs(test.current_a), test.voltage_v,
        [k[0].upper() for k in test.kind], [1] * test.time_s.size,
        [f"{s:%m/%d/%Y} {s.hour % 12 or 12}:{s:%M:%S %p}" for s in test.stamps], test.temperature_degc),
        ["Today's Date:\t14 March 2024\tDate of Test:\t13 March 2024, 10:30:05 PM", "Filename:\tX\tTester Channel:\t1"], "\t")  # fmt: skip


def biologic(test: Test) -> Sheet:
    names = ["mode", "ox/red", "error", "Ns changes", "Ns", "time/s", "control/V/mA", "Ecell/V", "I/mA", "Q discharge/mA.h",
             "Q charge/mA.h", "cycle number", "Temperature/°C"]  # fmt: skip
    zero = [0] * test.time_s.size
    preamble = ["EC-Lab ASCII FILE", "Nb header lines : 6", "", "Modulo Bat",
                f"Acquisition started on : {START:%m/%d/%Y %H:%M:%S.000}"]  # fmt: skip
    return Sheet(names, _columns(
        test, zero, zero, zero, zero, test.step, [f"{s:.15E}" for s in test.time_s], zero, test.voltage_v,
        test.current_a * 1e3, test.discharge_ah * 1e3, test.charge_ah * 1e3, test.cycle, test.temperature_degc), preamble, "\t")  # fmt: skip


def novonix(test: Test) -> Sheet:
    names = ["Date and Time", "Cycle Number", "Step Type", "Run Time (h)", "Step Time (h)", "Current (A)", "Potential (V)",
             "Capacity (Ah)", "Temperature (°C)", "Circuit Temperature (°C)", "Step Number"]  # fmt: skip
    hours = [f"{s / 3600:.9f}" for s in test.time_s]
    return Sheet(names, _columns(
        test, [f"{s:%Y-%m-%d %H:%M:%S}" for s in test.stamps], test.cycle, [7] * test.time_s.size, hours, hours, test.current_a,
        test.voltage_v, test.charge_ah, test.temperature_degc, test.temperature_degc, test.step),
        ["[Summary]", "Novonix UHPC data file", "Channel: 01", "Capacity (Ah): 3.5", "Started: 2024-03-13 22:30:05", "[Data]"])  # fmt: skip


def landt(test: Test) -> Sheet:
    names = ["channel_index", "cycle_index", "step_index", "date_time_iso_string", "test_time_s", "step_time_s", "current_A",
             "voltage_V", "discharge_capacity_Ah", "charge_capacity_Ah", "temperature_1_C", "step_name"]  # fmt: skip
    return Sheet(names, _columns(
        test, range(1, test.time_s.size + 1), test.cycle, test.step, [f"{s:%m/%d/%Y %H:%M:%S}" for s in test.stamps],
        test.time_s, test.time_s, test.current_a, test.voltage_v, test.discharge_ah, test.charge_ah, test.temperature_degc,
        test.kind), ["cell model:", "cell id: "])  # fmt: skip


def basytec(test: Test) -> Sheet:
    names = ["~Time[h]", "DataSet", "t-Step[h]", "Line", "Command", "U[V]", "I[A]", "Ah[Ah]", "Ah-Cyc-Charge", "Ah-Cyc-Discharge",
             "T1[°C]", "Cyc-Count", "State"]  # fmt: skip
    hours = [f"{s / 3600:.9f}" for s in test.time_s]
    return Sheet(names, _columns(
        test, hours, range(1, test.time_s.size + 1), hours, test.step, [{"rest": "Pause"}.get(k, k.title()) for k in test.kind],
        test.voltage_v, test.current_a, test.charge_ah - test.discharge_ah, test.charge_ah, test.discharge_ah,
        test.temperature_degc, test.cycle, [1] * test.time_s.size),
        ["~Resultfile from Basytec Battery Test System", "~Start of Test: 13.03.2024 22:30:05", "~"], "\t")  # fmt: skip


def pec(test: Test) -> Sheet:
    names = ["Test", "Cell", "Rack", "Step", "Cycle", "Total Time (Seconds)", "Step Time (Seconds)", "Real Time",
             "Position Start Time", "Voltage (mV)", "Current (mA)", "Charge Capacity (mAh)", "Discharge Capacity (mAh)",
             "Charge Capacity (mWh)", "Open Circuit Voltage 1 (V)", "Ambient temperature (°C)"]  # fmt: skip
    ones = [1] * test.time_s.size
    real = [f"{s:%m/%d/%Y %H:%M:%S}" for s in test.stamps]
    return Sheet(names, _columns(
        test, ones, ones, ["SBT"] * len(ones), test.step, test.cycle, test.time_s, test.time_s, real, [real[0]] * len(ones),
        test.voltage_v * 1e3, test.current_a * 1e3, test.charge_ah * 1e3, test.discharge_ah * 1e3, ones, ones,
        test.temperature_degc), ["Test:,187", "TestRegime Name:,cycling", "Number Of Cells:,1"])  # fmt: skip


def digatron(test: Test) -> Sheet:
    names = ["Step", "Status", "Program Duration#s", "Step Duration#s", "Timestamp", "Voltage#V", "Current#A", "AhCha#Ah",
             "AhDch#Ah", "AhAccu#Ah", "T1#°C", "Cycle"]  # fmt: skip
    status = {"charge": "CHA", "discharge": "DCH", "rest": "PAU"}
    return Sheet(names, _columns(
        test, test.step, [status[k] for k in test.kind], test.time_s, test.time_s,
        [f"{s:%Y-%m-%d %H:%M:%S}" for s in test.stamps], test.voltage_v, test.current_a, test.charge_ah, test.discharge_ah,
        test.charge_ah - test.discharge_ah, test.temperature_degc, test.cycle))  # fmt: skip


def bdf(test: Test) -> Sheet:
    names = ["Test Time / s", "Voltage / V", "Current / A", "Unix Time / s", "Cycle Count / 1", "Step Index / 1",
             "Step Type / 1", "Ambient Temperature / degC", "Charging Capacity / Ah", "Discharging Capacity / Ah"]  # fmt: skip
    epoch = (START - dt.datetime(1970, 1, 1)).total_seconds()
    return Sheet(names, _columns(
        test, test.time_s, test.voltage_v, test.current_a, epoch + test.time_s, test.cycle, test.step, test.kind,
        test.temperature_degc, test.charge_ah, test.discharge_ah))  # fmt: skip


def bdf_machine(test: Test) -> Sheet:
    names = ["test_time_second", "voltage_volt", "current_ampere", "unix_time_second", "cycle_count", "step_index", "step_type",
             "ambient_temperature_celsius", "charging_capacity_ah", "discharging_capacity_ah"]  # fmt: skip
    return replace(bdf(test), names=names)


def german_logger(test: Test) -> Sheet:
    """A home-made log: date and time of day in two columns, discharging positive, a row of units below the names."""
    rows = _columns(
        test, [f"{s:%d.%m.%Y}" for s in test.stamps], [f"{s:%H:%M:%S}" for s in test.stamps], test.voltage_v * 1e3,
        -test.current_a, test.temperature_degc, test.cycle)  # fmt: skip
    return Sheet(["Datum", "Uhrzeit", "Zellspannung", "Strom", "Temperatur", "Zyklus"],
                 [["", "", "mV", "A", "°C", ""], *rows])  # fmt: skip


LAYOUTS: dict[str, Callable[[Test], Sheet]] = {
    writer.__name__: writer
    for writer in (arbin, arbin_old, neware, maccor, biologic, novonix, landt, basytec, pec, digatron, bdf, bdf_machine,
                   german_logger)
}  # fmt: skip


# -- traps: each writes the same samples -------------------------------------------------------------------------------


def text_of(sheet: Sheet, decimal: str = ".", end: str = "\n") -> str:
    def line(values: list[str]) -> str:
        return sheet.delimiter.join(_with_decimal(value, decimal) for value in values)

    return end.join([*sheet.preamble, sheet.delimiter.join(sheet.names), *map(line, sheet.rows)]) + end


def _with_decimal(text: str, decimal: str) -> str:
    try:
        float(text)
    except ValueError:
        return text
    return text.replace(".", decimal)


def _plain(sheet: Sheet, path: Path) -> Path:
    path.write_text(text_of(sheet), "utf-8")
    return path


def _recoded(encoding: str, end: str = "\n") -> Callable[[Sheet, Path], Path]:
    def write(sheet: Sheet, path: Path) -> Path:
        path.write_bytes(text_of(sheet, end=end).encode(encoding, "replace"))
        return path

    return write


def _semicolons(sheet: Sheet, path: Path) -> Path:
    preamble = [line.replace(sheet.delimiter, ";") for line in sheet.preamble]
    return _plain(replace(sheet, delimiter=";", preamble=preamble), path)


def _decimal_comma(sheet: Sheet, path: Path) -> Path:
    sheet = replace(sheet, delimiter=";" if sheet.delimiter == "," else sheet.delimiter)
    path.write_text(text_of(sheet, ","), "utf-8")
    return path


def _tabs(sheet: Sheet, path: Path) -> Path:
    # Arbin puts a tab of its own before its dates.
    rows = [[value.strip() for value in row] for row in sheet.rows]
    return _plain(replace(sheet, delimiter="\t", rows=rows), path)


def _quoted(sheet: Sheet, path: Path) -> Path:
    quoted = [[f'"{value}"' for value in row] for row in sheet.rows]
    return _plain(replace(sheet, names=[f'"{name}"' for name in sheet.names], rows=quoted), path)


def _half_last_line(sheet: Sheet, path: Path) -> Path:
    extra = sheet.rows[-1][: len(sheet.rows[-1]) // 2]
    path.write_text(text_of(sheet) + sheet.delimiter.join(extra), "utf-8")
    return path


def _nul_tail(sheet: Sheet, path: Path) -> Path:
    path.write_bytes(text_of(sheet).encode() + b"\0" * 512)
    return path


def _blank_lines(sheet: Sheet, path: Path) -> Path:
    blank = [""] * len(sheet.names)
    return _plain(replace(sheet, rows=[*sheet.rows[:9], [""], blank, *sheet.rows[9:], blank]), path)


def _names_again(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, rows=[*sheet.rows[:40], sheet.names, *sheet.rows[40:]]), path)


def _empty_columns(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, names=[*sheet.names, "", ""], rows=[[*row, "", ""] for row in sheet.rows]), path)


def _trailing_delimiter(sheet: Sheet, path: Path) -> Path:
    return _plain(replace(sheet, rows=[[*row, ""] for row in sheet.rows]), path)


def _longer_preamble(sheet: Sheet, path: Path) -> Path:
    return _plain(
        replace(sheet, preamble=["Exported by X", "Operator: Y", "Limits: 4.2 V, 5 A", "", *sheet.preamble]), path
    )


def _gzipped(sheet: Sheet, path: Path) -> Path:
    path = path.with_name(path.name + ".gz")
    path.write_bytes(gzip.compress(text_of(sheet).encode()))
    return path


def _zipped(sheet: Sheet, path: Path) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export.csv", text_of(sheet))
    return path


def _named_xls(sheet: Sheet, path: Path) -> Path:
    return _plain(sheet, path.with_suffix(".xls"))


TRAPS: dict[str, Callable[[Sheet, Path], Path]] = {
    "plain": _plain,
    "byte order mark": _recoded("utf-8-sig"),
    "utf-16": _recoded("utf-16"),
    "utf-16 without mark": _recoded("utf-16-le"),
    "latin-1": _recoded("latin-1"),
    "windows lines": _recoded("utf-8", "\r\n"),
    "old mac lines": _recoded("utf-8", "\r"),
    "semicolons": _semicolons,
    "decimal comma": _decimal_comma,
    "tabs": _tabs,
    "quotes": _quoted,
    "half a last line": _half_last_line,
    "nul bytes at the end": _nul_tail,
    "blank lines": _blank_lines,
    "names again": _names_again,
    "empty columns": _empty_columns,
    "trailing delimiter": _trailing_delimiter,
    "longer preamble": _longer_preamble,
    "gzip": _gzipped,
    "zip": _zipped,
    "text called xls": _named_xls,
}


def as_workbook(sheet: Sheet, path: Path, **more: Sheet) -> Path:
    """The sheet in an .xlsx, numbers as numbers; further sheets by name."""
    import xlsxwriter

    with xlsxwriter.Workbook(path) as book:
        for title, part in {"record": sheet, **more}.items():
            page = book.add_worksheet(title)
            lines = [[cell] for cell in part.preamble] + [part.names] + part.rows
            for at, row in enumerate(lines):
                for column, value in enumerate(row):
                    try:
                        page.write_number(at, column, float(value))
                    except ValueError:
                        page.write_string(at, column, value)
    return path
