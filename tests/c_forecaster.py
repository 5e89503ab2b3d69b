"""The forecaster of ``firmware_stubs/bms`` as a library of this computer, called as the Python one is."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields

from edgebat.bms.results import ForecastResult, Result, Status

SOURCE = 0x1234ABCD
"""Fingerprint of the health model in the tests."""


class CHealth(ctypes.Structure):
    """``edgebat_result_t``."""

    _fields_ = (
        *((name, ctypes.c_uint16) for name in ("soh_cpct", "sigma_cpct", "rul_cycles", "model_cpct")),
        *((name, ctypes.c_uint16) for name in ("counting_cpct", "age_cycles")),
        *((name, ctypes.c_uint32) for name in ("age_s", "cycle", "revision", "throughput_mah", "window_ppm")),
        ("points_cpct", ctypes.c_uint16 * 8),
        ("efc_quarters", ctypes.c_uint16),
        *((name, ctypes.c_uint8) for name in ("points", "warmup", "status", "source", "charge")),
    )


class CResult(ctypes.Structure):
    """``edgebat_forecast_result_t``."""

    _fields_ = (
        ("points_cpct", ctypes.c_uint16 * 8),
        *(
            (name, ctypes.c_uint16)
            for name in ("eol_cycles", "horizon", "age_cycles", "soh_cpct", "covered", "missing")
        ),
        *((name, ctypes.c_uint32) for name in ("cycle", "revision")),
        *((name, ctypes.c_uint8) for name in ("points", "status")),
    )


@dataclass
class CForecaster:
    """The forecaster in C, called as the Python one is."""

    library: ctypes.CDLL
    saved_bytes: int

    def __post_init__(self) -> None:
        self.model = ctypes.addressof(ctypes.c_char.in_dll(self.library, "trend_model"))
        self.memory = ctypes.create_string_buffer(512)
        self.work = (ctypes.c_uint32 * 1024)()
        newest = self.library.edgebat_forecast_state_newest
        newest.restype = ctypes.c_void_p

    def init(self, saved: bytes | None = None, source: int = SOURCE) -> int:
        size = 0 if saved is None else len(saved)
        model = ctypes.c_void_p(self.model)
        return int(
            self.library.edgebat_forecast_init(self.memory, model, ctypes.c_uint32(source), self.work, saved, size)
        )

    def check(self, saved: bytes, source: int = SOURCE) -> int:
        model = ctypes.c_void_p(self.model)
        return int(self.library.edgebat_forecast_state_check(model, ctypes.c_uint32(source), saved, len(saved)))

    def newest(self, a: bytes, b: bytes) -> bytes | None:
        places = [ctypes.create_string_buffer(place, len(place)) for place in (a, b)]
        model = ctypes.c_void_p(self.model)
        found = self.library.edgebat_forecast_state_newest(model, ctypes.c_uint32(SOURCE), *places, len(a))
        known = {ctypes.addressof(place): place.raw for place in places}
        return known.get(found)

    def push(self, health: Result) -> int:
        values = {name: getattr(health, name) for name, *_ in CHealth._fields_}
        values["points_cpct"] = (ctypes.c_uint16 * 8)(*health.points_cpct)
        return int(self.library.edgebat_forecast_push(self.memory, ctypes.byref(CHealth(**values))))

    def step(self) -> int:
        return int(self.library.edgebat_forecast_step(self.memory))

    def selftest(self) -> int:
        return int(self.library.edgebat_forecast_selftest(self.memory))

    def result(self) -> ForecastResult:
        found = CResult()
        assert self.library.edgebat_forecast_result(self.memory, ctypes.byref(found)) == 0
        values = {field.name: getattr(found, field.name) for field in fields(ForecastResult)}
        return ForecastResult(**values | {"points_cpct": tuple(found.points_cpct), "status": Status(found.status)})

    def state(self) -> bytes:
        buffer = ctypes.create_string_buffer(self.saved_bytes)
        assert self.library.edgebat_forecast_state_get(self.memory, buffer, self.saved_bytes) == 0
        return buffer.raw
