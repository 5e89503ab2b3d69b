"""A target is one YAML file; whatever is wrong in it is named."""

from pathlib import Path

import pytest

from edgebat.errors import TargetError
from edgebat.simulate import list_targets, load_target

MINIMAL = "name: mine\ndescription: my board\ncore: cortex-m4\nfloat_abi: soft\n"


def test_the_shipped_targets():
    assert list_targets() == [
        "cortex-m0plus",
        "cortex-m3",
        "cortex-m33",
        "cortex-m4f",
        "cortex-m55",
        "cortex-m7",
        "cortex-r5f-be",
        "host",
        "mips-be",
        "raspberry-pi",
        "rv32imc",
    ]


@pytest.mark.parametrize("name", list_targets())
def test_every_shipped_target_loads_under_its_own_name(name):
    target = load_target(name)
    assert target.name == name
    both = ("unicorn", "qemu") if name != "cortex-m55" else ("qemu",)  # Unicorn has no Cortex-M55
    assert target.routes == (both if target.bare_metal else ("host",))
    if target.bare_metal:
        assert target.clock_hz > 0
        assert target.flash_bytes > target.ram_bytes > 0
        assert target.float_abi == "soft"
        assert not target.allow_float


def test_cycles_are_promised_only_where_a_table_is_published():
    promised = {name for name in list_targets() if load_target(name).cycles}
    assert promised == {"cortex-m0plus", "cortex-m4f"}


def test_a_target_of_ones_own_is_a_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "clock_hz: 48_000_000\nzig: [-mcpu=cortex_m4]\n")
    target = load_target(path)
    assert (target.name, target.clock_hz, target.zig) == ("mine", 48_000_000, ("-mcpu=cortex_m4",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "clock: 1\n", r"unknown key clock; allowed: name, description"),
        (MINIMAL + "qemu: {machine: x, board: y}\n", r"qemu: unknown key board"),
        ("name: mine\n", r"key core, description, float_abi is missing"),
        (MINIMAL + "clock_hz: fast\n", r"clock_hz: expected int, found 'fast'"),
        (MINIMAL + "clock_hz: -1\n", r"clock_hz: expected int, found -1"),
        (MINIMAL + "clock_hz: true\n", r"clock_hz: expected int, found True"),
        (MINIMAL + "zig: -mcpu=x\n", r"zig: expected a list of texts"),
        (MINIMAL + "cycles: 8\n", r"cycles: expected keys and values, found int"),
        (MINIMAL + "linker_script: my.ld\n", r"linker_script 'my.ld' is unknown; choose one of microbit.ld, mps2.ld"),
        (MINIMAL + "qemu: {system: arm}\n", r"qemu needs system and machine for a board, user and cpu for a program"),
        (MINIMAL.replace("soft", "softish"), r"float_abi is 'softish'; allowed: soft, hard, native"),
        ("- a\n", r"expected keys and values, found list"),
        ("a: [\n", r"cannot be read"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(TargetError, match=message):
        load_target(path)


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(TargetError, match="no target 'cortex-m5'; choose one of cortex-m0plus"):
        load_target("cortex-m5")
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(Path("nowhere.yaml"))
