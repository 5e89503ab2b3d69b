"""Which function lowers which operator, and where a window comes in and results go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgebat.errors import ModelFileError
from edgebat.formats.c.conv import lower_average_pool, lower_conv1d, lower_depthwise, lower_max_pool
from edgebat.formats.c.dense import lower_dense
from edgebat.formats.c.elementwise import (
    lower_add,
    lower_concat,
    lower_flatten,
    lower_last_step,
    lower_lut,
    lower_reverse,
    lower_take,
)
from edgebat.formats.c.exact import LINEAR
from edgebat.formats.c.gru import lower_gru, lower_gru_step
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.lstm import lower_lstm, lower_lstm_step
from edgebat.formats.c.memory import View
from edgebat.formats.c.padded import lower_float_pool, lower_mean_pool, lower_pad, lower_softmax
from edgebat.formats.c.product import lower_mul
from edgebat.graph.model import (
    Concat,
    Conv1D,
    Convolution,
    Dense,
    Flatten,
    FloatPool1D,
    MeanPool1D,
    Mul,
    Node,
    Pad1D,
    Reverse,
    Softmax,
    Take,
)

Operators = Mapping[str, Callable[[Lowering, Any], None]]

OPERATORS: Operators = {
    "dense": lower_dense,
    "conv1d": lower_conv1d,
    "depthwise_conv1d": lower_depthwise,
    "max_pool1d": lower_max_pool,
    "average_pool1d": lower_average_pool,
    "flatten": lower_flatten,
    "concat": lower_concat,
    "add": lower_add,
    "lut": lower_lut,
    "lstm": lower_lstm,
    "gru": lower_gru,
    "last_step": lower_last_step,
    "reverse": lower_reverse,
    "pad1d": lower_pad,
    "mean_pool1d": lower_mean_pool,
    "float_pool1d": lower_float_pool,
    "softmax": lower_softmax,
    "clipped_lstm": lower_lstm,
    "mul": lower_mul,
    "take": lower_take,
}
STEP_OPERATORS: Operators = {
    **OPERATORS, "lstm": lower_lstm_step, "clipped_lstm": lower_lstm_step, "gru": lower_gru_step,
}  # fmt: skip
"""Operators of one time step, between whose calls a layer keeps its state."""


def lower_nodes(low: Lowering, operators: Operators = OPERATORS) -> None:
    """Lower every node in executing order. Raises ModelFileError for one that C has no exact kernel for."""
    for index, node in enumerate(low.graph.nodes):
        if node.output in low.views:
            continue  # a pooling that the convolution before it has computed
        if node.op not in operators:
            raise ModelFileError(f"node {node.name!r} ({node.op}): C has no kernel for this operator")
        low.index = index
        operators[node.op](low, node)


def stage_input(low: Lowering) -> None:
    """Copy the caller's input into padded rows where a consumer needs it so; otherwise use it where it lies."""
    name, shape = low.graph.input, low.graph.input_tensor.shape
    rows, width = (1, shape[0]) if len(shape) == 1 else shape
    direct = View(None, 0, rows, width, width)
    low.views[name] = direct
    if all(_reads_directly(low, low.graph.nodes[i], direct) for i in low.consumers[name]):
        return
    view = low.new_view(name)
    low.call("edgebat_copy", "input", width, view, view.stride, rows, width)
    low.finish(name)


def _reads_directly(low: Lowering, node: Node, view: View) -> bool:
    """True when ``node`` can read the caller's input where it lies: rows without padding, at any address."""
    match node:
        case Flatten():
            # A vector may end anywhere for these consumers if groups of four do not run over its end.
            users = [low.graph.nodes[i] for i in low.consumers[node.output]]
            return all(isinstance(user, Dense) and view.bytes % 4 == 0 for user in users)
        case Conv1D() if low.mode == "ram" and node.requant.kind not in LINEAR:
            return True
        case Convolution():
            return view.width % 4 == 0 and node.padding == (0, 0)
        case Concat() | Pad1D() | Reverse() | MeanPool1D() | FloatPool1D() | Softmax() | Mul() | Take():
            return True
        case _:
            return view.width % 4 == 0


def copy_output(low: Lowering) -> None:
    """int8 results are computed in scratch memory, in padded rows, and copied to the caller's output."""
    if low.graph.output_tensor.dtype == "int8":
        view = low.views[low.graph.output]
        low.call("edgebat_copy", view, view.stride, "output", view.width, view.rows, view.width)
