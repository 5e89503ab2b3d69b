"""TFLite operators that work value by value and need more than one line: products of tables, clips, hard swish, GELU."""

from __future__ import annotations

from functools import partial

import numpy as np

from edgebat.arrays import Int8
from edgebat.errors import ModelFileError
from edgebat.formats.ancestry import common
from edgebat.formats.float32 import gelu, gelu_tanh
from edgebat.formats.rounding import float_engine, float_requant, real_multiplier, recover_shift
from edgebat.formats.roundings.base import VALUES, as_int8, dequantized, nearest, quantized
from edgebat.formats.roundings.hard_swish import hard_swish
from edgebat.formats.roundings.tflm import TfliteMicro
from edgebat.formats.takes import roots
from edgebat.formats.tflite.model import FileOperator
from edgebat.formats.tflite.pooling import PoolingImporter
from edgebat.formats.tflite.rules import Function, float_table
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import requantize_double
from edgebat.graph.model import MOST_PRODUCT, Requant, Tensor

_RELU = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}

_REAL: dict[str, Function] = {
    "EXP": np.exp, "LOG": lambda x: np.log(np.where(x > 0, x, 1e-300)),
    "NEG": np.negative, "SQUARE": np.square,
}  # fmt: skip
"""Below their domain what engines saturate to."""


def in_float(compute: Function, source: Tensor, target: Tensor) -> Int8:
    """The table of a float32 function between two conversions, of which some engines round halves up and others to even.

    Raises ModelFileError where a value lies there.
    """
    return nearest(compute(dequantized(source).astype(np.float64)).astype(np.float32), target, rough=True)


