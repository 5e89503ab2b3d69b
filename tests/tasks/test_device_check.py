"""``predict`` takes the charges that the counter of the firmware takes, for the same reasons."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.arrays import Float64
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import Config, Sample
from edgebat.tasks.health.device_check import REASONS, device_verdict
from edgebat.tasks.health.spec import HealthSpec

SPEC = HealthSpec()
NOMINAL_AH = 2.0
Charge = tuple[Float64, Float64, Float64]


def charge(step_s: float = 20.0) -> Charge:
    """Rest, then 3.5 to 3.75 V at 1 A in an hour: time, voltage, current."""
    time = np.arange(0.0, 3700.0, step_s)
    voltage = 3.5 + np.maximum(time - 100.0, 0.0) * 0.25 / 3600.0
    return time, voltage, np.where(time < 100.0, 0.0, 1.0)


def thinned(time: Float64, voltage: Float64, current: Float64) -> Charge:
    """Without the samples between 3.62 and 3.66 V."""
    keep = (voltage < 3.62) | (voltage > 3.66)
    return time[keep], voltage[keep], current[keep]


def dropping(time: Float64, voltage: Float64, current: Float64) -> Charge:
    """40 mV lower from the middle of the window on."""
    return time, np.where(voltage > 3.65, voltage - 0.04, voltage), current


def standing(time: Float64, voltage: Float64, current: Float64) -> Charge:
    """Charge flows for an hour while the voltage stands at 3.65 V."""
    at = int(np.argmax(voltage > 3.65))
    hour = np.arange(20.0, 3600.0, 20.0)
    return (np.concatenate([time[:at], time[at] + hour, time[at:] + 3600.0]),
            np.concatenate([voltage[:at], np.full(hour.size, 3.65), voltage[at:]]),
            np.concatenate([current[:at], np.ones(hour.size), current[at:]]))  # fmt: skip


def wandering(time: Float64, voltage: Float64, current: Float64) -> Charge:
    """A fifth less current in the upper half of the window."""
    return time, voltage, np.where(voltage > 3.65, 0.8 * current, current)


def by_the_firmware(time: Float64, voltage: Float64, current: Float64) -> str:
    """What the counter says that is given every sample."""
    counter = ChargeCounter([round(level * 1e6) for level in SPEC.levels_v], Config(2000, max_gap_ms=2**31 - 1))
    steps = np.diff(time, prepend=0.0)
    for volts, amperes, seconds in zip(voltage, current, steps, strict=True):
        counter.push(Sample(round(volts * 1000), round(amperes * 1000), round(seconds * 1000)))
    return "" if counter.row_ready else REASONS[counter.reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (None, ""),
        (thinned, "too few samples inside the window"),
        (dropping, "the voltage drops inside the window while charge flows"),
        (standing, "the voltage stands still inside the window while charge flows"),
        (wandering, "the current is not constant inside the window"),
    ],
)
def test_a_charge_is_judged_as_by_the_firmware(change: object, reason: str) -> None:
    samples = change(*charge()) if callable(change) else charge()
    assert device_verdict(*samples, None, NOMINAL_AH, SPEC).reason == reason
    assert by_the_firmware(*samples) == reason


def test_a_hole_ends_a_measurement_where_the_device_says_so() -> None:
    samples = charge(step_s=50.0)
    assert device_verdict(*samples, None, NOMINAL_AH, SPEC, max_gap_ms=50_000).reason == ""
    verdict = device_verdict(*samples, None, NOMINAL_AH, SPEC, max_gap_ms=49_999)
    assert verdict.reason == "samples are missing inside the window"


def test_the_temperature_is_the_mean_inside_the_window() -> None:
    time, voltage, current = charge()
    inside = (voltage >= 3.6) & (voltage <= 3.7)
    degrees = np.where(inside, 31.0, -10.0)
    degrees[np.flatnonzero(inside)[3:9]] = np.nan
    assert device_verdict(time, voltage, current, degrees, NOMINAL_AH, SPEC).degc == 31.0
    assert device_verdict(time, voltage, current, np.full(time.size, np.nan), NOMINAL_AH, SPEC).degc is None
