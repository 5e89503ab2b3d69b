"""Quantization-aware training of a user's network: its layers wrapped, so that the forward pass is the integer graph.

Dense layers, convolutions and LSTMs learn (`edgebat.quantization.qat`); the other layers give the graph's integers and pass
gradients on. Scales stay those of post-training quantization.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgebat.arrays import Array
from edgebat.errors import DataError
from edgebat.graph import model as ops
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node
from edgebat.networks import layers as kinds
from edgebat.networks.ptq import Quantized
from edgebat.quantization.qat import Fixed, GruCell, Linear, LstmCell, through, unproven_channels
from edgebat.runtime import quantize_input
from edgebat.runtime.kernels import build_kernel
from edgebat.runtime.padded_pool import counts
from edgebat.user_units import UserBorder, user_border_of

LEARNING_RATE = 1e-4
BATCH = 64
HELD_OUT = 0.2
"""Share of the windows, the last ones, that choose the epoch."""


class QatNetwork(nn.Module):
    """int8 windows [B, *shape] as float64 to outputs [B, O] in real units, with gradients; the values are the graph's."""

    offset: Tensor
    gain: Tensor

    def __init__(self, quantized: Quantized) -> None:
        super().__init__()
        self.start = graph = quantized.graph
        layers = {step.name: step.layer for step in quantized.network.steps}
        self.steps = nn.ModuleList(_step(node, graph, layers.get(node.name)) for node in graph.nodes)
        heads = graph.meta["outputs"]
        size = int(np.prod(graph.output_tensor.shape))
        offset, gain = np.zeros(size), np.zeros(size)
        for head in heads:
            columns = slice(head["index"], head["index"] + head["size"])
            offset[columns] = head["offset"] * head["scale"]
            gain[columns] = head["multiplier"] * 2.0 ** -head["shift"] * head["scale"]
        self.register_buffer("offset", torch.from_numpy(offset), persistent=False)
        self.register_buffer("gain", torch.from_numpy(gain), persistent=False)

    def forward(self, q: Tensor) -> Tensor:
        graph = self.start
        source, target = graph.input_tensor, graph.output_tensor
        values = {graph.input: (((q - source.zero_point) * source.scale).float(), q)}
        for node, step in zip(graph.nodes, self.steps, strict=True):
            pairs = [values[name] for name in node.inputs]
            values[node.output] = step(*pairs) if isinstance(step, _Other) else step(*pairs[0])
        real, _ = values[graph.output]
        steps = real.double().flatten(1) / target.scale + target.zero_point
        return steps * self.gain + self.offset

    def graph(self) -> IntGraph:
        """The integer graph of the weights as they are now."""
        nodes: tuple[Node, ...] = tuple(step.export() for step in self.steps)  # type: ignore[operator]
        report = dict(self.start.meta["quantization"], scheme="quantization-aware")
        unproven = {n.name: unproven_channels(n, self.start) for n in nodes if isinstance(n, ops.Dense | ops.Conv1D)}
        report["layers"] = [dict(r, fallbacks=unproven.get(r["name"], r["fallbacks"])) for r in report["layers"]]
        return check_graph(replace(self.start, nodes=nodes, meta={**self.start.meta, "quantization": report}))


