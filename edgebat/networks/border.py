"""Engineering integers at the border of a user's network: which integer stands for which real value, by column.

The constants are those of every model (docs/quantization-spec.md, section 2). Multipliers are rounded first and the network
is folded to what they stand for, so that rounding them costs nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.graph.model import Tensor
from edgebat.networks.fold import folded, leading_scale, simplified, takes_offset, with_input_scale
from edgebat.networks.layers import FloatNetwork
from edgebat.quantization.observers import affine, observe
from edgebat.quantization.ptq import HEAD_SCALE, QuantizeOptions
from edgebat.students.spec import INPUT_STEP

MAX_SHIFT = 40
MULTIPLIER_BITS = 15
MOST_INTEGER = 1 << 31
SMALLEST = 1e-9
"""Largest values of a column that varies."""
LEVELS = 256
"""Integers that the spread of a column stands for, at least, when no unit is given."""
DEFAULT_STEPS = 10_000
"""Integers that the largest value of a column stands for, at least, when no unit is given."""


@dataclass(frozen=True)
class Unit:
    """``scale`` of ``name`` is one: (0.001, "V") for millivolts."""

    scale: float
    name: str

    @property
    def text(self) -> str:
        """As users write it."""
        return f"{self.scale:.12g} {self.name}".strip()


def parse_unit(text: str) -> Unit:
    """A unit as "0.001 V", "0.1 degC", "V" or "0.001". Raises RecipeError."""
    match = re.fullmatch(r"\s*([-+.\deE]*)\s*(.*?)\s*", text)
    number, name = match.groups() if match and text.isprintable() else ("", "")
    try:
        scale = float(number) if number else 1.0
    except ValueError:
        scale = math.nan
    if not (math.isfinite(scale) and scale > 0) or not (number or name):
        raise RecipeError(f"unit {text!r} is no number above 0 with a name; allowed: '0.001 V', '0.1 degC', '0.01 %'")
    return Unit(scale, name)


def units_of(texts: Sequence[str], values: Array, what: str) -> list[Unit]:
    """A unit for each column of ``values`` [N, C]: those given, one for all, or powers of ten that fit the values.

    Raises RecipeError for another number of units.
    """
    columns = values.shape[-1]
    if len(texts) > 1 and len(texts) != columns:
        raise RecipeError(f"{len(texts)} units for {columns} {what}; give one for all, or one for each, in their order")
    if texts:
        given = [parse_unit(text) for text in texts]
        return given * columns if len(given) == 1 else given
    flat = values.reshape(-1, columns)
    largest, spread = np.abs(flat).max(axis=0), np.ptp(flat, axis=0)
    largest = np.where(largest > 0, np.maximum(largest, 1e-12), 1.0)
    step = largest / DEFAULT_STEPS
    step = np.where(spread > largest * 1e-6, np.minimum(step, spread / LEVELS), step)
    return [Unit(10.0 ** math.floor(math.log10(v)), "") for v in step.tolist()]


@dataclass(frozen=True, eq=False)
class InputBorder:
    """The network as it reads the input tensor, that tensor, and the border's constants; warnings for users."""

    network: FloatNetwork
    tensor: Tensor
    meta: Json
    warnings: tuple[str, ...]


def input_border(network: FloatNetwork, x: Array, units: Sequence[Unit], options: QuantizeOptions) -> InputBorder:
    """Ranges of the columns of calibration windows x [N, *shape], as the first layers can take them.

    Where they are linear each column has a range of its own, folded into their weights; where they pad with zeros it
    contains zero; elsewhere all columns share one.
    """
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    for column, (unit, largest) in enumerate(zip(units, np.abs(flat).max(axis=0).tolist(), strict=True)):
        if largest >= MOST_INTEGER * unit.scale or 0 < largest < SMALLEST:
            raise RecipeError(
                f"column {column} of the input reaches {largest:g}, {largest / unit.scale:.3g} of its unit {unit.text}; "
                f"allowed: {SMALLEST:g} and more, and below {MOST_INTEGER:.3g} of it. Give another unit, or scale the column"
            )
    network, factor, base = leading_scale(simplified(network))
    network, seen = folded(network), flat * factor + base
    # One integer more is so much more of what the first layer reads.
    scale = np.array([unit.scale for unit in units]) * factor
    by_column, with_offset = takes_offset(network)
    centre = (seen.min(axis=0) + seen.max(axis=0)) / 2 if by_column and with_offset else np.zeros(len(units))
    offset = np.rint((centre - base) / scale)
    zero_value = offset * scale + base if by_column and with_offset else centre
    ranges = np.array([observe(column, options.method, options.percentile) for column in (seen - zero_value).T])
    low, high = ranges.T
    smallest = np.maximum(scale, np.abs(zero_value) * 1e-3)
    constant = np.ptp(flat, axis=0) == 0
    low, high = (
        np.where(constant, np.minimum(low, -smallest), low),
        np.where(constant, np.maximum(high, smallest), high),
    )
    warnings = tuple(
        f"column {c} of the input is {flat[0, c]:g} in all calibration windows; other values will be clipped"
        for c in np.flatnonzero(constant)
    )
    zero = _zero_point(low, high)
    if by_column:
        step = np.maximum(high / max(127 - zero, 1e-9), -low / max(zero + 128, 1e-9))
        multiplier, shift = _whole(scale / np.maximum(step, 1e-30), np.floor)
        network = with_input_scale(network, scale * 2.0**shift / multiplier / INPUT_STEP, zero_value)
        tensor = Tensor("input", network.shape, "int8", INPUT_STEP, zero)
    else:
        common, zero = affine(float(low.min()), float(high.max()))
        multiplier, shift = _whole(scale / common, np.rint)
        tensor = Tensor("input", network.shape, "int8", common, zero)
    meta: Json = {
        "unit": _joined(units), "offset": offset.astype(int).tolist(), "multiplier": multiplier.astype(int).tolist(),
        "shift": shift, "units": [{"scale": unit.scale, "name": unit.name} for unit in units],
    }  # fmt: skip
    return InputBorder(network, tensor, meta, warnings)


