"""What an ONNX file of ours says about itself in its metadata: everything that is not one of its constants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.onnx.integer import GATE_ORDER
from edgebat.formats.rounding import Linear, float_requant, proven, real_multiplier, shift_hint
from edgebat.formats.roundings.softmax import onnxruntime_table
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.model import IntGraph, Node, Requant, Tensor
from edgebat.graph.store import graph_document

NOTE_FORMAT = 1
_LISTED = {f"{part}_{label}" for part in ("input", "recurrent") for label in ("scale", "factor", "shift")}
"""Arrays of few values that integer operators have no place for, or not one of their own."""


def graph_note(graph: IntGraph) -> dict[str, Any]:
    """A JSON-able description of ``graph``; arrays are left out, they are the file's constants."""
    nodes = []
    for node in graph.nodes:
        entry: dict[str, Any] = {"op": node.op}
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if isinstance(value, Requant):
                entry[field.name] = {
                    "kind": value.kind, "minimum": value.minimum, "maximum": value.maximum, "hint": shift_hint(value)
                }  # fmt: skip
            elif not isinstance(value, np.ndarray):
                entry[field.name] = list(value) if isinstance(value, tuple) else value
            elif field.name in _LISTED or (
                field.name == "weight_scale" and graph.tensors[node.output].dtype == "int16"
            ):
                # Integer operators have no place for the scales of LSTM, GRU and head.
                entry[field.name] = value.tolist()
        nodes.append(entry)
    return graph_document(graph, nodes) | {"format": NOTE_FORMAT}


def graph_from_note(note: dict[str, Any], constants: dict[str, Array]) -> IntGraph:
    """The graph that ``note`` describes, its arrays taken from the file's ``constants``.

    Raises KeyError, TypeError, ValueError or IndexError when the note has another form than `graph_note` gives it.
    """
    if note["format"] != NOTE_FORMAT:
        raise ValueError(f"format {note['format']!r}; this edgebat reads {NOTE_FORMAT}")
    tensors = {}
    for entry in note["tensors"]:
        shape = tuple(_integer(size) for size in entry["shape"])
        tensors[_text(entry["name"])] = Tensor(
            _text(entry["name"]), shape, _text(entry["dtype"]), float(np.float32(_number(entry["scale"]))),
            _short(entry["zero_point"]),
        )  # fmt: skip
    nodes = tuple(_Decoder(entry, tensors, constants).node() for entry in note["nodes"])
    if not isinstance(note["meta"], dict):
        raise TypeError("meta is not an object")
    return IntGraph(_text(note["name"]), tensors, nodes, _text(note["input"]), _text(note["output"]), note["meta"])


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value


def _short(value: Any) -> int:
    """An integer of 16 bits: no output, zero point or limit is larger, and larger ones could make arrays of any size."""
    if not -(1 << 15) <= _integer(value) < 1 << 15:
        raise ValueError(f"{value} does not fit int16")
    return int(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is not a text")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _pair(value: Any) -> tuple[int, int]:
    left, right = value
    return _integer(left), _integer(right)


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _integer,
    "bool": _flag,
    "tuple[str, ...]": lambda value: tuple(_text(name) for name in value),
    "tuple[int, int]": _pair,
}
"""What reads a field of a node from the note, by the field's type."""


