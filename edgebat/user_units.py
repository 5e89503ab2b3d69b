"""Networks that ``edgebat quantize`` made, at their border: arrays in the user's units in, named outputs in units out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float64, Int8, Int64, IntArray
from edgebat.errors import DataError, ModelFileError
from edgebat.foreign import read_array
from edgebat.graph import IntGraph
from edgebat.runtime import Engine, outputs_in_units, quantize_input


@dataclass(frozen=True)
class UserBorder:
    """What a model file says of its border; ``file_shape``: a window as the network's own file takes it."""

    graph: IntGraph
    source: str
    """Which kind of file the network came from."""
    file_shape: tuple[int, ...]
    transposed: bool
    """The file takes [C, T], the device rows of C values."""
    scales: Float64
    """[C] what one integer of each column stands for."""
    units: tuple[str, ...]
    outputs: tuple[tuple[str, float, str, tuple[int, ...]], ...]
    """Name, what one integer stands for, name of the unit and shape of each output."""

    def integers(self, x: Array) -> Int64:
        """Windows in real values [N, *file_shape], or one of them, as the integers [N, *shape] that a device is given.

        Raises DataError for another shape and for values that are not finite.
        """
        shape = self.graph.input_tensor.shape
        if x.dtype.kind not in "biuf":
            raise DataError(f"the array holds {x.dtype}; this model reads numbers")
        x = x[None] if x.shape == self.file_shape else x
        allowed = (self.file_shape, (int(np.prod(self.file_shape)),), *([] if self.transposed else [shape]))
        if x.ndim < 2 or x.shape[1:] not in allowed or not len(x):
            raise DataError(
                f"the array has shape {list(x.shape)}; it reads [N, {', '.join(map(str, self.file_shape))}] numbers"
            )
        wide = x.astype(np.float64).reshape(len(x), *(shape[::-1] if self.transposed else shape))
        scaled = np.rint((wide.swapaxes(1, 2) if self.transposed else wide) / self.scales)
        if not (np.abs(scaled) < 2**31).all():
            raise DataError("the array holds values that are not finite, or leave 32 bits in the model's units")
        return scaled.astype(np.int64)

    def quantized(self, x: Array) -> Int8:
        """Real windows as the graph's input."""
        return quantize_input(self.graph, self.integers(x))

    def output_integers(self, y: IntArray) -> dict[str, Int64]:
        """The graph's outputs as a device says them: integers [N, ...] by name."""
        named = outputs_in_units(self.graph, y.reshape(len(y), -1))
        return {name: named[name].reshape(len(y), *shape) for name, _, _, shape in self.outputs}

    def predict(self, x: Array) -> dict[str, Float64]:
        """Outputs [N, ...] by name in real values, for real windows [N, *file_shape]."""
        integers = self.output_integers(Engine(self.graph).run(self.quantized(x)))
        return {name: np.asarray(integers[name] * scale, np.float64) for name, scale, _, _ in self.outputs}


def user_border_of(graph: IntGraph) -> UserBorder | None:
    """The border of a network that ``edgebat quantize`` made; None for other models. Raises ModelFileError."""
    network: Any = graph.meta.get("network")
    if not isinstance(network, dict):
        return None
    try:
        units = graph.meta["input"]["units"]
        outputs = [
            (str(head["name"]), float(head["scale"]), str(head["unit_name"]), _shape(head))
            for head in graph.meta["outputs"]
        ]
        found = UserBorder(
            graph, str(network["source"]), tuple(int(size) for size in network["file_shape"]),
            network["transposed"] is True, np.array([float(unit["scale"]) for unit in units]),
            tuple(str(unit["name"]) for unit in units), tuple(outputs),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"model {graph.name!r} describes its border in a way that cannot be used: {type(error).__name__}: {error}. "
            "Quantize the network again"
        ) from None
    shape = graph.input_tensor.shape
    sizes = int(np.prod(found.file_shape)), sum(int(np.prod(one[3])) for one in outputs)
    if sizes != (int(np.prod(shape)), int(np.prod(graph.output_tensor.shape))) or len(found.scales) != shape[-1]:
        raise ModelFileError(f"model {graph.name!r} describes another border than its tensors have; quantize it again")
    if not (np.isfinite(found.scales).all() and (found.scales > 0).all()):
        raise ModelFileError(f"model {graph.name!r} has units that are not above 0; quantize it again")
    return found


def _shape(head: Any) -> tuple[int, ...]:
    if "shape" in head:
        return tuple(int(size) for size in head["shape"])
    return () if head["size"] == 1 else (int(head["size"]),)


def predict_in_units(
    graph: IntGraph, border: UserBorder, path: Path, *, last: bool = False, as_json: bool = False
) -> str:
    """What ``edgebat predict`` prints of such a network for an array of real values: ``.npy``, or CSV, a window per row.

    Raises DataError.
    """
    x = read_array(path)
    q = border.quantized(x)
    integers = border.output_integers(Engine(graph).run(q[-1:] if last else q))
    values = {name: integers[name] * scale for name, scale, _, _ in border.outputs}
    if as_json:
        units = {name: unit for name, _, unit, _ in border.outputs}
        found = {name: {"unit": units[name], "values": values[name].tolist(), "integers": integers[name].tolist()}
                 for name in values}  # fmt: skip
        return json.dumps({"model": graph.name, "fingerprint": graph.fingerprint, "outputs": found}, indent=1)
    heading = [f"{name} {unit}".strip() for name, _, unit, _ in border.outputs]
    columns = [value.reshape(len(value), -1) for value in values.values()]
    rows = [" ".join(f"{v:.6g}" for column in columns for v in column[i]) for i in range(len(columns[0]))]
    return "\n".join([", ".join(heading), *rows, f"{len(rows)} windows"])
