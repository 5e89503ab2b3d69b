"""MAVLink's battery messages against their definition, written down here once more and known by its checksum, and by the
protocol's package where it is installed."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
import pytest

from edgebat.formats.c.bms_models import UNKNOWN
from edgebat.paths import firmware_dir
from tests.c_adapters import CURRENT, TEMPERATURE, VOLTAGE, adapters, bytes_of, full_mah, readings, result, soh_of, some


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return adapters(tmp_path_factory.mktemp("adapters"), "mavlink")


MAVLINK = {
    "BATTERY_STATUS": (
        "uint8_t id, uint8_t battery_function, uint8_t type, int16_t temperature, uint16_t voltages 10, "
        "int16_t current_battery, int32_t current_consumed, int32_t energy_consumed, int8_t battery_remaining",
        "int32_t time_remaining, uint8_t charge_state, uint16_t voltages_ext 4, uint8_t mode, uint32_t fault_bitmask",
    ),
    "BATTERY_INFO": (
        "uint8_t id, uint8_t battery_function, uint8_t type, uint8_t state_of_health, uint8_t cells_in_series, "
        "uint16_t cycle_count, uint16_t weight, float discharge_minimum_voltage, float charging_minimum_voltage, "
        "float resting_minimum_voltage, float charging_maximum_voltage, float charging_maximum_current, "
        "float nominal_voltage, float discharge_maximum_current, float discharge_maximum_burst_current, "
        "float design_capacity, float full_charge_capacity, char manufacture_date 9, char serial_number 32, char name 50",
        "",
    ),
    "SMART_BATTERY_INFO": (
        "uint8_t id, uint8_t battery_function, uint8_t type, int32_t capacity_full_specification, "
        "int32_t capacity_full, uint16_t cycle_count, char serial_number 16, char device_name 50, uint16_t weight, "
        "uint16_t discharge_minimum_voltage, uint16_t charging_minimum_voltage, uint16_t resting_minimum_voltage",
        "uint16_t charging_maximum_voltage, uint8_t cells_in_series, uint32_t discharge_maximum_current, "
        "uint32_t discharge_maximum_burst_current, char manufacture_date 11",
    ),
}  # fmt: skip
"""Fields and extensions of common.xml in its order: type, name, length of an array."""
CODES = {"uint8_t": "B", "int8_t": "b", "uint16_t": "H", "int16_t": "h", "int32_t": "i", "uint32_t": "I"}
CODES |= {"float": "f", "char": "s"}


def mavlink_fields(text: str) -> list[tuple[str, str, int]]:
    parts = [(*part.split(), "0")[:3] for part in text.split(", ") if part]
    return [(kind, name, int(length)) for kind, name, length in parts]


def in_order(message: str) -> list[tuple[str, str, int]]:
    """Fields as they are sent: the widest first, extensions behind them as they are."""
    base, extensions = (mavlink_fields(text) for text in MAVLINK[message])
    size = {code: struct.calcsize(letter) for code, letter in CODES.items()}
    return sorted(base, key=lambda field: -size[field[0]]) + extensions


def mavlink(message: str, values: dict[str, Any]) -> bytes:
    """A payload; fields that are not named are zero."""
    data = b""
    for kind, name, length in in_order(message):
        value = values.pop(name, b"" if kind == "char" else [0] * length if length else 0)
        count = length or 1
        code = f"{count}{CODES[kind]}"
        data += struct.pack("<" + code, *(value if isinstance(value, list) else [value]))
    assert not values
    return data


def crc_extra(message: str) -> int:
    """What a receiver knows a message's layout by: the folded checksum of its definition, without extensions."""
    crc = 0xFFFF
    base = [field for field in in_order(message) if field in mavlink_fields(MAVLINK[message][0])]
    text = f"{message} ".encode()
    for kind, name, length in base:
        text += f"{kind} {name} ".encode() + (bytes([length]) if length else b"")
    for byte in text:
        part = byte ^ (crc & 0xFF)
        part ^= (part << 4) & 0xFF
        crc = (crc >> 8) ^ (part << 8) ^ (part << 3) ^ (part >> 4)
    return (crc & 0xFF) ^ (crc >> 8)