class _Decoder:
    """One node: plain fields from the note, arrays from the constants that `emit.py` makes of them."""

    def __init__(self, entry: dict[str, Any], tensors: dict[str, Tensor], constants: dict[str, Array]) -> None:
        self.entry, self.tensors, self.constants = entry, tensors, constants
        if entry["op"] not in _OPERATORS:
            raise ValueError(f"operator {entry['op']!r}")
        self.cls: type[Any] = ops.OPERATORS[entry["op"]]
        plain = [field for field in dataclasses.fields(self.cls) if field.type in _PLAIN]
        self.common = {field.name: _PLAIN[str(field.type)](entry[field.name]) for field in plain}
        self.name, self.output = self.common["name"], self.common["output"]

    @property
    def source(self) -> Tensor:
        return self.tensors[self.common["inputs"][0]]

    def array(self, label: str, dtype: str) -> Array:
        value = self.constants[f"{self.name}/{label}"]
        if value.dtype != np.dtype(dtype) or 0 in value.shape:
            raise ValueError(f"constant {label!r} of node {self.name!r} is {value.dtype}{list(value.shape)}")
        return value

    def node(self) -> Node:
        node = _OPERATORS[self.cls.op](self)
        if isinstance(node, Linear) and node.requant.kind == "float":
            return proven(node, self.source, self.entry["requant"]["hint"])
        return node

    # -- requantization

    def requant(self, weight_scale: Array) -> Requant:
        source, target = self.source, self.tensors[self.output]
        packed = self.entry["requant"]
        low, high = _short(packed["minimum"]), _short(packed["maximum"])
        return float_requant(real_multiplier(source.scale, weight_scale, target.scale), target.zero_point, low, high)

    def plain_shift(self, channels: int) -> Requant:
        """The note's multiply and shift; they are compared with the file when the graph is emitted again."""
        packed, target = self.entry["requant"], self.tensors[self.output]
        hint = packed["hint"]
        k, n, clamp = (np.array([_integer(v) for v in hint[key]], np.int32) for key in ("k", "n", "L"))
        if not len(k) == len(n) == len(clamp) == channels or (n < 1).any() or (n > 46).any():
            raise ValueError(f"requantization of node {self.name!r}")
        scale = (k * 2.0 ** -n.astype(np.float64)).astype(np.float32)
        low, high = _short(packed["minimum"]), _short(packed["maximum"])
        return Requant("shift", target.zero_point, low, high, k, n, clamp, scale, hint.get("wide") is True)

    # -- operators

    def plain(self, **more: Any) -> Node:
        """The node of the note's fields and ``more``, which the note leaves out."""
        node: Node = self.cls(**self.common, **more)
        return node

    flatten = concat = last_step = max_pool1d = pad1d = mean_pool1d = float_pool1d = reverse = plain

    def softmax(self) -> Node:
        if self.common["form"] == "onnxruntime":
            return self.plain(table=onnxruntime_table(self.source.scale, self.source.shape[-1]))
        return self.plain(table=self.array("table", "int32"))

    def average_pool1d(self) -> Node:
        return self.plain(requant=self.requant(self.array("weight_scale", "float32")[:1]))

    def add(self) -> Node:
        terms = [self.constants[f"{self.output}/term{i}_multiplier"] for i in (0, 1)]
        return self.plain(multiplier=np.array(terms, np.int32), requant=self.plain_shift(1))

    def mul(self) -> Node:
        factor = np.array([self.tensors[self.common["inputs"][1]].scale], np.float32)
        return self.plain(requant=self.requant(factor))

    def take(self) -> Node:
        return self.plain(index=self.array("index", "int32"))

    def lut(self) -> Node:
        return self.plain(table=self.array("table", "int8"))

    def dense(self) -> Node:
        weight, bias = self.array("weight", "int8"), self.array("bias", "int32")
        if self.tensors[self.output].dtype == "int16":
            scale = np.array([_number(v) for v in self.entry["weight_scale"]], np.float32)
            weight = np.ascontiguousarray(weight.T)
            requant = self.plain_shift(len(bias))
        else:
            scale = self.array("weight_scale", "float32")
            requant = self.requant(scale)
        return self.plain(weight=weight, bias=bias, weight_scale=scale, requant=requant)

    def conv1d(self) -> Node:
        weight, bias = self.array("weight", "int8"), self.array("bias", "int32")
        if weight.ndim != 3:
            raise ValueError(f"weight of node {self.name!r} has {weight.ndim} dimensions")
        scale = self.array("weight_scale", "float32")
        weight = np.ascontiguousarray(weight.transpose(0, 2, 1) if self.cls is ops.Conv1D else weight[:, 0].T)
        return self.plain(weight=weight, bias=bias, weight_scale=scale, requant=self.requant(scale))

    depthwise_conv1d = conv1d

    def lstm(self) -> ops.Lstm:
        source, target = self.source, self.tensors[self.output]
        units = target.shape[-1]
        back = [GATE_ORDER.index(gate) for gate in range(4)]

        def gates(label: str) -> Array:
            return np.ascontiguousarray(self.array(label, "int8").T.reshape(4, units, -1)[back])

        scales = [
            np.array([_number(v) for v in self.entry[key]], np.float32) for key in ("input_scale", "recurrent_scale")
        ]
        derived = self.common | lstm_multipliers(source.scale, target.scale, *scales)
        node: ops.Lstm = self.cls(
            **derived, input_weight=gates("input_weight"), recurrent_weight=gates("recurrent_weight"),
            bias=self.array("bias", "int32").reshape(4, units)[back], input_scale=scales[0], recurrent_scale=scales[1],
        )  # fmt: skip
        return node

    clipped_lstm = lstm

    def gru(self) -> ops.Gru:
        units = self.tensors[self.output].shape[-1]
        listed: dict[str, Any] = {
            field.name: np.array([_number(v) for v in self.entry[field.name]], np.float32)
            if field.name.endswith("scale")
            else np.array([_integer(v) for v in self.entry[field.name]], np.int32)
            for field in dataclasses.fields(self.cls)
            if field.name in _LISTED
        }
        parts = [self.array("recurrent_weight", "int8").T.reshape(-1, units, units)]
        recurrent_bias = np.zeros(units, np.int32)
        if self.common["reset_after"]:
            recurrent_bias = self.array("recurrent_bias", "int32")[2 * units :]
        else:
            parts.append(self.array("new_weight", "int8").T.reshape(1, units, units))
        return ops.Gru(
            **self.common, **listed, recurrent_bias=recurrent_bias, recurrent_weight=np.concatenate(parts),
            input_weight=np.ascontiguousarray(self.array("input_weight", "int8").T.reshape(3, units, -1)),
            bias=self.array("bias", "int32").reshape(3, units),
        )  # fmt: skip


_OPERATORS: dict[str, Callable[[_Decoder], Node]] = {
    name: getattr(_Decoder, name) for name in ops.OPERATORS if hasattr(_Decoder, name)
}
"""The method of each operator's name."""
