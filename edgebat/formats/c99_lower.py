"""From the nodes of an integer graph to calls of C kernels, the tables they read and the memory they work in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from edgebat.errors import ModelFileError
from edgebat.formats import c99_tables as tables
from edgebat.formats.c99_lstm import lstm_state_bytes, lstm_structure, lstm_tables
from edgebat.formats.c99_memory import Buffer, View
from edgebat.formats.c99_requant import Rounding, lower_requant
from edgebat.formats.c99_tables import pad4
from edgebat.graph.model import (
    Add,
    AveragePool1D,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    IntGraph,
    LastStep,
    Lstm,
    Lut,
    MaxPool1D,
    Node,
    Requant,
)

IntArray = npt.NDArray[np.signedinteger]
Conv = Conv1D | DepthwiseConv1D


@dataclass
class Call:
    """One statement of the generated function; ``{0}``, ``{1}``, ... are addresses of ``views``, known after layout."""

    kernel: str
    text: str
    views: tuple[View, ...] = ()

    def statement(self) -> str:
        return self.text.format(*(view.address() for view in self.views))


@dataclass
class Lowering:
    """Everything the generator prints: definitions of tables, calls in executing order, buffers to be placed."""

    graph: IntGraph
    definitions: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    table_bytes: int = 0

    def __post_init__(self) -> None:
        self.consumers: dict[str, list[int]] = {name: [] for name in self.graph.tensors}
        for index, node in enumerate(self.graph.nodes):
            for name in node.inputs:
                self.consumers[name].append(index)
        self.labels: dict[str, str] = {}

    # -- names and memory ------------------------------------------------------------------------------------------

    def label(self, node: Node) -> str:
        """A C identifier for ``node``, unique within the model."""
        if node.name not in self.labels:
            base = f"layer_{re.sub(r'[^A-Za-z0-9_]', '_', node.name)}"
            label, count = base, 2
            while label in self.labels.values():
                label, count = f"{base}_{count}", count + 1
            self.labels[node.name] = label
        return self.labels[node.name]

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

    def fill_padding(self, tensor: str) -> None:
        """Statements that write the zero point into the rows around ``tensor``."""
        view, (left, right) = self.views[tensor], self.padding(tensor)
        zero = self.graph.tensors[tensor].zero_point
        for rows, start in ((left, 0), (right, view.start + view.bytes)):
            if rows:
                piece = View(view.buffer, start, rows, view.width, view.stride)
                self.call("edgebat_fill", f"edgebat_fill({{0}}, {rows * view.stride}, {zero});", piece)

    def call(self, kernel: str, text: str, *views: View) -> None:
        self.calls.append(Call(kernel, text, views))

    def define(self, text: str, size: int) -> None:
        """Add a definition to the model; ``size`` bytes of flash."""
        self.definitions.append(text)
        self.table_bytes += size

    # -- inputs ----------------------------------------------------------------------------------------------------

    def stage_input(self) -> None:
        """Copy the caller's input into padded rows where a consumer needs it so; otherwise use it where it lies."""
        name, shape = self.graph.input, self.graph.input_tensor.shape
        rows, width = (1, shape[0]) if len(shape) == 1 else shape
        direct = View(None, 0, rows, width, width)
        self.views[name] = direct
        if all(self._reads_directly(self.graph.nodes[i], direct) for i in self.consumers[name]):
            return
        view = self.new_view(name, -1)
        text = f"edgebat_copy(input, {width}, {{0}}, {view.stride}, {rows}, {width});"
        self.call("edgebat_copy", text, view)
        self.fill_padding(name)

    def _reads_directly(self, node: Node, view: View) -> bool:
        match node:
            case Flatten():
                # A vector may end anywhere for these consumers if groups of four do not run over its end.
                return all(
                    isinstance(self.graph.nodes[i], Dense) and view.bytes % 4 == 0 for i in self.consumers[node.output]
                )
            case Dense() | LastStep():
                return view.width % 4 == 0
            case Conv1D() | DepthwiseConv1D():
                return view.width % 4 == 0 and node.padding == (0, 0)
            case Lut() | Concat():
                return isinstance(node, Concat) or view.width % 4 == 0
            case _:
                return view.width % 4 == 0

    # -- layers ----------------------------------------------------------------------------------------------------

    def dense_constants(
        self, node: Dense | Conv1D, weight: IntArray, zero: int
    ) -> tuple[npt.NDArray[np.int64], Rounding]:
        """Biases with the input's zero point folded in, and rounding, for ``weight`` [O, I] as it is laid out."""
        where = f"node {node.name!r} ({node.op})"
        wide = weight.astype(np.int64)
        bias = node.bias.astype(np.int64) - zero * wide.sum(axis=1)
        reach = 128 * np.abs(wide).sum(axis=1) + np.abs(bias)
        rounding = lower_requant(where, node.requant, reach)
        tables.check_rows(where, wide, reach)
        return bias, rounding

    def dense_fields(self, label: str, weight: IntArray, bias: IntArray, rounding: Rounding) -> list[tuple[str, str]]:
        """Define the tables of ``weight`` [O, I] and return the fields of their ``edgebat_dense_t``."""
        blocks = tables.blocked(weight.astype(np.int64))
        self.define(tables.weight_table(f"{label}_weights", blocks, tables.row_titles(len(weight))), blocks.size)
        self.define(tables.channel_table(f"{label}_channels", bias, rounding), 32 * len(blocks))
        return [
            ("weights", f"{label}_weights"),
            ("channels", f"{label}_channels"),
            ("rounding", rounding.macro()),
            ("columns4", str(blocks.shape[1])),
            ("blocks", str(blocks.shape[0])),
        ]

    def int8_fields(self, node: Dense | Conv1D, label: str, weight: IntArray, zero: int) -> list[tuple[str, str]]:
        """Tables and fields of a layer with int8 outputs, whose multipliers must be below 0.5."""
        bias, rounding = self.dense_constants(node, weight, zero)
        if rounding.up:
            raise ModelFileError(
                f"node {node.name!r} ({node.op}): a requantization multiplier is {max(rounding.k)} * 2**-{rounding.n}; "
                "C needs less than 0.5. Use a coarser output scale"
            )
        return self.dense_fields(label, weight, bias, rounding)

    def clamp(self, requant: Requant, view: View) -> None:
        """A fused activation narrower than int8 needs a pass of its own."""
        if (requant.minimum, requant.maximum) != (-128, 127):
            text = f"edgebat_clamp({{0}}, {view.bytes}, {requant.minimum}, {requant.maximum});"
            self.call("edgebat_clamp", text, view)

    def dense(self, node: Dense, index: int) -> None:
        source, target = (self.graph.tensors[n] for n in (node.inputs[0], node.output))
        view, label = self.views[node.inputs[0]], self.label(node)
        weight: IntArray = node.weight
        flat = len(source.shape) == 1
        if flat and view.stride != view.width and view.rows > 1:
            spread = np.zeros((len(weight), view.rows, view.stride), np.int8)
            spread[:, :, : view.width] = weight.reshape(len(weight), view.rows, view.width)
            weight = spread.reshape(len(weight), -1)
        if target.dtype == "int16":
            self._head(node, label, weight, view, 1 if flat else view.rows)
            return
        fields = self.int8_fields(node, label, weight, source.zero_point)
        out = self.new_view(node.output, index)
        if flat:
            self.define(tables.structure("edgebat_dense_t", label, fields), 20)
            self.call("edgebat_dense", f"edgebat_dense(&{label}, {{0}}, {{1}});", view, out)
        else:
            self._sliding(label, fields, out.rows, view.stride, 1, view, out)
        self.clamp(node.requant, out)
        self.fill_padding(node.output)

    def _head(self, node: Dense, label: str, weight: IntArray, view: View, rows: int) -> None:
        """int16 results go straight into the caller's output: blocks of four rows, then the rest."""
        if node.output != self.graph.output:
            raise ModelFileError(f"node {node.name!r} (dense): an int16 output must be the output of the graph")
        bias, rounding = self.dense_constants(node, weight, self.graph.tensors[node.inputs[0]].zero_point)
        outs, whole = len(weight), len(weight) // 4 * 4
        parts = []
        if whole:
            first = replace(rounding, k=rounding.k[:whole])
            fields = self.dense_fields(label, weight[:whole], bias[:whole], first)
            self.define(tables.structure("edgebat_dense_t", label, fields), 20)
            parts.append(("edgebat_head", label, 0))
        if outs > whole:
            text, size = tables.rest_tables(f"{label}_rest", weight[whole:], bias[whole:], rounding, whole)
            self.define(text, size)
            fields = [
                ("weights", f"{label}_rest_weights"),
                ("channels", f"{label}_rest_channels"),
                ("rounding", rounding.macro()),
                ("columns4", str(pad4(weight.shape[1]) // 4)),
                ("outputs", str(outs - whole)),
            ]
            self.define(tables.structure("edgebat_rest_t", f"{label}_rest", fields), 20)
            parts.append(("edgebat_head_rest", f"{label}_rest", whole))
        for t in range(rows):
            row = View(view.buffer, view.start + t * view.stride, 1, view.width, view.stride)
            for kernel, name, first in parts:
                to = f"&output[{t * outs + first}]" if t * outs + first else "output"
                self.call(kernel, f"{kernel}(&{name}, {{0}}, {to});", row)
        if (node.requant.minimum, node.requant.maximum) != (-32768, 32767):
            limits = f"{node.requant.minimum}, {node.requant.maximum}"
            self.call("edgebat_clamp", f"edgebat_clamp16(output, {rows * outs}, {limits});")

    def _sliding(
        self, label: str, fields: list[tuple[str, str]], positions: int, step: int, pool: int, view: View, out: View
    ) -> None:
        inner = ", ".join(f".{k} = {v}" for k, v in fields)
        more = [("dense", "{" + inner + "}"), ("positions", str(positions)), ("step", str(step)), ("pool", str(pool))]
        self.define(tables.structure("edgebat_conv1d_t", label, more), 32)
        self.call("edgebat_conv1d", f"edgebat_conv1d(&{label}, {{0}}, {{1}});", view, out)

    def _window_start(self, node: Conv, view: View) -> View:
        """The view a convolution begins to read at: its own padding before the first value."""
        rows = view.rows + node.padding[0] + node.padding[1]
        return View(view.buffer, view.start - node.padding[0] * view.stride, rows, view.width, view.stride)

    def conv(self, node: Conv1D, index: int, pool: MaxPool1D | None) -> None:
        source = self.graph.tensors[node.inputs[0]]
        view, label = self.views[node.inputs[0]], self.label(node)
        outs, kernel, channels = node.weight.shape
        spread = np.zeros((outs, kernel, view.stride), np.int8)
        spread[:, :, :channels] = node.weight
        weight = spread.reshape(outs, -1)
        # Padding counts as the zero point, which the buffer around the tensor really holds: fold over all taps.
        fields = self.int8_fields(node, label, weight, source.zero_point)
        out = self.new_view(pool.output if pool else node.output, index, spare_rows=1 if pool and pool.size > 1 else 0)
        start = self._window_start(node, view)
        step = node.stride * view.stride
        if node.dilation == 1 or kernel == 1:
            self._sliding(label, fields, out.rows, step, pool.size if pool else 1, start, out)
        else:
            window = Buffer(weight.shape[1], index, index)
            self.buffers.append(window)
            self._dilated(label, fields, node, start, out, View(window, 0, 1, window.size, window.size))
        self.clamp(node.requant, out)
        self.fill_padding(pool.output if pool else node.output)

    def _dilated(
        self, label: str, fields: list[tuple[str, str]], node: Conv1D, view: View, out: View, window: View
    ) -> None:
        """Taps that do not lie side by side are gathered into a window first."""
        inner = ", ".join(f".{k} = {v}" for k, v in fields)
        more = [
            ("dense", "{" + inner + "}"),
            ("positions", str(out.rows)),
            ("step", str(node.stride * view.stride)),
            ("taps", str(node.weight.shape[1])),
            ("tap", str(node.dilation * view.stride)),
            ("row", str(view.stride)),
        ]
        self.define(tables.structure("edgebat_dilated_t", label, more), 36)
        text = f"edgebat_dilated(&{label}, {{0}}, {{1}}, {{2}});"
        self.call("edgebat_dilated", text, view, out, window)

    def depthwise(self, node: DepthwiseConv1D, index: int) -> None:
        source = self.graph.tensors[node.inputs[0]]
        view, label = self.views[node.inputs[0]], self.label(node)
        kernel, channels = node.weight.shape
        weight = node.weight.astype(np.int64)
        bias = node.bias.astype(np.int64) - source.zero_point * weight.sum(axis=0)
        reach = 128 * np.abs(weight).sum(axis=0) + np.abs(bias)
        rounding = lower_requant(f"node {node.name!r} (depthwise_conv1d)", node.requant, reach)
        row = pad4(channels)
        more = [0] * (row - channels)
        rows = [f"{int(v)}" for tap in weight for v in [*tap, *more]]
        self.define(tables.number_table("int8_t", f"{label}_weights", rows), row * kernel)
        self.define(tables.number_table("int32_t", f"{label}_bias", [f"{int(v)}" for v in [*bias, *more]]), 4 * row)
        k = [f"EDGEBAT_MULTIPLIER({rounding.n}, {rounding.up}, {v})" for v in [*rounding.k, *more]]
        self.define(tables.number_table("int32_t", f"{label}_multiplier", k), 4 * row)
        out = self.new_view(node.output, index)
        fields = [
            ("weights", f"{label}_weights"),
            ("bias", f"{label}_bias"),
            ("multiplier", f"{label}_multiplier"),
            ("rounding", rounding.macro()),
            ("positions", str(out.rows)),
            ("kernel", str(kernel)),
            ("tap", str(node.dilation * view.stride)),
            ("step", str(node.stride * view.stride)),
            ("row", str(row)),
        ]
        self.define(tables.structure("edgebat_depthwise_t", label, fields), 32)
        start = self._window_start(node, view)
        self.call("edgebat_depthwise", f"edgebat_depthwise(&{label}, {{0}}, {{1}});", start, out)
        self.clamp(node.requant, out)
        self.fill_padding(node.output)

    def max_pool(self, node: MaxPool1D, index: int) -> None:
        view, out = self.views[node.inputs[0]], self.new_view(node.output, index)
        numbers = f"{out.rows}, {node.size}, {node.stride}"
        text = f"edgebat_max_pool({{0}}, {{1}}, {view.stride}, {numbers});"
        self.call("edgebat_max_pool", text, view, out)
        self.fill_padding(node.output)

    def average_pool(self, node: AveragePool1D, index: int) -> None:
        view, label = self.views[node.inputs[0]], self.label(node)
        zero = self.graph.tensors[node.inputs[0]].zero_point
        reach = np.array([node.size * 255])
        rounding = lower_requant(f"node {node.name!r} (average_pool1d)", node.requant, reach)
        out = self.new_view(node.output, index)
        fields = [
            ("bias", str(-node.size * zero)),
            ("multiplier", f"EDGEBAT_MULTIPLIER({rounding.n}, {rounding.up}, {rounding.k[0]})"),
            ("rounding", rounding.macro()),
            ("positions", str(out.rows)),
            ("size", str(node.size)),
            ("stride", str(node.stride)),
            ("row", str(view.stride)),
        ]
        self.define(tables.structure("edgebat_average_t", label, fields), 24)
        self.call("edgebat_average", f"edgebat_average(&{label}, {{0}}, {{1}});", view, out)
        self.clamp(node.requant, out)
        self.fill_padding(node.output)

    def add(self, node: Add, index: int) -> None:
        label = self.label(node)
        a, b = (self._common(name, index) for name in node.inputs)
        if a.stride != b.stride or a.rows != b.rows:
            a, b = self._compact(a, index), self._compact(b, index)
        zeros = np.array([self.graph.tensors[n].zero_point for n in node.inputs], np.int64)
        factors = node.multiplier.astype(np.int64)
        bias = -int((zeros * factors).sum())
        reach = np.array([int(128 * np.abs(factors).sum()) + abs(bias)])
        rounding = lower_requant(f"node {node.name!r} (add)", node.requant, reach)
        out = self.new_view(node.output, index, like=a)
        fields = [
            ("factor_a", str(factors[0])),
            ("factor_b", str(factors[1])),
            ("bias", str(bias)),
            ("multiplier", f"EDGEBAT_MULTIPLIER({rounding.n}, {rounding.up}, {rounding.k[0]})"),
            ("rounding", rounding.macro()),
        ]
        self.define(tables.structure("edgebat_add_t", label, fields), 24)
        text = f"edgebat_add(&{label}, {{0}}, {{1}}, {{2}}, {out.bytes});"
        self.call("edgebat_add", text, a, b, out)
        self.clamp(node.requant, out)
        self.fill_padding(node.output)

    def _common(self, name: str, index: int) -> View:
        """The view of ``name`` with padded rows, which the caller's input may not have."""
        view = self.views[name]
        return view if view.stride % 4 == 0 else self._compact(view, index)

    def _compact(self, view: View, index: int) -> View:
        """A copy of ``view`` as one row without padding inside."""
        size = pad4(view.rows * view.width)
        buffer = Buffer(size, index, index)
        self.buffers.append(buffer)
        copy = View(buffer, 0, 1, view.rows * view.width, size)
        text = f"edgebat_copy({{0}}, {view.stride}, {{1}}, {view.width}, {view.rows}, {view.width});"
        self.call("edgebat_copy", text, view, copy)
        return copy

    def concat(self, node: Concat, index: int) -> None:
        out, column = self.new_view(node.output, index), 0
        for name in node.inputs:
            view, shape = self.views[name], self.graph.tensors[name].shape
            part = View(out.buffer, out.start + column, out.rows, out.width, out.stride)
            # A flattened tensor still has its rows: they follow one another in the joined vector.
            step = out.stride if len(shape) == 2 else view.width
            text = f"edgebat_copy({{0}}, {view.stride}, {{1}}, {step}, {view.rows}, {view.width});"
            self.call("edgebat_copy", text, view, part)
            column += shape[-1]
        self.fill_padding(node.output)

    def lut(self, node: Lut, index: int) -> None:
        view, label = self.views[node.inputs[0]], self.label(node)
        out = self.new_view(node.output, index, like=view)
        self.define(tables.number_table("int8_t", f"{label}_table", [f"{int(v)}" for v in node.table]), 256)
        if view.stride == out.stride:
            text = f"edgebat_lut({label}_table, {{0}}, {{1}}, {out.bytes});"
            self.call("edgebat_lut", text, view, out)
        else:
            for t in range(view.rows):
                pieces = [View(v.buffer, v.start + t * v.stride, 1, v.width, v.stride) for v in (view, out)]
                self.call("edgebat_lut", f"edgebat_lut({label}_table, {{0}}, {{1}}, {view.width});", *pieces)
        self.fill_padding(node.output)

    def last_step(self, node: LastStep) -> None:
        view = self.views[node.inputs[0]]
        start = view.start + (view.rows - 1) * view.stride
        self.views[node.output] = View(view.buffer, start, 1, view.width, view.stride)

    def lstm_layer(self, node: Lstm) -> str:
        """Tables and structure of an LSTM layer, whose name it returns; the caller arranges its steps."""
        source, target = self.graph.tensors[node.inputs[0]], self.graph.tensors[node.output]
        label = self.label(node)
        for text, size in lstm_tables(label, node, source, target):
            self.define(text, size)
        self.define(lstm_structure(label, node, source, target), 96)
        return label

    def lstm(self, node: Lstm, index: int) -> None:
        """An LSTM over a whole sequence in memory: for graphs that cannot be executed step by step."""
        label, view = self.lstm_layer(node), self.views[node.inputs[0]]
        units = node.bias.shape[1]
        work = Buffer(lstm_state_bytes(units), index, index)
        self.buffers.append(work)
        out = self.new_view(node.output, index)
        text = f"edgebat_lstm_sequence(&{label}, {{0}}, {view.stride}, {view.rows}, {{1}}, {{2}});"
        self.call("edgebat_lstm_sequence", text, view, out, View(work, 0, 1, work.size, work.size))
        self.fill_padding(node.output)

    # -- the whole graph -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Lower every node in executing order."""
        self.stage_input()
        fused: set[str] = set()
        for index, node in enumerate(self.graph.nodes):
            if node.name in fused:
                continue
            match node:
                case Dense():
                    self.dense(node, index)
                case Conv1D():
                    pool = self._pool_after(node)
                    fused |= {pool.name} if pool else set()
                    self.conv(node, index, pool)
                case DepthwiseConv1D():
                    self.depthwise(node, index)
                case MaxPool1D():
                    self.max_pool(node, index)
                case AveragePool1D():
                    self.average_pool(node, index)
                case Flatten():
                    self.views[node.output] = self.views[node.inputs[0]]
                case LastStep():
                    self.last_step(node)
                case Concat():
                    self.concat(node, index)
                case Add():
                    self.add(node, index)
                case Lut():
                    self.lut(node, index)
                case Lstm():
                    self.lstm(node, index)
                case _:
                    raise ModelFileError(f"node {node.name!r} ({node.op}): C has no kernel for this operator")
        self.copy_output()

    def _pool_after(self, node: Conv1D) -> MaxPool1D | None:
        """The maximum pooling that can be computed while convolving: sole consumer, windows side by side."""
        users = self.consumers[node.output]
        pool = self.graph.nodes[users[0]] if len(users) == 1 and node.output != self.graph.output else None
        dilated = node.dilation > 1 and node.weight.shape[1] > 1
        return pool if isinstance(pool, MaxPool1D) and pool.size == pool.stride and not dilated else None

    def copy_output(self) -> None:
        """int8 results are computed in scratch memory, in padded rows, and copied to the caller's output."""
        if self.graph.output_tensor.dtype == "int8":
            view = self.views[self.graph.output]
            text = f"edgebat_copy({{0}}, {view.stride}, output, {view.width}, {view.rows}, {view.width});"
            self.call("edgebat_copy", text, view)
