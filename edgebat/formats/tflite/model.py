"""A TFLite file taken apart and checked: tensors with their constants, operators with their names."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.tflite.flatbuffer import read_flatbuffer
from edgebat.formats.tflite.schema import IDENTIFIER, OPERATOR, SCHEMA, TENSOR_TYPE

MAX_FILE_BYTES = 64 << 20
MAX_NOTE_BYTES = 4 << 20  # of metadata: JSON takes many times its length in memory
_TYPE_NAME = {number: name for name, number in TENSOR_TYPE.items()}
_OPERATOR_NAME = {number: name for name, number in OPERATOR.items()}


@dataclass(frozen=True)
class FileTensor:
    """A tensor of the file: ``scale`` and ``zero_point`` per tensor or per channel ([] when not quantized).

    ``data`` is the constant (a view of the file) or None for an activation; ``shape`` holds -1 for free sizes.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    data: Array | None
    variable: bool

    @property
    def values(self) -> Array:
        """The constant's values; raises ModelFileError for an activation."""
        if self.data is None:
            raise ModelFileError(f"tensor {self.name!r} is no constant")
        return self.data

    def quantized_as(self, scale: float, zero_point: int) -> bool:
        """Whether the tensor has one scale and zero point, and these."""
        return len(self.scale) == 1 and (float(self.scale[0]), int(self.zero_point[0])) == (scale, zero_point)


@dataclass(frozen=True)
class FileOperator:
    """An operator: ``kind`` is its builtin name, ``inputs`` may hold -1 (absent); ``where`` names it in errors."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]
    where: str


@dataclass(frozen=True)
class FileModel:
    """A subgraph of the file, as a rule its only one, and the file's metadata buffers by name.

    graphs: of the file's first subgraph, all of them by number, those of its loops among them.
    """

    tensors: list[FileTensor]
    operators: list[FileOperator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: dict[str, bytes]
    graphs: tuple[FileModel, ...] = ()


def read_bytes(path: str | Path) -> bytes:
    """The content of a model file of at most 64 MiB. Raises ModelFileError."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path} has {size} bytes; a model file may have at most {MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None


def parse_tflite(data: bytes, what: str, *, loops: bool = False) -> FileModel:
    """Parse and check the structure of a TFLite file; ``what`` names it in errors. Raises ModelFileError.

    loops: it may have subgraphs besides the first one, which are in ``graphs``.
    """
    model = read_flatbuffer(data, SCHEMA, "Model", IDENTIFIER, what)
    subgraphs = model.get("subgraphs", [])
    if len(subgraphs) != 1 and not (loops and subgraphs):
        raise ModelFileError(f"{what} has {len(subgraphs)} subgraphs; edgebat runs models of exactly one")
    if "external_buffers" in model or "external_buffer_groups" in model:
        raise ModelFileError(f"{what} keeps constants in other files; convert it with all constants inside")
    buffers = [_buffer(buffer, what) for buffer in model.get("buffers", [])]
    codes = [_operator_name(code) for code in model.get("operator_codes", [])]
    metadata: dict[str, bytes] = {}
    for entry in model.get("metadata", []):
        index = entry.get("buffer", 0)
        if index >= len(buffers):
            raise ModelFileError(f"{what}: metadata {entry.get('name')!r} names buffer {index} of {len(buffers)}")
        if entry.get("name") not in metadata:
            metadata[str(entry.get("name"))] = buffers[index].tobytes()
    graphs = tuple(_subgraph(graph, buffers, codes, metadata, what) for graph in subgraphs)
    return replace(graphs[0], graphs=graphs)


def _subgraph(
    graph: dict[str, Any], buffers: list[npt.NDArray[np.uint8]], codes: list[str], metadata: dict[str, bytes], what: str
) -> FileModel:
    tensors = [_tensor(index, entry, buffers, what) for index, entry in enumerate(graph.get("tensors", []))]
    return FileModel(
        tensors,
        [_operator(entry, codes, tensors, what) for entry in graph.get("operators", [])],
        _indices(graph.get("inputs"), tensors, f"{what}: inputs", absent=False),
        _indices(graph.get("outputs"), tensors, f"{what}: outputs", absent=False),
        metadata,
    )


