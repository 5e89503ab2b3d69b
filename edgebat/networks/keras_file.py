"""What lies in a ``.keras`` or ``.h5`` file: the description of a model, and its arrays by layer; read with h5py alone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError

MAX_BYTES = 256 << 20


def of_archive(path: Path, h5py: Any) -> tuple[Any, Any]:
    """(config, weights as a tree) of a ``.keras`` file."""
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise ModelFileError(f"{path} unpacks to more than {MAX_BYTES} bytes")
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return config, _tree(file)


def _tree(group: Any) -> Any:
    return {key: _tree(value) if hasattr(value, "keys") else np.asarray(value) for key, value in group.items()}


def of_h5(path: Path, h5py: Any) -> tuple[Any, Any]:
    """(config, arrays by layer name) of an ``.h5`` file."""
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelFileError(
                f"{path} holds weights without their network; write it with model.save(), not save_weights()"
            )
        found = {}
        for name, group in file["model_weights"].items():
            names = [n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs.get("weight_names", [])]
            found[name] = [(n, np.asarray(group[n])) for n in names]
        return json.loads(text), found


def weight_names(layers: Any) -> list[str]:
    """Where Keras 3 keeps the arrays of each layer: its class in snake case, numbered from the second one on."""
    used: dict[str, int] = {}
    names = []
    for layer in layers:
        snake = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", layer["class_name"]))
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        used[snake] = used.get(snake, -1) + 1
        names.append(f"{snake}_{used[snake]}" if used[snake] else snake)
    return names


def part(weights: Any, place: str, layer: Any) -> Any:
    """The part of the weights that a layer has: of the tree of ``.keras``, or of the lists of ``.h5``."""
    if "layers" in weights:
        return weights["layers"].get(place, {})
    name = layer.get("name") or layer["config"].get("name") if isinstance(layer["config"], dict) else ""
    if name in weights:
        found = weights[name]
        return _nested(found) if layer["class_name"] in ("Sequential", "Functional", "Model") else found
    return []


def _nested(found: list[tuple[str, Array]]) -> dict[str, list[tuple[str, Array]]]:
    """The arrays of a model within a model, by layer: each is named ``[model/]layer/[cell/]array``."""
    by_layer: dict[str, list[tuple[str, Array]]] = {}
    for name, array in found:
        parts = name.split("/")
        owner = parts[-3] if len(parts) > 2 and parts[-2].endswith("_cell") else parts[-2]
        by_layer.setdefault(owner, []).append((name, array))
    return by_layer


def arrays(weights: Any) -> list[Array]:
    """The arrays of one layer, in Keras's order."""
    if isinstance(weights, list):
        return [array for _, array in weights]
    if "forward_layer" in weights:
        return arrays(weights["forward_layer"]) + arrays(weights["backward_layer"])
    for inner in ("cell", "layer"):
        if inner in weights and weights[inner].get("vars"):
            weights = weights[inner]
    found = weights.get("vars", {})
    return [found[key] for key in sorted(found, key=int)]


def ends(entry: Any) -> list[str]:
    """Names of input or output layers: [["x", 0, 0]], or ["x", 0, 0] for one."""
    return [str(entry[0])] if entry and isinstance(entry[0], str) else [str(one[0]) for one in entry]


def inbound(node: Any) -> tuple[list[str], list[Any], dict[str, Any]]:
    """Layers that a node of a functional model reads, its other arguments, and those by name; of Keras 2 and 3."""
    if isinstance(node, list):
        return [str(one[0]) for one in node], [], {key: value for one in node for key, value in dict(*one[3:]).items()}
    read: list[str] = []
    more: list[Any] = []

    def visit(argument: Any, top: bool) -> None:
        if isinstance(argument, dict) and argument.get("class_name") == "__keras_tensor__":
            read.append(str(argument["config"]["keras_history"][0]))
        elif isinstance(argument, list) and any(isinstance(one, dict) and one.get("class_name") == "__keras_tensor__"
                                                for one in argument):  # fmt: skip
            for one in argument:
                visit(one, False)
        elif top:
            more.append(argument)

    for argument in node["args"]:
        visit(argument, True)
    return read, more, dict(node.get("kwargs") or {})
