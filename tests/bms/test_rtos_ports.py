"""The ports for Zephyr, FreeRTOS, ESP-IDF and Arduino as exported: what lies in their folders, and their examples run on
this computer beside stand-ins for those systems.

The stand-ins (``tests/standin_*``) are our own text: the few declarations the ports use, and a trivial scheduler. What the
ports do with the real systems is told in ``docs/ports.md``. Every sample of long streams: ``test_rtos_streams.py``.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.ports import list_ports, load_port
from edgebat.bms.results import Result
from edgebat.bms.samples import SAMPLE, Samples
from edgebat.graph import IntGraph
from tests.bms_samples import NOMINAL_MAH, as_sample
from tests.c_host import WARNINGS, c_compiler, call
from tests.rtos_ports import CONTEXT, HERE, build, defines, kconfig_defaults, zephyr_options

PORTS = ("arduino", "espidf", "freertos", "zephyr")


def demo_samples(folder: Path, work: Path) -> tuple[Samples, list[int]]:
    """The samples that every example shows, and the demo's cycle after each."""
    (work / "demo.c").write_text(
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
    call([c_compiler(), "-shared", "-fPIC", *include, *own, work / "demo.c", "-o", work / "demo.so"])
    samples, after = np.zeros(50_000, SAMPLE), np.zeros(50_000, np.uint32)
    library = ctypes.CDLL(str(work / "demo.so"))
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


def freertos_example(folder: Path, work: Path, *flags: str) -> Path:
    standin = HERE / "standin_freertos"
    extra = [folder / "example" / "main.c", standin / "standin.c", standin / "board.c"]
    return build(folder, work / "freertos_example", extra, [standin], *flags)


def espidf_example(folder: Path, work: Path, *flags: str) -> Path:
    standin = HERE / "standin_espidf"
    macros = "".join(f"#define {k} {v}\n" for k, v in kconfig_defaults(folder).items())
    (work / "sdkconfig.h").write_text(macros)
    main = folder / "examples" / "soh" / "main" / "main.c"
    extra = [main, standin / "standin_nvs.c", HERE / "standin_freertos" / "standin.c"]
    return build(folder, work / "espidf_example", extra, [standin, work], "-DESP_PLATFORM", *flags)


def zephyr_example(folder: Path, work: Path) -> Path:
    standin = HERE / "standin_zephyr"
    extra = [folder / "samples" / "soh" / "src" / "main.c", standin / "standin.c"]
    flags = defines(zephyr_options(folder))
    return build(folder, work / "zephyr_example", extra, [standin], *flags, without="bms_soh")


def arduino_example(folder: Path, work: Path) -> Path:
    """The C files as C, the sketch as the C++11 of the oldest cores."""
    compiler = c_compiler()
    objects = work / "arduino_objects"
    objects.mkdir()
    source = folder / "src"
    own = sorted(source.glob("*.c"))
    done = subprocess.run([compiler, "-c", *WARNINGS, "-I", source, *own], cwd=objects, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    standin = HERE / "standin_arduino"
    sketch = work / "Soh.cpp"
    sketch.write_text("#include <Arduino.h>\n" + (folder / "examples" / "Soh" / "Soh.ino").read_text())
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    program = work / "arduino_example"
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


@pytest.mark.parametrize("example", [freertos_example, espidf_example])
def test_a_sample_that_found_no_room_loses_no_time_and_gains_none(
    example: Callable[..., Path],
    graph: IntGraph,
    exported: Callable[[str], tuple[Path, list[Path]]],
    tmp_path: Path,
):
    folder, _ = exported(example.__name__.removesuffix("_example"))
    program = example(folder, tmp_path, "-DSTANDIN_REFUSES=7U")
    assert_lines(run(program), expected_lines(graph, *demo_samples(folder, tmp_path)))
