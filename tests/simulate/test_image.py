"""The image that is measured: what is in it, what it weighs, what must not be in it."""

import subprocess

import pytest

from edgebat.errors import TargetError, ToolError
from edgebat.paths import firmware_dir
from edgebat.simulate import load_target
from edgebat.simulate.elf import Image
from edgebat.simulate.image import BuildOptions, build
from tests.simulate_models import MODEL, body, write_model

M4F = load_target("cortex-m4f")


def test_sizes_by_group_add_up_to_the_whole_file(tmp_path):
    image = Image(build(write_model(tmp_path / "c"), "toy", M4F, tmp_path / "b").path)
    flash = image.flash
    loaded = sum(len(content) for _, content in image.segments)
    # Groups are rounded up to words, so nothing lies between them.
    assert flash.total + flash.harness == loaded
    assert flash.model_tables == 36  # int8 [3][12]
    assert flash.kernel_tables == flash.initial_data == 0
    assert flash.model_code >= image.symbols["toy_run"].size
    assert flash.kernel_code >= image.symbols["toy_dot"].size > 0


def test_variables_of_the_model_count_and_those_of_the_harness_do_not(tmp_path):
    source = body(
        "counter += zeroed[3]; zeroed[2] = counter;", "static int32_t counter = 5; static volatile int32_t zeroed[10];"
    )
    image = Image(build(write_model(tmp_path / "c", source), "toy", M4F, tmp_path / "b").path)
    assert image.flash.initial_data == 4
    assert image.variable_bytes == 4 + 40
    assert image.sections[".bss"] > 40


def test_what_nobody_calls_is_left_out(tmp_path):
    image = Image(build(write_model(tmp_path / "c", body(";")), "toy", M4F, tmp_path / "b").path)
    assert "toy_dot" not in image.symbols
    assert image.flash.kernel_code == image.flash.model_tables == 0


def test_the_harness_tells_what_it_was_built_for(tmp_path):
    info = Image(build(write_model(tmp_path / "c"), "toy", M4F, tmp_path / "b").path).info
    assert (info.input_len, info.output_len, info.output_bytes) == (12, 3, 2)
    assert (info.scratch_bytes, info.state_bytes) == (12, 0)


@pytest.mark.parametrize(
    ("statements", "before", "names"),
    [
        ("output[0] = (int16_t)(input[0] * 0.5f * input[1]);", "", "__aeabi_f"),
        ("output[0] = (int16_t)((double)input[0] / input[1]);", "", "__aeabi_d"),
        (
            "output[0] = *(int16_t *)malloc(4);",
            "__attribute__((noinline)) void *malloc(unsigned n) { return (void *)n; }",
            "malloc",
        ),
    ],
)
def test_float_and_malloc_are_refused(tmp_path, statements, before, names):
    folder = write_model(tmp_path / "c", body(statements, before))
    with pytest.raises(TargetError, match=f"toy on cortex-m4f: the image calls .*{names}.*allow_float"):
        build(folder, "toy", M4F, tmp_path / "b", BuildOptions(flags=["-fno-builtin"]))


def test_long_multiplication_and_division_are_not_taken_for_float(tmp_path):
    source = body("output[0] = (int16_t)(((int64_t)input[0] << 40) / (input[1] + 1000ll) / (input[2] + 999));")
    for name in ("cortex-m0plus", "rv32imc"):
        image = Image(build(write_model(tmp_path / "c", source), "toy", load_target(name), tmp_path / name).path)
        assert image.flash.library > 0


def test_missing_sources_and_strange_names_are_errors(tmp_path):
    folder = write_model(tmp_path / "c")
    with pytest.raises(ToolError, match=r"other\.c is missing; export the model to C first"):
        build(folder, "other", M4F, tmp_path / "b")
    with pytest.raises(ToolError, match="'a-b' is not a C identifier"):
        build(folder, "a-b", M4F, tmp_path / "b")


def test_an_image_that_is_none_is_an_error(tmp_path):
    path = tmp_path / "x.elf"
    path.write_bytes(b"not an ELF file")
    with pytest.raises(ToolError, match="cannot be read as an ELF file"):
        Image(path)
    image = Image(build(write_model(tmp_path / "c"), "toy", M4F, tmp_path / "b").path)
    with pytest.raises(ToolError, match="symbol 'nothing' is missing"):
        image.address("nothing")
    with pytest.raises(ToolError, match="there are no 4 bytes at 0x30000000"):
        image.read(0x30000000, 4)


@pytest.mark.parametrize("source", ["bench.c", "bench_host.c", "bench_time.c", "qemu_count.c"])
def test_the_harness_is_clean_under_strict_warnings(tmp_path, source):
    build(write_model(tmp_path / "c", MODEL), "toy", load_target("host"), tmp_path / "b")  # writes bench_model.h
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
    file = firmware_dir() / "ports" / "baremetal" / source
    folders = [f"-I{tmp_path / 'b'}", f"-I{tmp_path / 'c'}"]
    subprocess.run(["gcc", *warnings, *folders, "-fsyntax-only", str(file)], check=True)
