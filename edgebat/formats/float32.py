"""Functions of one float32 value as ONNX defines them, in float32 wherever engines round between operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edgebat.arrays import Float32
from edgebat.errors import ModelFileError

_erf = np.vectorize(math.erf, otypes=[np.float64])
_ONE, _HALF = np.float32(1), np.float32(0.5)


def _rounded(function: Callable[[Any], Any]) -> Callable[[Float32], Float32]:
    """``function`` of float64, its result rounded once."""

    def compute(x: Float32) -> Float32:
        with np.errstate(all="ignore"):
            return np.asarray(function(x.astype(np.float64)), np.float32)

    return compute


@contextmanager
def within_float32() -> Iterator[None]:
    """Refuses an operator whose scales or constants overflow, where engines agree on nothing. Raises ModelFileError."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            yield
    except FloatingPointError as error:
        raise ModelFileError(f"its scales or constants leave float32 ({error}); quantize the model again") from None


def line(x: Float32, first: Any, second: Any) -> Float32:
    """``first`` x + ``second``."""
    return np.asarray(x * first + second, np.float32)


def leaky_relu(x: Float32, first: Any) -> Float32:
    """x, or ``first`` x below zero."""
    return np.where(x >= 0, x, x * np.asarray(first, np.float32))


def clip(x: Float32, first: float, second: float) -> Float32:
    """x within [``first``, ``second``]."""
    return np.clip(x, np.float32(first), np.float32(second))


def elu(x: Float32, first: float = 1.0) -> Float32:
    """x, or ``first`` (exp(x) - 1) below zero."""
    return np.where(x >= 0, x, np.float32(first) * _rounded(np.expm1)(np.minimum(x, 0)))


def hard_sigmoid(x: Float32, first: float, second: float) -> Float32:
    """``first`` x + ``second`` within [0, 1]."""
    return np.asarray(np.clip(np.float32(first) * x + np.float32(second), np.float32(0), _ONE), np.float32)


def hard_swish(x: Float32) -> Float32:
    """x times `hard_sigmoid`."""
    return x * hard_sigmoid(x, 1.0 / 6.0, 0.5)


def gelu(x: Float32) -> Float32:
    """x times the normal distribution function."""
    return _rounded(lambda v: 0.5 * v * (1.0 + _erf(v / math.sqrt(2.0))))(x)


def gelu_tanh(x: Float32) -> Float32:
    """Its approximation."""
    return _rounded(lambda v: 0.5 * v * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (v + 0.044715 * v**3))))(x)


sigmoid = _rounded(lambda v: 1.0 / (1.0 + np.exp(-v)))
softplus = _rounded(lambda v: np.logaddexp(0.0, v))
PLAIN: dict[str, Callable[[Float32], Float32]] = {
    "Exp": _rounded(np.exp), "Erf": _rounded(_erf), "Softplus": softplus,
    "Selu": _rounded(lambda v: 1.0507009873554805 * np.where(v > 0, v, 1.6732632423543772 * np.expm1(np.minimum(v, 0)))),
    "Softsign": lambda x: np.asarray(x / (_ONE + np.abs(x)), np.float32), "Abs": np.abs, "Neg": np.negative,
    "Sqrt": _rounded(np.sqrt),
    "Log": _rounded(np.log), "Mish": _rounded(lambda v: v * np.tanh(np.logaddexp(0.0, v))),
    "Reciprocal": lambda x: np.asarray(_ONE / x, np.float32), "HardSwish": hard_swish,
    "Sin": _rounded(np.sin), "Cos": _rounded(np.cos),
}  # fmt: skip
"""By operator."""
ROUGH = {"exp", "erf", "softplus", "selu", "log", "mish", "sin", "cos", "tanh", "sigmoid", "elu", "gelu"}
"""Those that engines approximate."""
NAMED: dict[str, Callable[..., Float32]] = {
    "tanh": _rounded(np.tanh), "sigmoid": sigmoid, "elu": elu, "leaky_relu": leaky_relu, "clip": clip,
    "twice": lambda x: x + x, "requantize": lambda x: x,
}  # fmt: skip
"""Functions that engines have operators of their own for, where they follow another function."""
