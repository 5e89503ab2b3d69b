"""Does a model fit a board? Flash, RAM and time measured on the simulator beside what the target allows.

::

    check_budget(graph, "cortex-m0plus", max_flash=8000)      # raises TargetError: by how much, and what would fit

What would fit is measured as well: smaller networks of the same family, then the other families, with random weights
and the same inputs and outputs. Size and time do not depend on the weights; accuracy does, so a student has to be trained.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebat.bench.nets import random_net
from edgebat.bench.run import KINDS
from edgebat.errors import ModelFileError, TargetError, TooLarge
from edgebat.formats.c.program import lower
from edgebat.formats.c.write import MODES, write_c
from edgebat.formats.export import c_name
from edgebat.graph import Conv1D, Dense, Gru, IntGraph, Lstm
from edgebat.simulate.image import BuildOptions
from edgebat.simulate.measure import Measurement, measure
from edgebat.simulate.targets import Budget, Target, load_target
from edgebat.verify.inputs import random_inputs

BYTES = {"": 1, "k": 1024, "m": 1024**2}
MILLISECONDS = {"us": 1e-3, "ms": 1, "s": 1e3}
USUAL = {"mlp": (32, 16), "cnn": (8, 16), "lstm": (16,), "gru": (16,)}
"""Widths of the usual student of each family."""
_SCALES = (1.0, 0.75, 0.5, 0.25, 0.125)


def amount(text: str, units: Mapping[str, float], option: str) -> float | None:
    """``8k`` in bytes or ``2ms`` in milliseconds; None for an empty text. Raises TargetError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if not found or found[2] not in units or not float(found[1]):
        shown = ", ".join(f"2{unit}" for unit in units)
        raise TargetError(f"{option} {text!r} is no amount; give one such as {shown}")
    return float(found[1]) * units[found[2]]


def size(text: str, option: str) -> int | None:
    """Bytes, of a text such as ``8k``; None for an empty one. Raises TargetError."""
    found = amount(text, BYTES, option)
    return None if found is None else int(found)


@dataclass(frozen=True)
class Limits:
    """What a model may take: bytes of flash and RAM, milliseconds per inference; None is no limit."""

    flash: int | None
    ram: int | None
    ms: float | None

    def __str__(self) -> str:
        parts = ((self.flash, "bytes of flash"), (self.ram, "bytes of RAM"), (self.ms, "ms"))
        return ", ".join(f"{limit:,} {unit}" for limit, unit in parts if limit is not None) or "no limit"


@dataclass(frozen=True)
class Need:
    """What a model takes. ``ms`` is the upper end of the cycle model's error, None where no model is validated;
    ``instructions`` (simulator) those of the slowest window."""

    flash: int
    ram: int
    ms: float | None
    instructions: int = 0

    def __str__(self) -> str:
        time = f", {self.ms:.3g} ms" if self.ms is not None else ""
        return f"{self.flash:,} bytes of flash, {self.ram:,} bytes of RAM{time}"

    def excess(self, limits: Limits) -> list[str]:
        """By how much each limit is exceeded, in words; empty when the model fits."""
        found = []
        for label, need, limit in (("flash", self.flash, limits.flash), ("RAM", self.ram, limits.ram)):
            if limit is not None and need > limit:
                found.append(f"{label} {need:,} bytes, allowed {limit:,} ({need - limit:,} too many)")
        if limits.ms is not None and self.ms is not None and self.ms > limits.ms:
            found.append(f"time {self.ms:.3g} ms (cycle model, upper end), allowed {limits.ms:g} ms")
        return found


def limits_of(
    board: Target, *, max_flash: int | None = None, max_ram: int | None = None, max_ms: float | None = None
) -> Limits:
    """The limits of ``board``: its budget (all of its memory without one), or the ones given in bytes and milliseconds.

    Raises TargetError when a time is asked for on a board without a validated cycle model.
    """
    budget = board.budget or Budget()
    if max_ms is not None and not (board.cycles and board.clock_hz):
        raise TargetError(
            f"target {board.name} has no validated cycle model, so no time can be checked; leave --max-ms out, or choose "
            "a target that has one (cortex-m4f, cortex-m0plus)"
        )
    return Limits(
        flash=max_flash if max_flash is not None else board.flash_bytes * budget.flash_percent // 100 or None,
        ram=max_ram if max_ram is not None else board.ram_bytes * budget.ram_percent // 100 or None,
        ms=max_ms if max_ms is not None else budget.max_ms or None,
    )


