"""Recurrent layers that the integer graph has under another name, rewritten without a change of what they compute."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Array
from edgebat.networks.layers import GruLayer, LstmLayer

OPEN = 40.0
"""Before the sigmoid: 1 in float64, and more than the integers of a gate hold."""


def plain_recurrent(weight_input: Array, weight_hidden: Array, bias: Array) -> GruLayer:
    """h = tanh(W x + U h + b) as a GRU whose reset gate lets all through and whose update gate keeps nothing.

    W [H, I], U [H, H], b [H]. Two thirds of the weights are zeros: the layer costs what a GRU of its size costs.
    """
    units = len(weight_hidden)
    closed = np.zeros((2 * units, 1))
    return GruLayer(
        np.vstack([closed * weight_input[:1], weight_input]).astype(np.float32),
        np.vstack([closed * weight_hidden[:1], weight_hidden]).astype(np.float32),
        np.concatenate([np.full(units, OPEN), np.full(units, -OPEN), bias]).astype(np.float32),
        np.zeros(units, np.float32),
    )


def projected(weight_input: Array, weight_hidden: Array, projection: Array, bias: Array) -> LstmLayer:
    """The LSTM under a projection (Sak et al., 2014): P h goes back into it, so its recurrent weights are R P.

    weight_input [4H, I], R [4H, O], P [O, H], bias [4H]. What the layer gives is P times this one's output.
    """
    recurrent = weight_hidden.astype(np.float64) @ projection.astype(np.float64)
    return LstmLayer(weight_input.astype(np.float64), recurrent, bias)
