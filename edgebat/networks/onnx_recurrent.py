"""LSTM, GRU and RNN of ONNX, of one direction or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked, recurrent_layers, reversed_time
from edgebat.networks.rewritten import plain_recurrent
from edgebat.students.gru_weights import gru_from_onnx

_LSTM_FROM_ONNX = [0, 2, 3, 1]  # gates i, o, f, c there; i, f, g, o here
_BACKWARDS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


class RecurrentOperators:
    """The methods of the reader for them, and for what comes apart behind them."""

    build: Builder

    def on_lstm(self, a: Any, x: Value, weight: Array, recurrent: Array, bias: Any = None, lengths: Any = None,
                hidden: Any = None, cell: Any = None, peepholes: Any = None) -> list[Any]:  # fmt: skip
        self.plain(a, (weight, recurrent), (hidden, cell), ["Sigmoid", "Tanh", "Tanh"])
        self.whole_windows(a, x, lengths)
        if peepholes is not None or a.get("input_forget"):
            self.build.fail("it has peepholes or coupled gates; allowed: the plain LSTM")
        units = recurrent.shape[2]
        layers: list[kinds.Recurrent] = []
        for way in range(len(weight)):
            wx, wh = (self.gates(array[way].astype(np.float64), units) for array in (weight, recurrent))
            both = np.zeros((2, 4 * units)) if bias is None else bias[way].astype(np.float64).reshape(2, -1)
            layers.append(kinds.LstmLayer(wx, wh, self.gates(both.sum(axis=0), units)))
        return self.sequence(a, x, layers)

    def on_gru(self, a: Any, x: Value, weight: Array, recurrent: Array, bias: Any = None, lengths: Any = None,
               hidden: Any = None) -> list[Any]:  # fmt: skip
        self.plain(a, (weight, recurrent), (hidden,), ["Sigmoid", "Tanh"])
        self.whole_windows(a, x, lengths)
        after = bool(a.get("linear_before_reset", 0))
        biases = [None] * len(weight) if bias is None else bias
        parts = zip(weight, recurrent, biases, strict=True)
        return self.sequence(a, x, [gru_from_onnx(*part, linear_before_reset=after) for part in parts])

    def on_rnn(self, a: Any, x: Value, weight: Array, recurrent: Array, bias: Any = None, lengths: Any = None,
               hidden: Any = None) -> list[Any]:  # fmt: skip
        self.plain(a, (weight, recurrent), (hidden,), ["Tanh"])
        self.whole_windows(a, x, lengths)
        both = np.zeros((len(weight), 2 * recurrent.shape[2])) if bias is None else bias.astype(np.float64)
        parts = zip(weight, recurrent, both.reshape(len(weight), 2, -1).sum(axis=1), strict=True)
        return self.sequence(a, x, [plain_recurrent(*part) for part in parts])

    def plain(self, a: Any, weights: Sequence[Any], state: Sequence[Any], activations: list[str]) -> None:
        """Refuses recurrent layers that a device cannot run."""
        build = self.build
        if any(not isinstance(array, np.ndarray) for array in weights):
            build.fail("its weights are no constants")
        if len(weights[0]) != len(_BACKWARDS.get(a.get("direction", "forward"), ())):
            build.fail(f"it has {len(weights[0])} directions, and is said to go {a.get('direction', 'forward')}")
        if a.get("clip") or a.get("activations", activations * len(weights[0])) != activations * len(weights[0]):
            build.fail(f"it has a clip or the activations {a.get('activations')}; allowed: no clip, {activations}")
        if any(one is not None and (not isinstance(one, np.ndarray) or one.any()) for one in state):
            build.fail("it starts from a state that is not zero; leave the initial state out")

    def whole_windows(self, a: Any, x: Value, lengths: Any) -> None:
        """Refuses sequences that end before the window does."""
        steps = self.build.shape(x)[1 if a.get("layout", 0) else 0]
        if lengths is not None and (not isinstance(lengths, np.ndarray) or (lengths != steps).any()):
            self.build.fail(f"its sequences are shorter than the window of {steps} steps; leave their lengths out")

    def sequence(self, a: Any, x: Value, layers: Sequence[kinds.Recurrent]) -> list[Any]:
        """Y with its axis of directions, and the last hidden state."""
        build, time = self.build, 1 if a.get("layout", 0) else 0
        backwards = _BACKWARDS[a.get("direction", "forward")]
        found = recurrent_layers(build, x, layers, time, backwards)
        final = [build.select(one, time, -1) for one in found]
        found = [
            reversed_time(build, one, time) if turned else one for one, turned in zip(found, backwards, strict=True)
        ]
        places = 2 if time else 1, 1 if time else 0
        if len(layers) == 1:
            return [build.unsqueeze(found[0], [places[0]]), build.unsqueeze(final[0], [places[1]]), None]
        return [Stacked(tuple(found), places[0]), Stacked(tuple(final), places[1]), None]

    @staticmethod
    def gates(rows: Array, units: int) -> Array:
        return rows.reshape(4, units, *rows.shape[1:])[_LSTM_FROM_ONNX].reshape(rows.shape)

    def on_split(self, a: Any, x: Any, sizes: Any = None) -> list[Value]:
        """The directions of a layer, one each."""
        axis = a.get("axis", 0)
        if not isinstance(x, Stacked) or (sizes is not None and (np.ravel(sizes) != 1).any()):
            self.build.fail("it takes a layer's output apart; allowed: into the two directions of a recurrent layer")
        each = [x.select(self.build, axis, index) for index in range(len(x.values))]
        return [self.build.unsqueeze(one, [axis]) for one in each]
