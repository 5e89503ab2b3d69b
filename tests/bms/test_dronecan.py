"""DroneCAN's BatteryInfo against its definition, written down here once more: an encoder of our own, and the protocol's
package where it is installed."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
import pytest

from edgebat.bms.results import Status
from edgebat.formats.c.bms_models import UNKNOWN
from tests.c_adapters import (
    CURRENT,
    TEMPERATURE,
    VOLTAGE,
    CReadings,
    adapters,
    bytes_of,
    full_mah,
    nothing,
    readings,
    result,
    soh_of,
    some,
    unknown,
)
from tests.c_forecaster import CHealth


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return adapters(tmp_path_factory.mktemp("adapters"), "dronecan")


class CDroneCan(ctypes.Structure):
    """``edgebat_dronecan_battery_t``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("instance_id", ctypes.c_uint32),
        ("flags", ctypes.c_uint16),
        ("battery_id", ctypes.c_uint8),
    )


def as_half(value: float | None) -> float:
    return float("nan") if value is None else float(np.float16(min(max(value, -65_504), 65_504)))


def battery_info(health: CHealth, measured: CReadings, self: CDroneCan) -> dict[str, Any]:
    """BatteryInfo as its definition has it."""

    def percent(cpct: int | None, most: int, up: bool = False) -> int:
        return 127 if cpct is None or cpct == UNKNOWN else min((cpct + (99 if up else 0)) // 100, most)

    def energy(charge_mah: int | None) -> float:
        known = charge_mah is not None and measured.nominal_mv != 0
        return as_half((charge_mah * measured.nominal_mv // 1000) / 1000 if known else None)

    full = full_mah(health, measured)
    left = None if full is None or measured.soc_cpct == UNKNOWN else full * measured.soc_cpct // 10_000
    has = measured.valid
    failed = health.status in (Status.MODEL_CORRUPT, Status.INPUT_INVALID)
    return {
        "temperature": as_half((measured.temperature_ddegc + 2731.5) / 10 if has & TEMPERATURE else None),
        "voltage": as_half(measured.voltage_mv / 1000 if has & VOLTAGE else None),
        "current": as_half(-measured.current_ma / 1000 if has & CURRENT else None),
        "average_power_10sec": as_half(None),
        "remaining_capacity_wh": energy(left),
        "full_charge_capacity_wh": energy(full),
        "hours_to_full_charge": 0.0 if has & CURRENT and measured.current_ma <= 0 else as_half(None),
        "status_flags": self.flags | (256 if failed else 0),
        "state_of_health_pct": percent(soh_of(health), 126),
        "state_of_charge_pct": percent(measured.soc_cpct, 100),
        "state_of_charge_pct_stdev": percent(measured.soc_sigma_cpct, 126, up=True),
        "battery_id": self.battery_id,
        "model_instance_id": self.instance_id,
        "model_name": self.name or b"",
    }


def dsdl(message: dict[str, Any]) -> bytes:
    """The serialization of UAVCAN v0: numbers lowest byte first, bits of a byte from the highest on."""
    widths = {"status_flags": 11, "battery_id": 8, "model_instance_id": 32}
    bits = ""
    for name, value in message.items():
        if isinstance(value, float):
            width, number = 16, int(np.array(value, np.float16).view(np.uint16))
        elif isinstance(value, bytes):
            bits += "".join(f"{byte:08b}" for byte in value)
            continue
        else:
            width, number = widths.get(name, 7), value
        low = [(number >> start) & 0xFF for start in range(0, width, 8)]
        bits += "".join(f"{byte:0{min(8, width - 8 * i)}b}" for i, byte in enumerate(low))
    assert len(bits) % 8 == 0
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


SELF = CDroneCan(b"Example_Pack v1 NCA", 0x12345678, 3, 5)


def test_dronecan_equals_an_encoder_of_the_definition(library: ctypes.CDLL) -> None:
    for health, measured in some(1):
        if (full_mah(health, measured) or 0) * measured.nominal_mv > 4e12:
            continue  # more than 32 bits of mWh: below
        payload = bytes_of(library.edgebat_dronecan_battery_info, health, measured, SELF)
        assert payload == dsdl(battery_info(health, measured, SELF))


def test_dronecan_says_so_when_nothing_is_known(library: ctypes.CDLL) -> None:
    payload = bytes_of(library.edgebat_dronecan_battery_info, unknown(), nothing(), CDroneCan(None, 0, 0, 0))
    nan = struct.pack("<H", 0x7E00)
    assert payload == nan * 7 + b"\x00\x1f\xff\xff" + bytes(5)


def test_dronecan_an_energy_that_is_too_large_is_not_known(library: ctypes.CDLL) -> None:
    large = readings(capacity_mah=2_000_000_000, nominal_mv=4_000_000)
    payload = bytes_of(library.edgebat_dronecan_battery_info, result(), large, SELF)
    assert struct.unpack("<H", payload[10:12]) == (0x7E00,)


def test_dronecan_cuts_a_long_name(library: ctypes.CDLL) -> None:
    payload = bytes_of(library.edgebat_dronecan_battery_info, result(), readings(), CDroneCan(b"x" * 40, 0, 0, 0))
    assert payload[23:] == b"x" * 31


def test_dronecan_is_read_by_its_own_package(library: ctypes.CDLL) -> None:
    dronecan = pytest.importorskip("dronecan", reason="the package dronecan, which judges this, is not installed")
    kind = dronecan.uavcan.equipment.power.BatteryInfo
    assert (kind.default_dtid, kind.get_data_type_signature()) == (1092, 0x249C26548A711966)
    for health, measured in some(2)[:100]:
        payload = bytes_of(library.edgebat_dronecan_battery_info, health, measured, SELF)
        message = kind()
        message._unpack("".join(f"{byte:08b}" for byte in payload))
        expected = battery_info(health, measured, SELF)
        for name in expected.keys() - {"remaining_capacity_wh", "full_charge_capacity_wh", "model_name"}:
            assert getattr(message, name) == pytest.approx(expected[name], nan_ok=True), name
        assert bytes(message.model_name) == SELF.name
