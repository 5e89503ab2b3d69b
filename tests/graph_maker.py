"""A small integer graph that grows layer by layer, built directly from integers; no training, seeded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.formats.roundings.softmax import micro_table
from edgebat.graph import (
    Add,
    AveragePool1D,
    ClippedLstm,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    FloatPool1D,
    Gru,
    IntGraph,
    LastStep,
    Lstm,
    Lut,
    MaxPool1D,
    MeanPool1D,
    Mul,
    Node,
    Pad1D,
    Requant,
    Reverse,
    Softmax,
    Take,
    Tensor,
    check_graph,
)
from edgebat.graph.arithmetic import quantize_multiplier
from edgebat.networks.products import product_requant
from edgebat.quantization.requant_search import (
    choose_head_scale,
    choose_power_scale,
    choose_scale,
)

META = {
    "task": {"name": "health"},
    "input": {"unit": "ppm_of_nominal", "offset": [10000] * 4, "multiplier": [7] * 4, "shift": 9},
    "outputs": [{"name": "soh", "index": 0, "size": 1, "unit": "cpct", "multiplier": 500, "shift": 12, "offset": 9000}],
}


class GraphMaker:
    """Appends layers with random weights to a growing graph; ``self.current`` is the last tensor."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], scale: float, zero_point: int) -> None:
        self.rng = rng
        self.current = Tensor("input", shape, "int8", float(np.float32(scale)), zero_point)
        self.tensors = {"input": self.current}
        self.nodes: list[Node] = []

    def graph(self, name: str) -> IntGraph:
        return check_graph(IntGraph(name, self.tensors, tuple(self.nodes), "input", self.current.name, META))

    def label(self, op: str) -> str:
        return f"{len(self.nodes)}_{op}"

    def append(self, node: Node, target: Tensor) -> Tensor:
        self.tensors[target.name] = target
        self.nodes.append(node)
        self.current = target
        return target

    def target(self, label: str, shape: tuple[int, ...], scale: float | None = None) -> Tensor:
        scale = float(np.float32(scale or self.rng.uniform(0.01, 0.1)))
        return Tensor(label, shape, "int8", scale, int(self.rng.integers(-128, 128)))

    def linear(self, weight: np.ndarray, target: Tensor, fan_in: int, relu: bool) -> dict[str, Any]:
        """Bias, scales and a proven requantization for ``weight`` whose output channels are on axis 0."""
        source, outs = self.current, len(weight)
        low, high = (target.zero_point, 127) if relu else (-128, 127)
        bias = self.rng.integers(-3000, 3000, outs).astype(np.int32)
        # Typical sums of products, so that outputs fill their range and saturate now and then.
        spread = np.sqrt(fan_in) * 74 * 74
        natural = self.rng.uniform(40, 120, outs) / spread * target.scale / source.scale
        choices = [
            choose_scale(float(n), source.scale, target.scale, low - target.zero_point, high - target.zero_point)
            for n in natural
        ]
        assert all(choice.exact for choice in choices)
        requant = Requant(
            "shift", target.zero_point, low, high,
            *(np.array([getattr(c, key) for c in choices], np.int32) for key in ("multiplier", "shift", "clamp")),
            np.array([c.real for c in choices], np.float32),
        )  # fmt: skip
        scales = np.array([c.weight_scale for c in choices], np.float32)
        return {"weight": weight, "bias": bias, "weight_scale": scales, "requant": requant}

    def weight(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def dense(self, outs: int, relu: bool = False, scale: float | None = None) -> Tensor:
        label = self.label("dense")
        ins = self.current.shape[-1]
        target = self.target(label, (*self.current.shape[:-1], outs), scale)
        parts = self.linear(self.weight(outs, ins), target, ins, relu)
        return self.append(Dense(label, (self.current.name,), label, **parts), target)

    def conv(
        self, outs: int, kernel: int, stride: int = 1, dilation: int = 1, padding: tuple[int, int] = (0, 0),
        relu: bool = False, depthwise: bool = False,
    ) -> Tensor:  # fmt: skip
        length, channels = self.current.shape
        label = self.label("conv")
        positions = (length + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1
        target = self.target(label, (positions, channels if depthwise else outs))
        more = {"stride": stride, "dilation": dilation, "padding": padding}
        if depthwise:
            parts = self.linear(self.weight(channels, kernel), target, kernel, relu)
            parts["weight"] = np.ascontiguousarray(parts["weight"].T)
            return self.append(DepthwiseConv1D(label, (self.current.name,), label, **parts, **more), target)
        parts = self.linear(self.weight(outs, kernel, channels), target, kernel * channels, relu)
        return self.append(Conv1D(label, (self.current.name,), label, **parts, **more), target)

    def max_pool(self, size: int, stride: int) -> Tensor:
        label, (length, channels) = self.label("max"), self.current.shape
        target = Tensor(
            label, ((length - size) // stride + 1, channels), "int8", self.current.scale, self.current.zero_point
        )
        return self.append(MaxPool1D(label, (self.current.name,), label, size, stride), target)

    def average_pool(self, size: int, stride: int) -> Tensor:
        label, (length, channels) = self.label("average"), self.current.shape
        target = self.target(label, ((length - size) // stride + 1, channels), self.current.scale)
        for _ in range(100):
            choice = choose_scale(1.0 / size, self.current.scale, target.scale, -255, 255, 255 * size)
            if choice.exact:
                break
            target = self.target(label, target.shape, target.scale * 1.01)
        assert choice.exact
        requant = Requant(
            "shift", target.zero_point, -128, 127,
            *(np.array([v], np.int32) for v in (choice.multiplier, choice.shift, choice.clamp)),
            np.array([choice.real], np.float32),
        )  # fmt: skip
        return self.append(AveragePool1D(label, (self.current.name,), label, size, stride, requant), target)

    def reshaped(self, cls: type[Node], shape: tuple[int, ...]) -> Tensor:
        label = self.label(cls.op)
        target = Tensor(label, shape, "int8", self.current.scale, self.current.zero_point)
        return self.append(cls(label, (self.current.name,), label), target)

    def pad(self, left: int, right: int, value: int) -> Tensor:
        label, source = self.label("pad"), self.current
        target = replace(source, name=label, shape=(source.shape[0] + left + right, source.shape[1]))
        return self.append(Pad1D(label, (source.name,), label, (left, right), value), target)

    def mean_pool(self, size: int, stride: int) -> Tensor:
        """Padded as TFLite's SAME."""
        label, source = self.label("mean"), self.current
        positions = -(-source.shape[0] // stride)
        total = max((positions - 1) * stride + size - source.shape[0], 0)
        target = replace(source, name=label, shape=(positions, source.shape[1]))
        padding = (total // 2, total - total // 2)
        return self.append(MeanPool1D(label, (source.name,), label, size, stride, padding), target)

    def float_pool(self, size: int, stride: int, padding: tuple[int, int], count_padding: bool) -> Tensor:
        label, (length, channels) = self.label("float"), self.current.shape
        positions = (length + sum(padding) - size) // stride + 1
        target = self.target(label, (positions, channels), self.current.scale)
        node = FloatPool1D(label, (self.current.name,), label, size, stride, padding, count_padding, False)
        return self.append(node, target)

    def softmax(self) -> Tensor:
        label, source = self.label("softmax"), self.current
        target = replace(source, name=label, scale=2.0**-8, zero_point=-128)
        return self.append(Softmax(label, (source.name,), label, "tflm", micro_table(source.scale)), target)

    def flatten(self) -> Tensor:
        return self.reshaped(Flatten, (int(np.prod(self.current.shape)),))

    def last_step(self) -> Tensor:
        return self.reshaped(LastStep, self.current.shape[1:])

    def reverse(self) -> Tensor:
        return self.reshaped(Reverse, self.current.shape)

    def add(self, other: Tensor) -> Tensor:
        label, source = self.label("add"), self.current
        target = self.target(label, source.shape, (source.scale + other.scale) * 0.7)
        ratios = [np.float32(s.scale) / np.float32(target.scale) for s in (source, other)]
        shift = 20 - int(np.floor(np.log2(max(ratios))))
        multiplier = np.array([np.rint(float(r) * 2.0**shift) for r in ratios], np.int32)
        one, zero = np.ones(1, np.int32), np.zeros(1, np.int32)
        requant = Requant(
            "shift", target.zero_point, -128, 127, one, one * shift, zero, np.array([2.0**-shift], np.float32), True
        )
        return self.append(Add(label, (source.name, other.name), label, multiplier, requant), target)

    def mul(self, gate: Tensor) -> Tensor:
        """The current tensor times ``gate``, scaled so that the product is proven equal to float32."""
        label, source = self.label("mul"), self.current
        wide = source.scale * gate.scale * 65025.0
        wanted = self.target(label, source.shape, wide / self.rng.uniform(150, 400))
        requant, target, exact = product_requant((source, gate), wanted)
        assert exact
        return self.append(Mul(label, (source.name, gate.name), label, requant), target)

    def take(self, index: np.ndarray) -> Tensor:
        """Values at ``index``, an array of places of the output's shape."""
        label, source = self.label("take"), self.current
        target = replace(source, name=label, shape=index.shape)
        return self.append(Take(label, (source.name,), label, index.ravel().astype(np.int32)), target)

    def concat(self, other: Tensor) -> Tensor:
        label, source = self.label("concat"), self.current
        shape = (*source.shape[:-1], source.shape[-1] + other.shape[-1])
        target = Tensor(label, shape, "int8", source.scale, source.zero_point)
        return self.append(Concat(label, (source.name, other.name), label), target)

    def lut(self, function: str) -> Tensor:
        label, source = self.label(function), self.current
        real = (np.arange(-128, 128) - source.zero_point) * source.scale
        scale, zero_point, y = {
            "tanh": (2.0**-7, 0, np.tanh(real)),
            "sigmoid": (2.0**-8, -128, 1 / (1 + np.exp(-real))),
            "square": (2.0**-5, -128, real**2),
        }[function]
        table = np.clip(np.rint(y / scale) + zero_point, -128, 127).astype(np.int8)
        target = Tensor(label, source.shape, "int8", scale, zero_point)
        return self.append(Lut(label, (source.name,), label, function, table), target)

    def lstm(self, hidden: int, clip: int = 0) -> Tensor:
        label, source = self.label("lstm"), self.current
        target = Tensor(label, (source.shape[0], hidden), "int8", 2.0**-7, 0)
        packed = []
        for scale_in, fan_in in ((source.scale, source.shape[1]), (2.0**-7, hidden)):
            naturals = self.rng.uniform(0.5, 2.0, 4) / 127 / np.sqrt(fan_in)
            scales = np.array([choose_power_scale(n, scale_in * 4096, 10)[0] for n in naturals], np.float32)
            pairs = [quantize_multiplier(scale_in * float(s) * 4096) for s in scales]
            packed.append((scales, *(np.array(v, np.int32) for v in zip(*pairs, strict=True))))
        (sx, mx, ex), (sh, mh, eh) = packed
        node = Lstm(
            label, (source.name,), label, self.weight(4, hidden, source.shape[1]), self.weight(4, hidden, hidden),
            self.rng.integers(-3000, 3000, (4, hidden)).astype(np.int32), sx, sh, mx, ex, mh, eh,
            int(self.rng.integers(-13, -8)), *quantize_multiplier(2.0**-30 / 2.0**-7),
        )  # fmt: skip
        if clip:
            node = ClippedLstm(**vars(node), cell_clip=clip)
        return self.append(node, target)

    def gru(self, hidden: int, reset_after: bool = True) -> Tensor:
        label, source = self.label("gru"), self.current
        target = Tensor(label, (source.shape[0], hidden), "int8", 2.0**-7, 0)
        packed = []
        for scale_in, fan_in in ((source.scale, source.shape[1]), (2.0**-7, hidden)):
            naturals = self.rng.uniform(0.5, 2.0, 3) / 127 / np.sqrt(fan_in)
            found = zip(*(choose_head_scale(float(n), scale_in * 4096, 6) for n in naturals), strict=True)
            packed.append(
                [np.array(v, dtype) for v, dtype in zip(found, (np.float32, np.int32, np.int32), strict=True)]
            )
        (sx, kx, nx), (sh, kh, nh) = packed
        bias = self.rng.integers(-3000, 3000, (3, hidden)).astype(np.int32)
        own = self.rng.integers(-3000, 3000, hidden).astype(np.int32) * reset_after
        node = Gru(
            label, (source.name,), label, self.weight(3, hidden, source.shape[1]), self.weight(3, hidden, hidden), bias,
            sx, sh, kx, nx, kh, nh, own.astype(np.int32), reset_after,
        )  # fmt: skip
        return self.append(node, target)

    def head(self, outs: int) -> Tensor:
        label, source = self.label("head"), self.current
        ins = source.shape[0]
        weight = self.weight(outs, ins)
        bias = self.rng.integers(-3000, 3000, outs).astype(np.int32)
        reach = 255 * 127 * ins + 3000
        target = Tensor(label, (outs,), "int16", 2.0**-12, 0)
        # Some outputs of some inputs saturate.
        naturals = self.rng.uniform(1, 8, outs) * 8192 / (np.sqrt(ins) * 74 * 74) * target.scale / source.scale
        ratio = source.scale / target.scale
        scales, k, n = zip(*(choose_power_scale(float(v), ratio, 6) for v in naturals), strict=True)
        # TFLite Micro turns a multiplier a little below a power of two into 0x7FFF / 0x8000: stay above.
        scales = [
            s if float(s) * ratio >= a * 2.0**-b else np.nextafter(s, np.float32(1))
            for s, a, b in zip(scales, k, n, strict=True)
        ]
        requant = Requant(
            "shift", 0, -32768, 32767, np.array(k, np.int32), np.array(n, np.int32),
            np.full(outs, 1 << reach.bit_length(), np.int32),
            np.array([a * 2.0**-b for a, b in zip(k, n, strict=True)], np.float32),
        )  # fmt: skip
        node = Dense(label, (source.name,), label, weight, bias, np.array(scales, np.float32), requant)
        return self.append(node, target)
