"""The integer graph: one quantized model, the same integers in NumPy, TFLite, ONNX and C.

A graph has one input and one output and a list of nodes in executing order. Activations are laid out channels last
(``[T, C]`` for sequences, ``[C]`` after flattening); shapes never contain the batch dimension. Every node names its
input tensors and its output tensor; what a node computes is written down in ``edgebat/runtime/kernels.py``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from edgebat.arrays import Float32, Int8, Int32, Int64
from edgebat.graph.arithmetic import INT32_MAX

MOST_PRODUCT = 255 * 255
"""The largest magnitude of a product of two int8 values less their zero points."""
GRU_SCALE = 2.0**-7
"""Of a GRU's output, the upper byte of its state."""


@dataclass(frozen=True)
class Tensor:
    """An activation: per-sample ``shape``, ``dtype`` ("int8" or "int16"), ``scale`` (> 0) and ``zero_point``.

    real value = (integer - zero_point) * scale. The scale is a float32 value held as Python float.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Requant:
    """How int32 accumulators become outputs; one entry per output channel.

    kind "shift": ``((clip(acc, -clamp, clamp) * multiplier + 2**(shift-1)) >> shift) + zero_point`` (ours; clamp 0 =
    none); ``wide`` says that the product needs 64 bits. kind "float": ``rint(float32(acc) * scale) + zero_point``
    (ONNX Runtime, XNNPACK). kind "double": TFLite Micro, ``multiplier`` Q31 and ``shift`` = exponent. kind "steps", of
    averages, sums and products in models of others: ``minimum`` plus the number of thresholds in ``multiplier``
    [maximum - minimum] that the accumulator reaches; ``shift`` and ``clamp`` are empty.
    The result is clipped to [minimum, maximum], which also carries a fused ReLU.
    """

    kind: str
    zero_point: int
    minimum: int
    maximum: int
    multiplier: Int32
    shift: Int32
    clamp: Int32
    scale: Float32
    wide: bool = False


@dataclass(frozen=True, eq=False)
class Node:
    """Base of all operators: names of input tensors and of the output tensor."""

    op: ClassVar[str] = ""
    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Weighted(Node):
    """Base of operators that multiply with a matrix: bias int32 [O] and weight_scale float32 [O], O output channels."""

    weight: Int8
    bias: Int32
    weight_scale: Float32
    requant: Requant


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """acc[o] = sum_i (x[i] - zp_in) * weight[o, i] + bias[o]; input [I] or [T, I], output [O] or [T, O].

    weight int8 [O, I]. An int16 output makes it a head (see Requant).
    """

    op: ClassVar[str] = "dense"


@dataclass(frozen=True, eq=False)
class Convolution(Weighted):
    """Base of 1-D convolutions (cross-correlation) over [T, C].

    ``padding`` = (left, right) positions that count as the input's zero point; ``stride`` and ``dilation`` >= 1.
    """

    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Conv1D(Convolution):
    """1-D convolution of all channels: weight int8 [O, K, C]."""

    op: ClassVar[str] = "conv1d"


@dataclass(frozen=True, eq=False)
class DepthwiseConv1D(Convolution):
    """Depthwise 1-D convolution: weight int8 [K, C], one filter per channel."""

    op: ClassVar[str] = "depthwise_conv1d"


@dataclass(frozen=True, eq=False)
class MaxPool1D(Node):
    """Maximum over windows of ``size`` positions, step ``stride``, of [T, C]; no padding; scale unchanged."""

    op: ClassVar[str] = "max_pool1d"
    size: int
    stride: int


@dataclass(frozen=True, eq=False)
class Pad1D(Node):
    """``padding`` = (left, right) rows of the integer ``value`` around [T, C], or so many rows cut off where negative."""

    op: ClassVar[str] = "pad1d"
    padding: tuple[int, int]
    value: int


@dataclass(frozen=True, eq=False)
class MeanPool1D(Node):
    """Mean of those positions of each window that lie within [T, C], as TFLite's AVERAGE_POOL_2D; scale unchanged.

    Windows of ``size`` positions, step ``stride``, begin ``padding[0]`` positions before the sequence and end at most
    ``padding[1]`` behind it. The sum of the integers is divided by the number of positions, halves away from zero.
    """

    op: ClassVar[str] = "mean_pool1d"
    size: int
    stride: int
    padding: tuple[int, int]


@dataclass(frozen=True, eq=False)
class FloatPool1D(Node):
    """Mean over windows of [T, C] as ONNX Runtime's QLinearAveragePool: in float32, positions added one by one.

    ``rint(sum of float32((x - zp_in) * s_in) / count / s_out + zp_out)`` with every operation rounded to float32.
    Windows as in `MeanPool1D`; count is the number of positions within the sequence, or ``size`` when ``count_padding``.
    unsigned: the file's output is uint8, so that zp_out + 128 is added, and 128 taken off again behind the rounding.
    """

    op: ClassVar[str] = "float_pool1d"
    size: int
    stride: int
    padding: tuple[int, int]
    count_padding: bool
    unsigned: bool


@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """Softmax over the last axis, int8 to int8, as the engine ``form`` computes it.

    table int32 [256]: exp(-d * s_in) for each distance d from the largest value. "tflm": 31 fractional bits, zero where
    TFLite Micro leaves values out; output scale 2**-8, zero point -128. "litert" and "onnxruntime": float32 numbers, by
    their bits. Source: specification in docs/quantization-spec.md, section Softmax.
    """

    op: ClassVar[str] = "softmax"
    form: str
    table: Int32


@dataclass(frozen=True, eq=False)
class AveragePool1D(Node):
    """Mean over windows of [T, C], requantized from the int32 sum; no padding. size = T is global pooling.

    The sum of ``x - zp_in`` is scaled by ``requant`` (scale s_in / (s_out * size)), one entry for all channels.
    """

    op: ClassVar[str] = "average_pool1d"
    size: int
    stride: int
    requant: Requant


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """[T, C] -> [T * C], row-major; changes no number."""

    op: ClassVar[str] = "flatten"


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Joins inputs of equal scale and zero point along the last axis."""

    op: ClassVar[str] = "concat"


