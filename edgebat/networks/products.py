"""Products of two layers after training: the output scale for which a multiply and shift is proven equal to float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.formats.rounding import agrees, float_engine, real_multiplier
from edgebat.graph.model import MOST_PRODUCT, Requant, Tensor
from edgebat.quantization.ptq import activation_limits

_BITS = 30
"""Of the largest product times the multiplier; rounding adds less than one."""
_TRIES = 200


def product_requant(
    sources: tuple[Tensor, Tensor], target: Tensor, activation: str = "none"
) -> tuple[Requant, Tensor, bool]:
    """Requantization of a product, the target with a scale a little above its own, and whether it is proven exact.

    That scale is such that products are multiplied by k * 2**-n all but exactly, as a weight scale is chosen elsewhere.
    """
    product = sources[0].scale * sources[1].scale
    limit = 1 << MOST_PRODUCT.bit_length()
    shift = min(_BITS - int(np.ceil(np.log2(limit * product / target.scale))), 30)
    first = max(int(product / target.scale * 2.0**shift), 1)
    for k in range(first, max(first - _TRIES, 0), -1):
        tensor = replace(target, scale=float(np.float32(product * 2.0**shift / k)))
        real = real_multiplier(sources[0].scale, np.array([sources[1].scale], np.float32), tensor.scale)
        multiply, shifts, limits = (np.array([value], np.int32) for value in (k, shift, limit))
        bounds = activation_limits(activation, tensor)
        requant = Requant("shift", tensor.zero_point, *bounds, multiply, shifts, limits, real)
        if agrees(requant, float_engine(real), np.array([MOST_PRODUCT])).all():
            return requant, tensor, True
    return requant, tensor, False
