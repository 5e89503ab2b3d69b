"""Cycle numbers: by the rule of the device's charge counter, or the cycler's own, continued where it restarts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool, Float64, Int64
from edgebat.assemble.clocks import typical_step_s
from edgebat.assemble.findings import Finding, plural
from edgebat.assemble.joining import Samples
from edgebat.cells import SECONDS_PER_HOUR
from edgebat.errors import DataError
from edgebat.tasks.health.charge_types import CURRENT_FLOOR, CYCLE_PART

PAUSE_TIMES = 1.5
"""A file that begins this many usual steps after the one before does not go on in the same breath."""


@dataclass(frozen=True)
class Runs:
    """Stretches of samples in which the current keeps its direction: [R] each, in order.

    ``start``, ``stop``: samples ``start:stop``; ``direction``: 1 charging, -1 discharging, 0 at rest; ``before_ah``,
    ``after_ah``: charge since the first sample, at the sample before a run and at the one after it: the current is switched
    somewhere between two samples. What flows there is of both runs.
    """

    start: Int64
    stop: Int64
    direction: Int64
    before_ah: Float64
    after_ah: Float64

    @property
    def charge_ah(self) -> Float64:
        """[R] of each run alone. Of neighbours it must not be added up: that counts twice what flows between them."""
        return self.after_ah - self.before_ah

    def some(self, first: int, stop: int) -> Runs:
        """The runs ``first:stop``."""
        rows = slice(first, stop)
        return Runs(self.start[rows], self.stop[rows], self.direction[rows], self.before_ah[rows], self.after_ah[rows])


def counted_ah(samples: Samples, wide: Bool) -> Float64:
    """[S] charge since the first sample by the trapezoidal rule, Ah; as on the device none in a gap (``wide``)."""
    step = np.diff(samples.time_s) * (samples.current_a[1:] + samples.current_a[:-1]) / (2.0 * SECONDS_PER_HOUR)
    step[wide[1:]] = 0.0
    counted: Float64 = np.concatenate(([0.0], np.cumsum(step)))
    return counted


def runs_of(current_a: Float64, counted: Float64, wide: Bool, nominal_ah: float, breaks: Int64 | None = None) -> Runs:
    """The runs of a cell; below nominal capacity / (50 h) it rests, as on the device.

    ``wide`` [S]: time passed unseen before a sample; ``breaks``: samples at which a run ends in any case.
    """
    floor = nominal_ah / CURRENT_FLOOR
    direction = np.where(current_a > floor, 1, np.where(current_a < -floor, -1, 0)).astype(np.int64)
    changes = np.flatnonzero(np.diff(direction)) + 1
    start = np.unique(np.concatenate(([0], changes, [] if breaks is None else breaks))).astype(np.int64)
    stop = np.append(start[1:], direction.size).astype(np.int64)
    before = np.where(wide[start], start, np.maximum(start - 1, 0))
    after = np.minimum(stop, direction.size - 1)
    after = np.where(wide[after], stop - 1, after)
    return Runs(start, stop, direction[start], counted[before], counted[after])


def device_cycles(runs: Runs, size: int, nominal_ah: float) -> Int64:
    """[size] cycle numbers from 1: a cycle is a charge of at least nominal / 20 after as much net discharge.

    As in ``ChargeCounter``, and in pieces as there; but a cycle starts where its charge does.
    """
    part = nominal_ah / CYCLE_PART
    begins = list[int]()
    charging, swing, begin = False, 0.0, -1
    flows = np.diff(runs.before_ah, append=runs.after_ah[-1:])
    for start, direction, flow in zip(runs.start.tolist(), runs.direction.tolist(), flows.tolist(), strict=True):
        swing = max(swing + (flow if charging else -flow), 0.0)
        if charging and direction > 0 and begin < 0:
            begin = start
        if swing == 0.0:
            begin = -1
        if swing >= part:
            if charging:
                begins.append(start if begin < 0 else begin)
            charging, swing, begin = not charging, 0.0, -1
    cycle = np.zeros(size, dtype=np.int64)
    cycle[begins] = 1
    return np.cumsum(cycle) + 1


def file_cycles(samples: Samples, runs: Runs) -> tuple[Int64, list[Finding]]:
    """[S] the files' own cycle numbers from 1, continued over the files. Raises DataError when a file has none."""
    number = samples.file_cycle
    if (number < 0).any():
        name = samples.files[int(samples.file[np.argmax(number < 0)])]
        raise DataError(f"{name} has no cycle numbers; number them as the device does: --cycles device")
    charging = np.zeros(number.size, dtype=np.bool_)
    begins = np.flatnonzero(np.concatenate(([True], np.diff(samples.file) != 0)))
    for begin in begins.tolist():
        later = np.flatnonzero((runs.stop > begin) & (runs.direction != 0))
        charging[begin] = bool(later.size) and runs.direction[later[0]] > 0
    rise = np.diff(number)
    # A file that starts again at the last file's number goes on in that cycle, unless it begins with a charge.
    anew = np.diff(samples.file) != 0
    paused = np.diff(samples.time_s) > PAUSE_TIMES * typical_step_s(samples.time_s)
    restarts = (rise < 0) | (anew & (rise == 0) & charging[1:] & paused)
    rise[restarts] = 1
    cycle = np.concatenate(([0], np.cumsum(rise))) + max(int(number[0]), 1)
    findings = []
    if restarts.any():
        findings.append(
            Finding("mended", f"the cycle number restarts {plural(int(restarts.sum()), 'time')}; it is continued")
        )
    return cycle.astype(np.int64), findings
