"""From the nodes of an integer graph to calls of C kernels, the tables they read and the memory they work in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgebat.arrays import IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.lstm import lstm_state_bytes, lstm_tables
from edgebat.formats.c.memory import View
from edgebat.formats.c.place import Call, Slide
from edgebat.formats.c.pointwise import Pointwise
from edgebat.formats.c.requant import Rounding, lower_requant
from edgebat.formats.c.tables import pad4
from edgebat.graph.model import (
    Add,
    AveragePool1D,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    LastStep,
    Lstm,
    Lut,
    MaxPool1D,
)

Fields = list[tuple[str, str]]


class Lowering(Pointwise):
    """Layers with weight matrices, and the walk over the graph."""

    # -- fully connected -------------------------------------------------------------------------------------------

    def constants(self, node: Dense | Conv1D, weight: IntArray, zero: int) -> tuple[npt.NDArray[np.int64], Rounding]:
        """Biases with the input's zero point folded in, and rounding, for ``weight`` [O, I] as it is laid out."""
        where = f"node {node.name!r} ({node.op})"
        wide = weight.astype(np.int64)
        bias = node.bias.astype(np.int64) - zero * wide.sum(axis=1)
        reach = 128 * np.abs(wide).sum(axis=1) + np.abs(bias)
        rounding = lower_requant(where, node.requant, reach)
        tables.check_rows(where, wide, reach)
        if rounding.up and self.graph.tensors[node.output].dtype == "int8" and self.mode != "flash":
            raise ModelFileError(
                f"{where}: a requantization multiplier is {max(rounding.k)} * 2**-{rounding.n}; C needs less than 0.5. "
                "Use a coarser output scale"
            )
        return bias, rounding

    def rows(
        self, label: str, weight: IntArray, bias: IntArray, rounding: Rounding, first: int = 0, height: int = 4,
        kind: str = "weights",
    ) -> Fields:  # fmt: skip
        """Tables of ``weight`` [O, I], rows ``first`` on of its layer, in blocks of ``height`` rows; fields for them."""
        blocks = tables.blocked(weight.astype(np.int64), height)
        titles = tables.row_titles(first, len(weight), height)
        k = rounding.k[first : first + len(weight)]
        self.tables.append(tables.weight_table(f"{label}_weights", blocks, titles, kind))
        self.tables.append(tables.channel_table(f"{label}_channels", bias, k, rounding, height))
        macro = rounding.fast_macro() if kind == "fast" else rounding.macro()
        return [
            ("weights", f"{label}_weights"),
            ("channels", f"{label}_channels"),
            ("rounding", macro),
            ("columns4", str(blocks.shape[1])),
        ]

    def int8_fields(self, node: Dense | Conv1D, label: str, weight: IntArray, zero: int) -> Fields:
        """Tables and fields of an ``edgebat_dense_t``, or of an ``edgebat_compact_t`` for the smallest flash."""
        bias, rounding = self.constants(node, weight, zero)
        if self.mode == "flash":
            fields = self.rows(label, weight, bias, rounding, height=2, kind="weights2")
            return [*fields, ("outputs", str(len(weight))), ("wide", "0")]
        fields = self.rows(label, weight, bias, rounding)
        return [*fields, ("blocks", str(pad4(len(weight)) // 4))]

    def dense(self, node: Dense, index: int) -> None:
        source, target = (self.graph.tensors[n] for n in (node.inputs[0], node.output))
        view, label = self.views[node.inputs[0]], self.label(node)
        weight: IntArray = node.weight
        flat = len(source.shape) == 1
        if flat and view.stride != view.width and view.rows > 1:
            weight = self._spread(weight.reshape(len(weight), view.rows, view.width), view.stride)
        if target.dtype == "int16":
            self._head(node, label, weight, view, 1 if flat else view.rows)
            return
        if flat and self.mode == "fast" and self._fast_dense(node, index, weight):
            return
        fields = self.int8_fields(node, label, weight, source.zero_point)
        out = self.new_view(node.output, index)
        if flat:
            kernel = "edgebat_compact" if self.mode == "flash" else "edgebat_dense"
            self.tables.append(tables.structure(f"{kernel}_t", label, fields, 20))
            ignored = "(void)" if self.mode == "flash" else ""
            self.call(kernel, f"{ignored}{kernel}(&{label}, {{0}}, {{1}});", view, out)
        else:
            self._sliding(label, fields, view.stride, 1, node.weight.size, view, out)
        self.finish(node.output, node.requant)

    @staticmethod
    def _spread(weight: IntArray, stride: int) -> IntArray:
        """Weights [O, rows, width] as [O, rows * stride]: zeros where rows of the input are padded."""
        spread = np.zeros((*weight.shape[:2], stride), np.int8)
        spread[:, :, : weight.shape[2]] = weight
        return spread.reshape(len(weight), -1)

    def _fast_dense(self, node: Dense, index: int, weight: IntArray) -> bool:
        """A layer for Cortex-M0+ at two bytes a weight; False when its multipliers need more than 16 bits."""
        view, label = self.views[node.inputs[0]], self.label(node)
        bias, rounding = self.constants(node, weight, self.graph.tensors[node.inputs[0]].zero_point)
        if not rounding.fast:
            return False
        fields = self.rows(label, weight, bias, rounding, kind="fast")
        fields.append(("blocks", str(pad4(len(weight)) // 4)))
        self.tables.append(tables.structure("edgebat_fast_dense_t", label, fields, 20))
        out, work = self.new_view(node.output, index), self.new_buffer(2 * pad4(weight.shape[1]), index)
        text = f"edgebat_fast_dense(&{label}, {{0}}, {{1}}, {{2}});"
        self.call("edgebat_fast_dense", text, view, out, work)
        self.finish(node.output, node.requant)
        return True

    def _head(self, node: Dense, label: str, weight: IntArray, view: View, rows: int) -> None:
        """int16 results go straight into the caller's output: blocks of four rows, then the rest in pairs."""
        if node.output != self.graph.output:
            raise ModelFileError(f"node {node.name!r} (dense): an int16 output must be the output of the graph")
        bias, rounding = self.constants(node, weight, self.graph.tensors[node.inputs[0]].zero_point)
        outs = len(weight)
        parts = []
        if self.mode == "flash":
            fields = self.rows(label, weight, bias, rounding, height=2, kind="weights2")
            fields += [("outputs", str(outs)), ("wide", "1")]
            self.tables.append(tables.structure("edgebat_compact_t", label, fields, 20))
            parts.append(("edgebat_compact", label, 0))
        else:
            whole = outs // 4 * 4
            if whole:
                fields = self.rows(label, weight[:whole], bias[:whole], rounding)
                fields.append(("blocks", str(whole // 4)))
                self.tables.append(tables.structure("edgebat_dense_t", label, fields, 20))
                parts.append(("edgebat_head", label, 0))
            if outs > whole:
                rest = f"{label}_rest"
                fields = self.rows(rest, weight[whole:], bias[whole:], rounding, whole, 2, "weights2")
                fields.append(("outputs", str(outs - whole)))
                self.tables.append(tables.structure("edgebat_rest_t", rest, fields, 20))
                parts.append(("edgebat_head_rest", rest, whole))
        for t in range(rows):
            row = View(view.buffer, view.start + t * view.stride, 1, view.width, view.stride)
            for kernel, name, first in parts:
                to = f"&output[{t * outs + first}]" if t * outs + first else "output"
                self.call(kernel, f"(void){kernel}(&{name}, {{0}}, {to});", row)
        if (node.requant.minimum, node.requant.maximum) != (-32768, 32767):
            limits = f"{node.requant.minimum}, {node.requant.maximum}"
            self.call("edgebat_clamp", f"edgebat_clamp16(output, {rows * outs}, {limits});")

    # -- convolution -----------------------------------------------------------------------------------------------

    def _sliding(self, label: str, fields: Fields, step: int, pool: int, work: int, view: View, out: View) -> None:
        """The same fully connected layer at positions ``step`` bytes apart, from where ``view`` starts."""
        kernel = "edgebat_compact_conv1d" if self.mode == "flash" else "edgebat_conv1d"
        more = [
            ("dense", tables.initializer(label, fields)),
            ("positions", str(out.rows)),
            ("step", str(step)),
            ("pool", str(pool)),
        ]
        if self.mode == "flash":
            more.append(("row", str(out.stride)))
        self.tables.append(tables.structure(f"{kernel}_t", label, more, 28))
        slide = Slide(label, out.rows, step * pool, out.stride, work * pool)
        self.call(kernel, f"{kernel}(&{label}, {{0}}, {{1}});", view, out, slide=slide)
        self.overlap(view, out, out.stride, step * pool)

    def conv(self, node: Conv1D, index: int, pool: MaxPool1D | None) -> None:
        source = self.graph.tensors[node.inputs[0]]
        view, label = self.views[node.inputs[0]], self.label(node)
        target, size = (pool.output, pool.size) if pool else (node.output, 1)
        gathered = view.buffer is None and (node.padding != (0, 0) or view.stride % 4 != 0)
        gathered = gathered or (node.dilation > 1 and node.weight.shape[1] > 1)
        # Padding counts as the zero point, which the buffer around the tensor really holds: fold over all taps.
        weight = self._spread(node.weight, pad4(view.width))
        if gathered:
            bias, rounding = self.constants(node, weight, source.zero_point)
            fields = [*self.rows(label, weight, bias, rounding), ("blocks", str(pad4(len(weight)) // 4))]
        else:
            fields = self.int8_fields(node, label, weight, source.zero_point)
        out = self.new_view(target, index, spare_rows=1 if size > 1 else 0)
        if gathered:
            self._gathered(node, index, fields, size, view, out)
        else:
            start = view.start - node.padding[0] * view.stride
            self._sliding(
                label, fields, node.stride * view.stride, size, weight.size,
                View(view.buffer, start, view.rows + sum(node.padding), view.width, view.stride), out,
            )  # fmt: skip
        self.finish(target, node.requant)

    def _gathered(self, node: Conv1D, index: int, fields: Fields, pool: int, view: View, out: View) -> None:
        """Taps that do not lie side by side, or rows without padding, are gathered into a window first."""
        label, taps = self.label(node), node.weight.shape[1]
        more = [
            ("dense", tables.initializer(label, fields)),
            ("positions", str(out.rows)),
            ("pool", str(pool)),
            ("stride", str(node.stride)),
            ("left", str(node.padding[0])),
            ("rows", str(view.rows)),
            ("width", str(view.width)),
            ("step", str(view.stride)),
            ("taps", str(taps)),
            ("dilation", str(node.dilation)),
            ("zero_point", str(self.graph.tensors[node.inputs[0]].zero_point)),
        ]
        self.tables.append(tables.structure("edgebat_gather_t", label, more, 40))
        window = self.new_buffer(taps * pad4(view.width), index)
        text = f"edgebat_gather(&{label}, {{0}}, {{1}}, {{2}});"
        self.call("edgebat_gather", text, view, out, window)

    # -- recurrent -------------------------------------------------------------------------------------------------

    def lstm_layer(self, node: Lstm) -> tuple[str, str]:
        """Tables and structure of an LSTM layer; returns its C name and the kernel of one step."""
        label = self.label(node)
        source, target = self.graph.tensors[node.inputs[0]], self.graph.tensors[node.output]
        made, kernel = lstm_tables(label, node, source, target)
        self.tables += made
        return label, kernel

    def lstm(self, node: Lstm, index: int) -> None:
        """An LSTM over a whole sequence in memory: for graphs that cannot be executed step by step."""
        (label, kernel), view = self.lstm_layer(node), self.views[node.inputs[0]]
        units = node.bias.shape[1]
        state = self.new_buffer(lstm_state_bytes(units), index)
        out = self.new_view(node.output, index)
        self.call("edgebat_fill", f"edgebat_fill({{0}}, {state.bytes}, 0);", state)
        self.reset_hidden(node, state)
        self.calls.append(Call(kernel, f"for (uint32_t t = 0; t < {view.rows}U; t++) {{{{"))
        self.call(kernel, f"    {kernel}_step(&{label}, {{0}} + t * {view.stride}U, {{1}});", view, state)
        copy = f"    edgebat_copy({{0}}, 0, {{1}} + t * {out.stride}U, 0, 1, {units});"
        self.call("edgebat_copy", copy, state, out)
        self.calls.append(Call(kernel, "}}"))
        self.finish(node.output)

    def reset_hidden(self, node: Lstm, state: View) -> None:
        """The hidden state of real value 0 is its zero point."""
        zero = self.graph.tensors[node.output].zero_point
        if zero:
            self.call("edgebat_fill", f"edgebat_fill({{0}}, {node.bias.shape[1]}, {zero});", state)

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
        return pool if isinstance(pool, MaxPool1D) and pool.size == pool.stride else None

    def copy_output(self) -> None:
        """int8 results are computed in scratch memory, in padded rows, and copied to the caller's output."""
        if self.graph.output_tensor.dtype == "int8":
            view = self.views[self.graph.output]
            text = f"edgebat_copy({{0}}, {view.stride}, output, {view.width}, {view.rows}, {view.width});"
            self.call("edgebat_copy", text, view)
