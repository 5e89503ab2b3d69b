"""TFLite operators that work value by value: sums, and whatever is a table of 256, for all channels or for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from edgebat.arrays import Int8
from edgebat.errors import ModelFileError
from edgebat.formats.roundings.base import NEGATIVE, Constant, elu_table
from edgebat.formats.tflite.foreign import ImporterBase
from edgebat.formats.tflite.model import FileOperator
from edgebat.graph import model as ops
from edgebat.graph.model import Tensor


class ElementwiseImporter(ImporterBase):
    """One method ``on_<operator>`` per operator; see `ImporterBase.graph`."""

    def on_add(self, operator: FileOperator) -> None:
        if operator.inputs[:1] and operator.inputs[0] in self.indices:
            self.add_index(operator)
            return
        for position in (0, 1):
            if self.is_constant(operator, position):
                self.with_constant(operator, self.rounding.add_constant, position)
                return
        self.sum(operator, self.source(operator, 0), self.source(operator, 1))

    def sum(self, operator: FileOperator, a: Tensor, b: Tensor) -> None:
        target = self.target(operator)
        multipliers, requant = self.rounding.add((a, b), target, self.bounds(operator, target))
        self.nodes.append(ops.Add(self.label(target), (a.name, b.name), target.name, multipliers, requant))

    # -- one constant a channel: a table a channel

    def channels(self, operator: FileOperator, position: int, channels: int) -> Constant:
        """The constant at an input as one value a channel. Raises ModelFileError when it is of another shape."""
        constant = self.constant(operator, position, "int8")
        if (
            constant.values.size not in (1, channels)
            or constant.shape[-1:] not in ((), (1,), (channels,))
            or len(constant.scale) != 1
        ):
            raise ModelFileError(
                f"{operator.where}: constant {constant.name!r} has shape {list(constant.shape)} and {len(constant.scale)} "
                f"scales; allowed: one value, or one for each of {channels} channels, and one scale (PReLU: shared_axes=[1])"
            )
        steps = constant.values.ravel().astype(np.int64) - int(constant.zero_point[0])
        return Constant(np.broadcast_to(steps, channels), float(constant.scale[0]))

    def with_constant(
        self, operator: FileOperator, compute: Callable[[Tensor, Constant, Tensor], Int8], position: int = 1
    ) -> None:
        """``compute`` gives the tables of the operator, whose constant is its input ``position``."""
        self.by_constant(operator, compute, position, self.source(operator, 1 - position))

    def by_constant(
        self, operator: FileOperator, compute: Callable[[Tensor, Constant, Tensor], Int8], position: int, source: Tensor
    ) -> None:
        constant, target = self.channels(operator, position, source.shape[-1]), self.target(operator)
        table = np.clip(compute(source, constant, target), *self.bounds(operator, target)).astype(np.int8)
        same = (table == table[0]).all()
        self.nodes.append(
            ops.Lut(self.label(target), (source.name,), target.name, operator.kind.lower(), table[0] if same else table)
        )

    def is_constant(self, operator: FileOperator, position: int) -> bool:
        self.expect_inputs(operator, 2)
        index = operator.inputs[position]
        return index >= 0 and self.model.tensors[index].data is not None

    def on_mul(self, operator: FileOperator) -> None:
        self.with_constant(operator, self.rounding.multiply, 0 if self.is_constant(operator, 0) else 1)

    def on_sub(self, operator: FileOperator) -> None:
        """What is taken off a layer or a constant is added to it with its sign turned round."""
        if self.is_constant(operator, 1):
            self.with_constant(operator, partial(self.rounding.add_constant, sign=-1))
            return
        b = self.negated(self.source(operator, 1), f"{self.model.tensors[operator.outputs[0]].name}/negative")
        if self.is_constant(operator, 0):
            self.by_constant(operator, self.rounding.add_constant, 0, b)
            return
        self.sum(operator, self.source(operator, 0), b)

    def negated(self, source: Tensor, name: str) -> Tensor:
        """``-x`` as a tensor of this name: all integers below its zero point as far above the new one."""
        target = replace(source, name=name, zero_point=-source.zero_point - 1)
        self.tensors[name] = target
        self.nodes.append(ops.Lut(name, (source.name,), name, "negative", NEGATIVE))
        return target

    def on_prelu(self, operator: FileOperator) -> None:
        self.with_constant(operator, self.rounding.prelu)

    # -- tables: one operator, or a cast to int32, an addition of 128 and a gather

    def on_tanh(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.target(operator)
        function = self.hint(target).get("function", {"TANH": "tanh", "LOGISTIC": "sigmoid"}[operator.kind])
        table = {"TANH": self.rounding.tanh, "LOGISTIC": self.rounding.sigmoid}[operator.kind](source, target)
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, str(function), table))

    on_logistic = on_tanh

    def on_elu(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 1)
        if operator.inputs[0] in self.dequantized:  # converters leave it in float, between DEQUANTIZE and QUANTIZE
            self.computed[operator.outputs[0]] = self.dequantized[operator.inputs[0]], elu_table
            return
        source, target = self.source(operator), self.target(operator)
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, "elu", elu_table(source, target)))

    def on_leaky_relu(self, operator: FileOperator) -> None:
        source, target = self.source(operator), self.target(operator)
        table = self.rounding.leaky_relu(source, target, float(operator.options.get("alpha", 0.0)))
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, "leaky_relu", table))

    def on_cast(self, operator: FileOperator) -> None:
        source = self.source(operator)
        if self.model.tensors[operator.outputs[0]].dtype != "int32" or source.dtype != "int8":
            raise ModelFileError(f"{operator.where}: edgebat reads CAST from int8 to int32, before a table, only")
        self.indices[operator.outputs[0]] = (source, 0)

    def add_index(self, operator: FileOperator) -> None:
        source, added = self.indices[operator.inputs[0]]
        constant = self.constant(operator, 1, "int32", rank=1)
        if constant.shape != (1,) or operator.options.get("activation", 0):
            raise ModelFileError(
                f"{operator.where}: edgebat reads an int32 addition of one constant before a table only"
            )
        self.indices[operator.outputs[0]] = (source, added + int(constant.values[0]))

    def on_gather(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 2)
        source, added = self.indices.get(operator.inputs[1], (None, 0))
        table = self.constant(operator, 0, "int8", rank=1)
        if source is None or added != 128 or table.shape != (256,):
            raise ModelFileError(f"{operator.where}: edgebat reads GATHER from a table of 256 at x + 128 only")
        if operator.options.get("axis", 0) or operator.options.get("batch_dims", 0):
            raise ModelFileError(f"{operator.where} gathers along another axis")
        target = self.target(operator)
        function = str(self.hint(target).get("function", "table"))
        self.nodes.append(ops.Lut(self.label(target), (source.name,), target.name, function, table.values))