def _buffer(entry: dict[str, Any], what: str) -> npt.NDArray[np.uint8]:
    if entry.get("offset", 0) > 1 or entry.get("size", 0) > 1:
        raise ModelFileError(f"{what} keeps constants behind the flatbuffer; convert it to the usual layout")
    data: npt.NDArray[np.uint8] = entry.get("data", np.zeros(0, np.uint8))
    return data


_OTHER_TYPES = {
    1: "float16",
    5: "text",
    8: "complex64",
    10: "float64",
    13: "a variable outside of the graph",
    16: "uint16",
    17: "int4",
}


def _operator_name(code: dict[str, Any]) -> str:
    number = max(code.get("code", 0), code.get("deprecated_code", 0))
    if "custom_code" in code:
        return f"custom operator {code['custom_code']!r}"
    return _OPERATOR_NAME.get(number, f"builtin operator number {number}")


def _tensor(index: int, entry: dict[str, Any], buffers: list[npt.NDArray[np.uint8]], what: str) -> FileTensor:
    name = entry.get("name", f"tensor {index}")
    where = f"{what}: tensor {name!r}"
    dtype = _TYPE_NAME.get(entry.get("type", 0))
    if dtype is None or "sparsity" in entry or "variant_tensors" in entry or entry.get("external_buffer"):
        raise ModelFileError(
            f"{where} is {_OTHER_TYPES.get(entry.get('type', 0), 'sparse or of an unknown type')}; edgebat reads "
            f"{', '.join(sorted(TENSOR_TYPE))}. Convert the model with full integer quantization"
        )
    # A free batch size is -1 in the signature and 1 in the shape.
    shape = tuple(int(size) for size in entry.get("shape_signature", entry.get("shape", ())))
    if len(shape) != len(entry.get("shape", ())) or len(shape) > 8 or any(size < -1 for size in shape):
        raise ModelFileError(f"{where} has the shape {shape}")
    quantization = entry.get("quantization", {})
    if "details" in quantization:
        raise ModelFileError(f"{where} is quantized in a custom way; edgebat reads scale and zero point")
    scale = quantization.get("scale", np.zeros(0, np.float32))
    zero_point = quantization.get("zero_point", np.zeros(0, np.int64))
    if not (np.isfinite(scale).all() and (scale > 0).all()) or len(zero_point) not in (0, len(scale)):
        raise ModelFileError(f"{where} has scales that are not finite numbers > 0, or another number of zero points")
    if len(zero_point) != len(scale):
        zero_point = np.zeros(len(scale), np.int64)
    number = entry.get("buffer", 0)
    if number >= len(buffers):
        raise ModelFileError(f"{where} names buffer {number} of {len(buffers)}")
    data = None
    if len(buffers[number]):
        wanted = np.dtype(dtype).newbyteorder("<")
        if min(shape, default=1) < 1 or math.prod(shape) * wanted.itemsize != len(buffers[number]):
            raise ModelFileError(f"{where} of shape {shape}, {dtype}, has {len(buffers[number])} bytes of data")
        data = buffers[number].view(wanted).reshape(shape)
    return FileTensor(index, name, shape, dtype, scale, zero_point, data, bool(entry.get("is_variable")))


def _operator(entry: dict[str, Any], codes: list[str], tensors: list[FileTensor], what: str) -> FileOperator:
    index = entry.get("opcode_index", 0)
    if index >= len(codes):
        raise ModelFileError(f"{what}: an operator has code {index} of {len(codes)}")
    kind = codes[index]
    outputs = _indices(entry.get("outputs"), tensors, f"{what}: outputs of {kind}", absent=False)
    where = f"{what}: {kind} {tensors[outputs[0]].name!r}" if outputs else f"{what}: {kind}"
    inputs = _indices(entry.get("inputs"), tensors, f"{where}: inputs", absent=True)
    return FileOperator(kind, inputs, outputs, entry.get("options", {}), where)


def _indices(values: Any, tensors: list[FileTensor], where: str, *, absent: bool) -> tuple[int, ...]:
    indices = tuple(int(value) for value in (values if values is not None else ()))
    if any(index >= len(tensors) or index < (-1 if absent else 0) for index in indices):
        raise ModelFileError(f"{where} name tensors {indices}; the file has {len(tensors)}")
    return indices
