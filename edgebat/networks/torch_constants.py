"""What operators of ATen make of constants alone: states that begin at zero, and weights that are stored as something else.

``weight_norm`` (Salimans and Kingma, 2016, equation 2), as most temporal convolutional networks have it, keeps a direction
and a length; ``spectral_norm`` a matrix and its singular vectors. In evaluation mode both are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.networks.constants import allowed, of_two


def constant(operator: str, arguments: dict[str, Any]) -> Array:
    """The result of ``operator``.

    Raises KeyError for an operator that is not known here; ValueError, TypeError, IndexError for arguments that do not fit.
    """
    if operator in ("zeros", "ones", "full", "zeros_like", "new_zeros"):
        sizes = [max(int(size), 1) for size in arguments.get("size", [])]
        value = {"ones": 1.0}.get(operator, float(arguments.get("fill_value", 0.0)))
        return np.full(allowed(sizes), value, np.float32)
    given = [value for key, value in arguments.items() if key not in ("dtype", "device", "pin_memory", "memory_format")]
    return np.asarray(_OPERATORS[operator](*given))


def _norm_except(v: Array, dim: int) -> Array:
    """Length of ``v`` over all axes but ``dim``; over all of them for -1."""
    axes = tuple(axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim)
    return np.asarray(np.sqrt(np.sum(v.astype(np.float64) ** 2, axis=axes, keepdims=True)))


def _weight_norm(v: Array, g: Array, dim: int = 0) -> Array:
    length = _norm_except(v, dim)
    allowed(np.broadcast_shapes(v.shape, g.shape))
    if not length.all():
        raise ValueError("a direction of length 0")
    return np.asarray(v * (g / length))


def _flatten(a: Array, start: int = 0, end: int = -1) -> Array:
    start, end = start % a.ndim, end % a.ndim
    return a.reshape(*a.shape[:start], -1, *a.shape[end + 1 :])


_OPERATORS: dict[str, Callable[..., Any]] = {
    "_weight_norm": _weight_norm,
    "norm_except_dim": lambda v, power=2, dim=0: _norm_except(v, dim),
    "mul": of_two(np.multiply), "div": of_two(np.divide), "add": of_two(np.add), "sub": of_two(np.subtract),
    "mv": np.matmul, "dot": np.matmul, "vdot": np.matmul, "matmul": np.matmul, "mm": np.matmul,
    "exp": np.exp, "sqrt": np.sqrt, "neg": np.negative, "abs": np.abs, "softplus": lambda a: np.logaddexp(0.0, a),
    "flatten": _flatten, "view": np.reshape, "reshape": np.reshape, "t": np.transpose, "permute": np.transpose,
    "transpose": np.swapaxes, "unsqueeze": np.expand_dims, "squeeze": np.squeeze,
    "select": lambda a, dim, index: np.take(a, index, dim),
    **dict.fromkeys(("detach", "clone", "alias", "to", "_to_copy", "lift_fresh_copy", "contiguous"), lambda a, *_: a),
}  # fmt: skip
