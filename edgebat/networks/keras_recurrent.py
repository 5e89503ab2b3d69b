"""LSTM, GRU and SimpleRNN of Keras, forwards, backwards and both."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import recurrent_layers, reversed_time
from edgebat.networks.refusals import remedy
from edgebat.networks.rewritten import plain_recurrent
from edgebat.students.gru_weights import gru_from_keras


class RecurrentLayers:
    """The methods of the reader for them."""

    @property
    def build(self) -> Builder:
        """The network that grows."""
        raise NotImplementedError

    def on_lstm(self, config: Any, weights: list[Array], x: Value) -> Any:
        # Gates i, f, c, o, as here.
        bias = weights[2].astype(np.float64) if config.get("use_bias", True) else np.zeros(weights[0].shape[1])
        layer = kinds.LstmLayer(weights[0].T.astype(np.float64), weights[1].T.astype(np.float64), bias)
        return self.recurrent(config, layer, x)

    def on_gru(self, config: Any, weights: list[Array], x: Value) -> Any:
        bias = weights[2] if config.get("use_bias", True) else None
        layer = gru_from_keras(weights[0], weights[1], bias, reset_after=bool(config.get("reset_after", True)))
        return self.recurrent(config, layer, x)

    def on_simplernn(self, config: Any, weights: list[Array], x: Value) -> Any:
        bias = weights[2] if config.get("use_bias", True) else np.zeros(weights[0].shape[1])
        return self.recurrent(config, plain_recurrent(weights[0].T, weights[1].T, bias), x)

    def recurrent(self, config: Any, layer: kinds.Recurrent, x: Value) -> Any:
        build = self.build
        allowed = {"activation": "tanh", "recurrent_activation": "sigmoid"}
        if any(config.get(key, value) != value for key, value in allowed.items()):
            build.fail(
                f"it has the activations {config.get('activation')} and {config.get('recurrent_activation')}; allowed: tanh "
                "and sigmoid"
            )
        if config.get("return_state") or config.get("time_major"):
            build.fail("it returns its state, or has time first; use return_state=False")
        if config.get("stateful"):
            build.fail("it goes on from the window before; a device begins each window anew: use stateful=False")
        time = len(x.axes) - 2
        (sequence,) = recurrent_layers(build, x, [layer], time, [bool(config.get("go_backwards"))])
        return sequence if config.get("return_sequences") else build.select(sequence, time, -1)

    def on_rnn(self, config: Any, weights: list[Array], x: Value) -> Any:
        """RNN(LSTMCell(...)), which is the layer in another spelling."""
        cell = config["cell"]
        cells = {"LSTMCell": self.on_lstm, "GRUCell": self.on_gru, "SimpleRNNCell": self.on_simplernn}
        method = cells.get(cell["class_name"])
        if method is None:
            self.build.fail(f"its cell is a {cell['class_name']}; {remedy('rnn')}")
        return method({**config, **cell["config"]}, weights, x)

    def on_bidirectional(self, config: Any, weights: list[Array], x: Value) -> Any:
        build, half = self.build, len(weights) // 2
        forward = config["layer"]
        backward = config.get("backward_layer") or forward
        both: list[Value] = []
        for described, arrays_of, turned in ((forward, weights[:half], False), (backward, weights[half:], True)):
            layers = {"LSTM": self.on_lstm, "GRU": self.on_gru, "SimpleRNN": self.on_simplernn}
            method = layers.get(described["class_name"])
            if method is None:
                build.fail(f"it holds a {described['class_name']}; allowed: {', '.join(layers)}")
            own = {**described["config"], "go_backwards": turned}
            value = method(own, arrays_of, x)
            if turned and own.get("return_sequences"):
                value = reversed_time(build, value, len(x.axes) - 2)
            both.append(value)
        match config.get("merge_mode", "concat"):
            case "concat":
                return build.concat(both, -1)
            case "sum" | "ave" as mode:
                total = build.combine(both[0], both[1], "add")
                return total if mode == "sum" else build.scalar(total, 0.5, 0.0)
            case mode:
                return build.fail(f"it merges its directions by {mode!r}; allowed: concat, sum, ave")
