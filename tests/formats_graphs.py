"""Random small integer graphs of each family; seeded."""

from __future__ import annotations

import numpy as np

from edgebat.graph import IntGraph
from tests.graph_maker import META as META
from tests.graph_maker import GraphMaker as GraphMaker


def random_mlp(seed: int) -> IntGraph:
    """[T, C] -> flatten -> 1 to 3 dense layers, sometimes with tanh, sigmoid or another table -> int16 or int8 head."""
    rng = np.random.default_rng([seed, 1])
    make = GraphMaker(rng, _shape(rng), rng.uniform(0.01, 0.1), int(rng.integers(-128, 128)))
    make.flatten()
    for _ in range(rng.integers(1, 4)):
        make.dense(int(rng.integers(1, 40)), relu=bool(rng.integers(2)))
        if rng.random() < 0.3:
            make.lut(str(rng.choice(["tanh", "sigmoid", "square"])))
    if rng.random() < 0.3:
        other = make.current
        make.dense(make.current.shape[0])
        make.add(other)
    if rng.random() < 0.8:
        make.head(int(rng.integers(1, 8)))
    return make.graph(f"mlp{seed}")


def random_cnn(seed: int) -> IntGraph:
    """Convolutions with strides, dilations, paddings, depthwise, pooling, residual additions, concatenation."""
    rng = np.random.default_rng([seed, 2])
    make = GraphMaker(
        rng, (int(rng.integers(8, 24)), int(rng.integers(1, 9))), rng.uniform(0.01, 0.1), int(rng.integers(-128, 128))
    )
    for _ in range(rng.integers(1, 4)):
        relu, kernel = bool(rng.integers(2)), int(rng.integers(1, 4))
        dilation = int(rng.integers(1, 3)) if make.current.shape[0] > 6 else 1
        reach = (kernel - 1) * dilation
        padding = [(0, 0), (reach // 2, reach - reach // 2), (reach, 0)][rng.integers(3)]
        stride = int(rng.integers(1, 3)) if dilation == 1 else 1
        if make.current.shape[0] + sum(padding) <= reach:
            padding = (reach, 0)
        choice = rng.random()
        if choice < 0.25:
            make.conv(0, kernel, stride, dilation, padding, relu, depthwise=True)
        elif choice < 0.5:
            before = make.current
            make.conv(before.shape[1], kernel, 1, dilation, (reach, 0), relu)
            make.add(before)
        else:
            make.conv(int(rng.integers(1, 17)), kernel, stride, dilation, padding, relu)
        if rng.random() < 0.3 and make.current.shape[0] >= 4:
            make.max_pool(2, 2)
        elif rng.random() < 0.2 and make.current.shape[0] >= 4:
            make.average_pool(3, 1)
    choice = rng.random()
    if choice < 0.3:
        make.average_pool(make.current.shape[0], 1)
    elif choice < 0.5:
        pooled = make.max_pool(1, 1)
        make.max_pool(1, 1)
        make.concat(pooled)
    make.flatten()
    make.dense(int(rng.integers(1, 20)), relu=True)
    make.head(int(rng.integers(1, 8)))
    return make.graph(f"cnn{seed}")


def random_lstm(seed: int) -> IntGraph:
    """1 or 2 LSTM layers, sometimes behind a dense layer per step -> last step -> int16 head."""
    rng = np.random.default_rng([seed, 3])
    make = GraphMaker(rng, _shape(rng), 2.0 ** -int(rng.integers(4, 8)), int(rng.integers(-40, 40)))
    for _ in range(rng.integers(1, 3)):
        make.lstm(int(rng.integers(1, 17)))
    make.last_step()
    if rng.random() < 0.5:
        make.dense(int(rng.integers(1, 17)), relu=True)
    make.head(int(rng.integers(1, 8)))
    return make.graph(f"lstm{seed}")


def random_gru(seed: int) -> IntGraph:
    """1 or 2 GRU layers of either form, sometimes behind a dense layer per step -> last step -> int16 head."""
    rng = np.random.default_rng([seed, 4])
    make = GraphMaker(rng, _shape(rng), rng.uniform(0.01, 0.1), int(rng.integers(-128, 128)))
    if rng.random() < 0.3:
        make.dense(int(rng.integers(1, 9)))
    for _ in range(rng.integers(1, 3)):
        make.gru(int(rng.integers(1, 17)), bool(rng.integers(2)))
    make.last_step()
    if rng.random() < 0.5:
        make.dense(int(rng.integers(1, 17)), relu=True)
    make.head(int(rng.integers(1, 8)))
    return make.graph(f"gru{seed}")


def random_bidirectional(seed: int) -> IntGraph:
    """A layer forwards and one over time turned round, joined -> last step, or all of them -> int16 head."""
    rng = np.random.default_rng([seed, 6])
    make = GraphMaker(rng, _shape(rng), 2.0 ** -int(rng.integers(4, 8)), int(rng.integers(-40, 40)))
    if rng.random() < 0.3:
        make.conv(int(rng.integers(1, 9)), 1)
    source, layer = make.current, make.gru if rng.random() < 0.5 else make.lstm
    forwards = layer(int(rng.integers(1, 17)))
    make.current = source
    make.reverse()
    layer(int(rng.integers(1, 17)))
    make.reverse()
    make.concat(forwards)
    make.last_step() if rng.random() < 0.5 else make.flatten()
    make.head(int(rng.integers(1, 8)))
    return make.graph(f"bidirectional{seed}")


def random_gated(seed: int) -> IntGraph:
    """Gates of every kind: of equal shape, for channels (squeeze and excitation), for time steps; moved values between."""
    rng = np.random.default_rng([seed, 7])
    steps, channels = int(rng.integers(3, 12)), int(rng.integers(1, 9))
    make = GraphMaker(rng, (steps, channels), rng.uniform(0.01, 0.1), int(rng.integers(-128, 128)))
    for _ in range(rng.integers(1, 3)):
        source = make.current
        kind = int(rng.integers(3))
        if kind == 0:
            make.conv(source.shape[1], 1)
            make.lut("sigmoid")
        elif kind == 1:
            make.average_pool(source.shape[0], 1)
            make.flatten()
            make.dense(source.shape[1])
            make.lut("sigmoid")
        else:
            make.conv(1, 1)
        gate, make.current = make.current, source
        make.mul(gate)
        index = np.arange(source.shape[0] * source.shape[1]).reshape(source.shape)
        choice = rng.random()
        if choice < 0.3:
            make.take(index.T)
        elif choice < 0.6:
            make.take(rng.choice(index.ravel(), (int(rng.integers(1, 9)), int(rng.integers(1, 9)))))
    make.flatten()
    if rng.random() < 0.3:
        make.take(np.arange(make.current.shape[0]).reshape(-1, 1))
        make.flatten()
    make.head(int(rng.integers(1, 8)))
    return make.graph(f"gated{seed}")


def random_padded(seed: int) -> IntGraph:
    """Padded pooling of either kind, convolutions between, softmax or a head; or an LSTM with a clipped cell."""
    rng = np.random.default_rng([seed, 5])
    if seed % 3 == 2:
        make = GraphMaker(rng, _shape(rng), 2.0 ** -int(rng.integers(4, 8)), int(rng.integers(-40, 40)))
        for _ in range(rng.integers(1, 3)):
            make.lstm(int(rng.integers(1, 17)), int(rng.integers(200, 32768)))
        make.last_step()
        make.head(int(rng.integers(1, 8)))
        return make.graph(f"padded{seed}")
    make = GraphMaker(
        rng, (int(rng.integers(5, 24)), int(rng.integers(1, 9))), rng.uniform(0.01, 0.1), int(rng.integers(-128, 128))
    )
    for _ in range(rng.integers(1, 3)):
        size, stride = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        if rng.random() < 0.5:
            make.mean_pool(size, stride)
        else:
            left = int(rng.integers(0, size))
            make.pad(left, size - 1 - left, int(rng.choice([-128, 0, 127])))
            make.max_pool(size, stride)
            if make.current.shape[0] > 3:
                make.pad(-int(rng.integers(0, 2)), -1, make.current.zero_point)
        if rng.random() < 0.5:
            make.conv(int(rng.integers(1, 9)), 2, padding=(1, 0))
    if rng.random() < 0.4:
        make.softmax()
    make.flatten()
    if rng.random() < 0.5:
        make.dense(int(rng.integers(2, 12)))
        make.softmax()
    else:
        make.head(int(rng.integers(1, 8)))
    return make.graph(f"padded{seed}")


FAMILIES = {
    "mlp": random_mlp, "cnn": random_cnn, "lstm": random_lstm, "gru": random_gru, "padded": random_padded,
    "bidirectional": random_bidirectional, "gated": random_gated,
}  # fmt: skip


def random_inputs(graph: IntGraph, count: int, seed: int) -> np.ndarray:
    """int8 inputs [count, ...]: uniform over the whole range, the first ones saturated at both ends."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (count, *graph.input_tensor.shape)).astype(np.int8)
    x[0], x[1] = -128, 127
    x[2] = rng.choice([-128, 127], graph.input_tensor.shape)
    return x


def _shape(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(1, 12)), int(rng.integers(1, 12))
