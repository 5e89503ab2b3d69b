"""The functions of a generated model: one run over a window, and for recurrent models reset, step and head."""

from __future__ import annotations

from dataclasses import replace

from edgebat.formats.c.lowering import Lowering, Program
from edgebat.formats.c.memory import Buffer, allocate
from edgebat.formats.c.operators import STEP_OPERATORS, copy_output, lower_nodes, stage_input
from edgebat.graph.model import Dense, IntGraph, LastStep, Lut, Node, Recurrent


def lower(graph: IntGraph, mode: str) -> Program:
    """Choose between one function over the whole window and a program of single steps, and lay out memory."""
    boundary = _last_step_index(graph)
    if boundary is not None:
        return _lower_steps(graph, boundary, mode)
    low = Lowering(graph, mode)
    stage_input(low)
    lower_nodes(low)
    copy_output(low)
    return Program(low.tables, allocate(low.buffers), run=low.calls)


def _last_step_index(graph: IntGraph) -> int | None:
    """Index of the LastStep node when everything before it is a chain of layers that work step by step."""
    current, recurrent = graph.input, False
    for index, node in enumerate(graph.nodes):
        if node.inputs != (current,) or sum(current in n.inputs for n in graph.nodes) != 1 or current == graph.output:
            return None
        if isinstance(node, LastStep):
            return index if recurrent else None
        if not isinstance(node, Recurrent | Dense | Lut):
            return None
        recurrent = recurrent or isinstance(node, Recurrent)
        current = node.output
    return None


def _without_time(graph: IntGraph, nodes: tuple[Node, ...], first: str, last: str) -> IntGraph:
    """The part of ``graph`` from tensor ``first`` to ``last``, sequences [T, C] seen as one step [C]."""
    names = {first, *(node.output for node in nodes)}
    tensors = {
        name: replace(tensor, shape=tensor.shape[-1:]) for name, tensor in graph.tensors.items() if name in names
    }
    return IntGraph(graph.name, tensors, nodes, first, last, graph.meta)


def _lower_steps(graph: IntGraph, boundary: int, mode: str) -> Program:
    """A step, which leaves hidden states and cells in the state and everything else behind them, and a head."""
    last = graph.nodes[boundary]
    sequence = last.inputs[0]
    step = Lowering(_without_time(graph, graph.nodes[:boundary], graph.input, sequence), mode)
    stage_input(step)
    lower_nodes(step, STEP_OPERATORS)
    kept = 0
    for buffer in step.state:
        buffer.offset = kept
        kept += buffer.size
    state_bytes = kept + allocate(step.buffers)
    for buffer in step.buffers:
        buffer.offset += kept
    # The head reads the last step's output where the step left it.
    view = step.views[sequence]
    assert view.buffer is not None  # a step writes its output, it never hands the input through
    left = Buffer(view.buffer.size, view.buffer.first, view.buffer.last, view.buffer.offset, base="h")
    head_graph = _without_time(graph, graph.nodes[boundary + 1 :], last.output, graph.output)
    head = Lowering(head_graph, mode, step.tables, step.labels, views={last.output: replace(view, buffer=left)})
    lower_nodes(head)
    copy_output(head)
    head_scratch = allocate(head.buffers)
    rows, width = graph.input_tensor.shape
    return Program(
        head.tables,
        state_bytes + head_scratch,
        reset=step.resets,
        step=step.calls,
        head=head.calls,
        state_bytes=state_bytes,
        head_scratch_bytes=head_scratch,
        steps=rows,
        step_len=width,
    )
