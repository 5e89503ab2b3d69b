"""Read an ONNX file into an integer graph, with NumPy alone.

A file of ours describes its graph in its metadata, and its constants hold the integers. Neither is trusted: the graph
is built from both, turned into ONNX operators again, and accepted only when these are the operators of the file.
Quantized files of others are read operator by operator, with the rounding (``F``) of ONNX Runtime.
"""

from __future__ import annotations

from pathlib import Path

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.files import finite_json
from edgebat.formats.onnx.emit import OPSETS, emit_graph
from edgebat.formats.onnx.model import METADATA_KEY, first_difference
from edgebat.formats.onnx.note import graph_from_note
from edgebat.formats.onnx.operators import Importer
from edgebat.formats.onnx.parse import OnnxFile, parse_onnx
from edgebat.formats.roundings import AUTO, OWN, rounding_of
from edgebat.formats.tflite.model import MAX_NOTE_BYTES, read_bytes
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph


def read_onnx(path: str | Path, rounding: str = AUTO) -> IntGraph:
    """The integer graph in the ``.onnx`` file at ``path``; of a file written by edgebat, the graph it was made from.

    rounding: whose integers a file of others stands for: "auto" for ONNX Runtime's, or a name of `roundings.ROUNDINGS`.

    Raises ModelFileError when the file is damaged, too large, altered, or uses operators that edgebat does not run.
    """
    return onnx_graph(read_bytes(path), str(path), rounding)


def onnx_graph(data: bytes, what: str = "ONNX model", rounding: str = AUTO) -> IntGraph:
    """As `read_onnx`, from the file's content; ``what`` names it in errors."""
    chosen = rounding_of(rounding, "onnxruntime")
    try:
        file = parse_onnx(data, what)
        if METADATA_KEY in file.metadata:
            if rounding != AUTO:
                raise ModelFileError(f"{what} {OWN}")
            return _own(file, what)
        if not 10 <= file.opsets.get("", 0) <= 25:
            raise ModelFileError(f"{what} uses operator set {file.opsets.get('', 0)}; edgebat reads 10 to 25")
        try:
            return check_graph(Importer(file.graph, what, chosen, file.opsets.get("", 0)).graph(Path(what).stem))
        except ModelFileError as error:
            raise ModelFileError(f"{error}{_form(file)}") from None
    except EdgebatError as error:
        text = str(error)
        raise ModelFileError(text if text.startswith(what) else f"{what} is not a usable model: {text}") from None


def _form(file: OnnxFile) -> str:
    """What a model of others that cannot be read is as a whole, when it is not quantized to int8; "" when it is."""
    kinds = {node.op for node in file.graph.nodes}
    dynamic = any(kind.startswith("Dynamic") for kind in kinds)
    if not dynamic and any(kind == "QuantizeLinear" or kind.startswith("QLinear") for kind in kinds):
        return ""
    form = "quantized dynamically, its activations are float" if dynamic else "a float model"
    return (
        f". The file is {form}; edgebat runs models that are int8 throughout. Quantize the float one: edgebat quantize FILE "
        "--calibration WINDOWS"
    )


def _own(file: OnnxFile, what: str) -> IntGraph:
    text = file.metadata[METADATA_KEY]
    try:
        if len(text) > MAX_NOTE_BYTES:
            raise ValueError(f"it has {len(text)} characters; allowed: {MAX_NOTE_BYTES}")
        note = finite_json(text)
        graph, stateful = graph_from_note(note, file.graph.initializers), note["stateful"] is True
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        # Everything that json and a document of another shape than expected raise.
        reason = f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{what}: its edgebat metadata is damaged: {reason}. Export the model again") from None
    emitted, _ = emit_graph(check_graph(graph), stateful=stateful)
    difference = "its operator sets" if file.opsets != OPSETS else first_difference(emitted, file.graph)
    if difference is not None:
        raise ModelFileError(
            f"{what}: its edgebat metadata describes another model than its operators ({difference} differs). "
            "The file was altered, or written by another version; export the model again"
        )
    return graph
