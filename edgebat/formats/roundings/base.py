"""What a rounding answers: how an engine brings the sums and values of each operator to int8."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edgebat.arrays import Float32, Float64, Int8, Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import average_multiplier, float_requant, real_multiplier
from edgebat.formats.tflite.rules import LUT_FUNCTIONS, float_table, function_table
from edgebat.graph.arithmetic import quantize_multiplier, requantize_double, requantize_float
from edgebat.graph.model import MOST_PRODUCT, Requant, Tensor
from edgebat.runtime.kernels import build_requant

Bounds = tuple[int, int]
Compute = Callable[[Float32], Float32]
Operand = tuple[Int64, float, int]
"""Integers that broadcast to [C, 256], their scale and their zero point."""
VALUES: Int64 = np.arange(-128, 128)
"""Every int8 value, in the order of a table."""
NEGATIVE: Int8 = (-VALUES - 1).astype(np.int8)
"""The table of ``-x``, whose zero point goes with it: all 256 integers have a place."""
PRODUCTS: Int64 = np.arange(-MOST_PRODUCT, MOST_PRODUCT + 1)
"""Every product of two int8 values less their zero points, and more."""
MAX_SUMS = 1 << 24
_DOUBT = 1e-4
"""Of a step: far above what approximations in float32 are wrong by."""


@dataclass(frozen=True)
class Constant:
    """A quantized constant of one value a channel: ``steps`` int64 [C] are its integers less its zero point."""

    steps: Int64
    scale: float


@dataclass(frozen=True)
class Summands:
    """An addition as ``a[x + 128] + b[y + 128]``, int64 [256] each, and what the engine makes of their sums."""

    a: Int64
    b: Int64
    outputs: Int64
    """[256, 256], without clipping."""


class Rounding(ABC):
    """One engine's arithmetic. Tables are int8 [256], one entry for every int8 input."""

    name: str
    engine: str
    """As tables and files name it."""

    def linear(self, source_scale: float, weight_scale: Float32, target: Tensor, bounds: Bounds) -> Requant:
        """Of a dense layer or convolution with weight scales [C]: ``F``."""
        return float_requant(real_multiplier(source_scale, weight_scale, target.scale), target.zero_point, *bounds)

    def mean(self, source: Tensor, size: int, target: Tensor, bounds: Bounds) -> Requant:
        """Of an average over ``size`` positions, on ``sum - size * source.zero_point``."""
        return self._average(source, size, target, bounds, lambda sums: self.mean_outputs(source, size, target, sums))

    def pool(self, source: Tensor, size: int, target: Tensor, bounds: Bounds) -> Requant:
        """Of TFLite's AVERAGE_POOL_2D: raw integers divided, halves away from zero, in every engine of TFLite files."""

        def outputs(sums: Int64) -> Int64:
            raw = sums + size * source.zero_point
            return np.asarray(np.sign(raw) * ((np.abs(raw) + size // 2) // size))

        return self._average(source, size, target, bounds, outputs)

    def _average(
        self, source: Tensor, size: int, target: Tensor, bounds: Bounds, outputs: Callable[[Int64], Int64]
    ) -> Requant:
        """``F`` where that is the same for every sum, which all formats can store; else steps."""
        low, high = size * (-128 - source.zero_point), size * (127 - source.zero_point)
        if high - low > MAX_SUMS:
            raise ModelFileError(
                f"an average over {size} positions has more than {MAX_SUMS} sums; use a shorter window"
            )
        sums = np.arange(low, high + 1)
        wanted = np.clip(outputs(sums), *bounds)
        plain = float_requant(average_multiplier(source.scale, size, target.scale), target.zero_point, *bounds)
        if np.array_equal(np.clip(requantize_float(sums, plain.scale) + target.zero_point, *bounds), wanted):
            return plain
        return steps(sums, wanted, plain)

    @abstractmethod
    def mean_outputs(self, source: Tensor, size: int, target: Tensor, sums: Int64) -> Int64:
        """What becomes of ``sums`` of ``size`` values less their zero points, without clipping."""

    @abstractmethod
    def add(
        self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds, middle: int = 0
    ) -> tuple[IntArray, Requant]:
        """The multipliers of an `Add` node and its requantization; middle: 128 where the file's integers are uint8."""

    def float_add(self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds) -> tuple[IntArray, Requant]:
        """The same of an addition that stands between DequantizeLinear and QuantizeLinear in an ONNX file."""
        return self.add(sources, target, bounds)

    def twice(self, source: Tensor, target: Tensor) -> Int8:
        """The table of ``x + x``, of one value added to itself."""
        multipliers, requant = self.add((source, source), target, (-128, 127))
        if requant.kind == "steps":
            sums = multipliers.reshape(2, 256).sum(axis=0)
        else:
            sums = (VALUES - source.zero_point) * int(multipliers.sum())
        return as_int8(build_requant(requant)(sums))

    def square(self, source: Tensor, target: Tensor) -> Int8:
        """The table of ``x * x``, of one value times itself."""
        values = VALUES - source.zero_point, source.scale
        return self.product(values, values, target)

    @abstractmethod
    def requantize(self, source: Tensor, target: Tensor) -> Int8:
        """The table of a change of scale and zero point."""

    @abstractmethod
    def leaky_relu(self, source: Tensor, target: Tensor, alpha: float) -> Int8:
        """The table of ``x if x >= 0 else alpha * x``."""

    def real(self, source: Tensor, target: Tensor, compute: Compute, *, rough: bool) -> Int8:
        """The table [256], or [C, 256], of a float32 function between two quantizations.

        Raises ModelFileError when a ``rough`` value lies so near to the middle of two steps that engines could differ.
        """
        reals = compute(dequantized(source))
        if not np.isfinite(reals).all():
            raise ModelFileError("its values are not finite for every input; limit its input before")
        return nearest(reals, target, rough=rough)

    def clip(self, source: Tensor, target: Tensor, low: float, high: float) -> Int8:
        """The table of a limitation to real bounds, which stands alone."""
        return function_table(lambda x: np.clip(x, low, high), source, target)

    def relu(self, source: Tensor, target: Tensor, low: float, high: float) -> Int8:
        """The table of a ReLU that stands alone, by ``D`` in every engine of TFLite files."""
        scaled = requantize_double(VALUES - source.zero_point, *quantized(source.scale / target.scale))
        first, last = (
            target.zero_point + int(np.rint(np.clip(np.float32(end) / np.float32(target.scale), -1e6, 1e6)))
            for end in (low, high)
        )
        return as_int8(np.clip(scaled + target.zero_point, first, last))

    def product(self, a: tuple[Int64, float], b: tuple[Int64, float], target: Tensor) -> Int8:
        """The table of a product of steps of two scales, both given for every integer."""
        raise ModelFileError(f"edgebat knows no products in the rounding {self.name}; choose another")

    def gate(self, sources: tuple[Tensor, Tensor], target: Tensor, bounds: Bounds, middle: int = 0) -> Requant:
        """Of a product of two tensors, on ``(a - zero_a) * (b - zero_b)``; middle as in `add`."""
        outputs = self.gate_outputs(sources, target, middle).astype(np.int64)
        zeros = np.zeros(1, np.int32)
        plain = Requant("float", target.zero_point, *bounds, zeros, zeros, zeros, np.ones(1, np.float32))
        return steps(PRODUCTS, np.clip(outputs, *bounds), plain)

    def gate_outputs(self, sources: tuple[Tensor, Tensor], target: Tensor, middle: int) -> Int8:
        """What becomes of every product of `PRODUCTS`."""
        return self.product((PRODUCTS, sources[0].scale), (np.ones(1, np.int64), sources[1].scale), target)

    def multiply(self, source: Tensor, constant: Constant, target: Tensor) -> Int8:
        """The tables [C, 256] of a product with one constant a channel."""
        raise ModelFileError(f"edgebat knows no products with constants in the rounding {self.name}; choose another")

    def add_constant(self, source: Tensor, constant: Constant, target: Tensor, sign: int = 1) -> Int8:
        """The tables [C, 256] of a sum with one constant a channel; ``sign`` -1: of the difference."""
        raise ModelFileError(f"edgebat knows no sums with constants in the rounding {self.name}; choose another")

    def fused_sum(self, source: Tensor, target: Tensor, a: Operand, b: Operand, middle: int) -> Int8:
        """The table of ONNX's QLinearAdd of ``a`` and ``b``, both given for every integer of ``source``."""
        raise ModelFileError(f"edgebat knows no QLinearAdd in the rounding {self.name}; choose onnxruntime")

    def fused_product(self, source: Tensor, target: Tensor, a: Operand, b: Operand, middle: int) -> Int8:
        """The same of QLinearMul."""
        raise ModelFileError(f"edgebat knows no QLinearMul in the rounding {self.name}; choose onnxruntime")

    def prelu(self, source: Tensor, constant: Constant, target: Tensor) -> Int8:
        """The tables [C, 256] of ``x if x >= 0 else constant * x``, by ``D`` in every engine of TFLite files."""
        x = VALUES - source.zero_point
        ratio = source.scale / target.scale
        rising = requantize_double(x, *quantized(ratio))
        falling = requantize_double(x * constant.steps[:, None], *quantized(ratio * constant.scale))
        return as_int8(np.where(x >= 0, rising, falling) + target.zero_point)

    def tanh(self, source: Tensor, target: Tensor) -> Int8:
        """The table of tanh."""
        return float_table(LUT_FUNCTIONS["TANH"].compute, source, target)

    def sigmoid(self, source: Tensor, target: Tensor) -> Int8:
        """The table of the logistic function."""
        return float_table(LUT_FUNCTIONS["LOGISTIC"].compute, source, target)


def steps(sums: Int64, outputs: Int64, plain: Requant, dtype: type[np.signedinteger] = np.int32) -> Requant:
    """The requantization "steps" that gives ``outputs`` for ``sums``; zero point and bounds of ``plain``.

    Raises ModelFileError when larger sums do not give larger outputs.
    """
    order = np.lexsort((outputs, sums))
    sums, outputs = sums[order], outputs[order]
    if (np.diff(outputs) < 0).any():
        raise ModelFileError("its rounding does not follow from the sum alone; choose scales that are further apart")
    levels = np.arange(plain.minimum + 1, plain.maximum + 1)
    first = np.searchsorted(outputs, levels)
    # Two equal sums with different outputs cannot both be right.
    inside = first[(first > 0) & (first < len(sums))]
    if (sums[inside] == sums[inside - 1]).any():
        raise ModelFileError("its rounding does not follow from the sum alone; choose scales that are further apart")
    never = np.iinfo(dtype).max
    thresholds = np.where(first < len(sums), sums[np.minimum(first, len(sums) - 1)], never)
    # What the smallest sum reaches is reached by all.
    thresholds = np.where(first == 0, -never, thresholds).astype(dtype)
    none = np.zeros(0, np.int32)
    return replace(plain, kind="steps", multiplier=thresholds, shift=none, clamp=none)


def sum_by_steps(summands: Summands, target: Tensor, bounds: Bounds) -> tuple[IntArray, Requant]:
    """An addition as summands and steps of their sum: in 32 bits where those are enough, else in 64.

    Raises ModelFileError where these are not.
    """
    largest = int(max(np.abs(summands.a).max(), np.abs(summands.b).max(), 1))
    excess = max(largest.bit_length() - 29, 0)
    zeros, one = np.zeros(1, np.int32), np.ones(1, np.float32)
    plain = Requant("float", target.zero_point, *bounds, zeros, zeros, zeros, one)
    outputs = np.clip(summands.outputs, *bounds).ravel()
    try:
        a, b = ((part + ((1 << excess) >> 1)) >> excess for part in (summands.a, summands.b))
        return np.concatenate([a, b]).astype(np.int32), steps((a[:, None] + b).ravel(), outputs, plain)
    except ModelFileError:
        sums = (summands.a[:, None] + summands.b).ravel()
        return np.concatenate([summands.a, summands.b]), steps(sums, outputs, plain, np.int64)


def dequantized(source: Tensor) -> Float32:
    """float32 [256]: the real values of all integers of ``source``."""
    return (VALUES - source.zero_point).astype(np.float32) * np.float32(source.scale)


def nearest(reals: Float32, target: Tensor, *, rough: bool = False) -> Int8:
    """float32 values as integers of ``target``, halves to even; raises as `Rounding.real`."""
    steps = np.clip(reals / np.float32(target.scale), -1e6, 1e6)
    inside = steps[np.abs(steps) < 256]
    if rough and (np.abs(inside - np.floor(inside) - 0.5) < _DOUBT).any():
        raise ModelFileError(
            "one of its values lies in the middle of two steps, where engines round as their approximations fall; calibrate "
            "the model again with other windows"
        )
    return as_int8(np.rint(steps).astype(np.int64) + target.zero_point)


def elu_table(source: Tensor, target: Tensor) -> Int8:
    """The table of ELU, which engines compute in float32 by approximations of their own.

    Raises ModelFileError when a value lies so near to the middle of two steps that they could differ.
    """
    x = (VALUES - source.zero_point) * source.scale
    steps = np.where(x >= 0, x, np.expm1(np.minimum(x, 0.0))) / target.scale
    inside = np.abs(steps) < 256
    if (np.abs(steps[inside] - np.floor(steps[inside]) - 0.5) < _DOUBT).any():
        raise ModelFileError("engines could round one of its 256 values differently; calibrate the model again")
    return as_int8(np.rint(np.clip(steps, -1e6, 1e6)) + target.zero_point)


def quantized(real: float) -> tuple[int, int]:
    """Q31 multiplier and exponent of ``real``. Raises ModelFileError when it is out of any use."""
    if not real < 2.0**16:
        raise ModelFileError(f"its scales are {real} times apart; allowed: below 65536")
    return quantize_multiplier(real)


def as_int8(values: Float64 | Int64 | Float32) -> Int8:
    """``values`` clipped to int8."""
    return np.asarray(np.clip(values, -128, 127), np.int8)
