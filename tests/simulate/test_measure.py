"""A model on simulated microcontrollers: right outputs, exact instruction counts, honest stack, clear faults."""

import json
import shutil
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from edgebat.errors import ToolError
from edgebat.simulate import list_targets, load_target, measure
from edgebat.simulate.elf import Image
from edgebat.simulate.image import BuildOptions, build
from edgebat.simulate.qemu_run import program_for, run_image
from edgebat.simulate.unicorn_run import Simulator, count_instructions
from tests.simulate_models import body, toy_in_numpy, windows, write_model

BARE = [name for name in list_targets() if "unicorn" in load_target(name).routes]


def qemu_or_skip(name):
    program = program_for(load_target(name))
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize(("name", "optimize"), [*((name, "-O2") for name in BARE), ("cortex-m4f", "-Os")])
def test_outputs_equal_numpy(tmp_path, name, optimize):
    inputs = windows(40)
    result = measure(write_model(tmp_path), "toy", name, inputs, BuildOptions(optimize=optimize), counted=8)
    np.testing.assert_array_equal(result.outputs, toy_in_numpy(inputs))
    assert result.outputs.dtype == np.int16
    assert result.windows_counted == 8
    assert result.crc32_inputs == zlib.crc32(inputs.tobytes())
    assert result.crc32_outputs == zlib.crc32(toy_in_numpy(inputs).astype("<i2").tobytes())


@pytest.mark.parametrize("name", BARE)
def test_unicorn_and_qemu_count_the_same_on_the_same_image(tmp_path, name):
    qemu_or_skip(name)
    target, inputs = load_target(name), windows(10, seed=1)
    image = Image(build(write_model(tmp_path / "c"), "toy", target, tmp_path / "b").path)
    simulator = Simulator(image, "toy", target.unicorn)
    outputs, counts = simulator.count(inputs)
    second = run_image(image, "toy", target, inputs)
    assert second.instructions == counts
    assert second.outputs == outputs
    # Paint shows the deepest byte written; the stack pointer, which Unicorn also looks at, can go deeper.
    deepest = max(simulator.trace(window)[1].stack_bytes for window in inputs)
    assert deepest - 16 < second.stack_bytes <= deepest


def test_a_core_that_only_qemu_has_is_counted_there(tmp_path):
    qemu_or_skip("cortex-m55")
    inputs = windows(10)
    result = measure(write_model(tmp_path), "toy", "cortex-m55", inputs)
    np.testing.assert_array_equal(result.outputs, toy_in_numpy(inputs))
    assert (result.route, result.windows_counted, result.cycles, result.confirmed_by) == ("qemu", 10, None, "")
    assert result.instructions is not None
    assert result.ram is not None
    assert result.ram.stack > 0


def test_a_second_simulator_confirms_the_first(tmp_path, monkeypatch):
    qemu_or_skip("cortex-m4f")
    folder = write_model(tmp_path)
    assert measure(folder, "toy", "cortex-m4f", windows(3), confirm=True).confirmed_by.startswith("QEMU")
    assert measure(folder, "toy", "cortex-m4f", windows(3)).confirmed_by == ""

    def one_more(*arguments):
        done = run_image(*arguments)
        return replace(done, instructions=[count + 1 for count in done.instructions])

    monkeypatch.setattr(sys.modules["edgebat.simulate.measure"], "run_image", one_more)
    with pytest.raises(ToolError, match=r"toy on cortex-m4f: Unicorn counts \d+ .* window 0, .* the counts must agree"):
        measure(folder, "toy", "cortex-m4f", windows(3), confirm=True)


@pytest.mark.parametrize("name", ["cortex-r5f-be", "mips-be"])
def test_a_big_endian_computer_gives_the_same_outputs(tmp_path, name):
    qemu_or_skip(name)
    inputs = windows(10)
    np.testing.assert_array_equal(measure(write_model(tmp_path), "toy", name, inputs).outputs, toy_in_numpy(inputs))


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
def test_the_harness_brings_no_library_code(tmp_path):
    # gcc makes calls of memcpy and memset out of start-up loops; they would count as the model's.
    source = body("output[0] = input[0]; output[1] = 1; output[2] = 2;")
    assert (
        measure(write_model(tmp_path, source), "toy", "cortex-m4f", windows(1), BuildOptions("gcc")).flash.library == 0
    )


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
def test_both_routes_agree_on_code_of_the_other_compiler(tmp_path):
    qemu_or_skip("cortex-m4f")
    results = [
        measure(write_model(tmp_path), "toy", "cortex-m4f", windows(10), BuildOptions("gcc"), route=route)
        for route in ("unicorn", "qemu")
    ]
    assert results[0].instructions == results[1].instructions
    assert results[0].flash == results[1].flash
    np.testing.assert_array_equal(results[0].outputs, results[1].outputs)


