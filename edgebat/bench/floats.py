"""int8 against float32 on cores with a floating-point unit: what quantization saves there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebat.bench.float_c import FLAGS, kernel_sources, write_float_c
from edgebat.bench.nets import NETS, reference_float_net, reference_net
from edgebat.bench.run import Options, bench
from edgebat.errors import ToolError
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.elf import Image
from edgebat.simulate.image import BuildOptions, build
from edgebat.simulate.qemu_run import run_image
from edgebat.simulate.targets import load_target
from edgebat.simulate.unicorn_run import Simulator
from edgebat.students.spec import INPUT_STEP, FloatModel, float_forward

CORES = {"cortex-m4f": "fpv4-sp-d16", "cortex-m7": "fpv5-sp-d16"}
"""Targets whose core has a single-precision FPU, and its name for gcc."""
WINDOWS = 16


@dataclass(frozen=True)
class FloatRow:
    """One network on one core, one of the two ways. ``error``: largest difference to float64, in units of the output."""

    net: str
    core: str
    kind: str
    instructions: str
    flash: int
    ram: int
    error: float
    how: str


@dataclass(frozen=True)
class FloatRun:
    """A float model on a simulated core: outputs float32 [N, O], instructions of every window, sizes in bytes."""

    outputs: npt.NDArray[np.float32]
    counts: list[int]
    flash: int
    ram: int
    how: str


def run_float(model: FloatModel, core: str, x: npt.NDArray[np.float32], *, confirm: bool = True) -> FloatRun:
    """Write, compile (gcc, FPU on) and run ``model`` on windows [N, T, C] of ``x``.

    ``confirm`` runs the same image in QEMU and raises ToolError where outputs or counts differ.
    """
    board = load_target(core)
    fpu = (f"-mcpu={board.core}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={CORES[core]}")
    board = replace(board, float_abi="hard", allow_float=True, gcc=fpu)
    windows = np.ascontiguousarray(x, "<f4").reshape(len(x), -1).view(np.int8)
    with tempfile.TemporaryDirectory(prefix="edgebat-float-") as temporary:
        folder = Path(temporary)
        write_float_c(model, folder, "net")
        options = BuildOptions("gcc", kernels=kernel_sources(), flags=FLAGS)
        program = build(folder, "net", board, folder / "build", options)
        image = Image(program.path)
        simulator = Simulator(image, "net", board.unicorn)
        _, trace = simulator.trace(windows[0])
        raw, counts = simulator.count(windows)
        if confirm:
            second = run_image(image, "net", board, windows)
            if second.outputs != raw or second.instructions != counts:
                raise ToolError(f"{model.kind} in float on {core}: Unicorn and QEMU disagree; one of them is wrong")
        info = image.info
        ram = image.variable_bytes + info.scratch_bytes + info.input_len + 4 * info.output_len + trace.stack_bytes
        outputs = np.frombuffer(b"".join(raw), "<f4").reshape(len(x), -1)
        how = f"{program.compiler.version} {' '.join(program.flags)}; Unicorn" + (
            ", confirmed by QEMU" if confirm else ""
        )
        return FloatRun(outputs, counts, image.flash.total, ram, how)


def calibrated_inputs(graph: IntGraph, count: int) -> npt.NDArray[np.int8]:
    """Seeded windows [count, T, C] like those the ranges of the reference networks were chosen with."""
    x = np.random.default_rng(5).standard_normal((count, *graph.input_tensor.shape)) / INPUT_STEP
    return np.clip(np.rint(x), -128, 127).astype(np.int8)


def float_rows() -> Iterator[FloatRow]:
    """int8 and float32 in turn, for every reference network and core."""
    for net in NETS:
        graph, model = reference_net(net), reference_float_net(net)
        windows = calibrated_inputs(graph, WINDOWS)
        x = (windows * INPUT_STEP).astype(np.float32)
        exact = float_forward(model, x.astype(np.float64))
        for core in CORES:
            done = bench(graph, [core], Options(("gcc",), windows=WINDOWS)).rows[0].measurement
            if done is None or done.flash is None or done.ram is None or done.instructions is None:
                raise ToolError(f"{net} on {core}: no figures; edgebat bench --net {net} -t {core} says why")
            error = np.abs(Engine(graph).run(windows) * graph.output_tensor.scale - exact).max()
            yield FloatRow(
                net, core, "int8", _range(*done.instructions), done.flash.total, done.ram.total, float(error),
                f"{done.compiler} {' '.join(done.flags)}; {done.simulator}",
            )  # fmt: skip
            run = run_float(model, core, x)
            error = np.abs(run.outputs - exact).max()
            yield FloatRow(
                net,
                core,
                "float32",
                _range(min(run.counts), max(run.counts)),
                run.flash,
                run.ram,
                float(error),
                run.how,
            )


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
