"""What the operators of a float TFLite file compute, for windows of numbers: loops, and the shapes that files compute with.

No model is run by it: `edgebat.networks.tflite_loops` finds out with it which layer a loop is. Work and sizes are bounded;
what is not known here, or too large, stays without a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.tflite.model import FileModel, FileOperator
from edgebat.formats.tflite.schema import ACTIVATION
from edgebat.networks import functions

MAX_VALUES = 1 << 20
"""Of all inputs of an operator, and of each output."""
MAX_OPERATIONS = 200_000
"""Operators executed, those of loops each time."""
_ACTIVATION_NAME = {number: name for name, number in ACTIVATION.items()}
_BAD = (ValueError, IndexError, TypeError, OverflowError, KeyError, ZeroDivisionError, AttributeError)
Options = Mapping[str, Any]


class Values:
    """Evaluates operators of ``model`` and of the subgraphs that its loops call."""

    def __init__(self, model: FileModel) -> None:
        self.model, self.left = model, MAX_OPERATIONS

    def of(self, given: Mapping[int, Array], graph: FileModel | None = None) -> dict[int, Array]:
        """Values by tensor of everything that follows from constants and ``given``."""
        graph = graph or self.model
        found = {tensor.index: _wide(tensor.data) for tensor in graph.tensors if tensor.data is not None}
        found |= given
        for operator in graph.operators:
            if not all(index in found for index in operator.outputs):
                for index, value in zip(operator.outputs, self.results(operator, found), strict=False):
                    found.setdefault(index, value)
        return found

    def results(self, operator: FileOperator, found: Mapping[int, Array]) -> list[Array]:
        """What one operator gives; [] where an input or the operator is unknown."""
        self.left -= 1
        if self.left < 0 or any(index >= 0 and index not in found for index in operator.inputs):
            return []
        inputs = [found[index] if index >= 0 else None for index in operator.inputs]
        if sum(value.size for value in inputs if value is not None) > MAX_VALUES:
            return []
        try:
            if operator.kind == "WHILE":
                return self.loop(operator.options, inputs)
            if operator.kind not in _OPERATORS:
                return []
            with np.errstate(all="ignore"):
                made = _OPERATORS[operator.kind](operator.options, *inputs)
        except _BAD:
            return []
        return [np.asarray(made)] if isinstance(made, np.ndarray | np.generic) else list(made)

    def loop(self, options: Options, state: list[Any]) -> list[Array]:
        condition, body = (self.model.graphs[int(options.get(f"{key}_subgraph", 0))] for key in ("cond", "body"))
        if not len(condition.inputs) == len(body.inputs) == len(body.outputs) == len(state):
            return []
        while self.left > 0:
            goes_on = self.of(dict(zip(condition.inputs, state, strict=True)), condition).get(condition.outputs[0])
            if goes_on is None:
                return []
            if not goes_on.all():
                return state
            after = self.of(dict(zip(body.inputs, state, strict=True)), body)
            state = [after[index] for index in body.outputs]
        return []


def _wide(data: Array) -> Array:
    return data.astype(np.float64 if data.dtype.kind == "f" else np.int64)


def _bounded(*shapes: tuple[int, ...]) -> None:
    """Raise ValueError for arrays that broadcast to too many values."""
    if math.prod(np.broadcast_shapes(*shapes)) > MAX_VALUES:
        raise ValueError("too large")


def _activated(options: Options, x: Array) -> Array:
    name = _ACTIVATION_NAME[options.get("activation", 0)]
    if name == "relu_n1_to_1":
        return np.clip(x, -1.0, 1.0)
    return x if name == "none" else np.asarray(functions.PLAIN[name](x))


def _elementwise(compute: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def both(options: Options, a: Array, b: Array) -> Array:
        _bounded(a.shape, b.shape)
        return _activated(options, compute(a, b))

    return both


def _one(compute: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda options, x: np.asarray(compute(x))


def _fully_connected(options: Options, x: Array, weight: Array, bias: Array | None = None) -> Array:
    rows = x.reshape(-1, weight.shape[-1])
    _bounded((len(rows), len(weight)))
    y = rows @ weight.T + (0.0 if bias is None else bias)
    if options.get("keep_num_dims"):
        y = y.reshape(*x.shape[:-1], len(weight))
    return _activated(options, y)


def _batch_matmul(options: Options, a: Array, b: Array) -> Array:
    a, b = (v.swapaxes(-1, -2) if options.get(key) else v for v, key in ((a, "adj_x"), (b, "adj_y")))
    _bounded((*a.shape[:-1], 1), (*b.shape[:-2], 1, b.shape[-1]))
    return np.asarray(a @ b)


def _reshape(options: Options, x: Array, shape: Array | None = None) -> Array:
    return x.reshape([int(v) for v in np.ravel(options.get("new_shape", ()) if shape is None else shape)])


def _split(options: Options, axis: Array, x: Array) -> list[Array]:
    return np.split(x, int(options.get("num_splits", 1)), int(axis.ravel()[0]))


def _split_v(options: Options, x: Array, sizes: Array, axis: Array) -> list[Array]:
    return np.split(x, np.cumsum(sizes.ravel())[:-1].tolist(), int(axis.ravel()[0]))


def _unpack(options: Options, x: Array) -> list[Array]:
    return list(np.moveaxis(x, int(options.get("axis", 0)), 0))


def _pack(options: Options, *parts: Array) -> Array:
    return np.stack(parts, int(options.get("axis", 0)))


def _concatenation(options: Options, *parts: Array) -> Array:
    return _activated(options, np.concatenate(parts, int(options.get("axis", 0))))


def _strided_slice(options: Options, x: Array, begin: Array, end: Array, strides: Array) -> Array:
    masks = [int(options.get(f"{key}_mask", 0)) for key in ("begin", "end", "shrink_axis", "ellipsis", "new_axis")]
    if masks[3] or masks[4] or options.get("offset"):
        raise ValueError("an ellipsis, or new axes")
    places: list[Any] = []
    for axis, (first, last, step) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)):
        if masks[2] >> axis & 1:
            places.append(first)
        else:
            places.append(slice(None if masks[0] >> axis & 1 else first, None if masks[1] >> axis & 1 else last, step))
    return np.asarray(x[tuple(places)])


def _slice(options: Options, x: Array, begin: Array, size: Array) -> Array:
    ends = [None if s == -1 else b + s for b, s in zip(begin.tolist(), size.tolist(), strict=True)]
    return x[tuple(slice(b, e) for b, e in zip(begin.tolist(), ends, strict=True))]


def _gather(options: Options, x: Array, index: Array) -> Array:
    axis = int(options.get("axis", 0))
    if options.get("batch_dims") or x.size // max(x.shape[axis], 1) * index.size > MAX_VALUES:
        raise ValueError("batches of gathers, or too large")
    return np.take(x, index, axis)


def _fill(options: Options, shape: Array, value: Array) -> Array:
    sizes = tuple(shape.tolist())
    _bounded(sizes)
    return np.full(sizes, value.ravel()[0])


def _update_slice(options: Options, x: Array, update: Array, start: Array) -> Array:
    result = x.copy()
    result[tuple(slice(s, s + n) for s, n in zip(start.tolist(), update.shape, strict=True))] = update
    return result


def _squeeze(options: Options, x: Array) -> Array:
    return np.squeeze(x, tuple(int(v) for v in options.get("squeeze_dims", ())) or None)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "ADD": _elementwise(np.add),
    "SUB": _elementwise(np.subtract),
    "MUL": _elementwise(np.multiply),
    "DIV": _elementwise(np.divide),
    "MINIMUM": _elementwise(np.minimum),
    "MAXIMUM": _elementwise(np.maximum),
    "LESS": _elementwise(np.less),
    "LOGICAL_AND": _elementwise(np.logical_and),
    "LOGISTIC": _one(functions.sigmoid),
    "TANH": _one(np.tanh),
    "RELU": _one(functions.PLAIN["relu"]),
    "SHAPE": _one(lambda x: np.array(x.shape, np.int64)),
    "CAST": _one(lambda x: x),
    "REDUCE_PROD": lambda options, x, axes: np.asarray(
        x.prod(tuple(axes.ravel().tolist()), keepdims=bool(options.get("keep_dims")))
    ),
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": lambda options, x, axis: np.expand_dims(x, int(axis.ravel()[0])),
    "TRANSPOSE": lambda options, x, order: x.transpose(order.tolist()),
    "REVERSE_V2": lambda options, x, axes: np.flip(x, tuple(axes.ravel().tolist())),
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
    "PACK": _pack,
    "CONCATENATION": _concatenation,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "GATHER": _gather,
    "FILL": _fill,
    "DYNAMIC_UPDATE_SLICE": _update_slice,
}
"""Options and inputs to outputs, by operator; new constants of shapes are int64, all others float64."""
