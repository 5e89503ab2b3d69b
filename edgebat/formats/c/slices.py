"""A generated model cut into slices: one layer, or one time step, per call, for systems whose calls must be short."""

from __future__ import annotations

import re

from edgebat.formats.c.program import Program

_SMALL = ("edgebat_copy(", "edgebat_fill(")


def slice_count(program: Program) -> int:
    """Calls that make up one run."""
    return program.steps + 1 if program.stateful else len(_grouped(program))


def _grouped(program: Program) -> list[list[str]]:
    """Statements of a run; what only prepares memory goes with the layer behind it, and a loop stays whole."""
    groups: list[list[str]] = [[]]
    depth = 0
    for line, pieces in zip(program.run, program.pieces, strict=True):
        depth += line.count("{") - line.count("}")
        for piece in pieces if depth == 0 else [line]:
            groups[-1].append(piece)
            if depth == 0 and not line.startswith(_SMALL):
                groups.append([])
    return [group for group in groups if group]


def _lines(text: str) -> list[str]:
    return text.replace("; ", ";\n").split("\n") if text.startswith("part_") else [text]


def _working_copies(program: Program) -> str:
    """A layer that is cut is copied, for another number of positions."""
    text = " ".join(piece for pieces in program.pieces for piece in pieces)
    kernels = sorted(set(re.findall(r"\bpart_(\w+) = ", text)))
    return "".join(f"    edgebat_{kernel}_t part_{kernel};\n" for kernel in kernels)


def macro(program: Program, upper: str) -> str:
    """The number of slices, for the header."""
    return f"#define {upper}_SLICES {slice_count(program)} /* calls of the sliced run */\n"


def prototype(name: str, upper: str) -> str:
    """Declaration for the header."""
    return f"""
/**
 * The same run in {upper}_SLICES short calls, slice = 0 to {upper}_SLICES - 1 in this order; scratch must survive between
 * them. result: {upper}_OUTPUT_LEN values of {name}_output_t. Returns what {name}_run returns, or EDGEBAT_ERR_SLICE.
 */
int {name}_run_slice(uint32_t slice, const int8_t *input, void *result, void *scratch);
"""


def function(program: Program, name: str, upper: str, checks: str) -> str:
    """Definition for the source; ``checks`` are the tests of the pointers."""
    body = _steps(name, upper) if program.stateful else _layers(program, upper)
    return f"""
int {name}_run_slice(uint32_t slice, const int8_t *input, void *result, void *scratch)
{{
    {name}_output_t *const output = ({name}_output_t *)result;
{checks}{body}}}
"""


def _layers(program: Program, upper: str) -> str:
    scratch = "    int8_t *const s = (int8_t *)scratch;\n" if program.scratch_bytes else ""
    unused = "" if any("input" in line for line in program.run) else "    (void)input;\n"
    cases = "".join(
        f"    case {i}:\n"
        + "".join(f"        {line}\n" for text in group for line in _lines(text))
        + "        break;\n"
        for i, group in enumerate(_grouped(program))
    )
    return f"""{scratch}{unused}{_working_copies(program)}    int status = EDGEBAT_OK;
    switch (slice) {{
{cases}    default:
        status = EDGEBAT_ERR_SLICE;
        break;
    }}
    return status;
"""


def _steps(name: str, upper: str) -> str:
    return f"""    int8_t *const s = (int8_t *)scratch;
    int status = EDGEBAT_ERR_SLICE;
    if (slice < {upper}_STEPS) {{
        if (slice == 0U) {{
            (void){name}_reset(s);
        }}
        status = {name}_step(&input[slice * {upper}_STEP_LEN], s);
    }} else if (slice == {upper}_STEPS) {{
        status = {name}_head(s, output, &s[{upper}_STATE_BYTES]);
    }} else {{
        /* no such slice */
    }}
    return status;
"""
