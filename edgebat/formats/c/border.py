"""Engineering units at the border of a generated model: 0.01 % and ppm instead of quantized integers.

A model whose input is relative to the window's last value takes that value as an argument: ``<name>_quantize`` subtracts
it from every value, and the functions of relative heads add it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.graph.model import IntGraph
from edgebat.interval import BOUNDS, LOW

INT32_LIMIT = 2**31
RELATIVE_UNIT = "cpct"
"""Unit of heads that may be changes from the last value, which comes in ppm."""
RESERVED = {"run", "reset", "step", "head", "selftest", "crc32", "quantize", "output_t"}  # suffixes of other functions


@dataclass(frozen=True)
class Output:
    """One entry of ``meta["outputs"]``, checked."""

    name: str
    index: int
    size: int
    unit: str
    multiplier: int
    shift: int
    offset: int
    relative: bool
    of: str = ""
    """The output that this one is a bound of."""
    bound: str = ""
    """low or high."""


@dataclass(frozen=True)
class Border:
    """``meta["input"]`` and ``meta["outputs"]`` of a graph, checked: they come from a file."""

    unit: str
    offset: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: int
    outputs: tuple[Output, ...]
    relative: bool
    """Values are changes from the window's last one."""


def read_border(graph: IntGraph) -> Border | None:
    """The border of ``graph``, or None when it has none for as many columns as its input has.

    Raises ModelFileError when it is malformed.
    """
    if "input" not in graph.meta or "outputs" not in graph.meta:
        return None
    try:
        source = graph.meta["input"]
        columns = graph.input_tensor.shape[-1]
        offset, multiplier = (tuple(_integer(v) for v in source[key]) for key in ("offset", "multiplier"))
        shift = _integer(source["shift"])
        relative = source.get("relative_to")
        if relative not in (None, "last"):
            raise ValueError(f"inputs are relative to {relative!r}; C knows 'last'")
        outputs = tuple(_output(entry, relative == "last") for entry in graph.meta["outputs"])
        total = int(np.prod(graph.output_tensor.shape))
        names = [entry.name for entry in outputs]
        fits = all(o.index >= 0 and o.size >= 1 and o.index + o.size <= total for o in outputs)
        if len(offset) != len(multiplier) or not 1 <= shift <= 40 or min(multiplier, default=1) < 1:
            raise ValueError(f"{len(offset)} offsets, {len(multiplier)} multipliers {multiplier}, shift {shift}")
        if not fits or len(set(names)) != len(names):
            raise ValueError(f"outputs {names} overlap in name or leave the {total} values of the model")
        for place, entry in enumerate(outputs):
            of = next((o for o in outputs[:place] if o.name == entry.of), None)
            if entry.of and (of is None or entry.bound not in BOUNDS or not _alike(entry, of)):
                raise ValueError(f"output {entry.name!r} is no bound of an output before it")
        if len(offset) != columns:
            return None
        _check_reach(offset, multiplier, shift, outputs, np.iinfo(graph.output_tensor.dtype))
        return Border(_text(source["unit"]), offset, multiplier, shift, outputs, relative == "last")
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFileError(
            f"model {graph.name!r} describes its border in a way C cannot use: {type(error).__name__}: {error}. "
            "Export the model again with edgebat"
        ) from None


def _check_reach(
    offset: tuple[int, ...], multiplier: tuple[int, ...], shift: int, outputs: tuple[Output, ...], output: np.iinfo[Any]
) -> None:
    """Raise ValueError where C would leave 64 bits on the way in, for any int32, or 32 bits on the way out.

    The change between two values that are not negative is an int32 again, and so is what a relative head adds.
    """
    for column, (o, m) in enumerate(zip(offset, multiplier, strict=True)):
        if (INT32_LIMIT + abs(o)) * m + (1 << (shift - 1)) >= 2**63:
            raise ValueError(f"column {column} times {m} leaves 64 bits")
    for entry in outputs:
        ends = [entry.offset + ((y * entry.multiplier + (1 << (entry.shift - 1))) >> entry.shift)
                for y in (int(output.min), int(output.max))]  # fmt: skip
        added = INT32_LIMIT // 100 + 1 if entry.relative else 0
        if max(abs(end) for end in ends) + added >= INT32_LIMIT:
            raise ValueError(f"output {entry.name!r} goes from {ends[0]} to {ends[1]}, which is more than 32 bits")


def _alike(bound: Output, of: Output) -> bool:
    return (bound.size, bound.unit, bound.relative, of.of) == (of.size, of.unit, of.relative, "")


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -INT32_LIMIT <= value < INT32_LIMIT:
        raise ValueError(f"{value!r} is not a 32-bit integer")
    return value


