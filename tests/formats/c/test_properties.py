"""What firmware engineers ask of the C library before they look at its numbers."""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgebat.formats.c.write import write_c
from edgebat.paths import firmware_dir
from edgebat.runtime import Engine
from edgebat.simulate import BuildOptions, measure
from tests.c_host import VARIANTS, WARNINGS, Kernels, aligned, c_compiler, call, compilers, load, pointer
from tests.formats_graphs import FAMILIES, GraphMaker, random_inputs

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
SOURCES = sorted((firmware_dir() / "src").glob("*.c"))
INCLUDE = f"-I{firmware_dir() / 'include'}"
ARM = "arm-none-eabi-gcc"
CORES = {
    "m4": ("-mthumb", "-mcpu=cortex-m4"),
    "m0plus": ("-mthumb", "-mcpu=cortex-m0plus"),
    "m3": ("-mthumb", "-mcpu=cortex-m3"),
}
# 64-bit multiplication of Armv6-M, for engineering units at the border only.
HELPERS = {"__aeabi_lmul"}
# Kernels in the roundings of other engines lie beside the models that need them.
EXACT = {path.stem for path in (firmware_dir() / "exact").glob("*.c")}
# Bytes of stack of functions in assembly, which the compiler counts as none.
IN_ASSEMBLY = {"edgebat_dense": 40, "multiply": 40}

needs_arm = pytest.mark.skipif(not shutil.which(ARM), reason=f"{ARM} is not installed")


