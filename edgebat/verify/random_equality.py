"""Random networks through every engine of others that is installed: one row per family and engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgebat.formats.export import export_model
from edgebat.graph import IntGraph
from edgebat.verify.engines import FOREIGN, files_in
from edgebat.verify.equality import Equality, verify_model
from edgebat.verify.inputs import random_inputs
from edgebat.verify.random_graphs import FAMILIES, random_graph


def random_equality(
    networks: int,
    inputs: int,
    families: Sequence[str] = FAMILIES,
    progress: Callable[[IntGraph], None] = lambda graph: None,
) -> tuple[list[Equality], dict[str, tuple[int, int]]]:
    """``networks`` random networks a family, ``inputs`` windows each, in every installed engine.

    Returns one summed row per family and engine, and per family (channels without a proven scale, channels searched).
    progress: called with every graph before it runs.
    """
    rows: list[Equality] = []
    searched: dict[str, tuple[int, int]] = {}
    for family in families:
        parts: list[Equality] = []
        fallbacks = channels = 0
        with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
            for seed in range(networks):
                graph = random_graph(family, seed)
                progress(graph)
                fallbacks, channels = fallbacks + graph.meta["fallbacks"], channels + graph.meta["channels"]
                export_model(graph, Path(folder), ("onnx", "tflite"), "model")
                x = random_inputs(graph, inputs, seed)
                parts += verify_model(graph, x, files_in(Path(folder), "model"), FOREIGN)
        searched[family] = (fallbacks, channels)
        found = [[part for part in parts if part.engine == engine.name and not part.skipped] for engine in FOREIGN]
        rows += [_summed(family, some) for some in found if some]
    return rows, searched


def _summed(family: str, parts: Sequence[Equality]) -> Equality:
    totals = {key: sum(getattr(part, key) for part in parts) for key in ("windows", "values", "mismatches")}
    largest = max(part.largest for part in parts)
    return replace(parts[0], model=f"{len(parts)} random {family}", **totals, largest=largest)
