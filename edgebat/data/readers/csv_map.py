"""Any CSV: say which column is the time, the voltage and the current, and in what unit.

``read_csv_map("cell07.csv", {"time": "t/min:60", "voltage": "U_mV:1e-3", "current": "I_mA:1e-3"},
sign="positive_is_charge")``: after the last colon stands the factor to s, V and A.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign, number_cycles, signed, whole
from edgebat.errors import DataError

QUANTITIES = ("time", "voltage", "current")
OPTIONAL = ("cycle",)


def read_csv_map(
    path: str | Path,
    columns: Mapping[str, str],
    sign: CurrentSign | str,
    nominal_ah: float | None = None,
    cell_id: str | None = None,
) -> RawCell:
    """One cell from a CSV file (or ``.gz`` of one).

    ``columns``: for "time", "voltage", "current" and optionally "cycle" the column's name, with an optional unit
    factor after a colon. Without a cycle column a cycle begins where charging follows discharging.
    ``sign``: which direction the file calls positive; it is checked against the voltage.
    Raises DataError when a column is missing, a value is no number, or the sign is wrong.
    """
    path = Path(path)
    unknown = sorted(set(columns) - {*QUANTITIES, *OPTIONAL})
    absent = [name for name in QUANTITIES if name not in columns]
    if unknown or absent:
        raise DataError(f"the column map has {sorted(columns)}; needed: {list(QUANTITIES)}, optional: {list(OPTIONAL)}")
    wanted = {name: _name_and_factor(text) for name, text in columns.items()}
    table = read_columns(path, [name for name, _ in wanted.values()])
    values = {name: table[column] * factor for name, (column, factor) in wanted.items()}
    current = signed(values["current"], sign)
    cell = RawCell(
        cell_id=cell_id or path.name.split(".")[0],
        time_s=values["time"],
        voltage_v=values["voltage"],
        current_a=current,
        cycle=whole(values["cycle"], path.name) if "cycle" in values else number_cycles(current),
        nominal_ah=nominal_ah,
        source=path.name,
    )
    check_sign(cell)
    return cell


def header_of(path: Path) -> list[str]:
    """The names in the first line. Raises DataError when the file is missing, empty or not text."""
    with _open(path) as stream:
        try:
            return [name.strip() for name in next(csv.reader(stream))]
        except StopIteration:
            raise DataError(f"{path} is empty") from None
        except (UnicodeDecodeError, csv.Error, OSError, EOFError) as error:
            raise DataError(f"{path} cannot be read as CSV: {error}") from None


def read_columns(path: Path, names: list[str]) -> dict[str, Float64]:
    """The named columns as float64 [rows]; blank lines are skipped. Raises DataError naming column and line."""
    header = header_of(path)
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(
            f"column {', '.join(map(repr, missing))} is missing in {path.name}; found: {', '.join(header)}. "
            "Say which column it is, for instance with --map current=I_mA:1e-3"
        )
    at = [header.index(name) for name in names]
    rows: list[list[float]] = []
    with _open(path) as stream:
        reader = csv.reader(stream)
        try:
            next(reader)
            for row in reader:
                if row:
                    rows.append([float(row[i]) for i in at])
        except IndexError:
            raise DataError(f"{path.name}, line {reader.line_num}: {len(row)} values, {len(header)} columns") from None
        except ValueError:
            bad = next(i for i in at if not _is_number(row[i]))
            raise DataError(
                f"{path.name}, line {reader.line_num}: {row[bad]!r} in column {header[bad]!r} is no number"
            ) from None
        except (csv.Error, OSError, EOFError) as error:
            raise DataError(f"{path} cannot be read as CSV: {error}") from None
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    table = np.array(rows, dtype=np.float64)
    return {name: table[:, i] for i, name in enumerate(names)}


def _name_and_factor(text: str) -> tuple[str, float]:
    name, colon, factor = text.rpartition(":")
    # Another colon belongs to the column's name.
    return (name, float(factor)) if colon and _is_number(factor) else (text, 1.0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _open(path: Path) -> io.TextIOWrapper:
    try:
        if path.suffix == ".gz":
            return io.TextIOWrapper(gzip.GzipFile(path), encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from None
