"""Time of one inference on this computer: the C code, the NumPy runtime and other engines that are installed.

Times belong to one machine and one run; only their ratios mean something elsewhere. Everything runs on one thread.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebat.arrays import Int8
from edgebat.errors import ToolError
from edgebat.formats.export import c_name, export_model
from edgebat.graph import IntGraph
from edgebat.simulate.host import time_model
from edgebat.simulate.image import BuildOptions
from edgebat.verify.engines import FOREIGN, NUMPY, Engine, Files, files_in

C = "C"
ENGINES = (NUMPY, *FOREIGN)
TIMED = (C, *(engine.name for engine in ENGINES))
"""What can be timed: the C code by a program of its own, the others from Python."""
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


def time_engines(
    graph: IntGraph, window: Int8, *, optimize: str = "-O2", rounds: int = _ROUNDS, engines: Sequence[str] = TIMED
) -> list[EngineTime]:
    """The named ``engines`` on one ``window`` int8 [T, C]; one that is not installed gives a row with a note."""
    with tempfile.TemporaryDirectory(prefix="edgebat-host-") as folder:
        export_model(graph, Path(folder), ("tflite", "onnx", "c"))
        files = files_in(Path(folder), graph.name)
        times = [_c_code(graph, files, window, optimize, rounds)] if C in engines else []
        return times + [_engine(engine, graph, files, window, rounds) for engine in ENGINES if engine.name in engines]


def _c_code(graph: IntGraph, files: Files, window: Int8, optimize: str, rounds: int) -> EngineTime:
    try:
        seconds, version = time_model(files.c, c_name(graph.name), window, BuildOptions(optimize=optimize), rounds)
    except ToolError as error:
        return EngineTime(C, "", note=str(error))
    return EngineTime(C, f"{version} {optimize}", statistics.median(seconds), min(seconds))


def _engine(engine: Engine, graph: IntGraph, files: Files, window: Int8, rounds: int) -> EngineTime:
    if missing := engine.missing():
        return EngineTime(engine.name, "", note=missing)
    session, batch = engine.open(graph, files), window[None]
    median, minimum = time_call(lambda: session.run(batch), rounds)
    return EngineTime(engine.name, session.version, median, minimum)


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
