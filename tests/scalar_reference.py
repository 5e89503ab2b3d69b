"""The integer graph once more, value by value in plain Python integers: the judge of the NumPy kernels.

Written from docs/quantization-spec.md, not from edgebat/runtime; nothing here is vectorized, folded or clever.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

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
    Pad1D,
    Requant,
    Reverse,
    Softmax,
    Take,
)


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def requantize(acc: int, requant: Requant, channel: int) -> int:
    k, n, limit = (int(a[channel]) for a in (requant.multiplier, requant.shift, requant.clamp))
    if requant.kind == "shift":
        scaled = math.floor(Fraction((clamp(acc, -limit, limit) if limit else acc) * k, 1 << n) + Fraction(1, 2))
    elif requant.kind == "float":
        scaled = int(np.rint(np.float32(acc) * requant.scale[channel]))
    else:
        scaled = double_rounding(acc, k, n)
    return clamp(scaled + requant.zero_point, requant.minimum, requant.maximum)


def half_away(value: Fraction) -> int:
    return math.floor(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def double_rounding(acc: int, multiplier: int, exponent: int) -> int:
    """Round acc * multiplier / 2**31 to nearest, ties upwards, then divide by 2**-exponent, ties away from zero."""
    high = math.floor(Fraction((acc << max(exponent, 0)) * multiplier, 1 << 31) + Fraction(1, 2))
    return half_away(Fraction(high, 1 << max(-exponent, 0)))


def run(graph: IntGraph, window: np.ndarray) -> list:
    values = {graph.input: window.astype(int).tolist()}
    for node in graph.nodes:
        x, zero = values[node.inputs[0]], graph.tensors[node.inputs[0]].zero_point
        match node:
            case Dense():
                rows = x if isinstance(x[0], list) else [x]
                out = [[dense_value(node, row, zero, o) for o in range(len(node.weight))] for row in rows]
                values[node.output] = out if isinstance(x[0], list) else out[0]
            case DepthwiseConv1D():
                values[node.output] = [
                    [depthwise_value(node, x, zero, t, c) for c in range(len(x[0]))]
                    for t in range(graph.tensors[node.output].shape[0])
                ]
            case AveragePool1D():
                values[node.output] = [
                    [requantize(sum(x[t * node.stride + j][c] - zero for j in range(node.size)), node.requant, 0)
                     for c in range(len(x[0]))] for t in range(graph.tensors[node.output].shape[0])
                ]  # fmt: skip
            case Add():
                other, zero_other = values[node.inputs[1]], graph.tensors[node.inputs[1]].zero_point
                first, second = (int(m) for m in node.multiplier)
                values[node.output] = [
                    [requantize((a - zero) * first + (b - zero_other) * second, node.requant, 0)
                     for a, b in zip(*rows, strict=True)] for rows in zip(x, other, strict=True)
                ]  # fmt: skip
            case Mul():
                values[node.output] = products(node, x, zero, values[node.inputs[1]], graph)
            case Take():
                flat = [v for row in x for v in row] if isinstance(x[0], list) else x
                moved = iter([flat[int(place)] for place in node.index])
                *rows, width = graph.tensors[node.output].shape
                listed = [[next(moved) for _ in range(width)] for _ in range(rows[0] if rows else 1)]
                values[node.output] = listed if rows else listed[0]
            case Concat():
                values[node.output] = [a + b for a, b in zip(x, values[node.inputs[1]], strict=True)]
            case Lut():
                values[node.output] = [[int(node.table[v + 128]) for v in row] for row in x]
            case Conv1D():
                values[node.output] = [
                    [conv_value(node, x, zero, t, o) for o in range(len(node.weight))]
                    for t in range(graph.tensors[node.output].shape[0])
                ]
            case MaxPool1D():
                values[node.output] = [
                    [max(x[t * node.stride + j][c] for j in range(node.size)) for c in range(len(x[0]))]
                    for t in range(graph.tensors[node.output].shape[0])
                ]
            case Pad1D():
                left, right = node.padding
                stripes = [[[node.value] * len(x[0])] * max(rows, 0) for rows in node.padding]
                values[node.output] = stripes[0] + x[max(-left, 0) : len(x) - max(-right, 0)] + stripes[1]
            case MeanPool1D():
                values[node.output] = [
                    [half_away(Fraction(sum(column), len(column))) for column in zip(*rows, strict=True)]
                    for rows in windows_of(node, x)
                ]
            case FloatPool1D():
                values[node.output] = [
                    [float_mean(node, column, graph) for column in zip(*rows, strict=True)]
                    for rows in windows_of(node, x)
                ]
            case Softmax():
                rows = x if isinstance(x[0], list) else [x]
                out = [micro_softmax(node, row) for row in rows]
                values[node.output] = out if isinstance(x[0], list) else out[0]
            case Flatten():
                values[node.output] = [v for row in x for v in row]
            case LastStep():
                values[node.output] = x[-1]
            case Reverse():
                values[node.output] = [x[len(x) - 1 - t] for t in range(len(x))]
            case Gru():
                values[node.output] = gru(node, x, zero)
            case ClippedLstm():
                values[node.output] = lstm(node, x, zero, graph.tensors[node.output].zero_point, node.cell_clip)
            case Lstm():
                values[node.output] = lstm(node, x, zero, graph.tensors[node.output].zero_point)
    return values[graph.output]


def products(node: Mul, x: list, zero: int, gate: list, graph: IntGraph) -> list:
    """Of vectors, or of rows with a gate of the same shape, one for every row, or one value a row."""
    other = graph.tensors[node.inputs[1]].zero_point

    def multiplied(row: list, factors: list) -> list:
        factors = factors * len(row) if len(factors) == 1 else factors
        return [requantize((a - zero) * (b - other), node.requant, 0) for a, b in zip(row, factors, strict=True)]

    if not isinstance(x[0], list):
        return multiplied(x, gate)
    gates = gate if isinstance(gate[0], list) else [gate] * len(x)
    return [multiplied(row, factors) for row, factors in zip(x, gates, strict=True)]


def windows_of(node: MeanPool1D | FloatPool1D, x: list) -> list:
    """Of each window the rows that there are."""
    first = range(-node.padding[0], len(x) + node.padding[1] - node.size + 1, node.stride)
    return [[x[t] for t in range(start, start + node.size) if 0 <= t < len(x)] for start in first]


def float_mean(node: FloatPool1D, column: tuple, graph: IntGraph) -> int:
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    total = np.float32(0)
    for v in column:
        total += np.float32(source.scale) * np.float32(v - source.zero_point)
    mean = total / np.float32(node.size if node.count_padding else len(column))
    return clamp(int(np.rint(mean / np.float32(target.scale) + np.float32(target.zero_point))), -128, 127)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def micro_softmax(node: Softmax, row: list) -> list:
    """TFLite Micro's: exponentials with 31 fractional bits, their sum with 19."""
    exponentials = [int(node.table[max(row) - v]) for v in row]
    total = sum(half_up(Fraction(e, 1 << 12)) for e in exponentials)
    leading = 32 - total.bit_length()
    half = (total << leading) >> 1
    x = 1515870810 + half_up(Fraction(half * -1010580540, 1 << 31))
    for _ in range(3):
        x += 4 * half_up(Fraction(x * ((1 << 29) - half_up(Fraction(half * x, 1 << 31))), 1 << 31))
    scale = min(2 * x, 2**31 - 1)
    return [
        clamp(half_up(Fraction(half_up(Fraction(scale * e, 1 << 31)), 1 << (35 - leading))) - 128, -128, 127)
        for e in exponentials
    ]


