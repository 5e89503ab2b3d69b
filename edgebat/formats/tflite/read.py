"""Read a TensorFlow Lite file into an integer graph, with NumPy alone.

Scales are the file's; what is rounded how is a choice of `edgebat.formats.roundings`, by default LiteRT's, or, where the
file's metadata claims a multiply-and-shift form and it is proven equal for every accumulator, that form. Operators
outside of the set are refused with operator and layer name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.files import finite_json
from edgebat.formats.roundings import AUTO, OWN, Rounding, rounding_of
from edgebat.formats.tflite.gru_read import fold_layers, require_same
from edgebat.formats.tflite.model import MAX_NOTE_BYTES, FileModel, parse_tflite, read_bytes
from edgebat.formats.tflite.operators import Importer
from edgebat.formats.tflite.schema import METADATA_NAME
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph

TFLM, XNNPACK = "tflm", "xnnpack"


def read_tflite(path: str | Path, rounding: str = AUTO) -> IntGraph:
    """The integer graph in the ``.tflite`` file at ``path``; of a file written by edgebat, the graph it was made from.

    rounding: whose integers a file of others stands for: "xnnpack" (LiteRT), "tflm" (TFLite Micro), "onnxruntime", or
    "auto" for xnnpack, but tflm in an LSTM model, whose LSTM is TFLite Micro's as well. A file of ours has its own.
    Raises ModelFileError when the file is damaged, too large, or uses an operator or a form that edgebat does not run.
    """
    return tflite_graph(read_bytes(path), str(path), rounding)


def tflite_graph(data: bytes, what: str = "TFLite model", rounding: str = AUTO) -> IntGraph:
    """As `read_tflite`, from the file's content; ``what`` names it in errors."""
    rounding_of(rounding, XNNPACK)
    try:
        model = parse_tflite(data, what)
        note = _note(model, what)
        _require_int8(model, what)
        recurrent = any("LSTM" in operator.kind for operator in model.operators)
        if note and rounding != AUTO:
            raise ModelFileError(f"{what} {OWN}")
        chosen = rounding_of(rounding, TFLM if recurrent and not note else XNNPACK)
        if recurrent and not note and chosen.name != TFLM:
            raise ModelFileError(
                f"{what} has an LSTM, which edgebat computes as TFLite Micro does; its other layers cannot be rounded as "
                f"{chosen.engine} does beside it. Leave --rounding out, or choose {TFLM}"
            )
        hints = note.get("nodes", {})
        importer = Importer(fold_layers(model, hints), hints, what, chosen)
        graph = check_graph(importer.graph(note.get("name", Path(what).stem), note.get("meta", {})))
        require_same(graph, data)
        return check_graph(graph if note else replace(graph, meta={"foreign": _foreign(model, chosen)}))
    except EdgebatError as error:
        text = str(error)
        raise ModelFileError(text if text.startswith(what) else f"{what} is not a usable model: {text}") from None


def _foreign(model: FileModel, rounding: Rounding) -> dict[str, Any]:
    """What others have to know of a file that edgebat did not write: whose integers, and the types at its border."""
    source, target = (model.tensors[ends[0]] for ends in (model.inputs, model.outputs))
    return {"rounding": rounding.name, "input": source.dtype, "output": target.dtype}


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
    weights = {tensor.dtype for tensor in model.tensors if tensor.data is not None}
    given = "FILE"
    if any(tensor.dtype == "int16" for tensor in layers):
        form, given = "16-bit activations and 8-bit weights (16x8)", "FLOAT_FILE"
    elif "float16" in weights:
        form = "float16 weights and float activations"
    elif "int8" in weights:
        form, given = "8-bit weights and float activations (dynamic range quantization)", "FLOAT_FILE"
    else:
        form = "float activations"
    raise ModelFileError(
        f"{what} has {form}; edgebat runs models that are int8 throughout. Quantize the float model: edgebat quantize "
        f"{given} --calibration WINDOWS; or convert it with full integer quantization: a representative dataset, "
        "OpsSet.TFLITE_BUILTINS_INT8, inference_input_type and inference_output_type int8"
    )


def _note(model: FileModel, what: str) -> dict[str, Any]:
    """The JSON that `write_tflite` left in the file, reduced to its expected shape; {} for files of others."""
    content = model.metadata.get(METADATA_NAME)
    if content is None:
        return {}
    try:
        if len(content) > MAX_NOTE_BYTES:
            raise ValueError(f"it has {len(content)} bytes; allowed: {MAX_NOTE_BYTES}")
        note = finite_json(content)
        if note["format"] != 1 or not isinstance(note["name"], str):
            raise ValueError(f"format {note['format']!r}, name {note['name']!r}")
        if not isinstance(note["meta"], dict) or not all(isinstance(v, dict) for v in note["nodes"].values()):
            raise ValueError("not the expected objects")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{what}: its edgebat metadata is damaged: {error}. Export the model again") from None
    return dict(note)
