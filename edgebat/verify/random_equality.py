"""Random networks through every engine that is installed: one row per family and engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import MissingExtra
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.write import write_tflite
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.verify.engines import run_litert, run_onnxruntime, run_tflite_micro
from edgebat.verify.equality import Equality, compare
from edgebat.verify.random_graphs import FAMILIES, random_graph, random_inputs

ENGINES: dict[str, tuple[Callable[[Path, Array], Array], str]] = {
    "ONNX Runtime": (run_onnxruntime, "model.onnx"),
    "LiteRT": (run_litert, "model.tflite"),
    "TFLite Micro": (run_tflite_micro, "model.tflite"),
}


def promised(family: str, engine: str) -> bool:
    """Whether edgebat promises equality: everywhere but LiteRT's LSTM and TFLite Micro's dense and convolution layers."""
    return {"ONNX Runtime": True, "LiteRT": family != "lstm", "TFLite Micro": family == "lstm"}[engine]


def random_equality(
    networks: int,
    inputs: int,
    families: Sequence[str] = FAMILIES,
    told: Callable[[IntGraph], None] = lambda graph: None,
) -> tuple[list[Equality], dict[str, tuple[int, int]]]:
    """``networks`` random networks a family, ``inputs`` windows each, in every installed engine.

    Returns one summed row per family and engine, and per family (channels without a proven scale, channels searched).
    told: called with every graph before it runs, for progress.
    """
    rows: list[Equality] = []
    searched: dict[str, tuple[int, int]] = {}
    for family in families:
        sums: dict[str, list[Equality]] = {}
        fallbacks = channels = 0
        with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
            for seed in range(networks):
                graph = random_graph(family, seed)
                told(graph)
                fallbacks, channels = fallbacks + graph.meta["fallbacks"], channels + graph.meta["channels"]
                write_onnx(graph, Path(folder) / "model.onnx")
                write_tflite(graph, Path(folder) / "model.tflite")
                x = random_inputs(graph, inputs, seed)
                expected = Engine(graph).run(x)
                for engine, (run, file) in ENGINES.items():
                    try:
                        got = np.asarray(run(Path(folder) / file, x)).reshape(expected.shape)
                    except MissingExtra:
                        continue
                    must = promised(family, engine)
                    sums.setdefault(engine, []).append(
                        compare(graph.name, "NumPy", expected, engine, got, must_be_zero=must)
                    )
        searched[family] = (fallbacks, channels)
        rows += [_summed(family, parts) for parts in sums.values()]
    return rows, searched


def _summed(family: str, parts: Sequence[Equality]) -> Equality:
    first = parts[0]
    return Equality(
        f"{len(parts)} random {family}",
        first.reference,
        first.engine,
        sum(p.windows for p in parts),
        sum(p.values for p in parts),
        sum(p.mismatches for p in parts),
        max(p.largest for p in parts),
        first.must_be_zero,
    )
