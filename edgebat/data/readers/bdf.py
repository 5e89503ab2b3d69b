"""Battery Data Format (Linux Foundation Energy), CSV flavour: ``*.bdf.csv``, also gzipped."""

from __future__ import annotations

from pathlib import Path

from edgebat.data.readers.csv_map import header_of, raw_cell, read_columns
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
    table = read_columns(path, list(found.values()))
    return raw_cell(path, {quantity: table[name] for quantity, name in found.items()}, sign, nominal_ah, cell_id)
