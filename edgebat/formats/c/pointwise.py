"""Lowering of operators without weight matrices: pooling, sums, joins, tables, views."""

from __future__ import annotations

import numpy as np

from edgebat.formats.c import tables
from edgebat.formats.c.memory import View
from edgebat.formats.c.place import Placement
from edgebat.formats.c.requant import lower_requant
from edgebat.formats.c.tables import pad4
from edgebat.graph.model import Add, AveragePool1D, Concat, DepthwiseConv1D, LastStep, Lut, MaxPool1D


class Pointwise(Placement):
    """One method for each operator; ``index`` is the node's place in the graph."""

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
        numbers = [int(v) for tap in weight for v in [*tap, *more]]
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
        self.tables += [
            tables.byte_table(f"{label}_weights", numbers),
            tables.word_table(f"{label}_bias", [*(int(b) for b in bias), *more]),
            tables.word_table(f"{label}_multiplier", [*rounding.k, *more], rounding),
            tables.structure("edgebat_depthwise_t", label, fields, 32),
        ]
        start = View(view.buffer, view.start - node.padding[0] * view.stride, view.rows, view.width, view.stride)
        self.call("edgebat_depthwise", f"edgebat_depthwise(&{label}, {{0}}, {{1}});", start, out)
        self.overlap(start, out, out.stride, node.stride * view.stride)
        self.finish(node.output, node.requant)

    def max_pool(self, node: MaxPool1D, index: int) -> None:
        view, out = self.views[node.inputs[0]], self.new_view(node.output, index)
        numbers = f"{out.rows}, {node.size}, {node.stride}"
        text = f"edgebat_max_pool({{0}}, {{1}}, {view.stride}, {numbers});"
        self.call("edgebat_max_pool", text, view, out)
        self.overlap(view, out, out.stride, node.stride * view.stride)
        self.finish(node.output)

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
        self.tables.append(tables.structure("edgebat_average_t", label, fields, 24))
        self.call("edgebat_average", f"edgebat_average(&{label}, {{0}}, {{1}});", view, out)
        self.overlap(view, out, out.stride, node.stride * view.stride)
        self.finish(node.output, node.requant)

    def add(self, node: Add, index: int) -> None:
        label = self.label(node)
        a, b = (self.views[name] for name in node.inputs)
        if a.stride % 4 or a.stride != b.stride or a.rows != b.rows:
            a, b = self.compact(a, index), self.compact(b, index)
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
        self.tables.append(tables.structure("edgebat_add_t", label, fields, 24))
        text = f"edgebat_add(&{label}, {{0}}, {{1}}, {{2}}, {out.bytes});"
        self.call("edgebat_add", text, a, b, out)
        self.finish(node.output, node.requant)

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
        self.finish(node.output)

    def lut(self, node: Lut, index: int) -> None:
        view, label = self.views[node.inputs[0]], self.label(node)
        if view.stride % 4:
            view = self.compact(view, index)
        out = self.new_view(node.output, index, like=view)
        self.tables.append(tables.byte_table(f"{label}_table", [int(v) for v in node.table]))
        text = f"edgebat_lut({label}_table, {{0}}, {{1}}, {out.bytes});"
        self.call("edgebat_lut", text, view, out)
        self.finish(node.output)

    def last_step(self, node: LastStep) -> None:
        view = self.views[node.inputs[0]]
        start = view.start + (view.rows - 1) * view.stride
        self.views[node.output] = View(view.buffer, start, 1, view.width, view.stride)
