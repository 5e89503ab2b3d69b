"""Writes a folder as it comes from a laboratory: a hundred files of four simulated cells, with everything that goes wrong.

    python examples/cycler_folder.py exports
    edgebat data add exports --out cells --nominal-ah 3.5 --chemistry NCA/graphite --name-pattern "{cell}_*"
    edgebat init my.yaml --corpus cells
    edgebat run my.yaml --corpus cells

What goes wrong: names that are not in the order of time; cycle counters and clocks that start anew with every file; sheets
of two channels; a current in mA that is positive when discharging; semicolons, decimal commas, Latin-1, UTF-16, a line of
units, a preamble, half a last line; files twice, under another name and in another format; one file that repeats the end of
the one before; tests cut off in mid discharge and gone on with after a pause; a date that does not
change at midnight, and a clock that is set back by an hour.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64, Int64
from edgebat.data.synthetic import make_raw_cell

NOMINAL_AH = 3.5
CELLS = (1, 9, 25, 33)
"""Cells of the synthetic fleet: NCA at 25 degC, 0.5C. They age alike, so that three tell of the fourth."""
START = datetime(2025, 3, 3, 9, 12, 40)
PERIOD_S, FINE_S = 30.0, 5.0


@dataclass(frozen=True)
class Log:
    """What one test of one channel logs: [S] samples, charging positive, and when it began."""

    start: datetime
    time_s: Float64
    voltage_v: Float64
    current_a: Float64
    cycle: Int64
    degc: Float64

    def part(self, first: int, stop: int) -> Log:
        """Some of its samples, with a clock and a counter of their own."""
        rows = slice(first, stop)
        time = self.time_s[rows]
        return Log(
            self.start + timedelta(seconds=float(time[0])), time - time[0], self.voltage_v[rows], self.current_a[rows],
            self.cycle[rows] - self.cycle[first] + 1, self.degc[rows],
        )  # fmt: skip


def logs_of(index: int, files: int, cycles: int, seed: int, max_cycles: int) -> list[Log]:
    """``files`` tests of ``cycles`` cycles each, one after the other: a sample per 30 s and one where a step ends."""
    chance = np.random.default_rng([seed, index])
    cell = make_raw_cell(seed, index, range(1, files * cycles + 1), FINE_S, 0.0003, max_cycles)
    direction = np.sign(np.where(np.abs(cell.current_a) < 0.1, 0.0, cell.current_a))
    ends = np.append(np.diff(direction) != 0.0, True)
    begins = np.flatnonzero(np.diff(cell.cycle, prepend=0))[::cycles]
    logs, start = [], START + timedelta(hours=float(index))
    for first, stop in zip(begins, [*begins[1:], cell.cycle.size], strict=True):
        number = np.arange(stop - first)
        logged = number[(number % round(PERIOD_S / FINE_S) == 0) | ends[first:stop]]
        rows = first + logged
        degc = 25.0 + 0.8 * np.sin(logged / 2400.0) + chance.normal(0.0, 0.05, logged.size)
        cycle = cell.cycle[rows] - cell.cycle[first] + 1
        log = Log(start, FINE_S * logged, cell.voltage_v[rows], cell.current_a[rows], cycle, degc.round(2))
        logs.append(log)
        start += timedelta(seconds=float(log.time_s[-1]) + float(chance.uniform(1_800.0, 20_000.0)))
    return logs


# --- formats --------------------------------------------------------------------------------------------------------


def write_xlsx(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One sheet, without a library: numbers as numbers, everything else as text."""

    def cell(value: object) -> str:
        if isinstance(value, int | float | np.number):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    lines = ["<row>" + "".join(map(cell, row)) + "</row>" for row in (header, *rows)]
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/'
        'vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override '
        f'PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" '
        f'ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/'
        'officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Channel_1" sheetId="1" '
        'r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="'
        f'{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


def arbin_xlsx(path: Path, log: Log) -> None:
    """As Arbin's software exports: date and test time, positive is charging."""
    header = ["Data_Point", "Test_Time(s)", "Date_Time", "Step_Index", "Cycle_Index", "Current(A)", "Voltage(V)",
              "Aux_Temperature_1(C)"]  # fmt: skip
    step = 1 + np.cumsum(np.abs(np.diff(np.sign(np.round(log.current_a, 2)), prepend=0.0)) > 0)
    stamp = [(log.start + timedelta(seconds=float(t))).strftime("%m/%d/%Y %H:%M:%S") for t in log.time_s]
    columns = (range(1, log.time_s.size + 1), log.time_s.tolist(), stamp, step.tolist(), log.cycle.tolist(),
               log.current_a.tolist(), log.voltage_v.tolist(), log.degc.tolist())  # fmt: skip
    write_xlsx(path, header, zip(*columns, strict=True))


