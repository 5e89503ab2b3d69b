"""Running an image in Unicorn: outputs, executed instructions, stack, profile; no root, no QEMU needed.

The harness' start-up code runs as on the board; then windows are written straight into memory and the model is called
as bench_invoke would call it. Instructions are counted per basic block: the block hook says which block runs, the bytes
say how many instructions it holds. This equals QEMU's count, failed instructions of an IT block included; Unicorn's
per-instruction hook misses those.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Int8
from edgebat.errors import ToolError, require
from edgebat.simulate.elf import BenchInfo, Image

_PAINT = 0xA5
CPUS = {
    "cortex-m0": "UC_CPU_ARM_CORTEX_M0",
    "cortex-m3": "UC_CPU_ARM_CORTEX_M3",
    "cortex-m4": "UC_CPU_ARM_CORTEX_M4",
    "cortex-m7": "UC_CPU_ARM_CORTEX_M7",
    "cortex-m33": "UC_CPU_ARM_CORTEX_M33",
}
# Program counter, stack pointer, return address, and the first three arguments.
_REGISTERS = {"arm": ("UC_ARM_REG_", "PC SP LR R0 R1 R2"), "riscv": ("UC_RISCV_REG_", "PC SP RA A0 A1 A2")}
# Stops a model that never returns. Thousands of windows of the largest student stay far below.
_MAX_SECONDS = 600.0

Block = tuple[int, int]  # address and size in bytes


@dataclass(frozen=True)
class Call:
    """One call out of ``<name>_run``: normally one layer. Instructions include everything called below it."""

    site: int
    function: str
    times: int
    instructions: int


@dataclass(frozen=True)
class Trace:
    """One inference in detail: its blocks in order, stack in bytes, instructions by function and by call of ``run``."""

    blocks: list[Block]
    instructions: int
    stack_bytes: int
    functions: dict[str, int]
    calls: list[Call]


class Simulator:
    """One microcontroller with one image in it. ``cpu`` is a key of the target's ``unicorn`` entry.

    Raises ToolError when the start-up code does not reach the harness.
    """

    def __init__(self, image: Image, name: str, cpu: str, max_seconds: float = _MAX_SECONDS) -> None:
        self._max_seconds = max_seconds
        self._unicorn: Any = require("unicorn", extra="sim")
        self.image = image
        self.info: BenchInfo = image.info
        self._riscv = cpu.startswith("rv32")
        self._run = image.address(f"{name}_run")
        self._return = image.address("bench_return")
        self._run_end = self._run + image.symbols[f"{name}_run"].size
        self._input, self._output = image.address("bench_input"), image.address("bench_output")
        self._scratch = image.address("bench_scratch")
        self._stack_bottom, self._stack_top = image.address("stack_bottom"), image.address("stack_top")
        self._ram_start = image.address("ram_start")
        self._core = self._open(cpu)
        self._lengths: dict[Block, int] = {}
        self._start()

    def _open(self, cpu: str) -> Any:
        uc = self._unicorn
        if self._riscv:
            core = uc.Uc(uc.UC_ARCH_RISCV, uc.UC_MODE_RISCV32)
        else:
            if cpu not in CPUS:
                raise ToolError(f"unicorn has no CPU {cpu!r}; known: {', '.join([*CPUS, 'rv32'])}")
            core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
            core.ctl_set_cpu_model(getattr(require("unicorn.arm_const", extra="sim"), CPUS[cpu]))
        constants = require("unicorn.riscv_const" if self._riscv else "unicorn.arm_const", extra="sim")
        prefix, names = _REGISTERS["riscv" if self._riscv else "arm"]
        numbers = [getattr(constants, prefix + register) for register in names.split()]
        (self._pc, self._sp, self._link), self._arguments = numbers[:3], numbers[3:]
        # Code may not be written, data not executed: what a board may let pass is a fault here.
        start, length = self.image.address("code_start"), self.image.address("code_length")
        core.mem_map(start, length, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        core.mem_map(self._ram_start, self.image.address("ram_length"), uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        for address, content in self.image.segments:
            core.mem_write(address, content)
        if not self._riscv:
            core.mem_map(0xE000E000, 0x1000)  # the system control space, where start-up switches the FPU on
        return core

    def _start(self) -> None:
        """Run the start-up code up to bench_main: variables initialized, FPU on where the code was compiled for it."""
        self._core.reg_write(self._sp, self._stack_top)
        with _Deadline(self._core, self._max_seconds):
            self._emulate(self.image.address("reset_handler"), self.image.address("bench_main"), "start-up")

    def _emulate(self, begin: int, until: int, what: str) -> None:
        thumb = 0 if self._riscv else 1
        try:
            self._core.emu_start(begin | thumb, until)
        except self._unicorn.UcError as error:
            pc = self._core.reg_read(self._pc)
            raise ToolError(
                f"{self.image.path.name}: {what} broke in {self.image.function_at(pc)} at pc {pc:#010x}: {error}"
                + self._stack_hint()
            ) from None
        if (pc := self._core.reg_read(self._pc)) != until:
            raise ToolError(
                f"{self.image.path.name}: {what} did not end within {self._max_seconds:g} s; "
                f"it is in {self.image.function_at(pc)} at pc {pc:#010x}"
            )

    def _stack_hint(self) -> str:
        sp = self._core.reg_read(self._sp)
        if sp >= self._stack_bottom:
            return ""
        return f"; the stack of {self._stack_top - self._stack_bottom} bytes overflowed, build with more stack_bytes"

    def run(self, windows: Int8) -> list[bytes]:
        """The output array of every window, as bytes; ``windows`` int8 [N, INPUT_LEN]. Nothing is counted.

        Raises ToolError when the model faults, does not return, or returns another status than 0.
        """
        with _Deadline(self._core, self._max_seconds):
            return [self._call(window, index) for index, window in enumerate(windows)]

    def _call(self, window: Int8, index: int = 0) -> bytes:
        core = self._core
        core.mem_write(self._input, window.tobytes())
        for register, value in zip(self._arguments, (self._input, self._output, self._scratch), strict=True):
            core.reg_write(register, value)
        core.reg_write(self._sp, self._stack_top)
        core.reg_write(self._link, self._return | (0 if self._riscv else 1))
        self._emulate(self._run, self._return, f"window {index}")
        status = core.reg_read(self._arguments[0])
        if status:
            signed = status - (1 << 32) if status >> 31 else status
            raise ToolError(f"{self.image.path.name}: window {index}: the model returned status {signed}, expected 0")
        return bytes(core.mem_read(self._output, self.info.output_len * self.info.output_bytes))

    def fill_scratch(self, value: int) -> None:
        """Fill the scratch memory with one byte value; a correct model does not care."""
        self._core.mem_write(self._scratch, bytes([value]) * self.info.scratch_bytes)

    def count(self, windows: Int8) -> tuple[list[bytes], list[int]]:
        """Outputs, as from ``run``, and executed instructions of every window, int8 [N, INPUT_LEN]."""
        outputs, counts = [], []
        blocks: Counter[Block] = Counter()

        def on_block(_core: Any, address: int, size: int, _data: Any) -> None:
            blocks[address, size] += 1

        with _Deadline(self._core, self._max_seconds), _Hook(self._core, self._unicorn.UC_HOOK_BLOCK, on_block):
            for index, window in enumerate(windows):
                blocks.clear()
                outputs.append(self._call(window, index))
                counts.append(sum(self.block_length(block) * times for block, times in blocks.items()))
        return outputs, counts

    def trace(self, window: Int8) -> tuple[bytes, Trace]:
        """One inference in detail. Raises ToolError as ``run`` does, and when the model writes where it may not."""
        core = self._core
        blocks: list[Block] = []
        lowest = self._stack_top

        def on_block(_core: Any, address: int, size: int, _data: Any) -> None:
            nonlocal lowest
            blocks.append((address, size))
            lowest = min(lowest, core.reg_read(self._sp))

        core.mem_write(self._stack_bottom, bytes([_PAINT]) * (self._stack_top - self._stack_bottom))
        core.mem_write(self._input, window.tobytes())
        before = self._ram()
        with _Deadline(core, self._max_seconds), _Hook(core, self._unicorn.UC_HOOK_BLOCK, on_block):
            output = self._call(window)
        self._check_writes(before, self._ram())
        stack = self._ram()[self._stack_bottom - self._ram_start : self._stack_top - self._ram_start]
        touched = np.flatnonzero(stack != _PAINT)
        if touched.size:
            lowest = min(lowest, self._stack_bottom + int(touched[0]))
        functions, calls = self._profile(blocks)
        total = sum(functions.values())
        return output, Trace(blocks, total, self._stack_top - lowest, functions, calls)

    def _ram(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._core.mem_read(self._ram_start, self.image.address("ram_length")), np.uint8)

    def _check_writes(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> None:
        """Only stack, outputs, scratch and the model's own variables may have changed.

        Memory is compared, because Unicorn's hooks for memory accesses break IT blocks (unicorn issue 2309).
        """
        info = self.info
        changed = before != after
        for start, end in (
            (self._stack_bottom, self._stack_top),
            (self._output, self._output + info.output_len * info.output_bytes),
            (self._scratch, self._scratch + info.scratch_bytes),
            *self.image.variables,
        ):
            changed[start - self._ram_start : end - self._ram_start] = False
        if changed.any():
            address = self._ram_start + int(changed.argmax())
            raise ToolError(
                f"{self.image.path.name}: the model changed memory at {address:#010x} ({self.image.location(address)}); "
                f"it may change its outputs ({info.output_len * info.output_bytes} bytes), its scratch memory "
                f"({info.scratch_bytes} bytes), the stack and its own variables"
            )

    def _profile(self, blocks: Sequence[Block]) -> tuple[dict[str, int], list[Call]]:
        """Instructions by function, and by call out of the model's run function, in the order of the first call."""
        functions: Counter[str] = Counter()
        names: dict[int, str] = {}
        calls: dict[int, list[Any]] = {}  # call site -> function, times, instructions
        site, inside = 0, False
        for block in blocks:
            address = block[0]
            if address not in names:
                names[address] = self.image.function_at(address)
            length = self.block_length(block)
            functions[names[address]] += length
            if self._run <= address < self._run_end:
                site, inside = address, False
                continue
            entry = calls.setdefault(site, [names[address], 0, 0])
            entry[1] += not inside
            entry[2] += length
            inside = True
        return dict(functions.most_common()), [Call(site, *entry) for site, entry in calls.items()]

    def block_length(self, block: Block) -> int:
        """Number of instructions in a block."""
        if block not in self._lengths:
            address, size = block
            code = bytes(self._core.mem_read(address, size))
            self._lengths[block] = count_instructions(code, riscv=self._riscv)
        return self._lengths[block]


