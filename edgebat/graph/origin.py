"""What a graph's file says of where it comes from: the cells it was trained on, or another tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebat.errors import ModelFileError
from edgebat.graph.model import IntGraph
from edgebat.ground import MOST_VALUES, Ground, ground_of
from edgebat.interval import Interval, interval_of

SYNTHETIC = "SYNTHETIC: trained on simulated cells, not on measured ones; for trying things out, not for a battery"


def synthetic_note(graph: IntGraph) -> str:
    """``SYNTHETIC`` when the model was trained on simulated cells; "" for measured ones, and when its file does not say."""
    training: Any = graph.meta.get("training")
    return SYNTHETIC if isinstance(training, dict) and training.get("synthetic") is True else ""


def graph_ground(graph: IntGraph) -> Ground:
    """On which ground the model's answers stand; nothing stated for files written before models said so. Raises
    ModelFileError for a damaged entry, and for one of a model with another number of columns or other rows."""
    ground = ground_of(graph.meta, graph.name)
    columns = graph.input_tensor.shape[-1]
    if len(ground.rows.low_ppm) not in (0, columns):
        raise ModelFileError(
            f"model {graph.name!r} limits {len(ground.rows.low_ppm)} columns and reads {columns}; export it again"
        )
    domain = ground.domain
    if domain is None:
        return ground
    by_start = domain.empty is not None
    if by_start != rows_may_be_empty(graph):
        scored, read = ("any", "one") if by_start else ("one", "any")
        raise ModelFileError(
            f"model {graph.name!r} scores rows of {scored} window and reads those of {read}; export it again"
        )
    if by_start and graph.input_tensor.shape[0] * len(domain.prototypes[0]) > MOST_VALUES:
        raise ModelFileError(
            f"model {graph.name!r} scores {graph.input_tensor.shape[0]} rows of {len(domain.prototypes[0])} values; at most "
            f"{MOST_VALUES} in all"
        )
    return ground


def graph_interval(graph: IntGraph) -> Interval | None:
    """What the graph's file says of the interval around its estimate; None when it has none. Raises ModelFileError."""
    return interval_of(graph.meta, graph.name)


def reads_rate(graph: IntGraph) -> bool:
    """Whether the last column of the model's input is the mean current of each charge, 0.001 C; 0: not measured."""
    task: Any = graph.meta.get("task")
    return isinstance(task, dict) and task.get("charge_rate") is True


def rate_columns(graph: IntGraph) -> int:
    """So many of the last columns of the model's input are charging currents, 0.001 C."""
    task: Any = graph.meta.get("task")
    seen = task.get("seen_current") if isinstance(task, dict) else None
    return seen if type(seen) is int and 0 < seen < graph.input_tensor.shape[-1] else int(reads_rate(graph))


def rows_may_be_empty(graph: IntGraph) -> bool:
    """Whether a row of the model's input may stand for no charge: zeros throughout."""
    task: Any = graph.meta.get("task")
    return isinstance(task, dict) and task.get("windows") == "any"


@dataclass(frozen=True)
class Foreign:
    """What a file that another tool quantized keeps to itself."""

    rounding: str
    """Whose integers these are, a name of ``edgebat.formats.roundings.ROUNDINGS``."""
    input: str
    """Type of the file's input: int8, uint8 or float32."""
    output: str
    """Type of the file's output."""
    channels_first: bool
    """The file takes sequences as [N, C, T]."""
    float_sums: bool
    """The file adds in float32, where its engine may fuse the addition and round it otherwise."""
    shape: tuple[int, ...] = ()
    """Of a window in the file, where that is another than the graph's."""
    steps: tuple[tuple[str, Any], ...] = ()
    """What the file does to its float input before it is quantized: add, sub, mul or div, and the constant."""


def foreign_of(graph: IntGraph) -> Foreign | None:
    """What the graph's file of another tool keeps to itself; None for a model that edgebat quantized."""
    found: Any = graph.meta.get("foreign")
    if not isinstance(found, dict):
        return None
    rounding, source, target = (str(found.get(key, "")) for key in ("rounding", "input", "output"))
    shape = found.get("input_shape", [])
    if not isinstance(shape, list) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ModelFileError(f"model {graph.name!r} states an input shape of {shape}; export it again")
    steps = found.get("input_steps", [])
    if not isinstance(steps, list) or not all(
        isinstance(step, list) and len(step) == 2 and step[0] in ("add", "sub", "mul", "div") for step in steps
    ):
        raise ModelFileError(f"model {graph.name!r} states what it does to its input as {steps}; export it again")
    first, sums = found.get("input_layout") == "NCT", found.get("float_sums") is True
    return Foreign(rounding, source, target, first, sums, tuple(shape), tuple((step[0], step[1]) for step in steps))
