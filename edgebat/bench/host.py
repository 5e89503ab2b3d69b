"""Time of one inference on this computer: the C code, the NumPy runtime and other engines that are installed.

Times belong to one machine and one run; only their ratios mean something elsewhere. Everything runs on one thread.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebat.bench.sessions import SESSIONS
from edgebat.errors import MissingExtra, ToolError
from edgebat.formats.c.write import write_c
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.host import time_model

Window = npt.NDArray[np.int8]
_ROUNDS = 30
_ROUND_SECONDS = 0.005


@dataclass(frozen=True)
class EngineTime:
    """Seconds of one inference in one engine: median and minimum over the rounds; ``note`` where it did not run."""

    engine: str
    version: str
    median: float | None = None
    minimum: float | None = None
    note: str = ""


def time_engines(graph: IntGraph, window: Window, *, optimize: str = "-O2", rounds: int = _ROUNDS) -> list[EngineTime]:
    """Every engine on one ``window`` int8 [T, C]; an engine that is not installed gives a row with a note."""
    with tempfile.TemporaryDirectory(prefix="edgebat-host-") as folder:
        place = Path(folder)
        return [
            _c_code(graph, window, place, optimize, rounds),
            _numpy(graph, window, rounds),
            _foreign("ONNX Runtime", "onnxruntime", graph, window, place, rounds),
            _foreign("LiteRT", "ai-edge-litert", graph, window, place, rounds),
            _foreign("TFLite Micro", "tflite-micro", graph, window, place, rounds),
        ]


def _c_code(graph: IntGraph, window: Window, folder: Path, optimize: str, rounds: int) -> EngineTime:
    model = write_c(graph, folder / "c", "model")
    try:
        seconds, version = time_model(
            folder / "c", "model", window, kernels=model.kernel_sources, optimize=optimize, rounds=rounds
        )
    except ToolError as error:
        return EngineTime("C", "", note=str(error))
    return EngineTime("C", f"{version} {optimize}", statistics.median(seconds), min(seconds))


def _numpy(graph: IntGraph, window: Window, rounds: int) -> EngineTime:
    engine, batch = Engine(graph), window[None]
    median, minimum = time_call(lambda: engine.run(batch), rounds)
    return EngineTime("NumPy runtime", f"NumPy {np.__version__}", median, minimum)


def _foreign(name: str, package: str, graph: IntGraph, window: Window, folder: Path, rounds: int) -> EngineTime:
    try:
        version = metadata.version(package)
        run = SESSIONS[package](graph, folder)
    except (metadata.PackageNotFoundError, MissingExtra):
        return EngineTime(name, "", note=f"Python package {package} is not installed")
    batch = window[None]
    median, minimum = time_call(lambda: run(batch), rounds)
    return EngineTime(name, version, median, minimum)


def time_call(call: Callable[[], object], rounds: int = _ROUNDS) -> tuple[float, float]:
    """Median and minimum seconds of ``call``, each round the mean over as many calls as take about 5 ms."""
    call()
    started = time.perf_counter()
    call()
    times = max(1, round(_ROUND_SECONDS / max(time.perf_counter() - started, 1e-9)))
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(times):
            call()
        seconds.append((time.perf_counter() - started) / times)
    return statistics.median(seconds), min(seconds)