def check_budget(
    graph: IntGraph,
    target: str | Target,
    *,
    max_flash: int | None = None,
    max_ram: int | None = None,
    max_ms: float | None = None,
    optimize: str = "-O2",
    mode: str = "balanced",
) -> Need:
    """What ``graph`` takes on ``target`` when written in ``mode``, if it fits.

    max_flash, max_ram (bytes) and max_ms (milliseconds of one inference) replace the target's own budget.
    Raises TargetError when it does not fit, with by how much and what would; for a computer, which has no such limits;
    ToolError and MissingExtra when compiler or simulator are missing.
    """
    board = load_target(target) if isinstance(target, str) else target
    if not board.bare_metal:
        raise TargetError(f"target {board.name} is a computer; a budget of flash and RAM needs a microcontroller")
    limits = limits_of(board, max_flash=max_flash, max_ram=max_ram, max_ms=max_ms)
    need = measured_need(graph, board, optimize, mode)
    if excess := need.excess(limits):
        found = [f"{label}: {smaller}" for label, smaller in _what_fits(graph, board, limits, optimize, mode)]
        advice = "; ".join(found) if found else "nothing smaller of the usual families fits either"
        raise TargetError(
            f"{graph.name} does not fit {board.name}: {'; '.join(excess)}. What would fit (simulator, {optimize}; other "
            f"networks with random weights): {advice}"
        )
    return need


def measured_need(graph: IntGraph, board: Target, optimize: str = "-O2", mode: str = "balanced") -> Need:
    """What ``graph`` takes on ``board`` when written in ``mode``, counted like in every table. Raises ModelFileError when
    C has no exact kernel for it, ToolError and MissingExtra when compiler or simulator are missing."""
    name = c_name(graph.name)
    with tempfile.TemporaryDirectory(prefix="edgebat-budget-") as folder:
        model = write_c(graph, Path(folder), name, mode=mode)
        build = BuildOptions(optimize=optimize, kernels=model.kernel_sources)
        done = measure(Path(folder), name, board, random_inputs(graph, 8, kinds=KINDS), build)
    assert done.flash is not None
    assert done.ram is not None
    assert done.instructions is not None
    return Need(done.flash.total, done.ram.total, _slowest_ms(done), done.instructions[1])


def _measure(graph: IntGraph, board: Target, limits: Limits, optimize: str, mode: str) -> Need | None:
    """What ``graph`` takes; None when its tables alone are too large, which costs no simulation."""
    if limits.flash is not None and lower(graph, mode).table_bytes > limits.flash:
        return None
    return measured_need(graph, board, optimize, mode)


def _slowest_ms(done: Measurement) -> float | None:
    """The slowest window by the cycle model, its stated error added."""
    if done.milliseconds is None or done.cycles is None or done.instructions is None:
        return None
    traced = sum(done.functions.values())
    return done.milliseconds * (done.instructions[1] / traced) * (1 + done.cycles.error_percent / 100)


def _what_fits(graph: IntGraph, board: Target, limits: Limits, optimize: str, mode: str) -> Iterator[tuple[str, Need]]:
    """The model in another mode, else the largest network of each family that fits, the graph's own family first."""
    other = False
    for choice in (name for name in MODES if name != mode):
        need = _measure(graph, board, limits, optimize, choice)
        if need is not None and not need.excess(limits):
            other = True
            yield f"the same model with --mode {choice}", need
    shape, outputs = graph.input_tensor.shape, graph.output_tensor.shape
    if other or len(shape) != 2 or len(outputs) != 1:
        return
    own, widths = family_of(graph)
    for family in sorted(USUAL, key=lambda name: name != own):
        start = widths if family == own and widths else USUAL[family]
        for candidate in _smaller(start, include=family != own):
            try:
                need = _measure(random_net(family, shape, candidate, outputs[0]), board, limits, optimize, mode)
            except (ModelFileError, TooLarge):
                continue  # C has no exact kernel for this one, or the simulated board cannot hold it
            if need is not None and not need.excess(limits):
                yield f"{family} of {'-'.join(map(str, candidate))} units", need
                break


def family_of(graph: IntGraph) -> tuple[str, tuple[int, ...]]:
    """The student family a graph looks like, and the widths of its layers before the head."""
    for cls in (Lstm, Gru):
        if units := tuple(int(node.bias.shape[1]) for node in graph.nodes if isinstance(node, cls)):
            return cls.op, units
    filters = tuple(len(node.weight) for node in graph.nodes if isinstance(node, Conv1D))
    if filters:
        return "cnn", filters
    return "mlp", tuple(len(node.weight) for node in graph.nodes if isinstance(node, Dense))[:-1]


def _smaller(widths: Sequence[int], *, include: bool) -> Iterator[tuple[int, ...]]:
    """``widths`` scaled down step by step, in multiples of 4 where there are as many, each once."""
    seen = set() if include else {tuple(widths)}
    for scale in _SCALES:
        scaled = tuple(max(round(width * scale) // 4 * 4, min(4, round(width * scale)), 1) for width in widths)
        if scaled not in seen:
            seen.add(scaled)
            yield scaled