@dataclass(frozen=True, eq=False)
class Add(Node):
    """Elementwise sum of two tensors of equal shape.

    ``(a - zp_a) * multiplier[0] + (b - zp_b) * multiplier[1]`` is an int32 accumulator, scaled by ``requant``. With a
    requant of kind "steps" ``multiplier`` [512] holds the summand of every value of a, then of b:
    ``multiplier[a + 128] + multiplier[256 + b + 128]``; both may be int64 then.
    """

    op: ClassVar[str] = "add"
    multiplier: Int32
    requant: Requant


@dataclass(frozen=True, eq=False)
class Mul(Node):
    """Elementwise product of two tensors: ``(a - zp_a) * (b - zp_b)`` is an int32 accumulator, scaled by ``requant``.

    The second one has the shape of the first, or gates it: [C] for every time step, [T, 1] for every channel.
    """

    op: ClassVar[str] = "mul"
    requant: Requant


@dataclass(frozen=True, eq=False)
class Lut(Node):
    """int8 -> int8 by table: output = table[x + 128]; ``function`` names it ("tanh", "sigmoid", "requantize", ...).

    table int8 [256]; or [C, 256], one for each channel, in models of others.
    """

    op: ClassVar[str] = "lut"
    function: str
    table: Int8


@dataclass(frozen=True, eq=False)
class Recurrent(Node):
    """Base of layers [T, I] -> [T, H] that keep a state between time steps; G gates.

    input_weight int8 [G, H, I], recurrent_weight int8 [G, H, H], bias int32 [G, H] (scale s_in * input_scale[g]);
    scales of the weights float32 [G].
    """

    input_weight: Int8
    recurrent_weight: Int8
    bias: Int32
    input_scale: Float32
    recurrent_scale: Float32


@dataclass(frozen=True, eq=False)
class Lstm(Recurrent):
    """LSTM over [T, I] -> [T, H] int8 with int16 cell, the flavour of TFLite Micro ("8x8_16").

    Gates in order input, forget, cell, output (i, f, g, o); per-gate Q31 multipliers and exponents bring both
    products to int16 with scale 2**-12. The cell is int16 with scale 2**cell_exponent; the hidden state has the
    output tensor's scale and zero point. Source: specification in docs/quantization-spec.md, section LSTM.
    """

    op: ClassVar[str] = "lstm"
    input_multiplier: Int32
    input_exponent: Int32
    recurrent_multiplier: Int32
    recurrent_exponent: Int32
    cell_exponent: int
    hidden_multiplier: int
    hidden_exponent: int


@dataclass(frozen=True, eq=False)
class ClippedLstm(Lstm):
    """An LSTM whose cell is limited to [-cell_clip, cell_clip] in steps of its scale, as Keras' TFLite files ask for."""

    op: ClassVar[str] = "clipped_lstm"
    cell_clip: int


@dataclass(frozen=True, eq=False)
class Gru(Recurrent):
    """GRU over [T, I] -> [T, H] int8 with a state of int16 [H], scale 2**-15; the output is its upper byte, rounded.

    Gates in order reset, update, new (r, z, n). ``(acc * factor + 2**(shift-1)) >> shift``, one pair a gate, brings
    both products to int16 with scale 2**-12. reset_after: the reset gate acts on the recurrent product of the new gate,
    to which ``recurrent_bias`` int32 [H] (scale 2**-7 * recurrent_scale[2]) is added before (torch, Keras by default,
    ONNX linear_before_reset=1); else on the hidden state before that product, and ``recurrent_bias`` is zero.
    Source: specification in docs/quantization-spec.md, section GRU.
    """

    op: ClassVar[str] = "gru"
    input_factor: Int32
    input_shift: Int32
    recurrent_factor: Int32
    recurrent_shift: Int32
    recurrent_bias: Int32
    reset_after: bool


