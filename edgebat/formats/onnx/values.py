"""What a name stands for while a quantized ONNX file of others is read.

ONNX Runtime's tools write quantized models in two ways: operators on integers (QOperator), or float operators between
DequantizeLinear and QuantizeLinear (QDQ), which engines fuse. Both become the same graph: a float operator is kept as a
pending value until its QuantizeLinear says how its output is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array
from edgebat.graph.model import Tensor


@dataclass(frozen=True)
class Quantized:
    """An activation of the graph. Unsigned values of the file are the graph's plus 128.

    channels_first: the file holds [N, C, T]; the graph always [T, C]. order = (C, T): the file flattened [C, T], so
    that its vector is another order of the graph's.
    """

    tensor: Tensor
    unsigned: bool
    channels_first: bool = False
    order: tuple[int, int] | None = None


@dataclass(frozen=True)
class QuantizedConstant:
    """Weights or a bias: int8 or int32 values without zero point, float32 scales [1] or [C] along ``axis``."""

    values: Array
    scale: npt.NDArray[np.float32]
    axis: int


@dataclass(frozen=True)
class RealConstant:
    """A quantized constant that is no weight, as float32 [C]."""

    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dequantized:
    """The float values of a quantized activation."""

    base: Quantized


@dataclass(frozen=True)
class RawInput:
    """The model's float input before it is quantized, with operators that only move data: (op, argument)."""

    name: str
    shape: tuple[int, ...]
    moves: tuple[tuple[str, tuple[int, ...]], ...] = ()


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
class Average:
    """An average over ``size`` positions that is not rounded yet."""

    source: Quantized
    size: int
    stride: int
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Function:
    """An elementwise function of an activation that is not rounded yet."""

    source: Quantized
    name: str
    arguments: tuple[Any, ...] = field(default=())


Pending = Linear | Sum | Average | Function
Value = Quantized | QuantizedConstant | RealConstant | Dequantized | RawInput | Pending
