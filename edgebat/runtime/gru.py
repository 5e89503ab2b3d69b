"""The int8 GRU with an int16 state; the arithmetic is that of docs/quantization-spec.md, section 6.

It is carried out on float64 arrays of integers (see kernels.py). Gate columns lie side by side in the order r, z, n, so
that one product serves all gates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array, Float64
from edgebat.graph.model import Gru, Tensor
from edgebat.runtime.lstm import double_rounding, saturate16, sigmoid_table, tanh_table

_PRODUCT, _BYTE = (double_rounding(np.array([1 << 30]), np.array([exponent])) for exponent in (-14, -7))
"""Rounding D by 2**-15, of a product with a gate, and by 2**-8, from a state to its upper byte."""


@dataclass
class GruState:
    """hidden: int16 [N, H], scale 2**-15. Steps make new arrays and leave this one alone."""

    hidden: npt.NDArray[np.int16]


class GruCell:
    """One GRU layer prepared for stepping."""

    def __init__(self, node: Gru, source: Tensor, target: Tensor) -> None:
        units = node.bias.shape[1]
        self.hidden_size, self.reset_after = units, node.reset_after
        self._input, bias = _scaled(node.input_weight, node.input_factor, node.input_shift), node.bias.reshape(-1)
        self._bias = bias * _step(node.input_factor, node.input_shift, units) + 0.5
        self._bias -= source.zero_point * self._input.sum(axis=0)
        self._recurrent = _scaled(node.recurrent_weight, node.recurrent_factor, node.recurrent_shift)
        self._recurrent_bias = np.full(3 * units, 0.5)
        new = float(node.recurrent_factor[2]) * 2.0 ** -float(node.recurrent_shift[2])
        self._recurrent_bias[2 * units :] += node.recurrent_bias * new
        self._sigmoid, self._tanh = sigmoid_table(), tanh_table(0)

    def initial_state(self, batch: int) -> GruState:
        """The state of ``batch`` sequences that have not begun: zeros."""
        return GruState(np.zeros((batch, self.hidden_size), np.int16))

    def run(self, x: Array, state: GruState) -> tuple[Float64, GruState]:
        """All steps of x [N, T, I] (integers): hidden states [N, T, H] (integers) and the state after the last step."""
        products = np.floor(x @ self._input + self._bias)
        saturate16(products)
        sequence = np.empty((*x.shape[:2], self.hidden_size))
        hidden = state.hidden.astype(np.float64)
        for t in range(x.shape[1]):
            hidden = self._next(products[:, t], hidden)
            sequence[:, t] = hidden
        return upper_byte(sequence), GruState(hidden.astype(np.int16))

    def _next(self, products: Array, hidden: Array) -> Array:
        """The state [N, H] after one step from scaled input products [N, 3H] and the state before."""
        gates, new = slice(2 * self.hidden_size), slice(2 * self.hidden_size, None)
        before = upper_byte(hidden)
        columns = slice(None) if self.reset_after else gates
        recurrent = np.floor(before @ self._recurrent[:, columns] + self._recurrent_bias[columns])
        saturate16(recurrent)
        reset, update = np.split(self._activated(self._sigmoid, products[:, gates] + recurrent[:, gates]), 2, axis=1)
        if self.reset_after:
            part = _PRODUCT(reset * recurrent[:, new])
        else:
            kept = upper_byte(_PRODUCT(reset * hidden))
            part = np.floor(kept @ self._recurrent[:, new] + self._recurrent_bias[new])
            saturate16(part)
        candidate = self._activated(self._tanh, products[:, new] + part)
        after = candidate - _PRODUCT(update * candidate) + _PRODUCT(update * hidden)
        saturate16(after)
        return after

    @staticmethod
    def _activated(table: Float64, sums: Array) -> Array:
        saturate16(sums)
        return table[sums.astype(np.intp)]


def upper_byte(hidden: Array) -> Float64:
    """int16 states of scale 2**-15 as the layer's output, int8 of scale 2**-7; both float64 arrays of integers."""
    return np.asarray(np.minimum(_BYTE(hidden), 127.0))


def _step(factor: Array, shift: Array, units: int) -> Float64:
    """What brings a sum to a gate's scale, of every row [3H]."""
    return np.repeat(factor * 2.0 ** -shift.astype(np.float64), units)


def _scaled(weight: npt.NDArray[np.int8], factor: Array, shift: Array) -> Float64:
    """Gate weights [3, H, C] times their gate's factor as one matrix [C, 3H]: every product is a multiple of 2**-shift."""
    rows = weight.reshape(-1, weight.shape[-1])
    return np.ascontiguousarray((rows * _step(factor, shift, weight.shape[1])[:, None]).T)
