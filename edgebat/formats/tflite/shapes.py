"""Shapes that a TFLite file computes while it runs: converters leave them where the batch is free. For a batch of 1."""

from __future__ import annotations

import math

import numpy as np

from edgebat.arrays import Int64
from edgebat.formats.tflite.model import FileModel, FileOperator

_MOST = 64
"""Of numbers in a shape or on the way to one."""


class Shapes:
    """What SHAPE gives, and what follows from it and from constants alone."""

    def __init__(self, model: FileModel) -> None:
        self.model = model
        self.values: dict[int, Int64] = {}

    def takes(self, operator: FileOperator) -> bool:
        """Whether ``operator`` computes with shapes only; its result, where it is known, is in ``values``."""
        if operator.kind != "SHAPE" and not any(index in self.values for index in operator.inputs):
            return False
        kinds = [self.model.tensors[index].dtype for index in operator.outputs]
        if len(kinds) != 1 or kinds[0] not in ("int32", "int64"):
            return False
        try:
            if operator.kind == "SHAPE":
                sizes = self.model.tensors[operator.inputs[0]].shape
                found = np.array([1, *sizes[1:]], np.int64)
            else:
                found = self.computed(operator)
        except (ValueError, IndexError, TypeError, KeyError, OverflowError):
            return False
        if found.size > _MOST:
            return False
        self.values[operator.outputs[0]] = found
        return True

    def of(self, index: int) -> Int64:
        """A value, or a constant of the file. Raises ValueError for anything else."""
        if index in self.values:
            return self.values[index]
        data = self.model.tensors[index].data if index >= 0 else None
        if data is None or data.size > _MOST or data.dtype.kind != "i":
            raise ValueError("not a shape")
        return np.asarray(data, np.int64)

    def computed(self, operator: FileOperator) -> Int64:
        """The result of an operator on shapes. Raises what NumPy raises, KeyError for another operator."""
        first, *rest = (self.of(index) for index in operator.inputs)
        options = operator.options
        match operator.kind:
            case "STRIDED_SLICE":
                begin, end, step = (int(value.item()) for value in rest)
                if options.get("shrink_axis_mask", 0):
                    return np.asarray(first[begin])
                open_begin, open_end = (options.get(name, 0) for name in ("begin_mask", "end_mask"))
                return first[slice(None if open_begin else begin, None if open_end else end, step)]
            case "PACK":
                return np.stack([first, *rest])
            case "CONCATENATION":
                return np.concatenate([first, *rest])
            case "GATHER":
                return np.asarray(first[rest[0]])
            case "REDUCE_PROD":
                return np.asarray(math.prod(first.ravel().tolist()))
            case "MUL" | "ADD" | "SUB":
                return np.asarray(
                    {"MUL": np.multiply, "ADD": np.add, "SUB": np.subtract}[operator.kind](first, rest[0])
                )
            case "CAST" | "RESHAPE" | "SQUEEZE":
                return first
        raise KeyError(operator.kind)
