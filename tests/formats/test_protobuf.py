"""The protobuf reader, against bytes of the wire format written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.protobuf import MAX_DEPTH, MAX_MESSAGES, decode_varints, read_protobuf

SCHEMA = {
    "Cell": {
        1: ("cycles", "int"), 2: ("name", "string"), 3: ("parts", "[Cell]"), 4: ("soh", "[float]"),
        5: ("counts", "[int]"), 6: ("ah", "float"), 7: ("raw", "bytes"),
    }
}  # fmt: skip


def read(data: bytes) -> dict:
    return read_protobuf(data, SCHEMA, "Cell", "file")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"\x08\x05", {"cycles": 5}),
        (b"\x08\xac\x02", {"cycles": 300}),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"cycles": -1}),
        (b"\x08\x05\x08\x06", {"cycles": 6}),  # the last value of a single field counts
        (b"\x12\x02ab", {"name": "ab"}),
        (b"\x1a\x02\x08\x01\x1a\x00", {"parts": [{"cycles": 1}, {}]}),
        (b"\x35\x00\x00\xc0\x3f", {"ah": 1.5}),
        (b"\x78\x01\x12\x01x", {"name": "x"}),  # field 15 is unknown and skipped
        (b"\x7b\x7c", None),  # groups are not used any more
        (b"\x08", None),
        (b"\x08" + b"\x80" * 11, None),
        (b"\x12\x05ab", None),  # text longer than the file
        (b"\x12\x02\xff\xfe", None),  # not UTF-8
        (b"\x0a\x01x", None),  # a text where a number belongs
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", None),  # length 2**63 - 1
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),  # length -1
        (b"\x00\x01", None),  # field 0
    ],
)
def test_wire_format(data: bytes, expected: dict | None) -> None:
    if expected is None:
        with pytest.raises(ModelFileError, match="is damaged"):
            read(data)
    else:
        assert read(data) == expected


def test_repeated_numbers_packed_or_not_are_arrays() -> None:
    packed = read(b"\x2a\x04\x01\xac\x02\x03\x28\x07")
    assert packed["counts"].tolist() == [1, 300, 3, 7]
    floats = read(b"\x22\x08" + np.array([0.5, -2.0], "<f4").tobytes() + b"\x25" + np.array(3, "<f4").tobytes())
    assert floats["soh"].tolist() == [0.5, -2.0, 3.0]
    with pytest.raises(ModelFileError, match="cut off"):
        read(b"\x22\x03abc")


def test_decode_varints() -> None:
    rng = np.random.default_rng(0)
    numbers = [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -(2**63), *rng.integers(-(2**62), 2**62, 200).tolist()]
    data = bytearray()
    for number in numbers:
        rest = number & (2**64 - 1)
        while rest > 127:
            data.append(rest & 127 | 128)
            rest >>= 7
        data.append(rest)
    assert decode_varints(bytes(data)).tolist() == numbers
    with pytest.raises(ValueError, match="cut off"):
        decode_varints(b"\x01\x80")
    with pytest.raises(ValueError, match="ten bytes"):
        decode_varints(b"\x80" * 10 + b"\x01")


def test_nesting_and_number_of_fields_are_limited() -> None:
    data = b""
    for _ in range(MAX_DEPTH + 1):
        length = len(data)
        data = b"\x1a" + (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + data
    with pytest.raises(ModelFileError, match="nesting"):
        read(data)
    with pytest.raises(ModelFileError, match="more than"):
        read(b"\x1a\x00" * (MAX_MESSAGES + 1))
