"""From the requantization of a graph to the constants the C kernels round with, proven to give the same integers.

The kernels never clip an accumulator and never multiply in 64 bits. Two exact forms are prepared (see
``firmware_stubs/include/edgebat_tables.h``); this module checks that both hold for every accumulator a layer can
reach, with the weights it really has.
"""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Int64
from edgebat.errors import ModelFileError
from edgebat.formats.c.tables import Rounding
from edgebat.graph.model import Requant

INT32_LIMIT = 2**31


def lower_requant(where: str, requant: Requant, reach: Int64) -> Rounding:
    """Constants for accumulators of at most ``reach`` [C] in magnitude; ``where`` names the node in errors.

    Raises ModelFileError when the rounding has no exact form in 32 bits: kinds "float" and "double" (graphs read from
    other tools' files), or multipliers so far apart or so large that the products leave 32 bits.
    """
    if requant.kind != "shift":
        raise ModelFileError(
            f"{where}: requantization kind {requant.kind!r} cannot be written as C; allowed: 'shift'. "
            "Files of other tools keep the scales of those tools: edgebat runs them, and exports --to tflite,onnx. For C, "
            "quantize the float model with edgebat (edgebat.quantization), which chooses scales that 32 bits can express"
        )
    k = requant.multiplier.astype(np.int64)
    shift = requant.shift.astype(np.int64)
    _check_clamp(where, requant, reach)
    n = int(shift.max())
    if int((n - shift).max()) > 31 or int(k.max()) << int((n - shift).max()) >= 2**62:
        raise ModelFileError(f"{where}: channel shifts from {int(shift.min())} to {n} lie too far apart for one layer")
    # A single channel's k and n mean the same after both are raised, so that the layer shares one n.
    common = k << (n - shift)
    largest = max(int(common.max()), 1)
    up = max(largest.bit_length() - (n - 1), 0)
    if n < 2 or n > 32 or up > 8 or n + up > 32 or int(reach.max()) << up >= INT32_LIMIT:
        raise ModelFileError(
            f"{where}: multiplier {largest} * 2**-{n} is outside what one 32-bit multiplication can do"
        )
    split = min(32 - largest.bit_length(), n - 1)
    half = (1 << (n - split - 1)) + (abs(requant.zero_point) << (n - split))
    worst = ((reach >> split) + 1) * common + common + half
    if split < 0 or largest >= INT32_LIMIT or int(worst.max()) >= INT32_LIMIT:
        raise ModelFileError(
            f"{where}: accumulators up to {int(reach.max())} times multiplier {largest} * 2**-{n} leave 32 bits; "
            "quantize the model again with edgebat, or with a coarser output scale"
        )
    return Rounding(n, split, up, requant.zero_point, tuple(int(v) for v in common))


def _check_clamp(where: str, requant: Requant, reach: Int64) -> None:
    """The kernels leave the clamp of accumulators out; refuse the model where that would show."""
    for channel, limit in enumerate(requant.clamp.astype(np.int64)):
        if limit == 0 or limit >= reach[channel]:
            continue
        k, n = int(requant.multiplier[channel]), int(requant.shift[channel])
        ends = [((int(limit) * sign * k + (1 << (n - 1))) >> n) + requant.zero_point for sign in (-1, 1)]
        if ends[0] > requant.minimum or ends[1] < requant.maximum:
            raise ModelFileError(
                f"{where}: channel {channel} clips accumulators at {int(limit)}, which gives outputs {ends[0]} to "
                f"{ends[1]} inside the allowed {requant.minimum} to {requant.maximum}; C needs a clamp that saturates"
            )
