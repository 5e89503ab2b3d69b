"""A generated model cut into slices: one layer, or one time step, per call, for systems whose calls must be short."""

from __future__ import annotations

from edgebat.formats.c.calls import PREPARING, Call, Statement
from edgebat.formats.c.lowering import Program

SLICE_WORK = 2048
"""Multiply-accumulates of a slice, where a layer can be cut: some 7,000 instructions on a Cortex-M4, 20,000 on an M0+."""


def slice_count(program: Program) -> int:
    """Calls that make up one run."""
    return program.steps + 1 if program.stateful else len(_slices(program))


def _slices(program: Program) -> list[list[Statement]]:
    """Statements of a run; what only prepares memory goes with the layer behind it, and a loop stays whole."""
    slices: list[list[Statement]] = [[]]
    for statement in program.run:
        for piece in statement.pieces(SLICE_WORK):
            slices[-1].append(piece)
            if not (isinstance(piece, Call) and piece.function in PREPARING):
                slices.append([])
    return [statements for statements in slices if statements]


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
    body = _steps(name, upper) if program.stateful else _layers(program)
    return f"""
int {name}_run_slice(uint32_t slice, const int8_t *input, void *result, void *scratch)
{{
    {name}_output_t *const output = ({name}_output_t *)result;
{checks}{body}}}
"""


def _layers(program: Program) -> str:
    scratch = "    int8_t *const s = (int8_t *)scratch;\n" if program.scratch_bytes else ""
    slices = _slices(program)
    # A layer that is cut is copied, for another number of positions.
    cut = {(call.copied, call.function) for piece in slices for s in piece for call in s.calls() if call.part}
    copies = "".join(f"    {function}_t {copy};\n" for copy, function in sorted(cut))
    cases = "".join(
        f"    case {i}:\n"
        + "".join(f"        {line}\n" for statement in statements for line in statement.lines())
        + "        break;\n"
        for i, statements in enumerate(slices)
    )
    return f"""{scratch}{copies}    int status = EDGEBAT_OK;
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
