"""Quantization-aware training: a network whose forward pass *is* the integer graph.

Every layer runs twice: in float, which gives the gradient, and in the graph's integers, which give the value
(straight-through estimation, Bengio et al. 2013, arXiv:1308.3432). Integers are held in float64, where all products
and sums of a checked graph are exact, so ``QatStudent(x)`` equals the exported graph in every output, also through the
LSTM cell. Scales, zero points and requantization constants stay those of the post-training graph; weights and biases
learn to live with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgebat.arrays import Array
from edgebat.errors import GraphError
from edgebat.graph import arithmetic
from edgebat.graph.check import check_graph
from edgebat.graph.model import Conv1D, Dense, Flatten, Gru, IntGraph, LastStep, Lstm, MaxPool1D, Node, Requant, reach
from edgebat.graph.model import Tensor as GraphTensor
from edgebat.quantization.requant_search import proves_equal, visible_steps
from edgebat.runtime.lstm import sigmoid_table, tanh_table
from edgebat.students.base import Student
from edgebat.students.spec import Conv1DLayer, DenseLayer, GruLayer, Layer, LstmLayer


class Weights(Protocol):
    """A float layer of products: its weights as the node lays them out."""

    @property
    def weight(self) -> Array: ...


class QatStudent(Student):
    """A trained student continued under quantization; trains and predicts like any other student.

    Takes the float student and its post-training graph. Raises GraphError for operators without a trainable form.
    """

    offset: Tensor
    gain: Tensor

    def __init__(self, student: Student, graph: IntGraph) -> None:
        super().__init__({}, shape=student.shape, heads=student.heads, relative=student.relative)
        self.kind = student.kind
        for name in ("input_mean", "input_std", "output_mean", "output_std"):
            getattr(self, name).copy_(getattr(student, name))
        self.start = graph
        layers = student.float_spec().layers
        if len(layers) != len(graph.nodes):
            raise GraphError(f"graph {graph.name!r} has {len(graph.nodes)} nodes, the student {len(layers)} layers")
        self.steps = nn.ModuleList(_step(n, graph, layer) for n, layer in zip(graph.nodes, layers, strict=True))
        border = graph.meta["input"]
        self.register_buffer("offset", torch.tensor(border["offset"], dtype=torch.float64), persistent=False)
        self.register_buffer("gain", torch.tensor(border["multiplier"], dtype=torch.float64), persistent=False)
        self.shift = int(border["shift"])

    def forward(self, x: Tensor) -> Tensor:
        """Fractions of nominal [B, T, C] to normalized outputs [B, O], each a multiple of the head's scale."""
        ppm = torch.round(x.double() * 1e6)
        ppm = ppm - ppm[:, -1:, -1:] if self.relative else ppm
        source = self.start.input_tensor
        q = _shifted((ppm - self.offset) * self.gain, self.shift) + source.zero_point
        return self.integers(q.clamp(-128, 127))[0]

    def integers(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """int8 inputs (as float64) [B, T, C] to (normalized outputs with gradient, the head's integers as float64)."""
        source = self.start.input_tensor
        real = ((q - source.zero_point) * source.scale).to(self.input_mean.dtype)
        for step in self.steps:
            real, q = step(real, q)
        return real, q

    @property
    def last_layer(self) -> nn.Module:
        """The quantized head."""
        return self.steps[-1]

    def graph(self) -> IntGraph:
        """The integer graph of the weights as they are now; equal to ``forward`` output by output."""
        nodes = tuple(step.export() for step in self.steps)  # type: ignore[operator]
        report = dict(self.start.meta["quantization"], scheme="quantization-aware")
        fallbacks = {n.name: unproven_channels(n, self.start) for n in nodes if isinstance(n, Dense | Conv1D)}
        report["layers"] = [dict(r, fallbacks=fallbacks.get(r["name"], 0)) for r in report["layers"]]
        return check_graph(replace(self.start, nodes=nodes, meta={**self.start.meta, "quantization": report}))


def unproven_channels(node: Dense | Conv1D, graph: IntGraph) -> int:
    """Channels of an int8 layer whose requantization is not proven equal to float32 for what they can reach."""
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    if target.dtype != "int8":
        return 0
    r, bounds = node.requant, reach(node, source)
    failed = 0
    for c in range(len(node.weight)):
        steps = visible_steps(r.minimum - r.zero_point, r.maximum - r.zero_point, int(bounds[c]) * float(r.scale[c]))
        failed += not proves_equal(int(r.multiplier[c]), int(r.shift[c]), int(r.clamp[c]), r.scale[c], steps)
    return failed


def _shifted(product: Tensor, shift: Tensor | int) -> Tensor:
    """``(product + 2**(shift-1)) >> shift`` of exact integers in float64."""
    scale = torch.as_tensor(2.0 ** -torch.as_tensor(shift, dtype=torch.float64))
    return torch.floor(product * scale + 0.5)


def through(real: Tensor, integers: Tensor, tensor: GraphTensor) -> tuple[Tensor, Tensor]:
    """The value of ``integers`` with the gradient of ``real``; clipped values have none."""
    low, high = np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max
    bounded = real.clamp((low - tensor.zero_point) * tensor.scale, (high - tensor.zero_point) * tensor.scale)
    value = ((integers - tensor.zero_point) * tensor.scale).to(real.dtype)
    return bounded + (value - bounded).detach(), integers


def _rounded(weight: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Weights on their int8 grid (with gradient inside the grid) and the integers as float64."""
    limit = 127.0 * scale
    bounded = torch.maximum(torch.minimum(weight, limit), -limit)
    integers = torch.clamp(torch.round(weight.detach().double() / scale.double()), -127, 127)
    value = (integers * scale.double()).to(weight.dtype)
    return bounded + (value - bounded).detach(), integers


class Fixed(nn.Module):
    """A layer without weights: the same on both sides."""

    def __init__(self, node: Flatten | LastStep | MaxPool1D) -> None:
        super().__init__()
        self.node = node

    def forward(self, real: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        match self.node:
            case Flatten():
                return real.flatten(1), q.flatten(1)
            case LastStep():
                return real[:, -1], q[:, -1]
            case MaxPool1D(size=size, stride=stride):
                return tuple(functional.max_pool1d(v.mT, size, stride).mT for v in (real, q))  # type: ignore[return-value]

    def export(self) -> Node:
        return self.node


class Linear(nn.Module):
    """Dense layer or convolution, with fused ReLU, or the int16 head."""

    scale: Tensor
    step: Tensor
    k: Tensor
    n: Tensor
    limit: Tensor

    def __init__(self, node: Dense | Conv1D, graph: IntGraph, layer: Weights) -> None:
        super().__init__()
        self.node, self.source, self.target = node, graph.tensors[node.inputs[0]], graph.tensors[node.output]
        self.weight = nn.Parameter(torch.from_numpy(layer.weight.astype(np.float32)))
        step = self.source.scale * node.weight_scale.astype(np.float64)
        # Start from the corrected bias of the post-training graph, not from the float one.
        self.bias = nn.Parameter(torch.from_numpy((node.bias * step).astype(np.float32)))
        constants: dict[str, Any] = {
            "scale": torch.from_numpy(node.weight_scale.reshape(-1, *[1] * (node.weight.ndim - 1)).copy()),
            "step": torch.from_numpy(step),
            **_requant_constants(node.requant),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, real: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        weight, integers = _rounded(self.weight, self.scale)
        with torch.no_grad():
            acc = self._product(q - self.source.zero_point, integers) + torch.round(self.bias.double() / self.step)
            y = _shifted(torch.clamp(acc, -self.limit, self.limit) * self.k, self.n) + self.target.zero_point
            y = y.clamp(self.node.requant.minimum, self.node.requant.maximum)
        out = self._product(real, weight) + self.bias
        if self.node.requant.minimum == self.target.zero_point and self.target.dtype == "int8":
            out = torch.relu(out)
        return through(out, y, self.target)

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        if isinstance(self.node, Dense):
            return functional.linear(x, weight)
        padded = functional.pad(x.mT, self.node.padding)
        return functional.conv1d(padded, weight.mT, stride=self.node.stride, dilation=self.node.dilation).mT

    @torch.no_grad()
    def export(self) -> Node:
        weight = _rounded(self.weight, self.scale)[1].numpy().astype(np.int8)
        bias = torch.round(self.bias.double() / self.step).numpy().astype(np.int32)
        return replace(self.node, weight=weight, bias=bias)


def _requant_constants(requant: Requant) -> dict[str, Tensor]:
    if requant.kind != "shift":
        raise GraphError(f"requantization kind {requant.kind!r} cannot be trained; quantize the float student again")
    limit = np.where(requant.clamp > 0, requant.clamp, arithmetic.INT32_MAX)
    named = {"k": requant.multiplier, "n": requant.shift, "limit": limit}
    return {name: torch.from_numpy(value.astype(np.float64)) for name, value in named.items()}


class LstmCell(nn.Module):
    """The LSTM layer with TFLite Micro's integer cell."""

    scale_x: Tensor
    scale_h: Tensor
    step: Tensor
    factor_x: Tensor
    factor_h: Tensor
    exponent_x: Tensor
    exponent_h: Tensor
    sigmoid: Tensor
    tanh: Tensor
    tanh_cell: Tensor

    def __init__(self, node: Lstm, graph: IntGraph, layer: LstmLayer) -> None:
        super().__init__()
        self.node, self.source, self.target = node, graph.tensors[node.inputs[0]], graph.tensors[node.output]
        self.units = node.recurrent_weight.shape[-1]
        self.weight_input = nn.Parameter(torch.from_numpy(layer.weight_input.astype(np.float32)))
        self.weight_hidden = nn.Parameter(torch.from_numpy(layer.weight_hidden.astype(np.float32)))
        self.bias = nn.Parameter(torch.from_numpy(layer.bias.astype(np.float32)))

        def per_row(values: Any) -> Tensor:
            return torch.from_numpy(np.repeat(np.asarray(values, np.float64), self.units))

        for name, value in {
            "scale_x": per_row(node.input_scale).float()[:, None],
            "scale_h": per_row(node.recurrent_scale).float()[:, None],
            "step": per_row(node.input_scale.astype(np.float64) * self.source.scale),
            "factor_x": per_row(node.input_multiplier / 2.0**31),
            "factor_h": per_row(node.recurrent_multiplier / 2.0**31),
            "exponent_x": per_row(node.input_exponent),
            "exponent_h": per_row(node.recurrent_exponent),
            "sigmoid": torch.from_numpy(sigmoid_table()),
            "tanh": torch.from_numpy(tanh_table(0)),
            "tanh_cell": torch.from_numpy(tanh_table(node.cell_exponent + 12)),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, real: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        node, units = self.node, self.units
        wx, ix = _rounded(self.weight_input, self.scale_x)
        wh, ih = _rounded(self.weight_hidden, self.scale_h)
        cell_scale, hidden_scale = 2.0**node.cell_exponent, self.target.scale
        hidden = real.new_zeros(len(real), units)
        cell = real.new_zeros(len(real), units)
        with torch.no_grad():
            acc = functional.linear(q - self.source.zero_point, ix) + torch.round(self.bias.double() / self.step)
            products = _sat16(_double(acc, self.factor_x, self.exponent_x))
        q_hidden = torch.full_like(hidden, self.target.zero_point, dtype=torch.float64)
        q_cell = torch.zeros_like(q_hidden)
        outputs, integers = [], []
        for t in range(real.shape[1]):
            with torch.no_grad():
                acc = functional.linear(q_hidden - self.target.zero_point, ih)
                gates = _sat16(products[:, t] + _sat16(_double(acc, self.factor_h, self.exponent_h)))
                zi, zf, zg, zo = (gates[:, k * units : (k + 1) * units].long() for k in range(4))
                kept = _double(self.sigmoid[zf] * q_cell, 0.5, -14)
                added = _double(self.sigmoid[zi] * self.tanh[zg], 0.5, -29 - node.cell_exponent)
                q_cell = _sat16(_sat16(kept) + _sat16(added))
                product = self.sigmoid[zo] * self.tanh_cell[q_cell.long()]
                q_hidden = _double(product, node.hidden_multiplier / 2.0**31, node.hidden_exponent)
                q_hidden = (q_hidden + self.target.zero_point).clamp(-128, 127)
            i, f, g, o = torch.chunk(functional.linear(real[:, t], wx, self.bias) + functional.linear(hidden, wh), 4, 1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            cell = cell + ((q_cell * cell_scale).to(cell.dtype) - cell).detach()
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            value = ((q_hidden - self.target.zero_point) * hidden_scale).to(hidden.dtype)
            hidden = hidden + (value - hidden).detach()
            outputs.append(hidden)
            integers.append(q_hidden)
        return torch.stack(outputs, 1), torch.stack(integers, 1)

    @torch.no_grad()
    def export(self) -> Node:
        wx, wh = _rounded(self.weight_input, self.scale_x)[1], _rounded(self.weight_hidden, self.scale_h)[1]
        bias = torch.round(self.bias.double() / self.step)
        shape = (4, self.units, -1)
        return replace(
            self.node,
            input_weight=wx.numpy().astype(np.int8).reshape(shape),
            recurrent_weight=wh.numpy().astype(np.int8).reshape(shape),
            bias=bias.numpy().astype(np.int32).reshape(4, self.units),
        )


class GruCell(nn.Module):
    """The GRU layer with its int16 state."""

    scale_x: Tensor
    scale_h: Tensor
    step_x: Tensor
    step_h: Tensor
    k_x: Tensor
    k_h: Tensor
    n_x: Tensor
    n_h: Tensor
    sigmoid: Tensor
    tanh: Tensor

    def __init__(self, node: Gru, graph: IntGraph, layer: GruLayer) -> None:
        super().__init__()
        self.node, self.source, self.target = node, graph.tensors[node.inputs[0]], graph.tensors[node.output]
        self.units = node.recurrent_weight.shape[-1]
        self.weight_input = nn.Parameter(torch.from_numpy(layer.weight_input.astype(np.float32)))
        self.weight_hidden = nn.Parameter(torch.from_numpy(layer.weight_hidden.astype(np.float32)))
        self.bias = nn.Parameter(torch.from_numpy(layer.bias.astype(np.float32)))
        self.bias_hidden = nn.Parameter(torch.from_numpy(layer.bias_hidden.astype(np.float32)), node.reset_after)

        def per_row(values: Any) -> Tensor:
            return torch.from_numpy(np.repeat(np.asarray(values, np.float64), self.units))

        for name, value in {
            "scale_x": per_row(node.input_scale).float()[:, None],
            "scale_h": per_row(node.recurrent_scale).float()[:, None],
            "step_x": per_row(node.input_scale.astype(np.float64) * self.source.scale),
            "step_h": per_row(node.recurrent_scale.astype(np.float64) * self.target.scale)[2 * self.units :],
            "k_x": per_row(node.input_factor),
            "k_h": per_row(node.recurrent_factor),
            "n_x": per_row(node.input_shift),
            "n_h": per_row(node.recurrent_shift),
            "sigmoid": torch.from_numpy(sigmoid_table()),
            "tanh": torch.from_numpy(tanh_table(0)),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def _products(self, acc: Tensor, rows: slice) -> Tensor:
        return _sat16(_shifted(acc * self.k_h[rows], self.n_h[rows]))

    def _next(self, products: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The integer state [B, H] after one step, as `edgebat.runtime.gru` computes it."""
        gates, new = slice(2 * self.units), slice(2 * self.units, None)
        before = _byte(state)
        z = _sat16(products[:, gates] + self._products(functional.linear(before, weight[gates]), gates)).long()
        reset, update = self.sigmoid[z[:, : self.units]], self.sigmoid[z[:, self.units :]]
        if self.node.reset_after:
            part = _double(reset * self._products(functional.linear(before, weight[new], bias), new), 0.5, -14)
        else:
            kept = _double(reset * state, 0.5, -14)
            part = self._products(functional.linear(_byte(kept), weight[new]), new)
        candidate = self.tanh[_sat16(products[:, new] + part).long()]
        left = candidate - _double(update * candidate, 0.5, -14)
        return _sat16(left + _double(update * state, 0.5, -14))

    def forward(self, real: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        wx, ix = _rounded(self.weight_input, self.scale_x)
        wh, ih = _rounded(self.weight_hidden, self.scale_h)
        two = 2 * self.units
        state = real.new_zeros(len(real), self.units)
        q_state = state.double()
        with torch.no_grad():
            acc = functional.linear(q - self.source.zero_point, ix) + torch.round(self.bias.double() / self.step_x)
            products = _sat16(_shifted(acc * self.k_x, self.n_x))
            bias = torch.round(self.bias_hidden.double() / self.step_h)
        outputs: list[Tensor] = []
        integers: list[Tensor] = []
        for t in range(real.shape[1]):
            with torch.no_grad():
                q_state = self._next(products[:, t], q_state, ih, bias)
                q_output = _byte(q_state)
            # What the recurrent products read is the state's upper byte: the value of that, the gradient of the state.
            seen = state if t == 0 else outputs[-1]
            x = functional.linear(real[:, t], wx, self.bias)
            reset, update = torch.sigmoid(x[:, :two] + functional.linear(seen, wh[:two])).chunk(2, 1)
            if self.node.reset_after:
                part = reset * functional.linear(seen, wh[two:], self.bias_hidden)
            else:
                part = functional.linear(reset * seen, wh[two:])
            new = torch.tanh(x[:, two:] + part)
            state = new + update * (state - new)
            state = state + ((q_state * 2.0**-15).to(state.dtype) - state).detach()
            outputs.append(state + ((q_output * self.target.scale).to(state.dtype) - state).detach())
            integers.append(q_output)
        return torch.stack(outputs, 1), torch.stack(integers, 1)

    @torch.no_grad()
    def export(self) -> Node:
        wx, wh = _rounded(self.weight_input, self.scale_x)[1], _rounded(self.weight_hidden, self.scale_h)[1]
        shape = (3, self.units, -1)
        return replace(
            self.node,
            input_weight=wx.numpy().astype(np.int8).reshape(shape),
            recurrent_weight=wh.numpy().astype(np.int8).reshape(shape),
            bias=torch.round(self.bias.double() / self.step_x).numpy().astype(np.int32).reshape(3, self.units),
            recurrent_bias=torch.round(self.bias_hidden.double() / self.step_h).numpy().astype(np.int32),
        )


def _sat16(x: Tensor) -> Tensor:
    return x.clamp(-32768, 32767)


def _byte(state: Tensor) -> Tensor:
    """The output of a GRU, its state's upper byte."""
    return _double(state, 0.5, -7).clamp(max=127)


def _double(x: Tensor, factor: Tensor | float, exponent: Tensor | int) -> Tensor:
    """Double rounding (docs/quantization-spec.md, section 5); factor = Q31 multiplier / 2**31, few bits, so exact."""
    e = torch.as_tensor(exponent, dtype=torch.float64)
    high = torch.floor(x * 2.0 ** e.clamp(min=0) * factor + 0.5)
    return torch.sign(high) * torch.floor(high.abs() * 2.0 ** e.clamp(max=0) + 0.5)


def _step(node: Node, graph: IntGraph, layer: Layer) -> nn.Module:
    match node, layer:
        case (Dense() | Conv1D(), DenseLayer() | Conv1DLayer()):
            return Linear(node, graph, layer)
        case (Lstm(), LstmLayer()):
            return LstmCell(node, graph, layer)
        case (Gru(), GruLayer()):
            return GruCell(node, graph, layer)
        case (Flatten() | LastStep() | MaxPool1D(), _):
            return Fixed(node)
        case _:
            raise GraphError(f"node {node.name!r} ({node.op}) has no trainable form")
