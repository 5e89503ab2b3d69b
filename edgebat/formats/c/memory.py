"""Where activations lie: padded rows, and buffers that share the caller's scratch memory when their lives allow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 4  # rows and columns of a weight block


def pad4(n: int) -> int:
    """``n`` rounded up to a multiple of four."""
    return -(-n // BLOCK) * BLOCK


@dataclass(eq=False)
class Buffer:
    """A piece of scratch memory, alive from node ``first`` to node ``last`` (inclusive).

    ``follows`` = (buffer, gap): may begin ``gap`` bytes before that buffer and overwrite it while it is used up.
    """

    size: int
    first: int
    last: int
    offset: int = -1
    base: str = "s"  # the pointer in the generated function that offsets count from
    follows: tuple[Buffer, int] | None = None


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


@dataclass
class _Group:
    """Buffers at fixed distances from one another: a buffer and those that overwrite it while it is used up."""

    members: list[tuple[Buffer, int]]

    @property
    def first(self) -> int:
        return min(b.first for b, _ in self.members)

    @property
    def last(self) -> int:
        return max(b.last for b, _ in self.members)

    @property
    def size(self) -> int:
        return max(at + b.size for b, at in self.members)


def allocate(buffers: Sequence[Buffer]) -> int:
    """Give every buffer an offset such that no two living ones overlap; returns the bytes needed in all.

    Overwriting input by output in place is tried and kept when it saves memory.
    """
    apart = _lay_out([_Group([(b, 0)]) for b in buffers])
    offsets = [b.offset for b in buffers]
    together = _lay_out(_groups(buffers))
    if together < apart:
        return together
    for buffer, offset in zip(buffers, offsets, strict=True):
        buffer.offset = offset
    return apart


def _groups(buffers: Sequence[Buffer]) -> list[_Group]:
    """Chains of buffers that follow one another, offsets counted from the lowest member."""
    groups: dict[Buffer, _Group] = {}
    for buffer in buffers:
        if buffer.follows is None:
            groups[buffer] = _Group([(buffer, 0)])
            continue
        before, gap = buffer.follows
        group = groups[before]
        at = next(at for member, at in group.members if member is before) - pad4(gap)
        lowest = min(at, 0)
        group.members = [(member, offset - lowest) for member, offset in [*group.members, (buffer, at)]]
        groups[buffer] = group
    return list({id(group): group for group in groups.values()}.values())


def _lay_out(groups: Sequence[_Group]) -> int:
    """Largest first, each at the lowest free place: a heuristic, exact for chains of layers."""
    placed: list[tuple[_Group, int]] = []
    for group in sorted(groups, key=lambda g: (-g.size, g.first)):
        living = sorted(
            ((other, at) for other, at in placed if other.first <= group.last and group.first <= other.last),
            key=lambda item: item[1],
        )
        offset = 0
        for other, at in living:
            if offset + group.size <= at:
                break
            offset = max(offset, at + pad4(other.size))
        placed.append((group, offset))
        for buffer, at in group.members:
            buffer.offset = offset + at
    return max((at + pad4(group.size) for group, at in placed), default=0)
