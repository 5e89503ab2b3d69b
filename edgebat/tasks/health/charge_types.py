"""The battery, its samples and the limits by which they are counted: shared by ``charge_counter`` and its readers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

CURRENT_FLOOR = 50
"""A cell rests when its current is not above nominal capacity / (50 h)."""
CYCLE_PART = 20
"""A cycle is a net charge of at least nominal capacity / 20 after as much net discharge."""
PULSE_PART = 100
"""A charge of less than nominal capacity / 100 is a pulse, of which nobody asks how it ended."""
LACK_PART, LEAD_PART = 1000, 40
"""So much of nominal capacity may be missing in the first level, and so much below it shows that none is."""
SPREAD_PART = 20
"""Of the one-hour current: a current that wanders by less is constant, whatever its middle."""
HOLD_MS = 10_000
"""So long a cell must stay full or empty: one sample may be a pulse."""
MOST_ANCHOR_MS = 172_800_000
"""After two days an offset of the sensor has become capacity."""
PARKED_MS = 60_000
"""So long without current a cell is parked."""
CALM = 60_001
"""Where ``rest_ms`` stands when the voltage has come to a halt as well."""
USE_PART = 186
"""A twentieth of nominal capacity, in steps of ``ChargeCounter.use``: then what was used is worth saving."""
RELAXED_MV = 50
"""A full cell's voltage may relax by so much once the charger has stopped."""
COUNTED_DDEGC = (100, 500)
"""Counting needs temperatures between these: a cold cell gives less than it holds."""
RATE_SIGMA_CPCT = 800
"""So much more is the deviation of a count that ended empty at the one-hour current."""
COUNT_MS_PER_CPCT = 360_000
"""An offset of the sensor of a thousandth of the one-hour current: 0.1 % per hour."""
SEEN_MS = 5000
"""In a longer step nobody has seen when current began or ended."""
MOST_COUNT_SIGMA = 3000
PER_MAH = 7_200_000
"""A mAh in the unit of the counters, twice mA * ms: the trapezoidal rule adds two currents."""
MOST_THROUGHPUT = 2**63
INT32_MAX = 2**31 - 1
UINT16_MAX = 2**16 - 1
UINT32_MAX = 2**32 - 1
UNKNOWN = 0xFFFF
LEAST_DDEGC, MOST_DDEGC = -600, 1200
"""What no cell is, is a broken sensor."""
LEAST_SOH_CPCT, MOST_SOH_CPCT = 1000, 15_000
"""An SOH beyond these is no estimate."""


class ChargeEnd(IntEnum):
    """What became of the last charge; ``edgebat_charge_t`` of the C header."""

    OK = 0
    STARTS_ABOVE = 1
    ENDS_BELOW = 2
    INTERRUPTED = 3
    NOT_CONSTANT = 4
    SPARSE = 5
    GAP = 6
    STUCK = 7
    IMPLAUSIBLE = 8
    NONE = 9
    REPEATED = 10
    RATE = 11


class Phase(IntEnum):
    """Where a charge is."""

    NONE = 0
    BELOW = 1
    INSIDE = 2
    OVER = 3


class Anchor(IntEnum):
    """Where the counting of ampere-hours began."""

    NONE = 0
    FULL = 1
    EMPTY = 2


@dataclass(frozen=True)
class Config:
    """The battery and its sensors, in mV, mA, mAh, ms, ppm and 0.01 %; ``edgebat_config_t`` of the C header."""

    nominal_mah: int
    reference_mah: int = 0
    """0: the nominal capacity."""
    discharge_positive: bool = False
    max_current_ma: int = 0
    """0: twenty times the one-hour current."""
    min_mv: int = 1000
    max_mv: int = 4500
    full_mv: int = 0
    cutoff_ma: int = -1
    """-1: a twentieth of the one-hour current."""
    empty_mv: int = 0
    max_drop_mv: int = 30
    max_gap_ms: int = 60_000
    stuck_ppm: int = 100_000
    invalid_ms: int = 10_000
    stale_cycles: int = 50
    slew_cpct_h: int = 20
    rated_cycles: int = 0
    counting_cpct: int = 300

    def __post_init__(self) -> None:
        if self.reference_mah == 0:
            object.__setattr__(self, "reference_mah", self.nominal_mah)
        if self.max_current_ma == 0:
            object.__setattr__(self, "max_current_ma", min(20 * self.nominal_mah, 2_000_000))
        if self.cutoff_ma < 0:
            object.__setattr__(self, "cutoff_ma", self.nominal_mah // 20)


@dataclass
class SinceRest:
    """What flowed since the last rest with a known state of charge: that (0.01 %, UNKNOWN: there was none) and its standard
    deviation, the charge (twice mA * ms), the time of samples and of those too cold, too hot or too fast (ms)."""

    cpct: int = UNKNOWN
    sigma: int = 0
    charge: int = 0
    ms: int = 0
    odd_ms: int = 0


@dataclass(frozen=True)
class Sample:
    """One sample: mV, mA with the sign of the configuration, 0.1 degC, ms since the one before, and what of it is valid."""

    cell_mv: int
    current_ma: int
    dt_ms: int
    temperature_ddegc: int = 250
    voltage_valid: bool = True
    current_valid: bool = True
    temperature_valid: bool = True


def has_temperature(sample: Sample) -> bool:
    """Whether a sample's temperature is one, and not a broken sensor's."""
    return sample.temperature_valid and LEAST_DDEGC <= sample.temperature_ddegc <= MOST_DDEGC
