"""The ports for FreeRTOS and Zephyr beside the estimator in Python, sample by sample, on clean and on wild streams."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.resistance import ResistanceConfig
from edgebat.bms.results import Result, Status
from edgebat.bms.samples import Samples
from edgebat.bms.virtual import config_bytes
from edgebat.graph import IntGraph
from edgebat.tasks.health.charge_types import UNKNOWN
from tests.bms_samples import NOMINAL_MAH, as_sample, cycles, rest, wild
from tests.c_host import c_compiler, call
from tests.rtos_ports import CONTEXT, HERE, build, defines, kconfig_defaults, kconfig_resistance, zephyr_options


class CResult(ctypes.Structure):
    """``edgebat_result_t``."""

    _fields_ = (
        *((name, ctypes.c_uint16) for name in ("soh_cpct", "sigma_cpct", "rul_cycles", "model_cpct", "counting_cpct")),
        ("age_cycles", ctypes.c_uint16),
        ("age_s", ctypes.c_uint32),
        ("cycle", ctypes.c_uint32),
        ("revision", ctypes.c_uint32),
        ("throughput_mah", ctypes.c_uint32),
        ("window_ppm", ctypes.c_uint32),
        ("points_cpct", ctypes.c_uint16 * 8),
        ("efc_quarters", ctypes.c_uint16),
        ("points", ctypes.c_uint8),
        ("warmup", ctypes.c_uint8),
        ("status", ctypes.c_uint8),
        ("source", ctypes.c_uint8),
        ("charge", ctypes.c_uint8),
    )

    def as_result(self) -> dict[str, int | list[int]]:
        return {name: list(v) if name == "points_cpct" else int(v) for name, v in self._items()}

    def _items(self) -> Iterator[tuple[str, int]]:
        return ((name, getattr(self, name)) for name, *_ in self._fields_)


def as_dict(result: Result) -> dict[str, int | list[int]]:
    asked = (f for f in fields(result) if not f.name.startswith("resistance"))  # nobody asks these firmwares for it
    named = ((f.name, getattr(result, f.name)) for f in asked)
    return {name: list(v) if name == "points_cpct" else int(v) for name, v in named}


class Twin:
    """The Python estimator, keeping states when the ports do."""

    def __init__(self, graph: IntGraph, **settings: int) -> None:
        self.estimator = Estimator(graph, Config(NOMINAL_MAH, **settings))
        self.states: list[bytes] = []
        self.kept = self.estimator.result()

    def live(self, sample: np.void) -> Result:
        self.estimator.push(as_sample(sample))
        return self.settle()

    def settle(self) -> Result:
        busy = True
        while busy:
            busy = self.estimator.step()
            now = self.estimator.result()
            if now.revision != self.kept.revision:
                self.states.append(self.estimator.state())
            self.kept = now
        return now


STREAM = np.concatenate([cycles(CONTEXT + 1, seconds=3850), wild(3), cycles(2, seconds=3850), wild(4)])


def test_a_freertos_task_gives_the_results_and_states_of_python(
    graph: IntGraph, exported: Callable[[str], tuple[Path, list[Path]]], tmp_path: Path
):
    folder, _ = exported("freertos")
    standin = HERE / "standin_freertos"
    library = ctypes.CDLL(
        str(build(folder, tmp_path / "task.so", [standin / "standin.c"], [standin], "-shared", "-fPIC"))
    )
    states: list[bytes] = []
    broken = False

    def keep(state: int, size: int) -> int:
        if not broken:
            states.append(ctypes.string_at(state, size))
        return int(broken)

    save = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)(keep)
    config = ctypes.create_string_buffer(128)
    found = CResult()
    assert library.edgebat_task_result(ctypes.byref(found)) < 0  # nothing has begun
    library.edgebat_config_default(config, NOMINAL_MAH)
    assert library.edgebat_task_start(config, None, 0, save) == 0
    library.standin_run()
    twin = Twin(graph)
    assert twin.estimator.model.points <= 8
    for index in range(len(STREAM)):
        expected = twin.live(STREAM[index])
        assert library.edgebat_task_push(ctypes.c_void_p(STREAM[index : index + 1].ctypes.data)) == 0
        library.standin_run()
        library.edgebat_task_result(ctypes.byref(found))
        assert found.as_result() == as_dict(expected), index
    assert states == twin.states
    assert len(states) > 4

    # A task that is starved: what the queue cannot take is a hole of as many milliseconds, not lost time.
    burst = cycles(1, seconds=3850)[:40]
    burst["dt_ms"] = 1000
    taken = [library.edgebat_task_push(ctypes.c_void_p(burst[i : i + 1].ctypes.data)) for i in range(len(burst))]
    assert taken == [0] * 8 + [2] * 32
    library.standin_run()
    late = burst[-1:].copy()
    library.edgebat_task_push(ctypes.c_void_p(late.ctypes.data))
    library.standin_run()
    for sample in burst[:8]:
        twin.estimator.push(as_sample(sample))
        twin.estimator.settle()
    late["dt_ms"] += burst["dt_ms"][8:].sum(dtype=np.uint32)
    library.edgebat_task_result(ctypes.byref(found))
    assert found.as_result() == as_dict(twin.live(late[0]))

    # A memory that fails for a while loses nothing: the state is written when it works again.
    def push(samples: Samples) -> None:
        for i in range(len(samples)):
            library.edgebat_task_push(ctypes.c_void_p(samples[i : i + 1].ctypes.data))
            library.standin_run()

    written, broken = len(states), True
    push(cycles(1, seconds=3850))
    assert len(states) == written
    broken = False
    push(rest(100))
    assert len(states) == written + 1
    # When samples stop the task waits, and whoever asks for the result is told so.
    library.edgebat_task_result(ctypes.byref(found))
    assert found.status != Status.INPUT_INVALID
    library.standin_wait(10_000)
    library.edgebat_task_result(ctypes.byref(found))
    assert found.status == Status.INPUT_INVALID
    # Ticks wrap around after 49 days, and then look as if a sample had just come.
    library.standin_wait(2**32 - 10_000)
    library.edgebat_task_result(ctypes.byref(found))
    assert found.status == Status.INPUT_INVALID
    push(rest(1))
    library.edgebat_task_result(ctypes.byref(found))
    assert found.status != Status.INPUT_INVALID


def test_the_zephyr_module_gives_the_results_and_states_of_python(
    graph: IntGraph,
    exported: Callable[[str], tuple[Path, list[Path]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)  # the stand-in keeps settings in a file there
    folder, _ = exported("zephyr")
    library = zephyr_library(folder, tmp_path)
    config = ctypes.create_string_buffer(128)
    assert library.edgebat_port_config(config) == 0
    assert library.edgebat_zephyr_start(config) == 0
    twin, found = Twin(graph), CResult()
    for index in range(len(STREAM)):
        expected = twin.live(STREAM[index])
        library.edgebat_zephyr_push(ctypes.c_void_p(STREAM[index : index + 1].ctypes.data))
        library.standin_sleep(1)
        library.edgebat_zephyr_result(ctypes.byref(found))
        assert found.as_result() == as_dict(expected), index
    assert (tmp_path / "settings").read_bytes() == twin.states[-1]
    # Before the power is switched off on purpose: the newest state, which a new start takes.
    assert library.edgebat_zephyr_store() == 0
    assert (tmp_path / "settings").read_bytes() == twin.estimator.state()
    assert library.edgebat_zephyr_start(config) == 0
    library.edgebat_zephyr_result(ctypes.byref(found))
    assert (found.cycle, found.soh_cpct) == (expected.cycle, expected.soh_cpct)
    # Flash that fails for a while loses nothing; samples that stop are a status.
    fails = ctypes.c_int.in_dll(library, "standin_save_fails")
    kept, fails.value = (tmp_path / "settings").read_bytes(), 1
    for samples in (cycles(1, seconds=3850), rest(100)):
        for index in range(len(samples)):
            library.edgebat_zephyr_push(ctypes.c_void_p(samples[index : index + 1].ctypes.data))
            library.standin_sleep(1)
        assert ((tmp_path / "settings").read_bytes() == kept) == bool(fails.value)
        fails.value = 0
    library.standin_sleep(10_000)
    library.edgebat_zephyr_result(ctypes.byref(found))
    assert found.status == Status.INPUT_INVALID
    # A state that does not belong here is refused with its code, and the battery begins as a new one.
    (tmp_path / "settings").write_bytes(b"\xff" * len(twin.states[-1]))
    assert library.edgebat_zephyr_start(config) == -8  # EDGEBAT_ERR_BLANK
    library.edgebat_zephyr_result(ctypes.byref(found))
    assert found.soh_cpct == 65535


def test_every_option_of_kconfig_reaches_the_estimator(
    exported: Callable[[str], tuple[Path, list[Path]]], tmp_path: Path
):
    folder, _ = exported("zephyr")
    options = {name: str(int(value) + n) for n, (name, value) in enumerate(kconfig_defaults(folder).items(), 1)}
    options["CONFIG_EDGEBAT_PACK_DISCHARGE_POSITIVE"] = "1"
    expected = Config(
        discharge_positive=True,
        **{
            f.name: int(options[f"CONFIG_EDGEBAT_PACK_{f.name.upper()}"])
            for f in fields(Config)
            if f.name != "discharge_positive"
        },
    )
    own = [path for path in (folder / "src").glob("*.c") if not re.search("zephyr|settings|bms_soh", path.name)]
    include = [f"-I{folder / name}" for name in ("include", "src")]
    call([c_compiler(), "-shared", "-fPIC", *include, *defines(options), *own, "-o", tmp_path / "config.so"])
    found = ctypes.create_string_buffer(len(config_bytes(expected)))
    assert ctypes.CDLL(str(tmp_path / "config.so")).edgebat_port_config(found) == 0
    assert found.raw == config_bytes(expected)


@pytest.mark.parametrize(("port", "is_new"), [("zephyr", False), ("zephyr", True), ("espidf", False)])
def test_every_option_of_the_resistance_reaches_the_estimator(
    port: str, is_new: bool, exported: Callable[[str], tuple[Path, list[Path]]], tmp_path: Path
):
    """Compiled as Zephyr's and ESP-IDF's build files say, with all numbers other than their defaults."""
    folder, _ = exported(port)
    build_file = (folder / "CMakeLists.txt").read_text()
    assert re.search(r"CONFIG_EDGEBAT_RESISTANCE\b[^\n]*\n?[^\n]*EDGEBAT_RESISTANCE=1", build_file)
    changed = {name: str(int(value) + n) for n, (name, value) in enumerate(kconfig_resistance(folder).items(), 1)}
    options = {**kconfig_defaults(folder), **changed, "EDGEBAT_RESISTANCE": "1"}
    options |= {"CONFIG_EDGEBAT_PACK_RESISTANCE_IS_NEW": "1"} if is_new else {}
    numbers = {name.removeprefix("CONFIG_EDGEBAT_PACK_RESISTANCE_").lower(): int(v) for name, v in changed.items()}
    expected = ResistanceConfig(**numbers, is_new=is_new).to_bytes(NOMINAL_MAH)
    own = [p for p in (folder / "src").glob("*.c") if not re.search("zephyr|settings|bms_soh|nvs|task", p.name)]
    include = [f"-I{folder / name}" for name in ("include", "src")]
    call([c_compiler(), "-shared", "-fPIC", *include, *defines(options), *own, "-o", tmp_path / "config.so"])
    found = ctypes.create_string_buffer(len(config_bytes(Config(NOMINAL_MAH))) + len(expected))
    assert ctypes.CDLL(str(tmp_path / "config.so")).edgebat_port_config(found) == 0
    assert found.raw == config_bytes(Config(NOMINAL_MAH)) + expected


def zephyr_library(folder: Path, place: Path, cells: int = 1) -> ctypes.CDLL:
    standin = HERE / "standin_zephyr"
    flags = ["-shared", "-fPIC", *defines({**zephyr_options(folder), "CONFIG_EDGEBAT_CELLS": str(cells)})]
    return ctypes.CDLL(str(build(folder, place / "zephyr.so", [standin / "standin.c"], [standin], *flags)))


class BmsContext(ctypes.Structure):
    """The stand-in's ``struct bms_context``."""

    _fields_ = (
        *((name, ctypes.c_float) for name in ("nominal_ah", "full_v", "empty_v")),
        ("cells", ctypes.c_uint8),
        ("cell_v", ctypes.c_float * 16),
        *((name, ctypes.c_float) for name in ("current_a", "temperature_degc")),
    )


