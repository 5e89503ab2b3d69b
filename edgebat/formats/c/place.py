"""Names, statements and memory: what lowering any operator needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from edgebat.formats.c.memory import Buffer, View
from edgebat.formats.c.tables import Table, pad4
from edgebat.graph.model import (
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    IntGraph,
    LastStep,
    Node,
    Requant,
)

Conv = Conv1D | DepthwiseConv1D


@dataclass(frozen=True)
class Slide:
    """A call that slides over ``positions`` and can be cut between them: the structure at ``label``, of the type
    ``<kernel>_t``; bytes of input and output, and multiply-accumulates, from one position to the next."""

    label: str
    positions: int
    input_step: int
    output_step: int
    work: int


@dataclass
class Call:
    """One statement of the generated function; ``{0}``, ``{1}``, ... are addresses of ``views``, known after layout."""

    kernel: str
    text: str
    views: tuple[View, ...] = ()
    slide: Slide | None = None

    def statement(self) -> str:
        return self.text.format(*(view.address() for view in self.views))

    def pieces(self, most: int) -> list[str]:
        """The same work as statements of at most ``most`` multiply-accumulates each, where it can be cut."""
        slide = self.slide
        if slide is None or slide.positions * slide.work <= most:
            return [self.statement()]
        each = max(most // slide.work, 1)
        found = []
        for first in range(0, slide.positions, each):
            count = min(each, slide.positions - first)
            x, y = (
                replace(view, start=view.start + first * step).address()
                for view, step in zip(self.views, (slide.input_step, slide.output_step), strict=True)
            )
            part = f"part_{self.kernel.removeprefix('edgebat_')}"
            found.append(f"{part} = {slide.label}; {part}.positions = {count}; {self.kernel}(&{part}, {x}, {y});")
        return found


@dataclass
class Placement:
    """Everything the generator prints: tables, calls in executing order, buffers to be placed.

    ``mode`` is one of ``c99.MODES``. ``labels`` are the C names of nodes.
    """

    graph: IntGraph
    mode: str = "balanced"
    tables: list[Table] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.consumers: dict[str, list[int]] = {name: [] for name in self.graph.tensors}
        for index, node in enumerate(self.graph.nodes):
            for name in node.inputs:
                self.consumers[name].append(index)

    def label(self, node: Node) -> str:
        """A C identifier for ``node``, unique within the model."""
        if node.name not in self.labels:
            base = f"layer_{re.sub(r'[^A-Za-z0-9_]', '_', node.name)}"
            label, count = base, 2
            while label in self.labels.values():
                label, count = f"{base}_{count}", count + 1
            self.labels[node.name] = label
        return self.labels[node.name]

    def call(self, kernel: str, text: str, *views: View, slide: Slide | None = None) -> None:
        """Add a statement that calls ``kernel``, a file of ``firmware_stubs/src``."""
        self.calls.append(Call(kernel, text, views, slide))

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
        pads = [n.padding for n in (self.graph.nodes[i] for i in self.consumers[tensor]) if isinstance(n, Conv)]
        return max((p[0] for p in pads), default=0), max((p[1] for p in pads), default=0)

    def new_buffer(self, size: int, index: int) -> View:
        """Working memory of one node."""
        buffer = Buffer(size, index, index)
        self.buffers.append(buffer)
        return View(buffer, 0, 1, size, size)

    def new_view(self, tensor: str, index: int, *, spare_rows: int = 0, like: View | None = None) -> View:
        """Memory for the output ``tensor`` of node ``index``; the rows of zero point around it are filled after it."""
        shape = self.graph.tensors[tensor].shape
        rows, width = (like.rows, like.width) if like else (1, shape[0]) if len(shape) == 1 else shape
        left, right = self.padding(tensor)
        stride = pad4(width)
        size = (left + rows + max(right, spare_rows)) * stride
        buffer = Buffer(size, index, self.last_use(tensor, index))
        self.buffers.append(buffer)
        view = View(buffer, left * stride, rows, width, stride)
        self.views[tensor] = view
        return view

    def finish(self, tensor: str, requant: Requant | None = None) -> None:
        """What follows the kernel that wrote ``tensor``: a narrower fused activation, rows of zero point around it."""
        view = self.views[tensor]
        if requant is not None and (requant.minimum, requant.maximum) != (-128, 127):
            text = f"edgebat_clamp({{0}}, {view.bytes}, {requant.minimum}, {requant.maximum});"
            self.call("edgebat_clamp", text, view)
        left, right = self.padding(tensor)
        zero = self.graph.tensors[tensor].zero_point
        for rows, start in ((left, view.start - left * view.stride), (right, view.start + view.bytes)):
            if rows:
                piece = View(view.buffer, start, rows, view.width, view.stride)
                self.call("edgebat_fill", f"edgebat_fill({{0}}, {rows * view.stride}, {zero});", piece)

    def overlap(self, source: View, out: View, produced: int, consumed: int) -> None:
        """Let ``out`` take the place of ``source`` as a row-wise kernel uses it up.

        produced, consumed: bytes written and no longer needed per output row; row t may be written up to where row
        t begins to read. Called when the kernel writes each output row after its last read of all rows before.
        """
        first, second = source.buffer, out.buffer
        if first is None or second is None or first.last != second.first or produced > consumed or first.base != "s":
            return
        # out.start + (t + 2) * produced <= source.start + t * consumed: one row more, which pooling works in.
        gap = out.start + 2 * produced - source.start
        second.follows = (first, max(gap, 0))

    # -- inputs ----------------------------------------------------------------------------------------------------

    def stage_input(self) -> None:
        """Copy the caller's input into padded rows where a consumer needs it so; otherwise use it where it lies."""
        name, shape = self.graph.input, self.graph.input_tensor.shape
        rows, width = (1, shape[0]) if len(shape) == 1 else shape
        direct = View(None, 0, rows, width, width)
        self.views[name] = direct
        if all(self.reads_directly(self.graph.nodes[i], direct) for i in self.consumers[name]):
            return
        view = self.new_view(name, -1)
        text = f"edgebat_copy(input, {width}, {{0}}, {view.stride}, {rows}, {width});"
        self.call("edgebat_copy", text, view)
        self.finish(name)

    def reads_directly(self, node: Node, view: View) -> bool:
        """True when ``node`` can read the caller's input where it lies: rows without padding, at any address."""
        match node:
            case Flatten():
                # A vector may end anywhere for these consumers if groups of four do not run over its end.
                return all(
                    isinstance(self.graph.nodes[i], Dense) and view.bytes % 4 == 0 for i in self.consumers[node.output]
                )
            case Conv1D():
                return self.mode == "ram" or (view.width % 4 == 0 and node.padding == (0, 0))
            case DepthwiseConv1D():
                return view.width % 4 == 0 and node.padding == (0, 0)
            case Concat():
                return True
            case _:
                return view.width % 4 == 0

    def compact(self, view: View, index: int) -> View:
        """A copy of ``view`` as one row without padding inside."""
        copy = self.new_buffer(pad4(view.rows * view.width), index)
        text = f"edgebat_copy({{0}}, {view.stride}, {{1}}, {view.width}, {view.rows}, {view.width});"
        self.call("edgebat_copy", text, view, copy)
        return View(copy.buffer, 0, 1, view.rows * view.width, copy.stride)
