"""A small, strict protobuf wire reader, driven by a schema written as Python dictionaries.

A schema maps a message name to ``{field number: (field name, kind)}``. Kinds: ``int`` (varint, signed 64 bit),
``float`` (32 bit), ``string``, ``bytes`` (a view of the file), a message name; in brackets (``[int]``, ``[Message]``)
when repeated. Repeated numbers become NumPy arrays, packed or not. Fields that are not in the schema are skipped, a
later value of a single field replaces an earlier one. Format: https://protobuf.dev/programming-guides/encoding.

Files are untrusted: every length is checked before it is used, numbers are decoded into arrays of at most eight bytes
per byte of file, messages are counted and their nesting is limited. The first violation raises `ModelFileError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.errors import ModelFileError

Schema = Mapping[str, Mapping[int, tuple[str, str]]]

# The Scan body of an LSTM layer has about a hundred nodes with a few attributes each.
MAX_MESSAGES = 50_000
MAX_DEPTH = 24

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_protobuf(data: bytes, schema: Schema, root: str, what: str) -> dict[str, Any]:
    """Parse ``data`` as message ``root``: nested dicts, lists, NumPy arrays for repeated numbers.

    Absent fields are absent from the dicts; ``what`` names the file in errors. Raises ModelFileError.
    """
    return _Reader(memoryview(data), schema, what).message(root, 0, len(data), 0)


def decode_varints(data: bytes | memoryview) -> npt.NDArray[np.int64]:
    """All varints of ``data`` as int64. Raises ValueError for a cut off or longer than ten byte varint."""
    octets = np.frombuffer(data, np.uint8)
    if len(octets) == 0:
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(octets < 0x80)
    if len(ends) == 0 or ends[-1] != len(octets) - 1:
        raise ValueError("a packed number is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise ValueError("a packed number has more than ten bytes")
    values = np.zeros(len(ends), np.uint64)
    for i in range(int(lengths.max())):
        has = lengths > i
        values[has] |= (octets[starts[has] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
    return values.view(np.int64)


class _Reader:
    def __init__(self, data: memoryview, schema: Schema, what: str) -> None:
        self.data, self.schema, self.what = data, schema, what
        self.messages_left = MAX_MESSAGES

    def fail(self, position: int, reason: str) -> ModelFileError:
        return ModelFileError(f"{self.what} is damaged: {reason} at byte {position} of {len(self.data)}.")

    def varint(self, position: int, end: int) -> tuple[int, int]:
        value = 0
        for i in range(10):
            if position + i >= end:
                raise self.fail(position, "a number is cut off")
            octet = self.data[position + i]
            value |= (octet & 0x7F) << (7 * i)
            if octet < 0x80:
                value &= (1 << 64) - 1
                return value - (1 << 64) if value >> 63 else value, position + i + 1
        raise self.fail(position, "a number has more than ten bytes")

    def fields(self, position: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        """(field number, wire type, varint value, start, stop) of each field; start and stop bound its bytes."""
        while position < end:
            key, start = self.varint(position, end)
            number, wire, value = key >> 3, key & 7, 0
            if wire == _VARINT:
                value, stop = self.varint(start, end)
            elif wire == _BYTES:
                length, start = self.varint(start, end)
                stop = start + length if length >= 0 else end + 1
            elif wire in (_FIXED32, _FIXED64):
                stop = start + (4 if wire == _FIXED32 else 8)
            else:
                raise self.fail(position, f"wire type {wire} is not known")
            if stop > end or number < 1:
                raise self.fail(position, f"field {number} does not fit in its message")
            yield number, wire, value, start, stop
            position = stop

    def message(self, name: str, start: int, stop: int, depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise self.fail(start, f"more than {MAX_DEPTH} levels of nesting")
        known = self.schema[name]
        result: dict[str, Any] = {}
        for number, wire, value, begin, end in self.fields(start, stop):
            self.messages_left -= 1
            if self.messages_left < 0:
                raise self.fail(begin, f"more than {MAX_MESSAGES} fields")
            if number not in known:
                continue
            field, kind = known[number]
            if kind in ("[int]", "[float]"):
                result.setdefault(field, []).append(self.numbers(kind[1:-1], wire, value, begin, end))
            elif kind.startswith("["):
                result.setdefault(field, []).append(self.single(kind[1:-1], wire, value, begin, end, depth))
            else:
                result[field] = self.single(kind, wire, value, begin, end, depth)
        for field, kind in known.values():
            if kind in ("[int]", "[float]") and field in result:
                result[field] = np.concatenate(result[field])
        return result

    def numbers(self, kind: str, wire: int, value: int, start: int, stop: int) -> npt.NDArray[Any]:
        if wire != _BYTES:
            single = self.single(kind, wire, value, start, stop, 0)
            return np.array([single], np.int64 if kind == "int" else np.float32)
        content = self.data[start:stop]
        if kind == "int":
            try:
                return decode_varints(content)
            except ValueError as error:
                raise self.fail(start, str(error)) from None
        if len(content) % 4:
            raise self.fail(start, "packed floats are cut off")
        return np.frombuffer(content, np.dtype("<f4"))

    def single(self, kind: str, wire: int, value: int, start: int, stop: int, depth: int) -> Any:
        expected = {"int": _VARINT, "float": _FIXED32}.get(kind, _BYTES)
        if wire != expected:
            raise self.fail(start, f"a {kind} has wire type {wire} instead of {expected}")
        if kind == "int":
            return value
        if kind == "float":
            return struct.unpack("<f", self.data[start:stop])[0]
        if kind == "bytes":
            return self.data[start:stop]
        if kind == "string":
            try:
                return str(self.data[start:stop], "utf-8")
            except UnicodeDecodeError:
                raise self.fail(start, "a text is not UTF-8") from None
        return self.message(kind, start, stop, depth + 1)