def test_instructions_are_exact(tmp_path):
    # Two for the loop counter, 10 times (nop, subs, bne), and the return of status 0 in two; an IT block counts whole.
    source = """
    #include "toy.h"
    __asm__(".syntax unified\\n.thumb\\n.global toy_run\\n.type toy_run, %function\\n.thumb_func\\ntoy_run:\\n"
            "movs r3, #10\\nnop\\n1: nop\\nsubs r3, #1\\nbne 1b\\n"
            "cmp r3, #7\\nitt eq\\nmoveq r2, #1\\nmoveq r2, #2\\n"
            "movs r0, #0\\nbx lr\\n.size toy_run, . - toy_run\\n");
    """
    result = measure(write_model(tmp_path, source), "toy", "cortex-m4f", windows(3))
    assert result.instructions == (2 + 30 + 4 + 2,) * 2
    assert result.stack_bytes == 0
    assert result.functions == {"toy_run": 38}


def test_conditional_stores_are_traced_without_disturbing_them(tmp_path):
    # An ITE block that stores on one side only, run both ways: hooks on memory accesses would break it in Unicorn.
    source = """
    #include "toy.h"
    __asm__(".syntax unified\\n.thumb\\n.global toy_run\\n.type toy_run, %function\\n.thumb_func\\ntoy_run:\\n"
            "movs r2, #3\\n1: movs r3, #5\\ncmp r2, #2\\n"
            "ite ne\\nstrhne r3, [r1]\\nlsleq r3, r2, #1\\n"
            "it eq\\nstrheq r3, [r1, #2]\\n"
            "subs r2, #1\\nbne 1b\\nmovs r3, #7\\nstrh r3, [r1, #4]\\n"
            "movs r0, #0\\nbx lr\\n.size toy_run, . - toy_run\\n");
    """
    result = measure(write_model(tmp_path, source), "toy", "cortex-m4f", windows(2))
    np.testing.assert_array_equal(result.outputs, [[5, 4, 7]] * 2)
    assert result.instructions == (1 + 3 * 9 + 4,) * 2


def test_the_count_shows_when_time_depends_on_data(tmp_path):
    source = body('for (int i = 0; i < (input[0] & 15); i++) { __asm__ volatile("nop"); }')
    inputs = windows(4)
    inputs[:, 0] = [0, 3, 15, 7]
    result = measure(write_model(tmp_path, source), "toy", "cortex-m3", inputs)
    assert result.instructions is not None
    assert result.instructions[1] - result.instructions[0] >= 15
    inputs[:, 0] = 3
    constant = measure(write_model(tmp_path, source), "toy", "cortex-m3", inputs)
    assert constant.instructions is not None
    assert constant.instructions[0] == constant.instructions[1]


@pytest.mark.parametrize("frame", [128, 400])
def test_stack_of_a_known_frame(tmp_path, frame):
    # The frame and nothing else: allocate, write its lowest word, release.
    source = f"""
    #include "toy.h"
    __asm__(".syntax unified\\n.thumb\\n.global toy_run\\n.type toy_run, %function\\n.thumb_func\\ntoy_run:\\n"
            "sub sp, #{frame}\\nstr r0, [sp]\\nadd sp, #{frame}\\nmovs r0, #0\\nbx lr\\n.size toy_run, . - toy_run\\n");
    """
    folder = write_model(tmp_path, source)
    assert measure(folder, "toy", "cortex-m0plus", windows(1)).stack_bytes == frame
    if shutil.which("qemu-system-arm"):
        assert measure(folder, "toy", "cortex-m0plus", windows(1), route="qemu").stack_bytes == frame


