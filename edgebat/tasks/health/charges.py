"""The charges in a cycler file that a model may be asked about: those a device would take, and why not the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, Int64
from edgebat.ground import Ground, RowLimits
from edgebat.tasks.base import FileOptions
from edgebat.tasks.health.any_window import Row, gathered
from edgebat.tasks.health.device_check import device_verdict, windows_read
from edgebat.tasks.health.increments import charge_increments
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import input_windows, with_rate

if TYPE_CHECKING:
    from edgebat.data.readers.raw import RawCell

PPM = 1_000_000
SECONDS_PER_HOUR = 3600.0
MOST_CHARGED = 1.15
"""A whole charge of a sound cell takes no more, in nominal capacities."""
WHOLE_V = 0.8
"""A charge over so many volts is nearly a whole one."""
LEAST_CHARGED = 0.35
"""A cell that takes less than this over a whole charge is at the end of its life, or its nominal capacity is another's."""


@dataclass
class Charges:
    """What the cycles of one cell gave."""

    cycle: list[int] = field(default_factory=list)
    """Numbers of the cycles with a row."""
    rows: list[Float64] = field(default_factory=list)
    """Inputs of each, [columns]: increments, fractions of nominal capacity, and the rate where the model reads it."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> cycles without a row."""
    why: dict[int, str] = field(default_factory=dict)
    """Number of a cycle without a row -> reason."""
    refused: Counter[str] = field(default_factory=Counter)
    """The part of ``left_out`` that is sound and unlike what the model has learnt from."""
    rates_c: list[float] = field(default_factory=list)
    """Charging current inside the window of every sound charge, C."""
    degrees: list[float] = field(default_factory=list)
    """Temperature inside the window of every sound charge that has one, degC."""
    charged: list[float] = field(default_factory=list)
    """What charges over nearly the whole voltage took, in nominal capacities."""

    def leave_out(self, cycle: int, reason: str) -> None:
        """The cycle gives no row."""
        self.left_out[reason] += 1
        self.why[cycle] = reason

    def suspicion(self, ground: Ground) -> str:
        """What explains best that a model takes none of them."""
        whole = float(np.median(self.charged)) if self.charged else None
        if whole is not None and not LEAST_CHARGED <= whole <= MOST_CHARGED:
            return (
                f"a whole charge takes {whole:.2f} times the nominal capacity: cells in parallel, a current in another "
                "unit, or the nominal capacity of another cell"
            )
        allowed = ground.rows.temperature_ddegc
        degc = float(np.median(self.degrees)) if self.degrees else None
        if allowed and degc is not None and not allowed[0] <= 10 * degc <= allowed[1]:
            return (
                f"the file says that the cell is at {degc:.0f} degC; another unit (--set temperature_unit=F or K), or a "
                "sensor that is not connected"
            )
        rate = float(np.median(self.rates_c)) if self.rates_c else None
        if rate is not None and not ground.rows.knows_rate(rate):
            return f"the cell is charged at {rate:.2f} C, the model knows {ground.rows.rates}"
        known = "; ".join(ground.train.chemistries) or "those of its training cells"
        return f"a cell of another chemistry or make: the model knows {known}"


def read_charges(cell: RawCell, nominal_ah: float, spec: HealthSpec, how: FileOptions) -> Charges:
    """Cycle by cycle what a device that is given ``how.ground`` would measure and take."""
    from edgebat.data.readers.quality import window_fault

    found = Charges()
    step_v = (spec.window_end_v - spec.window_start_v) / spec.increments
    for number, samples in cell.cycles():
        time, voltage, current = cell.time_s[samples], cell.voltage_v[samples], cell.current_a[samples]
        row, status = charge_increments(time, voltage, current, nominal_ah, spec)
        reason = str(status) if row is None else window_fault(
            time, voltage, current, spec.window_start_v, spec.window_end_v, step_v)  # fmt: skip
        if row is None or reason:
            found.leave_out(number, reason)
            continue
        degrees = None if cell.temperature_degc is None else cell.temperature_degc[samples]
        device = device_verdict(time, voltage, current, degrees, nominal_ah, spec, how.max_gap_ms)
        if device.reason:
            found.leave_out(number, device.reason)
            continue
        found.rates_c.append(device.rate_c)
        found.degrees += [] if device.degc is None else [device.degc]
        if np.ptp(voltage[current > 0]) >= WHOLE_V:
            flow = np.maximum((current[1:] + current[:-1]) / 2.0, 0.0)
            found.charged.append(float((flow * np.diff(time)).sum()) / (SECONDS_PER_HOUR * nominal_ah))
        row = with_rate(row[None], device.rate_c, spec)[0]
        if refusal := how.ground.rows.refusal(_ppm(row), device.rate_c, device.degc):
            found.leave_out(number, refusal)
            found.refused[refusal] += 1
            continue
        found.cycle.append(number)
        found.rows.append(row)
    return found


