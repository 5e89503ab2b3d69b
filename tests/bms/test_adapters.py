"""Adapters to public protocols: what all of them share, and how a port takes them along."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms import ports
from edgebat.bms.adapters import adapter_pages, list_adapters
from edgebat.bms.ports import list_ports, load_port, port_files
from edgebat.errors import TargetError
from edgebat.graph import load_graph
from tests.c_adapters import adapters

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return adapters(tmp_path_factory.mktemp("adapters"), "dronecan", "mavlink", "j1939", "cia418")


def test_floating_point_without_floating_point(library: ctypes.CDLL) -> None:
    random = np.random.default_rng(6)
    some_thousandths = [
        0,
        1,
        2,
        999,
        2**31 - 1,
        *random.integers(1, 2**31, 3_000),
        *random.integers(1, 70_000_000, 3_000),
    ]
    for number in map(int, some_thousandths):
        single = np.float32(number / 1000).view(np.uint32)
        assert library.edgebat_float(ctypes.c_uint32(number)) == int(single)
        half = np.array(min(number / 1000, 65_504), np.float16).view(np.uint16)
        assert library.edgebat_half(ctypes.c_int32(number)) == int(half)
        assert library.edgebat_half(ctypes.c_int32(-number)) == int(half) | (0x8000 if number else 0)


def test_no_adapter_takes_a_null_pointer(library: ctypes.CDLL) -> None:
    for name, count in (
        ("dronecan_battery_info", 4), ("mavlink_status", 3), ("mavlink_info", 4), ("mavlink_smart", 4),
        ("j1939_hvessd1", 3), ("j1939_hvesshist", 3), ("cia418_object", 5), ("cia418_health", 2), ("cia418_tpdo1", 3),
    ):  # fmt: skip
        assert getattr(library, f"edgebat_{name}")(*[None] * count) == -1, name


# --- in a port ---


@pytest.fixture
def exported(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, bytes]]:
    """Files of a port with adapters, without the checklist, which measures the model."""
    graph = load_graph(model_file)
    monkeypatch.setattr(ports, "integration_files", lambda *_, **_options: {})
    return lambda port, *names: port_files(graph, load_port(port), "cell", adapters=names)


def test_the_one_file_of_the_generic_port_holds_them(exported: Callable[..., dict[str, bytes]]) -> None:
    files = exported("generic", "dronecan", "dronecan", "mavlink", "j1939", "cia418")
    header, source = files["cell_edgebat.h"].decode(), files["cell_edgebat.c"].decode()
    for function in ("dronecan_battery_info", "mavlink_info", "j1939_hvesshist", "cia418_object", "measured_soh"):
        assert f"edgebat_{function}(" in header
        assert source.count(f" edgebat_{function}(const") == 1
    assert {f"integration/{name}.md" for name in ("dronecan", "mavlink", "j1939", "cia418")} <= set(files)


@pytest.mark.parametrize("port", sorted(set(list_ports()) - {"generic"}))
def test_a_port_of_many_files_compiles_them_too(port: str, exported: Callable[..., dict[str, bytes]]) -> None:
    plain, files = exported(port), exported(port, "dronecan")
    new = set(files) - set(plain)
    assert {Path(path).name for path in new} == {
        "edgebat_dronecan.c", "edgebat_dronecan.h", "edgebat_readings.c", "edgebat_readings.h", "dronecan.md"
    }  # fmt: skip
    lists = [path for path in plain if path.endswith(("CMakeLists.txt", "wscript"))]
    built = [path for path in lists if b"edgebat_can.c" in plain[path]]
    for path in built:
        assert b"edgebat_dronecan.c" in files[path]
    assert built or port == "arduino"  # which compiles whatever lies in src


def test_the_command_line(command: Command, model_file: Path, tmp_path: Path) -> None:
    _, out, _ = command("export", model_file, "--adapter", "list")
    assert [line.split()[0] for line in out.splitlines()] == list(list_adapters())
    code, _, err = command("export", model_file, "--adapter", "dronecan", "--out", tmp_path / "out")
    assert (code, "--adapter belongs to a firmware: name it with --port" in err) == (2, True)
    code, _, err = command("export", model_file, "--port", "generic", "--adapter", "morse", "--out", tmp_path / "out")
    assert (code, "there is no adapter 'morse'; choose of cia418, dronecan" in " ".join(err.split())) == (2, True)
    assert not (tmp_path / "out").exists()


def test_every_adapter_says_what_is_not_known() -> None:
    for name, page in adapter_pages(list(list_adapters())).items():
        assert b"not known" in page, name
    with pytest.raises(TargetError, match="there is no adapter"):
        adapter_pages(["shared"])
