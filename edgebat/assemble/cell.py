"""One cell out of its files: samples joined, cycles counted, capacities and curves, and everything that was noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, Int64, StrArray
from edgebat.assemble.capacity import REAL_CHARGE, CycleTable, count_cycles, label_kinds
from edgebat.assemble.clocks import typical_step_s
from edgebat.assemble.curves import charge_curve, discharge_curve, spoilt_below, voltage_grid
from edgebat.assemble.cycles import Runs, counted_ah, device_cycles, file_cycles, runs_of
from edgebat.assemble.findings import Finding, plural
from edgebat.assemble.joining import Piece, Samples, join_pieces
from edgebat.assemble.settings import AddSettings
from edgebat.cells import SECONDS_PER_HOUR, CellKey
from edgebat.data.plausible import (
    SOH_RANGE,
    VOLTAGE_REMEDY,
    capacity_jump,
    curve_fault,
    soh_fault,
    suspected,
    voltage_fault,
)
from edgebat.errors import DataError
from edgebat.tasks.health.increments import WindowStatus

GAP_S = 60.0
"""A longer time between samples, also against what is usual, hides what the current did."""
GAP_TIMES = 5.0
LOST_CHARGE = 0.02
"""Gaps that together may hide more than this part of nominal capacity make a discharge unusable."""
EARLY_CYCLES = 200
"""Discharge curves are kept of the first cycles, which is what tells of a cell's life."""
QV_POINTS = 200
COARSE = 0.02
"""A sample of a discharge that holds more than this part of nominal capacity makes its end too uncertain."""
NOTHING = 0.01
"""So little of nominal capacity is no discharge."""
COUNTER_TOLERANCE = 0.1
"""The file's own counter of charge may differ by this much from current times time."""


@dataclass(frozen=True)
class BuiltCell:
    """What the corpus holds of one cell; [C] per cycle, [M] per charge curve, [K] per whole early discharge."""

    key: CellKey
    nominal_ah: float
    facts: dict[str, object]
    """Columns of ``cells.csv``."""
    table: CycleTable
    kinds: StrArray
    """[C] ``label_kinds``."""
    charge_cycle: Int64
    voltage_v: Float64
    """[V] grid of the charge curves."""
    charge_dq_ah: Float32
    """[M, V]"""
    qv_cycle: Int64
    qv_v: Float64
    """[200] falling."""
    qv_ah: Float32
    """[K, 200]"""
    reasons: dict[str, int]
    """Why charges gave no curve, counted."""
    findings: list[Finding]

    @property
    def measured(self) -> Bool:
        """[C] cycles whose capacity counts; of a simulated cell also those between simulated cycles."""
        measured: Bool = np.isin(self.kinds, ("measured", "interpolated"))
        return measured


def nominal_of(cell: str, pieces: Sequence[Piece], facts: dict[str, object], settings: AddSettings) -> float:
    """The nominal capacity: of the table, of the command, or as all files state it. Raises DataError when nobody does."""
    stated = facts.get("nominal_capacity_ah", settings.nominal_ah)
    if stated is not None:
        return float(stated)  # type: ignore[arg-type]
    of_files = {piece.records.nominal_ah for piece in pieces if piece.records.nominal_ah}
    if len(of_files) == 1:
        return float(of_files.pop() or 0.0)
    raise DataError(
        f"cell {cell}: its nominal capacity is not stated"
        + (f" alike by its files ({sorted(map(str, of_files))} Ah)" if of_files else "")
        + f"; {_largest_discharge(pieces)}give that of the data sheet: --nominal-ah 3.5, or a column of --cells"
    )


