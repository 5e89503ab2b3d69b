"""The parts of a TFLite file while it is being written: buffers, tensors, operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.formats.tflite import schema
from edgebat.formats.tflite.flatbuffer import write_flatbuffer


class FileBuilder:
    """Collects one subgraph; methods return the index of what they added."""

    def __init__(self) -> None:
        self.buffers: list[dict[str, Any]] = [{}]  # buffer 0 is empty by convention
        self.tensors: list[dict[str, Any]] = []
        self.codes: list[tuple[int, int]] = []
        self.operators: list[dict[str, Any]] = []

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        data: npt.NDArray[Any] | None = None,
        scale: Any = None,
        zero_point: int = 0,
        dimension: int = 0,
        variable: bool = False,
    ) -> int:
        entry: dict[str, Any] = {"shape": shape, "type": schema.TENSOR_TYPE[dtype], "buffer": 0, "name": name}
        if data is not None:
            entry["buffer"] = self.buffer(data)
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            entry["quantization"] = {
                "scale": scales, "zero_point": np.full(len(scales), zero_point), "dimension": dimension
            }  # fmt: skip
        if variable:
            entry["is_variable"] = True
        self.tensors.append(entry)
        return len(self.tensors) - 1

    def buffer(self, data: npt.NDArray[Any]) -> int:
        little = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"))
        self.buffers.append({"data": np.frombuffer(little.tobytes(), np.uint8)})
        return len(self.buffers) - 1

    def operator(
        self,
        kind: str,
        version: int,
        inputs: list[int],
        output: int | list[int],
        options: str | None = None,
        values: dict[str, Any] | None = None,
        intermediates: list[int] | None = None,
    ) -> None:
        code = (schema.OPERATOR[kind], version)
        if code not in self.codes:
            self.codes.append(code)
        outputs = output if isinstance(output, list) else [output]
        entry: dict[str, Any] = {"opcode_index": self.codes.index(code), "inputs": inputs, "outputs": outputs}
        if options is not None:
            entry |= {"options_type": schema.OPTION_TYPE[options], "options": values or {}}
        if intermediates is not None:
            entry["intermediates"] = intermediates
        self.operators.append(entry)

    def content(self, source: int, target: int, note: bytes) -> bytes:
        """The file: ``source`` and ``target`` are the indices of input and output, ``note`` goes into the metadata."""
        metadata = {"name": schema.METADATA_NAME, "buffer": self.buffer(np.frombuffer(note, np.uint8))}
        subgraph = {
            "tensors": self.tensors,
            "inputs": [source],
            "outputs": [target],
            "operators": self.operators,
            "name": "main",
        }
        model = {
            "version": schema.SCHEMA_VERSION,
            "operator_codes": [{"deprecated_code": min(c, 127), "version": v, "code": c} for c, v in self.codes],
            "subgraphs": [subgraph],
            "description": "written by edgebat",
            "buffers": self.buffers,
            "metadata": [metadata],
        }
        return write_flatbuffer(model, schema.SCHEMA, "Model", schema.IDENTIFIER)
