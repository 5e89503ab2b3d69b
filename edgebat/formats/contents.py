"""What a ``.tflite`` or ``.onnx`` file of another tool holds, whether edgebat runs it or not: border, operators, form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.onnx.model import METADATA_KEY, OnnxGraph, OnnxValue
from edgebat.formats.onnx.parse import parse_onnx
from edgebat.formats.tflite.model import FileTensor, parse_tflite, read_bytes
from edgebat.formats.tflite.schema import METADATA_NAME

FLOATS = ("float32", "float64", "float16")
INTEGER_WEIGHTS = ("int8", "uint8")


@dataclass(frozen=True)
class Contents:
    """A file, as its format tells it. A value is (name, element type, sizes); a size that is open is -1 or has a name."""

    own: bool
    """edgebat wrote it."""
    floating: bool
    """A float network: no quantized operator, no integer weights; float16 weights are floats."""
    inputs: Sequence[tuple[str, str, Sequence[int | str] | None]]
    outputs: Sequence[tuple[str, str, Sequence[int | str] | None]]
    operators: Mapping[str, int]
    """How many there are of each kind, in the order in which they come first."""
    constants: int
    """Values in constants of all types: the weights and a few sizes."""
    size_bytes: int
    """Of the file."""


def contents_of(path: str | Path) -> Contents:
    """What lies in the file at ``path``. Raises ModelFileError for one that is damaged, too large or no such file."""
    data, what = read_bytes(path), str(path)
    return _tflite(data, what) if Path(path).suffix == ".tflite" else _onnx(data, what)


def _tflite(data: bytes, what: str) -> Contents:
    model = parse_tflite(data, what, loops=True)
    graphs = model.graphs or (model,)
    kinds = Counter(operator.kind for graph in graphs for operator in graph.operators)
    constants = [tensor for graph in graphs for tensor in graph.tensors if tensor.data is not None]
    written = {index for graph in graphs[:1] for operator in graph.operators for index in operator.outputs}
    computed = {model.tensors[index].dtype for index in written}
    quantized = bool(computed & {"int8", "uint8", "int16"}) or any(
        tensor.dtype in INTEGER_WEIGHTS and len(tensor.scale) for tensor in constants
    )

    def border(ends: Sequence[int]) -> list[tuple[str, str, Sequence[int | str]]]:
        return [_value(model.tensors[index]) for index in ends]

    return Contents(
        METADATA_NAME in model.metadata, not quantized and bool(computed & set(FLOATS)), border(model.inputs),
        border(model.outputs), dict(kinds), sum(tensor.values.size for tensor in constants), len(data),
    )  # fmt: skip


def _value(tensor: FileTensor) -> tuple[str, str, Sequence[int | str]]:
    return tensor.name, tensor.dtype, tensor.shape


def _onnx(data: bytes, what: str) -> Contents:
    file = parse_onnx(data, what)
    kinds: Counter[str] = Counter()
    constants: list[Array] = []
    for graph in _graphs(file.graph):
        kinds.update(node.op for node in graph.nodes)
        constants += graph.initializers.values()
        values = (value for node in graph.nodes for value in node.attributes.values())
        constants += [value for value in values if isinstance(value, np.ndarray)]
    quantized = any("Quantize" in kind or kind.startswith("QLinear") or kind.endswith("Integer") for kind in kinds)
    ends = [_onnx_value(value) for value in (*file.graph.inputs, *file.graph.outputs)]
    inputs = len(file.graph.inputs)
    floating = not quantized and any(dtype in FLOATS for _, dtype, _ in ends[inputs:])
    return Contents(
        METADATA_KEY in file.metadata, floating, ends[:inputs], ends[inputs:], dict(kinds),
        sum(int(constant.size) for constant in constants), len(data),
    )  # fmt: skip


def _onnx_value(value: OnnxValue) -> tuple[str, str, Sequence[int | str] | None]:
    return value.name, value.dtype, value.shape


def _graphs(graph: OnnxGraph) -> list[OnnxGraph]:
    """The graph and those inside its operators (loops, branches)."""
    inside = [value for node in graph.nodes for value in node.attributes.values() if isinstance(value, OnnxGraph)]
    return [graph, *(deeper for one in inside for deeper in _graphs(one))]
