"""What a candidate costs on the target, before it is trained: the same architecture with random weights, exported, built and
counted like any model.

Flash and RAM depend on shapes alone, to the byte, and so do the instructions of the kernels that ``zig cc`` builds: trained
weights only fill tables of known sizes. Two things could differ, and both are looked for in the trained student: gates of
an LSTM too large for 32-bit arithmetic take another kernel, and a compiler for a core without conditional instructions may
branch on data (then the largest count of eight unlike windows is given). tests/search/test_cost.py holds equality.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from edgebat.bench.budget import Limits, Need, measured_need
from edgebat.errors import DataError, ModelFileError, RecipeError, TooLarge
from edgebat.files import atomic_write, sha256_bytes
from edgebat.formats.c.program import lower
from edgebat.graph import IntGraph
from edgebat.interval import BOUNDS
from edgebat.quantization import quantize_model
from edgebat.quantization.head_rows import head_of, with_rows
from edgebat.search.space import Candidate
from edgebat.simulate.targets import Target
from edgebat.students.store import build_student
from edgebat.tasks.base import AnyTask
from edgebat.tasks.windows import Definition

CALIBRATION = 64
"""Random windows that give ranges of activations; ranges change tables, not their sizes."""


@dataclass(frozen=True)
class Price:
    """What a candidate takes, or why it cannot be had. seconds: what finding out took."""

    need: Need | None
    """None when it cannot be built, or when its tables alone are larger than the flash allowed."""
    reason: str = ""
    excess: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Flash, RAM and time beyond their limits, as shares of these; negative: left over."""
    seconds: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether it is within every limit."""
        return self.need is not None and max(self.excess) <= 0


def random_graph(candidate: Candidate, task: AnyTask, spec: Definition, shape: tuple[int, int]) -> IntGraph:
    """An int8 student of the candidate's architecture with seeded random weights, for inputs [T, C] = ``shape``.

    Raises RecipeError when its family cannot be built like that, DataError when it cannot be quantized.
    """
    torch.manual_seed(1)
    heads = task.heads(spec, candidate.knots or None)
    student = build_student(
        candidate.kind, shape=shape, heads=heads, relative=task.relative_input, **candidate.settings
    )
    x = np.random.default_rng(1).standard_normal((CALIBRATION, *shape)).astype(np.float32)
    return quantize_model(student.float_spec(), x, name=candidate.kind)


def with_bounds_priced(graph: IntGraph) -> IntGraph:
    """``graph`` with as many more outputs as an interval takes; what they say does not matter here."""
    head = head_of(graph)
    source = graph.tensors[head.inputs[0]].scale
    row = head.weight[0].astype(np.float64) * head.weight_scale[0]
    bias = float(head.bias[0]) * source * float(head.weight_scale[0])
    return with_rows(graph, np.tile(row, (len(BOUNDS), 1)), np.full(len(BOUNDS), bias))


@dataclass(frozen=True)
class Prices:
    """Prices on one board, each found once and kept in ``folder`` by what decides it: architecture and ``origin``, the
    board's and the code's digest."""

    board: Target
    limits: Limits
    folder: Path
    origin: str
    bounds: bool = False
    """Whether the recipe's students state an interval: two more outputs each."""

    def of(self, candidate: Candidate, task: AnyTask, spec: Definition, shape: tuple[int, int]) -> Price:
        """What the candidate takes. spec, shape: the task's definition and inputs [T, C] as the candidate sees them."""
        try:
            graph = self.whole(random_graph(candidate, task, spec, shape))
            tables = lower(graph, "balanced").table_bytes
            if self.limits.flash and tables > self.limits.flash:
                return Price(None, f"tables of {tables:,} bytes", (tables / self.limits.flash - 1, 0.0, 0.0))
            need, seconds = self._kept(candidate, graph)
        except (RecipeError, DataError, ModelFileError, TooLarge) as error:
            return Price(None, str(error), (1.0, 1.0, 1.0))
        return Price(need, "; ".join(need.excess(self.limits)), self._excess(need), seconds)

    def whole(self, graph: IntGraph) -> IntGraph:
        """``graph`` of a student, trained or not, with all the outputs that it will have on the board."""
        return with_bounds_priced(graph) if self.bounds else graph

    def _kept(self, candidate: Candidate, graph: IntGraph) -> tuple[Need, float]:
        """From the file of its architecture, or measured now; and the seconds that measuring took."""
        tensors = {name: [tensor.shape, tensor.dtype] for name, tensor in graph.tensors.items()}
        layers = [[node.op, node.name, node.inputs] for node in graph.nodes]
        content = json.dumps([tensors, layers, candidate.settings, self.origin], sort_keys=True)
        file = self.folder / f"{sha256_bytes(content.encode())[:32]}.json"
        if file.is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            return Need(**kept["need"]), float(kept["seconds"])
        started = time.perf_counter()
        need = measured_need(graph, self.board)
        seconds = time.perf_counter() - started
        atomic_write(file, json.dumps({"need": asdict(need), "seconds": seconds}) + "\n")
        return need, seconds

    def _excess(self, need: Need) -> tuple[float, float, float]:
        pairs = ((need.flash, self.limits.flash), (need.ram, self.limits.ram), (need.ms, self.limits.ms))
        flash, ram, time_ = (taken / limit - 1 if taken is not None and limit else -1.0 for taken, limit in pairs)
        return flash, ram, time_
