"""Statements of the generated functions: calls of kernels, which become text only when the file is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgebat.formats.c.memory import View

PREPARING = ("edgebat_copy", "edgebat_fill")  # they move data between layers
RETURNING_OK = ("edgebat_compact", "edgebat_head", "edgebat_head_rest")


@dataclass(frozen=True)
class Row:
    """The argument of a call in a loop that is row ``t`` of ``view``."""

    view: View

    def address(self) -> str:
        """C expression of the row's first value."""
        return f"{self.view.address()} + t * {self.view.stride}U"


@dataclass(frozen=True)
class Slide:
    """What cuts a call that slides over ``positions``: the structure at ``label``, of the type ``<function>_t``; bytes
    of input and output, and multiply-accumulates, from one position to the next."""

    label: str
    positions: int
    input_step: int
    output_step: int
    work: int


@dataclass(frozen=True)
class Call:
    """One call of a C function; addresses of ``arguments`` are known after memory is laid out.

    layer: name of the graph's node whose arithmetic it is, "" where data only moves. part: a copy of the structure at
    ``label`` for fewer ``positions``, which the call works from.
    """

    function: str
    arguments: tuple[View | Row | str | int, ...]
    layer: str = ""
    slide: Slide | None = None
    part: Slide | None = None

    @property
    def copied(self) -> str:
        """C name of the copy that a part works from."""
        return f"part_{self.function.removeprefix('edgebat_')}"

    def expression(self) -> str:
        """The call as a C expression."""
        texts = [a.address() if isinstance(a, View | Row) else str(a) for a in self.arguments]
        return f"{self.function}({', '.join(texts)})"

    def lines(self) -> list[str]:
        """The call as lines of C."""
        ignored = "(void)" if self.function in RETURNING_OK else ""
        before = []
        if self.part:
            before = [f"{self.copied} = {self.part.label};", f"{self.copied}.positions = {self.part.positions};"]
        return [*before, f"{ignored}{self.expression()};"]

    def calls(self) -> Iterator[Call]:
        """The calls in this statement."""
        yield self

    def pieces(self, most: int) -> Iterator[Call]:
        """The same work as calls of at most ``most`` multiply-accumulates each, where it can be cut."""
        slide = self.slide
        if slide is None or slide.positions * slide.work <= most:
            yield self
            return
        each = max(most // slide.work, 1)
        steps = (slide.input_step, slide.output_step)
        for first in range(0, slide.positions, each):
            views = [
                replace(view, start=view.start + first * step)
                for view, step in zip(self.arguments[1:], steps, strict=True)
                if isinstance(view, View)
            ]
            part = replace(slide, positions=min(each, slide.positions - first))
            yield replace(self, arguments=(f"&{self.copied}", *views), part=part)


@dataclass(frozen=True)
class Loop:
    """``body`` for every row ``t`` of ``count``."""

    count: int
    body: tuple[Call, ...]

    def lines(self) -> list[str]:
        """The loop as lines of C."""
        inner = [f"    {line}" for call in self.body for line in call.lines()]
        return [f"for (uint32_t t = 0; t < {self.count}U; t++) {{", *inner, "}"]

    def calls(self) -> Iterator[Call]:
        """The calls in this statement."""
        yield from self.body

    def pieces(self, most: int) -> Iterator[Loop]:
        """A loop stays whole."""
        yield self


Statement = Call | Loop