@pytest.mark.parametrize(
    ("message", "extra"), [("BATTERY_STATUS", 154), ("BATTERY_INFO", 26), ("SMART_BATTERY_INFO", 75)]
)
def test_mavlink_knows_the_definition_by_its_checksum(message: str, extra: int) -> None:
    assert crc_extra(message) == extra
    name = {"BATTERY_STATUS": "STATUS", "BATTERY_INFO": "INFO", "SMART_BATTERY_INFO": "SMART"}[message]
    header = (firmware_dir() / "adapters/mavlink/edgebat_mavlink.h").read_text()
    assert f"#define EDGEBAT_MAVLINK_{name}_CRC_EXTRA {extra}U" in header
    assert f"#define EDGEBAT_MAVLINK_{name}_BYTES {len(mavlink(message, {}))}U" in header


class CMavlink(ctypes.Structure):
    """``edgebat_mavlink_battery_t``."""

    _fields_ = (
        ("serial", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        *((name, ctypes.c_uint8) for name in ("id", "function", "type", "cells")),
    )


PACK = CMavlink(b"SN-0042", b"Example_Pack", 2, 1, 3, 6)


def common(self: CMavlink) -> dict[str, Any]:
    return {"id": self.id, "battery_function": self.function, "type": self.type}


def test_mavlink_battery_status(library: ctypes.CDLL) -> None:
    for _, measured in some(3):
        volts = [min(max(measured.voltage_mv - 65_534 * i, 0), 65_534) or 65_535 for i in range(10)]
        volts[0] = min(measured.voltage_mv, 65_534)
        ca = max(min(-int(np.trunc(measured.current_ma / 10 + np.copysign(0.5, measured.current_ma))), 32_767), -32_767)
        has = measured.valid
        values = common(PACK) | {
            "temperature": measured.temperature_ddegc * 10 if has & TEMPERATURE else 32_767,
            "voltages": volts if has & VOLTAGE else [65_535] * 10,
            "current_battery": (0 if ca == -1 else ca) if has & CURRENT else -1,
            "current_consumed": -1,
            "energy_consumed": -1,
            "battery_remaining": -1 if measured.soc_cpct == UNKNOWN else measured.soc_cpct // 100,
        }
        assert bytes_of(library.edgebat_mavlink_status, measured, PACK) == mavlink("BATTERY_STATUS", values)


def test_mavlink_battery_info(library: ctypes.CDLL) -> None:
    for health, measured in some(4):
        soh, full = soh_of(health), full_mah(health, measured)
        values = common(PACK) | {
            "state_of_health": 255 if soh is None else soh // 100,
            "cells_in_series": 6,
            "cycle_count": health.efc_quarters // 4,
            "nominal_voltage": measured.nominal_mv / 1000,
            "design_capacity": measured.capacity_mah / 1000,
            "full_charge_capacity": float("nan") if full is None else full / 1000,
            "serial_number": b"SN-0042",
            "name": b"Example_Pack",
        }
        assert bytes_of(library.edgebat_mavlink_info, health, measured, PACK) == mavlink("BATTERY_INFO", values)


def test_mavlink_smart_battery_info(library: ctypes.CDLL) -> None:
    for health, measured in some(5):
        full = full_mah(health, measured)
        values = common(PACK) | {
            "capacity_full_specification": measured.capacity_mah if 0 < measured.capacity_mah < 2**31 else -1,
            "capacity_full": -1 if full is None or full >= 2**31 else full,
            "cycle_count": health.efc_quarters // 4,
            "serial_number": b"SN-0042",
            "device_name": b"Example_Pack",
            "cells_in_series": 6,
            **{f"{name}_minimum_voltage": 65_535 for name in ("discharge", "charging", "resting")},
        }
        found = bytes_of(library.edgebat_mavlink_smart, health, measured, PACK)
        assert found == mavlink("SMART_BATTERY_INFO", values)


def test_mavlink_is_read_by_its_own_package(library: ctypes.CDLL) -> None:
    v20 = pytest.importorskip(
        "pymavlink.dialects.v20.common", reason="the package pymavlink, which judges this, is not installed"
    )
    kind = v20.MAVLink_battery_status_message
    assert (kind.id, kind.crc_extra) == (147, 154)
    values = kind.unpacker.unpack(bytes_of(library.edgebat_mavlink_status, readings(), PACK))
    assert (values[2], values[3], values[13]) == (2_510, 22_345, 1_200)
    smart = v20.MAVLink_smart_battery_info_message
    assert (smart.id, smart.crc_extra) == (370, 75)
    assert smart.unpacker.unpack(bytes_of(library.edgebat_mavlink_smart, result(), readings(), PACK))[1] == 9_203