def _largest_discharge(pieces: Sequence[Piece]) -> str:
    """What flows between two real charges, at most; over all samples the errors of the charges would add up."""
    largest = 0.0
    for piece in pieces:
        record = piece.records
        step = np.maximum(np.diff(record.time_s), 0.0) * (record.current_a[1:] + record.current_a[:-1]) / 7200.0
        if not step.size:
            continue
        step = np.nan_to_num(step)
        runs = np.add.reduceat(step, np.concatenate(([0], np.flatnonzero(np.diff(step > 0.0)) + 1)))
        real = (runs > 0.0) & (runs >= REAL_CHARGE * runs.max())
        largest = max(largest, float(np.bincount(np.cumsum(real), np.where(real, 0.0, -runs)).max()))
    return f"about {largest:.2g} Ah flow in its largest discharge; " if largest > 0.0 else ""


def build_cell(key: CellKey, pieces: Sequence[Piece], facts: dict[str, object], settings: AddSettings) -> BuiltCell:
    """A cell out of the channels of its files. Raises DataError with the cell's name when it cannot be told or believed."""
    name = key[1]
    nominal = nominal_of(name, pieces, facts, settings)
    samples, findings = join_pieces(name, pieces, settings.order)
    if fault := voltage_fault(samples.voltage_v):
        raise DataError(f"cell {name} ({samples.files[0]}): {fault}; state it: {VOLTAGE_REMEDY}")
    wide, unseen = _gaps(samples, nominal)
    counted = counted_ah(samples, wide)
    runs = runs_of(samples.current_a, counted, wide, nominal)
    cycle, more = _numbered(samples, runs, nominal, settings.cycles)
    findings += more
    runs = runs_of(samples.current_a, counted, wide, nominal, np.flatnonzero(np.diff(cycle)) + 1)
    lost = LOST_CHARGE * nominal
    table = count_cycles(cycle, runs, samples.time_s, samples.voltage_v, samples.temperature_degc, unseen, lost)
    kinds = label_kinds(table)
    _check_units(name, table, kinds, nominal, samples, counted)
    findings += _flagged(table, kinds, nominal)
    grid = voltage_grid(float(np.quantile(samples.voltage_v, 0.001)), float(samples.voltage_v.max()))
    curve_cycle, dq, reasons = _charge_curves(samples, counted, runs, table, wide, grid, nominal)
    if fault := curve_fault(np.nanmax(dq, axis=1, initial=0.0), nominal):
        raise DataError(f"cell {name} ({samples.files[0]}): {fault}")
    qv_cycle, qv_v, qv = _discharge_curves(samples, counted, table, kinds)
    known = facts | {"nominal_capacity_ah": nominal}
    known.setdefault("chemistry", settings.chemistry or "not stated")
    protocol = _protocol(samples, runs, table, nominal)
    known.setdefault("charge_protocol", protocol or "not stated")
    if "temperature_c" not in known:
        known["temperature_c"], judged = _temperature(samples, settings)
        findings += judged
    return BuiltCell(
        key, nominal, known, table, kinds, curve_cycle, grid, dq.astype(np.float32), qv_cycle, qv_v,
        qv.astype(np.float32), reasons, findings,
    )  # fmt: skip


def _numbered(samples: Samples, runs: Runs, nominal: float, rule: str) -> tuple[Int64, list[Finding]]:
    device = device_cycles(runs, len(samples), nominal)
    if rule == "file":
        own, findings = file_cycles(samples, runs)
        if own[-1] - own[0] != device[-1] - device[0]:
            text = f"the files count {own[-1] - own[0] + 1} cycles, the device would count {device[-1]}"
            findings.append(Finding("warning", text))
        return own, findings
    found = Finding("judged", f"{plural(int(device[-1]), 'cycle')} by the device's rule")
    stated = samples.file_cycle
    if (stated >= 0).all():
        own, _ = file_cycles(samples, runs)
        if own[-1] - own[0] + 1 != device[-1]:
            found = Finding("judged", f"{found.text}; the files' numbers would give {own[-1] - own[0] + 1}")
    return device, [found]


