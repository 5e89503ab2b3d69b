"""int8 against float32 on cores with a floating-point unit: what quantization saves there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Float32, FloatArray, Int8
from edgebat.bench.float_c import FLAGS, kernel_sources, write_float_c
from edgebat.bench.nets import NETS, reference_float_net, reference_net
from edgebat.bench.run import Options, bench
from edgebat.bench.tables import how, span
from edgebat.errors import ToolError
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.image import BuildOptions
from edgebat.simulate.measure import Measurement, measure
from edgebat.simulate.targets import load_target
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


def run_float(model: FloatModel, core: str, x: Float32, *, confirm: bool = True) -> tuple[Measurement, Float32]:
    """Write, compile (gcc, FPU on) and run ``model`` on windows [N, T, C] of ``x``; also its outputs [N, O].

    ``confirm`` runs the same image in QEMU and raises ToolError where outputs or counts differ.
    """
    board = load_target(core)
    fpu = (f"-mcpu={board.core}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={CORES[core]}")
    board = replace(board, float_abi="hard", allow_float=True, gcc=fpu)
    windows = np.ascontiguousarray(x, "<f4").reshape(len(x), -1).view(np.int8)
    options = BuildOptions("gcc", kernels=kernel_sources(), flags=FLAGS)
    with tempfile.TemporaryDirectory(prefix="edgebat-float-") as folder:
        write_float_c(model, Path(folder), "net")
        done = measure(folder, "net", board, windows, options, counted=len(x), confirm=confirm)
    return done, done.outputs.view(np.float32)


def calibrated_inputs(graph: IntGraph, count: int) -> Int8:
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
            ours = bench(graph, [core], Options(("gcc",), windows=WINDOWS)).rows[0].measurement
            yield _row(net, core, "int8", ours, Engine(graph).run(windows) * graph.output_tensor.scale - exact)
            theirs, outputs = run_float(model, core, x)
            yield _row(net, core, "float32", theirs, outputs - exact)


def _row(net: str, core: str, kind: str, done: Measurement | None, error: FloatArray) -> FloatRow:
    if done is None or done.flash is None or done.ram is None or done.instructions is None:
        raise ToolError(f"{net} on {core}: no figures; edgebat bench --net {net} -t {core} says why")
    largest = float(np.abs(error).max())
    return FloatRow(net, core, kind, span(done.instructions), done.flash.total, done.ram.total, largest, how(done))
