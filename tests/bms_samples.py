"""Made-up samples for the tests of the BMS estimator: charges through a window, discharges, and streams gone wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgebat.bms.drive import Cycle
from edgebat.bms.samples import Samples, samples_array
from edgebat.data.readers.raw import RawCell
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import Sample

NOMINAL_MAH = 2000
KNOWN_SECONDS = 3850
"""A charge of this length takes 0.0836 of nominal per step: the middle of the tiny model's training data."""


def charge(
    low_mv: int = 3570, high_mv: int = 3730, *, ma: int = 1000, seconds: int = 3000, ticks: int = 300, ddegc: int = 250
) -> Samples:
    """A steady charge from ``low_mv`` to ``high_mv``."""
    mv = np.rint(np.linspace(low_mv, high_mv, ticks)).astype(int)
    return samples_array(mv, ma, seconds * 1000 // ticks, ddegc)


def discharge(ma: int = -2000, minutes: int = 40) -> Samples:
    """A steady discharge, a sample per minute."""
    return samples_array(np.linspace(4000, 3000, minutes).astype(int), ma, 60_000)


def rest(seconds: int = 5, mv: int = 3300, *, ddegc: int = 250, tick_ms: int = 1000) -> Samples:
    """Nothing happens, so many times."""
    return samples_array(np.full(seconds, mv), 0, tick_ms, ddegc)


def cycles(count: int, **settings: int) -> Samples:
    """So many discharges and charges."""
    return np.concatenate([part for _ in range(count) for part in (discharge(), rest(), charge(**settings), rest())])


def wild(seed: int, count: int = 4) -> Samples:
    """Cycles with noise, holes, clock jumps, invalid and impossible values, stuck sensors and flipped signs."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        part = charge(
            int(rng.integers(3500, 3650)),
            int(rng.integers(3660, 3800)),
            ma=int(rng.integers(20, 3000)),
            seconds=int(rng.integers(200, 6000)),
            ticks=int(rng.integers(3, 300)),
            ddegc=int(rng.integers(-300, 700)),
        )
        part["cell_mv"] += rng.normal(0, rng.choice([0, 1, 10]), len(part)).astype(np.int16)
        part["current_ma"] += rng.normal(0, rng.choice([0, 5, 300]), len(part)).astype(np.int32)
        faults = rng.random((6, len(part))) < rng.choice([0, 0.003, 0.05])
        part["valid"][faults[0]] = rng.integers(0, 8)
        part["dt_ms"][faults[1]] = rng.choice([0, 59_999, 60_001, 4_294_967_295])
        part["current_ma"][faults[2]] *= -1
        part["cell_mv"][faults[3]] = rng.choice([-32768, 0, 5000, 32767])
        part["current_ma"][faults[4]] = rng.choice([-(2**31), 2**31 - 1, 0])
        if rng.random() < 0.2:
            part["cell_mv"][len(part) // 2 :] = part["cell_mv"][len(part) // 2]
        down = discharge(int(rng.choice([-2000, -100, -1])), int(rng.integers(1, 60)))
        parts += [down, rest(int(rng.integers(1, 20))), part]
    return np.concatenate(parts)


def feed(counter: ChargeCounter, samples: Samples) -> list[list[int]]:
    """Push all samples; the rows that were completed, each taken at once."""
    rows = []
    for s in samples:
        counter.push(as_sample(s))
        if counter.row_ready:
            rows.append(list(counter.row))
            counter.row_ready = False
    return rows


def as_sample(s: np.void) -> Sample:
    """One element of a sample array as the Python estimator takes it."""
    valid = int(s["valid"])
    return Sample(
        int(s["cell_mv"]),
        int(s["current_ma"]),
        int(s["dt_ms"]),
        int(s["temperature_ddegc"]),
        bool(valid & 1),
        bool(valid & 2),
        bool(valid & 4),
    )


def raw_life(cell: RawCell, *, ddegc: int = 250, tick_ms: int | None = None) -> Iterator[Cycle]:
    """The recorded samples of a cell, cycle by cycle; ``tick_ms`` draws straight lines between them at that rate.

    A BMS samples every second, a cycler when the voltage has moved by some mV. On a 1 mV converter the latter costs
    accuracy: half a mV at every level.
    """
    before = float(cell.time_s[0])
    for number, rows in cell.cycles():
        time, volts, amps = cell.time_s[rows], cell.voltage_v[rows], cell.current_a[rows]
        if time[0] < before:  # time may start anew with every cycle
            before = float(time[0])
        if tick_ms is not None and time.size > 1:
            step = tick_ms / 1000
            at = np.arange(time[0], time[-1] + step / 2, step)
            volts, amps, time = np.interp(at, time, volts), np.interp(at, time, amps), at
        ms = np.rint(np.concatenate(([before], time)) * 1000)
        before = float(time[-1])
        yield Cycle(int(number), samples_array(np.rint(volts * 1000), np.rint(amps * 1000), np.diff(ms), ddegc))