def _gaps(samples: Samples, nominal: float) -> tuple[Bool, Float64]:
    """[S] samples before which time passed unseen, and the charge in Ah that may have flowed meanwhile; all of a capacity
    where it is not known how much time passed."""
    step = np.diff(samples.time_s, prepend=samples.time_s[:1])
    wide = (step > max(GAP_S, GAP_TIMES * typical_step_s(samples.time_s))) | samples.blind
    before = np.concatenate((samples.current_a[:1], samples.current_a[:-1]))
    flow = np.maximum(np.abs(samples.current_a), np.abs(before))
    moving = np.minimum(np.abs(samples.current_a), np.abs(before)) > 0.02 * nominal
    charge = np.where(samples.blind, nominal, flow * step / SECONDS_PER_HOUR)
    return wide, np.where(wide & moving, charge, 0.0)


def _check_units(
    name: str, table: CycleTable, kinds: StrArray, nominal: float, samples: Samples, counted: Float64
) -> None:
    moved = float((np.maximum.accumulate(counted) - counted).max())
    if moved <= NOTHING * nominal < float(np.ptp(counted)):
        raise DataError(
            f"cell {name} ({samples.files[0]}): it is charged and never discharged in these files; a capacity is what "
            "a whole discharge gives. Add the files of its discharges, or name the column that holds their current"
        )
    if moved < SOH_RANGE[0] * nominal:
        raise DataError(
            f"cell {name} ({samples.files[0]}): no discharge gives more than {moved:.4g} Ah, {moved / nominal:.4g} of the "
            f"nominal {nominal:g} Ah; at least {SOH_RANGE[0]:g} is needed. Suspected: {suspected(moved / nominal)}"
        )
    given = np.where(kinds == "measured", table.discharge_ah, np.nan)
    if fault := soh_fault(given if np.isfinite(given).any() else table.discharge_ah, nominal):
        raise DataError(
            f"cell {name} ({samples.files[0]}): {fault}. State it: --set current_unit=mA, --set time_unit=min, or another "
            "--nominal-ah"
        )
    for own, sense, what in ((samples.discharge_ah, -1.0, "discharge"), (samples.charge_ah, 1.0, "charge")):
        rise = np.diff(own)
        flow = sense * np.diff(counted)
        use = np.isfinite(rise) & (rise > 0.0) & (flow > 0.0)
        if use.sum() < 20:
            continue
        ratio = float(flow[use].sum() / rise[use].sum())
        if abs(ratio - 1.0) > COUNTER_TOLERANCE:
            cause = (
                "Suspected: " + suspected(ratio)
                if not 0.3 < ratio < 3.0
                else "Current, time or counter is of another cell or unit"
            )
            raise DataError(
                f"cell {name}: current times time gives {ratio:.4g} times the {what} capacity that the files count "
                f"themselves; 1 within {COUNTER_TOLERANCE:.0%} is needed. {cause}"
            )


WORDS = {
    "partial": "discharges that are not whole", "gap": "discharges with a gap in the samples",
    "rate": "discharges at another rate than usual", "none": "cycles without a discharge",
}  # fmt: skip


def _flagged(table: CycleTable, kinds: StrArray, nominal: float) -> list[Finding]:
    counts = Counter(kinds.tolist())
    findings = [Finding("flagged", f"{counts[kind]} {text}") for kind, text in WORDS.items() if counts[kind]]
    whole = table.discharge_ah[kinds == "measured"]
    findings += _doubts(table, kinds, nominal)
    if not whole.size:
        findings.append(Finding("warning", "no whole discharge, so no capacity: the cell teaches nothing"))
    elif float(whole[:5].mean()) < 0.7 * nominal:
        findings.append(
            Finding("warning", f"its first capacities are {whole[:5].mean() / nominal:.0%} of nominal: an aged cell, cycles "
                    "that are partial throughout, or another nominal capacity")
        )  # fmt: skip
    return findings


def _doubts(table: CycleTable, kinds: StrArray, nominal: float) -> list[Finding]:
    """What speaks against the capacities of one cell: they are coarse, or jump as one cell's do not."""
    rows = np.flatnonzero(kinds == "measured")
    found = []
    if rows.size:
        coarse = float(np.median(table.sample_ah[rows])) / nominal
        if coarse > COARSE:
            text = (
                f"a sample of a discharge holds {coarse:.1%} of nominal: capacities are known to half of that at best"
            )
            found.append(Finding("warning", text))
    if jump := capacity_jump(table.cycle[rows], table.discharge_ah[rows], nominal):
        found.append(Finding("warning", f"{jump}: two cells under one name?"))
    return found


