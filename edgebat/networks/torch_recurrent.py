"""nn.LSTM and nn.GRU, of several layers, of one direction or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked, recurrent_layers, reversed_time
from edgebat.students.gru_weights import gru_from_torch


class RecurrentOperators:
    """The methods of the reader for them."""

    build: Builder

    def on_lstm(self, x: Value, state: list[Any], params: list[Array], biases: bool, layers: int, dropout: float,
                train: bool, bidirectional: bool, batch_first: bool) -> list[Any]:  # fmt: skip
        def layer(wx: Array, wh: Array, *both: Array) -> kinds.Recurrent:
            bias = sum((one.astype(np.float64) for one in both), np.zeros(len(wx)))
            return kinds.LstmLayer(wx.astype(np.float64), wh.astype(np.float64), bias)

        return [
            *self.recurrent(x, state, params, layer, (4 if biases else 2, layers, bidirectional, batch_first)),
            None,
        ]

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
            self.build.fail("it has a projection; use proj_size=0")
        each = iter([params[i : i + arrays] for i in range(0, len(params), arrays)])
        time, last, final = 1 if batch_first else 0, x, []
        for _ in range(layers):
            found = recurrent_layers(self.build, last, [made(*next(each)) for _ in backwards], time, backwards)
            final += found
            last = found[0]
            if bidirectional:
                last = self.build.concat([last, reversed_time(self.build, found[1], time)], len(last.axes) - 1)
        return [last, Stacked(tuple(final), 0, time)]
