"""What the estimator and the forecaster of ``firmware_stubs/bms`` answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from edgebat.tasks.health.charge_types import ChargeEnd


class Status(IntEnum):
    """``edgebat_status_t``: what a result is worth."""

    OK = 0
    WARMUP = 1
    INPUT_INVALID = 2
    OUT_OF_DOMAIN = 3
    STALE = 4
    MODEL_CORRUPT = 5
    CONFLICT = 6


class Source(IntEnum):
    """``edgebat_source_t``: whose evidence weighs most in the SOH."""

    NONE = 0
    MODEL = 1
    COUNTING = 2
    DATASHEET = 3
    WINDOW = 4
    INHERITED = 5
    REST = 6


class Reset(IntFlag):
    """``EDGEBAT_RESET_...``: what a workshop makes the estimator forget."""

    HEALTH = 1
    USE = 2
    COUNTING = 4
    WINDOW = 8
    RESISTANCE = 16
    """Of a firmware that is compiled with EDGEBAT_RESISTANCE; without, all that make another module are 15."""
    MODULE = 31


@dataclass(frozen=True)
class Use:
    """``edgebat_use_t``: what a workshop reads from a board and gives to the one that takes its place."""

    serial: int
    cycle: int
    throughput_mah: int
    clock_s: int
    soh_cpct: int
    sigma_cpct: int
    new_uohm: int = 0
    """Resistance when new; 0: not known."""


@dataclass(frozen=True)
class Result:
    """``edgebat_result_t``: 0.01 %, cycles and seconds; 65535 (``age_s``: 2**32 - 1) where nothing is known."""

    soh_cpct: int
    sigma_cpct: int
    rul_cycles: int
    model_cpct: int
    counting_cpct: int
    age_cycles: int
    age_s: int
    cycle: int
    revision: int
    points_cpct: tuple[int, ...]
    points: int
    warmup: int
    status: Status
    source: Source
    charge: ChargeEnd
    throughput_mah: int = 0
    """In and out, ever."""
    efc_quarters: int = 0
    """Equivalent full cycles, in quarters."""
    window_ppm: int = 0
    """Of nominal, of the last charge through the window."""
    resistance_uohm: int = 2**32 - 1
    """At 25 degC, from steps of the current; 2**32 - 1: not known, or not asked (EDGEBAT_RESISTANCE)."""
    resistance_sigma_cpct: int = 0xFFFF
    """Its deviation, 0.01 % of it."""
    resistance_cpct: int = 0xFFFF
    """Of that when new, 0.01 %."""


@dataclass(frozen=True)
class ForecastResult:
    """``edgebat_forecast_result_t``: 0.01 % and cycles; 65535 where nothing is known."""

    points_cpct: tuple[int, ...]
    eol_cycles: int
    horizon: int
    age_cycles: int
    soh_cpct: int
    covered: int
    missing: int
    cycle: int
    revision: int
    points: int
    status: Status
