"""J1939 and CANopen (CiA 418): frames decoded by databases that are written down here from public layouts."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import cantools.database
import pytest

from edgebat.bms.results import Source, Status
from edgebat.formats.c.bms_models import UNKNOWN
from tests.c_adapters import adapters, bytes_of, nothing, readings, result, unknown
from tests.c_forecaster import CHealth


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return adapters(tmp_path_factory.mktemp("adapters"), "j1939", "cia418")


DATABASE = """VERSION ""
BU_: X
BO_ 2364575987 HVESSD1: 8 X
 SG_ Discharge : 0|16@1+ (0.05,0) [0|3212.75] "kW" X
 SG_ Charge : 16|16@1+ (0.05,0) [0|3212.75] "kW" X
 SG_ Voltage : 32|16@1+ (0.05,0) [0|3212.75] "V" X
 SG_ Current : 48|16@1+ (0.05,-1600) [-1600|1612.75] "A" X
BO_ 2633785075 HVESSHIST: 37 X
 SG_ SOH : 0|8@1+ (0.4,0) [0|100] "%" X
BO_ 385 TPDO1: 3 X
 SG_ Temperature : 0|16@1- (0.125,0) [-40|85] "degC" X
 SG_ Status : 16|8@1+ (1,0) [0|255] "" X
BO_ 641 Health: 8 X
 SG_ SOH : 0|16@1+ (0.01,0) [0|655.35] "%" X
 SG_ Sigma : 16|16@1+ (0.01,0) [0|655.35] "%" X
 SG_ RUL : 32|16@1+ (1,0) [0|65535] "" X
 SG_ Status : 48|8@1+ (1,0) [0|255] "" X
 SG_ Source : 56|8@1+ (1,0) [0|255] "" X
"""


def decoded(message: str, data: bytes) -> dict[str, Any]:
    found = cantools.database.load_string(DATABASE, "dbc").decode_message(message, data)
    assert isinstance(found, dict)
    return found


def test_j1939_identifiers_carry_the_parameter_groups() -> None:
    messages = {m.name: m.frame_id for m in cantools.database.load_string(DATABASE, "dbc").messages}  # type: ignore[union-attr]
    assert [(messages[name] >> 8) & 0x3FFFF for name in ("HVESSD1", "HVESSHIST")] == [61_584, 64_606]


@pytest.mark.parametrize(("mv", "ma"), [(0, 0), (403_210, 87_654), (22_345, -1_600_000), (3_212_750, 1_612_750)])
def test_j1939_voltage_and_current(library: ctypes.CDLL, mv: int, ma: int) -> None:
    found = decoded("HVESSD1", bytes_of(library.edgebat_j1939_hvessd1, readings(voltage_mv=mv), ma))
    assert found["Voltage"] == pytest.approx(mv / 1000, abs=0.0251)
    assert found["Current"] == pytest.approx(ma / 1000, abs=0.0251)


def test_j1939_says_not_available_and_out_of_range(library: ctypes.CDLL) -> None:
    assert bytes_of(library.edgebat_j1939_hvessd1, nothing(), 5_000) == b"\xff" * 8
    beyond = bytes_of(library.edgebat_j1939_hvessd1, readings(voltage_mv=-51), 1_700_000)
    assert struct.unpack("<4H", beyond) == (0xFFFF, 0xFFFF, 0xFEFF, 0xFEFF)


@pytest.mark.parametrize(("cpct", "percent"), [(8_765, 87.6), (10_000, 100), (11_000, 100), (1_039, 10)])
def test_j1939_state_of_health_is_never_healthier(library: ctypes.CDLL, cpct: int, percent: float) -> None:
    data = history(library, result(soh_cpct=cpct), 37)
    assert decoded("HVESSHIST", data)["SOH"] == pytest.approx(percent)
    assert data[1:] == b"\xff" * 36


def history(library: ctypes.CDLL, health: CHealth, count: int) -> bytes:
    data = (ctypes.c_uint8 * 64)()
    assert library.edgebat_j1939_hvesshist(ctypes.byref(health), data, count) == count
    return bytes(data[:count])


def test_j1939_history_of_nothing(library: ctypes.CDLL) -> None:
    assert history(library, unknown(), 20) == b"\xff" * 20
    assert library.edgebat_j1939_hvesshist(ctypes.byref(unknown()), (ctypes.c_uint8 * 8)(), 0) == -7


def test_canopen_pdos(library: ctypes.CDLL) -> None:
    found = decoded("TPDO1", bytes_of(library.edgebat_cia418_tpdo1, readings(temperature_ddegc=-52), 1))
    assert (found["Temperature"], found["Status"]) == (-5.25, 1)
    health = decoded("Health", bytes_of(library.edgebat_cia418_health, result()))
    assert health == {"SOH": 87.65, "Sigma": 1.45, "RUL": 312, "Status": 0, "Source": 1}
    for measured in (nothing(), readings(temperature_ddegc=-401), readings(temperature_ddegc=851)):
        assert bytes_of(library.edgebat_cia418_tpdo1, measured, 1) == b""  # CiA 418 has no word for it: not sent


OBJECTS = {
    (0x6010, 0): ("<h", 201),  # 25.1 degC in steps of 0.125
    (0x6050, 0): ("<I", 617),  # half of 1,234.567 Ah
    (0x6060, 0): ("<I", 22_881),  # 22.345 V in 1/1024
    (0x6081, 0): ("<B", 50),
    (0x4E00, 0): ("<B", 6),
    (0x4E00, 1): ("<H", 8_765),
    (0x4E00, 2): ("<H", 145),
    (0x4E00, 3): ("<H", 312),
    (0x4E00, 4): ("<B", Status.OK),
    (0x4E00, 5): ("<B", Source.MODEL),
    (0x4E00, 6): ("<H", 1_203),
}


@pytest.mark.parametrize("at", OBJECTS)
def test_canopen_objects(library: ctypes.CDLL, at: tuple[int, int]) -> None:
    kind, value = OBJECTS[at]
    assert bytes_of(library.edgebat_cia418_object, result(), readings(), *at) == struct.pack(kind, value)


def test_canopen_says_no_data_and_no_object(library: ctypes.CDLL) -> None:
    blank = result(soh_cpct=UNKNOWN, sigma_cpct=UNKNOWN, rul_cycles=UNKNOWN, source=Source.NONE)
    for at in ((0x6010, 0), (0x6060, 0), (0x6081, 0), (0x4E00, 1), (0x4E00, 2), (0x4E00, 3)):
        assert bytes_of(library.edgebat_cia418_object, blank, nothing(), *at) == b""
    for at in ((0x6010, 1), (0x6020, 0), (0x4E00, 7)):
        assert library.edgebat_cia418_object(ctypes.byref(blank), ctypes.byref(nothing()), *at, bytes(4)) == -9