def arm_objects(folder, core, *flags):
    """The whole library and one model of each family, compiled for ``core``."""
    models = [write_c(build(3), folder, family).files[1] for family, build in FAMILIES.items()]
    command = [ARM, *CORES[core], "-std=c99", "-O2", "-c", "-ffunction-sections", INCLUDE, f"-I{folder}", *flags]
    subprocess.run([*command, *map(str, [*SOURCES, *models])], cwd=folder, check=True)
    return sorted(folder.glob("*.o"))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("standard", ["-std=c99", "-std=c11"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_has_anything_to_say(tmp_path, compiler, standard, variant):
    if compiler not in compilers():
        pytest.skip(f"{compiler} is not installed")
    models = [write_c(build(3), tmp_path, family).files[1] for family, build in FAMILIES.items()]
    flags = [*WARNINGS[1:], standard, *VARIANTS[variant], INCLUDE, f"-I{tmp_path}", "-fsyntax-only"]
    call([compiler, *flags, *SOURCES, *models])


@needs_arm
@pytest.mark.parametrize("core", CORES)
def test_the_library_calls_nothing_but_itself_and_owns_no_memory(tmp_path, core):
    objects = arm_objects(tmp_path, core)
    words = subprocess.run(["arm-none-eabi-nm", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    symbols = re.findall(r"([A-Za-z]) (\w+)$", words, re.MULTILINE)
    defined = {name for kind, name in symbols if kind in "TR"}
    undefined = {name for kind, name in symbols if kind == "U"}
    assert undefined - defined <= HELPERS | EXACT
    # Neither variables nor zeroed memory: two tasks may run two models, or the same one, at the same time.
    assert not {name for kind, name in symbols if kind in "BbDdCS"}


def call_graph(folder):
    """Stack of every function in bytes, and its callees, from what gcc writes beside the objects."""
    stack, callees = {}, {}
    for path in folder.glob("*.ci"):
        text = path.read_text()
        for title, frame, kind in re.findall(
            r'node: \{ title: "(?:[^":]*:)?(\w+)" label: "[^"]*?(\d+) bytes \((\w+)\)', text
        ):
            assert kind == "static", f"{title} has a stack frame of variable size"
            stack[title] = max(int(frame), IN_ASSEMBLY.get(title, 0))
        for source, target in re.findall(
            r'edge: \{ sourcename: "(?:[^":]*:)?(\w+)" targetname: "(?:[^":]*:)?(\w+)"', text
        ):
            callees.setdefault(source, set()).add(target)
    return stack, callees


def deepest(function, stack, callees, above=()):
    """Bytes of stack below ``function``, itself included; fails on a cycle."""
    assert function not in above, f"recursion: {' -> '.join([*above, function])}"
    inner = [deepest(c, stack, callees, (*above, function)) for c in sorted(callees.get(function, ()))]
    return stack.get(function, 0) + max(inner, default=0)


@needs_arm
@pytest.mark.parametrize("core", CORES)
def test_stack_is_bounded_and_nothing_recurses(tmp_path, core):
    arm_objects(tmp_path, core, "-fcallgraph-info=su")
    stack, callees = call_graph(tmp_path)
    entries = [name for name in stack if re.fullmatch(r"(mlp|cnn|lstm)_\w+", name)]
    assert {"mlp_run", "cnn_run", "lstm_run", "lstm_step", "lstm_selftest"} <= set(entries)
    for entry in entries:
        assert deepest(entry, stack, callees) <= 256, f"{entry} needs more than 256 bytes of stack"


@needs_arm
@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4f"])
# Kernels in the roundings of other engines shift by as much as the data ask, and 64 bits, which Armv6-M does in loops.
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "padded"])
@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_instructions_do_not_depend_on_the_data(tmp_path, family, target, compiler):
    if compiler == "zig":
        pytest.importorskip("ziglang")
    graph = FAMILIES[family](1)
    x = random_inputs(graph, 12, 3)
    model = write_c(graph, tmp_path, "net")
    build = BuildOptions(compiler, kernels=model.kernel_sources)
    result = measure(tmp_path, "net", target, x, build, counted=len(x))
    np.testing.assert_array_equal(result.outputs, Engine(graph).run(x).reshape(len(x), -1))
    assert result.instructions[0] == result.instructions[1]


SELFTEST_PROGRAM = """
#include "net.h"
#include <stdlib.h>

int main(void) {
    net_output_t *output = malloc(NET_OUTPUT_LEN * sizeof *output);
    void *scratch = malloc(NET_SCRATCH_BYTES + (NET_SCRATCH_BYTES == 0));
    const int status = net_selftest(output, scratch);
    free(output);
    free(scratch);
    return status;
}
"""


ASAN_CASES = [
    *((variant, "balanced") for variant in VARIANTS),
    ("thumb1", "fast"),
    *([("dsp", "flash"), ("dsp", "ram")] if FULL else []),
]


@pytest.mark.parametrize(("variant", "mode"), ASAN_CASES)
def test_address_sanitizer_sees_no_access_outside_of_anything(tmp_path, variant, mode):
    # The self-test runs the model on exact-sized blocks of the heap.
    flags = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *VARIANTS[variant])
    kernels = Kernels(tmp_path / "kernels")
    for family, build in FAMILIES.items():
        folder = tmp_path / family
        model = write_c(build(6), folder, "net", mode=mode)
        (folder / "main.c").write_text(SELFTEST_PROGRAM)
        sources = [folder / "main.c", model.files[1], *kernels.objects(flags)]
        call([c_compiler(), "-O1", *flags, *WARNINGS, INCLUDE, f"-I{folder}", *sources, "-o", folder / "main"])
        call([folder / "main"])


def test_two_models_live_in_one_image(tmp_path):
    kernels = Kernels(tmp_path / "kernels")
    first = load(FAMILIES["mlp"](1), tmp_path, kernels, VARIANTS["portable"], name="first")
    second = load(FAMILIES["lstm"](2), tmp_path, kernels, VARIANTS["portable"], name="second")
    both = tmp_path / "both.so"
    sources = [model.model.files[1] for model in (first, second)]
    flags = (*WARNINGS, *VARIANTS["portable"], INCLUDE, f"-I{tmp_path}", "-fPIC", "-shared")
    call([c_compiler(), *flags, *sources, *kernels.objects(VARIANTS["portable"]), "-o", both])
    library = ctypes.CDLL(str(both))
    for model in (first, second):
        model.library = library
        output = np.zeros(model.model.output_len, model.model.output_dtype)
        assert model.function("selftest")(pointer(output), pointer(aligned(model.model.scratch_bytes)[0])) == 0


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
def test_headers_are_fit_for_cpp(tmp_path):
    write_c(FAMILIES["mlp"](1), tmp_path, "net")
    program = tmp_path / "main.cpp"
    program.write_text(
        '#include "net.h"\nint main() { return net_run(nullptr, nullptr, nullptr) - EDGEBAT_ERR_NULL; }\n'
    )
    call(
        [
            "g++",
            "-std=c++11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            INCLUDE,
            f"-I{tmp_path}",
            "-fsyntax-only",
            program,
        ]
    )


@pytest.mark.skipif(not shutil.which("cppcheck"), reason="cppcheck is not installed")
def test_cppcheck_finds_nothing():
    call(["make", "-C", firmware_dir(), "--no-print-directory", "cppcheck"])


@pytest.mark.skipif(not shutil.which("cppcheck"), reason="cppcheck is not installed")
def test_every_misra_deviation_is_listed_with_its_reason(tmp_path):
    listed = set(re.findall(r"^\| (\d+\.\d+) \|", (firmware_dir() / "MISRA.md").read_text("utf-8"), re.MULTILINE))
    make = GraphMaker(np.random.default_rng(1), (2, 2), 2.0**-5, 0)  # a step of one value is multiplied by 1: rule 2.2
    make.lstm(1)
    make.last_step()
    make.head(5)
    model = write_c(make.graph("small"), tmp_path, "net").files[1]  # the addon takes its time over long tables
    # The addon leaves its dumps beside the sources: give it copies.
    copies = [Path(shutil.copy(source, tmp_path)) for source in firmware_dir().glob("src/*.[ch]")]
    copies += [Path(shutil.copy(source, tmp_path)) for source in firmware_dir().glob("bms/*.[ch]")]
    sources = [copy for copy in copies if copy.suffix == ".c"]
    found = set()
    for variant in VARIANTS.values() if FULL else [VARIANTS["portable"]]:
        command = ["cppcheck", "-q", "--addon=misra", "--std=c99", "--suppress=missingIncludeSystem", INCLUDE, *variant]
        done = subprocess.run([*command, f"-I{tmp_path}", *map(str, [*sources, model])], capture_output=True, text=True)
        if "misra" not in done.stderr:
            pytest.skip("cppcheck has no MISRA addon")
        found |= set(re.findall(r"misra-c2012-(\d+\.\d+)", done.stderr))
    assert found == listed if FULL else found <= listed


def test_the_program_of_the_readme_runs(tmp_path):
    text = (firmware_dir() / "README.md").read_text("utf-8")
    (program,) = re.findall(r"```c\n(.*?)```", text, re.DOTALL)
    model = write_c(FAMILIES["cnn"](1), tmp_path, "soh")
    (tmp_path / "main.c").write_text(program)
    flags = [*WARNINGS, INCLUDE, f"-I{tmp_path}", "-o", tmp_path / "main"]
    call([c_compiler(), *flags, tmp_path / "main.c", model.files[1], *SOURCES])
    call([tmp_path / "main"])


def test_the_library_is_small():
    paths = [*firmware_dir().glob("src/*.[ch]"), *firmware_dir().glob("bms/*.[ch]")]
    lines = {path.name: len(path.read_text().splitlines()) for path in paths}
    assert max(lines.values()) <= 250, max(lines, key=lines.get)
