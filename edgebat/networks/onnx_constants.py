"""What operators of ONNX make of constants alone: exporters compute shapes, and weights as ``weight_norm`` has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.onnx.model import DTYPE_OF
from edgebat.networks.constants import allowed, of_two


def constant(operator: str, attributes: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """The first result of ``operator``.

    Raises KeyError for an operator that is not known here; ValueError, TypeError, IndexError for arguments that do not fit.
    """
    match operator:
        case "Constant":
            return np.asarray(next(iter(attributes.values()), None))
        case "ConstantOfShape":
            fill: Any = attributes.get("value", np.zeros(1, np.float32))
            return np.full(allowed(np.maximum(inputs[0], 1).tolist()), np.asarray(fill).ravel()[0])
        case "Identity":
            return inputs[0]
        case "Cast":
            # A type that NumPy does not have is one of floats.
            return np.asarray(inputs[0]).astype(DTYPE_OF.get(int(attributes["to"]), "float32"))
        case "Unsqueeze":
            result = inputs[0]
            for axis in np.ravel(attributes["axes"] if "axes" in attributes else inputs[1]).tolist():
                result = np.expand_dims(result, int(axis))
            return result
        case "Squeeze":
            axes = attributes.get("axes", inputs[1] if len(inputs) > 1 else None)
            return np.squeeze(inputs[0], None if axes is None else tuple(np.ravel(axes).tolist()))
        case "Concat":
            return np.concatenate([np.atleast_1d(v) for v in inputs], axis=int(attributes.get("axis", 0)))
        case "Gather":
            return np.take(inputs[0], np.asarray(inputs[1], np.int64), axis=int(attributes.get("axis", 0)))
        case "Slice" if len(inputs) >= 3:
            return _sliced(inputs[0], *inputs[1:])
        case "Expand":
            return np.broadcast_to(inputs[0], allowed(np.maximum(np.asarray(inputs[1]), 1).tolist()))
        case "Transpose":
            return np.transpose(inputs[0], attributes.get("perm"))
        case "Reshape":
            return np.reshape(inputs[0], np.maximum(np.asarray(inputs[1], np.int64), -1).tolist())
        case "ReduceL2" | "ReduceSum":
            axes = attributes.get("axes", inputs[1] if len(inputs) > 1 else None)
            chosen = None if axes is None else tuple(np.ravel(axes).tolist())
            keep = bool(attributes.get("keepdims", 1))
            if operator == "ReduceSum":
                return np.sum(inputs[0], axis=chosen, keepdims=keep)
            return np.sqrt(np.sum(inputs[0].astype(np.float64) ** 2, axis=chosen, keepdims=keep))
    return _OPERATORS[operator](*inputs)


def _sliced(x: Array, starts: Array, ends: Array, axes: Any = None, steps: Any = None) -> Array:
    """The operator Slice; an end before the first position, backwards, is written as a large negative one."""
    starts, ends = np.ravel(starts), np.ravel(ends)
    places = np.arange(len(starts)) if axes is None else np.ravel(axes)
    every = np.ones(len(starts), int) if steps is None else np.ravel(steps)
    cut = [slice(None)] * np.ndim(x)
    for place, start, end, step in np.stack([places, starts, ends, every], axis=1).tolist():
        cut[place] = slice(start, None if step < 0 and end < -np.shape(x)[place] else end, step)
    return np.asarray(np.asarray(x)[tuple(cut)])


def _divided(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return a // b  # of shapes, which are positive
    if not b.all():
        raise ValueError("a division by 0")
    return np.asarray(a / b)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "Mul": of_two(np.multiply), "Add": of_two(np.add), "Sub": of_two(np.subtract), "Div": of_two(_divided),
    "Pow": of_two(np.power), "MatMul": np.matmul, "Sqrt": np.sqrt, "Exp": np.exp, "Neg": np.negative, "Abs": np.abs,
    "Reciprocal": np.reciprocal, "Softplus": lambda a: np.logaddexp(0.0, a),
}  # fmt: skip