def count_instructions(code: bytes, *, riscv: bool) -> int:
    """Number of instructions in ``code``, Thumb or RV32C: in both, the first half-word tells the length."""
    is_long: Callable[[int], bool] = (lambda half: half & 3 == 3) if riscv else (lambda half: half >> 11 >= 0b11101)
    count = position = 0
    while position < len(code):
        position += 4 if is_long(int.from_bytes(code[position : position + 2], "little")) else 2
        count += 1
    return count


class _Hook:
    """A Unicorn hook for the time of a ``with`` block; translated code is thrown away, or old blocks would miss it."""

    def __init__(self, core: Any, kind: int, function: Callable[..., None]) -> None:
        self._core, self._kind, self._function = core, kind, function

    def __enter__(self) -> None:
        self._core.ctl_flush_tb()
        self._handle = self._core.hook_add(self._kind, self._function)

    def __exit__(self, *_: object) -> None:
        self._core.hook_del(self._handle)
        self._core.ctl_flush_tb()


class _Deadline:
    """Stops the core when the ``with`` block lasts too long.

    Unicorn's own timeout starts a thread per call, which costs milliseconds; this is one thread for all windows.
    """

    def __init__(self, core: Any, seconds: float) -> None:
        self._core, self._seconds = core, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        wait = self._seconds
        while not self._done.wait(wait):
            self._core.emu_stop()
            wait = 0.1  # again, in case the core was between two windows

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
