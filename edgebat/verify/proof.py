"""One integer graph through every engine and every target: the rows of the equality table and of the size table."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgebat.errors import EdgebatError, MissingExtra, ToolError, require
from edgebat.formats.export import c_name, export_model
from edgebat.graph import IntGraph, Lstm
from edgebat.runtime import Engine
from edgebat.verify.equality import compare

if TYPE_CHECKING:
    from edgebat.simulate.measure import Measurement
    from edgebat.simulate.targets import Target

Inputs = npt.NDArray[np.int8]
Outputs = npt.NDArray[np.signedinteger]
Row = dict[str, Any]

CORES = ("cortex-m4f", "cortex-m0plus")
"""Simulated cores that must give NumPy's integers."""
LSTM_LITERT = "its own LSTM rounding"
TFLM_ROUNDING = "rounds twice per layer"


@dataclass(frozen=True)
class Files:
    """Where one model's exports lie."""

    tflite: Path
    onnx: Path
    c: Path


def random_inputs(graph: IntGraph, count: int, seed: int = 1) -> Inputs:
    """Seeded int8 inputs [count, *input shape], shaped like normalized data: most near the middle, some at the ends."""
    normal = np.random.default_rng(seed).normal(0.0, 40.0, (count, *graph.input_tensor.shape))
    return np.clip(np.rint(normal), -128, 127).astype(np.int8)


def verify_model(graph: IntGraph, x: Inputs, files: Files | None = None, cores: Sequence[str] = CORES) -> list[Row]:
    """Every engine against NumPy on the inputs ``x`` int8 [N, ...].

    files: existing exports; None exports into a temporary folder. Engines and tools that are not installed give a row
    that says so. ``expected`` is "0" where equality is promised.
    """
    if files is None:
        with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
            export_model(graph, Path(folder), ("tflite", "onnx", "c"))
            return verify_model(graph, x, files_in(Path(folder), graph.name), cores)
    reference = Engine(graph).run(x)
    recurrent = any(isinstance(node, Lstm) for node in graph.nodes)
    engines: list[tuple[str, str, Callable[[], tuple[Outputs, str]]]] = [
        ("NumPy from .tflite", "0", lambda: (_reread(files.tflite).run(x), "")),
        ("NumPy from .onnx", "0", lambda: (_reread(files.onnx).run(x), "")),
        ("ONNX Runtime", "0", lambda: _onnxruntime(files.onnx, x)),
        ("LiteRT", LSTM_LITERT if recurrent else "0", lambda: _litert(files.tflite, x)),
        ("host C", "0", lambda: _compiled(files.c, graph, "host", x)),
        *((f"C on {core}", "0", lambda core=core: _compiled(files.c, graph, core, x)) for core in cores),
    ]
    if importlib.util.find_spec("tflite_micro"):
        # A judge for tests and the curious; nobody needs to install it.
        engines.insert(4, ("TFLite Micro", "0" if recurrent else TFLM_ROUNDING, lambda: _tflite_micro(files.tflite, x)))
    if recurrent:
        engines.insert(2, ("NumPy step by step", "0", lambda: (_stepped(graph, x), "")))
    return [_equality_row(graph, name, expected, run, reference) for name, expected, run in engines]


def bench_model(graph: IntGraph, targets: Sequence[str], x: Inputs, files: Files | None = None) -> list[Row]:
    """Size and speed on every target, one row per target and installed compiler.

    Simulators count instructions; time is measured on the host only. A target whose tools are missing gives a row that
    says what is missing.
    """
    if files is None:
        with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
            export_model(graph, Path(folder), ("c",))
            return bench_model(graph, targets, x, files_in(Path(folder), graph.name))
    # Most of the time is spent waiting for compilers and emulators.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        rows = [row for found in pool.map(lambda t: _target_rows(graph, t, x, files.c), targets) for row in found]
    return [*rows, _numpy_row(graph, x)] if "host" in targets else rows


def files_in(folder: Path, name: str) -> Files:
    """The exports of a model in ``folder``, as ``export_model`` names them."""
    return Files(folder / f"{name}.tflite", folder / f"{name}.onnx", folder / "c" / name)


def _equality_row(
    graph: IntGraph, engine: str, expected: str, run: Callable[[], tuple[Outputs, str]], reference: Outputs
) -> Row:
    row: Row = {"model": graph.name, "engine": engine, "expected": expected, "version": "", "skipped": ""}
    try:
        outputs, version = run()
    except (MissingExtra, _Missing) as error:
        none = dict.fromkeys(("windows", "outputs", "mismatches", "max_difference"), 0)
        return row | none | {"skipped": str(error)}
    found = compare(graph.name, "NumPy", reference, engine, outputs, must_be_zero=expected == "0")
    return row | {
        "version": version,
        "windows": found.windows,
        "outputs": found.values,
        "mismatches": found.mismatches,
        "max_difference": found.largest,
    }


def _reread(path: Path) -> Engine:
    from edgebat.models import load_model

    return Engine(load_model(path))


def _stepped(graph: IntGraph, x: Inputs) -> Outputs:
    engine = Engine(graph)
    state = engine.initial_state(len(x))
    for t in range(x.shape[1]):
        y, state = engine.step(np.ascontiguousarray(x[:, t]), state)
    return y


def _onnxruntime(path: Path, x: Inputs) -> tuple[Outputs, str]:
    from edgebat.verify.engines import run_onnxruntime

    return run_onnxruntime(path, x), metadata.version("onnxruntime")


