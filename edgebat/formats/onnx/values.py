"""What a name stands for while a quantized ONNX file of others is read.

ONNX Runtime's tools write quantized models in two ways: operators on integers (QOperator), or float operators between
DequantizeLinear and QuantizeLinear (QDQ), which engines fuse. Both become the same graph: a float operator is kept as a
pending value until its QuantizeLinear says how its output is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array, IntArray
from edgebat.graph.model import Tensor


@dataclass(frozen=True)
class Quantized:
    """An activation of the graph. Unsigned values of the file are the graph's plus 128.

    channels_first: the file holds [N, C, T]; the graph always [T, C]. order: where each value of the file's vector lies
    in the graph's, when the file flattened [C, T]. merged: the file has the batch of 1 and the time on one axis, [T, C].
    """

    tensor: Tensor
    unsigned: bool
    channels_first: bool = False
    order: tuple[int, ...] | None = None
    merged: bool = False

    def reordered(self, vector: Array) -> Array:
        """A vector of the file's order in that of the graph."""
        if self.order is None:
            return vector
        turned = np.empty_like(vector)
        turned[list(self.order)] = vector
        return turned


@dataclass(frozen=True)
class Loose:
    """Values of ``base`` in a shape of the file that no sequence has: ``places`` says which value lies where.

    real: the float values of integers, between DequantizeLinear and QuantizeLinear.
    """

    base: Quantized
    places: IntArray
    real: bool = False


@dataclass(frozen=True)
class QuantizedConstant:
    """Weights or a bias: int8, int16 or int32 values without zero point, float32 scales [1] or [C] along ``axis``."""

    values: Array
    scale: npt.NDArray[np.float32]
    axis: int


@dataclass(frozen=True)
class RealConstant:
    """A quantized constant that is no weight, as float32."""

    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dequantized:
    """The float values of a quantized activation."""

    base: Quantized


@dataclass(frozen=True)
class RawInput:
    """The model's float input before it is quantized: operators that only move data, (op, argument), and before those
    ``steps`` of its normalization, (op, constant)."""

    name: str
    shape: tuple[int, ...]
    moves: tuple[tuple[str, tuple[int, ...]], ...] = ()
    steps: tuple[tuple[str, Array], ...] = ()


@dataclass(frozen=True)
class Linear:
    """A dense layer or convolution whose output is not rounded yet; ``low`` and ``high`` are real bounds (ReLU).

    weight is in the graph's layout: [O, I] dense, [O, K, C] convolution, [K, C] depthwise.
    """

    kind: str
    source: Quantized
    weight: npt.NDArray[np.int8]
    weight_scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Sum:
    """An addition of two activations that is not rounded yet; ``fused``: one operator on integers in the file."""

    sources: tuple[Quantized, Quantized]
    fused: bool = False
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Product:
    """A product of two activations that is not rounded yet; the second one may gate channels, time steps or the window."""

    sources: tuple[Quantized, Quantized]
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Average:
    """An average over ``size`` positions that is not rounded yet; flat: without the axis of time afterwards.

    total: their sum. moves: what moves its values afterwards.
    """

    source: Quantized
    size: int
    stride: int
    flat: bool = False
    low: float = -np.inf
    high: float = np.inf
    total: bool = False
    moves: tuple[Callable[[Any], Quantized | Loose], ...] = ()


@dataclass(frozen=True)
class Function:
    """An elementwise function of an activation that is not rounded yet.

    name: a method of the rounding, which takes ``arguments``; or ``compute`` gives float32 [C, 256] or [256] of the real
    values of all integers, rough: by approximations of the engine's own. moves: what moves its values afterwards.
    """

    source: Quantized
    name: str
    arguments: tuple[Any, ...] = field(default=())
    compute: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None
    rough: bool = False
    moves: tuple[Callable[[Any], Quantized | Loose], ...] = ()


@dataclass(frozen=True)
class Softmax:
    """A softmax over the last axis that is not rounded yet."""

    source: Quantized


@dataclass(frozen=True)
class Pool:
    """An average over windows in float32, that is not rounded yet; sizes as those of `FloatPool1D`."""

    source: Quantized
    size: int
    stride: int
    padding: tuple[int, int]
    count_padding: bool


@dataclass(frozen=True)
class Joined:
    """Activations beside each other that are brought to the scale of the output when it is known; steps: behind each other
    in time."""

    parts: tuple[Quantized, ...]
    steps: bool = False


Pending = Linear | Sum | Product | Average | Function | Softmax | Pool | Joined
Value = Quantized | Loose | QuantizedConstant | RealConstant | Dequantized | RawInput | Pending