def channels_xlsx(path: Path, logs: Sequence[Log]) -> None:
    """Two channels in one sheet, line by line as they were logged."""
    header = ["Channel", "Test Time (s)", "Date Time", "Cycle Number", "Voltage (V)", "Current (A)", "Temperature (C)"]
    rows = [
        (channel, float(t), (log.start + timedelta(seconds=float(t))).strftime("%Y-%m-%d %H:%M:%S"), int(n), float(v),
         float(a), float(c))
        for channel, log in enumerate(logs, 1)
        for t, n, v, a, c in zip(log.time_s, log.cycle, log.voltage_v, log.current_a, log.degc, strict=True)
    ]  # fmt: skip
    write_xlsx(path, header, sorted(rows, key=lambda row: (row[2], row[0])))


@dataclass(frozen=True)
class Text:
    """How a German logger writes: mA, positive when discharging, semicolons and decimal commas."""

    encoding: str = "latin-1"
    units_row: bool = False
    preamble: bool = False
    half_line: bool = False
    one_date: bool = False
    """A column with the date on which the test began, and one with the time of day, which passes midnight."""
    set_back: bool = False
    """Summer time ends in the middle of the test."""


def german_text(path: Path, log: Log, how: Text) -> None:
    """Date and time, V, mA."""
    lines = ["Prüfstand 7", f"Start: {log.start:%d.%m.%Y %H:%M:%S}", ""] if how.preamble else []
    lines.append("Datum;Uhrzeit;" if how.one_date else "Datum/Zeit;")
    lines[-1] += "Spannung [V];Strom [mA];Zyklus;Temperatur [°C]"
    if how.units_row:
        lines.append(";;V;mA;;°C" if how.one_date else ";V;mA;;°C")
    shown = log.time_s - np.where(how.set_back & (log.time_s > log.time_s[-1] / 2), 3600.0, 0.0)
    form = f"{log.start:%d.%m.%Y};%H:%M:%S" if how.one_date else "%d.%m.%Y %H:%M:%S"
    for t, v, a, n, c in zip(shown, log.voltage_v, log.current_a, log.cycle, log.degc, strict=True):
        stamp = (log.start + timedelta(seconds=float(t))).strftime(form)
        lines.append(f"{stamp};" + f"{v:.4f};{-1000.0 * a:.1f};{n};{c:.2f}".replace(".", ","))
    text = "\r\n".join(lines) + "\r\n"
    if how.half_line:
        text = text[: -len(lines[-1]) // 2]
    path.write_bytes(text.encode(how.encoding))


# --- the folder -----------------------------------------------------------------------------------------------------


def cut_short(log: Log) -> list[Log]:
    """A test that is stopped in its last discharge and gone on with half an hour later."""
    discharging = np.flatnonzero(log.current_a < -0.1)
    at = int(discharging[-40])
    first, second = log.part(0, at), log.part(at, log.time_s.size)
    return [first, replace(second, start=second.start + timedelta(minutes=30))]


def write_folder(folder: Path, files: int = 100, cycles: int = 8, seed: int = 7, max_cycles: int = 300) -> list[Path]:
    """Write ``files`` spreadsheets and text files (and some more of them twice) of four cells; returns their paths.

    files: at least 12; ``cycles`` in each. The same arguments write the same contents.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    third = files // 3
    alpha, beta = (logs_of(index, third, cycles, seed, max_cycles) for index in CELLS[:2])
    pair = [logs_of(index, files - 2 * third, cycles, seed, max_cycles) for index in CELLS[2:]]
    written = []
    # Names carry the number of an export, and exports were made in any order.
    for number, at in enumerate(chance.permutation(third)):
        path = folder / f"alpha_{number + 1:03d}.xlsx"
        log = alpha[at]
        if at == third // 2:
            # An export made while the test was running: the next one holds it again.
            arbin_xlsx(folder / f"alpha_{number + 1:03d}b.xlsx", log.part(0, log.time_s.size // 2))
            written.append(folder / f"alpha_{number + 1:03d}b.xlsx")
        arbin_xlsx(path, log)
        written.append(path)
    for number, at in enumerate(chance.permutation(third)):
        path = folder / f"beta_{number + 1:03d}.csv"
        how = Text(
            encoding="utf-16" if at % 7 == 3 else "utf-8-sig" if at % 7 == 5 else "latin-1", units_row=at % 5 == 1,
            preamble=at % 5 == 2, half_line=at % 6 == 4,
            one_date=at % 8 == 6, set_back=at % 8 == 7,
        )  # fmt: skip
        pieces = cut_short(beta[at]) if at == third // 3 else [beta[at]]
        for i, piece in enumerate(pieces):
            path = folder / f"beta_{number + 1:03d}{'x' * i}.csv"
            german_text(path, piece, how)
            written.append(path)
    for number, at in enumerate(chance.permutation(files - 2 * third)):
        logs = [tests[at] for tests in pair]
        path = folder / f"pair_{number + 1:03d}.xlsx"
        channels_xlsx(path, logs)
        written.append(path)
    copy = folder / "alpha_900.xlsx"
    copy.write_bytes((folder / "alpha_001.xlsx").read_bytes())
    return [*written, copy]


def main() -> None:
    """The command above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--cycles", type=int, default=8, help="cycles in each file")
    arguments = parser.parse_args()
    written = write_folder(arguments.folder, arguments.files, arguments.cycles)
    print(f"{len(written)} files in {arguments.folder}")


if __name__ == "__main__":
    main()