def conv_value(node: Conv1D, x: list, zero: int, t: int, o: int) -> int:
    acc = int(node.bias[o])
    for j in range(node.weight.shape[1]):
        position = t * node.stride + j * node.dilation - node.padding[0]
        if 0 <= position < len(x):  # padding counts as the zero point, which contributes nothing
            acc += sum((v - zero) * int(w) for v, w in zip(x[position], node.weight[o, j], strict=True))
    return requantize(acc, node.requant, o)


def dense_value(node: Dense, row: list, zero: int, o: int) -> int:
    acc = sum((v - zero) * int(w) for v, w in zip(row, node.weight[o], strict=True)) + int(node.bias[o])
    return requantize(acc, node.requant, o)


def depthwise_value(node: DepthwiseConv1D, x: list, zero: int, t: int, c: int) -> int:
    acc = int(node.bias[c])
    for j in range(node.weight.shape[0]):
        position = t * node.stride + j * node.dilation - node.padding[0]
        if 0 <= position < len(x):
            acc += (x[position][c] - zero) * int(node.weight[j, c])
    return requantize(acc, node.requant, c)


TABLE = [
    min(65535, round(65536 / (1 + math.exp(-i / 24))) + (i in {
        4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46,
        49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255}))
    for i in range(256)
]  # fmt: skip


