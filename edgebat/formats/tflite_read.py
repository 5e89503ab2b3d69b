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
from edgebat.formats.tflite_model import MAX_NOTE_BYTES, FileModel, parse_tflite, read_bytes
from edgebat.formats.tflite_operators import Importer
from edgebat.formats.tflite_schema import METADATA_NAME
from edgebat.graph import IntGraph, check_graph


def read_tflite(path: str | Path) -> IntGraph:
    """The integer graph in the ``.tflite`` file at ``path``; of a file written by edgebat, the graph it was made from.

    Raises ModelFileError when the file is damaged, too large, or uses an operator or a form that edgebat does not run.
    """
    return tflite_graph(read_bytes(path), str(path))


def tflite_graph(data: bytes, what: str = "TFLite model") -> IntGraph:
    """As `read_tflite`, from the file's content; ``what`` names it in errors."""
    try:
        model = parse_tflite(data, what)
        note = _note(model, what)
        importer = Importer(model, note.get("nodes", {}), what)
        return check_graph(importer.graph(note.get("name", Path(what).stem), note.get("meta", {})))
    except EdgebatError as error:
        text = str(error)
        raise ModelFileError(text if text.startswith(what) else f"{what} is not a usable model: {text}") from None


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