def test_ram_is_variables_scratch_vectors_and_stack(tmp_path):
    ram = measure(write_model(tmp_path), "toy", "cortex-m4f", windows(1)).ram
    assert ram is not None
    assert (ram.variables, ram.scratch, ram.input, ram.output) == (0, 12, 12, 6)
    assert ram.total == 30 + ram.stack


def test_fit_and_time_follow_from_the_target(tmp_path):
    folder, board = write_model(tmp_path), load_target("cortex-m4f")
    result = measure(folder, "toy", board, windows(1))
    assert result.fits is True
    assert result.milliseconds == pytest.approx(result.cycles.value / 120e6 * 1e3)
    for small in (replace(board, flash_bytes=result.flash.total - 1), replace(board, ram_bytes=result.ram.total - 1)):
        assert measure(folder, "toy", small, windows(1)).fits is False
    exact = replace(board, flash_bytes=result.flash.total, ram_bytes=result.ram.total, cycles=None)
    assert measure(folder, "toy", exact, windows(1)).fits is True
    assert measure(folder, "toy", exact, windows(1)).milliseconds is None


DECLARATIONS = "int16_t toy_odd(void); static volatile int16_t start = 42;"


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_variables_have_their_initial_values(tmp_path, compiler):
    if compiler == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = write_model(tmp_path, body("output[0] = toy_odd(); output[1] = start; output[2] = 0;", DECLARATIONS))
    (folder / "toy_odd.c").write_text(
        "#include <stdint.h>\nint16_t toy_odd(void);\n"
        "static volatile int8_t values[7] = {1, 2, 3, 4, 5, 6, 7}, zeros[3];\n"
        "int16_t toy_odd(void) { return (int16_t)(values[6] * 100 + values[0] + zeros[2]); }\n"
    )
    result = measure(folder, "toy", "cortex-m4f", windows(2), BuildOptions(compiler))
    assert result.outputs.tolist() == [[701, 42, 0]] * 2
    assert result.flash.initial_data == 12  # two bytes and seven, each in its group rounded up to words
    assert result.ram.variables == 12 + 8


def test_calls_of_the_model_are_its_layers(tmp_path):
    result = measure(write_model(tmp_path), "toy", "cortex-m0plus", windows(1))
    assert result.calls[0].function == "toy_dot"
    assert sum(call.times for call in result.calls if call.function == "toy_dot") == 3
    assert result.instructions is not None
    inside = sum(call.instructions for call in result.calls) + result.functions["toy_run"]
    assert inside == sum(result.functions.values()) == result.instructions[0]


