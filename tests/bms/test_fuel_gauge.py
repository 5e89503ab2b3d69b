"""Zephyr's fuel gauge API, with stand-in headers of two versions; docs/ports.md says which real headers it was compiled
against."""

from __future__ import annotations

import ctypes
import errno
import re
from pathlib import Path

import pytest

from edgebat.paths import firmware_dir
from tests.c_adapters import CReadings, adapters, nothing, readings, result, unknown
from tests.c_forecaster import CHealth
from tests.c_host import WARNINGS, c_compiler, call

STANDIN = Path(__file__).parents[1] / "standin_zephyr"
NAMES = re.findall(r"\bFUEL_GAUGE_[A-Z_]+", (STANDIN / "zephyr/drivers/fuel_gauge.h").read_text().split("typedef")[0])
"""Properties in the order of the stand-in's enumeration."""


class Value(ctypes.Union):
    """``union fuel_gauge_prop_val``."""

    _fields_ = (("signed", ctypes.c_int), ("u32", ctypes.c_uint32), ("u16", ctypes.c_uint16), ("u8", ctypes.c_uint8))


@pytest.fixture(scope="module", params=["0x030500", "0x040400", "0x040500"])
def gauge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    flags = (f"-I{STANDIN}", f"-DSTANDIN_VERSION={request.param}")
    library = adapters(tmp_path_factory.mktemp("gauge"), "fuel_gauge", flags=flags)
    library.version = int(request.param, 16)
    return library


def answer(gauge: ctypes.CDLL, name: str, health: CHealth, measured: CReadings) -> int | Value:
    """The value, or the error."""
    value = Value()
    number = NAMES.index(f"FUEL_GAUGE_{name}")
    code = gauge.edgebat_fuel_gauge_get(ctypes.byref(health), ctypes.byref(measured), number, ctypes.byref(value))
    return int(code) if code else value


KNOWN = {
    "CURRENT": ("signed", -12_000_000),
    "VOLTAGE": ("signed", 22_345_000),
    "TEMPERATURE": ("u16", 2_983),
    "FULL_CHARGE_CAPACITY": ("u32", 9_203_000),  # 87.65 % of 10,500 mAh
    "REMAINING_CAPACITY": ("u32", 4_647_000),  # 50.5 % of them
    "RELATIVE_STATE_OF_CHARGE": ("u8", 50),
    "ABSOLUTE_STATE_OF_CHARGE": ("u8", 44),
    "DESIGN_CAPACITY": ("u16", 10_500),
    "DESIGN_VOLTAGE": ("u16", 21_600),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_property_has_the_units_of_zephyr(gauge: ctypes.CDLL, name: str) -> None:
    member, expected = KNOWN[name]
    found = answer(gauge, name, result(), readings())
    assert isinstance(found, Value)
    assert getattr(found, member) == expected
    assert answer(gauge, name, result(), nothing()) == -errno.ENODATA


def test_cycles_are_whole_ones_from_zephyr_4_5_on(gauge: ctypes.CDLL) -> None:
    found = answer(gauge, "CYCLE_COUNT", result(efc_quarters=1_203), nothing())
    assert isinstance(found, Value)
    assert found.u32 == (300 if gauge.version >= 0x040500 else 30_075)


def test_the_state_of_health_is_there_from_zephyr_4_4_on(gauge: ctypes.CDLL) -> None:
    found = answer(gauge, "STATE_OF_HEALTH", result(), nothing())
    if gauge.version < 0x040400:
        assert found == -errno.ENOTSUP
        return
    assert isinstance(found, Value)
    assert found.u8 == 87
    assert answer(gauge, "STATE_OF_HEALTH", unknown(), readings()) == -errno.ENODATA


def test_what_the_data_sheet_says_is_no_capacity(gauge: ctypes.CDLL) -> None:
    for name in ("FULL_CHARGE_CAPACITY", "REMAINING_CAPACITY", "ABSOLUTE_STATE_OF_CHARGE"):
        assert answer(gauge, name, unknown(), readings()) == -errno.ENODATA


def test_what_a_type_does_not_hold_is_an_error(gauge: ctypes.CDLL) -> None:
    large = readings(voltage_mv=2_147_484, capacity_mah=5_000_000, nominal_mv=70_000)
    for name in ("VOLTAGE", "FULL_CHARGE_CAPACITY", "DESIGN_CAPACITY", "DESIGN_VOLTAGE"):
        assert answer(gauge, name, result(), large) == -errno.ERANGE
    assert answer(gauge, "FLAGS", result(), large) == -errno.ENOTSUP
    full = answer(gauge, "ABSOLUTE_STATE_OF_CHARGE", result(soh_cpct=11_000), readings(soc_cpct=9_990))
    assert isinstance(full, Value)
    assert full.u8 == 100


PROGRAM = """
#include "edgebat/edgebat_fuel_gauge.h"

static int now(edgebat_result_t *result, edgebat_readings_t *readings) {
    const edgebat_result_t known = {.soh_cpct = 8765U, .source = (uint8_t)EDGEBAT_SOURCE_COUNTING};
    *result = known;
    return (readings->soc_cpct == EDGEBAT_UNKNOWN) ? EDGEBAT_OK : EDGEBAT_ERR_NULL;
}

static int never(edgebat_result_t *result, edgebat_readings_t *readings) {
    (void)result;
    (void)readings;
    return EDGEBAT_ERR_NULL;
}

EDGEBAT_FUEL_GAUGE_DEFINE(battery, now);
EDGEBAT_FUEL_GAUGE_DEFINE(broken, never);

static int ask(const struct device *device, union fuel_gauge_prop_val *value) {
    const struct fuel_gauge_driver_api *const api = device->api;
    return api->get_property(device, FUEL_GAUGE_STATE_OF_HEALTH, value);
}

int main(void) {
    union fuel_gauge_prop_val value;
    const int known = (ask(DEVICE_GET(battery), &value) == 0) && (value.state_of_health == 87U);
    return (known && (ask(DEVICE_GET(broken), &value) == -ENODATA)) ? 0 : 1;
}
"""


def test_a_device_asks_the_function_it_was_defined_with(tmp_path: Path) -> None:
    adapters(tmp_path, "fuel_gauge", flags=(f"-I{STANDIN}",))  # writes the C there
    (tmp_path / "main.c").write_text("#include <errno.h>\n" + PROGRAM)

    includes = [f"-I{folder}" for folder in (tmp_path, firmware_dir() / "include", STANDIN)]
    call([c_compiler(), *WARNINGS, *includes, *tmp_path.glob("*.c"), "-o", tmp_path / "main"])
    call([tmp_path / "main"])
