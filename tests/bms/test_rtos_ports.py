"""The ports for Zephyr, FreeRTOS, ESP-IDF and Arduino, compiled as exported, beside stand-ins for those systems.

The stand-ins (``tests/standin_*``) are our own text: the few declarations the ports use, and a trivial scheduler. What the
ports do with the real systems is told in ``docs/firmware.md``.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgebat.bms.estimator import Config, Estimator, Result
from edgebat.bms.ports import export_port, list_ports, load_port
from edgebat.bms.virtual import SAMPLE, Samples, config_bytes
from edgebat.graph import IntGraph, load_graph
from tests.bms_samples import NOMINAL_MAH, as_sample, cycles, wild
from tests.c_host import WARNINGS, c_compiler, call

HERE = Path(__file__).parents[1]
PORTS = ("arduino", "espidf", "freertos", "zephyr")
CONTEXT = 3


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges of four increments."""
    return load_graph(model_file)


@pytest.fixture
def exported(
    graph: IntGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Path, list[Path]]]:
    """Export a port for a cell of 2 Ah; returns its folder and files."""
    # What the model costs is another test's business, and takes seconds.
    monkeypatch.setattr("edgebat.bms.integration._cost", lambda *_: "Not measured.")

    def export(port: str) -> tuple[Path, list[Path]]:
        folder = tmp_path / port
        return folder, export_port(graph, port, folder, "pack", nominal_mah=NOMINAL_MAH)

    return export


def kconfig_defaults(folder: Path) -> dict[str, str]:
    """What Kconfig makes of an exported folder when nobody changes anything: CONFIG_... -> number."""
    text = (folder / "integration" / "Kconfig.pack").read_text()
    found = dict(re.findall(r"^config (\w+)\n\tint .*\n\tdefault (\d+)$", text, re.MULTILINE))
    assert len(found) == len(fields(Config)) - 1  # the sign is a bool that defaults to n
    return {f"CONFIG_{name}": value for name, value in found.items()}


def build(folder: Path, output: Path, extra: list[Path], include: list[Path], *flags: str, without: str = "-") -> Path:
    """Compile the C of an exported folder with ``extra``, all warnings being errors."""
    sources = [path for path in sorted((folder / "src").glob("*.c")) if without not in path.name]
    search = [f"-I{path}" for path in (folder / "include", folder / "src", *include)]
    undefined = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    warnings = [w for w in WARNINGS if w != "-Wpedantic"]
    call([c_compiler(), *warnings, *undefined, *search, *flags, *sources, *extra, "-o", output])
    return output


def defines(values: dict[str, str]) -> list[str]:
    return [f"-D{name}={value}" for name, value in values.items()]


def demo_samples(folder: Path, place: Path) -> tuple[Samples, list[int]]:
    """The samples that every example shows, and the demo's cycle after each."""
    (place / "demo.c").write_text(
        """#include "edgebat_demo.h"
        #include "edgebat_port.h"
        uint32_t demo(uint32_t cycles, edgebat_sample_t *samples, uint32_t *after);
        uint32_t demo(uint32_t cycles, edgebat_sample_t *samples, uint32_t *after) {
            edgebat_demo_t cell;
            uint32_t n = 0U;
            edgebat_demo_begin(&cell, &EDGEBAT_PORT_MODEL, EDGEBAT_PORT_NOMINAL_MAH);
            while (cell.cycle < cycles) {
                edgebat_demo_next(&cell, &samples[n]);
                after[n] = cell.cycle;
                n++;
            }
            return n;
        }"""
    )
    sources = sorted((folder / "src").glob("*.c"))
    own = [path for path in sources if not re.search("task|nvs|zephyr|settings|bms_soh|port_config", path.name)]
    include = [f"-I{path}" for path in (folder / "include", folder / "src")]
    call([c_compiler(), "-shared", "-fPIC", *include, *own, place / "demo.c", "-o", place / "demo.so"])
    samples, after = np.zeros(50_000, SAMPLE), np.zeros(50_000, np.uint32)
    library = ctypes.CDLL(str(place / "demo.so"))
    count = library.demo(CONTEXT + 3, ctypes.c_void_p(samples.ctypes.data), ctypes.c_void_p(after.ctypes.data))
    return samples[:count], [int(v) for v in after[:count]]


