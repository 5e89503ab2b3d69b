"""The adapters of ``firmware_stubs/adapters`` as a library of this computer, and what they are given."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.bms.adapters import adapter_code
from edgebat.bms.results import Source, Status
from edgebat.formats.c.bms_models import UNKNOWN
from edgebat.paths import firmware_dir
from tests.c_forecaster import CHealth
from tests.c_host import UNDEFINED, WARNINGS, c_compiler, call

VOLTAGE, CURRENT, TEMPERATURE = 1, 2, 4


class CReadings(ctypes.Structure):
    """``edgebat_readings_t``."""

    _fields_ = (
        ("voltage_mv", ctypes.c_int32),
        ("current_ma", ctypes.c_int32),
        ("capacity_mah", ctypes.c_uint32),
        ("nominal_mv", ctypes.c_uint32),
        ("temperature_ddegc", ctypes.c_int16),
        ("soc_cpct", ctypes.c_uint16),
        ("soc_sigma_cpct", ctypes.c_uint16),
        ("valid", ctypes.c_uint8),
    )


def readings(**changes: int) -> CReadings:
    """A pack of six cells, three in parallel, half full, that is discharged with 12 A."""
    usual = {"voltage_mv": 22_345, "current_ma": -12_000, "capacity_mah": 10_500, "nominal_mv": 21_600}
    usual |= {"temperature_ddegc": 251, "soc_cpct": 5_050, "soc_sigma_cpct": 210, "valid": 7}
    return CReadings(**usual | changes)


def nothing() -> CReadings:
    """Nobody has measured anything, and says so beside numbers that are none."""
    return CReadings(1, 1, 0, 0, 1, UNKNOWN, UNKNOWN, 0)


def result(**changes: int) -> CHealth:
    """A cell of 87.65 % by its model, in use for a while."""
    usual: dict[str, int] = {"soh_cpct": 8_765, "sigma_cpct": 145, "rul_cycles": 312, "throughput_mah": 1_234_567}
    usual |= {"efc_quarters": 1_203, "status": Status.OK, "source": Source.MODEL}
    return CHealth(**usual | changes)


def unknown() -> CHealth:
    """A cell that nobody has measured yet; the data sheet says that it is new."""
    return result(soh_cpct=9_990, sigma_cpct=UNKNOWN, rul_cycles=UNKNOWN, status=Status.WARMUP, source=Source.DATASHEET)


def adapters(folder: Path, *names: str, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Write and compile the C of adapters, without a warning, and load it."""
    for path, code in adapter_code(names).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(code)
    library = folder / "adapters.so"
    includes = [f"-I{folder}", f"-I{firmware_dir() / 'include'}"]
    sources = sorted(folder.glob("*.c"))
    call([c_compiler(), *WARNINGS, *UNDEFINED, *flags, "-O1", "-fPIC", "-shared", *includes, *sources, "-o", library])
    return ctypes.CDLL(str(library))


def bytes_of(function: Any, *arguments: Any) -> bytes:
    """What a function wrote into its last argument, by the length it returned."""
    data = (ctypes.c_uint8 * 256)(*[0xA5] * 256)
    count = function(*(ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments), data)
    assert 0 <= count <= 256
    return bytes(data[:count])


def some(seed: int) -> list[tuple[CHealth, CReadings]]:
    """Results and readings all over their ranges, and at their ends."""
    random = np.random.default_rng(seed)
    pairs = [(result(), readings()), (unknown(), nothing()), (result(), nothing()), (unknown(), readings())]
    for _ in range(500):
        health = result(
            soh_cpct=int(random.choice([UNKNOWN, random.integers(1_000, 15_001)], p=[0.1, 0.9])),
            source=int(random.integers(0, 7)), status=int(random.integers(0, 7)),
            efc_quarters=int(random.integers(0, 65_536)), throughput_mah=int(random.integers(0, 2**32)),
        )  # fmt: skip
        measured = readings(
            voltage_mv=int(random.integers(0, 10 ** random.integers(3, 7))),
            current_ma=int(random.integers(-1, 2) * random.integers(0, 10 ** random.integers(2, 9))),
            capacity_mah=int(random.integers(0, 10 ** random.integers(2, 10))),
            nominal_mv=int(random.integers(0, 10 ** random.integers(2, 7))),
            temperature_ddegc=int(random.integers(-600, 1_201)),
            soc_cpct=int(random.choice([UNKNOWN, random.integers(0, 10_001)])),
            soc_sigma_cpct=int(random.choice([UNKNOWN, random.integers(0, 10_001)])),
            valid=int(random.integers(0, 8)),
        )  # fmt: skip
        pairs.append((health, measured))
    return pairs


def soh_of(health: CHealth) -> int | None:
    """The SOH that a protocol without a source may be told, 0.01 %."""
    guessed = health.source in (Source.NONE, Source.DATASHEET)
    return None if guessed or health.soh_cpct == UNKNOWN else int(health.soh_cpct)


def full_mah(health: CHealth, measured: CReadings) -> int | None:
    soh = soh_of(health)
    full = 0 if soh is None else measured.capacity_mah * soh // 10_000
    return None if soh is None or measured.capacity_mah == 0 or full >= 2**32 - 1 else full
