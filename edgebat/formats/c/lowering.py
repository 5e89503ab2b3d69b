"""What lowering any operator needs: names of nodes, tables, statements and memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgebat.formats.c.calls import PREPARING, Call, Slide, Statement
from edgebat.formats.c.memory import Buffer, View, pad4
from edgebat.formats.c.tables import Table, byte_table, word_table
from edgebat.graph.model import Convolution, Flatten, IntGraph, LastStep, Node, Requant, Tensor

HEADERS = {
    "edgebat_exact": "exact", "edgebat_gru": "src", "edgebat_mul": "src", "edgebat_reverse": "src", "edgebat_take": "src",
}  # fmt: skip
"""Kernels whose names begin so have a header of that name, in this folder of ``firmware_stubs``: copied beside models
that call them."""
_PRIVATE = {
    "edgebat_exact": {"edgebat_lstm_any_step"},
    "edgebat_exact_float": {"edgebat_exact_pool", "edgebat_exact_softmax"},
}
"""Headers in ``exact`` that kernels include although the model that calls them does not."""


@dataclass
class Lowering:
    """Everything the generator prints, as it grows node by node.

    ``mode`` is one of ``write.MODES``; ``labels`` are the C names of nodes; ``calls`` stand in executing order;
    ``buffers`` are laid out later; ``views`` say where tensors lie; ``index`` is the node at hand, -1 before the first.
    Of a single time step: ``state`` is kept between steps, ``resets`` begin a sequence.
    """

    graph: IntGraph
    mode: str
    tables: list[Table] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    calls: list[Statement] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    index: int = -1
    state: list[Buffer] = field(default_factory=list)
    resets: list[Statement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shared: dict[tuple[str, bytes], str] = {}
        self.consumers: dict[str, list[int]] = {name: [] for name in self.graph.tensors}
        for index, node in enumerate(self.graph.nodes):
            for name in node.inputs:
                self.consumers[name].append(index)

    # -- of one node

    def label(self, node: Node) -> str:
        """A C identifier for ``node``, unique within the model."""
        if node.name not in self.labels:
            base = f"layer_{re.sub(r'[^A-Za-z0-9_]', '_', node.name)}"
            label, count = base, 2
            while label in self.labels.values():
                label, count = f"{base}_{count}", count + 1
            self.labels[node.name] = label
        return self.labels[node.name]

    def source(self, node: Node) -> Tensor:
        """The first input of ``node``."""
        return self.graph.tensors[node.inputs[0]]

    def target(self, node: Node) -> Tensor:
        """The output of ``node``."""
        return self.graph.tensors[node.output]

    def view(self, node: Node) -> View:
        """Where the first input of ``node`` lies."""
        return self.views[node.inputs[0]]

    def share(self, kind: str, name: str, values: Sequence[int]) -> str:
        """The name of a table of these values, int8_t or int32_t: a new one, or one that an earlier layer has. Recurrent
        layers of others, step by step, have the same weights in every step."""
        table = (byte_table if kind == "int8_t" else word_table)(name, values)
        known = self.shared.setdefault((kind, table.content["portable"]), name)
        if known == name:
            self.tables.append(table)
        return known

    def call(self, function: str, *arguments: View | str | int, slide: Slide | None = None) -> None:
        """Add a call of ``function`` for the node at hand."""
        layer = "" if function in PREPARING else self.graph.nodes[self.index].name
        self.calls.append(Call(function, arguments, layer, slide))

    # -- memory

    def last_use(self, tensor: str, index: int) -> int:
        """Index of the last node that reads ``tensor`` or a view of it; the graph's output lives to the end."""
        last = len(self.graph.nodes) if tensor == self.graph.output else index
        for consumer in self.consumers[tensor]:
            node = self.graph.nodes[consumer]
            view = isinstance(node, Flatten | LastStep)
            last = max(last, self.last_use(node.output, consumer) if view else consumer)
        return last

    def padding(self, tensor: str) -> tuple[int, int]:
        """Rows of zero point that convolutions want before and after ``tensor``."""
        nodes = [self.graph.nodes[i] for i in self.consumers[tensor]]
        pads = [node.padding for node in nodes if isinstance(node, Convolution)]
        return max((p[0] for p in pads), default=0), max((p[1] for p in pads), default=0)

    def new_buffer(self, size: int) -> View:
        """Working memory of the node at hand."""
        buffer = Buffer(size, self.index, self.index)
        self.buffers.append(buffer)
        return View(buffer, 0, 1, size, size)

    def new_view(self, tensor: str, *, spare_rows: int = 0, like: View | None = None) -> View:
        """Memory for ``tensor``, which the node at hand writes; the rows of zero point around it are filled after it."""
        shape = self.graph.tensors[tensor].shape
        rows, width = (like.rows, like.width) if like else (1, shape[0]) if len(shape) == 1 else shape
        left, right = self.padding(tensor)
        stride = pad4(width)
        size = (left + rows + max(right, spare_rows)) * stride
        buffer = Buffer(size, self.index, self.last_use(tensor, self.index))
        self.buffers.append(buffer)
        view = View(buffer, left * stride, rows, width, stride)
        self.views[tensor] = view
        return view

    def compact(self, view: View) -> View:
        """A copy of ``view`` as one row without padding inside."""
        copy = self.new_buffer(pad4(view.rows * view.width))
        self.call("edgebat_copy", view, view.stride, copy, view.width, view.rows, view.width)
        return View(copy.buffer, 0, 1, view.rows * view.width, copy.stride)

    def finish(self, tensor: str, requant: Requant | None = None) -> None:
        """What follows the kernel that wrote ``tensor``: a narrower fused activation, rows of zero point around it."""
        view = self.views[tensor]
        if requant is not None and (requant.minimum, requant.maximum) != (-128, 127):
            self.call("edgebat_clamp", view, view.bytes, requant.minimum, requant.maximum)
        left, right = self.padding(tensor)
        zero = self.graph.tensors[tensor].zero_point
        for rows, start in ((left, view.start - left * view.stride), (right, view.start + view.bytes)):
            if rows:
                edge = View(view.buffer, start, rows, view.width, view.stride)
                self.call("edgebat_fill", edge, rows * view.stride, zero)

    def overlap(self, source: View, out: View, consumed: int) -> None:
        """Let ``out`` lie over ``source`` as a row-wise kernel uses it up, ``consumed`` bytes of it per output row.

        Row t may be written up to where row t begins to read. Called when the kernel writes each output row after its
        last read of all rows before.
        """
        first, second = source.buffer, out.buffer
        if first is None or second is None or first.last != second.first or out.stride > consumed or first.base != "s":
            return
        # out.start + (t + 2) * out.stride <= source.start + t * consumed: one row more, which pooling works in.
        gap = out.start + 2 * out.stride - source.start
        second.follows = (first, max(gap, 0))


@dataclass(frozen=True)
class Program:
    """Tables and statements of a model, memory laid out: ``run``, or of recurrent models ``reset``, ``step``, ``head``."""

    tables: list[Table]
    scratch_bytes: int
    run: list[Statement] = field(default_factory=list)
    reset: list[Statement] = field(default_factory=list)
    step: list[Statement] = field(default_factory=list)
    head: list[Statement] = field(default_factory=list)
    state_bytes: int = 0
    head_scratch_bytes: int = 0
    steps: int = 0
    step_len: int = 0

    @property
    def calls(self) -> list[Call]:
        """The calls of one inference, a step's once, in the order of the generated source."""
        return [call for statement in (*self.run, *self.step, *self.head) for call in statement.calls()]

    @property
    def headers(self) -> list[str]:
        """The ``HEADERS`` whose kernels are called."""
        return [name for name in HEADERS if any(call.function.startswith(name) for call in self.calls)]

    @property
    def private_headers(self) -> list[str]:
        """Headers in ``exact`` that the called kernels include."""
        called = {call.function for call in self.calls}
        return [header for header, users in _PRIVATE.items() if called & users]

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
