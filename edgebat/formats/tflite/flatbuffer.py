"""A small, strict FlatBuffers reader and writer, driven by a schema written as Python dictionaries.

A schema maps a table name to its fields in vtable order: ``{"Point": [("x", "i32"), ("tags", "[string]")]}``. Field
types are scalars (``bool u8 i8 ... f32 f64``), ``string``, vectors (``[i32]``, ``[string]``, ``[Table]``), table names,
``union:Name`` (its type number is the field before it, ``Name`` is a list of table names by that number) and ``any``,
which is only noticed (read as True), never followed. Format: https://flatbuffers.dev/internals.

Files are untrusted. Every offset is checked against the file before it is followed; vectors of numbers are views of
the file, so nothing is allocated for them; tables and text are counted, because a hostile file may point many times
at the same place; nesting is limited. The first violation raises `ModelFileError`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError

Schema = Mapping[str, Sequence[Any]]

_SCALARS = {
    "bool": "<?", "u8": "<B", "i8": "<b", "u16": "<H", "i16": "<h",
    "u32": "<I", "i32": "<i", "u64": "<Q", "i64": "<q", "f32": "<f", "f64": "<d",
}  # fmt: skip
_DTYPES = {
    name: np.dtype("<" + {"b": "i", "u": "u", "i": "i", "f": "f"}[name[0]] + str(struct.calcsize(code)))
    for name, code in _SCALARS.items()
}

# A battery student has less than a hundred tables; a large vision model a few thousand.
MAX_TABLES = 10_000
MAX_DEPTH = 16


def read_flatbuffer(data: bytes, schema: Schema, root: str, identifier: bytes, what: str) -> dict[str, Any]:
    """Parse ``data`` as table ``root``: nested dicts, lists of dicts, and NumPy views for vectors of numbers.

    Absent fields are absent from the dicts. ``identifier``: the four bytes at offset 4; ``what`` names the file in
    errors. Raises ModelFileError.
    """
    if len(data) < 8 or data[4:8] != identifier:
        raise ModelFileError(
            f"{what} is not a {identifier.decode()} flatbuffer: bytes 4 to 7 are {bytes(data[4:8])!r} where "
            f"{identifier!r} is expected. Check that the file is complete and of the right kind."
        )
    return _Reader(data, schema, what).table(root, struct.unpack_from("<I", data, 0)[0], 0)


class _Reader:
    def __init__(self, data: bytes, schema: Schema, what: str) -> None:
        self.data, self.schema, self.what = data, schema, what
        self.tables_left = MAX_TABLES
        self.text_left = len(data)

    def fail(self, position: int, reason: str) -> ModelFileError:
        return ModelFileError(f"{self.what} is damaged: {reason} at byte {position} of {len(self.data)}.")

    def scalar(self, kind: str, position: int) -> Any:
        code = _SCALARS[kind]
        if position < 0 or position + struct.calcsize(code) > len(self.data):
            raise self.fail(position, f"a {kind} lies outside of the file")
        return struct.unpack_from(code, self.data, position)[0]

    def follow(self, position: int) -> int:
        return position + int(self.scalar("u32", position))

    def table(self, name: str, position: int, depth: int) -> dict[str, Any]:
        self.tables_left -= 1
        if depth > MAX_DEPTH or self.tables_left < 0:
            raise self.fail(position, f"more than {MAX_TABLES} tables or {MAX_DEPTH} levels of nesting")
        vtable = position - self.scalar("i32", position)
        vtable_size, table_size = self.scalar("u16", vtable), self.scalar("u16", vtable + 2)
        if vtable_size < 4 or vtable_size % 2 or vtable + vtable_size > len(self.data):
            raise self.fail(vtable, f"table {name} has a vtable of {vtable_size} bytes")
        if table_size < 4 or position + table_size > len(self.data):
            raise self.fail(position, f"table {name} claims {table_size} bytes")
        result: dict[str, Any] = {}
        for index, (field, kind, *_) in enumerate(self.schema[name]):
            slot = 4 + 2 * index
            offset = self.scalar("u16", vtable + slot) if slot < vtable_size else 0
            if offset == 0:
                continue
            width = struct.calcsize(_SCALARS[kind]) if kind in _SCALARS else 4
            if offset + width > table_size:
                raise self.fail(position, f"field {name}.{field} lies outside of its table")
            value = self.value(kind, position + offset, result.get(f"{field}_type", 0), depth)
            if value is not None:
                result[field] = value
        return result

    def value(self, kind: str, position: int, union_type: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self.scalar(kind, position)
        if kind == "any":
            return True
        if kind.startswith("union:"):
            choices = self.schema[kind[6:]]
            choice = choices[union_type] if union_type < len(choices) else None
            return None if choice is None else self.table(choice, self.follow(position), depth + 1)
        if kind == "string":
            return self.text(self.follow(position))
        if kind.startswith("["):
            return self.vector(kind[1:-1], self.follow(position), depth)
        return self.table(kind, self.follow(position), depth + 1)

    def text(self, position: int) -> str:
        length = self.scalar("u32", position)
        self.text_left -= length
        if position + 4 + length > len(self.data) or self.text_left < 0:
            raise self.fail(position, f"a text of {length} bytes does not fit")
        try:
            return self.data[position + 4 : position + 4 + length].decode()
        except UnicodeDecodeError:
            raise self.fail(position, "a text is not UTF-8") from None

    def vector(self, kind: str, position: int, depth: int) -> Any:
        length = self.scalar("u32", position)
        width = _DTYPES[kind].itemsize if kind in _DTYPES else 4
        if position + 4 + length * width > len(self.data):
            raise self.fail(position, f"a vector of {length} x {kind} does not fit")
        if kind in _DTYPES:
            return np.frombuffer(self.data, _DTYPES[kind], length, position + 4)
        if length > self.tables_left:
            raise self.fail(position, f"a vector of {length} x {kind} is longer than {MAX_TABLES}")
        items = (self.follow(position + 4 + 4 * i) for i in range(length))
        return [self.text(item) if kind == "string" else self.table(kind, item, depth + 1) for item in items]


def write_flatbuffer(value: Mapping[str, Any], schema: Schema, root: str, identifier: bytes) -> bytes:
    """Serialize nested dicts as read by `read_flatbuffer`; absent or None fields are left out. Deterministic.

    A field may carry its alignment in bytes as a third item of its schema entry (for example tensor data: 16).
    """
    writer = _Writer(schema)
    writer.buffer += bytes(4) + identifier
    writer.patch(0, writer.table(root, value))
    return bytes(writer.buffer)


class _Writer:
    """Parents before children: an offset is written as zero and patched once the child's place is known."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.buffer = bytearray()
        self.vtables: dict[bytes, int] = {}

    def align(self, alignment: int, ahead: int = 0) -> None:
        """Pad until the byte ``ahead`` of the end lies on a multiple of ``alignment``."""
        self.buffer += bytes(-(len(self.buffer) + ahead) % alignment)

    def patch(self, position: int, target: int) -> None:
        struct.pack_into("<I", self.buffer, position, target - position)

    def table(self, name: str, value: Mapping[str, Any]) -> int:
        entries = self.schema[name]
        unknown = set(value) - {entry[0] for entry in entries}
        if unknown:
            raise ValueError(f"table {name} has no field {sorted(unknown)}")
        present = [(i, entry) for i, entry in enumerate(entries) if value.get(entry[0]) is not None]
        # Widest fields first: behind the 4-byte vtable offset all of them are aligned without padding.
        present.sort(key=lambda item: -self.width(item[1][1]))
        slots = [0] * (max((i for i, _ in present), default=-1) + 1)
        offset = 4
        for i, entry in present:
            slots[i] = offset
            offset += self.width(entry[1])
        vtable = struct.pack(f"<{2 + len(slots)}H", 4 + 2 * len(slots), offset, *slots)
        if vtable not in self.vtables:
            self.align(2)
            self.vtables[vtable] = len(self.buffer)
            self.buffer += vtable
        self.align(8, ahead=4)
        position = len(self.buffer)
        self.buffer += struct.pack("<i", position - self.vtables[vtable]) + bytes(offset - 4)
        for i, (field, kind, *alignment) in present:
            self.put(kind, position + slots[i], value[field], value, field, *alignment)
        return position

    @staticmethod
    def width(kind: str) -> int:
        return struct.calcsize(_SCALARS[kind]) if kind in _SCALARS else 4

    def put(
        self, kind: str, position: int, item: Any, table: Mapping[str, Any], field: str, alignment: int = 4
    ) -> None:
        if kind in _SCALARS:
            struct.pack_into(_SCALARS[kind], self.buffer, position, item)
        elif kind.startswith("union:"):
            self.patch(position, self.table(self.schema[kind[6:]][table[f"{field}_type"]], item))
        elif kind == "string":
            self.patch(position, self.text(item))
        elif kind.startswith("["):
            self.patch(position, self.vector(kind[1:-1], item, alignment))
        else:
            self.patch(position, self.table(kind, item))

    def text(self, item: str) -> int:
        self.align(4)
        position = len(self.buffer)
        encoded = item.encode()
        self.buffer += struct.pack("<I", len(encoded)) + encoded + b"\0"
        return position

    def vector(self, kind: str, items: Any, alignment: int) -> int:
        if kind in _DTYPES:
            values = np.asarray(items, _DTYPES[kind]).ravel()
            self.align(max(alignment, values.itemsize), ahead=4)
            position = len(self.buffer)
            self.buffer += struct.pack("<I", len(values)) + values.tobytes()
            return position
        self.align(4)
        position = len(self.buffer)
        self.buffer += struct.pack("<I", len(items)) + bytes(4 * len(items))
        for i, item in enumerate(items):
            self.patch(position + 4 + 4 * i, self.text(item) if kind == "string" else self.table(kind, item))
        return position