def interpolate(position: int, bits: int) -> int:
    index, rest = position >> bits, position & ((1 << bits) - 1)
    return (TABLE[index] << bits) + rest * (TABLE[index + 1] - TABLE[index])


def sigmoid(x: int) -> int:
    d = 3 * x
    r = (0x7FFF << 10) if abs(d) >> 9 >= 255 else interpolate(abs(d), 9)
    return (r + 512) >> 10 if d >= 0 else ((1 << 25) - r + 511) >> 10


def tanh(x: int, left: int) -> int:
    d = 3 * x * 2**left if left >= 0 else math.floor(Fraction(3 * x, 2**-left) + Fraction(1, 2))
    r = (0xFFFF << 8) if abs(d) >> 8 >= 255 else interpolate(abs(d), 8)
    return (r - (1 << 23) + 128) >> 8 if d >= 0 else (-r + (1 << 23) + 127) >> 8


def sat16(value: int) -> int:
    return clamp(value, -32768, 32767)


def lstm(node: Lstm, x: list, zero: int, hidden_zero: int, limit: int = 32768) -> list:
    units = node.recurrent_weight.shape[-1]
    hidden, cell, sequence = [hidden_zero] * units, [0] * units, []
    for row in x:
        gates = [[0] * units for _ in range(4)]
        for g in range(4):
            for h in range(units):
                a = sum((v - zero) * int(w) for v, w in zip(row, node.input_weight[g, h], strict=True))
                b = sum((v - hidden_zero) * int(w) for v, w in zip(hidden, node.recurrent_weight[g, h], strict=True))
                a = double_rounding(
                    a + int(node.bias[g, h]), int(node.input_multiplier[g]), int(node.input_exponent[g])
                )
                b = double_rounding(b, int(node.recurrent_multiplier[g]), int(node.recurrent_exponent[g]))
                gates[g][h] = sat16(sat16(a) + sat16(b))
        for h in range(units):
            i, f, o = (sigmoid(gates[g][h]) for g in (0, 1, 3))
            kept = sat16(double_rounding(f * cell[h], 1 << 30, -14))
            added = sat16(double_rounding(i * tanh(gates[2][h], 0), 1 << 30, -29 - node.cell_exponent))
            cell[h] = clamp(sat16(kept + added), -limit, limit)
            product = o * tanh(cell[h], node.cell_exponent + 12)
            hidden[h] = clamp(
                double_rounding(product, node.hidden_multiplier, node.hidden_exponent) + hidden_zero, -128, 127
            )
        sequence.append(list(hidden))
    return sequence


def gru(node: Gru, x: list, zero: int) -> list:
    units = node.bias.shape[1]

    def shifted(value: int, n: int) -> int:
        return math.floor(Fraction(value, 2**n) + Fraction(1, 2))

    def times(gate: int, value: int) -> int:
        return double_rounding(gate * value, 1 << 30, -14)

    def byte(value: int) -> int:
        return min(double_rounding(value, 1 << 30, -7), 127)

    def from_x(g: int, u: int, row: list) -> int:
        total = int(node.bias[g, u]) + sum(
            (v - zero) * int(w) for v, w in zip(row, node.input_weight[g, u], strict=True)
        )
        return sat16(shifted(total * int(node.input_factor[g]), int(node.input_shift[g])))

    def from_h(g: int, u: int, h: list) -> int:
        total = sum(v * int(w) for v, w in zip(h, node.recurrent_weight[g, u], strict=True))
        total += int(node.recurrent_bias[u]) if g == 2 else 0
        return sat16(shifted(total * int(node.recurrent_factor[g]), int(node.recurrent_shift[g])))

    state, sequence = [0] * units, []
    for row in x:
        h = [byte(v) for v in state]
        r, z = ([sigmoid(sat16(from_x(g, u, row) + from_h(g, u, h))) for u in range(units)] for g in (0, 1))
        kept = [byte(times(r[u], state[u])) for u in range(units)]
        after = []
        for u in range(units):
            part = times(r[u], from_h(2, u, h)) if node.reset_after else from_h(2, u, kept)
            new = tanh(sat16(from_x(2, u, row) + part), 0)
            after.append(sat16(new - times(z[u], new) + times(z[u], state[u])))
        state = after
        sequence.append([byte(v) for v in state])
    return sequence
