"""One model on one target, measured: what every table of edgebat is made of."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Int8
from edgebat.errors import ToolError, require
from edgebat.simulate.cycles import Cycles, estimate
from edgebat.simulate.elf import Flash, Image
from edgebat.simulate.host import run_program
from edgebat.simulate.image import PLAIN, BuildOptions, Program, build
from edgebat.simulate.qemu_run import run_image
from edgebat.simulate.targets import Target, load_target
from edgebat.simulate.unicorn_run import Call, Simulator

# Counting costs about a second per ten million instructions; 32 windows of any usual student stay below this.
_COUNTED_INSTRUCTIONS = 20_000_000
_COUNTED_WINDOWS = 32


@dataclass(frozen=True)
class Ram:
    """RAM in bytes. ``variables`` are .data and .bss of model, kernels and library; scratch includes LSTM state."""

    variables: int
    scratch: int
    input: int
    output: int
    stack: int

    @property
    def total(self) -> int:
        return self.variables + self.scratch + self.input + self.output + self.stack


@dataclass(frozen=True)
class Measurement:
    """What came out, and how it was obtained.

    ``outputs`` int16 [N, O], int32 where an output has 4 bytes. ``instructions`` executed per inference (minimum,
    maximum over the first ``windows_counted`` windows; equal when the running time does not depend on the data).
    ``cycles`` are an estimate of the first window with its stated error, or None where there is no model;
    ``milliseconds`` are those cycles at ``clock_hz``. Sizes are bytes; None on an operating system, where the loader and
    the C library would be measured. ``fits`` says whether flash and RAM of the target hold them. ``stack_bytes`` is that
    of the first window in Unicorn, the deepest of all in QEMU; interrupts come on top. ``functions`` and ``calls`` say
    where the instructions of the first window went. ``confirmed_by`` names the second simulator that gave the same
    outputs and the same counts from the same image, "" where none was asked.
    """

    name: str
    target: str
    clock_hz: int
    route: str
    outputs: npt.NDArray[np.int16]
    windows_counted: int
    instructions: tuple[int, int] | None
    cycles: Cycles | None
    stack_bytes: int | None
    flash: Flash | None
    ram: Ram | None
    fits: bool | None
    state_bytes: int | None
    functions: dict[str, int]
    calls: list[Call]
    compiler: str
    flags: tuple[str, ...]
    simulator: str
    crc32_inputs: int
    crc32_outputs: int
    confirmed_by: str = ""

    @property
    def milliseconds(self) -> float | None:
        """Time of one inference by the cycle model and the target's clock, or None without one of them."""
        return self.cycles.value / self.clock_hz * 1e3 if self.cycles and self.clock_hz else None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the outputs themselves, ready for JSON; figures carry how they were obtained."""
        content = asdict(self)
        del content["outputs"]
        content["windows"] = len(self.outputs)
        instructions = content.pop("instructions")
        content["instructions (simulator)"] = instructions and {"min": instructions[0], "max": instructions[1]}
        cycles = content.pop("cycles")
        content["cycles (model)"] = cycles
        content["milliseconds (model)"] = self.milliseconds
        for key, part in (("flash", self.flash), ("ram", self.ram)):
            if part is not None:
                content[key]["total"] = part.total
        for key in ("crc32_inputs", "crc32_outputs"):
            content[key] = f"{content[key]:08x}"
        return content

    def to_json(self) -> str:
        """``to_dict`` as JSON text."""
        return json.dumps(self.to_dict(), indent=2)


def measure(
    model_c_dir: str | Path,
    name: str,
    target: str | Target,
    inputs: Int8,
    options: BuildOptions = PLAIN,
    *,
    route: str | None = None,
    counted: int | None = None,
    confirm: bool = False,
) -> Measurement:
    """Compile ``<name>.c`` in ``model_c_dir`` for ``target`` and run all windows of ``inputs`` int8 [N, ...].

    ``route`` is "unicorn", "qemu" or "host"; None takes the target's first. ``counted`` windows are counted one by one
    in Unicorn, None counts up to 32, fewer for a very large model; the rest runs without counting (QEMU counts all).
    ``confirm`` runs the same image in QEMU as well, where the target has both simulators.

    Raises TargetError (unknown target, route it does not have, image that breaks the target's rules), ToolError
    (compiler or simulator missing or failing, the model faults, writes where it may not, depends on what memory held
    before, takes another number of inputs, or the two simulators disagree).
    """
    board = load_target(target) if isinstance(target, str) else target
    chosen = route or board.routes[0]
    if chosen not in board.routes:
        raise ToolError(f"target {board.name} cannot be run by {chosen!r}; its routes: {', '.join(board.routes)}")
    if inputs.dtype != np.int8 or inputs.ndim < 2 or len(inputs) == 0:
        raise ToolError(f"inputs must be int8 [N >= 1, ...], found {inputs.dtype} {list(inputs.shape)}")
    windows = np.ascontiguousarray(inputs.reshape(len(inputs), -1))
    with tempfile.TemporaryDirectory(prefix="edgebat-build-") as folder:
        program = build(Path(model_c_dir), name, board, Path(folder), options)
        if chosen == "host":
            return _on_host(program, windows)
        image = Image(program.path)
        if image.info.input_len != windows.shape[1]:
            raise ToolError(
                f"{name} takes {image.info.input_len} int8 values, inputs have {windows.shape[1]} per window"
            )
        if chosen == "qemu":
            return _in_qemu(program, image, windows)
        return _in_unicorn(program, image, windows, counted, confirm and "qemu" in board.routes)


@dataclass(frozen=True)
class _Run:
    """What a simulator or this computer gave for all windows: outputs as bytes, ``width`` bytes an element."""

    route: str
    simulator: str
    outputs: list[bytes]
    width: int
    counts: Sequence[int] = ()
    stack: int | None = None
    cycles: Cycles | None = None
    functions: dict[str, int] = field(default_factory=dict)
    calls: Sequence[Call] = ()
    confirmed_by: str = ""


def _in_unicorn(program: Program, image: Image, windows: Int8, counted: int | None, confirm: bool) -> Measurement:
    simulator = Simulator(image, program.name, program.target.unicorn)
    simulator.fill_scratch(0xFF)
    first, trace = simulator.trace(windows[0])
    simulator.fill_scratch(0)
    if counted is None:
        counted = min(_COUNTED_WINDOWS, _COUNTED_INSTRUCTIONS // trace.instructions)
    outputs, counts = simulator.count(windows[: max(counted, 1)])
    if outputs[0] != first:
        raise ToolError(
            f"{program.name} on {program.target.name}: the same window gave other outputs at the second call; "
            "the model depends on what its scratch memory held, or keeps state in a variable"
        )
    outputs += simulator.run(windows[len(outputs) :])
    confirmed_by = _confirm(program, image, windows, outputs, counts) if confirm else ""
    version = require("unicorn", extra="sim").__version__
    cycles = estimate(program.target.cycles, image, trace.blocks)
    run = _Run(
        "unicorn",
        f"Unicorn {version}, {program.target.unicorn}",
        outputs,
        image.info.output_bytes,
        counts,
        trace.stack_bytes,
        cycles,
        trace.functions,
        trace.calls,
        confirmed_by,
    )
    return _result(program, windows, image, run)


def _confirm(program: Program, image: Image, windows: Int8, outputs: list[bytes], counts: list[int]) -> str:
    """The second simulator's version; raises ToolError when it does not give the same outputs and counts."""
    second = run_image(image, program.name, program.target, windows)
    where = f"{program.name} on {program.target.name}"
    if second.outputs != outputs:
        raise ToolError(f"{where}: Unicorn and {second.version} give different outputs; one of them is wrong")
    for index, (ours, theirs) in enumerate(zip(counts, second.instructions, strict=False)):
        if ours != theirs:
            raise ToolError(
                f"{where}: Unicorn counts {ours} instructions for window {index}, {second.version} counts {theirs}; "
                "the counts must agree"
            )
    return second.version


def _in_qemu(program: Program, image: Image, windows: Int8) -> Measurement:
    done = run_image(image, program.name, program.target, windows)
    assert program.target.qemu is not None
    simulator = f"{done.version}, {program.target.qemu.machine}"
    run = _Run("qemu", simulator, done.outputs, image.info.output_bytes, done.instructions, done.stack_bytes)
    return _result(program, windows, image, run)


def _on_host(program: Program, windows: Int8) -> Measurement:
    done = run_program(program, windows)
    return _result(program, windows, None, _Run("host", done.emulator, done.outputs, done.width, done.instructions))


def _result(program: Program, windows: Int8, image: Image | None, run: _Run) -> Measurement:
    info, counts, stack = image.info if image else None, run.counts, run.stack
    values = np.frombuffer(b"".join(run.outputs), f"<i{run.width}").reshape(len(run.outputs), -1)
    values = values.astype(np.int16) if run.width < 4 else values
    ram = None
    if image and info and stack is not None:
        ram = Ram(image.variable_bytes, info.scratch_bytes, info.input_len, info.output_len * info.output_bytes, stack)
    board = program.target
    fits = image.flash.total <= board.flash_bytes and ram.total <= board.ram_bytes if image and ram else None
    return Measurement(
        name=program.name,
        target=board.name,
        clock_hz=board.clock_hz,
        route=run.route,
        outputs=values,
        windows_counted=len(counts),
        instructions=(min(counts), max(counts)) if counts else None,
        cycles=run.cycles,
        stack_bytes=stack,
        flash=image.flash if image else None,
        ram=ram,
        fits=fits,
        state_bytes=info.state_bytes if info else None,
        functions=run.functions,
        calls=list(run.calls),
        compiler=program.compiler.version,
        flags=program.flags,
        simulator=run.simulator,
        crc32_inputs=zlib.crc32(windows.tobytes()),
        crc32_outputs=zlib.crc32(values.astype("<i2").tobytes()),
        confirmed_by=run.confirmed_by,
    )
