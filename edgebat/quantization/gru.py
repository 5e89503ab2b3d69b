"""From a float GRU layer to the integer one: weights of 8 bits, and multipliers of so few that every engine agrees."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Array, Float32, Int8, Int32
from edgebat.graph.model import GRU_SCALE, Gru, Tensor
from edgebat.quantization.requant_search import GATE_SCALE, HEAD_BITS, choose_head_scale, quantize_symmetric
from edgebat.students.spec import GruLayer

_MOST = 1 << 21  # of a bias: sums have 24 bits in C


def gru_node(layer: GruLayer, source: Tensor, label: str) -> Gru:
    """The integer layer of ``layer`` behind ``source``, int8 [T, I]; its output is named ``label`` like itself."""
    units = layer.weight_hidden.shape[1]
    alone = np.zeros((3, units))
    alone[2] = layer.bias_hidden
    wx, sx, kx, nx, bias = _gates(layer.weight_input.reshape(3, units, -1), layer.bias.reshape(3, units), source.scale)
    wh, sh, kh, nh, own = _gates(layer.weight_hidden.reshape(3, units, -1), alone, GRU_SCALE)
    return Gru(
        label, (source.name,), label, wx, wh, bias, sx, sh, kx, nx, kh, nh, own[2].copy(), layer.reset_after
    )  # fmt: skip


def _gates(weight: Float32, bias: Array, input_scale: float) -> tuple[Int8, Float32, Int32, Int32, Int32]:
    """int8 weights [3, H, *]; of each gate the weights' scale, the multiplier and the shift; int32 biases [3, H]."""
    peaks = np.abs(weight.astype(np.float64)).reshape(3, -1).max(axis=1) / 127.0
    # Where a bias is large beside the weights, it decides.
    peaks = np.maximum(peaks, np.abs(bias).max(axis=1) / (input_scale * _MOST))
    chosen = [_choose(float(peak), input_scale / GATE_SCALE) for peak in peaks]
    scales = np.array([scale for scale, _, _ in chosen], np.float32)
    k, n = (np.array([entry[part] for entry in chosen], np.int32) for part in (1, 2))
    steps = np.rint(bias / (input_scale * scales.astype(np.float64))[:, None]).astype(np.int32)
    return quantize_symmetric(weight, scales[:, None, None]), scales, k, n, steps


def _choose(natural: float, ratio: float) -> tuple[np.float32, int, int]:
    """(weight scale, k, n) with ``scale * ratio = k * 2**-n`` as for a head; weights too large for it take more bits."""
    real = max(natural * ratio, 2.0**-17)
    if real < 2.0 ** (HEAD_BITS - 1):
        return choose_head_scale(real / ratio, ratio, HEAD_BITS)
    k = int(np.ceil(2.0 * real))
    return np.float32(k / 2.0 / ratio), k, 1