def _litert(path: Path, x: Inputs) -> tuple[Outputs, str]:
    from edgebat.verify.engines import run_litert

    with _quiet_stderr():
        outputs = run_litert(path, x)
    return outputs, metadata.version("ai-edge-litert")


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """LiteRT's C++ announces its delegate on file descriptor 2, in the middle of a progress bar."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _tflite_micro(path: Path, x: Inputs) -> tuple[Outputs, str]:
    from edgebat.verify.engines import run_tflite_micro

    return run_tflite_micro(path, x), metadata.version("tflite-micro")


def _compiled(folder: Path, graph: IntGraph, target: str, x: Inputs) -> tuple[Outputs, str]:
    from edgebat.simulate.measure import measure
    from edgebat.simulate.targets import load_target

    board = load_target(target)
    _require_tools(board, None)
    done = measure(folder, c_name(graph.name), board, x, counted=1)
    return done.outputs, ", ".join(filter(None, (done.compiler, done.simulator)))


class _Missing(EdgebatError):
    """A tool is not installed: that is a row without figures. A tool that fails is an error."""


def _require_tools(board: Target, compiler: str | None, route: str | None = None) -> None:
    """Raise MissingExtra or _Missing unless the compiler (None: any) and the simulator of ``board`` are there."""
    from edgebat.simulate.qemu_run import find_qemu
    from edgebat.simulate.toolchain import find_compiler

    way = route or board.routes[0]
    if way == "unicorn":
        for package in ("unicorn", "capstone", "elftools"):
            require(package, extra="sim")
    try:
        find_compiler(board, compiler)
        if board.qemu is not None and way in ("qemu", "host"):
            find_qemu(board)
    except ToolError as error:
        raise _Missing(str(error)) from None


def _target_rows(graph: IntGraph, target: str, x: Inputs, folder: Path) -> list[Row]:
    from edgebat.simulate.targets import load_target

    board = load_target(target)
    row: Row = {"model": graph.name, "label": graph.name.upper(), "target": target, "core": board.core}
    row |= {"model_hash": graph.fingerprint}
    missing = ""
    rows: list[Row] = []
    for compiler in ("gcc", "zig") if target == "host" else ("zig", "gcc"):
        try:
            _require_tools(board, compiler)
        except (MissingExtra, _Missing) as error:
            missing = missing or str(error)
            continue
        if target == "host" and rows:
            break  # one compiler is enough where nothing is measured
        rows.append(row | _figures(graph, board, x, folder, compiler, confirm=not rows))
    return rows or [row | {"skipped": missing}]


def _figures(graph: IntGraph, board: Target, x: Inputs, folder: Path, compiler: str, confirm: bool) -> Row:
    """What one build measures. ``confirm``: count in QEMU too; one image per target is enough for that."""
    from edgebat.simulate.measure import measure

    name = c_name(graph.name)
    done = measure(folder, name, board, x, compiler=compiler)
    figures: Row = {
        "flash_bytes": done.flash.total if done.flash else None,
        "flash_parts": vars(done.flash) if done.flash else None,
        "ram_bytes": done.ram.total if done.ram else None,
        "ram_parts": vars(done.ram) if done.ram else None,
        "stack_bytes": done.stack_bytes,
        "instructions": done.instructions[1] if done.instructions else None,
        "instructions_min": done.instructions[0] if done.instructions else None,
        "cycles": done.cycles.value if done.cycles else None,
        "cycles_error_percent": done.cycles.error_percent if done.cycles else None,
        "ms": done.milliseconds,
        "ms_tag": f"at {board.clock_hz / 1e6:g} MHz" if done.milliseconds else "",
        "fits": done.fits,
        "confirmed": _confirmed(done, name, board, x, folder, compiler) if confirm else None,
        "equal": bool(np.array_equal(done.outputs, Engine(graph).run(x).reshape(len(x), -1))),
        "built_by": compiler,
        "compiler": done.compiler,
        "flags": " ".join(done.flags),
        "simulator": done.simulator,
        "input_crc": f"{done.crc32_inputs:08x}",
        "output_crc": f"{done.crc32_outputs:08x}",
        "skipped": "",
    }
    return figures


def _confirmed(
    done: Measurement, name: str, board: Target, x: Inputs, folder: Path, compiler: str
) -> dict[str, Any] | None:
    """The same image in QEMU, where it is installed and was not the simulator already; None otherwise."""
    from edgebat.simulate.measure import measure

    if done.route != "unicorn" or "qemu" not in board.routes:
        return None
    try:
        _require_tools(board, compiler, "qemu")
    except _Missing:
        return None
    again = measure(folder, name, board, x, compiler=compiler, route="qemu")
    return {
        "simulator": again.simulator,
        "instructions": again.instructions[1] if again.instructions else None,
        "equal": again.instructions == done.instructions and np.array_equal(again.outputs, done.outputs),
    }


def _numpy_row(graph: IntGraph, x: Inputs, repeat: int = 30) -> Row:
    """The NumPy runtime on this machine: the median time of one window after another."""
    engine, seconds = Engine(graph), []
    for index in range(repeat):
        window = x[index % len(x) : index % len(x) + 1]
        started = time.perf_counter()
        engine.run(window)
        seconds.append(time.perf_counter() - started)
    sizes = ("flash_bytes", "ram_bytes", "stack_bytes", "instructions", "cycles", "flags", "input_crc", "output_crc")
    return {
        "model": graph.name,
        "label": graph.name.upper(),
        "target": "host",
        "core": "native",
        "model_hash": graph.fingerprint,
        **dict.fromkeys(sizes),
        "fits": None,
        "confirmed": None,
        "equal": True,
        "ms": float(np.median(seconds) * 1000),
        "ms_tag": "measured, host",
        "built_by": "NumPy",
        "compiler": f"NumPy {np.__version__}",
        "skipped": "",
    }
