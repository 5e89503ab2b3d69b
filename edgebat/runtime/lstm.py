"""The int8 LSTM with int16 cell, one step at a time, equal to TFLite Micro bit for bit.

Gates in order i, f, g, o. Source of the arithmetic: docs/quantization-spec.md, section LSTM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.graph import arithmetic
from edgebat.graph.model import Lstm, Tensor
from edgebat.runtime.kernels import exact_float


@dataclass
class LstmState:
    """hidden: int8 [N, H]; cell: int16 [N, H], scale 2**cell_exponent. Steps make new arrays and leave these alone."""

    hidden: npt.NDArray[np.int8]
    cell: npt.NDArray[np.int16]


class LstmCell:
    """One LSTM layer prepared for stepping."""

    def __init__(self, node: Lstm, source: Tensor, target: Tensor) -> None:
        hidden = node.recurrent_weight.shape[-1]
        self.node, self.hidden_size, self.zero_point = node, hidden, target.zero_point
        self._dtype = exact_float(max(node.input_weight.shape[-1], hidden))
        # All four gates in one product: [I, 4H] and [H, 4H], gate-major columns.
        self._input = np.ascontiguousarray(node.input_weight.reshape(4 * hidden, -1).T.astype(self._dtype))
        self._recurrent = np.ascontiguousarray(node.recurrent_weight.reshape(4 * hidden, -1).T.astype(self._dtype))
        input_sum = node.input_weight.astype(np.int64).sum(axis=2)
        recurrent_sum = node.recurrent_weight.astype(np.int64).sum(axis=2)
        self._bias = (node.bias.astype(np.int64) - source.zero_point * input_sum).reshape(-1)
        self._recurrent_bias = (-target.zero_point * recurrent_sum).reshape(-1)
        self._input_requant = [np.repeat(a, hidden) for a in (node.input_multiplier, node.input_exponent)]
        self._recurrent_requant = [np.repeat(a, hidden) for a in (node.recurrent_multiplier, node.recurrent_exponent)]

    def initial_state(self, batch: int) -> LstmState:
        """Hidden state of real value 0 and an empty cell for ``batch`` sequences."""
        return LstmState(
            np.full((batch, self.hidden_size), self.zero_point, np.int8), np.zeros((batch, self.hidden_size), np.int16)
        )

    def input_products(self, x: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """The input half of the gate sums for x int8 [..., I]: int16 values with scale 2**-12 as int64 [..., 4H]."""
        acc = (x.astype(self._dtype) @ self._input).astype(np.int64) + self._bias
        return arithmetic.saturate(arithmetic.requantize_double(acc, *self._input_requant), "int16")

    def step(self, products: npt.NDArray[np.int64], state: LstmState) -> LstmState:
        """One time step from ``input_products`` [N, 4H] and the state before it."""
        node = self.node
        acc = (state.hidden.astype(self._dtype) @ self._recurrent).astype(np.int64) + self._recurrent_bias
        recurrent = arithmetic.saturate(arithmetic.requantize_double(acc, *self._recurrent_requant), "int16")
        gates = arithmetic.saturate(products + recurrent, "int16").reshape(len(acc), 4, self.hidden_size)
        i, f, o = (arithmetic.sigmoid_q(gates[:, index]) for index in (0, 1, 3))
        g = arithmetic.tanh_q(gates[:, 2])
        # Real multipliers 2**-15 and 2**-30 / 2**cell_exponent, both exact powers of two.
        kept = arithmetic.requantize_double(f * state.cell, 1 << 30, -14)
        added = arithmetic.requantize_double(i * g, 1 << 30, -29 - node.cell_exponent)
        cell = arithmetic.saturate(arithmetic.saturate(kept, "int16") + arithmetic.saturate(added, "int16"), "int16")
        squashed = arithmetic.tanh_q(cell, node.cell_exponent + 12)
        hidden = arithmetic.requantize_double(o * squashed, node.hidden_multiplier, node.hidden_exponent)
        return LstmState(arithmetic.saturate(hidden + self.zero_point, "int8").astype(np.int8), cell.astype(np.int16))

    def run(self, x: npt.NDArray[Any], state: LstmState) -> tuple[npt.NDArray[np.int8], LstmState]:
        """All steps of x int8 [N, T, I]: hidden states int8 [N, T, H] and the state after the last step."""
        products = self.input_products(x)
        hidden = np.empty((*x.shape[:2], self.hidden_size), np.int8)
        for t in range(x.shape[1]):
            state = self.step(products[:, t], state)
            hidden[:, t] = state.hidden
        return hidden, state
