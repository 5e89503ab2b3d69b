"""The int8 LSTM with int16 cell, equal to TFLite Micro bit for bit.

The arithmetic is that of docs/quantization-spec.md, section 5, carried out on float64 arrays of integers (see
kernels.py): a rounding shift is a truncation after adding half away from zero. Activations are looked up in tables of
all 65,536 gate values. Gate columns are kept in the order f, i, o, g, so that one product serves f * c and i * g.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array
from edgebat.graph import arithmetic
from edgebat.graph.model import ClippedLstm, Lstm, Tensor

_ORDER = [1, 0, 3, 2]  # f, i, o, g out of i, f, g, o
_FEW_BITS = 22  # a multiplier of so many bits times an int32 stays exact in float64


@dataclass
class LstmState:
    """hidden: int8 [N, H]; cell: int16 [N, H], scale 2**cell_exponent. Steps make new arrays and leave these alone."""

    hidden: npt.NDArray[np.int8]
    cell: npt.NDArray[np.int16]


class LstmCell:
    """One LSTM layer prepared for stepping."""

    def __init__(self, node: Lstm, source: Tensor, target: Tensor) -> None:
        hidden = node.recurrent_weight.shape[-1]
        self.hidden_size, self.zero_point = hidden, target.zero_point
        self._input = _columns(node.input_weight)
        self._recurrent = _columns(node.recurrent_weight)
        # sum((x - z) w) + b = sum(x w) + (b - z sum(w))
        self._bias = node.bias[_ORDER].reshape(-1) - source.zero_point * self._input.sum(axis=0)
        self._recurrent_bias = -target.zero_point * self._recurrent.sum(axis=0)

        def gate(values: Array) -> Array:
            return np.repeat(values[_ORDER], hidden)

        self._scale_input = double_rounding(gate(node.input_multiplier), gate(node.input_exponent))
        self._scale_recurrent = double_rounding(gate(node.recurrent_multiplier), gate(node.recurrent_exponent))
        # Real multipliers 2**-15 of f * c and 2**-30 / 2**cell_exponent of i * g, both exact powers of two.
        exponents = np.repeat([-14, -29 - node.cell_exponent], hidden)
        self._scale_cell = double_rounding(np.full(2 * hidden, 1 << 30), exponents)
        self._scale_hidden = double_rounding(np.array([node.hidden_multiplier]), np.array([node.hidden_exponent]))
        self._sigmoid, self._tanh = sigmoid_table(), tanh_table(0)
        self._tanh_cell = tanh_table(node.cell_exponent + 12)
        self._cell_clip = float(node.cell_clip) if isinstance(node, ClippedLstm) else None

    def initial_state(self, batch: int) -> LstmState:
        """Hidden state of real value 0 and an empty cell for ``batch`` sequences."""
        return LstmState(
            np.full((batch, self.hidden_size), self.zero_point, np.int8), np.zeros((batch, self.hidden_size), np.int16)
        )

    def run(self, x: Array, state: LstmState) -> tuple[npt.NDArray[np.float64], LstmState]:
        """All steps of x [N, T, I] (integers): hidden states [N, T, H] (integers) and the state after the last step."""
        products = self._scale_input(x @ self._input + self._bias)
        np.clip(products, -32768, 32767, out=products)
        sequence = np.empty((*x.shape[:2], self.hidden_size))
        hidden, cell = state.hidden.astype(np.float64), state.cell.astype(np.float64)
        for t in range(x.shape[1]):
            hidden, cell = self._step(products[:, t], hidden, cell)
            sequence[:, t] = hidden
        return sequence, LstmState(hidden.astype(np.int8), cell.astype(np.int16))

    def _step(self, products: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
        """One step on float64 arrays of integers: scaled input products [N, 4H], hidden [N, H], cell [N, H]."""
        units = self.hidden_size
        z = self._scale_recurrent(hidden @ self._recurrent + self._recurrent_bias)
        saturate16(z)
        z += products
        saturate16(z)
        index = z.astype(np.intp)
        gates = self._sigmoid[index[:, : 3 * units]]
        factors = np.concatenate((cell, self._tanh[index[:, 3 * units :]]), axis=1)
        parts = self._scale_cell(gates[:, : 2 * units] * factors)
        saturate16(parts)
        cell = parts[:, :units] + parts[:, units:]
        saturate16(cell)
        if self._cell_clip is not None:
            np.clip(cell, -self._cell_clip, self._cell_clip, out=cell)
        hidden = self._scale_hidden(gates[:, 2 * units :] * self._tanh_cell[cell.astype(np.intp)])
        hidden += self.zero_point
        np.maximum(np.minimum(hidden, 127.0, out=hidden), -128.0, out=hidden)
        return hidden, cell


def double_rounding(multiplier: Array, exponent: Array) -> Callable[[Array], Array]:
    """The function ``D`` of the specification for Q31 multipliers and exponents [C], on float64 arrays of integers.

    Multipliers of few significant bits (all that edgebat writes) stay in float64; others take the 64-bit path.
    """
    multiplier, exponent = multiplier.astype(np.int64), exponent.astype(np.int64)
    if (multiplier % (1 << (31 - _FEW_BITS)) == 0).all():
        factor = multiplier / 2.0**31 * 2.0 ** np.maximum(exponent, 0)
        shrink = 2.0 ** np.minimum(exponent, 0)

        def fast(x: Array) -> Array:
            y = x * factor
            y += 0.5
            np.floor(y, out=y)
            y *= shrink
            y += np.copysign(0.5, y)
            return np.trunc(y, out=y)

        return fast
    return lambda x: arithmetic.requantize_double(x.astype(np.int64), multiplier, exponent).astype(np.float64)


def saturate16(x: Array) -> None:
    """Clip float64 integers to int16, in place."""
    np.minimum(x, 32767.0, out=x)
    np.maximum(x, -32768.0, out=x)


def _columns(weight: npt.NDArray[np.int8]) -> Array:
    """Gate weights [4, H, C] as one matrix [C, 4H] with gate columns in the order f, i, o, g."""
    return np.ascontiguousarray(weight[_ORDER].reshape(-1, weight.shape[-1]).T.astype(np.float64))


def _all_gate_values() -> npt.NDArray[np.int64]:
    """0..32767, then -32768..-1: a negative index into a table of these reads its own entry."""
    return np.concatenate([np.arange(32768), np.arange(-32768, 0)])


@cache
def sigmoid_table() -> npt.NDArray[np.float64]:
    """sigmoid_q of every int16 value v at index v (negative indices count from the end)."""
    return arithmetic.sigmoid_q(_all_gate_values()).astype(np.float64)


@cache
def tanh_table(left_shift: int) -> npt.NDArray[np.float64]:
    """tanh_q of every int16 value v at index v (negative indices count from the end)."""
    return arithmetic.tanh_q(_all_gate_values(), left_shift).astype(np.float64)
