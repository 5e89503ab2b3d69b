"""The weights of a GRU as other tools keep them, as the layer of ``spec.py``: gate rows in the order r, z, n."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError
from edgebat.students.spec import GruLayer

_ZRN = (1, 0, 2)  # r, z, n out of z, r, n


def gru_from_torch(
    weight_ih: FloatArray, weight_hh: FloatArray, bias_ih: FloatArray | None, bias_hh: FloatArray | None
) -> GruLayer:
    """A layer of ``torch.nn.GRU``: weight_ih [3H, I], weight_hh [3H, H], biases [3H] or None. Raises DataError."""
    return _layer((weight_ih, weight_hh, bias_ih, bias_hh), (0, 1, 2), reset_after=True)


def gru_from_keras(
    kernel: FloatArray, recurrent_kernel: FloatArray, bias: FloatArray | None, *, reset_after: bool = True
) -> GruLayer:
    """A Keras GRU layer: kernel [I, 3H], recurrent_kernel [H, 3H], bias [2, 3H], or [3H] without ``reset_after``.

    Raises DataError.
    """
    given, recurrent = (None, None) if bias is None else (bias[0], bias[1]) if bias.ndim == 2 else (bias, None)
    return _layer((kernel.T, recurrent_kernel.T, given, recurrent), _ZRN, reset_after=reset_after)


def gru_from_onnx(w: FloatArray, r: FloatArray, b: FloatArray | None, *, linear_before_reset: bool = False) -> GruLayer:
    """One direction of an ONNX GRU: W [3H, I], R [3H, H], B [6H] (of the input, then recurrent) or None.

    Raises DataError.
    """
    given, recurrent = (None, None) if b is None else np.split(b, 2)
    return _layer((w, r, given, recurrent), _ZRN, reset_after=linear_before_reset)


def _layer(
    parts: tuple[FloatArray, FloatArray, FloatArray | None, FloatArray | None],
    order: tuple[int, int, int],
    *,
    reset_after: bool,
) -> GruLayer:
    weight_input, weight_hidden = parts[:2]
    units = weight_hidden.shape[-1]
    nothing = np.zeros(3 * units, np.float32)
    bias, recurrent = (nothing if part is None else part for part in parts[2:])
    shapes = [array.shape for array in (weight_input[:, :1], weight_hidden, bias, recurrent)]
    if shapes != [(3 * units, 1), (3 * units, units), (3 * units,), (3 * units,)]:
        seen = [list(part.shape) if part is not None else None for part in parts]
        raise DataError(
            f"the weights of a GRU have shapes {seen}; allowed: 3 gates of H rows, as [3H, I], [3H, H], [3H]"
        )

    def ordered(rows: FloatArray) -> Float32:
        gates = rows.reshape(3, units, -1)[list(order)]
        return np.ascontiguousarray(gates.reshape(rows.shape).astype(np.float32))

    bias, recurrent = ordered(bias), ordered(recurrent)
    if reset_after:
        # Both biases of r and z are added before anything else happens; those of n are not.
        bias = bias + np.concatenate([recurrent[: 2 * units], nothing[:units]])
        own = recurrent[2 * units :]
    else:
        bias, own = bias + recurrent, nothing[:units]
    return GruLayer(ordered(weight_input), ordered(weight_hidden), bias, own, reset_after)