def expected_lines(graph: IntGraph, samples: Samples, after: list[int]) -> list[Result]:
    """What the Python estimator says at the end of every cycle of the demo."""
    estimator = Estimator(graph, Config(NOMINAL_MAH, slew_cpct_h=0))
    results = []
    for sample, cycle, before in zip(samples, after, [0, *after], strict=False):
        estimator.push(as_sample(sample))
        estimator.settle()
        if cycle != before:
            results.append(estimator.result())
    assert results[-1].status == 0
    assert len(results) == CONTEXT + 3
    return results


def assert_lines(printed: str, expected: list[Result]) -> None:
    lines = [line.split() for line in printed.splitlines() if line.startswith("cycle ")]
    assert len(lines) == len(expected)
    for words, result in zip(lines, expected, strict=True):
        found = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        assert found == {name: int(getattr(result, name)) for name in found}


# --- what is in the folders ------------------------------------------------------------------------------------------


def test_every_port_here_has_a_manifest():
    assert set(PORTS) <= set(list_ports())


@pytest.mark.parametrize("port", PORTS)
def test_a_folder_is_complete(port: str, exported: Callable[[str], tuple[Path, list[Path]]]):
    folder, files = exported(port)
    assert load_port(port).manifest.summary
    texts = {path: path.read_text("utf-8") for path in files}
    assert not [path for path, text in texts.items() if "{{" in text or "{%" in text]
    # Every #include with quotes is in the folder or belongs to the operating system.
    names = {path.relative_to(folder).as_posix() for path in files}
    system = re.compile(r"^(FreeRTOS|task|queue|semphr|nvs|nvs_flash|sdkconfig)\.h$|^freertos/")
    for path, text in texts.items():
        for included in re.findall(r'^\s*#include "([^"]+)"', text, re.MULTILINE):
            assert system.search(included) or any(name.endswith(included) for name in names), (path, included)
    # Every C file that a build file names is there, and every C file is named.
    sources = {name for name in names if re.fullmatch(r"src/[^/]+\.c", name)}
    lists = [texts[folder / name] for name in ("CMakeLists.txt", "example/Makefile") if name in names]
    for text in lists:
        assert set(re.findall(r"src/\w+\.c", text)) == sources


def test_metadata_is_readable(exported: Callable[[str], tuple[Path, list[Path]]]):
    arduino, _ = exported("arduino")
    library = json.loads((arduino / "library.json").read_text())
    properties = dict(line.split("=", 1) for line in (arduino / "library.properties").read_text().splitlines())
    assert library["name"] == properties["name"] == "edgebat_pack"
    assert library["version"] == properties["version"]
    assert (arduino / "src" / properties["includes"]).is_file()
    for example in library["examples"]:
        assert all((arduino / example["base"] / name).is_file() for name in example["files"])
    zephyr, _ = exported("zephyr")
    module = yaml.safe_load((zephyr / "zephyr" / "module.yml").read_text())
    assert (zephyr / module["build"]["kconfig"]).is_file()
    sample = yaml.safe_load((zephyr / "samples" / "soh" / "sample.yaml").read_text())
    assert sample["tests"]
    espidf, _ = exported("espidf")
    assert yaml.safe_load((espidf / "idf_component.yml").read_text())["dependencies"]["idf"]
    for folder in (zephyr, espidf):
        assert 'rsource "integration/Kconfig.pack"' in (folder / "Kconfig").read_text()


# --- the examples, run on this computer ------------------------------------------------------------------------------


