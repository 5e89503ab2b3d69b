"""edgebat's own model file (``.ebat``): a zip of NumPy arrays and one JSON document, deterministic byte for byte.

The foreign formats carry the same integers; this one exists so that a graph can be kept and read with NumPy alone.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.files import atomic_write, finite_json
from edgebat.graph.check import check_graph
from edgebat.graph.model import OPERATORS, IntGraph, Node, Requant, Tensor

FORMAT = "edgebat-graph"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 64 << 20
MAX_MEMBERS = 16384
# Everything zipfile, json and numpy raise on damaged input; the reader promises one error type.
_DAMAGE = (OSError, EOFError, RuntimeError, MemoryError, ArithmeticError, LookupError, ValueError, TypeError,
           AttributeError, SyntaxError, zipfile.BadZipFile, zlib.error)  # fmt: skip


def save_graph(graph: IntGraph, path: str | Path) -> None:
    """Write ``graph`` to ``path``; the same graph gives the same bytes."""
    arrays: list[np.ndarray] = []
    nodes = [_pack(node, arrays) | {"op": node.op} for node in graph.nodes]
    kind = {"format": FORMAT, "version": FORMAT_VERSION, "fingerprint": graph.fingerprint}
    document = graph_document(graph, nodes) | kind
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "graph.json", json.dumps(document, sort_keys=True, indent=1).encode())
        for index, array in enumerate(arrays):
            member = io.BytesIO()
            np.save(member, array.astype(array.dtype.newbyteorder("<")), allow_pickle=False)
            _add(archive, f"{index}.npy", member.getvalue())
    atomic_write(Path(path), buffer.getvalue())


def load_graph(path: str | Path) -> IntGraph:
    """Read and check a graph written by ``save_graph``.

    Raises ModelFileError when the file is not such a file, is damaged, or is larger than 64 MiB.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path} has {size} bytes; a model file may have at most {MAX_FILE_BYTES}")
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos.values()) > MAX_FILE_BYTES:
                raise ModelFileError(f"{path} unpacks to more than {MAX_FILE_BYTES} bytes or {MAX_MEMBERS} members")
            document = finite_json(archive.read("graph.json"))
            if document.get("format") != FORMAT or document.get("version") != FORMAT_VERSION:
                raise ModelFileError(
                    f"{path}: format {document.get('format')!r} version {document.get('version')!r}; "
                    f"this edgebat reads {FORMAT!r} version {FORMAT_VERSION}"
                )
            graph = _graph_from(document, archive)
        check_graph(graph)
    except EdgebatError as error:
        raise ModelFileError(f"{path} is not a usable edgebat model: {error}") from None
    except _DAMAGE as error:
        raise ModelFileError(
            f"{path} cannot be read as an edgebat model: {type(error).__name__}: {error}. Export the model again"
        ) from None
    if document["fingerprint"] != graph.fingerprint:
        raise ModelFileError(f"{path}: the stored fingerprint differs from the content; the file was altered")
    return graph


def graph_document(graph: IntGraph, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """``graph`` as JSON-able values, its ``nodes`` already so."""
    tensors = [asdict(tensor) for tensor in graph.tensors.values()]
    ends = {"name": graph.name, "input": graph.input, "output": graph.output}
    return ends | {"tensors": tensors, "nodes": nodes, "meta": graph.meta}


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _pack(part: Node | Requant, arrays: list[np.ndarray]) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for f in fields(part):
        value = getattr(part, f.name)
        if isinstance(value, np.ndarray):
            arrays.append(value)
            packed[f.name] = {"array": len(arrays) - 1}
        elif isinstance(value, Requant):
            packed[f.name] = {"requant": _pack(value, arrays)}
        else:
            packed[f.name] = list(value) if isinstance(value, tuple) else value
    return packed


def _unpack(packed: dict[str, Any], archive: zipfile.ZipFile) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in packed.items():
        if isinstance(value, dict) and "array" in value:
            member = io.BytesIO(archive.read(f"{int(value['array'])}.npy"))
            array = np.load(member, allow_pickle=False)
            values[name] = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
        elif isinstance(value, dict) and "requant" in value:
            values[name] = _typed(Requant, _unpack(value["requant"], archive))
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return values


def _typed(cls: type[Any], values: dict[str, Any]) -> Any:
    """``cls(**values)`` after comparing the plain fields with their declared types: JSON may carry anything."""
    plain = {"str": str, "int": int, "bool": bool, "tuple[str, ...]": tuple, "tuple[int, int]": tuple}
    for f in fields(cls):
        expected = plain.get(str(f.type), np.ndarray if "Int" in str(f.type) or "Float32" in str(f.type) else object)
        value = values[f.name]
        wrong = not isinstance(value, expected) or (expected is int and isinstance(value, bool))
        if str(f.type) == "tuple[int, int]" and not wrong:
            wrong = len(value) != 2 or not all(type(v) is int for v in value)
        if str(f.type) == "tuple[str, ...]" and not wrong:
            wrong = not all(type(v) is str for v in value)
        if wrong:
            raise ModelFileError(f"{cls.__name__}.{f.name} is {value!r}; allowed: {f.type}")
    return cls(**values)


def _graph_from(document: dict[str, Any], archive: zipfile.ZipFile) -> IntGraph:
    tensors = {}
    for entry in document["tensors"]:
        shape = tuple(entry["shape"])
        if not all(type(n) is int for n in shape) or type(entry["zero_point"]) is not int:
            raise ModelFileError(f"tensor {entry['name']!r} has shape {shape} or zero point not made of integers")
        tensors[str(entry["name"])] = Tensor(
            str(entry["name"]), shape, str(entry["dtype"]), float(entry["scale"]), entry["zero_point"]
        )
    nodes = []
    for packed in document["nodes"]:
        cls = OPERATORS.get(packed.pop("op"))
        if cls is None:
            raise ModelFileError(f"an operator is unknown; allowed: {sorted(OPERATORS)}")
        nodes.append(_typed(cls, _unpack(packed, archive)))
    meta = document["meta"]
    if not isinstance(meta, dict):
        raise ModelFileError("the metadata is not a JSON object")
    return IntGraph(str(document["name"]), tensors, tuple(nodes), str(document["input"]), str(document["output"]), meta)
