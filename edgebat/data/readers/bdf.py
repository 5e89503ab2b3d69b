"""Battery Data Format (Linux Foundation Energy), CSV flavour: ``*.bdf.csv``, also gzipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebat.data.readers.csv_map import header_of, read_csv_map
from edgebat.data.readers.raw import CurrentSign, RawCell
from edgebat.errors import DataError

COLUMNS = {
    "time": ("Test Time / s", "test_time_second"),
    "voltage": ("Voltage / V", "voltage_volt"),
    "current": ("Current / A", "current_ampere"),
}
CYCLE = ("Cycle Count / 1", "cycle_count")


def read_bdf(
    path: str | Path,
    sign: CurrentSign | str = CurrentSign.POSITIVE_IS_CHARGE,
    nominal_ah: float | None = None,
    cell_id: str | None = None,
) -> RawCell:
    """The cell of a BDF CSV file; columns by label ("Voltage / V") or machine name ("voltage_volt").

    BDF defines charging as positive; ``sign`` is there for files that do not keep to it, and is checked against the
    voltage in any case. Without "Cycle Count / 1" a cycle begins where charging follows discharging.
    Raises DataError naming the column that is missing, a value that is no number, or a wrong sign.
    """
    path = Path(path)
    header = header_of(path)
    found = {}
    for quantity, names in COLUMNS.items():
        present = [name for name in names if name in header]
        if not present:
            raise DataError(
                f"column {names[0]!r} is missing in {path.name}; found: {', '.join(header)}. "
                f"Map it, for instance with --map {quantity}=<column>:<factor>"
            )
        found[quantity] = present[0]
    cycle = [name for name in CYCLE if name in header]
    if cycle:
        found["cycle"] = cycle[0]
    return read_csv_map(path, found, sign, nominal_ah, cell_id)


def read_mapped(
    path: str | Path, mapping: Sequence[str], sign: CurrentSign | str, nominal_ah: float | None = None
) -> RawCell:
    """A cell from a CSV file whose columns are named on a command line.

    mapping: ``"current=I_mA:1e-3"`` names a column and its factor to s, V, A; columns that are not named are looked for
    under their BDF names. Raises DataError.
    """
    path = Path(path)
    header, columns = header_of(path), dict[str, str]()
    for entry in mapping:
        quantity, equals, column = entry.partition("=")
        if not equals:
            raise DataError(f"--map {entry!r} is not of the form quantity=column:factor, for example current=I_mA:1e-3")
        columns[quantity.strip()] = column
    for quantity, names in (*COLUMNS.items(), ("cycle", CYCLE)):
        present = [name for name in names if name in header]
        if quantity not in columns and (present or quantity in COLUMNS):
            columns[quantity] = (present or list(names))[0]
    return read_csv_map(path, columns, sign, nominal_ah)