@dataclass(frozen=True, eq=False)
class LastStep(Node):
    """[T, C] -> [C]: the last time step."""

    op: ClassVar[str] = "last_step"


@dataclass(frozen=True, eq=False)
class Take(Node):
    """Values moved: ``output.ravel()[i] = input.ravel()[index[i]]``; scale unchanged. index int32 [values of the output].

    What transposes, picks channels, repeats or makes a sequence of a vector.
    """

    op: ClassVar[str] = "take"
    index: Int32


@dataclass(frozen=True, eq=False)
class Reverse(Node):
    """[T, C] -> [T, C], the last time step first; changes no number. Such a graph runs on whole windows only."""

    op: ClassVar[str] = "reverse"


_ALL = (
    Dense, Conv1D, DepthwiseConv1D, MaxPool1D, AveragePool1D, Flatten, Concat, Add, Lut, Lstm, Gru, LastStep,
    Pad1D, MeanPool1D, FloatPool1D, Softmax, ClippedLstm, Reverse, Mul,
    Take,
)  # fmt: skip
OPERATORS: dict[str, type[Node]] = {cls.op: cls for cls in _ALL}


@dataclass(frozen=True, eq=False)
class IntGraph:
    """A quantized model: ``tensors`` by name, ``nodes`` in executing order, ``input`` and ``output`` tensor names.

    ``meta`` is JSON-able: border arithmetic ("input", "outputs"), "task" and "training" provenance.
    Check a graph of unknown origin with ``edgebat.graph.check_graph`` before executing it.
    """

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    input: str
    output: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def input_tensor(self) -> Tensor:
        return self.tensors[self.input]

    @property
    def output_tensor(self) -> Tensor:
        return self.tensors[self.output]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all tensors, operators and constants (not over ``name`` and ``meta``)."""
        digest = hashlib.sha256()
        for tensor in (self.tensors[name] for name in sorted(self.tensors)):
            digest.update(repr(tensor).encode())
        for node in self.nodes:
            for path, value in node_fields(node):
                digest.update(path.encode())
                if isinstance(value, np.ndarray):
                    digest.update(f"{value.dtype.str}{value.shape}".encode())
                    digest.update(np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")).tobytes())
                else:
                    digest.update(repr(value).encode())
        digest.update(f"{self.input}>{self.output}".encode())
        return digest.hexdigest()

    def multiply_accumulates(self) -> int:
        """Multiply-accumulate operations of one inference (dense, convolution, LSTM and GRU products)."""
        return sum(node_macs(node, self.tensors) for node in self.nodes)

    def parameter_bytes(self) -> int:
        """Bytes of weights (int8) and biases (int32), without requantization constants."""
        labels = ("weight", "input_weight", "recurrent_weight", "bias", "recurrent_bias")
        return sum(getattr(node, label).nbytes for node in self.nodes for label in labels if hasattr(node, label))


def node_fields(node: Node) -> Iterator[tuple[str, Any]]:
    """All fields of ``node`` as (path, value) with a nested Requant flattened; begins with the operator name."""
    yield "op", node.op
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, Requant):
            for g in fields(value):
                yield f"{f.name}.{g.name}", getattr(value, g.name)
        else:
            yield f.name, value


def node_macs(node: Node, tensors: Mapping[str, Tensor]) -> int:
    """Multiply-accumulates of one node for one inference."""
    shape = tensors[node.output].shape
    match node:
        case Weighted():
            return math.prod(shape) * (node.weight.size // len(node.bias))
        case Recurrent():
            return shape[0] * int(node.input_weight.size + node.recurrent_weight.size)
        case _:
            return 0


def reach(node: Node, source: Tensor) -> Int64:
    """The largest magnitude int64 [C] that each channel's accumulator of ``node`` can have, from its integers."""
    widest = max(127 - source.zero_point, source.zero_point + 128)
    match node:
        case Dense() | Conv1D():
            sums = np.abs(node.weight.astype(np.int64)).reshape(len(node.weight), -1).sum(axis=1)
        case DepthwiseConv1D():
            sums = np.abs(node.weight.astype(np.int64)).sum(axis=0)
        case AveragePool1D():
            return np.array([node.size * widest], np.int64)
        case Mul():
            return np.array([MOST_PRODUCT], np.int64)
        case _:
            return np.array([INT32_MAX], np.int64)
    return np.asarray(sums * widest + np.abs(node.bias.astype(np.int64)), np.int64)
