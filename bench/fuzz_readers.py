"""Damaged model files through all readers: what happened, the slowest call, the memory they took.

    python -m bench.fuzz_readers --count 100000

Every file is read and, when it was accepted, executed once. Anything but a model or a ModelFileError is a crash; its
file is kept in runs/fuzz.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.read import onnx_graph
from edgebat.formats.tflite.read import tflite_graph
from edgebat.graph import IntGraph, load_graph, save_graph
from edgebat.runtime import Engine
from tests.damage import damaged
from tests.formats.test_damage import content_of, small
from tests.formats_graphs import FAMILIES

FILES = Path(__file__).parents[1] / "tests" / "files"
FORMATS = (".ebat", ".tflite", ".onnx")


@dataclass
class Outcome:
    """Of one format: how often each thing happened, the slowest call in seconds, growth of memory in bytes."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: int = 0

    def add(self, other: Outcome) -> None:
        self.counts += other.counts
        self.slowest, self.memory = max(self.slowest, other.slowest), max(self.memory, other.memory)


def originals(suffix: str) -> list[bytes]:
    """Files of all families written by edgebat, and files of other tools."""
    foreign = [path.read_bytes() for path in sorted(FILES.glob(f"*{suffix}"))]
    with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
        if suffix == ".ebat":
            path = Path(folder) / "model.ebat"
            contents = []
            for family in FAMILIES:
                save_graph(small(family), path)
                contents.append(path.read_bytes())
            return contents
        return [content_of(small(family), suffix, Path(folder)) for family in FAMILIES] + foreign


def reader(suffix: str, folder: Path) -> Callable[[bytes], IntGraph]:
    if suffix != ".ebat":
        return tflite_graph if suffix == ".tflite" else onnx_graph

    def read(content: bytes) -> IntGraph:
        (folder / "damaged.ebat").write_bytes(content)
        return load_graph(folder / "damaged.ebat")

    return read


def work(task: tuple[str, bytes, int, int]) -> tuple[str, Outcome]:
    """``count`` damaged copies of one original."""
    suffix, original, count, seed = task
    warnings.simplefilter("error")
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
        read = reader(suffix, Path(folder))
        read(original)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for content in damaged(original, count, seed):
            start = time.perf_counter()
            try:
                graph = read(content)
                outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
                Engine(graph).run(np.zeros((1, *graph.input_tensor.shape), np.int8))
                outcome.counts["read"] += 1
            except ModelFileError:
                outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
                outcome.counts["refused"] += 1
            except Exception:
                outcome.counts["CRASH"] += 1
                keep = Path("runs/fuzz")
                keep.mkdir(parents=True, exist_ok=True)
                name = f"{seed}_{outcome.counts['CRASH']}{suffix}"
                (keep / name).write_bytes(content)
                (keep / f"{name}.txt").write_text(traceback.format_exc())
        # The peak never falls again: its growth bounds what any single call took.
        outcome.memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return suffix, outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=100_000, help="damaged files per format")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    options = parser.parse_args()
    tasks = []
    for suffix in options.formats:
        files = originals(suffix)
        # Several pieces an original, so that processes share the work evenly and a piece's memory is its own.
        share = -(-options.count // (len(files) * 8))
        tasks += [(suffix, content, share, 1000 * i + piece) for i, content in enumerate(files) for piece in range(8)]
    results = {suffix: Outcome() for suffix in options.formats}
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=4) as pool:
        for suffix, outcome in pool.imap_unordered(work, tasks):
            results[suffix].add(outcome)
    print(f"{'format':8} {'files':>8} {'refused':>8} {'read':>8} {'crash':>6} {'slowest':>9} {'memory':>9}")
    for suffix, outcome in results.items():
        c = outcome.counts
        print(
            f"{suffix:8} {c.total():8} {c['refused']:8} {c['read']:8} {c['CRASH']:6} {outcome.slowest * 1e3:6.0f} ms "
            f"{outcome.memory / 1e6:6.1f} MB"
        )
    return 1 if any(outcome.counts["CRASH"] for outcome in results.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
