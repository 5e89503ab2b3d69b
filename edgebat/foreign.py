"""Models that other tools quantized, at their border: arrays in the form of their file, and what they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebat.arrays import Array, Float32, Int8, IntArray, open_npy
from edgebat.errors import DataError
from edgebat.graph import IntGraph, Tensor
from edgebat.graph.origin import Foreign, foreign_of
from edgebat.runtime import Engine


@dataclass(frozen=True)
class Border:
    """The arrays of a file of others, and the graph's integers."""

    graph: IntGraph
    file: Foreign

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Shape of one window in the file."""
        return self.file.shape or self._turned

    @property
    def _turned(self) -> tuple[int, ...]:
        """Shape of one window with the file's order of axes."""
        shape = self.graph.input_tensor.shape
        return shape[::-1] if self.file.channels_first else shape

    def to_file(self, x: Int8) -> Array:
        """The graph's inputs int8 [N, ...] as the file takes them."""
        turned = np.ascontiguousarray(x.swapaxes(1, 2)) if self.file.channels_first else x
        values = _to_type(turned.reshape(len(x), *self.file_shape), self.graph.input_tensor, self.file.input)
        for step, constant in reversed(self.file.steps):
            values = _STEPS[_INVERSE[step]](values.astype(np.float64), np.asarray(constant))
        return values.astype(np.float32) if self.file.steps else values

    def from_file(self, y: Array) -> IntArray:
        """The file's outputs [N, ...] as the graph's integers."""
        return _from_type(y, self.graph.output_tensor, self.file.output)

    def quantized(self, x: Array) -> Int8:
        """Any array of windows [N, ...], or one window, as the graph's inputs.

        int8 and uint8 are the file's integers, everything else real values. Raises DataError for another shape.
        """
        shape = self.file_shape
        if x.shape == shape:
            x = x[None]
        if x.shape[1:] not in (shape, (int(np.prod(shape)),)) or x.dtype.kind not in "biuf" or not len(x):
            raise DataError(
                f"the array is {x.dtype} {list(x.shape)}; this model reads [N, {', '.join(map(str, shape))}] numbers"
            )
        windows = x.reshape(-1, *self.file_shape)
        kind = str(x.dtype) if x.dtype in (np.int8, np.uint8) else "float32"
        if kind == "float32":
            windows = windows.astype(np.float32)
            for step, constant in self.file.steps:
                windows = _STEPS[step](windows, np.asarray(constant, np.float32))
        windows = windows.reshape(-1, *self._turned)
        q = _from_type(windows.astype(np.float32) if kind == "float32" else windows, self.graph.input_tensor, kind)
        return np.ascontiguousarray(q.swapaxes(1, 2) if self.file.channels_first else q).astype(np.int8)


_STEPS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
_INVERSE = {"add": "sub", "sub": "add", "mul": "div", "div": "mul"}


def border_of(graph: IntGraph) -> Border | None:
    """The border of a model that another tool quantized; None for one of edgebat's."""
    found = foreign_of(graph)
    return None if found is None else Border(graph, found)


def _to_type(q: IntArray, tensor: Tensor, kind: str) -> Array:
    if kind == "uint8":
        return (q.astype(np.int16) + 128).astype(np.uint8)
    if kind == "float32":
        return real_values(q, tensor)
    return q


def _from_type(values: Array, tensor: Tensor, kind: str) -> IntArray:
    if kind == "uint8":
        return values.astype(np.int16) - 128
    if kind == "float32":
        if not np.isfinite(values).all():
            raise DataError("the array holds values that are not finite")
        limits = np.iinfo(tensor.dtype)
        steps = np.rint(np.clip(values / np.float32(tensor.scale), -1e6, 1e6)).astype(np.int64) + tensor.zero_point
        return np.asarray(np.clip(steps, limits.min, limits.max))
    return values.astype(np.int64)


def real_values(q: IntArray, tensor: Tensor) -> Float32:
    """The real values float32 that the integers ``q`` of ``tensor`` stand for."""
    return (q.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)


def predict_array(graph: IntGraph, border: Border, path: Path, *, last: bool = False, as_json: bool = False) -> str:
    """What ``edgebat predict`` prints of a model of others for an array: ``.npy``, or CSV of numbers, a window per row.

    Raises DataError.
    """
    q = border.quantized(read_array(path))
    y = Engine(graph).run(q[-1:] if last else q)
    reals = real_values(y, graph.output_tensor)
    if as_json:
        origin = {"model": graph.name, "fingerprint": graph.fingerprint, "rounding": border.file.rounding}
        return json.dumps({**origin, "integers": y.tolist(), "values": reals.tolist()}, indent=1)
    flat = reals.reshape(len(reals), -1)
    lines = [" ".join(f"{value:.6g}" for value in row) for row in flat]
    tensor = graph.output_tensor
    lines.append(
        f"{len(flat)} windows; values = (integer - {tensor.zero_point}) * {tensor.scale:.9g}, integers of "
        f"{border.file.rounding}"
    )
    return "\n".join(lines)


def read_array(path: Path) -> Array:
    """Windows out of ``.npy``, or CSV of numbers. Raises DataError."""
    try:
        if path.suffix == ".npy":
            return np.array(open_npy(path))
        return np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as windows of this model, which has no task: {error}. It reads arrays: .npy, or "
            ".csv with the numbers of one window per row"
        ) from None
