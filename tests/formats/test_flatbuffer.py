"""The flatbuffer reader: what the writer wrote comes back, and nothing outside of the file is ever touched."""

from __future__ import annotations

from contextlib import suppress

import flatbuffers
import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.tflite.flatbuffer import MAX_TABLES, read_flatbuffer, write_flatbuffer

SCHEMA = {
    "Fleet": [("id", "u32"), ("cells", "[Cell]"), ("tags", "[string]"), ("extra_type", "u8"), ("extra", "union:Extra")],
    "Cell": [("name", "string"), ("capacity_ah", "f32"), ("cycles", "[i64]", 16), ("parent", "Cell"), ("used", "bool")],
    "Extra": [None, "Note"],
    "Note": [("text", "string")],
}
FLEET = {
    "id": 7,
    "cells": [
        {"name": "a", "capacity_ah": 2.5, "cycles": np.array([1, -2, 3]), "used": True},
        {"name": "zwölf", "parent": {"name": "inner"}},
    ],
    "tags": ["lfp", ""],
    "extra_type": 1,
    "extra": {"text": "hello"},
}


def test_what_was_written_is_read() -> None:
    data = write_flatbuffer(FLEET, SCHEMA, "Fleet", b"TEST")
    fleet = read_flatbuffer(data, SCHEMA, "Fleet", b"TEST", "file")
    assert fleet["id"] == 7
    assert fleet["tags"] == ["lfp", ""]
    assert fleet["extra"] == {"text": "hello"}
    first, second = fleet["cells"]
    assert (first["name"], first["capacity_ah"], first["used"]) == ("a", 2.5, True)
    assert first["cycles"].tolist() == [1, -2, 3]
    assert second == {"name": "zwölf", "parent": {"name": "inner"}}


def test_the_flatbuffers_package_reads_the_same_bytes() -> None:
    data = write_flatbuffer(FLEET, SCHEMA, "Fleet", b"TEST")
    table = flatbuffers.table.Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    assert table.Get(flatbuffers.number_types.Uint32Flags, table.Pos + table.Offset(4)) == 7
    cells = table.Vector(table.Offset(6))
    cell = flatbuffers.table.Table(data, table.Indirect(cells))
    assert cell.String(cell.Pos + cell.Offset(4)) == b"a"
    assert cell.GetVectorAsNumpy(flatbuffers.number_types.Int64Flags, cell.Offset(8)).tolist() == [1, -2, 3]
    # Numbers lie where a machine can load them: vectors on the alignment the schema asks for.
    assert cell.Vector(cell.Offset(8)) % 16 == 0


def test_the_reader_reads_what_the_flatbuffers_package_wrote() -> None:
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("cell 1")
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependFloat32Slot(1, 1.5, 0.0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    cell = read_flatbuffer(bytes(builder.Output()), SCHEMA, "Cell", b"TEST", "file")
    assert cell == {"name": "cell 1", "capacity_ah": 1.5}


def test_another_kind_of_file_is_named() -> None:
    with pytest.raises(ModelFileError, match="is not a TEST flatbuffer"):
        read_flatbuffer(b"PK\x03\x04 a zip file", SCHEMA, "Fleet", b"TEST", "model.zip")
    with pytest.raises(ModelFileError, match="is not a TEST flatbuffer"):
        read_flatbuffer(b"", SCHEMA, "Fleet", b"TEST", "empty")


def test_every_truncation_is_an_error() -> None:
    data = write_flatbuffer(FLEET, SCHEMA, "Fleet", b"TEST")
    # The last bytes are padding-free: cutting anything off cuts off a value.
    for length in range(len(data) - 1):
        with pytest.raises(ModelFileError):
            read_flatbuffer(data[:length], SCHEMA, "Fleet", b"TEST", "cut")


def test_offsets_to_anywhere_do_no_harm() -> None:
    data = bytearray(write_flatbuffer({"name": "x", "parent": {"name": "y"}}, SCHEMA, "Cell", b"TEST"))
    position = int.from_bytes(data[0:4], "little")
    for offset in range(position + 4, len(data) - 4):
        for value in (0, 1, 4, 0xFFFFFFFF, len(data)):
            mutated = bytearray(data)
            mutated[offset : offset + 4] = value.to_bytes(4, "little")
            with suppress(ModelFileError):
                read_flatbuffer(bytes(mutated), SCHEMA, "Cell", b"TEST", "mutated")


def test_sharing_one_table_many_times_is_bounded() -> None:
    cells = [{"name": "a"}] * 2
    data = bytearray(write_flatbuffer({"cells": cells}, SCHEMA, "Fleet", b"TEST"))
    # Claim far more cells than the file could hold.
    vector = data.index((2).to_bytes(4, "little"), 8)
    data[vector : vector + 4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(ModelFileError, match="does not fit"):
        read_flatbuffer(bytes(data), SCHEMA, "Fleet", b"TEST", "huge")
    many = write_flatbuffer({"cells": [{}] * (MAX_TABLES + 1)}, SCHEMA, "Fleet", b"TEST")
    with pytest.raises(ModelFileError, match="longer than"):
        read_flatbuffer(many, SCHEMA, "Fleet", b"TEST", "many")


def test_a_field_that_the_schema_does_not_know_is_a_mistake_of_the_writer() -> None:
    with pytest.raises(ValueError, match="no field"):
        write_flatbuffer({"wrong": 1}, SCHEMA, "Fleet", b"TEST")