def read_windows(
    cell: RawCell, nominal_ah: float, spec: HealthSpec, how: FileOptions, seam: int | None = None
) -> tuple[Charges, Float32, Int64]:
    """The charges, the inputs float32 [N, context, columns] they make, and the last cycle [N] of each; none of them spans
    the cycle ``seam``, with which another cell begins. Of any window: the input after the last row of each charge."""
    if seam is not None:
        apart = 1 + max(spec.max_gap, 0 if spec.one_window else spec.max_age)
        moved = replace(cell, cycle=cell.cycle + apart * (cell.cycle >= seam))
        found, x, cycle = read_windows(moved, nominal_ah, spec, how)
        return found, x, cycle - apart * (cycle >= seam + apart)
    if spec.one_window:
        found = read_charges(cell, nominal_ah, spec, how)
        numbers = np.array(found.cycle, dtype=np.int64)
        x, last = input_windows(numbers, np.array(found.rows).reshape(-1, spec.columns), spec)
        return found, x, numbers[last]
    how = replace(how, ground=replace(how.ground, rows=_of_one_window(how.ground.rows, spec)))
    parts = [read_charges(cell, nominal_ah, spec.beginning_at(start_v), how) for start_v in spec.starts_v]
    read = {
        number: windows_read(
            cell.time_s[own], cell.voltage_v[own], cell.current_a[own], nominal_ah, spec, how.max_gap_ms
        )
        for number, own in cell.cycles()
    }
    found, rows = _consecutive(parts, read, spec)
    x, cycle = gathered(rows, spec)
    last = np.flatnonzero(np.diff(cycle, append=cycle[-1:] + 1))
    return found, x[last], cycle[last]


def _consecutive(parts: Sequence[Charges], read: Mapping[int, Bool], spec: HealthSpec) -> tuple[Charges, list[Row]]:
    """What a device reads of charges through the windows of ``spec.starts_v``, one of ``parts`` for each; ``read``: through
    which of them the charges of each cycle go. A window that gives no row does not end a charge."""
    found, rows = Charges(), []
    for part in parts:
        found.rates_c += part.rates_c
        found.degrees += part.degrees
        found.charged += part.charged
    own = [dict(zip(part.cycle, part.rows, strict=True)) for part in parts]
    for cycle, windows in read.items():
        if not windows.any():
            found.leave_out(cycle, "a tenth of nominal flows before the first window, and none begins above")
        for start in np.flatnonzero(windows).tolist():
            start_v = spec.starts_v[start]
            if cycle in own[start]:
                rows.append(Row(cycle, start_v, own[start][cycle]))
            else:
                reason = parts[start].why[cycle]
                found.leave_out(cycle, f"{reason}, from {start_v:g} V")
                found.refused.update([reason] if reason in parts[start].refused else [])
    found.cycle = [row.cycle for row in rows]
    return found, rows


def _of_one_window(limits: RowLimits, spec: HealthSpec) -> RowLimits:
    """The limits of a row without the columns that say which window it is of."""

    def without(values: tuple[int, ...]) -> tuple[int, ...]:
        return (*values[: spec.increments], *values[spec.increments + 2 :])

    return replace(limits, low_ppm=without(limits.low_ppm), high_ppm=without(limits.high_ppm))


def _ppm(row: Float64) -> Int64:
    return np.clip(np.rint(row * PPM), -(2**31), 2**31 - 1).astype(np.int64)
