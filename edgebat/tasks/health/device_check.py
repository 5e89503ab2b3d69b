"""Whether the charge counter of a device would take a charge that a cycler file holds, and at which temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float64
from edgebat.cells import SECONDS_PER_HOUR
from edgebat.tasks.health.any_counter import ANY_LEAD_PART
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import ChargeEnd, Config, Sample
from edgebat.tasks.health.increments import CURRENT_FLOOR_C, WindowStatus
from edgebat.tasks.health.spec import HealthSpec

ANY_GAP_MS = 2**31 - 1
BEFORE = 2
"""Samples below the window that a counter needs to know its beginning."""
DDEGC = 10

REASONS = {
    ChargeEnd.STARTS_ABOVE: str(WindowStatus.STARTS_ABOVE),
    ChargeEnd.ENDS_BELOW: str(WindowStatus.ENDS_BELOW),
    ChargeEnd.INTERRUPTED: str(WindowStatus.INTERRUPTED),
    ChargeEnd.NOT_CONSTANT: str(WindowStatus.NOT_CONSTANT),
    ChargeEnd.SPARSE: str(WindowStatus.SPARSE),
    ChargeEnd.GAP: "samples are missing inside the window",
    ChargeEnd.STUCK: "the voltage stands still inside the window while charge flows",
    ChargeEnd.IMPLAUSIBLE: "the voltage drops inside the window while charge flows",
}
"""What a device says of a charge that it does not use, in the words of the command line."""
NO_ROW = "no charge through the window, as a device counts"


@dataclass(frozen=True)
class DeviceVerdict:
    """What the counter makes of a charge."""

    reason: str
    """Why it does not use it; "" where it does."""
    degc: float | None
    """Mean temperature inside the window, degC; None where no sample has one."""
    rate_c: float = 0.0
    """Mean current inside the window, C, to 0.001."""


def device_verdict(
    time_s: Float64,
    voltage_v: Float64,
    current_a: Float64,
    temperature_degc: Float64 | None,
    nominal_ah: float,
    spec: HealthSpec,
    max_gap_ms: int | None = None,
) -> DeviceVerdict:
    """Push the samples [S] (s, V, A charging positive, degC or NaN) of one charge through the counter of the firmware, in
    its mV, mA and ms and with its default settings. max_gap_ms: a longer hole ends the measurement; None: none does.

    The charge is one that ``charge_increments`` takes; only samples around the window are looked at.
    """
    seen = _around_window(voltage_v, current_a > 0.0, spec)
    ms = np.rint(time_s[seen] * 1000.0)
    steps = np.diff(ms, prepend=ms[0])
    degrees = np.full(ms.size, np.nan) if temperature_degc is None else temperature_degc[seen]
    valid = np.isfinite(degrees)
    ddegc = np.rint(np.where(valid, degrees, 0.0) * DDEGC)
    columns = (np.rint(voltage_v[seen] * 1000.0), np.rint(current_a[seen] * 1000.0), steps, ddegc)
    counter = _counter(nominal_ah, spec, max_gap_ms)
    for mv, ma, dt_ms, temperature, known in zip(
        *(column.astype(np.int64).tolist() for column in columns), valid.tolist(), strict=True
    ):
        counter.push(Sample(mv, ma, dt_ms, temperature, temperature_valid=known))
        if counter.row_ready:
            degc = None if counter.row_ddegc is None else counter.row_ddegc / DDEGC
            return DeviceVerdict("", degc, counter.row_rate_mc / 1000)
    # After a hole the counter begins anew, within the window.
    end = ChargeEnd.GAP if (steps > counter.config.max_gap_ms).any() else counter.reason
    return DeviceVerdict(REASONS.get(end, NO_ROW), None)


def windows_read(
    time_s: Float64,
    voltage_v: Float64,
    current_a: Float64,
    nominal_ah: float,
    spec: HealthSpec,
    max_gap_ms: int | None = None,
) -> Bool:
    """[starts] through which of the windows of ``spec.starts_v`` a device reads the charges among the samples of a cycle:
    each from the lowest start above the voltage it has come to once a tenth of nominal has flowed, and from there on."""
    read = np.zeros(len(spec.starts_v), dtype=np.bool_)
    charging = current_a > CURRENT_FLOOR_C * nominal_ah
    together = charging[1:] & charging[:-1]
    if max_gap_ms is not None:
        together &= np.rint(np.diff(time_s) * 1000.0) <= max_gap_ms
    for run in np.split(np.arange(len(time_s)), np.flatnonzero(~together) + 1):
        volts, current = voltage_v[run], current_a[run]
        taken_as = np.cumsum(np.diff(time_s[run], prepend=time_s[run[0]]) * (current + np.roll(current, 1)) / 2.0)
        lead = taken_as * ANY_LEAD_PART < nominal_ah * SECONDS_PER_HOUR
        if charging[run[0]] and not lead.all():
            begins_v = np.rint(volts[lead][-1] * 1000.0) / 1000.0
            first = next((n for n, start_v in enumerate(spec.starts_v) if start_v > begins_v + 1e-9), None)
            read |= False if first is None else np.array(spec.chains[first])
    return read


def _counter(nominal_ah: float, spec: HealthSpec, max_gap_ms: int | None) -> ChargeCounter:
    config = Config(
        nominal_mah=max(round(nominal_ah * 1000.0), 1), max_gap_ms=ANY_GAP_MS if max_gap_ms is None else max_gap_ms
    )
    return ChargeCounter([round(level * 1e6) for level in spec.levels_v], config)


def _around_window(voltage_v: Float64, charging: Bool, spec: HealthSpec) -> slice:
    """The samples of the charge that reaches the window's end, from shortly below the window to shortly above."""
    end = int(np.argmax(charging & (voltage_v >= spec.window_end_v)))
    rests = np.flatnonzero(~charging[:end])
    # Noise dips below the first level once more: begin before it was reached for the first time.
    first = int(rests[-1]) + 1 if rests.size else 0
    reached = first + int(np.argmax(voltage_v[first : end + 1] >= spec.window_start_v))
    return slice(max(reached - BEFORE, first), end + 1)