FAULTS = {
    "reads nowhere": ("output[0] = *(volatile int16_t *)0x90000000u;", r"window 0 broke in toy_run at pc 0x\w+"),
    "writes nowhere": ("*(volatile int16_t *)0x90000000u = 1;", r"broke in toy_run at pc"),
    "writes into code": ("*(volatile int16_t *)0x100u = 1;", r"broke in toy_run at pc"),
    "writes behind its outputs": (
        "((volatile int16_t *)output)[3] = 1;",
        r"model changed memory at 0x\w+ \(bench_\w+ \+ 6\); it may change its outputs \(6 bytes\)",
    ),
    "writes behind its scratch": (
        "((volatile char *)scratch)[12] = 1;",
        r"\(bench_scratch \+ 12\).* scratch memory \(12 bytes\)",
    ),
    "writes its input": ("*(volatile int8_t *)input ^= 1;", r"model changed memory at 0x\w+ \(bench_input \+ 0\)"),
    "overflows the stack": (
        "volatile char big[9000]; for (int i = 8999; i >= 0; i--) big[i] = 1;",
        r"stack of 4096 bytes overflowed",
    ),
    "fails": ("if (input) return -3;", r"window 0: the model returned status -3, expected 0"),
    "remembers in a variable": (
        "static int16_t calls; output[0] = calls++;",
        r"toy on cortex-m4f: the same window gave other outputs",
    ),
    "remembers in its scratch": (
        "output[0] = (int16_t)((uint8_t *)scratch)[4];",
        r"toy on cortex-m4f: the same window gave other outputs",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_model_that_misbehaves_is_reported(tmp_path, case):
    statements, message = FAULTS[case]
    with pytest.raises(ToolError, match=message):
        measure(write_model(tmp_path, body(statements)), "toy", "cortex-m4f", windows(2))


def test_a_model_that_never_returns_is_stopped(tmp_path):
    target = load_target("cortex-m4f")
    source = body("for (volatile int i = 0; i < 2; i = 0) { }")
    image = Image(build(write_model(tmp_path / "c", source), "toy", target, tmp_path / "b").path)
    simulator = Simulator(image, "toy", target.unicorn, max_seconds=0.2)
    with pytest.raises(ToolError, match=r"window 0 did not end within 0.2 s; it is in toy_run at pc"):
        simulator.run(windows(1))


def test_a_fault_in_qemu_is_an_error_too(tmp_path):
    qemu_or_skip("cortex-m4f")
    folder = write_model(tmp_path, body("*(volatile int16_t *)0x90000000u = 1;"))
    with pytest.raises(ToolError, match=r"cannot run toy\.elf on mps2-an386"):
        measure(folder, "toy", "cortex-m4f", windows(1), route="qemu")


def test_the_host_computes_the_same_without_being_timed(tmp_path):
    inputs = windows(30)
    result = measure(write_model(tmp_path), "toy", "host", inputs)
    np.testing.assert_array_equal(result.outputs, toy_in_numpy(inputs))
    assert (result.instructions, result.cycles, result.flash, result.ram) == (None, None, None, None)


def test_raspberry_pi_code_computes_the_same(tmp_path):
    qemu_or_skip("raspberry-pi")
    inputs = windows(5)
    result = measure(write_model(tmp_path), "toy", "raspberry-pi", inputs)
    np.testing.assert_array_equal(result.outputs, toy_in_numpy(inputs))


def test_instructions_of_an_emulated_raspberry_pi_are_exact(tmp_path):
    qemu_or_skip("raspberry-pi")
    source = """
    #include "toy.h"
    __asm__(".text\\n.global toy_run\\n.type toy_run, %function\\ntoy_run:\\n"
            "mov w3, #10\\n1: subs w3, w3, #1\\nb.ne 1b\\nmov w0, #0\\nret\\n.size toy_run, . - toy_run\\n");
    """
    result = measure(write_model(tmp_path, source), "toy", "raspberry-pi", windows(3))
    if result.instructions is None:
        pytest.skip(f"{result.simulator} has no plugins")
    assert result.instructions == (1 + 20 + 2,) * 2
    assert result.windows_counted == 3
    assert result.flash is None


def test_wrong_inputs_are_refused_with_what_was_expected(tmp_path):
    folder = write_model(tmp_path)
    for target in ("cortex-m4f", "host"):
        with pytest.raises(ToolError, match=r"12 int8 values.*\b5\b"):
            measure(folder, "toy", target, np.zeros((2, 5), np.int8))
    with pytest.raises(ToolError, match=r"must be int8 \[N >= 1, ...\], found float64 \[2, 12\]"):
        measure(folder, "toy", "cortex-m4f", np.zeros((2, 12)))
    with pytest.raises(ToolError, match="cannot be run by 'host'; its routes: unicorn, qemu"):
        measure(folder, "toy", "cortex-m4f", windows(1), route="host")


def test_the_record_is_json_and_says_how_each_figure_came_about(tmp_path):
    result = measure(write_model(tmp_path), "toy", "cortex-m4f", windows(3))
    record = json.loads(result.to_json())
    assert record["instructions (simulator)"] == {"min": result.instructions[0], "max": result.instructions[1]}
    assert record["cycles (model)"]["error_percent"] == load_target("cortex-m4f").cycles.error_percent
    assert record["flash"]["total"] == result.flash.total
    assert record["ram"]["total"] == result.ram.total
    assert record["crc32_outputs"] == f"{result.crc32_outputs:08x}"
    assert record["windows"] == 3
    assert "-O2" in record["flags"]
    assert record["compiler"].startswith("zig ")
    assert "outputs" not in record


@pytest.mark.parametrize(
    ("code", "riscv", "expected"),
    [
        ("00bf 7047", False, 2),  # nop; bx lr
        ("2de9f04f 00bf bde8f08f", False, 3),  # push.w; nop; pop.w
        ("0100 8280", True, 2),  # c.nop; c.ret
        ("13000000 0100", True, 2),  # nop; c.nop
    ],
)
def test_instructions_of_a_block_are_counted_from_its_bytes(code, riscv, expected):
    assert count_instructions(bytes.fromhex(code), riscv=riscv) == expected