def run(program: Path) -> str:
    done = subprocess.run([program], cwd=program.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def freertos_example(folder: Path, place: Path) -> Path:
    standin = HERE / "standin_freertos"
    extra = [folder / "example" / "main.c", standin / "standin.c", standin / "board.c"]
    return build(folder, place / "freertos_example", extra, [standin])


def espidf_example(folder: Path, place: Path) -> Path:
    standin = HERE / "standin_espidf"
    macros = "".join(f"#define {k} {v}\n" for k, v in kconfig_defaults(folder).items())
    (place / "sdkconfig.h").write_text(macros)
    main = folder / "examples" / "soh" / "main" / "main.c"
    extra = [main, standin / "standin_nvs.c", HERE / "standin_freertos" / "standin.c"]
    return build(folder, place / "espidf_example", extra, [standin, place], "-DESP_PLATFORM")


def zephyr_example(folder: Path, place: Path) -> Path:
    standin = HERE / "standin_zephyr"
    extra = [folder / "samples" / "soh" / "src" / "main.c", standin / "standin.c"]
    flags = defines(zephyr_options(folder))
    return build(folder, place / "zephyr_example", extra, [standin], *flags, without="bms_soh")


def zephyr_options(folder: Path) -> dict[str, str]:
    own = {"STACK_SIZE": "768", "PRIORITY": "14", "SETTINGS": "1"}
    return {**kconfig_defaults(folder), **{f"CONFIG_EDGEBAT_{name}": value for name, value in own.items()}}


def arduino_example(folder: Path, place: Path) -> Path:
    """The C files as C, the sketch as the C++11 of the oldest cores."""
    compiler = c_compiler()
    objects = place / "arduino_objects"
    objects.mkdir()
    source = folder / "src"
    own = sorted(source.glob("*.c"))
    done = subprocess.run([compiler, "-c", *WARNINGS, "-I", source, *own], cwd=objects, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    standin = HERE / "standin_arduino"
    sketch = place / "Soh.cpp"
    sketch.write_text("#include <Arduino.h>\n" + (folder / "examples" / "Soh" / "Soh.ino").read_text())
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    program = place / "arduino_example"
    plus = {"gcc": "g++", "clang": "clang++"}.get(compiler, "c++")
    if shutil.which(plus) is None:
        pytest.skip("no C++ compiler is installed")
    include = ["-I", source, "-I", standin]
    call([plus, *flags, *include, sketch, standin / "standin.cpp", *sorted(objects.glob("*.o")), "-o", program])
    return program


EXAMPLES = {
    "arduino": arduino_example,
    "espidf": espidf_example,
    "freertos": freertos_example,
    "zephyr": zephyr_example,
}


@pytest.mark.parametrize("port", PORTS)
def test_the_example_says_what_the_estimator_in_python_says(
    port: str, graph: IntGraph, exported: Callable[[str], tuple[Path, list[Path]]], tmp_path: Path
):
    folder, _ = exported(port)
    program = EXAMPLES[port](folder, tmp_path)
    printed = run(program)
    expected = expected_lines(graph, *demo_samples(folder, tmp_path))
    if port == "zephyr":  # it prints what it begins with as well
        expected = [Estimator(graph, Config(NOMINAL_MAH)).result(), *expected]
    assert_lines(printed, expected)
    if port in ("espidf", "zephyr"):  # they keep their state, and go on from it
        again = run(program)
        assert "start 0" in again
        first = next(line.split() for line in again.splitlines() if line.startswith("cycle "))
        assert int(first[1]) >= expected[-1].cycle
        assert int(first[3]) != 65535


# --- every sample, on clean and on wild streams ----------------------------------------------------------------------


class CResult(ctypes.Structure):
    """``edgebat_result_t``."""

    _fields_ = (
        *((name, ctypes.c_uint16) for name in ("soh_cpct", "sigma_cpct", "rul_cycles", "model_cpct", "counting_cpct")),
        ("age_cycles", ctypes.c_uint16),
        ("age_s", ctypes.c_uint32),
        ("cycle", ctypes.c_uint32),
        ("revision", ctypes.c_uint32),
        ("points_cpct", ctypes.c_uint16 * 8),
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
    named = ((f.name, getattr(result, f.name)) for f in fields(result))
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
    save = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)(
        lambda state, size: states.append(ctypes.string_at(state, size))
    )
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


def zephyr_library(folder: Path, place: Path) -> ctypes.CDLL:
    standin = HERE / "standin_zephyr"
    flags = ["-shared", "-fPIC", *defines(zephyr_options(folder))]
    return ctypes.CDLL(str(build(folder, place / "zephyr.so", [standin / "standin.c"], [standin], *flags)))


class BmsContext(ctypes.Structure):
    """The stand-in's ``struct bms_context``."""

    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in ("nominal_ah", "full_v", "empty_v", "cell_v", "current_a", "temperature_degc")
    )


class BmsSoh(ctypes.Structure):
    """``struct bms_soh``."""

    _fields_ = (
        *((name, ctypes.c_float) for name in ("soh_pct", "sigma_pct", "rul_cycles")),
        ("status", ctypes.c_uint16),
        ("source", ctypes.c_uint16),
    )


def test_libresolar_floats_become_the_integers_of_the_estimator_and_back(
    graph: IntGraph,
    exported: Callable[[str], tuple[Path, list[Path]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    folder, _ = exported("zephyr")
    library = zephyr_library(folder, tmp_path)
    shown = BmsSoh.in_dll(library, "bms_soh")
    pack = BmsContext(float("nan"), 4.2, 3.0, float("nan"), 0.0, 25.0)
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
        pack.cell_v = float("nan") if sample["valid"] == 6 else sample["cell_mv"] / 1000
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
