"""nn.LSTM, nn.GRU and nn.RNN, of several layers, of one direction or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked, recurrent_layers, reversed_time
from edgebat.networks.rewritten import plain_recurrent, projected
from edgebat.students.gru_weights import gru_from_torch


class RecurrentOperators:
    """The methods of the reader for them."""

    build: Builder

    def on_lstm(self, x: Value, state: list[Any], params: list[Array], biases: bool, layers: int, dropout: float,
                train: bool, bidirectional: bool, batch_first: bool) -> list[Any]:  # fmt: skip
        def layer(wx: Array, wh: Array, *more: Array) -> kinds.Recurrent:
            bias = sum((one.astype(np.float64) for one in more if one.ndim == 1), np.zeros(len(wx)))
            if more and more[-1].ndim == 2:
                return projected(wx, wh, more[-1], bias)
            return kinds.LstmLayer(wx.astype(np.float64), wh.astype(np.float64), bias)

        arrays, directions = 4 if biases else 2, layers * (2 if bidirectional else 1)
        arrays += len(params) == directions * (arrays + 1)  # and the projection
        return [*self.recurrent(x, state, params, layer, (arrays, layers, bidirectional, batch_first)), None]

    def on_rnn_tanh(self, x: Value, state: Any, params: list[Array], biases: bool, layers: int, dropout: float, train: bool,
                    bidirectional: bool, batch_first: bool) -> list[Any]:  # fmt: skip
        def layer(wx: Array, wh: Array, *both: Array) -> kinds.Recurrent:
            return plain_recurrent(wx, wh, sum((one.astype(np.float64) for one in both), np.zeros(len(wx))))

        return self.recurrent(x, [state], params, layer, (4 if biases else 2, layers, bidirectional, batch_first))

    def on_gru(self, x: Value, state: Any, params: list[Array], biases: bool, layers: int, dropout: float, train: bool,
               bidirectional: bool, batch_first: bool) -> list[Any]:  # fmt: skip
        def layer(wx: Array, wh: Array, *both: Array) -> kinds.Recurrent:
            return gru_from_torch(wx, wh, *(both or (None, None)))

        return self.recurrent(x, [state], params, layer, (4 if biases else 2, layers, bidirectional, batch_first))

    def recurrent(self, x: Value, state: list[Any], params: list[Array], made: Callable[..., kinds.Recurrent],
                  form: tuple[int, int, bool, bool]) -> list[Any]:  # fmt: skip
        """Sequence and final states; form: arrays of a direction, layers, both directions, batch first."""
        arrays, layers, bidirectional, batch_first = form
        if any(not isinstance(one, np.ndarray) or one.any() for one in state):
            self.build.fail("it starts from a state that is not zero; leave the initial state out")
        backwards = [False, True] if bidirectional else [False]
        if len(params) != layers * len(backwards) * arrays:
            self.build.fail(f"it has {len(params)} arrays of weights for {layers} layers; export the model again")
        each = iter([params[i : i + arrays] for i in range(0, len(params), arrays)])
        time, last, final = 1 if batch_first else 0, x, []
        for _ in range(layers):
            own = [next(each) for _ in backwards]
            found = recurrent_layers(self.build, last, [made(*one) for one in own], time, backwards)
            if own[0][-1].ndim == 2 and arrays % 2:
                found = [self.build.dense(v, one[-1], None) for v, one in zip(found, own, strict=True)]
            final += found
            last = found[0]
            if bidirectional:
                last = self.build.concat([last, reversed_time(self.build, found[1], time)], len(last.axes) - 1)
        return [last, Stacked(tuple(final), 0, time)]
