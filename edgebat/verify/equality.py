"""One integer graph through every engine: how many integers differ from NumPy's, never hiding one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Int8
from edgebat.errors import EdgebatError, GraphError, TooLarge
from edgebat.formats.export import export_model
from edgebat.graph import IntGraph
from edgebat.runtime import Engine as NumpyEngine
from edgebat.verify.engines import ENGINES, EQUAL, Engine, Files, files_in


@dataclass(frozen=True)
class Equality:
    """One engine on one model beside NumPy: how many output integers differ, and by how much at most.

    ``promise`` is "0" where equality is promised, else the reason why not; ``skipped`` says why nothing was compared.
    """

    model: str
    engine: str
    promise: str = EQUAL
    version: str = ""
    windows: int = 0
    values: int = 0
    mismatches: int = 0
    largest: int = 0
    skipped: str = ""

    @property
    def share(self) -> float:
        """Mismatching share of all compared values, 0 to 1."""
        return self.mismatches / self.values if self.values else 0.0

    @property
    def passed(self) -> bool:
        """False only when equality is promised for this engine and some value differs."""
        return self.mismatches == 0 or self.promise != EQUAL

    def to_row(self) -> dict[str, Any]:
        """The row of an equality table, JSON-able."""
        names = {"promise": "expected", "values": "outputs", "largest": "max_difference"}
        return {names.get(key, key): value for key, value in asdict(self).items()}


def compare(model: str, engine: str, expected: Array, got: Array, promise: str = EQUAL, version: str = "") -> Equality:
    """Compare ``got`` of an engine with NumPy's outputs for the same windows.

    expected, got: integers [N, ...], one model's outputs in the same order. Raises GraphError when the shapes differ.
    """
    expected, got = expected.reshape(len(expected), -1), got.reshape(len(got), -1)
    if expected.shape != got.shape:
        raise GraphError(
            f"model {model!r}: NumPy gives outputs of shape {list(expected.shape)}, {engine} {list(got.shape)}"
        )
    difference = np.abs(expected.astype(np.int64) - got.astype(np.int64))
    mismatches, largest = int(np.count_nonzero(difference)), int(difference.max(initial=0))
    return Equality(model, engine, promise, version, len(expected), int(difference.size), mismatches, largest)


def verify_model(
    graph: IntGraph, x: Int8, files: Files | None = None, table: Sequence[Engine] = ENGINES
) -> list[Equality]:
    """Every engine of ``table`` against NumPy on the inputs ``x`` int8 [N, ...].

    files: existing exports; None exports into a temporary folder. An engine that is not installed gives a row that says
    so, an optional one none. Raises what the writers raise, ToolError when a compiler or simulator fails.
    """
    if files is None:
        with tempfile.TemporaryDirectory(prefix="edgebat-") as folder:
            export_model(graph, Path(folder), ("tflite", "onnx", "c"))
            return verify_model(graph, x, files_in(Path(folder), graph.name), table)
    reference = NumpyEngine(graph).run(x)
    rows = []
    for engine in table:
        promise = engine.promise(graph)
        if not engine.answers(graph):
            continue
        if missing := engine.missing():
            rows += [] if engine.optional else [Equality(graph.name, engine.name, promise, skipped=missing)]
            continue
        session = engine.open(graph, files)
        try:
            outputs = session.run(x)  # C on a simulator knows its version only afterwards
        except TooLarge as error:
            rows.append(Equality(graph.name, engine.name, promise, skipped=str(error)))
            continue
        rows.append(compare(graph.name, engine.name, reference, outputs, promise, session.version))
    return rows


def require_equal(rows: Sequence[Equality]) -> None:
    """Raise EdgebatError when an engine that must be equal to NumPy is not."""
    if wrong := [row for row in rows if not row.passed]:
        text = ", ".join(f"{row.model} in {row.engine}: {row.mismatches} of {row.values}" for row in wrong)
        raise EdgebatError(f"outputs differ where they must be equal: {text}")