def _text(value: Any) -> str:
    """A unit, safe inside a comment."""
    return re.sub(r"[^\w .%+-]", "_", str(value))[:40]


def is_output_name(name: str) -> bool:
    """Whether ``name`` can be the end of a C function's name."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", name) is not None and name not in RESERVED


def _output(entry: Any, relative_input: bool) -> Output:
    name = str(entry["name"])
    if not is_output_name(name):
        raise ValueError(f"output name {name!r} cannot be the name of a C function")
    index, size, multiplier, shift, offset = (
        _integer(entry[key]) for key in ("index", "size", "multiplier", "shift", "offset")
    )
    if not 1 <= shift <= 40:
        raise ValueError(f"output {name!r} has shift {shift}")
    relative = entry.get("relative", False) is True
    if relative and (not relative_input or entry["unit"] != RELATIVE_UNIT):
        raise ValueError(
            f"output {name!r} in {entry['unit']} is relative; that takes a relative input and {RELATIVE_UNIT}"
        )
    of, bound = (str(entry.get(key, "")) for key in ("of", "bound"))
    return Output(name, index, size, _text(entry["unit"]), multiplier, shift, offset, relative, of, bound)


def prototypes(border: Border, name: str, upper: str, columns: int, rates: int = 0) -> str:
    """Declarations for the header. rates: so many of the last values of a row are rates."""
    which = "one a rate" if rates == 1 else f"{rates} rates"
    rate = f", the last {which} in 0.001 C," if rates else ""
    rows = f"Rows of {upper}_COLUMNS values in {border.unit}{rate} -> int8 input of the model"
    rows += "; values beyond its range are clipped."
    last, comment = "", f"/** {rows} */"
    if border.relative:
        last = ", int32_t last"
        comment = f"""/**
 * {rows}
 * The model reads changes: last, the window's last value, is subtracted from each. No value is ever negative.
 */"""
    lines = [
        f"""
#define {upper}_COLUMNS {columns} /* values per row of the input */

{comment}
void {name}_quantize(const int32_t *values{last}, int8_t *input, uint32_t rows);
"""
    ]
    for out in border.outputs:
        many = f", i = 0 to {out.size - 1}" if out.size > 1 else ""
        from_last = f"; last: the window's last value in {border.unit}, 0 or more" if out.relative else ""
        sides = f", never {'above' if out.bound == LOW else 'below'} {out.of}" if out.of else ""
        lines.append(f"""
/** {out.name} in {out.unit}{sides}{many}{from_last}. */
{_signature(out, name)};
""")
    return "".join(lines)


def _signature(out: Output, name: str) -> str:
    last = ", int32_t last" if out.relative else ""
    index = ", uint32_t i" if out.size > 1 else ""
    return f"int32_t {name}_{out.name}(const {name}_output_t *output{last}{index})"


def functions(border: Border, graph: IntGraph, name: str, upper: str) -> str:
    """Definitions for the source."""
    zero = graph.input_tensor.zero_point
    last, value = (", int32_t last", "(int32_t)((int64_t)*values++ - last)") if border.relative else ("", "*values++")
    parts = [
        "\n" + tables.array("int32_t", "border_offset", [str(v) for v in border.offset]),
        "\n" + tables.array("int32_t", "border_multiplier", [str(v) for v in border.multiplier]),
        f"""
void {name}_quantize(const int32_t *values{last}, int8_t *input, uint32_t rows)
{{
    for (; rows != 0U; rows--) {{
        for (uint32_t i = 0; i < {upper}_COLUMNS; i++) {{
            *input++ = edgebat_quantize({value}, border_offset[i], border_multiplier[i], {border.shift}, {zero});
        }}
    }}
}}
""",
    ]
    for out in border.outputs:
        place = f"output[{out.index}U + i]" if out.size > 1 else f"output[{out.index}]"
        # ppm to 0.01 %, rounded; unsigned, so that no value of last overflows.
        added = " + (int32_t)(((uint32_t)last + 50U) / 100U)" if out.relative else ""
        value = f"edgebat_value({place}, {out.multiplier}, {out.shift}, {out.offset}){added}"
        body = _inside(out, name, value) if out.of else f"    return {value};"
        parts.append(f"""
{_signature(out, name)}
{{
{body}
}}
""")
    return "".join(parts)


def _inside(out: Output, name: str, value: str) -> str:
    """The body of a bound's function: it never lies on the wrong side of what it bounds."""
    arguments = ", ".join(["output", *(["last"] if out.relative else []), *(["i"] if out.size > 1 else [])])
    return f"""\
    const int32_t bound = {value};
    const int32_t of = {name}_{out.of}({arguments});
    return (bound {"<" if out.bound == LOW else ">"} of) ? bound : of;"""
