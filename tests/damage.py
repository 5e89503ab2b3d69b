"""Damaged copies of a file: truncated, bits flipped, words replaced by extremes, pieces moved. Seeded."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

# Words that break readers: ends of the integer ranges, huge counts, and floats that are no scale.
WORDS = [
    *(struct.pack("<I", value) for value in (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    *(struct.pack("<f", value) for value in (float("nan"), float("inf"), -1.0, 0.0, 1e-45, 3e38)),
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
]  # fmt: skip


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """``count`` different kinds of damage done to ``data``; one to four at a time."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        content = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            _hurt(content, rng)
        yield bytes(content)


def _hurt(content: bytearray, rng: np.random.Generator) -> None:
    if not content:
        return
    place = int(rng.integers(len(content)))
    match int(rng.integers(8)):
        case 0 | 1:
            content[place] ^= 1 << int(rng.integers(8))
        case 2:
            content[place] = int(rng.integers(256))
        case 3 | 4:
            word = WORDS[rng.integers(len(WORDS))]
            start = place - place % 4 if rng.integers(2) else place
            content[start : start + len(word)] = word
        case 5:
            if rng.integers(4) == 0:
                del content[place:]
        case 6:
            del content[place : place + int(rng.integers(1, 9))]
        case 7:
            start = int(rng.integers(len(content)))
            content[place:place] = content[start : start + int(rng.integers(1, 33))]
