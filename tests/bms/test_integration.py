"""Files generated around a model: CAN database, measurement description, Kconfig, checklist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from edgebat.bms.a2l import a2l_text
from edgebat.bms.can import dbc_text
from edgebat.bms.integration import checklist_text, integration_files, kconfig_text
from edgebat.errors import ToolError
from edgebat.formats.c.bms_models import BmsModel, describe, health_model
from edgebat.graph import load_graph
from edgebat.paths import firmware_dir
from tests.c_host import c_compiler


@pytest.fixture
def model(model_file: Path) -> BmsModel:
    return health_model(load_graph(model_file))


def test_the_can_database_describes_what_the_c_code_packs(model: BmsModel):
    cantools = pytest.importorskip("cantools")
    database = cantools.database.load_string(dbc_text(model), database_format="dbc", strict=True)
    assert [message.length for message in database.messages] == [8, 8, 8, 8]
    health = database.get_message_by_name("EDGEBAT_Health")
    assert health.cycle_time == 1000
    signals = health.decode(bytes.fromhex("A7248200640010 0A".replace(" ", "")))
    assert signals["SOH"] == pytest.approx(93.83)
    assert signals["SOH_Sigma"] == pytest.approx(1.3)
    assert signals["RUL"] == 100
    assert str(signals["Status"]) == "OK"
    assert str(signals["Source"]) == "MODEL"
    assert signals["Alive"] == 10
    unknown = health.decode(bytes.fromhex("FFFFFFFFFFFF0100"))
    assert str(unknown["SOH"]) == str(unknown["RUL"]) == "unknown"
    assert str(unknown["Status"]) == "WARMUP"
    forecast = database.get_message_by_name("EDGEBAT_Forecast")
    assert forecast.decode(bytes.fromhex("0002E8 03D007FFFF".replace(" ", "")))["SOH_in_5"] == 10


def test_a_firmware_that_measures_resistance_describes_it(model: BmsModel):
    cantools = pytest.importorskip("cantools")
    database = cantools.database.load_string(dbc_text(model, resistance=True), database_format="dbc", strict=True)
    message = database.get_message_by_name("EDGEBAT_Resistance")
    assert message.frame_id == 0x6E7
    signals = message.decode(bytes.fromhex("30750000 2C01 E02E".replace(" ", "")))
    assert signals == {"Resistance": 30_000, "Resistance_Sigma": 3, "Resistance_of_New": 120}
    unknown = message.decode(bytes([0xFF] * 8))
    assert {str(value) for value in unknown.values()} == {"unknown"}
    assert "Resistance" not in dbc_text(model)


OFFSETS = """
#include "edgebat/edgebat.h"
#include <stddef.h>
#include <stdio.h>
#define SHOW(member) printf(#member " %d\\n", (int)offsetof(edgebat_result_t, member))
int main(void) {
    SHOW(soh_cpct); SHOW(sigma_cpct); SHOW(rul_cycles); SHOW(model_cpct); SHOW(counting_cpct); SHOW(age_cycles);
    SHOW(age_s); SHOW(cycle); SHOW(revision); SHOW(throughput_mAh); SHOW(efc_quarters); SHOW(window_ppm);
#if EDGEBAT_RESISTANCE
    SHOW(resistance_uOhm); SHOW(resistance_sigma_cpct); SHOW(resistance_cpct);
#endif
    SHOW(points); SHOW(warmup); SHOW(status); SHOW(source); SHOW(charge);
    printf("points_cpct_1 %d\\n", (int)offsetof(edgebat_result_t, points_cpct) + 2);
    return 0;
}
"""


@pytest.mark.parametrize("resistance", [False, True])
@pytest.mark.parametrize("flags", [(), ("-fshort-enums",)])
def test_the_measurement_description_knows_where_the_compiler_puts_things(
    model: BmsModel, tmp_path: Path, flags: tuple[str, ...], resistance: bool
):
    program = tmp_path / "offsets.c"
    program.write_text(OFFSETS)
    flags = (*flags, f"-DEDGEBAT_RESISTANCE={int(resistance)}")
    command = [c_compiler(), *flags, f"-I{firmware_dir() / 'include'}", str(program), "-o", str(tmp_path / "offsets")]
    subprocess.run(command, check=True)
    printed = subprocess.run([str(tmp_path / "offsets")], check=True, capture_output=True, text=True).stdout
    offsets = dict(line.split() for line in printed.splitlines())
    text = a2l_text(model, "soh", resistance=resistance)
    found = dict(re.findall(r"MEASUREMENT edgebat_result_values\.(\w+) .*?SYMBOL_LINK \"\w+\" (\d+)", text, re.DOTALL))
    assert {name: found[name] for name in offsets} == offsets
    assert text.count("/begin MEASUREMENT") == text.count("/end MEASUREMENT") == 17 + 3 * resistance + model.points


def test_addresses_come_from_the_linked_firmware(model: BmsModel, tmp_path: Path):
    program = tmp_path / "firmware.c"
    program.write_text('#include "edgebat/edgebat.h"\nedgebat_result_t here;\nint main(void) { return here.points; }\n')
    command = [c_compiler(), "-no-pie", f"-I{firmware_dir() / 'include'}", str(program), "-o", str(tmp_path / "elf")]
    subprocess.run(command, check=True)
    text = a2l_text(model, "soh", variable="here", elf=tmp_path / "elf", big_endian=True)
    first = int(re.search(r"here\.soh_cpct .*?ECU_ADDRESS (0x\w+)", text, re.DOTALL)[1], 16)  # type: ignore[index]
    second = int(re.search(r"here\.age_s .*?ECU_ADDRESS (0x\w+)", text, re.DOTALL)[1], 16)  # type: ignore[index]
    assert first > 0
    assert second - first == 12
    assert "BYTE_ORDER MSB_FIRST" in text
    with pytest.raises(ToolError, match="has no variable"):
        a2l_text(model, "soh", elf=tmp_path / "elf")


def test_every_member_of_the_configuration_is_a_kconfig_option():
    header = (firmware_dir() / "include" / "edgebat" / "edgebat.h").read_text()

    def members(kind: str) -> list[str]:
        body = re.search(rf"typedef struct \{{([^}}]*)\}} {kind};", header)
        assert body is not None
        return re.findall(r"^\s*u?int\d+_t\s+(\w+);", body[1], re.MULTILINE)

    text = kconfig_text("soh", 3500)
    options = re.findall(r"^config EDGEBAT_SOH_(\w+)", text, re.MULTILINE)
    expected = {"DISCHARGE_POSITIVE" if m == "sign" else m.upper() for m in members("edgebat_config_t")}
    resistance = {f"RESISTANCE_{m.upper()}" for m in members("edgebat_resistance_config_t")}
    assert len(resistance) == 5, "the table of temperatures, an array, is no option"
    assert set(options) == expected | resistance
    assert re.search(r"SOH_NOMINAL_MAH\n\tint .*\n\tdefault 3500\n\trange 10 2000000", text)


def test_the_checklist_carries_this_models_numbers(model_file: Path):
    graph = load_graph(model_file)
    text = checklist_text(graph, "soh", 2000, measure=False)
    assert graph.fingerprint[:8].upper() in text
    assert "3.6 to 3.7 V" in text
    assert f"{describe(graph).saved_bytes} bytes" in text
    files = integration_files(graph, "soh", 2000, measure=False)
    assert sorted(files) == ["Kconfig.soh", "soh-checklist.md", "soh.a2l", "soh.dbc"]
    assert files == integration_files(graph, "soh", 2000, measure=False), "the same bytes twice"
