"""Running the C code as an ordinary program: on this computer, or a Linux program for another one under QEMU."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Int8
from edgebat.errors import MissingExtra, ToolError
from edgebat.simulate.elf import Image
from edgebat.simulate.image import BuildOptions, Program, build
from edgebat.simulate.qemu_run import counting_plugin, find_qemu, qemu_version, split_records
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import run_tool

_HEADER_BYTES = 16
_BYTE_ORDER_MARK = 0x01020304
_ROUND_SECONDS = 0.005


def time_model(
    model_dir: Path,
    name: str,
    window: Int8,
    options: BuildOptions,
    rounds: int = 30,
) -> tuple[list[float], str]:
    """Seconds of one inference in each of ``rounds`` rounds on this computer, and the compiler; ``window`` is int8 [...].

    Each round is the mean over as many inferences as take about 5 ms. Raises ToolError: no compiler, or the model fails.
    """
    with tempfile.TemporaryDirectory(prefix="edgebat-time-") as folder:
        timed = replace(options, host_harness="bench_time.c")
        program = build(model_dir, name, load_target("host"), Path(folder), timed)

        def run(iterations: int, rounds: int) -> list[float]:
            command = [str(program.path), str(iterations), str(rounds)]
            printed = run_tool(command, f"time {name}", stdin=window.tobytes())
            return [float(line) * 1e-9 for line in printed.split()]

        once = max(min(run(100, 3)), 1e-9)
        return run(max(1, round(_ROUND_SECONDS / once)), rounds), program.compiler.version


@dataclass(frozen=True)
class HostRun:
    """Outputs (little-endian bytes per window), bytes per output element, executed instructions and the emulator.

    ``instructions`` is empty and ``emulator`` "" for a program that ran on this computer itself.
    """

    outputs: list[bytes]
    width: int
    instructions: list[int]
    emulator: str


def run_program(program: Program, windows: Int8, *, seconds: float = 300.0) -> HostRun:
    """Run ``windows`` int8 [N, INPUT_LEN]. Nothing is timed here; an emulated 64-bit Arm counts instructions.

    Raises ToolError: the program fails, runs too long, answers fewer windows than it got, was compiled for another
    input length, or a window's status is not 0.
    """
    command = [str(program.path)]
    emulator = ""
    counts: list[int] = []
    foreign, stdin, what = program.target.qemu, windows.tobytes(), f"run {program.name}"
    if foreign is not None and foreign.user != platform.machine():
        qemu = find_qemu(program.target)
        command = [qemu, "-cpu", foreign.cpu, *command]
        emulator = qemu_version(qemu)
        counts = _count(command, program, stdin, seconds)
    content = run_tool(command, what, stdin=stdin, seconds=seconds)
    order = "little" if content[:4] == _BYTE_ORDER_MARK.to_bytes(4, "little") else "big"
    mark, input_len, output_len, width = np.frombuffer(content[:_HEADER_BYTES], "<u4" if order == "little" else ">u4")
    if mark != _BYTE_ORDER_MARK or input_len != windows.shape[1]:
        raise ToolError(
            f"{program.name}: the program takes {input_len} int8 values per window, but {windows.shape[1]} were given"
        )
    size = 4 + int(output_len) * int(width)
    body = content[_HEADER_BYTES:]
    if len(body) != size * len(windows):
        raise ToolError(f"{program.name}: {len(windows)} windows went in, {len(body) / size:g} came out")
    outputs = split_records(body, size, order, program.name)
    if order == "big":
        outputs = [np.frombuffer(item, f">i{width}").astype(f"<i{width}").tobytes() for item in outputs]
    return HostRun(outputs, int(width), counts if len(counts) == len(windows) else [], emulator)


def _count(command: Sequence[str], program: Program, stdin: bytes, seconds: float) -> list[int]:
    """Executed instructions of each window from QEMU's plugin; none where it cannot be had (other core, old QEMU)."""
    if program.target.qemu is None or program.target.qemu.user != "aarch64":
        return []
    try:
        image = Image(program.path)
        entry = image.address(f"{program.name}_run")
        back = _after_call(image, entry)
        if back is None:
            return []
        with tempfile.TemporaryDirectory(prefix="edgebat-count-") as folder:
            log = Path(folder) / "count.txt"
            plugin = counting_plugin(qemu_version(command[0]))
            options = ["-plugin", f"{plugin},entry={entry:#x},return={back:#x}", "-d", "plugin", "-D", str(log)]
            run_tool([*command[:-1], *options, command[-1]], f"count {program.name}", stdin=stdin, seconds=seconds)
            return [int(line) for line in log.read_text("ascii").split()]
    except (ToolError, MissingExtra, OSError):
        return []  # no reader for ELF files, or a QEMU built without plugins; outputs are compared all the same


def _after_call(image: Image, entry: int) -> int | None:
    """Address behind the one instruction of ``main`` that calls ``entry`` (AArch64 "bl"), or None."""
    main = image.symbols["main"]
    code = image.read(main.address, main.size)
    for offset in range(0, len(code) - 3, 4):
        word = int.from_bytes(code[offset : offset + 4], "little")
        distance = (word & 0x03FFFFFF) - ((word & 0x02000000) << 1)
        if word >> 26 == 0b100101 and main.address + offset + 4 * distance == entry:
            return main.address + offset + 4
    return None
