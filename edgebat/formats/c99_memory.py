"""Where activations lie: padded rows, and buffers that share the caller's scratch memory when their lives allow it."""

from __future__ import annotations

from dataclasses import dataclass

from edgebat.formats.c99_tables import pad4


@dataclass(eq=False)
class Buffer:
    """A piece of scratch memory, alive from node ``first`` to node ``last`` (inclusive)."""

    size: int
    first: int
    last: int
    offset: int = -1
    base: str = "s"  # the pointer in the generated function that offsets count from


@dataclass(frozen=True)
class View:
    """A tensor in memory: ``rows`` of ``width`` values, ``stride`` bytes apart, from ``start`` in ``buffer``.

    buffer None is the caller's input. A flattened tensor keeps its rows; its consumer skips the padding.
    """

    buffer: Buffer | None
    start: int
    rows: int
    width: int
    stride: int

    @property
    def bytes(self) -> int:
        """Bytes from the first value to the end of the last row's padding."""
        return self.rows * self.stride

    def address(self) -> str:
        """C expression of the first value."""
        if self.buffer is None:
            return f"&input[{self.start}]" if self.start else "input"
        return f"&{self.buffer.base}[{self.buffer.offset + self.start}]"


def allocate(buffers: list[Buffer]) -> int:
    """Give every buffer an offset such that no two living ones overlap; returns the bytes needed in all.

    Largest first, each at the lowest free place: a heuristic, exact for chains of layers.
    """
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        living = sorted(
            (b for b in placed if b.first <= buffer.last and buffer.first <= b.last), key=lambda b: b.offset
        )
        offset = 0
        for other in living:
            if offset + buffer.size <= other.offset:
                break
            offset = max(offset, other.offset + other.size)
        buffer.offset = offset
        placed.append(buffer)
    return max((b.offset + pad4(b.size) for b in placed), default=0)