class BmsSoh(ctypes.Structure):
    """``struct bms_soh``."""

    _fields_ = (
        *((name, ctypes.c_float) for name in ("soh_pct", "sigma_pct", "rul_cycles")),
        ("status", ctypes.c_uint16),
        ("source", ctypes.c_uint16),
    )


def test_libresolar_shows_the_weakest_cell_and_not_their_average(
    exported: Callable[[str], tuple[Path, list[Path]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    library = zephyr_library(exported("zephyr")[0], tmp_path, cells=2)
    shown, found = BmsSoh.in_dll(library, "bms_soh"), (CResult(), CResult())
    pack = BmsContext(NOMINAL_MAH / 1000, 4.2, 3.0, 2, (3.3,) * 16, 0.0, 25.0)
    # The weaker cell takes less in the same window: its voltage rises earlier, and rests where the other one's goes on.
    stream = cycles(CONTEXT + 2, seconds=3850)
    weak = stream["cell_mv"].astype(float)
    weak[stream["current_ma"] > 0] = np.minimum(3570 + (weak[stream["current_ma"] > 0] - 3570) * 1.03, 3740)
    for index in range(len(stream)):
        library.standin_sleep(int(stream["dt_ms"][index]))
        pack.cell_v[0], pack.cell_v[1] = stream["cell_mv"][index] / 1000, round(weak[index]) / 1000
        pack.current_a = stream["current_ma"][index] / 1000
        library.bms_soh_update(ctypes.byref(pack))
    for cell, result in enumerate(found):
        library.edgebat_zephyr_result_cell(cell, ctypes.byref(result))
    assert 0 < found[1].soh_cpct < found[0].soh_cpct < UNKNOWN
    assert shown.soh_pct == pytest.approx(found[1].soh_cpct / 100)
    # Nor is a chemistry shown that this model never sees, or a pack of more cells than are followed.
    pack.cells = 3
    library.bms_soh_update(ctypes.byref(pack))
    lfp = BmsContext(1.5, 3.55, 2.5, 2, (3.3,) * 16, 0.0, 25.0)
    library.bms_soh_update(ctypes.byref(lfp))
    assert np.isnan(shown.soh_pct)


def test_libresolar_floats_become_the_integers_of_the_estimator_and_back(
    graph: IntGraph,
    exported: Callable[[str], tuple[Path, list[Path]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    folder, _ = exported("zephyr")
    library = zephyr_library(folder, tmp_path, cells=2)
    shown = BmsSoh.in_dll(library, "bms_soh")
    pack = BmsContext(float("nan"), 4.2, 3.0, 2, (float("nan"),) * 16, 0.0, 25.0)
    library.bms_soh_update(ctypes.byref(pack))  # a capacity that is not known yet: nothing happens
    assert np.isnan(shown.soh_pct)
    pack.nominal_ah = NOMINAL_MAH / 1000
    # LibreSolar's pack knows its voltage limits, so ampere-hours are counted between them.
    twin = Twin(graph, full_mv=4180, empty_mv=3000)
    samples = cycles(CONTEXT + 2, seconds=3850)
    samples["valid"][samples["cell_mv"] == 3666] = 6  # a driver that read no number
    for index, sample in enumerate(samples):
        if index:  # the first update begins, and its time is zero
            library.standin_sleep(int(sample["dt_ms"]))
        pack.cell_v = (float("nan") if sample["valid"] == 6 else sample["cell_mv"] / 1000,) * 2
        pack.current_a, pack.temperature_degc = sample["current_ma"] / 1000, sample["temperature_ddegc"] / 10
        library.bms_soh_update(ctypes.byref(pack))
        twin.estimator.push(as_sample(sample) if index else as_sample(_without_time(sample)))
        expected = twin.estimator.result()
        assert (shown.status, shown.source) == (expected.status, expected.source)
        for value, scale, cpct in (
            (shown.soh_pct, 0.01, expected.soh_cpct),
            (shown.sigma_pct, 0.01, expected.sigma_cpct),
            (shown.rul_cycles, 1.0, expected.rul_cycles),
        ):
            assert np.isnan(value) if cpct == 65535 else value == pytest.approx(cpct * scale)
        twin.settle()  # the work queue runs while the super-loop sleeps
    library.standin_sleep(1)
    assert expected.source == 1
    # The state holds every milliampere-millisecond that went in and out.
    assert (tmp_path / "settings").read_bytes() == twin.states[-1]


def _without_time(sample: np.void) -> np.void:
    copy = sample.copy()
    copy["dt_ms"] = 0
    return copy
