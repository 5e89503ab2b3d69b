"""The unrolled GRU of `edgebat.formats.tflite.gru` as one layer again.

The file's metadata says which operators a layer became; its constants hold the weights. Neither is trusted: the graph made
from both is written again, and accepted only when that gives the file, byte for byte.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.foreign import ImporterBase
from edgebat.formats.tflite.gru import OPERATOR
from edgebat.formats.tflite.model import FileModel, FileOperator
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph.model import Gru, IntGraph


def fold_layers(model: FileModel, hints: dict[str, Any]) -> FileModel:
    """``model`` with one operator ``EDGEBAT_GRU`` from sequence to sequence where ``hints`` name those of a layer."""
    operators = list(model.operators)
    spans = sorted((_span(hint, len(operators), name) for name, hint in hints.items() if "gru" in hint), reverse=True)
    if any(first + count > after for (after, _), (first, count) in itertools.pairwise(spans)):
        raise ModelFileError("two GRU layers are said to share operators")
    for first, count in spans:
        begin, end = operators[first], operators[first + count - 1]
        where = end.where.replace(end.kind, "GRU")
        operators[first : first + count] = [FileOperator(OPERATOR, begin.inputs[:1], end.outputs, {}, where)]
    return replace(model, operators=operators) if spans else model


def _span(hint: dict[str, Any], operators: int, name: str) -> tuple[int, int]:
    first, count = hint.get("first"), hint.get("count")
    if type(first) is not int or type(count) is not int or first < 0 or count < 1 or first + count > operators:
        raise ModelFileError(
            f"GRU {name!r} is said to be operators {first!r} and {count!r} more; the file has {operators}"
        )
    return first, count


def read_gru(importer: ImporterBase, operator: FileOperator) -> Gru:
    """The layer that ``operator`` stands for; its output is declared by ``importer``. Raises ModelFileError."""
    source, target = importer.source(operator), importer.target(operator)
    label = importer.label(target)
    try:
        noted: dict[str, Any] = importer.hint(target)["gru"]
        units = target.shape[-1]
        listed: dict[str, Any] = {
            key: np.array(noted[key], np.float32 if key.endswith("scale") else np.int32)
            for key in (f"{part}_{what}" for part in ("input", "recurrent") for what in ("scale", "factor", "shift"))
        }
        reset_after = noted["reset_after"]
        if any(array.shape != (3,) for array in listed.values()) or type(reset_after) is not bool:
            raise ValueError("not three values a gate")
        constants = {tensor.name: tensor.values for tensor in importer.model.tensors if tensor.data is not None}

        def sums(name: str, factor: Array) -> Array:
            offset = rules.head_offset(factor.repeat(units))
            return ((constants[f"{label}/{name}"] - offset) >> rules.HEAD_SHIFT).astype(np.int32)

        recurrent = [constants[f"{label}/{name} weight"] for name in ("recurrent", "new")]
        return Gru(
            label, (source.name,), target.name,
            input_weight=constants[f"{label}/input weight"].reshape(3, units, -1),
            recurrent_weight=np.concatenate(recurrent).reshape(3, units, -1),
            bias=sums("input bias", listed["input_factor"]).reshape(3, units),
            recurrent_bias=sums("new bias", listed["recurrent_factor"][2:]),
            reset_after=reset_after, **listed,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelFileError(f"its metadata is damaged: {reason}. Export the model again") from None


def require_same(graph: IntGraph, data: bytes) -> None:
    """Raise ModelFileError unless ``graph``, which has a folded layer, is written as ``data``."""
    if any(isinstance(node, Gru) for node in graph.nodes) and tflite_bytes(graph)[0] != data:
        raise ModelFileError(
            "the metadata describes another model than the operators. The file was altered, or written by another version; "
            "export the model again"
        )