def _zero_point(low: Array, high: Array) -> int:
    """The int8 zero point with which the columns' ranges [low, high] need the smallest steps, in geometric mean."""
    best, chosen = np.inf, 0
    for zero in range(-128, 128):
        steps = np.maximum(high / max(127 - zero, 1e-9), -low / max(zero + 128, 1e-9))
        size = float(np.log(np.maximum(steps, 1e-300)).sum())
        if size < best - 1e-12:
            best, chosen = size, zero
    return chosen


def _whole(gain: Array, rounding: np.ufunc) -> tuple[Array, int]:
    """``gain`` as integers of at most 15 bits with one common shift of 1 to 40. Raises RecipeError."""
    shift = int(np.clip(MULTIPLIER_BITS - 1 - np.floor(np.log2(gain.max())), 1, MAX_SHIFT))
    whole = rounding(gain * 2.0**shift)
    if whole.max() > 1 << MULTIPLIER_BITS or not whole.any():
        size = "larger" if whole.any() else "smaller"
        raise RecipeError(
            f"a unit is far {size} than what it is for varies by; give one of which that is 100 to 100000"
        )
    return np.maximum(whole, 1.0), shift


def _joined(units: Sequence[Unit]) -> str:
    texts = [unit.text for unit in units]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


@dataclass(frozen=True, eq=False)
class OutputBorder:
    """Mean and deviation [O] that the last layer is normalized by, where it becomes an int16 head, and the constants."""

    mean: Float64
    std: Float64
    meta: list[Json]


def output_border(
    y: Array,
    units: Sequence[Unit],
    names: Sequence[str],
    shape: tuple[int, ...],
    tensor: Tensor | None,
    *,
    centred: bool,
    smallest: Array | float = 0.0,
) -> OutputBorder:
    """Constants for outputs y [N, O] of the calibration windows; ``tensor``: the int8 output of a network without a head.

    centred: the head may subtract a mean; one that ends in a ReLU may not. smallest: deviations [O] that the head's
    requantization can still express.
    """
    outputs = y.shape[1]
    scale = np.array([unit.scale for unit in units])
    each = len(names) == outputs
    if tensor is not None:
        mean, gain = np.zeros(outputs), tensor.scale / scale
        offset = np.rint(-tensor.zero_point * gain)
        std = np.ones(outputs)
    else:
        offset = np.rint((y.min(axis=0) + y.max(axis=0)) / 2 / scale) if centred else np.zeros(outputs)
        # A head covers 8 deviations either way; what was seen shall use half of that.
        wanted = np.maximum(np.abs(y - offset * scale).max(axis=0) / 4.0, np.maximum(scale * HEAD_SCALE, smallest))
        gain, mean, std = wanted * HEAD_SCALE / scale, offset * scale, wanted
    if not each:
        gain, offset = np.full(outputs, gain.max()), np.full(outputs, np.rint(offset.mean()))
    heads: list[Json] = []
    for index, name in enumerate(names):
        (multiplier,), shift = _whole(gain[index : index + 1], np.rint)
        size = 1 if each else outputs
        chosen = slice(index, index + size)
        heads.append({
            "name": name, "index": index, "size": size, "unit": units[index].text, "multiplier": int(multiplier),
            "shift": shift, "offset": int(offset[index]), "scale": units[index].scale, "unit_name": units[index].name,
            **({"shape": list(shape)} if not each else {}),
        })  # fmt: skip
        if tensor is None:
            std[chosen] = multiplier * 2.0**-shift / HEAD_SCALE * scale[chosen]
            mean[chosen] = offset[index] * scale[chosen]
    return OutputBorder(mean, std, heads)
