"""The functions of a generated model: one run over a window, and for recurrent models reset, step and head."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

from edgebat.formats.c.lower import Lowering
from edgebat.formats.c.lstm import lstm_state_bytes
from edgebat.formats.c.memory import Buffer, View, allocate
from edgebat.formats.c.place import Call
from edgebat.formats.c.tables import Table, pad4
from edgebat.graph.model import Dense, IntGraph, LastStep, Lstm, Lut, Node

SLICE_WORK = 2048
"""Multiply-accumulates of a slice, where a layer can be cut: some 7,000 instructions on a Cortex-M4, 20,000 on an M0+."""


@dataclass
class Program:
    """Tables and statements of a model, memory laid out."""

    tables: list[Table]
    run: list[str]
    scratch_bytes: int
    kernels: set[str]
    reset: list[str] = field(default_factory=list)
    step: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    state_bytes: int = 0
    head_scratch_bytes: int = 0
    steps: int = 0
    step_len: int = 0
    pieces: list[list[str]] = field(default_factory=list)
    """Per statement of ``run`` the statements it is cut into for the sliced run."""

    @property
    def table_bytes(self) -> int:
        """Bytes of all tables in flash."""
        return sum(table.size for table in self.tables)

    def crc32(self, layout: str) -> int:
        """CRC-32 of the tables as a core with this ``layout`` of weights holds them."""
        crc = 0
        for table in self.tables:
            crc = zlib.crc32(table.content.get(layout, b""), crc)
        return crc

    @property
    def stateful(self) -> bool:
        """True when the model can be run one time step at a time."""
        return self.state_bytes > 0


def lower(graph: IntGraph, mode: str) -> Program:
    """Choose between one function over the whole window and a program of single steps, and lay out memory."""
    boundary = _last_step_index(graph)
    if boundary is not None:
        return _lower_steps(graph, boundary, mode)
    lowering = Lowering(graph, mode)
    lowering.run()
    scratch = allocate(lowering.buffers)
    return Program(
        lowering.tables,
        [call.statement() for call in lowering.calls],
        scratch,
        {call.kernel for call in lowering.calls},
        pieces=[call.pieces(SLICE_WORK) for call in lowering.calls],
    )


def _last_step_index(graph: IntGraph) -> int | None:
    """Index of the LastStep node when everything before it is a chain of layers that work step by step."""
    current, recurrent = graph.input, False
    for index, node in enumerate(graph.nodes):
        if node.inputs != (current,) or sum(current in n.inputs for n in graph.nodes) != 1 or current == graph.output:
            return None
        if isinstance(node, LastStep):
            return index if recurrent else None
        if not isinstance(node, Lstm | Dense | Lut):
            return None
        recurrent = recurrent or isinstance(node, Lstm)
        current = node.output
    return None


def _without_time(graph: IntGraph, nodes: tuple[Node, ...], first: str, last: str) -> IntGraph:
    """The part of ``graph`` from tensor ``first`` to ``last``, sequences [T, C] seen as one step [C]."""
    names = {first, *(node.output for node in nodes)}
    tensors = {
        name: replace(tensor, shape=tensor.shape[-1:]) for name, tensor in graph.tensors.items() if name in names
    }
    return IntGraph(graph.name, tensors, nodes, first, last, graph.meta)


class _StepLowering(Lowering):
    """Lowers one time step; hidden states and cells live in the state, everything else behind them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.state_buffers: list[Buffer] = []
        self.resets: list[Call] = []

    def lstm(self, node: Lstm, index: int) -> None:
        (label, kernel), view = self.lstm_layer(node), self.views[node.inputs[0]]
        units = node.bias.shape[1]
        buffer = Buffer(lstm_state_bytes(units), -1, len(self.graph.nodes))
        state = View(buffer, 0, 1, buffer.size, buffer.size)
        self.state_buffers.append(buffer)
        self.views[node.output] = View(buffer, 0, 1, units, pad4(units))
        self.call(kernel, f"{kernel}_step(&{label}, {{0}}, {{1}});", view, state)
        step_calls, self.calls = self.calls, self.resets
        self.reset_hidden(node, state)
        self.calls = step_calls

    def copy_output(self) -> None:
        """The result of a step is the hidden state itself."""


def _lower_steps(graph: IntGraph, boundary: int, mode: str) -> Program:
    last = graph.nodes[boundary]
    sequence = last.inputs[0]
    step = _StepLowering(_without_time(graph, graph.nodes[:boundary], graph.input, sequence), mode)
    step.run()
    state = 0
    for buffer in step.state_buffers:
        buffer.offset = state
        state += buffer.size
    work = allocate(step.buffers)
    for buffer in step.buffers:
        buffer.offset += state
    # The head reads the last step's output where the step left it.
    head_graph = _without_time(graph, graph.nodes[boundary + 1 :], last.output, graph.output)
    head = _HeadLowering(head_graph, mode, step.tables, step.labels)
    head.entry = step.views[sequence]
    head.run()
    head_scratch = allocate(head.buffers)
    rows, width = graph.input_tensor.shape
    statements = [call.statement() for call in step.calls]
    return Program(
        head.tables,
        [],
        state + work + head_scratch,
        {call.kernel for call in [*step.calls, *head.calls]} | {"edgebat_fill"},
        reset=[call.statement() for call in step.resets],
        step=statements,
        head=[call.statement() for call in head.calls],
        state_bytes=state + work,
        head_scratch_bytes=head_scratch,
        steps=rows,
        step_len=width,
    )


class _HeadLowering(Lowering):
    """Lowers what follows the last time step; its input lies in the state."""

    entry: View

    def stage_input(self) -> None:
        buffer = self.entry.buffer
        assert buffer is not None  # a step writes its output, it never hands the input through
        kept = Buffer(buffer.size, buffer.first, buffer.last, buffer.offset, base="h")
        self.views[self.graph.input] = replace(self.entry, buffer=kept)
