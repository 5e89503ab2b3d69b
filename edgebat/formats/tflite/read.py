"""Read a TensorFlow Lite file into an integer graph, with NumPy alone.

Scales are the file's; requantization is ``F`` as LiteRT's default kernels compute it, or, where the file's metadata
claims a multiply-and-shift form and it is proven equal for every accumulator, that form. Operators outside of the set
are refused with operator and layer name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.formats.tflite.model import MAX_NOTE_BYTES, FileModel, parse_tflite, read_bytes
from edgebat.formats.tflite.operators import Importer
from edgebat.formats.tflite.schema import METADATA_NAME
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph


def read_tflite(path: str | Path, rounding: str = "auto") -> IntGraph:
    """The integer graph in the ``.tflite`` file at ``path``; of a file written by edgebat, the graph it was made from.

    rounding: how dense and convolution layers are requantized: "float" as LiteRT does, "double" as TFLite Micro does,
    "auto" for float, but double in an LSTM model of others, whose LSTM is TFLite Micro's as well.
    Raises ModelFileError when the file is damaged, too large, or uses an operator or a form that edgebat does not run.
    """
    return tflite_graph(read_bytes(path), str(path), rounding)


def tflite_graph(data: bytes, what: str = "TFLite model", rounding: str = "auto") -> IntGraph:
    """As `read_tflite`, from the file's content; ``what`` names it in errors."""
    if rounding not in ("auto", "float", "double"):
        raise ModelFileError(f"rounding {rounding!r} is unknown; allowed: auto, float, double")
    try:
        model = parse_tflite(data, what)
        note = _note(model, what)
        _require_int8(model, what)
        recurrent = any("LSTM" in operator.kind for operator in model.operators)
        double = rounding == "double" or (rounding == "auto" and recurrent and not note)
        importer = Importer(model, note.get("nodes", {}), what, double=double)
        return check_graph(importer.graph(note.get("name", Path(what).stem), note.get("meta", {})))
    except EdgebatError as error:
        text = str(error)
        raise ModelFileError(text if text.startswith(what) else f"{what} is not a usable model: {text}") from None


def _require_int8(model: FileModel, what: str) -> None:
    """Refuse a model whose layers compute in another type, as what it is, before its first operator is refused."""
    layers = [
        tensor
        for operator in model.operators
        if operator.kind not in ("QUANTIZE", "DEQUANTIZE")
        for tensor in (model.tensors[index] for index in operator.outputs if index >= 0)
    ]
    if not layers or any(tensor.dtype in ("int8", "uint8") for tensor in layers):
        return
    form = "16-bit" if any(tensor.dtype == "int16" for tensor in layers) else "float"
    raise ModelFileError(
        f"{what} has {form} activations; edgebat runs models that are int8 throughout. Convert it with full integer "
        "quantization: a representative dataset, OpsSet.TFLITE_BUILTINS_INT8, inference_input_type and "
        "inference_output_type int8"
    )


def _note(model: FileModel, what: str) -> dict[str, Any]:
    """The JSON that `write_tflite` left in the file, reduced to its expected shape; {} for files of others."""
    content = model.metadata.get(METADATA_NAME)
    if content is None:
        return {}
    try:
        if len(content) > MAX_NOTE_BYTES:
            raise ValueError(f"it has {len(content)} bytes; allowed: {MAX_NOTE_BYTES}")
        note = json.loads(content)
        if note["format"] != 1 or not isinstance(note["name"], str):
            raise ValueError(f"format {note['format']!r}, name {note['name']!r}")
        if not isinstance(note["meta"], dict) or not all(isinstance(v, dict) for v in note["nodes"].values()):
            raise ValueError("not the expected objects")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{what}: its edgebat metadata is damaged: {error}. Export the model again") from None
    return dict(note)