class _Other(nn.Module):
    """A node that does not learn: its kernel's integers, and the gradient of ``float_form``."""

    def __init__(self, node: Node, graph: IntGraph, float_form: Callable[..., Tensor]) -> None:
        super().__init__()
        self.node, self.target, self.float_form = node, graph.tensors[node.output], float_form
        self.kernel = build_kernel(node, graph.tensors)

    def forward(self, *pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        integers = torch.from_numpy(np.ascontiguousarray(self.kernel(*(q.detach().numpy() for _, q in pairs))))
        return through(self.float_form(*(real for real, _ in pairs)), integers, self.target)

    def export(self) -> Node:
        return self.node


def _step(node: Node, graph: IntGraph, layer: kinds.Layer | None) -> nn.Module:
    match node, layer:
        case ops.Dense() | ops.Conv1D(), kinds.Dense() | kinds.Conv():
            return Linear(node, graph, layer)
        case ops.Lstm(), kinds.LstmLayer():
            return LstmCell(node, graph, layer)
        case ops.Gru(), kinds.GruLayer():
            return GruCell(node, graph, layer)
        case ops.Flatten() | ops.LastStep() | ops.MaxPool1D(), _:
            return Fixed(node)
    return _Other(node, graph, _float_form(node, graph))


def _float_form(node: Node, graph: IntGraph) -> Callable[..., Tensor]:
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    match node:
        case ops.Add():
            return lambda a, b: a + b
        case ops.Mul():
            by_channel = len(graph.tensors[node.inputs[1]].shape) < len(source.shape)
            return lambda a, b: a * (b[:, None] if by_channel else b)
        case ops.Take():
            index, shape = torch.from_numpy(node.index.astype(np.int64)), target.shape
            return lambda x: x.flatten(1)[:, index].reshape(len(x), *shape)
        case ops.Reverse():
            return lambda x: x.flip(1)
        case ops.Concat():
            return lambda *parts: torch.cat(parts, dim=-1)
        case ops.Pad1D(padding=padding, value=value):
            edge = (value - source.zero_point) * source.scale
            return lambda x: functional.pad(x.mT, padding, value=edge).mT
        case ops.MeanPool1D():
            count = torch.from_numpy(counts(node, source.shape[0]).astype(np.float32))
            pads, window, step = node.padding, node.size, node.stride
            return lambda x: (functional.avg_pool1d(functional.pad(x.mT, pads), window, step) * (window / count)).mT
        case ops.Softmax():
            return lambda x: torch.softmax(x, -1)
        case ops.AveragePool1D(size=size, stride=stride):
            return lambda x: functional.avg_pool1d(x.mT, size, stride).mT
        case ops.DepthwiseConv1D():
            weight = torch.from_numpy((node.weight * node.weight_scale).T[:, None].astype(np.float32).copy())
            bias = torch.from_numpy((node.bias * (source.scale * node.weight_scale)).astype(np.float32))
            return lambda x: (
                functional.conv1d(
                    functional.pad(x.mT, node.padding), weight, bias, node.stride, 0, node.dilation, len(weight)
                ).mT
            )
        case ops.Lut():
            table = (node.table.astype(np.float64) - target.zero_point) * target.scale
            slope = torch.from_numpy((np.gradient(table) / source.scale).astype(np.float32))
            values = torch.from_numpy(table.astype(np.float32))

            def lookup(x: Tensor) -> Tensor:
                index = (torch.round(x.detach() / source.scale) + source.zero_point + 128).clamp(0, 255).long()
                return values[index] + slope[index] * (x - x.detach())

            return lookup
    raise DataError(f"node {node.name!r} ({node.op}) has no trainable form; leave out quantization-aware training")


def train(quantized: Quantized, x: Array, labels: Array, epochs: int, seed: int = 0) -> tuple[IntGraph, str]:
    """The graph after ``epochs`` epochs on windows x [N, *shape] and labels [N, ...] in real units, and what came of it.

    The last fifth of the windows chooses the epoch; the graph of post-training quantization stays when none is better on
    them. Same inputs, same bytes. Raises DataError for labels that do not fit.
    """
    border = user_border_of(quantized.graph)
    assert border is not None
    outputs = int(np.prod(quantized.graph.output_tensor.shape))
    if len(labels) != len(x) or labels.size != len(x) * outputs:
        raise DataError(
            f"labels have the shape {list(labels.shape)} for {len(x)} calibration windows of {outputs} outputs"
        )
    wanted = torch.from_numpy(labels.reshape(len(x), outputs).astype(np.float64))
    q = torch.from_numpy(_quantized(border, x).astype(np.float64))
    held = max(int(len(x) * HELD_OUT), 1)
    if len(x) - held < 1:
        raise DataError("quantization-aware training needs two windows or more")
    spread = wanted.std(dim=0, correction=0).clamp(min=1e-12)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = QatNetwork(quantized)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)

    def loss(rows: Tensor) -> Tensor:
        found: Tensor = (((network(q[rows]) - wanted[rows]) / spread) ** 2).mean()
        return found

    def validation() -> float:
        with torch.no_grad():
            rows = torch.arange(len(x) - held, len(x))
            return float(np.mean([float(loss(part)) for part in torch.split(rows, 1024)]))

    first = best = validation()
    chosen, at = quantized.graph, 0
    for epoch in range(1, epochs + 1):
        for rows in torch.split(torch.randperm(len(x) - held, generator=generator), BATCH):
            optimizer.zero_grad()
            loss(rows).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        if (now := validation()) < best:
            best, chosen, at = now, network.graph(), epoch
    said = f"quantization-aware training: RMS of the last {held} windows {first**0.5:.4g} of their spread before, "
    return chosen, said + (f"{best**0.5:.4g} after epoch {at}" if at else "no epoch was better; the graph is as before")


def _quantized(border: UserBorder, x: Array) -> Array:
    scaled = np.rint(x / border.scales).astype(np.int64)
    return quantize_input(border.graph, scaled)
