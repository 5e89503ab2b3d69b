"""Functions of one value that networks have between their layers; each becomes a table of 256 int8 values."""

from __future__ import annotations

import math

import numpy as np

from edgebat.arrays import Float64
from edgebat.networks.layers import Function

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: Float64) -> Float64:
    """1 / (1 + exp(-x)), written with tanh, which cannot overflow."""
    return np.asarray((np.tanh(x / 2) + 1) / 2)


def softplus(x: Float64) -> Float64:
    """log(1 + exp(x))."""
    return np.logaddexp(0.0, x)


def elu(alpha: float = 1.0) -> Function:
    """x above 0, alpha (exp(x) - 1) below."""
    return lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def leaky_relu(slope: float) -> Function:
    """x above 0, ``slope`` x below."""
    return lambda x: np.where(x > 0, x, slope * x)


def clip(low: float, high: float) -> Function:
    """Values limited to [low, high]."""
    return lambda x: np.clip(x, low, high)


def gelu(x: Float64) -> Float64:
    """x Phi(x) with the exact error function."""
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))))


def gelu_tanh(x: Float64) -> Float64:
    """GELU in its approximation with tanh."""
    return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))


def hard_sigmoid(slope: float, middle: float) -> Function:
    """slope x + middle, limited to [0, 1]."""
    return lambda x: np.clip(slope * x + middle, 0.0, 1.0)


def erf(x: Float64) -> Float64:
    """The error function."""
    return np.asarray(_erf(x))


SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805


def selu(x: Float64) -> Float64:
    """SELU with its two published constants."""
    return np.asarray(SELU_GAMMA * elu(SELU_ALPHA)(x))


PLAIN: dict[str, Function] = {
    "relu": clip(0.0, np.inf),
    "relu6": clip(0.0, 6.0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "silu": lambda x: x * sigmoid(x),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "selu": selu,
    "elu": elu(),
    "erf": erf,
    "exp": np.exp,
    "abs": np.abs,
    "square": np.square,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "hard_swish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_tanh": clip(-1.0, 1.0),
    "log_sigmoid": lambda x: -softplus(-x),
}
"""Functions without parameters, by name."""
