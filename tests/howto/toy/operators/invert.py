"""An operator without constants, y = -1 - x: the entry that each table of edgebat gets, in the order of CONTRIBUTING.

Where no back end has such an operator it is written with exact ones: a table of 256 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgebat.formats.c.elementwise import lower_lut
from edgebat.formats.onnx.emit import _Emitter
from edgebat.formats.onnx.note import _Decoder
from edgebat.formats.tflite.write import _Writer
from edgebat.graph import Lut, Node, Tensor


@dataclass(frozen=True, eq=False)
class Invert(Node):
    """int8 -> int8: output = -1 - x, which never leaves int8."""

    op: ClassVar[str] = "invert"


def kernel(x: Any) -> Any:
    """What NumPy does: float64 [N, ...] of integers in, the same out."""
    return -1.0 - x


def scalar(values: list[int]) -> list[int]:
    """The same once more, value by value, bit by bit."""
    return [~value for value in values]


def as_table(node: Invert) -> Lut:
    """The operator as one that every back end has."""
    table = kernel(np.arange(-128, 128)).astype(np.int8)
    return Lut(node.name, node.inputs, node.output, "invert", table)


def tflite(writer: _Writer, node: Invert, source: Tensor, target: Tensor) -> None:
    writer.lut(as_table(node), source, target)


def onnx(emitter: _Emitter, node: Invert, source: Tensor, target: Tensor) -> None:
    emitter.lut(as_table(node), source, target)


def onnx_back(decoder: _Decoder) -> Node:
    return Invert(**decoder.common)


def c(low: Any, node: Invert) -> None:
    lower_lut(low, as_table(node))