class FunctionImporter(PoolingImporter):
    """One method ``on_<operator>`` per operator; see `ImporterBase.graph`."""

    def as_table(self, operator: FileOperator, table: Int8, function: str = "") -> None:
        """The operator as a table of its first input that is no constant."""
        source, target = self.source(operator), self.target(operator)
        name = function or operator.kind.lower()
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, name, table))

    def on_relu(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.border_of(operator)
        self.as_table(operator, self.rounding.relu(source, target, *_RELU[operator.kind]))

    on_relu6 = on_relu_n1_to_1 = on_relu_0_to_1 = on_relu

    def on_hard_swish(self, operator: FileOperator) -> None:
        self.as_table(operator, hard_swish(self.source(operator), self.border_of(operator)))

    def on_exp(self, operator: FileOperator) -> None:
        """Of int8 by a table of its own; between DEQUANTIZE and QUANTIZE in float32."""
        compute = _REAL[operator.kind]
        self.expect_inputs(operator, 1)
        if operator.inputs[0] in self.dequantized:
            table = partial(in_float, compute)
            self.computed[operator.outputs[0]] = self.dequantized[operator.inputs[0]], table
            return
        if operator.kind in ("NEG", "SQUARE") or self.rounding.name == TfliteMicro.name:
            raise ModelFileError(
                f"{operator.where}: {self.rounding.engine} computes it in float32 only; edgebat reads it so"
            )
        source, target = self.source(operator), self.border_of(operator)
        self.as_table(operator, float_table(compute, source, target, even=False))  # LiteRT's own kernels

    on_log = on_neg = on_square = on_exp

    def on_abs(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.border_of(operator)
        scaled = requantize_double(np.abs(VALUES - source.zero_point), *quantized(source.scale / target.scale))
        self.as_table(operator, as_int8(scaled + target.zero_point))

    def on_gelu(self, operator: FileOperator) -> None:
        compute = gelu_tanh if operator.options.get("approximate") else gelu
        source, target = self.source(operator), self.border_of(operator)
        self.as_table(operator, float_table(lambda x: compute(x.astype(np.float32)).astype(np.float64), source, target))

    def on_mul(self, operator: FileOperator) -> None:
        """With a constant for each channel; or of two functions of one value, as a swish is x times its sigmoid."""
        self.expect_inputs(operator, 2)
        if self.is_constant(operator, 0) or self.is_constant(operator, 1):
            super().on_mul(operator)
            return
        a, b = (self.source(operator, position) for position in (0, 1))
        if operator.inputs[0] == operator.inputs[1]:
            target = self.target(operator)
            table = np.clip(self.rounding.square(a, target), *self.bounds(operator, target)).astype(np.int8)
            self.nodes.append(ops.Lut(self.label(target), (a.name,), target.name, "square", table))
            return
        found = common(self.nodes, a.name, b.name)
        if found is None:
            self.gate(operator, a, b)
            return
        root, *tables = found
        operands = [
            (table.astype(np.int64) - tensor.zero_point, tensor.scale)
            for table, tensor in zip(tables, (a, b), strict=True)
        ]
        target = self.target(operator)
        products = self.rounding.product(operands[0], operands[1], target)
        table = np.clip(products, *self.bounds(operator, target)).astype(np.int8)
        self.nodes.append(ops.Lut(self.label(target), (root,), target.name, "product", table))

    def gate(self, operator: FileOperator, a: Tensor, b: Tensor) -> None:
        """A product of two layers; the smaller one may have one value for each channel, time step or window."""
        if np.prod(a.shape) < np.prod(b.shape):
            a, b = b, a
        target = self.target(operator)
        if b.shape != a.shape and len(b.shape) == 2 and b.shape[0] == 1:
            b = self.flatten(b, f"{target.name}/gate")
        requant = self.gate_requant(operator, a, b, target)
        self.nodes.append(ops.Mul(self.label(target), (a.name, b.name), target.name, requant))

    def gate_requant(self, operator: FileOperator, a: Tensor, b: Tensor, target: Tensor) -> Requant:
        """Multiply and shift where the file is ours and that is proven, else the engine's steps."""
        bounds, hint = self.bounds(operator, target), self.hint(target).get("requant")
        if hint is not None:
            scale = real_multiplier(a.scale, np.array([b.scale], np.float32), target.scale)
            plain = float_requant(scale, target.zero_point, *bounds)
            if (found := recover_shift(plain, hint, float_engine(scale), np.array([MOST_PRODUCT]))) is not None:
                return found
        return self.rounding.gate((a, b), target, bounds)

    def flatten(self, source: Tensor, name: str) -> Tensor:
        """The values of a window as one vector: a tensor that holds them already, or one of this name."""
        order = np.arange(int(np.prod(source.shape)))
        for held, place in roots(self.nodes, source.name, order):
            if self.tensors[held].shape == order.shape and np.array_equal(place, order):
                return self.tensors[held]
        made = (node for node in self.nodes if isinstance(node, ops.Flatten) and node.inputs == (source.name,))
        if (known := next(made, None)) is not None:
            return self.tensors[known.output]
        target = Tensor(name, (int(np.prod(source.shape)),), source.dtype, source.scale, source.zero_point)
        self.tensors[name] = target
        self.nodes.append(ops.Flatten(name, (source.name,), name))
        return target

    def on_maximum(self, operator: FileOperator) -> None:
        """Of a layer and one constant, all of one scale."""
        self.expect_inputs(operator, 2)
        position = 0 if self.is_constant(operator, 0) else 1
        source, target = self.source(operator, 1 - position), self.border_of(operator)
        constant = self.constant(operator, position, "int8")
        alike = constant.quantized_as(source.scale, source.zero_point)
        if (
            not alike
            or constant.values.size != 1
            or (source.scale, source.zero_point) != (target.scale, target.zero_point)
        ):
            raise ModelFileError(f"{operator.where}: edgebat reads one constant, of the scale of input and output")
        limit = np.maximum if operator.kind == "MAXIMUM" else np.minimum
        table = limit(np.arange(-128, 128), int(constant.values.ravel()[0])).astype(np.int8)
        made = self.target(operator)
        self.nodes.append(ops.Lut(self.label(made), (source.name,), made.name, operator.kind.lower(), table))

    on_minimum = on_maximum