def _charge_curves(
    samples: Samples, counted: Float64, runs: Runs, table: CycleTable, wide: Bool, grid: Float64, nominal: float
) -> tuple[Int64, Float64, dict[str, int]]:
    cycles, curves, reasons = [], [], Counter[str]()
    charging = runs.direction > 0
    starts, stops, charge = runs.start[charging], runs.stop[charging], runs.charge_ah[charging]
    bounds = np.append(np.searchsorted(starts, table.start), starts.size).tolist()
    for row, number in enumerate(table.cycle.tolist()):
        mine = np.arange(bounds[row], bounds[row + 1])
        if not mine.size:
            reasons[str(WindowStatus.NO_CHARGE)] += 1
            continue
        longest = mine[int(np.argmax(charge[mine]))]
        part = slice(int(starts[longest]), int(stops[longest]))
        parts = list(zip(starts[mine].tolist(), stops[mine].tolist(), strict=True))[: longest - mine[0] + 1]
        spoilt_v = spoilt_below(samples.time_s, samples.voltage_v, counted, parts, nominal)
        curve, status = charge_curve(
            samples.voltage_v[part], samples.current_a[part], counted[part], wide[part], grid, spoilt_v
        )
        if status is WindowStatus.OK:
            cycles.append(number)
            curves.append(curve)
        else:
            reasons[str(status)] += 1
    return np.array(cycles, np.int64), np.array(curves).reshape(-1, grid.size), dict(reasons)


def _discharge_curves(
    samples: Samples, counted: Float64, table: CycleTable, kinds: StrArray
) -> tuple[Int64, Float64, Float64]:
    whole = np.flatnonzero((kinds == "measured") & (table.cycle <= EARLY_CYCLES))
    if not whole.size:
        return np.zeros(0, np.int64), np.zeros(QV_POINTS), np.zeros((0, QV_POINTS))
    grid = np.linspace(np.median(table.highest_v[whole]), np.median(table.lowest_v[whole]), QV_POINTS).round(3)
    curves = [discharge_curve(samples.voltage_v[a:b], counted[a:b], grid) for a, b in table.discharge[whole].tolist()]
    return table.cycle[whole], grid, np.array(curves)


def _protocol(samples: Samples, runs: Runs, table: CycleTable, nominal: float) -> str | None:
    """The charge as measured, to the next 0.05 V, such as "CC 0.5C to 4.2 V"; None when the charges are too different."""
    charging = (runs.direction > 0) & (runs.charge_ah > 0.3 * nominal)
    if not charging.any():
        return None
    rates = [
        float(np.median(samples.current_a[a : a + max(3, (b - a) // 3)])) / nominal
        for a, b in zip(runs.start[charging].tolist(), runs.stop[charging].tolist(), strict=True)
    ]
    rate = float(np.median(rates))
    if float(np.quantile(np.abs(np.array(rates) - rate), 0.8)) > 0.1 * rate:
        return None
    top = float(np.nanmedian(table.highest_v)) if np.isfinite(table.highest_v).any() else float(samples.voltage_v.max())
    return f"CC {round(rate, 2 if rate < 1 else 1):g}C to {round(0.05 * round(top / 0.05), 2):g} V"


def _temperature(samples: Samples, settings: AddSettings) -> tuple[float, list[Finding]]:
    if settings.temperature_degc is not None:
        return settings.temperature_degc, []
    known = samples.temperature_degc[np.isfinite(samples.temperature_degc)]
    if not known.size:
        return float("nan"), []
    median = float(np.median(known))
    rounded = 5.0 * round(median / 5.0)
    text = (
        f"temperature {rounded:g} degC: the median of the samples, {median:.1f} degC, to the next 5; nobody states it"
    )
    return rounded, [Finding("judged", text)]
