"""Tables of open-circuit voltages for ``edgebat_use_ocv``: made from slow charges and discharges, written as C.

``python -m edgebat.bms.ocv CELL.csv [CELL.csv ...] --name cell > cell_ocv.c`` reads columns ``voltage_v`` and ``charge_ah``
of one slow charge or discharge per file (C/20 or slower), of cells of one type.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.bms.rest import HUNDRED_PERCENT, SIGMA_CPCT, OcvTable
from edgebat.errors import DataError, EdgebatError

POINTS = 21
LEAST_SAMPLES = 20
SENSOR_MV = 3.0
"""Standard deviation of a voltage sensor that nobody has measured."""


def ocv_table(
    curves: Sequence[tuple[FloatArray, FloatArray]],
    points: int = POINTS,
    sigma_cpct: int = SIGMA_CPCT,
    reference_ah: float = 0.0,
) -> OcvTable:
    """The mean of slow charges and discharges of cells of one type; how far they lie apart is its error.

    curves: voltage in V and charge in Ah since the curve's beginning, [N] each; every curve runs from empty to full or
    back, so a charge and a discharge of the same cell cancel most of the hysteresis. reference_ah: what the model calls
    100 %; 0: what these cells hold. Raises DataError for a curve of fewer than 20 samples or without charge, and when the
    mean does not ascend.
    """
    if not curves:
        raise DataError("no slow charge and no slow discharge: give at least one curve of voltage over charge")
    soc = np.linspace(0.0, 1.0, points)
    rows = np.stack([_resampled(voltage, charge, soc) for voltage, charge in curves])
    mean = rows.mean(axis=0)
    spread = float(np.sqrt(rows.var(axis=0)[1:-1].mean())) if len(rows) > 1 else 0.0
    sigma = max(round(float(np.hypot(1000 * spread, SENSOR_MV))), 1)
    mv = tuple(int(v) for v in np.rint(1000 * mean))
    held_ah = float(np.mean([np.abs(charge[-1] - charge[0]) for _, charge in curves]))
    soh_cpct = round(10_000 * held_ah / reference_ah) if reference_ah else HUNDRED_PERCENT
    return OcvTable(mv, min(sigma, 1000), sigma_cpct, soh_cpct=soh_cpct)


def _resampled(voltage_v: FloatArray, charge_ah: FloatArray, soc: FloatArray) -> FloatArray:
    voltage, charge = np.asarray(voltage_v, float), np.asarray(charge_ah, float)
    moved = np.abs(charge - charge[:1])
    if voltage.shape != charge.shape or voltage.ndim != 1 or voltage.size < LEAST_SAMPLES or not moved[-1] > 0:
        raise DataError(
            f"a curve of {voltage.size} voltages and {charge.size} charges is no slow charge: give at least "
            f"{LEAST_SAMPLES} samples of both, from empty to full or back"
        )
    level = moved / moved[-1]
    if voltage[-1] < voltage[0]:
        level, voltage = 1.0 - level[::-1], voltage[::-1]
    return np.asarray(np.interp(soc, level, voltage))


def ocv_source(table: OcvTable, name: str) -> str:
    """The table as C: ``<name>_ocv``."""
    rows = [", ".join(str(v) for v in table.mv[i : i + 12]) for i in range(0, len(table.mv), 12)]
    values = ",\n    ".join(rows)
    shares = f"{table.unseen_percent}U, {table.aged_percent}U"
    errors = f"{table.sigma_mv}U, {table.sigma_cpct}U, {shares}, {table.soh_cpct}U"
    return f"""static const int16_t {name}_ocv_mV[{len(table.mv)}] = {{
    {values},
}};
const edgebat_ocv_t {name}_ocv = EDGEBAT_OCV({name}_ocv_mV, {len(table.mv)}U, {errors});
"""


def _read(path: Path) -> tuple[FloatArray, FloatArray]:
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        return np.array([float(r["voltage_v"]) for r in rows]), np.array([float(r["charge_ah"]) for r in rows])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no curve with columns voltage_v and charge_ah ({error})") from None


def main(arguments: list[str]) -> int:
    """The command at the top of this file; 2 for input that is no curve."""
    parser = argparse.ArgumentParser(prog="python -m edgebat.bms.ocv", description=__doc__)
    parser.add_argument("curves", nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--name", default="cell")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument(
        "--reference-ah", type=float, default=0.0, help="what the model calls 100 %%, unless it is this"
    )
    given = parser.parse_args(arguments)
    try:
        table = ocv_table([_read(path) for path in given.curves], given.points, reference_ah=given.reference_ah)
    except EdgebatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f'#include "edgebat/edgebat_ocv.h"\n\n{ocv_source(table, given.name)}', end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
