"""Random integer graphs of each family, to prove that all encodings of a graph compute the same numbers.

Widths, depths, scales, zero points and weights are drawn freely (also saturating ones); scales obey the rules of the
quantizer (edgebat/quantization), because those rules are what makes the encodings agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgebat.arrays import Float32, Int8
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph, Node, Tensor
from edgebat.quantization.gru import gru_node
from edgebat.quantization.ptq import HEAD_SCALE, HIDDEN_SCALE
from edgebat.quantization.requant_search import choose_gates, choose_layer
from edgebat.students.spec import GruLayer

FAMILIES = ("mlp", "cnn", "lstm", "gru", "bidirectional")


@dataclass
class _Draw:
    rng: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    fallbacks: int = 0
    channels: int = 0

    def tensor(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        return tensor


def random_graph(family: str, seed: int) -> IntGraph:
    """A random graph of ``family`` (of ``FAMILIES``); the same seed gives the same graph.

    meta["fallbacks"] counts the channels for which the scale search found no exact int32 requantization.
    """
    draw = _Draw(np.random.default_rng([FAMILIES.index(family), seed]))
    rng = draw.rng
    if family in _RECURRENT or family == "bidirectional":
        shape, scale = (int(rng.integers(2, 24)), int(rng.integers(1, 12))), 2.0 ** -int(rng.integers(3, 7))
        current = draw.tensor(Tensor("input", shape, "int8", scale, 0))
        for layer in range(int(rng.integers(1, 3)) if family in _RECURRENT else 0):
            current = _RECURRENT[family](draw, current, f"{family}{layer}", int(rng.integers(2, 33)))
        if family == "bidirectional":
            current = _both_directions(draw, current)
        current = _plain(draw, current, ops.LastStep("last", (current.name,), "last"), current.shape[1:])
    else:
        scale, zero = float(np.float32(10.0 ** rng.uniform(-3, 0))), int(rng.integers(-128, 128))
        shape = (int(rng.integers(6, 33)), int(rng.integers(1, 12)))
        current = draw.tensor(Tensor("input", shape, "int8", scale, zero))
        if family == "cnn":
            current = _convolutions(draw, current)
        flatten = ops.Flatten("flatten", (current.name,), "flatten")
        current = _plain(draw, current, flatten, (int(np.prod(current.shape)),))
        for layer in range(int(rng.integers(0, 3)) + (family == "mlp")):
            current = _linear(draw, current, f"dense{layer}", (int(rng.integers(1, 65)), current.shape[0]), {})
    current = _linear(draw, current, "head", (int(rng.integers(1, 52)), current.shape[0]), {}, head=True)
    meta = {"fallbacks": draw.fallbacks, "channels": draw.channels}
    return check_graph(
        IntGraph(f"random_{family}_{seed}", draw.tensors, tuple(draw.nodes), "input", current.name, meta)
    )


def _plain(draw: _Draw, source: Tensor, node: Node, shape: tuple[int, ...]) -> Tensor:
    draw.nodes.append(node)
    return draw.tensor(replace(source, name=node.output, shape=shape))


def _convolutions(draw: _Draw, current: Tensor) -> Tensor:
    rng = draw.rng
    for layer in range(int(rng.integers(1, 4))):
        length, channels = current.shape
        kernel = int(rng.integers(1, min(5, length) + 1))
        dilation = int(rng.integers(1, 3)) if 2 * (kernel - 1) + 1 <= length else 1
        reach = (kernel - 1) * dilation
        # valid, same (odd total goes right) or causal padding
        padding = [(0, 0), (reach // 2, reach - reach // 2), (reach, 0)][int(rng.integers(0, 3))]
        extra = {"stride": int(rng.integers(1, 3)), "dilation": dilation, "padding": padding}
        current = _linear(draw, current, f"conv{layer}", (int(rng.integers(1, 25)), kernel, channels), extra)
        if current.shape[0] >= 4 and rng.random() < 0.5:
            label, size = f"pool{layer}", int(rng.integers(2, 4))
            node = ops.MaxPool1D(label, (current.name,), label, size, size)
            current = _plain(draw, current, node, (current.shape[0] // size, current.shape[1]))
    return current


def _linear(
    draw: _Draw, source: Tensor, label: str, shape: tuple[int, ...], extra: dict[str, object], *, head: bool = False
) -> Tensor:
    rng = draw.rng
    outs, fan_in = shape[0], int(np.prod(shape[1:]))
    weight = np.clip(np.rint(rng.normal(0, rng.uniform(20, 60), shape)), -127, 127).astype(np.int8)
    widest = max(127 - source.zero_point, source.zero_point + 128)
    typical = 45.0 * 74.0 * np.sqrt(fan_in)  # standard deviation of the accumulator, roughly
    bias = rng.integers(-int(typical), int(typical) + 1, outs)
    # The output range covers between a fifth and three times what the accumulator does.
    spread = typical * 10.0 ** rng.uniform(-0.7, 0.5)
    relu = not head and rng.random() < 0.6
    zero = 0 if head else (-128 if relu and rng.random() < 0.7 else int(rng.integers(-128, 128)))
    out_scale = HEAD_SCALE if head else float(np.float32(10.0 ** rng.uniform(-3, 0)))
    natural = rng.uniform(0.3, 1.0, outs) * out_scale * (20000.0 if head else 60.0) / (spread * source.scale)
    low, high = (-32768, 32767) if head else (zero if relu else -128, 127)
    accumulated = np.abs(weight.reshape(outs, -1).astype(np.int64)).sum(axis=1) * widest + np.abs(bias) + 1
    target = Tensor(label, (), "int16" if head else "int8", out_scale, zero)
    scales, requant, choices = choose_layer(natural.tolist(), accumulated.tolist(), source, target, low, high)
    if not head:
        draw.channels += outs
        draw.fallbacks += sum(not choice.exact for choice in choices)
    bias32 = bias.astype(np.int32)
    if len(shape) == 2:
        draw.nodes.append(ops.Dense(label, (source.name,), label, weight, bias32, scales, requant))
        return draw.tensor(replace(target, shape=(outs,)))
    conv = ops.Conv1D(label, (source.name,), label, weight, bias32, scales, requant, **extra)  # type: ignore[arg-type]
    draw.nodes.append(conv)
    padded = source.shape[0] + sum(conv.padding)
    length = (padded - ((shape[1] - 1) * conv.dilation + 1)) // conv.stride + 1
    return draw.tensor(replace(target, shape=(length, outs)))


def _lstm(draw: _Draw, source: Tensor, label: str, hidden: int) -> Tensor:
    rng = draw.rng
    inputs = source.shape[1]

    def gates(columns: int, scale_in: float) -> tuple[Int8, Float32]:
        weight = np.clip(np.rint(rng.normal(0, 45, (4, hidden, columns))), -127, 127).astype(np.int8)
        natural = [10.0 ** rng.uniform(-1.0, 0.6) / (127.0 * np.sqrt(columns)) for _ in range(4)]
        return weight, choose_gates(natural, scale_in)

    wx, sx = gates(inputs, source.scale)
    wh, sh = gates(hidden, HIDDEN_SCALE)
    bias = np.rint(rng.normal(0, 1.0, (4, hidden)) / (source.scale * sx[:, None])).astype(np.int32)
    node = ops.Lstm(
        label, (source.name,), label, wx, wh, bias, sx, sh, cell_exponent=int(rng.integers(-14, -9)),
        **lstm_multipliers(source.scale, HIDDEN_SCALE, sx, sh),
    )  # fmt: skip
    draw.nodes.append(node)
    return draw.tensor(Tensor(label, (source.shape[0], hidden), "int8", HIDDEN_SCALE, 0))


def _gru(draw: _Draw, source: Tensor, label: str, units: int) -> Tensor:
    """Drawn float weights of either form, quantized as a student's: some gates saturate."""
    rng = draw.rng
    reset_after = bool(rng.random() < 0.6)

    def normal(*shape: int) -> Float32:
        return np.asarray(rng.normal(0, 10.0 ** rng.uniform(-0.7, 0.5) / np.sqrt(shape[-1]), shape), np.float32)

    own = normal(units) if reset_after else np.zeros(units, np.float32)
    layer = GruLayer(normal(3 * units, source.shape[1]), normal(3 * units, units), normal(3 * units), own, reset_after)
    draw.nodes.append(gru_node(layer, source, label))
    return draw.tensor(Tensor(label, (source.shape[0], units), "int8", HIDDEN_SCALE, 0))


def _both_directions(draw: _Draw, source: Tensor) -> Tensor:
    """A layer over the sequence, and one over it from its end, beside each other."""
    layer, units = list(_RECURRENT.values())[int(draw.rng.integers(2))], int(draw.rng.integers(2, 17))
    forwards = layer(draw, source, "forwards", units)
    turned = _plain(draw, source, ops.Reverse("turned", (source.name,), "turned"), source.shape)
    backwards = layer(draw, turned, "from_the_end", units)
    backwards = _plain(draw, backwards, ops.Reverse("backwards", (backwards.name,), "backwards"), backwards.shape)
    node = ops.Concat("both", (forwards.name, backwards.name), "both")
    return _plain(draw, forwards, node, (source.shape[0], 2 * units))


_RECURRENT = {"lstm": _lstm, "gru": _gru}
